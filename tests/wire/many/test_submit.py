"""Session.submit: a request that nobody waits for, as a real future."""

from __future__ import annotations

import concurrent.futures
import contextvars
import gc
import io
import os
import shutil
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

import syncclient
from syncclient import Response, Session
from tests.children import RunChild
from tests.servers.content import pattern
from tests.servers.raw import RawConnection, StartRawServer
from tests.servers.scripts import never_answer, stall_in_body, take_all

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs

color: contextvars.ContextVar[str] = contextvars.ContextVar("color", default="none")


# The future.


def test_submit_returns_a_future_of_the_whole_response(session: Session) -> None:
    """The future is concurrent.futures' own kind; its response needs no further crossing."""
    future = session.submit("GET", "/bytes/100000")
    assert isinstance(future, Future)
    response = future.result(WITHIN)
    crossings = session._portal.crossings
    assert response.status == 200
    assert len(response.read()) == 100_000
    assert response.closed
    assert session._portal.crossings == crossings == 1


def test_many_at_once(session: Session) -> None:
    """as_completed() yields every one of several hundred, from one thread."""
    futures = [session.submit("GET", f"/anything?n={number}") for number in range(300)]
    seen = {
        int(future.result().json()["args"][0][1])
        for future in concurrent.futures.as_completed(futures, WITHIN)
    }
    assert seen == set(range(300))


def test_a_timed_out_result_lets_the_request_go_on(
    session: Session, raw_server: StartRawServer
) -> None:
    """result(timeout) gives up waiting, not the request."""
    wire = raw_server(stall_in_body)
    future = session.submit("GET", wire.url)
    wire.wait_until_stalled()
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(0.01)
    wire.connections[0].proceed()
    assert future.result(WITHIN).read() == b"halffull"


def test_cancel_cancels_on_the_wire(session: Session, raw_server: StartRawServer) -> None:
    """cancel() closes the connection, and whoever waits for the future is told."""
    wire = raw_server(never_answer)
    future = session.submit("GET", wire.url)
    wire.wait_until_stalled()
    assert future.cancel()
    wire.wait_until_closed()
    assert concurrent.futures.wait([future], WITHIN).done == {future}
    assert future.cancelled()
    assert session.get("/get").status == 200


def test_cancel_while_the_body_is_read(session: Session, raw_server: StartRawServer) -> None:
    """A request is cancelled in mid-body as well as before."""
    wire = raw_server(stall_in_body)
    future = session.submit("GET", wire.url)
    wire.wait_until_stalled()
    assert future.cancel()
    wire.wait_until_closed()


def test_callbacks_may_call_the_session(session: Session) -> None:
    """A done callback runs where it may block."""
    second: Future[Response] = Future()

    def call_back(first: Future[Response]) -> None:
        second.set_result(session.get("/anything", params={"after": first.result().status}))

    session.submit("GET", "/delay/0.05").add_done_callback(call_back)
    assert second.result(WITHIN).json()["args"] == [["after", "200"]]


# Failing.


def test_bad_arguments_raise_at_once(session: Session) -> None:
    """What is wrong with the arguments is told by submit(), and nothing is sent."""
    with pytest.raises(TypeError, match="no keyword 'stall'"):
        session.submit("GET", "/get", stall=True)  # type: ignore[call-arg]  # the point of the test
    with pytest.raises(syncclient.InvalidURL):
        session.submit("GET", "http://")
    assert session._portal.crossings == 0


def test_an_error_of_the_request_is_the_future_s(session: Session) -> None:
    """The future raises what request() would have raised."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        future = session.submit("GET", f"http://127.0.0.1:{taken.getsockname()[1]}/")
        assert isinstance(future.exception(WITHIN), syncclient.ClientConnectorError)


def test_a_body_cut_short_is_the_future_s_error(
    session: Session, raw_server: StartRawServer
) -> None:
    """A response that cannot be read whole is no result."""

    def cut_short(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "8")])
        conn.send(b"half")

    wire = raw_server(cut_short)
    error = session.submit("GET", wire.url).exception(WITHIN)
    assert isinstance(error, syncclient.ClientPayloadError)


@pytest.mark.parametrize("stream", [False, True])
def test_raise_for_status_is_honoured(session: Session, stream: bool) -> None:
    """A status of 400 or above is the future's error where the request says so."""
    future = session.submit("GET", "/status/404", stream=stream, raise_for_status=True)
    with pytest.raises(syncclient.ClientResponseError) as caught:
        future.result(WITHIN)
    assert caught.value.status == 404


@pytest.mark.parametrize("stream", [False, True])
def test_a_function_for_raise_for_status_runs_off_the_loop(session: Session, stream: bool) -> None:
    """It is the user's code, so it may read the response, and its error is the future's."""

    def check(response: Response) -> None:
        raise LookupError(threading.current_thread().name, len(response.read()))

    future = session.submit("GET", "/bytes/300000", stream=stream, raise_for_status=check)
    error = future.exception(WITHIN)
    assert isinstance(error, LookupError)
    assert error.args == ("syncclient-submit", 300_000)


def test_closing_the_session_fails_what_is_outstanding(raw_server: StartRawServer) -> None:
    """close() completes every future with SessionClosedError."""
    wire = raw_server(never_answer)
    with Session() as session:
        futures = [session.submit("GET", wire.url) for _ in range(3)]
        wire.wait_until_connected(3)
    for future in futures:
        assert isinstance(future.exception(WITHIN), syncclient.SessionClosedError)
    with pytest.raises(syncclient.SessionClosedError):
        session.submit("GET", wire.url)


# Streaming.


def test_a_streamed_response_is_there_before_its_body(
    session: Session, raw_server: StartRawServer
) -> None:
    """With stream=True the future is done with the head, and the body is read as it comes."""
    wire = raw_server(stall_in_body)
    response = session.submit("GET", wire.url, stream=True).result(WITHIN)
    with response:
        assert response.content.read(4) == b"half"
        wire.connections[0].proceed()
        assert response.content.read() == b"full"


def test_a_dropped_stream_names_the_line_that_submitted_it(
    session: Session, raw_server: StartRawServer
) -> None:
    """The warning about a response left unread points at submit(), not at the loop."""
    wire = raw_server(stall_in_body)
    with pytest.warns(ResourceWarning, match="test_submit.py"):
        session.submit("GET", wire.url, stream=True).result(WITHIN)
    wire.wait_until_closed()


# Bodies.


def test_a_generator_runs_in_a_thread_of_its_own(session: Session) -> None:
    """All of it in one thread, neither the caller's nor the loop's, in the caller's context."""
    seen: list[tuple[str, int, str]] = []

    def note() -> None:
        seen.append((threading.current_thread().name, threading.get_ident(), color.get()))

    def blocks() -> Iterator[bytes]:
        try:
            for _ in range(3):
                note()
                yield b"block"
        finally:
            note()

    color.set("green")
    response = session.submit("POST", "/anything", data=blocks()).result(WITHIN)
    assert response.json()["text"] == "block" * 3
    assert len(seen) == 4
    assert set(seen) == {("syncclient-submit", seen[0][1], "green")}


def test_what_a_generator_raises_is_the_future_s_error(session: Session) -> None:
    """It comes as itself, and the generator is closed before the future is done."""

    def blocks() -> Iterator[bytes]:
        yield b"block"
        raise LookupError("mine")

    body = blocks()
    error = session.submit("POST", "/anything", data=body).exception(WITHIN)
    assert isinstance(error, LookupError)
    assert body.gi_frame is None  # type: ignore[attr-defined]  # an Iterator to its annotation


def test_a_generator_that_hangs_holds_up_no_timeout(
    session: Session, raw_server: StartRawServer
) -> None:
    """The total timeout completes the future while the generator is still stuck."""
    wire = raw_server(never_answer)
    go = threading.Event()

    def stuck() -> Iterator[bytes]:
        yield b"block"
        go.wait(WITHIN)

    future = session.submit("POST", wire.url, data=stuck(), timeout=0.1)
    assert isinstance(future.exception(WITHIN), syncclient.TotalTimeoutError)
    go.set()


def test_a_file_stands_behind_the_bytes_sent(session: Session) -> None:
    """When the future is done, the file is open, at its end, and was sent with its length."""
    file = io.BytesIO(pattern(300_000))
    echo = session.submit("POST", "/anything", data=file).result(WITHIN).json()
    assert ["Content-Length", "300000"] in echo["headers"]
    assert file.tell() == 300_000
    assert not file.closed


def test_a_future_keeps_no_body(session: Session) -> None:
    """Who keeps many futures, for their responses, does not keep all that was sent."""

    class Source(io.BytesIO):
        pass

    source = Source(b"body")
    gone = threading.Event()
    weakref.finalize(source, gone.set)
    future = session.submit("POST", "/anything", data=source)
    del source
    assert future.result(WITHIN).status == 200
    give_up = time.monotonic() + WITHIN
    while not gone.wait(0.05):  # the loop may still be letting go of it
        gc.collect()
        assert time.monotonic() < give_up


def test_a_body_writer_is_written_while_it_is_sent(raw_server: StartRawServer) -> None:
    """submit(), copy into the writer, close it, take the result: as the documentation shows."""
    wire = raw_server(take_all)
    source = io.BytesIO(pattern(3_000_000))
    with Session() as session:
        body = syncclient.BodyWriter()
        future = session.submit("POST", wire.url, data=body)
        shutil.copyfileobj(source, body)
        body.close()
        assert future.result(WITHIN).read() == b"3000000"


def test_cancelling_frees_a_writer(session: Session, raw_server: StartRawServer) -> None:
    """A thread that waits to write more gets an error when the request is cancelled."""
    wire = raw_server(never_read)
    body = syncclient.BodyWriter()
    future = session.submit("POST", wire.url, data=body)
    writing: Future[None] = Future()

    def write_for_ever() -> None:
        try:
            while True:
                body.write(bytes(100_000))
        except BaseException as exc:
            writing.set_exception(exc)

    thread = threading.Thread(target=write_for_ever)
    thread.start()
    wire.wait_until_stalled()  # the head comes with the first bytes
    assert future.cancel()
    assert isinstance(writing.exception(WITHIN), syncclient.ClientError)
    thread.join(WITHIN)


def never_read(conn: RawConnection) -> None:
    """Read the head, and nothing of the body."""
    conn.read_head()
    conn.stall()


# Deadlines and processes.


def test_a_deadline_says_what_the_request_was_doing(
    session: Session, raw_server: StartRawServer
) -> None:
    """A request submitted in a timeout() block fails when that is over, and says at what."""
    wire = raw_server(never_answer)
    with syncclient.timeout(0.1):
        future = session.submit("GET", wire.url)
    error = future.exception(WITHIN)
    assert isinstance(error, syncclient.DeadlineError)
    assert "waiting for the response" in str(error)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_does_not_wait_for_its_parent_s_future(run_child: RunChild) -> None:
    """A future that was pending at the fork raises in the child, where nothing completes it."""
    child = run_child(FORK, flags=("-X", "dev", "-W", "ignore::DeprecationWarning"))
    assert (child.stdout, child.stderr) == ("child: LoopThreadError\nparent: 200\n", "")


FORK = """
import os
import syncclient
from tests.servers.raw import RawServer

def answer(conn):
    conn.read_request()
    conn.stall()
    conn.respond()

with RawServer(answer) as wire, syncclient.Session() as session:
    future = session.submit("GET", wire.url)
    conn = wire.wait_until_stalled()
    if not (pid := os.fork()):
        try:
            future.result(20)
        except BaseException as exc:
            print("child:", type(exc).__name__, flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    conn.proceed()
    print("parent:", future.result(20).status)
"""
