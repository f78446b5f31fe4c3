"""Bodies that a function writes: by our own decorator, and by the one of aiohttp."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import anyio
import pytest

import syncclient
from syncclient import ClientConnectionError, FormData, Session
from tests.servers.raw import RawConnection, StartRawServer


def echo(conn: RawConnection) -> None:
    """Answer each request with its own body, and its framing in a header."""
    while True:
        request = conn.read_request()
        conn.respond(request.body, headers=[("X-Coding", request.header("Transfer-Encoding"))])


received: list[bytes] = []


def take(conn: RawConnection) -> None:
    """Note all that comes, and answer nothing."""
    received.append(conn.read_to_end())


@pytest.fixture
def session() -> Iterator[Session]:
    with Session(timeout=20) as session:
        yield session


def theirs(function: Callable[..., Any]) -> Any:
    with pytest.warns(DeprecationWarning, match="streamer"):
        return aiohttp.streamer(function)


DECORATORS = [
    syncclient.streamer,
    pytest.param(
        theirs, marks=pytest.mark.skipif(not hasattr(aiohttp, "streamer"), reason="it is gone")
    ),
]

threads: list[threading.Thread] = []


def count(writer: Any, number: int = 3, *, size: int = 1) -> None:
    """A plain function."""
    threads.append(threading.current_thread())
    for each in range(number):
        writer.write(b"%d" % (each % 10) * size)


async def acount(writer: Any, number: int = 3, *, size: int = 1) -> None:
    """One for the loop."""
    threads.append(threading.current_thread())
    for each in range(number):
        await writer.write(b"%d" % (each % 10) * size)


def counted(number: int = 3, size: int = 1) -> bytes:
    return b"".join(b"%d" % (each % 10) * size for each in range(number))


@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("function", [count, acount])
def test_a_function_writes_a_body(
    raw_server: StartRawServer, session: Session, decorator: Any, function: Callable[..., Any]
) -> None:
    """With arguments, or given itself without any; in the thread that its kind belongs to."""
    send = decorator(function)
    url = raw_server(echo).url
    threads.clear()
    response = session.post(url, data=send())
    assert (response.read(), response.headers["X-Coding"]) == (b"012", "chunked")
    assert session.post(url, data=send).read() == b"012"
    assert session.post(url, data=send(5, size=2)).read() == counted(5, 2)
    assert session.post(url, data=send(40, size=100_000)).read() == counted(40, 100_000)
    assert session.post(url, data=send(0)).read() == b""
    here = set(threads) == {threading.current_thread()}
    assert here is (function is count)
    assert session.submit("POST", url, data=send(4)).result(10).read() == counted(4)


@pytest.mark.parametrize("decorator", DECORATORS)
@pytest.mark.parametrize("function", [count, acount])
def test_a_function_writes_a_part(
    raw_server: StartRawServer, session: Session, decorator: Any, function: Callable[..., Any]
) -> None:
    """In a form, among others."""
    form = FormData()
    form.add_field("f", decorator(function)(), filename="n.txt")
    form.add_field("g", "text")
    body = session.post(raw_server(echo).url, data=form).read()
    assert b'name="f"; filename="n.txt"\r\n\r\n012\r\n' in body
    assert body.count(b"Content-Disposition") == 2


@pytest.mark.parametrize("function", [count, acount])
def test_it_is_written_again_after_a_redirect(
    raw_server: StartRawServer, session: Session, function: Callable[..., Any]
) -> None:
    """By calling the function again, as aiohttp does."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(status="307 Temporary Redirect", headers=[("Location", "/there")])
        conn.respond(conn.read_request().body)

    send = syncclient.streamer(function)
    assert session.post(raw_server(script).url, data=send()).read() == b"012"


def test_it_goes_out_while_it_is_written(raw_server: StartRawServer, session: Session) -> None:
    """The server has the first chunk before the function has written the second."""
    arrived = threading.Event()

    def script(conn: RawConnection) -> None:
        conn.read_head()
        assert conn.read_until(b"first\r\n")
        arrived.set()
        conn.read_until(b"0\r\n\r\n")
        conn.respond(b"ok")

    @syncclient.streamer
    def send(writer: Any) -> None:
        writer.write(b"first")
        assert arrived.wait(10)
        writer.write(b"second")

    assert session.post(raw_server(script).url, data=send()).read() == b"ok"


@pytest.mark.parametrize("function", [count, acount])
def test_hooks_do_not_wait_for_the_function(
    raw_server: StartRawServer, session: Session, function: Callable[..., Any]
) -> None:
    """They run in the same thread, which is busy writing: there is no deadlock."""
    seen: list[int] = []
    send = syncclient.streamer(function)
    response = session.post(
        raw_server(echo).url,
        data=send(80, size=100_000),
        upload_progress=lambda sent, total: seen.append(sent),
    )
    assert response.read() == counted(80, 100_000)
    assert seen == sorted(seen)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_its_error_is_the_callers(
    raw_server: StartRawServer, session: Session, asynchronous: bool
) -> None:
    """What the function raises arrives as itself, and the request is not completed."""
    error = LookupError("mine")
    received.clear()

    @syncclient.streamer
    def fail(writer: Any) -> None:
        writer.write(b"x")
        raise error

    @syncclient.streamer
    async def afail(writer: Any) -> None:
        await writer.write(b"x")
        raise error

    wire = raw_server(take)
    with pytest.raises(LookupError) as caught:
        session.post(wire.url, data=(afail if asynchronous else fail)())
    assert caught.value is error
    wire.wait_until_closed()
    # It may have heard nothing at all: the error may come before the head is sent.
    assert not any(body.endswith(b"0\r\n\r\n") for body in received)


def test_an_early_refusal_ends_the_function(raw_server: StartRawServer, session: Session) -> None:
    """Its next write raises, and the response is returned."""
    raised: list[Exception] = []

    def refuse(conn: RawConnection) -> None:
        conn.read_head()
        conn.respond(b"no", status="413 Content Too Large")
        conn.read_to_end()

    @syncclient.streamer
    def send(writer: Any) -> None:
        try:
            while True:
                writer.write(bytes(100_000))
        except Exception as exc:
            raised.append(exc)
            raise

    assert session.post(raw_server(refuse).url, data=send()).status == 413
    assert isinstance(raised[0], ClientConnectionError)


def test_a_timeout_ends_the_function(raw_server: StartRawServer) -> None:
    """A server that reads nothing holds the caller no longer than the timeout."""

    def stall(conn: RawConnection) -> None:
        conn.read_head()
        conn.stall()

    @syncclient.streamer
    def send(writer: Any) -> None:
        while True:
            writer.write(bytes(100_000))

    with Session(timeout=0.5) as session, pytest.raises(TimeoutError):
        session.post(raw_server(stall).url, data=send())
    with Session() as session, pytest.raises(TimeoutError), syncclient.timeout(0.5):
        session.post(raw_server(stall).url, data=send())


def test_the_async_twin_takes_it(raw_server: StartRawServer, session: Session) -> None:
    """Both kinds of functions."""
    url = raw_server(echo).url

    async def post(function: Callable[..., Any]) -> bytes:
        async with session.aio.post(url, data=syncclient.streamer(function)(5)) as response:
            return await response.read()

    for backend in ("asyncio", "trio"):
        for function in (count, acount):
            assert anyio.run(post, function, backend=backend) == counted(5)


def test_a_hidden_coroutine_is_refused(raw_server: StartRawServer, session: Session) -> None:
    """A plain function that returns a coroutine would never write."""
    wire = raw_server(take)
    with pytest.raises(TypeError, match="async def"):
        session.post(wire.url, data=syncclient.streamer(lambda writer: acount(writer))())
