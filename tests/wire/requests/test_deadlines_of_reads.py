"""A deadline ends reads of bytes that are here already, too: whoever is slow is late as well.

The engine looks at its clock only where it waits for the network. So a reader that takes a byte
now and then of what has long been here would read on for as long as it likes.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

import syncclient
from syncclient import (
    ClientTimeout,
    DeadlineError,
    Response,
    Session,
    StreamReader,
    TotalTimeoutError,
)
from syncclient._async.exchange.progress import on_time
from tests.bounds import UNASKED
from tests.servers import ws_script as ws
from tests.servers.raw import RawConnection, RawServer, StartRawServer

#: Seconds given, and taken by a slow reader between two reads. More is here than it reads in all.
GIVEN, SLOW = 0.2, 0.01
#: Seconds after which a reader that nothing has stopped would be through.
LONG = 30.0

LINES = b"".join(b"line %d\n" % number for number in range(5000))


def endless(conn: RawConnection) -> None:
    """A body that always has more."""
    conn.read_request()
    conn.send_head(headers=[("Transfer-Encoding", "chunked")])
    while True:
        conn.send_chunk(LINES)


def stalled(conn: RawConnection) -> None:
    """A body of which much is here, and the rest never comes."""
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + LINES)
    conn.read_to_end()


def slow_reads(read: Callable[[], object]) -> Iterator[None]:
    while True:
        read()
        yield


#: By the way of reading: an iterator, each step of which is one read.
WAYS: dict[str, Callable[[StreamReader], Iterator[object]]] = {
    "iter_chunked": lambda content: content.iter_chunked(1),
    "iter_any": lambda content: content.iter_any(),
    "iter_chunks": lambda content: content.iter_chunks(),
    "lines": iter,
    "next": lambda content: slow_reads(content.__next__),
    "read": lambda content: slow_reads(lambda: content.read(3)),
    "readinto": lambda content: slow_reads(lambda: content.readinto(bytearray(3))),
    "readline": lambda content: slow_reads(content.readline),
    "readline(size)": lambda content: slow_reads(lambda: content.readline(4)),
    "readuntil": lambda content: slow_reads(lambda: content.readuntil(b"n")),
    "readexactly": lambda content: slow_reads(lambda: content.readexactly(3)),
    "read1": lambda content: slow_reads(lambda: content.read1(3)),
    "read_nowait": lambda content: slow_reads(lambda: content.read_nowait(3)),
}


def slowly(steps: Iterator[object]) -> None:
    until = time.monotonic() + LONG
    for _ in steps:
        assert time.monotonic() < until
        time.sleep(SLOW)


@pytest.mark.parametrize("script", [endless, stalled])
@pytest.mark.parametrize("way", WAYS)
def test_the_total_timeout_ends_a_slow_reader(
    raw_server: StartRawServer, way: str, script: Callable[[RawConnection], None]
) -> None:
    """The total timeout ends any kind of read, and the next one; the connection is closed."""
    wire = raw_server(script)
    with Session() as session:
        began = time.monotonic()
        response = session.get(wire.url, timeout=GIVEN)
        with pytest.raises(TotalTimeoutError, match="while reading the body"):
            slowly(WAYS[way](response.content))
        assert time.monotonic() - began < GIVEN + UNASKED
        with pytest.raises(TotalTimeoutError):
            response.content.read(1)
        wire.connections[0].wait_until_ended()
        assert session.connector.snapshot().in_use == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_block_ends_a_slow_reader(raw_server: StartRawServer, way: str) -> None:
    """A timeout() block does so too; after it, the stream is where it was."""
    wire = raw_server(endless)
    with Session() as session, session.get(wire.url, timeout=None) as response:
        with syncclient.timeout(GIVEN) as block, pytest.raises(DeadlineError):
            slowly(WAYS[way](response.content))
        assert block.expired()
        assert response.content.read(1) in LINES


@pytest.mark.parametrize("number", [True, False], ids=["number", "ClientTimeout"])
def test_a_long_timeout_ends_on_time(raw_server: StartRawServer, number: bool) -> None:
    """aiohttp rounds the end of limits from five seconds on up to a whole second of its clock."""

    def silent(conn: RawConnection) -> None:
        conn.read_to_end()

    wire = raw_server(silent)
    total = 5 + math.ceil(time.monotonic()) - time.monotonic() + 0.2
    start = time.monotonic()
    with Session(timeout=total if number else ClientTimeout(total=total)) as session:
        assert session.timeout == ClientTimeout(total=total)
        with pytest.raises(TimeoutError):
            session.get(wire.url)
    assert total <= time.monotonic() - start < total + 0.5


@pytest.mark.parametrize("threshold", [0, 4.9, math.inf])
def test_limits_are_rounded_for_those_who_ask(threshold: float) -> None:
    """Another threshold than the default is the engine's business, as it is given."""
    timeout = ClientTimeout(total=7, connect=6, ceil_threshold=threshold)
    assert on_time(timeout) == timeout


def test_the_total_timeout_ends_a_read_of_all(raw_server: StartRawServer) -> None:
    """Of a body that never ends, though there is no moment at which a read would wait."""
    wire = raw_server(endless)
    with Session() as session:
        reads: list[Callable[[Response], object]] = [
            Response.read,
            Response.text,
            lambda response: response.content.read(),
        ]
        for read in reads:
            with pytest.raises(TotalTimeoutError):
                read(session.get(wire.url, timeout=GIVEN))


def test_a_body_that_was_received_in_time_can_be_read_later(session: Session) -> None:
    """The total timeout is for the transfer: what is whole is the reader's for good."""
    response = session.get("/bytes/1000", timeout=GIVEN)
    stream = session.get("/bytes/1000", timeout=GIVEN).content
    time.sleep(GIVEN)
    assert len(response.read()) == len(stream.read()) == 1000


def test_a_quick_reader_of_lines_is_not_slowed(raw_server: StartRawServer) -> None:
    """Lines come in their order, whatever number of them is given out at once."""
    wire = raw_server(lambda conn: answer(conn, LINES))
    with Session() as session, session.get(wire.url) as response:
        got = []
        for number, line in enumerate(response.content):
            got.append(line)
            if number % 500 == 0:
                got.append(response.content.readline())  # within the loop, of the same bytes
                time.sleep(0.002)
        assert b"".join(got) == LINES


def answer(conn: RawConnection, body: bytes) -> None:
    conn.read_request()
    conn.respond(body)


# WebSockets, events, map.


@pytest.fixture
def talker() -> Iterator[RawServer]:
    """A peer that says more than is received, and then nothing."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"{}") * 1000)
        ws.say_goodbye(conn)

    with RawServer(script) as server:
        yield server


@pytest.mark.parametrize("how", ["receive", "receive_str", "receive_json", "iteration"])
def test_a_block_ends_receives_of_what_is_here(talker: RawServer, how: str) -> None:
    """The socket is as good as before."""
    with Session() as session, session.ws_connect(talker.url) as socket:
        socket.receive()
        read = socket.__next__ if how == "iteration" else getattr(socket, how)
        with syncclient.timeout(GIVEN), pytest.raises(DeadlineError):
            slowly(slow_reads(read))
        assert socket.receive_str() == "{}"


def test_a_block_ends_the_iteration_over_events(raw_server: StartRawServer) -> None:
    """Events that are here are no exception."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        conn.send(b"data: x\n\n" * 1000)
        conn.read_to_end()

    with Session() as session, session.sse(raw_server(script).url) as events:
        next(events)
        with syncclient.timeout(GIVEN), pytest.raises(DeadlineError):
            slowly(events)
        assert next(events).data == "x"


def test_a_block_ends_the_iteration_over_many(session: Session) -> None:
    """Responses that are here are no exception."""
    with session.map(["/get"] * 100) as responses:
        next(responses)
        with syncclient.timeout(GIVEN), pytest.raises(DeadlineError):
            slowly(responses)


# session.aio.

AIO_WAYS: dict[str, Callable[[Any], Callable[[], Awaitable[object]]]] = {
    "read": lambda content: lambda: content.read(1),
    "readline": lambda content: content.readline,
    "readuntil": lambda content: lambda: content.readuntil(b"n"),
    "readexactly": lambda content: lambda: content.readexactly(3),
    "readany": lambda content: content.readany,
    "readchunk": lambda content: content.readchunk,
    "iter_chunked": lambda content: content.iter_chunked(1).__anext__,
    "lines": lambda content: aiter_of(content).__anext__,
}


def aiter_of(content: Any) -> AsyncIterator[bytes]:
    lines: AsyncIterator[bytes] = content.__aiter__()
    return lines


async def slowly_awaited(read: Callable[[], Awaitable[object]]) -> None:
    until = time.monotonic() + LONG
    while time.monotonic() < until:
        await read()
        await asyncio.sleep(SLOW)


@pytest.mark.parametrize("way", AIO_WAYS)
def test_deadlines_end_slow_readers_of_session_aio(raw_server: StartRawServer, way: str) -> None:
    """The total timeout and a block, both."""
    wire = raw_server(endless)

    async def main() -> None:
        async with Session().aio as session:
            response = await session.get(wire.url, timeout=GIVEN)
            with pytest.raises(TotalTimeoutError):
                await slowly_awaited(AIO_WAYS[way](response.content))
            response = await session.get(wire.url, timeout=ClientTimeout())
            with syncclient.timeout(GIVEN), pytest.raises(DeadlineError):
                await slowly_awaited(AIO_WAYS[way](response.content))
            response.close()

    asyncio.run(main())


def test_a_block_ends_receives_of_session_aio(talker: RawServer) -> None:
    """A block of timeout() ends receives of messages that have already arrived."""

    async def main() -> None:
        async with Session().aio as session, session.ws_connect(talker.url) as socket:
            await socket.receive()
            with syncclient.timeout(GIVEN), pytest.raises(DeadlineError):
                await slowly_awaited(socket.receive)
            assert json.loads((await socket.receive()).data) == {}

    asyncio.run(main())
