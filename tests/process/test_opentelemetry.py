"""Tracers that others wrote for aiohttp: OpenTelemetry's and Sentry's, the real ones."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from syncclient import Retry, Session
from tests.children import RunChild
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

pytest.importorskip("opentelemetry.sdk")
# Not imported here: it would import eventlet, which then warns of every fork of this process.
if importlib.util.find_spec("sentry_sdk") is None:
    pytest.skip("sentry_sdk is not installed", allow_module_level=True)

from opentelemetry.instrumentation.aiohttp_client import (
    AioHttpClientInstrumentor,
    create_trace_config,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs


class Spans:
    """Collects finished spans."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self.tracer = self.provider.get_tracer("tests")
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def finished(self, name: str = "GET") -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def spans() -> Iterator[Spans]:
    spans = Spans()
    yield spans
    spans.provider.shutdown()


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def test_a_span_has_the_callers_as_its_parent(spans: Spans, app: AppServer) -> None:
    """The request is a child of the caller's current span, and the server is told of it."""
    config = create_trace_config(tracer_provider=spans.provider)
    with Session(app.url, trace_configs=[config]) as session:
        with spans.tracer.start_as_current_span("view") as view:
            headers = dict(session.get("anything").json()["headers"])
            session.get("status/404")
        session.get("json")
    first, second, third = spans.finished()
    assert parent_of(first) == parent_of(second) == view.get_span_context().span_id
    assert parent_of(third) is None
    context = first.get_span_context()
    assert context is not None
    traceparent = next(value for name, value in headers.items() if name.lower() == "traceparent")
    assert f"{context.trace_id:032x}-{context.span_id:016x}" in traceparent
    assert dict(second.attributes or {})["http.status_code"] == 404


def test_threads_submit_and_map_have_their_own_parents(spans: Spans, app: AppServer) -> None:
    """Each caller's span is the parent of its own requests, however many there are at a time."""
    config = create_trace_config(tracer_provider=spans.provider)
    parents: list[int] = []

    def view(session: Session) -> None:
        with spans.tracer.start_as_current_span("view") as span:
            parents.append(span.get_span_context().span_id)
            session.submit("GET", "json").result(WITHIN)
            assert len(list(session.map(["json", "json"]))) == 2
            session.get("json")

    with Session(app.url, trace_configs=[config]) as session:
        threads = [threading.Thread(target=view, args=(session,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WITHIN)
    found = sorted(parent_of(span) or 0 for span in spans.finished())
    assert found == sorted(parents * 4)


def test_attempts_and_errors_are_spans(spans: Spans, raw_server: StartRawServer) -> None:
    """Each attempt is a span of its own, and one that failed says so."""

    def hang_up(conn: RawConnection) -> None:
        conn.read_request()

    def answer(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"ok")

    wire = raw_server(hang_up, answer)
    config = create_trace_config(tracer_provider=spans.provider)
    with Session(trace_configs=[config], retry=Retry(backoff=0)) as session:
        assert session.get(wire.url).read() == b"ok"
    failed, succeeded = spans.finished()
    assert not failed.status.is_ok
    assert failed.events[0].name == "exception"
    assert succeeded.status.is_ok or succeeded.status.description is None


def test_the_instrumentor_finds_us(spans: Spans, app: AppServer) -> None:
    """instrument() patches aiohttp's session, and so traces sessions that connect from then on."""
    instrumentor = AioHttpClientInstrumentor()
    instrumentor.instrument(tracer_provider=spans.provider)
    try:
        with Session(app.url) as session, spans.tracer.start_as_current_span("view") as view:
            session.get("json")
    finally:
        instrumentor.uninstrument()
    (span,) = spans.finished()
    assert parent_of(span) == view.get_span_context().span_id
    with Session(app.url) as session:
        session.get("json")
    assert len(spans.finished()) == 1


_SENTRY = """
import json, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of eventlet, where that is installed
import sentry_sdk
from sentry_sdk.transport import Transport
from sentry_sdk.integrations.aiohttp import AioHttpIntegration
import syncclient

captured = []

class Capturing(Transport):
    def capture_envelope(self, envelope):
        captured.extend(item.payload.json for item in envelope.items)

sentry_sdk.init(
    dsn="http://key@127.0.0.1:9/1",
    transport=Capturing,
    integrations=[AioHttpIntegration()],
    default_integrations=False,
    traces_sample_rate=1.0,
)
with syncclient.Session(sys.argv[1]) as session:
    with sentry_sdk.isolation_scope() as scope:
        scope.set_tag("view", "one")
        with sentry_sdk.start_transaction(name="view", op="test"):
            session.get("status/204")
        sentry_sdk.capture_message("first")
    with sentry_sdk.isolation_scope():
        session.get("json")
        sentry_sdk.capture_message("second")
print(json.dumps(captured))
"""


def test_sentrys_breadcrumbs_and_spans(run_child: RunChild, app: AppServer) -> None:
    """Sentry's integration sees the caller's scope: its breadcrumbs and its transaction's spans."""
    child = run_child(_SENTRY, app.url)
    assert child.status == 0, child.stderr
    events: list[dict[str, Any]] = json.loads(child.stdout)
    transaction = next(each for each in events if each.get("type") == "transaction")
    assert [span["op"] for span in transaction["spans"]] == ["http.client"]
    first, second = (each for each in events if "message" in each or "logentry" in each)
    crumbs = [each["data"]["http.response.status_code"] for each in first["breadcrumbs"]["values"]]
    assert crumbs == [204]
    crumbs = [each["data"]["http.response.status_code"] for each in second["breadcrumbs"]["values"]]
    assert crumbs == [200]


def test_no_session_is_patched_for_good() -> None:
    """The tests above leave aiohttp as it was."""
    assert not hasattr(aiohttp.ClientSession.__init__, "__wrapped__")
