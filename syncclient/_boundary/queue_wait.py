"""A caller's wait for a queue that the loop thread fills by itself.

It makes no call. The caller registers its wait with the queue, and with its lease, whose waits
the loop thread ends when the lease closes or the loop dies. Only then does it look whether it
has to wait at all. The loop thread works in the opposite order: it puts the message into the
queue, or notes the end, and only then looks for waits. So one of the two always sees the other,
without a lock.

====================  ============  =====================================================
what                  thread        may block, and what wakes it
====================  ============  =====================================================
wait_for              the caller's  until the queue is ready, the limit or a deadline is
                                    over, the lease or the loop ends, or an interrupt comes
QueueWait, Waits      loop thread   never
====================  ============  =====================================================
"""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from _thread import LockType, allocate_lock
from collections.abc import Callable
from typing import Any, Protocol

from .._deadline import nearest
from .loop_run import LoopRun
from .waiting import MAIN_SLICE, in_slices


class Queue(Protocol):
    """A queue that the loop thread fills, and one caller at a time empties."""

    #: References to the waits. The loop thread wakes them after each change.
    waiters: list[Callable[[], Any]]

    @property
    def ready(self) -> bool:
        """Whether the queue has something in it, or has ended."""

    def first_waiter(self) -> object:
        """Return the wait that counts; all others in ``waiters`` are about to leave."""

    def refuse_second(self) -> None:
        """Raise RuntimeError: another caller is already waiting."""


class Waits:
    """The waits of one lease."""

    def __init__(self) -> None:
        #: Callers' threads enter and leave; set operations are atomic.
        self.entered: set[weakref.ref[QueueWait]] = set()
        #: Set by every caller that leaves; None until ``ended`` is called.
        self.left: asyncio.Event | None = None

    def fail(self, reason: Callable[[], BaseException]) -> None:
        """End all waits, each with an error of its own. Loop thread only."""
        for entry in list(self.entered):
            if (wait := entry()) is not None:
                wait.fail(reason())

    async def ended(self) -> None:
        """Wait until all have ended by themselves. Loop thread only."""
        # Set before the look at the waits. Callers that leave look at it afterwards.
        self.left = left = asyncio.Event()
        while self.entered:
            await left.wait()
            left.clear()


class QueueWait:
    """One wait, as the loop thread sees it."""

    __slots__ = ("__weakref__", "_run", "error", "lock", "over")

    def __init__(self, run: LoopRun) -> None:
        self._run = run
        #: A binary semaphore, like that of a ``Call``.
        self.lock = allocate_lock()
        self.lock.acquire()
        #: The error that ended it, if any.
        self.error: BaseException | None = None
        #: Whether its caller has left.
        self.over = False

    def wake(self) -> None:
        """Wake the caller, which then looks at the queue again."""
        # Not at the interpreter's exit: see ``LoopRun.exiting``.
        if self.lock.locked() and not self._run.exiting:
            self.lock.release()

    def fail(self, error: BaseException) -> None:
        """End the wait with ``error``."""
        self.error = error
        self.wake()


def wait_for(
    queue: Queue,
    waits: Waits,
    refuse: Callable[[], None],
    run: LoopRun,
    limit: float | None,
    doing: str,
) -> bool:
    """Block until ``queue`` is ready; return False after ``limit`` seconds.

    A second waiter gets RuntimeError. An interrupt leaves the queue as it is.

    Args:
        waits: the waits of the lease, which ends them when it closes.
        refuse: raises an error if nothing can be waited for. Called once the wait is entered.
        limit: None sets no limit.
        doing: what the caller is doing, for the error of a deadline.
    """
    wait = QueueWait(run)
    lock, waiters, entered = wait.lock, queue.waiters, waits.entered
    until = math.inf if limit is None else time.monotonic() + limit
    # The entries remove themselves when the wait is dropped, so none stays behind, whichever
    # instruction an interrupt hits. ``over`` covers the moment in which the loop thread still
    # holds the wait.
    try:
        entered.add(weakref.ref(wait, entered.discard))
        waiters.append(weakref.ref(wait, waiters.remove))
        if queue.first_waiter() is not wait:
            queue.refuse_second()
        refuse()
        while not queue.ready:
            deadline = nearest()
            due = None if deadline is None else deadline.when()
            end = until if due is None else min(until, due)
            woken = _block(lock, run, max(0.0, end - time.monotonic()))
            if wait.error is not None:
                raise wait.error
            if woken:
                continue
            now = time.monotonic()
            if deadline is not None and (due := deadline.when()) is not None and now >= due:
                raise deadline.error(doing)
            if now >= until:
                return False
        return True
    finally:
        wait.over = True
        del wait  # since a traceback may hold this frame
        if waits.left is not None:
            run.post(waits.left.set)


def _block(lock: LockType, run: LoopRun, seconds: float) -> bool:
    """Acquire ``lock``; return False after ``seconds``."""
    # As with calls, most waits end within the first slice.
    if lock.acquire(timeout=min(seconds, MAIN_SLICE)):
        return True
    if seconds <= MAIN_SLICE:
        return False
    limit = None if seconds == math.inf else seconds - MAIN_SLICE
    # A forked child has no thread that could wake it.
    woken = in_slices(lambda s: lock.acquire(timeout=s) or not run.is_ours(), run.sleepers, limit)
    if not run.is_ours():
        raise run.death()
    return woken
