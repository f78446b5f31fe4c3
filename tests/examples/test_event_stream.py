"""docs/examples/event_stream.py, asking a model that answers, and one that fails."""

from __future__ import annotations

from tests.children import RunChild
from tests.servers.process import ROOT
from tests.servers.raw import RawConnection, StartRawServer

SCRIPT = ROOT / "docs" / "examples" / "event_stream.py"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def test_the_answer(run_child: RunChild, upstream: str) -> None:
    """The words of all events are printed, and nothing else."""
    child = run_child(SCRIPT, "What is a stream?", env={"API_URL": f"{upstream}events"}, flags=())
    assert (child.status, child.stderr) == (0, "")
    assert child.stdout == "All our words arrive one by one. \n"


def test_a_busy_model_and_an_answer_that_breaks_off(
    run_child: RunChild, raw_server: StartRawServer
) -> None:
    """A 429 is tried again with the same question; a stream that just ends is an error."""

    def busy(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 429 Too Many\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")

    def half(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(HEAD + b'data: {"delta": "To be"}\n\n')

    wire = raw_server(busy, half)
    child = run_child(SCRIPT, "Why?", env={"API_URL": wire.url, "API_KEY": "secret"}, flags=())
    assert child.status == 1
    assert child.stdout == "To be\n"
    assert child.stderr == "\nthe answer broke off\n"
