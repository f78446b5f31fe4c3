"""The loop's wait for something that another thread brings."""

from __future__ import annotations

import asyncio

from ._loop_run import running_here


class Waiter:
    """One wait of a task on the loop, which any thread may end. Made on the loop thread.

    The one who waits publishes its waiter first, and looks whether there is something
    then; the one who brings something puts it there first, and looks for a waiter then.
    So neither misses the other, without a lock. A waiter serves once.
    """

    __slots__ = ("_future", "_run", "_woken")

    def __init__(self) -> None:
        self._run = running_here()
        self._future: asyncio.Future[None] | None = self._run.loop.create_future()
        self._woken = False

    async def wait(self) -> None:
        """Wait until it is woken. Loop thread only."""
        assert self._future is not None
        try:
            await self._future
        finally:
            self._future = None  # freed on this thread, and not by the last who might wake it

    def wake(self) -> None:
        """End the wait. Any thread, and finalisers: neither blocks nor locks."""
        if not self._woken:
            self._woken = True
            # If the loop has ended, then so has the wait.
            self._run.post(self.wake_here)

    def wake_here(self, _: object = None) -> None:
        """End the wait. Loop thread only."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
