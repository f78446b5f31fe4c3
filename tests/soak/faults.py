"""A server that fails as its path says, in a process of its own: `python -m tests.soak.faults`.

It prints its port, and ends when its standard input does. What a client must make of each
fault stands beside it, in `EXPECTED`.
"""

import asyncio
import gzip
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from aiohttp import (
    ClientOSError,
    ClientPayloadError,
    ClientResponseError,
    ServerDisconnectedError,
    ServerTimeoutError,
    WSCloseCode,
    WSMsgType,
)

from tests.servers.content import pattern
from tests.servers.process import ROOT
from tests.soak import hostile
from tests.soak.wire import Wire

#: Seconds after which the clients give up on what stalls.
STALL_TIMEOUT = 0.2

Fault = Callable[[Wire], Awaitable[bool]]


# The faults. Each returns whether the connection can be used again.


async def reset(wire: Wire) -> bool:
    wire.reset()
    return False


async def reset_in_body(wire: Wire) -> bool:
    await wire.head(100_000)
    await wire.send(pattern(1000))
    wire.reset()
    return False


async def close(wire: Wire) -> bool:
    return False


async def truncate(wire: Wire) -> bool:
    await wire.head(100_000)
    await wire.send(pattern(1000))
    return False


async def truncate_chunks(wire: Wire) -> bool:
    await wire.head()
    await wire.send(b"3e8\r\n" + pattern(1000) + b"\r\n3e8\r\nnot so many")
    return False


async def truncate_gzip(wire: Wire) -> bool:
    body = gzip.compress(pattern(5000))[:-20]
    await wire.head(len(body), "Content-Encoding: gzip")
    await wire.send(body)
    return True


async def garbage(wire: Wire) -> bool:
    await wire.send(b"\x00\xff\x16\x03 no HTTP at all \r\n\r\n")
    return False


async def garbage_in_chunks(wire: Wire) -> bool:
    await wire.head()
    await wire.send(b"5\r\nfirst\r\nzz\r\nnonsense\r\n")
    return False


async def garbage_gzip(wire: Wire) -> bool:
    await wire.head(16, "Content-Encoding: gzip")
    await wire.send(b"\xff" * 16)
    return True


async def stall(wire: Wire) -> bool:
    await wire.until_left()
    return False


async def stall_in_body(wire: Wire) -> bool:
    await wire.head(100_000)
    await wire.send(pattern(1000))
    await wire.until_left()
    return False


async def garbage_after(wire: Wire) -> bool:
    """A whole reply, and then bytes nobody asked for: they must not answer the next request."""
    await wire.head(4)
    await wire.send(b"fineHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nunduly")
    return True


async def dribble(wire: Wire) -> bool:
    """A whole reply, in pieces of which none is anything by itself."""
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"
    for at in range(0, len(reply), 7):
        await wire.send(reply[at : at + 7])
        await asyncio.sleep(0.001)
    return True


async def half_a_frame(wire: Wire) -> bool:
    """A WebSocket with a message, and the beginning of another; a reset when the client speaks."""
    await wire.upgrade()
    await wire.send(b"\x81\x04fine" + b"\x82\x7e\x10\x00" + pattern(1000))
    await wire.some()
    wire.reset()
    return False


_FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        reset,
        reset_in_body,
        close,
        truncate,
        truncate_chunks,
        truncate_gzip,
        garbage,
        garbage_in_chunks,
        garbage_gzip,
        stall,
        stall_in_body,
        garbage_after,
        dribble,
        half_a_frame,
        *hostile.FAULTS,
    )
}

#: Those that do not wait for the body of a POST.
_UNREAD = frozenset({reset, close, stall})

#: Fault -> the errors that a client may get for it, or the body that it must get.
EXPECTED: dict[str, tuple[type[Exception], ...] | bytes] = {
    "reset": (ServerDisconnectedError, ClientOSError),
    "reset_in_body": (ClientPayloadError, ClientOSError),
    "close": (ServerDisconnectedError, ClientOSError),
    "truncate": (ClientPayloadError,),
    "truncate_chunks": (ClientPayloadError,),
    "truncate_gzip": (ClientPayloadError,),
    "garbage": (ClientResponseError,),
    "garbage_in_chunks": (ClientPayloadError, ClientResponseError),
    "garbage_gzip": (ClientPayloadError,),
    "stall": (ServerTimeoutError,),
    "stall_in_body": (ServerTimeoutError,),
    "garbage_after": b"fine",
    "dribble": b"fine",
}

#: What `half_a_frame` ends with, after its message: the kind of the last one, and the code.
EXPECTED_OF_SOCKET = (WSMsgType.CLOSED, WSCloseCode.ABNORMAL_CLOSURE)


# The process.


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                wire = Wire(reader, writer, head)
                fault = _FAULTS[wire.target.split("/")[1]]
                if fault not in _UNREAD:
                    await wire.request_body()
                if not await fault(wire):
                    break
        finally:
            writer.close()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # the parent reads this
    await asyncio.to_thread(sys.stdin.buffer.read)  # until the parent is gone, however it went
    server.close()


@dataclass(frozen=True)
class FaultServer:
    """A running one."""

    url: str


@contextmanager
def fault_server() -> Iterator[FaultServer]:
    """Run the server, as long as the block lasts."""
    command = [sys.executable, "-m", "tests.soak.faults"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            yield FaultServer(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


if __name__ == "__main__":
    asyncio.run(_main())
