"""A server that fails as its path says, in a process of its own: `python -m tests.soak.faults`.

It prints its port, and ends when its standard input does. What a client must make of each
fault stands beside it, in `EXPECTED`.
"""

import asyncio
import gzip
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from aiohttp import (
    ClientConnectionError,
    ClientOSError,
    ClientPayloadError,
    ClientResponseError,
    ServerDisconnectedError,
    ServerTimeoutError,
)

from tests.servers.content import pattern
from tests.servers.process import ROOT

#: Seconds after which the clients give up on what stalls.
STALL_TIMEOUT = 0.2

Fault = Callable[["Wire"], Awaitable[bool]]


class Wire:
    """One connection: what the faults are made of."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, length: int | None = None, *headers: str) -> None:
        coding = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = ["HTTP/1.1 200 OK", coding, *headers, "", ""]
        await self.send("\r\n".join(lines).encode())

    def reset(self) -> None:
        """End the connection with an RST."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def until_left(self) -> None:
        """Wait for the client to go, whatever it sends before."""
        while await self._reader.read(65536):
            pass


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
    )
}

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

#: What a kept-alive connection that a fault has spoilt may do to the request after it.
SPOILT = (ClientConnectionError,)


# The process.


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                name = head.split(b" ", 2)[1].decode().strip("/")
                if not await _FAULTS[name](Wire(reader, writer)):
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
