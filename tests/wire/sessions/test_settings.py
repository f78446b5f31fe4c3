"""Settings of sessions and requests: status checks, timeouts, traces, limits, decompression."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

import syncclient
from syncclient import (
    ClientResponseError,
    ClientTimeout,
    ReadTimeoutError,
    Response,
    Session,
    TotalTimeoutError,
    TraceConfig,
)
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

EMPTY = b"\r\nContent-Length: 0\r\n\r\n"
BIG = 1 << 25  # bytes: more than all socket buffers between client and server hold


def answering(head: bytes, body: bytes = b"") -> Callable[[RawConnection], None]:
    def script(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            conn.send(head + body)

    return script


# raise_for_status


def test_raise_for_status_true_raises_from_400_on(app: AppServer) -> None:
    """The session's setting holds for every request that says nothing else."""
    with Session(app.url, raise_for_status=True) as session:
        assert session.get("/status/399").status == 399
        for status in (400, 599):
            with pytest.raises(ClientResponseError) as caught:
                session.get(f"/status/{status}", params={"reason": "Made Up"})
            assert (caught.value.status, caught.value.message) == (status, "Made Up")
        assert session.get("/status/404", raise_for_status=False).status == 404
        assert session.raise_for_status is True


def test_raise_for_status_of_a_request_overrides_the_sessions(session: Session) -> None:
    """True of a request raises though the session does not; None asks the session."""
    assert session.get("/status/500", raise_for_status=None).status == 500
    with pytest.raises(ClientResponseError):
        session.get("/status/500", raise_for_status=True)


def test_raise_for_status_none_of_a_session_is_no(app: AppServer) -> None:
    """aiohttp takes it, too."""
    with Session(app.url, raise_for_status=None) as session:  # type: ignore[arg-type]  # as above
        assert session.get("/status/404").status == 404


@pytest.mark.parametrize("where", ["session", "request"])
def test_raise_for_status_may_be_a_function(app: AppServer, where: str) -> None:
    """It gets each response in the caller's thread, and may read it, and raise what it likes."""
    seen = []

    def check(response: Response) -> None:
        seen.append((threading.current_thread(), response.status, response.read()))
        if response.status == 418:
            raise LookupError("a teapot")

    options: Any = {"raise_for_status": check}
    with Session(app.url, **(options if where == "session" else {})) as session:
        call = options if where == "request" else {}
        assert session.get("/status/404", **call).status == 404
        with pytest.raises(LookupError, match="a teapot"):
            session.get("/status/418", **call)
    here = threading.current_thread()
    assert seen == [(here, 404, b""), (here, 418, b"")]


def test_a_check_that_raises_closes_the_response(app: AppServer, session: Session) -> None:
    """The connection of a response nobody will see is not held by the error's traceback."""

    def refuse(response: Response) -> None:
        raise LookupError

    path = f"/bytes/{BIG}"
    with pytest.raises(LookupError) as caught:
        session.get(path, raise_for_status=refuse)
    app.wait_until(lambda stats: path not in stats.in_flight)
    assert caught.value.__traceback__ is not None


def test_raising_for_status_outside_a_with_block_releases(raw_server: StartRawServer) -> None:
    """The error of a failed request holds no connection; inside a block, the body can be read."""

    def fail(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nwhy")
        conn.stall()
        conn.send(b"!" * 97)

    wire = raw_server(fail)
    with Session() as session:
        response = session.get(wire.url)
        with pytest.raises(ClientResponseError, match=r"^500 Oops "):
            response.raise_for_status()
        wire.wait_until_closed()
        assert response.closed
        with session.get(wire.url) as response:
            with pytest.raises(ClientResponseError):
                response.raise_for_status()
            wire.wait_until_connected(2).proceed()
            assert response.read() == b"why" + b"!" * 97


# timeout


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (0.2, TotalTimeoutError),
        (ClientTimeout(total=0.2), TotalTimeoutError),
        (ClientTimeout(sock_read=0.2), ReadTimeoutError),
    ],
    ids=["number", "total", "sock_read"],
)
def test_timeout_ends_the_wait_for_a_response(
    app: AppServer, session: Session, timeout: Any, error: type[syncclient.ServerTimeoutError]
) -> None:
    """A number is the total; the error is a TimeoutError and says what ran out."""
    started = time.monotonic()
    with pytest.raises(error, match=r"GET .*/delay/30 timed out .* waiting for the response"):
        session.get("/delay/30", timeout=timeout)
    assert 0.2 <= time.monotonic() - started < 20
    app.wait_until(lambda stats: "/delay/30" not in stats.in_flight)


def test_the_error_of_a_timeout_is_a_timeout_error_everywhere(session: Session) -> None:
    """Code that catches TimeoutError, asyncio's or aiohttp's classes catches ours."""
    for caught in (TimeoutError, asyncio.TimeoutError, aiohttp.ServerTimeoutError):
        with pytest.raises(caught):
            session.get("/delay/30", timeout=0.1)


def test_timeout_of_the_body_counts_from_the_start(session: Session) -> None:
    """The total covers the body too: it is not begun anew when read() is called."""
    response = session.get("/drip?numbytes=100&duration=30", timeout=0.4)
    started = time.monotonic()
    with pytest.raises(TotalTimeoutError, match="reading the body"):
        response.read()
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("timeout", [None, 0, ClientTimeout(), float("inf")])
def test_no_timeout_overrides_that_of_the_session(app: AppServer, timeout: Any) -> None:
    """None, 0, an empty ClientTimeout and infinity all set no limit."""
    with Session(app.url, timeout=0.1) as session:
        assert session.get("/delay/0.3", timeout=timeout).ok
        with pytest.raises(TotalTimeoutError):
            session.get("/delay/30")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (5, ClientTimeout(total=5)),
        (None, ClientTimeout(total=None)),
        (ClientTimeout(sock_read=1), ClientTimeout(sock_read=1)),
    ],
)
def test_timeout_of_the_session_can_be_looked_at(given: Any, meant: ClientTimeout) -> None:
    """session.timeout says what holds for its requests, as a ClientTimeout."""
    with Session(timeout=given) as session:
        assert session.timeout == meant


def test_the_default_timeout_is_aiohttps() -> None:
    """Five minutes for everything, thirty seconds of them to connect."""
    with Session() as session:
        assert session.timeout == aiohttp.client.DEFAULT_TIMEOUT


# trace_configs


def test_trace_callbacks_see_the_request_and_its_context(app: AppServer) -> None:
    """Async callbacks run on the loop, in a copy of the caller's context, in aiohttp's order."""
    caller = ContextVar("caller", default="nobody")
    events: list[tuple[Any, ...]] = []

    async def started(session: object, ctx: SimpleNamespace, params: Any) -> None:
        events.append(("start", ctx.trace_request_ctx, caller.get(), params.url.path))

    async def redirected(session: object, ctx: SimpleNamespace, params: Any) -> None:
        events.append(("redirect", params.response.status))

    async def ended(session: object, ctx: SimpleNamespace, params: Any) -> None:
        events.append(("end", params.response.status, threading.current_thread().name))

    trace = TraceConfig()
    trace.on_request_start.append(started)
    trace.on_request_redirect.append(redirected)
    trace.on_request_end.append(ended)
    token = caller.set("me")
    try:
        with Session(app.url, trace_configs=[trace]) as session:
            session.get("/redirect/1", trace_request_ctx={"id": 7}).read()
            assert session.trace_configs == [trace]
    finally:
        caller.reset(token)
    assert events == [
        ("start", {"id": 7}, "me", "/redirect/1"),
        ("redirect", 302),
        ("end", 200, "syncclient-loop"),
    ]


def test_an_error_of_a_trace_callback_reaches_the_caller(app: AppServer) -> None:
    """It comes as itself; the session works on."""
    broken = [True]

    async def fail(session: object, ctx: SimpleNamespace, params: Any) -> None:
        if broken:
            raise LookupError("in a callback")

    trace = TraceConfig()
    trace.on_request_start.append(fail)
    with Session(app.url, trace_configs=[trace]) as session:
        with pytest.raises(LookupError, match="in a callback"):
            session.get("/get")
        broken.clear()
        assert session.get("/get").ok


def test_failures_are_traced(app: AppServer) -> None:
    """on_request_exception sees the engine's error of a failed request."""
    seen = []

    async def failed(session: object, ctx: SimpleNamespace, params: Any) -> None:
        seen.append(type(params.exception))

    trace = TraceConfig()
    trace.on_request_exception.append(failed)
    with Session(app.url, trace_configs=[trace]) as traced:
        with pytest.raises(TotalTimeoutError):
            traced.get("/delay/30", timeout=0.1)
    assert len(seen) == 1


# Limits and decompression.


@pytest.mark.parametrize(
    ("head", "limit"),
    [
        (b"HTTP/1.1 200 " + b"O" * 110_000 + EMPTY, "max_line_size"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 110_000 + EMPTY, "max_field_size"),
        (b"HTTP/1.1 200 OK" + b"\r\nX: 1" * 6000 + EMPTY, "max_headers"),
    ],
    ids=["line", "field", "headers"],
)
@pytest.mark.parametrize("where", ["session", "request"])
def test_limits_of_the_head_can_be_raised(
    raw_server: StartRawServer, head: bytes, limit: str, where: str
) -> None:
    """Beyond the default a head is refused with the keyword's name, and taken where that allows."""
    wire = raw_server(answering(head))
    raised: Any = {limit: 120_000}
    with Session(**(raised if where == "session" else {})) as session:
        assert session.get(wire.url, **(raised if where == "request" else {})).read() == b""
    with Session() as session:
        with pytest.raises(ClientResponseError, match=f"more than {limit}=.*while waiting for"):
            session.get(wire.url)


def test_read_bufsize_makes_the_server_wait(app: AppServer, session: Session) -> None:
    """A body that fits no buffer stays with the server until it is read."""
    held, taken = f"/bytes/{BIG}", f"/bytes/{BIG + 1}"
    with session.get(held) as response, session.get(taken, read_bufsize=BIG) as other:
        stats = app.wait_until(lambda stats: taken not in stats.in_flight)
        assert held in stats.in_flight
        assert other.read() == pattern(BIG + 1)
        assert response.read() == pattern(BIG)


@pytest.mark.parametrize("where", ["session", "request"])
def test_auto_decompress_false_gives_the_bytes_of_the_wire(app: AppServer, where: str) -> None:
    """The body stays compressed, and the headers say with what."""
    off: Any = {"auto_decompress": False}
    with Session(app.url, **(off if where == "session" else {})) as session:
        response = session.get("/gzip", **(off if where == "request" else {}))
        assert response.read()[:2] == b"\x1f\x8b"
        assert response.headers["Content-Encoding"] == "gzip"
        assert session.auto_decompress is (where == "request")


def test_auto_decompress_of_a_request_overrides_the_sessions(app: AppServer) -> None:
    """True of a request decompresses though the session does not."""
    with Session(app.url, auto_decompress=False) as session:
        assert session.get("/gzip", auto_decompress=True).json() == {"coding": "gzip"}


def test_read_until_eof_false_takes_no_body_without_a_length(raw_server: StartRawServer) -> None:
    """Without a length, the body is over at once, and the server need not close."""
    wire = raw_server(answering(b"HTTP/1.1 200 OK\r\n\r\n"))
    with Session() as session:
        assert session.get(wire.url, read_until_eof=False).read() == b""
