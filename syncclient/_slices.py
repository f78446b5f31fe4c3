"""The waits of callers: in slices, so that whatever is raised into a waiting thread is noticed.

Why slices at all: a signal that comes after the wait was begun, and before the thread
really sleeps, would else be noticed when the wait is over; on Windows no signal ends a
wait. Threads other than the main one get no signals, but exceptions that a debugger or a
test runner sets on them (PyThreadState_SetAsyncExc), and nothing wakes them for those.

Why not short ones for all: each slice is a wake-up, of some 20 us. A thousand threads
blocked for slices of 0.15 s would take 15 % of a core to do nothing (measured); bounded as
below they take 4 %, and up to three hundred of them still notice within one slice.
The wait of a call comes here only after a first slice: most end within that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Seconds the main thread waits at a stretch.
MAIN_SLICE = 0.1
#: Seconds any other does, as long as few of them wait.
SLICE = 0.15
#: Wake-ups a second that all threads together may take; with more threads, slices grow.
_WAKE_UPS = 2000


def in_slices(
    wait: Callable[[float], bool], sleepers: set[int], limit: float | None = None
) -> bool:
    """Call ``wait(seconds)`` until it returns True; return False after ``limit`` seconds.

    Args:
        wait: blocks for so many seconds at most, and tells whether what it waits for is here.
        sleepers: the threads that are in here, kept by this function. Set operations are
            atomic. It holds idents, so an entry that an interrupt leaves behind is harmless.
        limit: None waits for ever.
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
    finally:
        sleepers.discard(ident)
