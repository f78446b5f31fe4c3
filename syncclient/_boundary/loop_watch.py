"""Warn once per function when a user's async code blocks the event loop for more than a second.

This needs no thread and adds nothing to a request. Callers that wait for more than a tenth of a
second wake up regularly anyway (``waiting.py``), and after each slice they call ``LoopWatch.look``.
One of them posts a question to the loop. If the answer is more than a second late, the stack of
the loop thread shows which function is running.

Three things must not be mistaken for blocking code:

- The whole process stops: the machine is suspended, a debugger stops all threads, or other code
  holds the GIL. Then no caller looks either, and the second starts again.
- A debugger stops only the loop thread.
- The machine is busy, and the loop thread gets too little time. So the loop must be seen in the
  same call for half of that second.
"""

from __future__ import annotations

import gc
import logging
import operator
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from types import CodeType, FrameType
from typing import Any, Protocol, TypeVar

from .waiting import Sleepers

T = TypeVar("T")

_LOGGER = logging.getLogger("syncclient")

#: Seconds for which a function may block the loop.
LIMIT = 1.0
#: For how many of these seconds the loop must be seen in the same call.
_SEEN_FOR = 0.5
#: Seconds between two questions; seconds between two looks after which the second starts again.
_PAUSE, _GAP = 0.25, 0.5
#: Seconds without an answer after which the question counts as lost and is asked again.
_LOST = 30.0

#: The packages that run the loop. A function that they call is the one that blocks it.
_ENGINE = frozenset(
    {"syncclient", "aiohttp", "aiohappyeyeballs", "aiosignal", "anyio", "asyncio", "uvloop"}
)
#: What each thread is running; some interpreters cannot say.
_frames: Callable[[], dict[int, FrameType]] = getattr(sys, "_current_frames", dict)
#: Calls its argument, without bytecode.
_call = operator.methodcaller("__call__")
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_DEBUGGERS = frozenset({"bdb", "pdb"})


class Watched(Protocol):
    """A life of the loop thread."""

    ident: int

    def post(self, function: Callable[..., object], *args: Any) -> bool:
        """Schedule ``function`` on the loop and return at once."""


class LoopWatch(Sleepers):
    """The threads that wait for one loop. Each checks after a slice whether the loop is blocked."""

    def __init__(self, run: Watched) -> None:
        super().__init__()
        self._run = run
        #: When the loop was asked; None once it has answered. Waiting threads and the loop thread
        #: write it without a lock: the last write counts, and at worst a warning is delayed.
        self._asked: float | None = None
        #: When the loop last answered, and when a thread last looked.
        self._answered = self._looked = 0.0
        #: The call in which the loop was seen after half a second without an answer.
        self._call: tuple[int, CodeType] | None = None
        #: The functions that have been warned about. Adding is atomic.
        self._told: set[CodeType] = set()

    def look(self) -> None:
        """Ask the loop for an answer, or warn if none has come. Called by a waiting thread."""
        now = time.monotonic()
        unseen, self._looked = now - self._looked, now
        asked = self._asked
        if asked is None:
            if now - self._answered >= _PAUSE and self._run.post(self._answer):
                self._asked = now
        elif unseen > _GAP:
            self._asked, self._call = now, None
        elif now - asked > LIMIT - _SEEN_FOR:
            self._look_at_stack(now, now - asked)

    def _look_at_stack(self, now: float, late: float) -> None:
        frame = users_frame(self._run.ident)
        call = None if frame is None else (id(frame), frame.f_code)
        if self._call is None or call != self._call:
            self._call = call
            self._asked = None if late > _LOST else now - (LIMIT - _SEEN_FOR)
        elif late > LIMIT and frame is not None and frame.f_code not in self._told:
            self._told.add(frame.f_code)
            _LOGGER.warning(
                "%s has blocked the event loop for more than a second, in %s, line %d. All "
                "requests wait for it. Async code must not block: await instead, or run blocking "
                "code in a thread with anyio.to_thread.run_sync() or asyncio.to_thread()",
                getattr(frame.f_code, "co_qualname", frame.f_code.co_name),
                frame.f_code.co_filename,
                frame.f_lineno,
            )

    def _answer(self) -> None:
        """Record that the loop is not blocked. Loop thread only."""
        self._asked = self._call = None
        self._answered = time.monotonic()


def users_frame(ident: int) -> FrameType | None:
    """Return the frame of the user's function that the engine has called in thread ``ident``.

    None if no such function is running, or if a debugger is involved.
    """
    if _is_debugged():
        return None
    found = None
    frame = _undisturbed(_frames).get(ident)
    while frame is not None:
        root = frame.f_globals.get("__name__", "").partition(".")[0]
        if root in _ENGINE:
            return found
        if frame.f_trace is not None or root in _DEBUGGERS:
            return None
        if not frame.f_code.co_filename.startswith((_STANDARD_LIBRARY, "<frozen ")) or (
            "site-packages" in frame.f_code.co_filename
        ):
            found = frame
        frame = _undisturbed(partial(getattr, frame, "f_back"))
    return None


def _undisturbed(function: Callable[[], T]) -> T:
    """Return what ``function`` returns, without a garbage collection in the middle of it.

    It must be written in C. Up to Python 3.11, both functions that get another thread's frames
    allocate, which may start a collection, and a finaliser may release the GIL:

    - ``sys._current_frames`` holds a lock of the interpreter. The next thread that wants the lock
      waits for it with the GIL in its hands, and the process stands still.
    - ``frame.f_back`` has the address of a frame that the other thread may then leave. It returns
      any object that has taken its place.
    """
    if sys.version_info < (3, 12) and gc.isenabled():
        # All three are called from C, so no other thread and no signal handler runs in between:
        # the collector is never left disabled, and no other thread finds it disabled.
        result: T
        try:
            _, result, _ = map(_call, (gc.disable, function, gc.enable))
        except BaseException:
            gc.enable()  # an audit hook raised an error
            raise
        return result
    return function()


def _is_debugged() -> bool:
    """Return whether a debugger watches all threads, as it can since Python 3.12."""
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None
