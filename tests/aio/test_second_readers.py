"""Tasks that read or close beside a reader: it gets the body, or an error; never a quiet end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from syncclient import ClientConnectionError, Session, SessionClosedError
from tests.servers import ws_script as ws
from tests.servers.raw import RawConnection, StartRawServer

BODY = b"half and half\n"


def in_halves(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY))
    conn.send(BODY[:4])
    conn.stall()
    conn.send(BODY[4:])


async def started(awaitable: Any) -> asyncio.Task[Any]:
    """Return the task once it waits."""
    task: asyncio.Task[Any] = asyncio.ensure_future(awaitable)
    for _ in range(20):
        await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("second", ["read", "text", "content.read", "content.readany", "lines"])
def test_a_refused_reader_leaves_the_response_to_the_first(
    raw_server: StartRawServer, second: str
) -> None:
    """A second reader is refused, and the first reader gets the whole body."""
    wire = raw_server(in_halves)

    async def main() -> None:
        async with Session().aio as session, session.get(wire.url) as response:
            seconds: dict[str, Callable[[], Any]] = {
                "read": response.read,
                "text": response.text,
                "content.read": response.content.read,
                "content.readany": response.content.readany,
                "lines": response.content.__aiter__().__anext__,
            }
            conn = await asyncio.to_thread(wire.wait_until_stalled)
            first = await started(response.read())
            with pytest.raises(RuntimeError, match="one reader at a time"):
                await seconds[second]()
            conn.proceed()
            assert await first == BODY

    asyncio.run(main())


@pytest.mark.parametrize("end", ["close", "release"])
@pytest.mark.parametrize("way", ["response.read", "read", "readany", "readline", "readexactly"])
def test_a_close_beside_a_reader_is_an_error(
    raw_server: StartRawServer, way: str, end: str
) -> None:
    """A close() by another task or thread raises an error in the waiting reader."""
    ways: dict[str, Callable[[Any], Any]] = {
        "response.read": lambda r: r.read(),
        "read": lambda r: r.content.read(),
        "readany": lambda r: r.content.readany(),
        "readline": lambda r: r.content.readline(),
        "readexactly": lambda r: r.content.readexactly(len(BODY)),
    }

    async def main() -> None:
        for elsewhere in (False, True):
            wire = raw_server(in_halves)
            async with Session().aio as session:
                response = await session.get(wire.url)
                await asyncio.to_thread(wire.wait_until_stalled)
                if way == "readany":
                    await response.content.readany()
                reader = await started(ways[way](response))
                close = getattr(response, end)
                await asyncio.to_thread(close) if elsewhere else close()
                with pytest.raises(ClientConnectionError):
                    await asyncio.wait_for(reader, 10)

    asyncio.run(main())


def test_a_session_that_closes_under_a_receive_says_so(raw_server: StartRawServer) -> None:
    """A closing session raises SessionClosedError in receive(); a second receive() is refused."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.stall()
        conn.send(ws.frame(ws.TEXT, b"for the first"))
        conn.read_to_end()

    wire = raw_server(script)

    async def main() -> None:
        session = Session()
        socket = await session.aio.ws_connect(wire.url)
        first = await started(socket.receive())
        with pytest.raises(RuntimeError):
            await socket.receive()
        (await asyncio.to_thread(wire.wait_until_stalled)).proceed()
        assert (await first).data == "for the first"
        second = await started(socket.receive())
        await session.aio.close()
        with pytest.raises(SessionClosedError):
            await asyncio.wait_for(second, 10)

    asyncio.run(main())
