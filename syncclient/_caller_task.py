"""The task in a caller's own event loop that runs its asynchronous code for a request.

===================  ======================  ============================================
what                 thread                  may block
===================  ======================  ============================================
CallerTask.beside    the caller's            suspends its task, never the thread
CallerTask._serve    the same, in a task     as the user's asynchronous code does, and
                     of its own              suspended only
CallerTask.ask       loop thread (a task)    awaits the answer
===================  ======================  ============================================
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, cast

import anyio

from ._call import UNWIND_LIMIT, Job
from ._exceptions import LoopThreadError
from ._foreign import Sleeper, sleeper_here
from ._loop_run import LoopRun, running_here

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

P = ParamSpec("P")
A = TypeVar("A")


class Helper(Protocol):
    """Asynchronous code of the user's that a request needs, such as its body."""

    async def aclose(self) -> None:
        """The request is over. In the task that has run the code."""


class CallerTask:
    """Runs what the loop asks for, one thing after another, and all of it in one task.

    Asynchronous code may be bound to its loop, and what it has opened (a timeout, a cancel
    scope) to its task. The task lives as long as the call that the caller awaits.
    """

    def __init__(self) -> None:
        #: What is closed in the end.
        self.helpers: list[Helper] = []
        self._jobs: deque[tuple[LoopRun, Job]] = deque()
        self._sleeper: Sleeper | None = None
        self._interrupt: BaseException | None = None
        self._over = False

    # -- the caller's loop -----------------------------------------------------------

    async def beside(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Run while ``wait()`` does. Raises what the user's code raises, and no group of it."""
        error: BaseException | None = None
        try:
            async with anyio.create_task_group() as tasks:
                await tasks.start(self._serve, tasks.cancel_scope)
                try:
                    await wait()
                except Exception as exc:  # out here it would end up in an exception group
                    self._interrupt = exc
                tasks.cancel_scope.cancel()
            error, self._interrupt = self._interrupt, None
            if error is not None:
                raise error
        finally:
            del error  # its traceback holds this frame

    async def _serve(
        self, call: anyio.CancelScope, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        self._sleeper = sleeper_here()
        task_status.started()
        try:
            while True:
                while self._jobs:
                    await self._run(*self._jobs.popleft())
                await self._sleeper.wait()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as exc:
            self._interrupt = exc
            call.cancel()
        finally:
            self._over = True
            with anyio.move_on_after(UNWIND_LIMIT, shield=True):
                await self._close()

    async def _run(self, run: LoopRun, job: Job) -> None:
        if job.future.cancelled():  # nobody waits for it any more
            return
        try:
            job.value = await cast("Callable[[], Awaitable[object]]", job.function)()
        except Exception as exc:
            job.error = exc
        run.post(job.answered)

    async def _close(self) -> None:
        for helper in self.helpers:
            try:
                await helper.aclose()
            except Exception as exc:  # the cleanup of a generator
                self._interrupt = self._interrupt or exc

    # -- the loop thread -------------------------------------------------------------

    async def ask(self, function: Callable[[], Awaitable[A]]) -> A:
        """Have ``function`` awaited in the caller's loop.

        Raises what ``function`` raises, and LoopThreadError where the call is over.
        """
        sleeper = self._sleeper
        if self._over or sleeper is None:
            raise LoopThreadError("the task that could await this has gone on")
        job = Job(function, asyncio.get_running_loop().create_future())
        self._jobs.append((running_here(), job))
        sleeper.wake()
        await job.future
        return cast(A, job.outcome())
