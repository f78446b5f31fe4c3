"""Bounds of waits, and what to measure where seconds on the clock tell of other programs.

A test waits for an event, for at most `BOUND`. How long something took says how busy the machine
is; how long it held the loop, in seconds that the loop's own thread computed, does not.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import syncclient

#: Seconds for what has to happen at once, on the busiest of machines.
BOUND = 10.0

#: The same where ten seconds are what would pass by default: a WebSocket's close(), a raw server.
UNASKED = 8.0

#: The seconds of computing, at most, for which anything may hold the loop.
TURN = 0.5


def wait_until(true: Callable[[], object], what: str) -> None:
    """Block until `true()`; AssertionError if that takes too long."""
    until = time.monotonic() + BOUND
    while not true():
        assert time.monotonic() < until, f"{what}: not within {BOUND} s"
        time.sleep(0.002)


class _Turns:
    """A task that comes back to the loop again and again, and notes what was computed between."""

    def __init__(self) -> None:
        self.count = 0
        self.longest = 0.0

    async def start(self, resident: object) -> None:
        self._task = asyncio.create_task(self._watch())

    async def stop(self, resident: object) -> None:
        before = self.count
        while self.count == before:  # what holds the loop now is measured, too
            await asyncio.sleep(0)
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _watch(self) -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.thread_time() - before)
            self.count += 1


@contextmanager
def others_have_their_turn() -> Iterator[None]:
    """Fail unless everything on the loop thread of all sessions let others in within `TURN`."""
    turns = _Turns()
    with syncclient.Session() as session:
        session._portal.call(turns.start)
        try:
            yield
        finally:
            session._portal.call(turns.stop)
    assert turns.count
    assert turns.longest < TURN, f"the loop was held for {turns.longest:.3f} s of computing"
