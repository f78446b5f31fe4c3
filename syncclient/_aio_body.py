"""A body that the task awaiting the request reads, in its own event loop."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

from ._async.source import checked_chunk
from ._caller_task import CallerTask
from ._pull import PATIENCE, ReadAhead


class TaskSource(ReadAhead):
    """What an asynchronous iterable of the caller's yields.

    It may be bound to the loop that it was made in, so it is never touched in ours. All of
    it, the closing of a generator too, runs in one task, which lives as long as the call.
    """

    def __init__(self, task: CallerTask, data: AsyncIterable[object]) -> None:
        super().__init__(replayable=False)
        self._task = task
        self._data = data
        self._iterator: AsyncIterator[object] | None = None

    # -- the caller's loop -----------------------------------------------------------

    async def _fill(self) -> bool:
        if self._iterator is None:
            self._iterator = self._data.__aiter__()
        give_up = time.monotonic() + PATIENCE
        while not self._stopped and self._put(await self._read(self._iterator)):
            if time.monotonic() > give_up:
                return False
        return True

    async def _read(self, iterator: AsyncIterator[object]) -> bytes | None:
        try:
            chunk = await iterator.__anext__()
        except StopAsyncIteration:
            return None
        return checked_chunk(chunk, "the iterator")

    async def aclose(self) -> None:
        """Read no more: the call is over."""
        self._stopped = True
        iterator, self._iterator = self._iterator, None
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()

    # -- the loop thread -------------------------------------------------------------

    async def _reading(self) -> bool:
        return await self._task.ask(self._fill)
