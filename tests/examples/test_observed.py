"""docs/examples/observed.py: OpenTelemetry, Sentry and Prometheus on one session."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import threading

import brotli
import pytest

from tests.bounds import BOUND
from tests.children import RunChild
from tests.servers.process import ROOT
from tests.servers.raw import RawConnection, StartRawServer

# Not imported here: Sentry would import eventlet, which then warns of every fork of this process.
for library in ("sentry_sdk", "prometheus_client", "opentelemetry"):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed", allow_module_level=True)


class Sentry:
    """The server that a DSN names: keeps the items of the envelopes that are sent to it."""

    def __init__(self) -> None:
        self.items: list[dict[str, object]] = []
        self.event = threading.Event()

    def __call__(self, conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            undo = {"gzip": gzip.decompress, "br": brotli.decompress}
            body = undo[request.header("Content-Encoding")](request.body)
            lines = [json.loads(line) for line in body.splitlines() if line.startswith(b"{")]
            self.items += lines
            conn.respond(b"{}")
            if any("exception" in line for line in lines):
                self.event.set()


def test_three_observers_see_every_request(
    run_child: RunChild, upstream: str, raw_server: StartRawServer
) -> None:
    """Metrics count requests, retries, failures and connections; spans belong to the job's; Sentry
    has the error with the requests before it as breadcrumbs, and its transaction their spans."""
    sentry = Sentry()
    port = raw_server(sentry).port
    script = ROOT / "docs" / "examples" / "observed.py"
    # Sentry imports eventlet where that is installed, and eventlet would import half of the others.
    env = {"EVENTLET_NO_GREENDNS": "yes"}
    dsn = f"http://key@127.0.0.1:{port}/1"
    child = run_child(script, upstream, f"--sentry={dsn}", flags=(), env=env)
    assert child.status == 0, child.stderr

    def metric(name: str, **labels: str) -> float:
        inside = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        found = re.search(rf"^{name}{{{inside}}} (\S+)$", child.stdout, re.MULTILINE)
        assert found, child.stdout
        return float(found[1])

    counted = "http_client_request_seconds_count"
    host = "localhost" if "localhost" in upstream else "127.0.0.1"
    assert metric(counted, host=host, method="GET", status="200") == 3
    assert metric(counted, host=host, method="GET", status="404") == 1
    assert metric(counted, host=host, method="GET", status="503") == 2  # each attempt
    error = "ClientConnectorError"
    assert metric("http_client_failures_total", error=error, host="localhost") == 3
    assert metric("http_client_connections_total", kind="kept alive") == 5
    assert metric("http_client_pool", session="shop", state="idle") == 1
    assert metric("http_client_pool", session="shop", state="limit") == 100

    spans = [json.loads(text) for text in re.findall(r"^\{\n.*?^\}$", child.stdout, re.M | re.S)]
    (job,) = (span for span in spans if span["name"] == "job")
    requests = [span for span in spans if span["name"] == "GET"]
    assert {span["parent_id"] for span in requests} == {job["context"]["span_id"]}
    assert len(requests) == 9

    assert sentry.event.wait(BOUND)
    (event,) = (item for item in sentry.items if "exception" in item)
    assert "Connection refused" in json.dumps(event["exception"])
    assert json.dumps(event["breadcrumbs"]).count('"http.response.status_code"') >= 6
    (transaction,) = (
        item for item in sentry.items if item.get("type") == "transaction" and "spans" in item
    )
    # Of those that failed it has the error, and no span.
    assert json.dumps(transaction["spans"]).count('"http.client"') == 6
