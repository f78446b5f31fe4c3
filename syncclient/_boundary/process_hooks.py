"""The hooks for forks and for the interpreter's exit. Installed once, on import.

Neither hook blocks on a lock that another thread may hold. The fork hook closes the child's
copies of the parent's sockets and forgets the rest: a child starts its own loop thread with
its first request. The exit hook closes everything that is still open. ``atexit`` runs its
functions last in, first out, so functions registered after ``import syncclient`` can still make
requests; when they run, all non-daemon threads have ended.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import time

from .._exceptions import SessionClosedError
from .._sockets import let_go
from .loop_thread import every_loop_thread
from .portal import every_portal
from .unclosed import complain_at_exit

#: Seconds that closing may delay the interpreter's exit.
EXIT_LIMIT = 1.5


def _after_fork_in_child() -> None:
    let_go()
    for loop_thread in every_loop_thread():
        loop_thread.after_fork_in_child()
    for portal in every_portal():
        portal.after_fork_in_child()


def _at_exit() -> None:
    reason = functools.partial(SessionClosedError, "the interpreter is exiting")
    try:
        complain_at_exit()
    finally:
        # Ctrl-C, or a SIGTERM handler that calls sys.exit, asks for the exit that is under way
        # already. Python would print a traceback.
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            until = time.monotonic() + EXIT_LIMIT
            runs = [loop_thread.begin_shutdown(reason) for loop_thread in every_loop_thread()]
            for run in runs:
                if run is not None:
                    run.join(max(0.0, until - time.monotonic()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
