"""AioStreamReader: bodies read as they come, the same as aiohttp reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import anyio
import anyio.to_thread
import pytest
from aiohttp.http_exceptions import LineTooLong

import syncclient
from syncclient import Session
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer
from tests.servers.scripts import stall_in_body

WITHIN = 20.0


def in_chunks(conn: RawConnection) -> None:
    conn.read_request()
    conn.send_head(headers=[("Transfer-Encoding", "chunked")])
    conn.send_slowly([b"3\r\nabc\r\n", b"5\r\nde", b"fgh\r\n", b"0\r\n\r\n"])


async def _collected(iterator: Any) -> list[Any]:
    return [item async for item in iterator]


async def _until_end(read: Callable[[], Awaitable[bytes]]) -> list[bytes]:
    pieces = []
    while piece := await read():
        pieces.append(piece)
    return pieces


#: Ways of reading whose result does not depend on how the bytes come in.
WAYS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "read": lambda content: content.read(),
    "read(0)": lambda content: content.read(0),
    "lines": _collected,
    "readline": lambda content: _until_end(content.readline),
    "readuntil": lambda content: _until_end(lambda: content.readuntil(b"7")),
    "readexactly": lambda content: content.readexactly(1000),
}


@pytest.mark.parametrize("path", ["/stream/100", "/bytes/300000", "/empty"])
@pytest.mark.parametrize("way", WAYS)
def test_aiohttp_reads_the_same(session: Session, app: AppServer, path: str, way: str) -> None:
    """Each way of reading gives what aiohttp's StreamReader gives, or its error."""
    if (path, way) == ("/empty", "readuntil"):
        pytest.skip("aiohttp's reader of no body at all cannot do this: an AttributeError")

    async def read(client: Any) -> Any:
        async with client.get(app.url + path) as response:
            try:
                return await WAYS[way](response.content)
            except asyncio.IncompleteReadError as exc:
                return exc.partial, exc.expected

    async def both() -> tuple[Any, Any]:
        # Not aiodns, which is installed: its thread goes on for a while.
        connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        async with aiohttp.ClientSession(connector=connector) as client:
            return await read(session.aio), await read(client)

    ours, theirs = asyncio.run(both())
    assert ours == theirs


@pytest.mark.anyio
@pytest.mark.parametrize("n", [1, 7, 65536, 10**7])
async def test_chunks_make_up_the_body(session: Session, n: int) -> None:
    """iter_chunked(n) yields all of the body, in pieces of n bytes at most."""
    length = 2000 if n < 10 else 700_000
    async with session.aio.get(f"/bytes/{length}") as response:
        pieces = [piece async for piece in response.content.iter_chunked(n)]
    assert b"".join(pieces) == pattern(length)
    assert max(map(len, pieces)) <= n


@pytest.mark.anyio
async def test_bytes_that_are_here_cost_no_crossing(session: Session) -> None:
    """Lines are cut from what has come over: there are far fewer crossings than lines."""
    async with session.aio.get("/bytes/2000000") as response:
        content = response.content
        pieces = [await content.readexactly(100) for _ in range(20_000)]
    assert b"".join(pieces) == pattern(2_000_000)
    assert session._portal.crossings < 500


@pytest.mark.anyio
async def test_what_has_come_is_read_before_the_rest(
    session: Session, raw_server: StartRawServer
) -> None:
    """Reads return what is here, and wait only for what is not."""
    wire = raw_server(stall_in_body)
    async with session.aio.get(wire.url) as response:
        content = response.content
        assert await content.read(2) == b"ha"
        assert content.read_nowait() == b"lf"
        assert content.read_nowait() == b""
        assert not content.at_eof()
        wire.connections[0].proceed()
        with anyio.fail_after(WITHIN):
            assert await content.readexactly(4) == b"full"
        assert await content.read() == b""
        assert content.at_eof()
        assert content.is_eof()
        assert content.total_bytes == 8
        assert content.exception() is None


@pytest.mark.anyio
async def test_http_chunks_keep_their_ends(session: Session, raw_server: StartRawServer) -> None:
    """readchunk() and iter_chunks() tell where the server's chunks end."""
    wire = raw_server(in_chunks)
    async with session.aio.get(wire.url) as response:
        wire.connections[0].proceed(4)
        pairs = [pair async for pair in response.content.iter_chunks()]
    assert b"".join(data for data, _ in pairs) == b"abcdefgh"
    ends = [sum(len(data) for data, _ in pairs[: n + 1]) for n, pair in enumerate(pairs) if pair[1]]
    assert ends == [3, 8]


@pytest.mark.anyio
async def test_a_cancelled_read_loses_nothing(session: Session, raw_server: StartRawServer) -> None:
    """A read that is cancelled while it waits leaves the stream as it was, bytes held included."""
    wire = raw_server(stall_in_body)
    async with session.aio.get(wire.url) as response:
        for _ in range(3):
            with anyio.move_on_after(0.02) as scope:
                await response.content.readuntil(b"l full")
            assert scope.cancelled_caught
        wire.connections[0].proceed()
        with anyio.fail_after(WITHIN):
            assert await response.content.read() == b"halffull"


@pytest.mark.anyio
async def test_a_second_reader_is_refused(session: Session, raw_server: StartRawServer) -> None:
    """One task at a time may read; the first one's read goes on."""
    wire = raw_server(stall_in_body)
    got: list[bytes] = []
    async with session.aio.get(wire.url) as response, anyio.create_task_group() as tasks:
        assert await response.content.read(4) == b"half"

        async def read() -> None:
            got.append(await response.content.read(4))

        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        for refused in (response.content.read, response.content.readany, response.read):
            with pytest.raises(RuntimeError, match="another task: one reader at a time"):
                await refused()
        wire.connections[0].proceed()
    assert got == [b"full"]


@pytest.mark.anyio
async def test_a_line_that_is_too_long(session: Session) -> None:
    """LineTooLong says so, and the line is dropped."""
    async with session.aio.get("/bytes/100000") as response:
        with pytest.raises(LineTooLong):
            await response.content.readline(max_line_length=10)
    async with session.aio.get("/bytes/100000") as response:
        with pytest.raises(ValueError, match="Separator"):
            await response.content.readuntil(b"")


@pytest.mark.anyio
async def test_a_fault_comes_after_the_bytes_before_it(
    session: Session, raw_server: StartRawServer
) -> None:
    """Reads return the bytes that came before the error, and then always the error."""

    def break_off(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "8")])
        conn.send(b"half")

    async with session.aio.get(raw_server(break_off).url) as response:
        assert await response.content.readany() == b"half"
        for _ in range(2):
            with pytest.raises(syncclient.ClientError):
                await response.content.readany()
        assert isinstance(response.content.exception(), syncclient.ClientError)


@pytest.mark.anyio
async def test_events_of_a_body(session: Session) -> None:
    """events() parses the server-sent events of one response as they come."""
    async with session.aio.get("/sse", params={"n": "3"}) as response:
        events = [event async for event in response.events()]
    assert len(events) == 3


@pytest.mark.anyio
async def test_reading_moves_between_loops(session: Session) -> None:
    """A body begun in one loop can be read on in another, one after the other."""
    async with session.aio.get("/bytes/600000") as response:
        first = await response.content.readexactly(1000)

        def elsewhere() -> bytes:
            async def read() -> bytes:
                return await response.content.readexactly(300_000)

            return asyncio.run(read())

        second = await anyio.to_thread.run_sync(elsewhere)
        rest = await response.content.read()
    assert first + second + rest == pattern(600_000)
