"""How a request ends while a blocking middleware has it, and what else sends requests."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from yarl import URL

import syncclient
from syncclient import HandlerType, MiddlewareRequest, Response, Retry, Session, TCPConnector
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer
from tests.servers.scripts import never_answer, take_all

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs
BIG = 3_000_000  # bytes: more than comes along with a head


class Noted:
    """A middleware that notes what came out of its handler."""

    def __init__(self) -> None:
        self.raised: list[BaseException] = []
        self.urls: list[str] = []
        self.threads: set[int] = set()

    def __call__(self, request: MiddlewareRequest, handler: HandlerType) -> Response:
        self.urls.append(str(request.url))
        self.threads.add(threading.get_ident())
        try:
            return handler(request)
        except BaseException as exc:
            self.raised.append(exc)
            raise


async def passes(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    return await handler(request)


@pytest.fixture(params=["alone", "outer", "inner"])
def chain(request: pytest.FixtureRequest) -> Callable[[Noted], list[Any]]:
    """Where the middleware is that notes: alone, before an async one, or inside another."""
    place = request.param

    def chain(noted: Noted) -> list[Any]:
        if place == "alone":
            return [noted]
        return [noted, passes, Noted()] if place == "outer" else [Noted(), passes, noted]

    return chain


# While it waits in its handler.


def test_the_total_timeout(raw_server: StartRawServer, chain: Callable[[Noted], list[Any]]) -> None:
    """handler() and the call raise the total timeout with its phase; the socket is closed."""
    wire, noted = raw_server(never_answer), Noted()
    with Session(middlewares=chain(noted)) as session:
        with pytest.raises(syncclient.TotalTimeoutError, match="waiting for the response"):
            session.get(wire.url, timeout=0.1)
        assert [type(error) for error in noted.raised] == [syncclient.TotalTimeoutError]
        wire.wait_until_closed()


def test_the_deadline_of_a_block_around_the_call(
    raw_server: StartRawServer, chain: Callable[[Noted], list[Any]]
) -> None:
    """The same, with DeadlineError."""
    wire, noted = raw_server(never_answer), Noted()
    with Session(middlewares=chain(noted)) as session:
        with pytest.raises(syncclient.DeadlineError), syncclient.timeout(0.1):
            session.get(wire.url)
        assert len(noted.raised) == 1
        wire.wait_until_closed()


def test_a_deadline_of_its_own_that_it_lets_pass(raw_server: StartRawServer) -> None:
    """What comes out of the handler then, and out of the middleware, comes out of the call."""

    def impatient(request: MiddlewareRequest, handler: HandlerType) -> Response:
        with syncclient.timeout(0.1):
            return handler(request)

    with Session(middlewares=[impatient]) as session:
        with pytest.raises(syncclient.DeadlineError, match="waiting for the response"):
            session.get(raw_server(never_answer).url)


def test_a_deadline_of_its_own(app: AppServer, raw_server: StartRawServer) -> None:
    """A block in the middleware cuts the handler short, and the middleware goes on from there."""
    wire = raw_server(never_answer)

    def impatient(request: MiddlewareRequest, handler: HandlerType) -> Response:
        try:
            with syncclient.timeout(0.1):
                return handler(request)
        except syncclient.DeadlineError:
            request.url = URL(app.url) / "anything"
            return handler(request)

    with Session(middlewares=[impatient]) as session:
        assert session.get(wire.url).json()["target"] == "/anything"
        wire.wait_until_closed()


def test_closing_the_session(
    raw_server: StartRawServer, chain: Callable[[Noted], list[Any]]
) -> None:
    """Another thread closes it: handler() and the call raise SessionClosedError."""
    wire, noted = raw_server(never_answer), Noted()
    session = Session(middlewares=chain(noted))

    def close() -> None:
        wire.wait_until_stalled()
        session.close()

    closer = threading.Thread(target=close)
    closer.start()
    with pytest.raises(syncclient.SessionClosedError):
        session.get(wire.url)
    closer.join(WITHIN)
    assert [type(error) for error in noted.raised] == [syncclient.SessionClosedError]
    wire.wait_until_closed()


def test_a_close_with_grace_lets_it_end(raw_server: StartRawServer) -> None:
    """During the grace of a close(), a middleware may still call its handler."""
    closing = threading.Event()

    def script(conn: RawConnection) -> None:
        # The closing may close the connection between the two requests, when it is idle, so
        # that the second comes on another. Only the first request has to be held.
        for number in range(2):
            conn.read_request()
            if number == 0 and conn is wire.connections[0]:
                conn.stall()
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # at once

    wire = raw_server(script)

    def twice(request: MiddlewareRequest, handler: HandlerType) -> Response:
        handler(request).read()
        return handler(request)

    session = Session(middlewares=[twice])

    def close() -> None:
        conn = wire.wait_until_stalled()
        closer = threading.Thread(target=session.close, kwargs={"grace": WITHIN})
        closer.start()
        while not session.closed:
            time.sleep(0.001)  # its own flag, which nothing waits for
        conn.proceed()
        closer.join(WITHIN)
        closing.set()

    thread = threading.Thread(target=close)
    thread.start()
    assert session.get(wire.url).text() == "ok"
    thread.join(WITHIN)
    assert closing.is_set()


def test_an_interrupt(raw_server: StartRawServer, chain: Callable[[Noted], list[Any]]) -> None:
    """Ctrl-C comes out of handler(), through the middleware, and the socket is closed."""
    wire, noted = raw_server(never_answer), Noted()
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        wire.wait_until_stalled()
        signal.pthread_kill(main, signal.SIGINT)

    with Session(middlewares=chain(noted), connector=TCPConnector(limit=1)) as session:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            session.get(wire.url)
        thread.join(WITHIN)
        wire.wait_until_closed()
    assert [type(error) for error in noted.raised] == [KeyboardInterrupt]


def test_cancelling_a_submitted_request(
    raw_server: StartRawServer, chain: Callable[[Noted], list[Any]]
) -> None:
    """The request is cancelled on the wire, and the middleware's thread ends."""
    wire, noted = raw_server(never_answer), Noted()
    with Session(middlewares=chain(noted)) as session:
        future = session.submit("GET", wire.url)
        wire.wait_until_stalled()
        assert future.cancel()
        wire.wait_until_closed()


def test_a_middleware_that_goes_on_after_the_end(
    app: AppServer, raw_server: StartRawServer
) -> None:
    """What it makes of a timeout of the request is not asked for: the timeout is the outcome."""
    wire = raw_server(never_answer)
    refused = []

    def stubborn(request: MiddlewareRequest, handler: HandlerType) -> Response:
        try:
            return handler(request)
        except syncclient.TotalTimeoutError:
            request.url = URL(app.url) / "json"
        try:
            return handler(request)
        except Exception as exc:
            refused.append(exc)
            raise

    with Session(middlewares=[stubborn]) as session:
        with pytest.raises(syncclient.TotalTimeoutError):
            session.get(wire.url, timeout=0.1)
    assert len(refused) == 1


# While it runs code of its own.


@pytest.mark.parametrize("end", ["total timeout", "deadline", "closing"])
def test_the_end_comes_while_it_is_busy(app: AppServer, end: str) -> None:
    """A busy middleware is not disturbed; handler() then raises, and the call says why."""
    errors: list[type[Exception]] = []
    session = Session(app.url, timeout=0.1 if end == "total timeout" else None)

    def busy(request: MiddlewareRequest, handler: HandlerType) -> Response:
        if end == "closing":
            closer = threading.Thread(target=session.close)
            closer.start()
            closer.join(WITHIN)
        else:
            time.sleep(0.3)  # what a program does that looks at no clock
        try:
            return handler(request)
        except Exception as exc:
            errors.append(type(exc))
            raise

    expected = {
        "total timeout": syncclient.TotalTimeoutError,
        "deadline": syncclient.DeadlineError,
        "closing": syncclient.SessionClosedError,
    }[end]
    with session, syncclient.timeout(0.1 if end == "deadline" else None):
        with pytest.raises(expected) as caught:
            session.get("/json", middlewares=[busy])
    assert len(errors) == 1
    if end != "closing":
        assert "running a middleware" in str(caught.value)
        assert "busy" in str(caught.value)


def test_an_interrupt_of_its_own_code(app: AppServer) -> None:
    """Ctrl-C there goes up like anywhere; the connection it had is free again."""

    def busy(request: MiddlewareRequest, handler: HandlerType) -> Response:
        handler(request)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")

    with Session(app.url, connector=TCPConnector(limit=1)) as session:
        with pytest.raises(KeyboardInterrupt):
            session.get(f"/bytes/{BIG}", middlewares=[busy])
        assert session.get("/json").json()


# Bodies.


def refusing_early(conn: RawConnection) -> None:
    """Refuse before the body is here, once; take the second request whole."""
    if conn.read_head().header("X-Again"):
        return
    conn.respond(b"no", status="401 Unauthorized", headers=[("Connection", "close")])


def test_a_file_is_sent_again_after_an_early_refusal(
    raw_server: StartRawServer, tmp_path: Path
) -> None:
    """The upload that the refusal cut short begins anew with the next call of the handler."""
    wire = raw_server(refusing_early, take_all)
    path = tmp_path / "file"
    path.write_bytes(b"x" * BIG)

    def again(request: MiddlewareRequest, handler: HandlerType) -> Response:
        response = handler(request)
        if response.status != 401:
            return response
        return handler(request)

    with Session() as session, path.open("rb") as file:
        assert session.post(wire.url, data=file, middlewares=[again]).text() == str(BIG)


def test_a_generator_is_pulled_by_the_caller_within_the_handler(session: Session) -> None:
    """The caller's thread exhausts a generator before handler() returns."""
    threads = set()
    ended = []

    def body() -> Iterator[bytes]:
        for _ in range(50):
            threads.add(threading.get_ident())
            yield b"x" * 10_000
        ended.append(True)

    def looks(request: MiddlewareRequest, handler: HandlerType) -> Response:
        response = handler(request)
        assert ended
        return response

    response = session.post("/anything", data=body(), middlewares=[looks, passes, looks])
    assert len(response.json()["text"]) == 500_000
    assert threads == {threading.get_ident()}


def test_a_generator_cannot_be_sent_twice(session: Session) -> None:
    """The second call of the handler says what to write; that is the outcome of the request."""

    def twice(request: MiddlewareRequest, handler: HandlerType) -> Response:
        handler(request)
        return handler(request)

    with pytest.raises(syncclient.ClientPayloadError, match="used up"):
        session.post("/anything", data=iter([b"a"]), middlewares=[twice])


# What else sends requests.


def test_each_hop_of_a_redirect(app: AppServer) -> None:
    """Every hop passes all middlewares, as with aiohttp."""
    noted = Noted()
    with Session(app.url, middlewares=[noted]) as session:
        response = session.get("/redirect/2")
    assert len(response.history) == 2
    assert len(noted.urls) == 3


def test_each_attempt_of_a_retry(raw_server: StartRawServer) -> None:
    """Every attempt passes all middlewares, and one that fails in them is not tried again."""

    def script(conn: RawConnection) -> None:
        for status in ("503 Busy", "503 Busy", "200 OK"):
            conn.read_request()
            conn.respond(b"ok", status=status)

    wire, noted = raw_server(script), Noted()
    with Session(middlewares=[noted], retry=Retry(backoff=0)) as session:
        assert session.get(wire.url).text() == "ok"
        assert len(noted.urls) == 3

        def fails(request: MiddlewareRequest, handler: HandlerType) -> Response:
            noted.urls.append("failed")
            raise OSError("mine")

        with pytest.raises(OSError, match=r"^mine$"):
            session.get(wire.url, middlewares=[fails])
    assert noted.urls.count("failed") == 1


def test_submit(app: AppServer) -> None:
    """It runs in the thread of the request, which is not the submitter's."""
    noted = Noted()
    with Session(app.url, middlewares=[noted, passes, noted]) as session:
        futures = [session.submit("GET", f"/bytes/{BIG}") for _ in range(5)]
        for future in futures:
            assert len(future.result(WITHIN).read()) == BIG
    assert len(noted.urls) == 10
    assert threading.get_ident() not in noted.threads


@pytest.mark.parametrize("ordered", [True, False])
def test_map(app: AppServer, ordered: bool) -> None:
    """It runs in the thread that iterates."""
    noted = Noted()
    with Session(app.url, middlewares=[noted, passes, noted]) as session:
        with session.map([f"/bytes/{n}" for n in range(20)], ordered=ordered) as responses:
            assert sum(len(response.read()) for response in responses) == sum(range(20))
    assert noted.threads == {threading.get_ident()}


def test_leaving_a_map_early(app: AppServer) -> None:
    """What is left is cancelled, wherever its middlewares are."""
    with Session(app.url, middlewares=[Noted()]) as session:
        with session.map("/json" for _ in range(1000)) as responses:
            assert next(responses).json()
        assert session.get("/json").json()


def test_a_websocket(app: AppServer) -> None:
    """Its handshake passes the session's middlewares."""
    noted = Noted()
    with Session(app.url, middlewares=[noted, passes, noted]) as session:
        with session.ws_connect("/echo") as socket:
            socket.send_str("hello")
            assert socket.receive_str() == "hello"
    assert len(noted.urls) == 2


def test_an_error_in_the_handshake_of_a_websocket(app: AppServer) -> None:
    """It reaches the caller as itself."""

    def fails(request: MiddlewareRequest, handler: HandlerType) -> Response:
        handler(request)
        raise AssertionError("mine")

    with Session(app.url, middlewares=[fails]) as session:
        with pytest.raises(AssertionError, match="mine"):
            session.ws_connect("/echo")


def test_server_sent_events(app: AppServer) -> None:
    """The request for a stream of events passes them, and the stream is whole."""
    noted = Noted()
    with Session(app.url, middlewares=[noted]) as session:
        with session.sse("/sse", reconnects=0) as events:
            assert next(events).data
    assert noted.urls


def test_download(app: AppServer, tmp_path: Path) -> None:
    """The request for a file passes them, and the file is whole."""
    noted = Noted()
    with Session(app.url, middlewares=[noted]) as session:
        path = session.download(f"/range/{BIG}", tmp_path / "file")
    assert path.stat().st_size == BIG
    assert noted.urls


@pytest.mark.anyio
async def test_async_callers(app: AppServer) -> None:
    """``session.aio`` has it run on a thread of the call's own; no loop is held up."""
    noted = Noted()
    with Session(app.url, middlewares=[noted, passes, noted]) as session:
        async with session.aio.get(f"/bytes/{BIG}") as response:
            assert len(await response.read()) == BIG
    assert len(noted.urls) == 2
    assert threading.get_ident() not in noted.threads


def test_a_derived_session(app: AppServer) -> None:
    """One that shares the connections has middlewares of its own."""
    noted, other = Noted(), Noted()
    with Session(app.url, middlewares=[noted]) as session:
        derived = session.with_options(middlewares=[other])
        assert derived.get("/json").json()
        assert derived.get("/json", middlewares=[noted]).json()
    assert (len(noted.urls), len(other.urls)) == (1, 1)


def test_a_session_that_two_threads_share(app: AppServer) -> None:
    """Each request's middleware runs in the thread of its own caller."""
    seen: list[tuple[str, str]] = []

    def looks(request: MiddlewareRequest, handler: HandlerType) -> Response:
        seen.append((request.url.name, threading.current_thread().name))
        return handler(request)

    with Session(app.url, middlewares=[looks]) as session:

        def call(name: str) -> None:
            for _ in range(50):
                session.get(f"/anything/{name}").read()

        threads = [threading.Thread(target=call, args=(n,), name=n) for n in ("a", "b", "c")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WITHIN)
    assert len(seen) == 150
    assert all(name == thread for name, thread in seen)


def hang_up(conn: RawConnection) -> None:
    conn.read_request()


def reset(conn: RawConnection) -> None:
    conn.read_request()
    conn.reset()


def no_http(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"SSH-2.0-OpenSSH\r\n\r\n")


def two_lengths(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")


def round_and_round(conn: RawConnection) -> None:
    while True:
        conn.read_request()
        conn.respond(status="302 Found", headers=[("Location", "/")])


def to_no_url(conn: RawConnection) -> None:
    conn.read_request()
    conn.respond(status="302 Found", headers=[("Location", "http://a..b/")])


def refuse(conn: RawConnection) -> None:
    conn.read_request()
    conn.respond(status="407 Who?")


@pytest.mark.parametrize(
    "script", [hang_up, reset, no_http, two_lengths, round_and_round, to_no_url, refuse]
)
def test_errors_read_as_without_a_middleware(
    raw_server: StartRawServer,
    chain: Callable[[Noted], list[Any]],
    script: Callable[[RawConnection], None],
) -> None:
    """They name the request once, and the step in which it failed."""
    wire = raw_server(script)
    proxy = wire.url if script is refuse else None
    url = "https://host.test/" if proxy else wire.url
    texts = []
    for middlewares in ([], chain(Noted())):
        with Session(middlewares=middlewares, timeout=WITHIN) as session:
            with pytest.raises(syncclient.ClientError) as caught:
                session.post(url, data=b"x", proxy=proxy)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert texts[0].count("POST ") == 1


def test_a_refused_connection_reads_as_without_a_middleware(
    chain: Callable[[Noted], list[Any]],
) -> None:
    """It is told in words, once."""
    texts = []
    for middlewares in ([], chain(Noted())):
        with Session(middlewares=middlewares) as session:
            with pytest.raises(syncclient.ClientConnectorError) as caught:
                session.get("http://127.0.0.1:1/")
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
