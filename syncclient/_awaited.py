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
call, as for ``SubmittedCall``: here it would hold up the caller's loop. Asynchronous code (an
asynchronous iterator that is the body) runs in the caller's loop: see ``CallerTask``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import anyio

from ._call import UNWIND_LIMIT, Place
from ._caller_task import CallerTask
from ._foreign import Sleeper, sleeper_here
from ._future import Submission, SubmittedCall
from ._loop_run import LoopRun

R = TypeVar("R")


class Nothing:
    """What is lent by a call that lends nothing."""

    lends = False

    def give_back(self, error: BaseException | None) -> None:
        """Nothing to do."""

    def discard(self, result: object) -> None:
        """Nothing to do: what owns something on the loop gives it back in its finaliser."""


NOTHING = Nothing()


class AwaitedCall(SubmittedCall[R]):
    """A call whose caller is a task of asyncio or trio, in any thread's loop.

    Args:
        beside: runs asynchronous code of the caller's while the call lasts.
    """

    __slots__ = ("_beside", "_ended", "_open", "_sleeper")

    def __init__(
        self,
        run: LoopRun,
        place: Place,
        method: Callable[..., Awaitable[Any]],
        submission: Submission[R],
        explained: Callable[[BaseException], BaseException],
        beside: CallerTask | None = None,
    ) -> None:
        super().__init__(run, place, method, submission, explained)
        self._beside = beside
        #: Where the caller waits, until somebody takes it to settle the call: pop() is atomic.
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
            if self._beside is None:
                await self._cross()
            else:
                await self._beside.beside(self._cross)
        except GeneratorExit:
            # The caller's loop is gone, and nothing can be waited for.
            self.run.post(self.withdraw)
            raise
        except BaseException as exc:
            error: BaseException = exc
            try:
                await self._unwound()
                error = self._explained(exc)
                cause, self._error = self._error, None
                if cause is not None and isinstance(exc, Exception):
                    error = cause  # the cleanup of a generator has the less to say
                if error is exc:
                    raise
                raise error from None
            finally:
                # The traceback will hold this call: what it opened must not live as long.
                self._value = cause = None
                del error, cause
        if self._error is not None:
            error, self._error = self._explained(self._error), None
            try:
                raise error
            finally:
                del error  # its traceback holds this frame
        value, self._value = self._value, None
        return cast(R, value)

    async def _cross(self) -> None:
        self._posted = True
        self.run.submit(self)
        while not self._ended:
            await self._sleeper.wait()

    async def _unwound(self) -> None:
        """Withdraw the call, and wait a bounded time until it has unwound."""
        if not self._posted or self._ended or not self.run.post(self.withdraw):
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
