"""The rest of a download over several connections, each with a range of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from .._models import Reply
from .exchange.body_buffer import ALL, BodyBuffer
from .exchange.exchange import Exchange

#: Bytes of one range, which is kept in memory until the ranges before it have arrived.
SEGMENT = 4 * 2**20

#: Fetches the bytes from the first position up to the second.
Fetch = Callable[[int, int], Coroutine[Any, Any, bytes]]


class ChangedError(Exception):
    """A range belongs to another version than those before it, or is not available."""


class Ahead:
    """Ranges that are fetched ahead, and returned in order. Event loop only.

    Args:
        fetch: returns the bytes of one range, all of them.
        start: the position where the first range begins.
        total: the position where the last range ends.
    """

    def __init__(self, fetch: Fetch, start: int, total: int) -> None:
        self._fetch = fetch
        self._next = start
        self._total = total
        self._tasks: deque[asyncio.Task[bytes]] = deque()

    def advance(self, connections: int) -> None:
        """Start ranges until ``connections`` are under way, or none is left."""
        while len(self._tasks) < connections and self._next < self._total:
            stop = min(self._next + SEGMENT, self._total)
            self._tasks.append(asyncio.ensure_future(self._fetch(self._next, stop)))
            self._next = stop

    async def next(self) -> bytes:
        """Wait for the bytes of the next range and return them; b"" after the last.

        If it is cancelled, the range is still there.
        """
        if not self._tasks:
            return b""
        await asyncio.wait((self._tasks[0],))
        return self._tasks.popleft().result()

    def close(self) -> None:
        """Cancel the ranges under way."""
        for task in self._tasks:
            task.cancel()
            # asyncio would log an error that is never retrieved.
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._tasks.clear()


async def read(reply: Reply, exchange: Exchange | None, limit: int) -> bytes:
    """Return a body, or a little more than ``limit`` bytes of a longer one."""
    if exchange is None:
        return reply.body or b""
    buffer = BodyBuffer()
    while not buffer.eof and len(buffer) <= limit:
        await exchange.fill(buffer)
    return buffer.cut(ALL)
