"""The event loops of others: which one a task runs in, and how ours wakes it there.

===============  ======================  ===========================================
what             thread                  may block
===============  ======================  ===========================================
Sleeper.wait     the task's own          suspends the task, never the thread
Sleeper.wake     any                     never
Bell.post        any                     never
===============  ======================  ===========================================

A loop that is closed while one of its tasks waits takes no more: waking does nothing then,
and what the task would have got is dropped, which gives it back.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import trio


class Sleeper(Protocol):
    """One task's place to wait. A wake that comes before the wait ends it at once."""

    async def wait(self) -> None:
        """Suspend the task until the next ``wake``; several wakes may count as one."""

    def wake(self) -> None:
        """End the wait. Any thread."""


def sleeper_here() -> Sleeper:
    """Return a place to wait for the running task, of asyncio or of trio.

    Raises RuntimeError where neither runs.
    """
    # trio first: as a guest of asyncio's loop it runs in the callbacks of that.
    if "trio" in sys.modules:
        import trio

        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            pass
        else:
            return _TrioSleeper()
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "session.aio is awaited by tasks of asyncio or trio, and here neither is running"
        ) from None
    return _AsyncioSleeper(loop)


def correct_library() -> None:
    """Have anyio know, by the running context, whose loop this is. Loop thread only.

    The context is a copy of the caller's: where that is a task of trio that anyio started,
    sniffio's note in it says trio.
    """
    sniffio = sys.modules.get("sniffio")
    if sniffio is not None:
        library = sniffio.current_async_library_cvar
        if library.get() not in (None, "asyncio"):
            library.set("asyncio")


class _AsyncioSleeper:
    __slots__ = ("_bell", "_future", "_loop", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._bell = _bell_of(loop)
        # Weakly: a pending call has this, the future has the task, and a task whose loop is
        # gone must be collected, for that is what withdraws its call.
        self._future: weakref.ref[asyncio.Future[None]] | None = None
        # Written in the loop's own thread only, like _future: a wake is delivered there.
        self._woken = False

    async def wait(self) -> None:
        if not self._woken:
            future = self._loop.create_future()
            self._future = weakref.ref(future)
            try:
                await future
            finally:
                self._future = None
        self._woken = False

    def wake(self) -> None:
        self._bell.post(self._deliver)

    def _deliver(self) -> None:
        self._woken = True
        future = None if self._future is None else self._future()
        if future is not None and not future.done():
            future.set_result(None)


class _TrioSleeper:
    __slots__ = ("_event", "_token", "_woken")

    def __init__(self) -> None:
        import trio

        self._token = trio.lowlevel.current_trio_token()
        self._event: trio.Event | None = None
        self._woken = False

    async def wait(self) -> None:
        import trio

        if self._woken:
            await trio.lowlevel.checkpoint()
        else:
            self._event = trio.Event()
            try:
                await self._event.wait()
            finally:
                self._event = None
        self._woken = False

    def wake(self) -> None:
        try:
            self._token.run_sync_soon(self._deliver)
        except RuntimeError:  # trio's run is over
            pass

    def _deliver(self) -> None:
        self._woken = True
        if self._event is not None:
            self._event.set()


class Bell:
    """Runs functions in one asyncio loop. What comes together wakes that loop once.

    asyncio itself sends a byte for every one; a loop with a hundred requests under way
    would be rung a hundred times for answers that it takes all at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Weakly: the thread keeps its bell, and must not keep a loop that is over.
        self.loop = weakref.ref(loop)
        self._letters: deque[Callable[[], None]] = deque()
        self._rung = False

    def post(self, function: Callable[[], None]) -> None:
        """Have ``function`` run in the loop; never, where that is closed."""
        # Appended before the look at _rung, which the loop takes back before it looks at
        # the letters: so one of the two sees the other.
        self._letters.append(function)
        if self._rung:
            return
        self._rung = True
        loop = self.loop()
        try:
            if loop is not None:
                loop.call_soon_threadsafe(self._deliver)
                return
        except RuntimeError:  # it is closed
            pass
        self._letters.clear()
        self._rung = False

    def _deliver(self) -> None:
        self._rung = False
        while self._letters:
            self._letters.popleft()()


def _bell_of(loop: asyncio.AbstractEventLoop) -> Bell:
    """Return the bell of the loop that runs in this thread."""
    bell: Bell | None = getattr(_local, "bell", None)
    if bell is None or bell.loop() is not loop:
        bell = _local.bell = Bell(loop)
    return bell


#: For each thread, the bell of the loop that ran there last.
_local = threading.local()
