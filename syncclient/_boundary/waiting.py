"""Waits of callers, in slices, so that a thread notices exceptions that are raised into it.

Why slices: a signal that arrives after the wait has begun, and before the thread really
sleeps, would otherwise be noticed only when the wait is over; on Windows no signal ends a
wait. Threads other than the main one get no signals, but a debugger or a test runner may set
an exception on them (PyThreadState_SetAsyncExc), and that wakes no thread.

Why they grow: each slice costs a wake-up of some 20 us. A thousand threads that wait in
slices of 0.15 s would take 15 % of a core to do nothing (measured); with the bound below they
take 4 %, and up to three hundred threads still notice within one slice. A call waits here
only after a first slice of its own, within which most calls end.
"""

from __future__ import annotations

import contextlib
import threading
import time
from _thread import allocate_lock
from collections.abc import Callable

#: Seconds the main thread waits at a time.
MAIN_SLICE = 0.1
#: Seconds any other thread waits at a time, as long as few of them wait.
SLICE = 0.15
#: Wake-ups a second that all threads together may take; with more threads, slices grow.
_WAKE_UPS = 2000


class Event:
    """An event to wait for, which no interrupt can jam.

    An interrupt that hits ``threading.Event.wait`` in its first steps leaves the lock inside it
    acquired forever, and then ``set`` blocks: on the loop thread, that would be the end of all
    calls. Here nothing but a waiter waits for the lock.
    """

    __slots__ = ("_flag", "_turn")

    def __init__(self) -> None:
        self._flag = False
        #: Free once the event is set, but while a waiter passes it on to the next.
        self._turn = allocate_lock()
        self._turn.acquire()

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._flag

    def set(self) -> None:
        """Set it, and wake those who wait. Any thread; never blocks."""
        self._flag = True
        self._pass_on()

    def wait(self, seconds: float) -> bool:
        """Block until it is set, for ``seconds`` at most; return whether it is.

        To be called in slices: a waiter that is interrupted just as it wakes wakes no other.
        """
        if not self._flag and self._turn.acquire(timeout=seconds):
            self._pass_on()
        return self._flag

    def _pass_on(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is free already
            self._turn.release()


class Sleepers(set[int]):
    """The threads that are in ``in_slices``, by their idents."""

    def look(self) -> None:
        """Do what a thread does after each slice in which nothing came. Must not block."""


def in_slices(
    wait: Callable[[float], bool], sleepers: Sleepers, limit: float | None = None
) -> bool:
    """Call ``wait(seconds)`` until it returns True; return False after ``limit`` seconds.

    Args:
        wait: blocks for at most that many seconds; returns whether the wait is over.
        sleepers: the idents of the threads that wait in this function, which keeps the set.
            Set operations are atomic, and an entry that an interrupt leaves behind is harmless.
        limit: None sets no limit.
    """
    ident = threading.get_ident()
    main = ident == threading.main_thread().ident
    until = None if limit is None else time.monotonic() + limit
    try:
        sleepers.add(ident)
        while True:
            seconds = MAIN_SLICE if main else max(SLICE, len(sleepers) / _WAKE_UPS)
            if until is not None:
                left = until - time.monotonic()
                if left <= seconds:
                    return wait(max(0.0, left))
            if wait(seconds):
                return True
            sleepers.look()
    finally:
        sleepers.discard(ident)
