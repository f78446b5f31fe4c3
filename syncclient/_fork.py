"""What happens at a fork and at the interpreter's exit. Installed once, on import.

Neither hook blocks on a lock another thread may hold. The fork hook only forgets:
a child starts its own loop thread with its first request. The exit hook closes what
is still open. ``atexit`` runs its functions last in, first out, so functions that
were registered after ``import syncclient`` may still make requests; when they run,
all non-daemon threads have ended.
"""

from __future__ import annotations

import atexit
import functools
import os

from ._exceptions import SessionClosedError
from ._loop_thread import every_loop_thread
from ._portal import every_portal

#: Seconds that closing everything may hold up the interpreter's exit.
EXIT_LIMIT = 1.5


def _after_fork_in_child() -> None:
    for loop_thread in every_loop_thread():
        loop_thread.after_fork_in_child()
    for portal in every_portal():
        portal.after_fork_in_child()


def _at_exit() -> None:
    reason = functools.partial(SessionClosedError, "the interpreter is exiting")
    for loop_thread in every_loop_thread():
        loop_thread.shutdown(reason, EXIT_LIMIT)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
