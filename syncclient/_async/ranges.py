"""The rest of a download by several connections at a time, each with a range of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

#: Bytes of one range, all of which are kept until those before it have come.
SEGMENT = 4 * 2**20

#: Fetches the bytes from the first position up to the second.
Fetch = Callable[[int, int], Coroutine[Any, Any, bytes]]


class Ahead:
    """Ranges under way, given out in their order. Event loop only.

    Args:
        fetch: gets the bytes of one range, and sees to it that they are all there.
        start: where the first of them begins.
        total: where the last of them ends.
    """

    def __init__(self, fetch: Fetch, start: int, total: int) -> None:
        self._fetch = fetch
        self._next = start
        self._total = total
        self._tasks: deque[asyncio.Task[bytes]] = deque()

    def advance(self, connections: int) -> None:
        """Have so many ranges under way, as far as there are any left."""
        while len(self._tasks) < connections and self._next < self._total:
            stop = min(self._next + SEGMENT, self._total)
            self._tasks.append(asyncio.ensure_future(self._fetch(self._next, stop)))
            self._next = stop

    async def next(self) -> bytes:
        """Wait for the bytes of the next range and return them; b"" when there are no more.

        Cancelled, it has taken none.
        """
        if not self._tasks:
            return b""
        await asyncio.wait((self._tasks[0],))
        return self._tasks.popleft().result()

    def close(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
            # asyncio would log an error that nobody asks for.
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._tasks.clear()
