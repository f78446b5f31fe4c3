"""Calls that a task of another event loop awaits: the crossing of ``session.aio``.

=======================  ======================  ========================================
what                     thread                  may block
=======================  ======================  ========================================
AwaitedCall.awaited      the awaiting task's     suspends the task, never the thread
AwaitedCall.ask          loop thread (a task)    awaits a thread of the call's own
AwaitedCall._settle      loop thread, or the     never
                         call's own thread
=======================  ======================  ========================================

Blocking code of the user's (a file or a generator that is the body) runs on a thread of the
call, as with ``SubmittedCall``: it would block the caller's loop. Asynchronous code (an
asynchronous iterator that is the body) runs in the caller's loop, in a ``CallerTask``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import anyio

from .call import UNWIND_LIMIT, Gate
from .caller_task import CallerTask
from .foreign_loops import Sleeper, sleeper_here
from .submitted_call import Submission, SubmittedCall

R = TypeVar("R")


class AwaitedCall(SubmittedCall[R]):
    """A call whose caller is a task of asyncio or trio, in any thread's loop.

    Args:
        beside: runs asynchronous code of the caller's while the call lasts.
    """

    def __init__(
        self,
        gate: Gate,
        method: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        submission: Submission[R],
        beside: CallerTask | None = None,
    ) -> None:
        super().__init__(gate, method, args, kwargs, submission)
        self._beside = beside
        #: Where the caller waits, until a thread takes it to settle the call: pop() is atomic.
        self._open: list[Sleeper] = []
        self._ended = False

    # -- the caller's loop -----------------------------------------------------------

    async def awaited(self) -> R:
        """Cross, wait, and return the result or raise the error.

        Cancelling the task cancels the call on the loop; the task then waits a bounded time
        for it to unwind. A second cancellation leaves at once.
        """
        self._sleeper = sleeper_here()
        self._open.append(self._sleeper)
        try:
            if self._beside is None or not self._beside.helpers:
                await self._cross()
            else:
                await self._beside.beside(self._cross)
        except GeneratorExit:
            # The caller's loop is gone, and the task cannot wait.
            self.run.post(self.withdraw)
            raise
        except BaseException as exc:
            cause: BaseException | None = None
            try:
                await self._unwound()
                cause, self._error = self._error, None
                if cause is None or not isinstance(exc, Exception):
                    raise
                raise cause from None  # rather than the error of a generator's cleanup
            finally:
                # The traceback holds this call, and must not keep alive what the call opened.
                self._value = cause = None
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error  # its traceback holds this frame
        value, self._value = self._value, None
        return cast(R, value)

    async def _cross(self) -> None:
        self.run.submit(self)
        while not self._ended:
            await self._sleeper.wait()

    async def _unwound(self) -> None:
        """Withdraw the call, and wait a bounded time until it has unwound."""
        if self._ended or not self.run.post(self.withdraw):
            return
        with anyio.move_on_after(UNWIND_LIMIT, shield=True):
            while not self._ended:
                await self._sleeper.wait()

    # -- either ----------------------------------------------------------------------

    def _settle(self, error: BaseException | None = None) -> None:
        """Wake the caller, unless that has been done."""
        try:
            sleeper = self._open.pop()
        except IndexError:
            return
        if self._error is None:
            self._error = error
        self._ended = True
        sleeper.wake()
