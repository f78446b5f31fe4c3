"""The caller, as the loop thread sees it: what runs the user's code for a request.

Files, generators, blocking middlewares, plain trace callbacks and progress hooks run in the
thread that is blocked on the request, in its context. The core and the bodies use
``in_caller`` for that; the boundary, which knows the threads, provides the ``Caller``.

================  ==========================================================================
kind of call      what runs the code
================  ==========================================================================
a blocking call   its thread, while it waits (``CallerLink`` of ``_boundary/call.py``)
a future, or      a thread of the call's own (``SubmittedCall``)
``session.aio``
a map's requests  the thread that takes the results, when it comes (``ReturningCaller``)
================  ==========================================================================

Asynchronous code of ``session.aio`` has a task in the caller's own loop instead: ``CallerTask``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import ParamSpec, Protocol, TypeVar

from ._exceptions import LoopThreadError
from ._tracebacks import clear_engine_frames

P = ParamSpec("P")
R = TypeVar("R")


class Caller(Protocol):
    """The caller of the running call."""

    #: What the call is doing, for the error of a deadline; ``str()`` gives the words.
    doing: object

    @property
    def listening(self) -> bool:
        """Whether the caller is waiting for functions to run, or soon will be."""

    async def execute(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``function`` in the caller's thread and context, and await it."""


#: The caller of the running task; None if no caller waits for it. Tasks copy the context, so
#: every task started within a call has the caller too.
current_caller: ContextVar[Caller | None] = ContextVar("syncclient_caller", default=None)


def note_doing(doing: object) -> None:
    """Note what the running call is doing, for the error of a deadline that ends it."""
    caller = current_caller.get()
    if caller is not None:
        caller.doing = doing


async def in_caller(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run ``function`` in the thread that is blocked on the running call, and await it.

    For code of users: it has their thread-locals, database connections and context variables,
    and may use the session. Raises what ``function`` raises, and LoopThreadError if no caller
    is waiting any more.
    """
    caller = current_caller.get()
    if caller is None:
        raise LoopThreadError("no caller is waiting to run this callback")
    return await caller.execute(function, *args, **kwargs)


class ReturningCaller:
    """A caller that returns for the results of tasks that outlive its calls.

    A callback that is due between two of its calls waits for the next. Event loop only.
    """

    def __init__(self) -> None:
        self.doing: object = ""
        #: How many callbacks wait for the caller to come.
        self.waiting = 0
        self._here: Caller | None = None
        self._arrived = asyncio.Event()

    def __enter__(self) -> None:
        """Use the running call for callbacks from now on."""
        self._here = current_caller.get()
        self._arrived.set()

    def __exit__(self, *exc_info: object) -> None:
        self._here = None
        self._arrived.clear()

    async def execute(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``function`` in the caller as soon as it waits."""
        while self._here is None:
            self.waiting += 1
            try:
                await self._arrived.wait()
            finally:
                self.waiting -= 1
        return await self._here.execute(function, *args, **kwargs)

    @property
    def listening(self) -> bool:
        """True: a caller is waiting, or may return; if none does, the tasks are cancelled."""
        return True

    def carry(self, error: BaseException) -> None:
        """Empty the engine's frames of ``error``, which goes to another thread."""
        clear_engine_frames(error)
