"""Closing a session that is in use: every caller is woken, and nothing is left (rule 10)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import syncclient
from syncclient import LoopThreadError, Session, SessionClosedError
from tests.bounds import wait_until
from tests.places import PLACES, Place, session_for
from tests.servers.raw import RawConnection, StartRawServer

#: All places but the one whose session nobody can close.
OF_A_SESSION = [place for name, place in PLACES.items() if name != "OneShot"]

#: Where what was called is closing itself: that has come about.
CONTENT = {"Goodbye"}

#: Threads in each of them: more than a hundred together.
EACH = 7

#: Seconds within which all of them are woken.
AT_ONCE = 1.0


@pytest.fixture(autouse=True)
def silence(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Fail a test in which anything is printed."""
    yield
    assert capfd.readouterr() == ("", "")


class Blocked:
    """Threads that are blocked in every place of one session, and what becomes of them."""

    def __init__(self, stack: ExitStack, each: int) -> None:
        places = [place(stack) for place in OF_A_SESSION]
        self.session = stack.enter_context(session_for(*places, limit_per_host=each))
        self.woken: dict[str, list[tuple[BaseException | None, float]]] = {}
        self._threads: list[threading.Thread] = []
        idents: dict[Place, list[int]] = {}
        for place in places:
            place.prepare(self.session, each)
            self.woken[type(place).__name__] = []
            for _ in range(each):
                thread = threading.Thread(target=self._work, args=(place,), daemon=True)
                thread.start()
                assert thread.ident is not None
                self._threads.append(thread)
                idents.setdefault(place, []).append(thread.ident)
        for place in places:
            place.wait_until_blocked(self.session, idents[place], each)

    def outcomes(self, since: float) -> tuple[dict[str, Counter[str]], float]:
        """What each place's threads got, and how long after `since` the last one got it."""
        for thread in self._threads:
            thread.join(10)
        kinds = {
            name: Counter(type(error).__name__ for error, _ in woken)
            for name, woken in self.woken.items()
        }
        for name in CONTENT:
            assert set(kinds.pop(name)) == {"NoneType"}
        return kinds, max(at for woken in self.woken.values() for _, at in woken) - since

    def _work(self, place: Place) -> None:
        error: BaseException | None = None
        try:
            place.block(self.session)
        except BaseException as exc:
            error = exc
        self.woken[type(place).__name__].append((error, time.monotonic()))


def test_close_wakes_a_hundred_threads() -> None:
    """Whatever they are blocked in, each gets SessionClosedError, all within a second.

    A busy machine can only lengthen that: the quickest of eight tries counts.
    """
    took: list[float] = []
    while not took or (min(took) >= AT_ONCE and len(took) < 8):
        with ExitStack() as stack:
            blocked = Blocked(stack, EACH)
            since = time.monotonic()
            blocked.session.close()
            outcomes, last = blocked.outcomes(since)
        assert outcomes == {name: {"SessionClosedError": EACH} for name in outcomes}
        took.append(last)
    assert min(took) < AT_ONCE


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_the_end_of_the_loop_wakes_every_thread(error: type[BaseException]) -> None:
    """A callback of a user's raises SystemExit on the loop: they get LoopThreadError.

    Nothing is printed, and the next use starts a new loop thread.
    """

    async def fatal(session: object, context: object, params: object) -> None:
        def die() -> None:
            raise error("the user's")

        asyncio.get_running_loop().call_soon(die)
        await asyncio.sleep(60)

    with ExitStack() as stack:
        blocked = Blocked(stack, 1)
        trace = syncclient.TraceConfig()
        trace.on_request_start.append(fatal)
        other = stack.enter_context(Session(trace_configs=[trace]))
        since = time.monotonic()
        with pytest.raises(LoopThreadError, match="the user's"):
            other.get("http://127.0.0.1:1/")
        outcomes, last = blocked.outcomes(since)
        assert outcomes == {name: {"LoopThreadError": 1} for name in outcomes}
        assert last < AT_ONCE
        with pytest.raises(syncclient.ClientConnectorError):
            blocked.session.get("http://127.0.0.1:1/")


def test_an_exit_in_an_async_callback_is_its_callers(raw_server: StartRawServer) -> None:
    """SystemExit in the task of a request goes to who made it; the loop and all others go on."""
    bad = SystemExit("the user's")

    async def leave(session: object, context: object, params: object) -> None:
        raise bad

    trace = syncclient.TraceConfig()
    trace.on_request_start.append(leave)
    server = raw_server(stalling)
    with (
        Session() as session,
        Session(trace_configs=[trace]) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        waiting = pool.submit(lambda: session.get(server.url).text())
        conn = server.wait_until_connected(1)
        conn.wait_until_stalled()
        for _ in range(2):
            with pytest.raises(SystemExit) as caught:
                other.get(server.url)
            assert caught.value is bad
        conn.proceed()
        conn.wait_until_stalled()
        conn.proceed()
        assert waiting.result(10) == "first last"


def stalling(conn: RawConnection) -> None:
    """Stall before reading the body, and in the midst of the response."""
    request = conn.read_head()
    conn.stall()
    conn.read_body(request)
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + b"first")
    conn.stall()
    conn.send(b" last")
    conn.read_to_end()


def test_grace_lets_calls_end(raw_server: StartRawServer, tmp_path: Path) -> None:
    """Calls in flight and what they opened go on, new requests are refused, close() ends in time.

    A socket, or a source of events, that nobody waits for does not use up the grace period.
    """
    server, sockets = raw_server(stalling), raw_server(stream_of_events)
    acts: list[Callable[[], str]] = [
        lambda: session.get(server.url).text(),
        lambda: session.post(server.url, data=bytes(5_000_000)).text(),
        lambda: next(session.map([server.url])).text(),
        lambda: session.download(server.url, tmp_path / "file").read_text(),
        lambda: session.submit("GET", server.url).result().text(),
    ]
    with Session(timeout=30) as session, ThreadPoolExecutor(len(acts) + 1) as pool:
        events = session.sse(sockets.url)
        assert next(events).data == "one"
        results = [pool.submit(act) for act in acts]
        for number in range(1, len(acts) + 1):
            server.wait_until_connected(number).wait_until_stalled()
        closing = pool.submit(session.close, grace=60.0)
        wait_until(lambda: session.closed, "the closing")
        with pytest.raises(SessionClosedError):
            session.get(server.url)
        for _ in range(2):
            for conn in server.connections:
                conn.wait_until_stalled()
            assert not closing.done()
            for conn in server.connections:
                conn.proceed()
        assert [result.result(10) for result in results] == ["first last"] * len(acts)
        closing.result(10)
        events.close()


def stream_of_events(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n")
    conn.read_to_end()


def test_grace_runs_out(raw_server: StartRawServer) -> None:
    """What is still under way then gets SessionClosedError; an unread response is dropped."""
    server = raw_server(stalling)
    with Session() as session, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(session.get, server.url)
        server.wait_until_stalled()
        session.close(grace=0.1)
        with pytest.raises(SessionClosedError):
            waiting.result(10)
    server.wait_until_closed()


def test_any_number_may_close(raw_server: StartRawServer) -> None:
    """Each returns when all is closed, and so does one who comes later."""
    server = raw_server(stalling)
    with ThreadPoolExecutor(9) as pool:
        session = Session()
        waiting = pool.submit(session.get, server.url)
        server.wait_until_stalled()
        for closing in [pool.submit(session.close) for _ in range(8)]:
            closing.result(10)
            assert not session._portal.leased
        session.close()
        with pytest.raises(SessionClosedError):
            waiting.result(10)


# Closing from within.


def answering(conn: RawConnection) -> None:
    request = conn.read_request()
    while True:
        conn.respond(request.body, status=request.header("Want", "200 OK"))
        request = conn.read_request()


class ClosingNames:
    """A resolver that closes the session that asks it."""

    def __init__(self) -> None:
        self.session: Session | None = None

    def resolve(self, host: str, port: int, family: int) -> str:
        assert self.session is not None
        self.session.close()
        return "127.0.0.1"


Act = Callable[[Session, str], object]


def close_in_generator(session: Session, url: str) -> object:
    def body() -> Iterator[bytes]:
        yield b"some"
        session.close()
        yield b"more"

    return session.post(url, data=body())


def close_in_progress(session: Session, url: str) -> object:
    def hook(done: int, total: int | None) -> None:
        session.close()

    return session.post(url, data=bytes(3_000_000), upload_progress=hook)


def close_in_iterable(session: Session, url: str) -> object:
    def urls() -> Iterator[str]:
        yield url
        session.close()
        yield url

    return list(session.map(urls()))


def close_in_middleware(session: Session, url: str) -> object:
    def middleware(request: Any, handler: Any) -> Any:
        session.close()
        return handler(request)

    return session.get(url, middlewares=[middleware])


def close_in_done_callback(session: Session, url: str) -> object:
    future = session.submit("GET", url)
    closed = threading.Event()

    def close(_: object) -> None:
        session.close()
        closed.set()

    future.add_done_callback(close)
    future.result(10)
    assert closed.wait(10)
    return session.get(url)


@pytest.mark.parametrize(
    "act",
    [
        close_in_generator,
        close_in_iterable,
        close_in_middleware,
        close_in_progress,
        close_in_done_callback,
    ],
)
def test_close_inside_a_callback(raw_server: StartRawServer, act: Act) -> None:
    """The session closes, and the call that the callback was a part of is cut short by that."""
    server = raw_server(answering)
    session = Session()
    with pytest.raises(SessionClosedError):
        act(session, server.url)
    assert session.closed
    assert not session._portal.leased


def test_close_inside_a_function_that_judges_the_status(raw_server: StartRawServer) -> None:
    """By then the call is over: its response is there, with the body that came along."""
    server = raw_server(answering)

    def rule(response: syncclient.Response) -> None:
        session.close()

    with Session(raise_for_status=rule) as session:
        assert session.get(server.url).text() == ""
        assert session.closed


def test_close_inside_a_plain_trace_callback(raw_server: StartRawServer) -> None:
    """It runs in the caller's thread, like the others."""
    server = raw_server(answering)

    def close(session: Any, context: Any, params: Any) -> None:
        client.close()

    trace = syncclient.TraceConfig()
    trace.on_request_start.append(close)  # type: ignore[arg-type]  # aiohttp has async ones only
    client = Session(trace_configs=[trace])
    with pytest.raises(SessionClosedError):
        client.get(server.url)
    assert client.closed


def test_close_inside_an_async_callback(raw_server: StartRawServer) -> None:
    """On the loop thread it could only wait for itself: refused, and the session goes on."""
    server = raw_server(answering)

    async def close(session: Any, context: Any, params: Any) -> None:
        with pytest.raises(syncclient.BlockingCallError):
            client.close()

    trace = syncclient.TraceConfig()
    trace.on_request_start.append(close)
    with Session(trace_configs=[trace]) as client:
        assert client.get(server.url).ok
        assert not client.closed


def test_close_inside_a_resolver(raw_server: StartRawServer) -> None:
    """It runs on a worker thread; the request that waits for it is cut short."""
    server = raw_server(answering)
    names = ClosingNames()
    names.session = session = Session(connector=syncclient.TCPConnector(resolver=names))
    with pytest.raises(SessionClosedError):
        session.get(f"http://closing.test:{server.port}")
    assert session.closed
