"""How often a caller crosses to the loop thread: exact counts, where timings would be noise."""

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

import syncclient
from syncclient import CookieJar, LoopThread, Response, Session, TraceConfig
from syncclient._async.exchange.lean_plan import WAY
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

#: On a connection that is kept alive. Before this was counted it was 53.
CALLS_TO_THE_SOCKET = 35


def crossings(session: Session) -> int:
    return session._portal.crossings


@pytest.fixture
def warm(session: Session) -> Session:
    """A session with a connection, so that head and body of a small response come together."""
    session.get("/json").read()
    return session


def test_making_and_closing_an_unused_session_crosses_never() -> None:
    """No loop thread is started for nothing."""
    with Session() as session:
        assert not session.closed
    assert crossings(session) == 0
    assert not session._portal.leased


def test_a_small_get_with_json_and_exit_is_one_crossing(warm: Session) -> None:
    """The body comes along with the head, and leaving the block has nothing to release."""
    before = crossings(warm)
    with warm.get("/json") as response:
        assert response.json()["slideshow"]
    assert crossings(warm) - before == 1


def test_what_is_here_costs_no_crossing(warm: Session) -> None:
    """Text, JSON, bytes, headers, links, history, encoding: all on this side."""
    response = warm.get("/relative-redirect/2")
    before = crossings(warm)
    for _ in range(3):
        response.read()
        response.text()
        response.json()
    assert response.history[0].headers and not response.links and response.get_encoding()
    response.release()
    response.close()
    assert crossings(warm) == before


def test_redirects_are_followed_on_the_other_side(warm: Session) -> None:
    """However many hops, the caller crosses once."""
    before = crossings(warm)
    warm.get("/redirect/5").read()
    assert crossings(warm) - before == 1


def test_a_large_body_is_two_crossings(warm: Session) -> None:
    """One for the head, one for all of the body, whatever its size."""
    before = crossings(warm)
    with warm.get("/bytes/3000000") as response:
        assert len(response.read()) == 3_000_000
        assert len(response.text("latin-1")) == 3_000_000
    assert crossings(warm) - before == 2


def _exit(response: Response) -> None:
    with response:
        pass


@pytest.mark.parametrize("leave", [Response.release, Response.close, _exit])
def test_leaving_a_body_unread_is_one_crossing(
    warm: Session, leave: Callable[[Response], None]
) -> None:
    """Releasing is posted, not waited for."""
    before = crossings(warm)
    response = warm.get("/bytes/3000000")
    leave(response)
    assert crossings(warm) - before == 1


def test_bad_input_crosses_never(session: Session) -> None:
    """What is wrong in the call is said in the caller's thread; no loop thread is started."""
    for wrong in ({"timeout": -1}, {"headers": {"X": "a\r\nb"}}, {"json": 1, "data": b""}):
        with pytest.raises(ValueError):  # noqa: PT011  # test_bad_input.py reads the messages
            session.get("/get", **wrong)
    assert crossings(session) == 0
    assert not session._portal.leased


def test_async_traces_need_no_crossing_of_their_own(app: AppServer) -> None:
    """Async callbacks run where they are called from."""

    async def started(client: object, context: object, params: object) -> None:
        calls.append(params)

    calls: list[object] = []
    trace = TraceConfig()
    trace.on_request_start.append(started)
    with Session(app.url, trace_configs=[trace]) as session:
        session.get("/json").read()
        before = crossings(session)
        session.get("/json").read()
        assert crossings(session) - before == 1
    assert len(calls) == 2


def test_each_method_of_a_jar_is_one_crossing(app: AppServer) -> None:
    """The loop over all cookies as well."""
    with Session(app.url, cookie_jar=CookieJar()) as session:
        session.get("/json").read()
        before = crossings(session)
        session.cookie_jar.update_cookies({"a": "1", "b": "2"})
        # Not list(): that asks for the length first.
        assert {cookie.key for cookie in session.cookie_jar} == {"a", "b"}
        session.cookie_jar.clear()
        assert crossings(session) - before == 3


def test_a_body_that_comes_later_is_a_second_crossing(raw_server: StartRawServer) -> None:
    """A head is given to the caller as soon as it is here, without waiting for the body."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        conn.stall()
        conn.send(b"late")

    wire = raw_server(script)
    with Session() as session, session.get(wire.url) as response:
        assert crossings(session) == 1
        wire.wait_until_stalled().proceed()
        assert response.text() == "late"
        assert crossings(session) == 2


class CallCounter:
    """A profile function that counts calls of the package's functions until a request is written.

    Args:
        package: the folder of the package.
    """

    def __init__(self, package: Path) -> None:
        self._package = str(package)
        self.counting = False
        self.calls: list[str] = []

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if not self.counting or event != "call":
            return
        code = frame.f_code
        if code.co_filename.startswith(self._package):
            self.calls.append(f"{Path(code.co_filename).name}: {code.co_name}")
        elif code.co_name in ("write", "writelines") and "asyncio" in code.co_filename:
            self.counting = False


@pytest.mark.skipif(WAY != "lean", reason="counts the ordinary way")
def test_a_get_takes_few_calls_to_the_socket(app: AppServer) -> None:
    """From the user's line to the bytes on the connection, both threads together."""
    counter = CallCounter(Path(syncclient.__file__).parent)
    # asyncio's own loop, since the write of uvloop's is not reported to profile functions.
    loop_thread = LoopThread(loop_factory=asyncio.new_event_loop)
    threading.setprofile(counter)  # of threads that start from now on
    try:
        with Session(app.url, loop_thread=loop_thread) as session:
            session.get("/json").read()
            sys.setprofile(counter)
            counter.counting = True
            session.get("/json").read()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert not counter.counting
    assert len(counter.calls) <= CALLS_TO_THE_SOCKET, "\n".join(counter.calls)
