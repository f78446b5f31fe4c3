"""The limit for writing: how long a server may take nothing of a body that is being sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp.http_writer import StreamWriter

#: How often a limit is looked at while it runs, and the shortest time between two looks.
_LOOKS, _SHORTEST = 8, 0.01


class Stall:
    """Watches an upload, and calls ``stalled`` once if it makes no progress. Event loop only.

    Progress is what leaves the transport's buffer. A source that yields nothing is no stall:
    the buffer is empty then, and the server would take more. A timer for each write would not do,
    since a single write waits for some megabytes to leave, and on a slow network that is no stall.

    Args:
        writer: of the request, at the beginning of its body.
        limit: seconds without progress.
        stalled: called when they are over.
    """

    def __init__(self, writer: StreamWriter, limit: float, stalled: Callable[[], None]) -> None:
        self._writer = writer
        self._limit = limit
        self._stalled = stalled
        self._gone = self._count()
        self._since = time.monotonic()
        self._every = max(_SHORTEST, limit / _LOOKS)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._every, self._look)

    def end(self) -> None:
        """Stop watching."""
        self._timer.cancel()

    def _count(self) -> int | None:
        """Return how many bytes have left; None if there are none to leave."""
        transport = self._writer.transport
        waiting = 0 if transport is None else transport.get_write_buffer_size()
        return self._writer.output_size - waiting if waiting else None

    def _look(self) -> None:
        gone, now = self._count(), time.monotonic()
        if gone is None or gone != self._gone:
            self._gone, self._since = gone, now
        elif now - self._since >= self._limit:
            self._stalled()
            return
        self._timer = self._loop.call_later(self._every, self._look)
