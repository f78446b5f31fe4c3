"""Servers that mean harm, and one whose replies may be stored: more of what faults.py serves.

Each returns whether the connection can be used again.
"""

from __future__ import annotations

import gzip

from tests.servers.content import pattern
from tests.soak.wire import Wire

#: Bytes that a client takes of a bomb.
MAX_BODY = 100_000

_BOMB = gzip.compress(bytes(20_000_000))


async def interim(wire: Wire) -> bool:
    """Interim responses without end."""
    while True:
        await wire.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)


async def long_head(wire: Wire) -> bool:
    """A head without end."""
    await wire.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await wire.send(b"X-Long: " + b"x" * 4000 + b"\r\n")


async def bomb(wire: Wire) -> bool:
    """Twenty megabytes in twenty kilobytes."""
    await wire.head(len(_BOMB), "Content-Encoding: gzip")
    await wire.send(_BOMB)
    return True


async def loop(wire: Wire) -> bool:
    """A redirect to itself."""
    await wire.send(b"HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n")
    return True


async def cookies(wire: Wire) -> bool:
    """More cookies than a jar keeps, other ones each time."""
    number = wire.target.rpartition("/")[2]
    lines = [f"Set-Cookie: c{number}-{each}={'x' * 100}" for each in range(50)]
    await wire.head(4, *lines)
    await wire.send(b"fine")
    return True


async def fresh(wire: Wire) -> bool:
    """What the number in the path says, fresh for some seconds, and validated then."""
    number = int(wire.target.rpartition("/")[2])
    kept = [f'ETag: "{number}"', "Cache-Control: max-age=2, stale-while-revalidate=2"]
    if wire.header("if-none-match") == f'"{number}"':
        lines = ["HTTP/1.1 304 Not Modified", *kept, "", ""]
        await wire.send("\r\n".join(lines).encode())
        return True
    body = pattern(500 * number, number)
    await wire.head(None if number % 2 else len(body), *kept)
    if number % 2:
        await wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    else:
        await wire.send(body)
    return True


FAULTS = (interim, long_head, bomb, loop, cookies, fresh)
