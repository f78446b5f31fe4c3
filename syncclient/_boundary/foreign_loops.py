"""The event loops of callers: which one a task runs in, and how to wake it from another thread.

===============  ======================  ===========================================
what             thread                  may block
===============  ======================  ===========================================
Sleeper.wait     the task's own          suspends the task, never the thread
Sleeper.wake     any                     never
Bell.post        any                     never
===============  ======================  ===========================================

If a loop is closed while one of its tasks waits, waking does nothing, and the result that the
task would have got is dropped, which gives it back.
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


#: Returns what the running context says about the kind of loop, or None; see ``correct_library``.
library_here: Callable[[], str | None]
try:
    import sniffio  # anyio has imported it, if it is installed
except ImportError:
    sniffio, library_here = None, type(None)  # type: ignore[assignment]
else:
    library_here = sniffio.current_async_library_cvar.get


class Sleeper(Protocol):
    """The waits of one task. A wake before the wait ends it at once."""

    async def wait(self) -> None:
        """Suspend the task until the next ``wake``; several wakes may count as one."""

    def wake(self) -> None:
        """End the wait. Any thread."""


def sleeper_here() -> Sleeper:
    """Return a sleeper for the running task, of asyncio or of trio.

    Raises RuntimeError if neither is running.
    """
    # trio first: as a guest of an asyncio loop it runs in that loop's callbacks.
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
            "session.aio must be awaited by a task of asyncio or trio, and neither is running here"
        ) from None
    return _AsyncioSleeper(loop)


def correct_library() -> None:
    """Correct what the running context says about the kind of loop. Loop thread only.

    The context is a copy of the caller's: if the caller is a trio task started by anyio,
    sniffio's variable in it says trio.
    """
    assert sniffio is not None
    sniffio.current_async_library_cvar.set("asyncio")


class _AsyncioSleeper:
    __slots__ = ("_bell", "_future", "_loop", "_woken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._bell = _bell_of(loop)
        # Weakly: a pending call holds this, the future holds the task, and a task whose loop is
        # gone has to be collected, since that withdraws its call.
        self._future: weakref.ref[asyncio.Future[None]] | None = None
        # Written on the loop's own thread only, like _future: a wake is delivered there.
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
    """Runs functions in one asyncio loop, which it wakes once for all that arrive together.

    asyncio itself sends a byte for each; a loop with a hundred requests under way would be
    woken a hundred times for answers that it takes all at once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Weakly: the thread keeps its bell, and must not keep a closed loop.
        self.loop = weakref.ref(loop)
        self._letters: deque[Callable[[], None]] = deque()
        self._rung = False

    def post(self, function: Callable[[], None]) -> None:
        """Run ``function`` in the loop soon, or never if the loop is closed."""
        # Appended before the look at _rung, which the loop resets before it looks at the
        # letters: so one of the two sees the other.
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


#: In each thread, the bell of the loop that ran there last.
_local = threading.local()
