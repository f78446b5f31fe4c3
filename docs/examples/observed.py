"""One session that OpenTelemetry, Sentry and Prometheus look at, all at a time.

python docs/examples/server.py                # the API
python docs/examples/observed.py              # metrics on http://localhost:9100/metrics
"""

import argparse
import time
from collections.abc import Iterator
from types import SimpleNamespace

import sentry_sdk
from aiohttp import (
    ClientSession,
    TraceConnectionCreateEndParams,
    TraceConnectionReuseconnParams,
    TraceRequestEndParams,
    TraceRequestExceptionParams,
    TraceRequestStartParams,
)
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from prometheus_client import REGISTRY, Counter, Histogram, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from syncclient import Retry, Session, TraceConfig

SECONDS = Histogram(
    "http_client_request_seconds", "Until the head of the response", ["host", "method", "status"]
)
FAILED = Counter("http_client_failures", "Requests without a response", ["host", "error"])
CONNECTIONS = Counter("http_client_connections", "What requests went out on", ["kind"])


class Metrics(TraceConfig):
    """Counts and times the requests of the sessions that have it.

    Its callbacks are async: they run on the loop thread, which costs no crossing, and do not wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_request_start.append(self._begin)
        self.on_request_end.append(self._end)
        self.on_request_exception.append(self._fail)
        self.on_connection_create_end.append(self._create)
        self.on_connection_reuseconn.append(self._reuse)

    async def _begin(
        self, session: ClientSession, ctx: SimpleNamespace, params: TraceRequestStartParams
    ) -> None:
        ctx.began = time.perf_counter()

    async def _end(
        self, session: ClientSession, ctx: SimpleNamespace, params: TraceRequestEndParams
    ) -> None:
        # Never the path: each label value is a time series of its own.
        labels = (params.url.host, params.method, str(params.response.status))
        SECONDS.labels(*labels).observe(time.perf_counter() - ctx.began)

    async def _fail(
        self, session: ClientSession, ctx: SimpleNamespace, params: TraceRequestExceptionParams
    ) -> None:
        FAILED.labels(params.url.host, type(params.exception).__name__).inc()

    async def _create(
        self, session: ClientSession, ctx: SimpleNamespace, params: TraceConnectionCreateEndParams
    ) -> None:
        CONNECTIONS.labels("new").inc()

    async def _reuse(
        self, session: ClientSession, ctx: SimpleNamespace, params: TraceConnectionReuseconnParams
    ) -> None:
        CONNECTIONS.labels("kept alive").inc()


class Pool(Collector):
    """The connections of a session at the moment when Prometheus asks."""

    def __init__(self, name: str, session: Session) -> None:
        self._name = name
        self._session = session

    def collect(self) -> Iterator[GaugeMetricFamily]:
        pool = self._session.connector.snapshot()
        gauge = GaugeMetricFamily("http_client_pool", "Connections", labels=["session", "state"])
        gauge.add_metric([self._name, "limit"], pool.limit)
        gauge.add_metric([self._name, "idle"], pool.idle)
        gauge.add_metric([self._name, "in use"], pool.in_use)
        gauge.add_metric([self._name, "waited for"], pool.waiting)
        yield gauge


def open_session(url: str, provider: TracerProvider) -> Session:
    return Session(
        url,
        trace_configs=[Metrics(), create_trace_config(tracer_provider=provider)],
        retry=Retry(backoff=0.1),
        timeout=10,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", default="http://localhost:8080/")
    parser.add_argument("--sentry", metavar="DSN", help="where to send errors and traces")
    parser.add_argument("--port", type=int, help="serve metrics there for ever; else print them")
    options = parser.parse_args()

    # Before the first request: its integration for aiohttp patches the engine's sessions.
    sentry_sdk.init(dsn=options.sentry, traces_sample_rate=1.0)
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    tracer = provider.get_tracer("shop")

    with open_session(options.url, provider) as session:
        pool = Pool("shop", session)
        REGISTRY.register(pool)
        server = options.port and start_http_server(options.port)
        while True:
            with tracer.start_as_current_span("job"), sentry_sdk.start_transaction(name="job"):
                for path in ("people", "people/1", "people/99", "flaky/observed"):
                    with session.get(path) as response:
                        response.read()
                try:
                    session.get("http://localhost:1/")
                except OSError as error:
                    sentry_sdk.capture_exception(error)
            if not server:
                break
            time.sleep(5)
        print(generate_latest(REGISTRY).decode())
        REGISTRY.unregister(pool)
    provider.shutdown()
    sentry_sdk.flush(5)


if __name__ == "__main__":
    main()
