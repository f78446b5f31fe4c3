"""The task in a caller's own event loop that runs its asynchronous code for a request.

===================  ======================  ============================================
what                 thread                  may block
===================  ======================  ============================================
CallerTask.beside    the caller's            suspends its task, never the thread
CallerTask._serve    the caller's, in a      suspends that task, as the user's
                     task of its own         asynchronous code does
CallerTask.execute   loop thread (a task)    awaits the answer
===================  ======================  ============================================
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar, cast

import anyio

from .._exceptions import LoopThreadError
from .call import UNWIND_LIMIT, Job
from .foreign_loops import Sleeper, sleeper_here
from .loop_run import LoopRun, running_here

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

P = ParamSpec("P")
A = TypeVar("A")


class Helper(Protocol):
    """Asynchronous code of the user's that a request needs, such as its body."""

    async def aclose(self) -> None:
        """Clean up: the request is over. Runs in the task that has run the code."""


class CallerTask:
    """Runs functions for the loop thread, one after another, all in one task.

    Asynchronous code may be bound to its loop, and the timeouts and cancel scopes that it opens
    to its task. The task lives as long as the call that the caller awaits.
    """

    def __init__(self) -> None:
        #: The code to run, closed at the end. Without any, no task is started.
        self.helpers: list[Helper] = []
        self._jobs: deque[tuple[LoopRun, Job]] = deque()
        self._sleeper: Sleeper | None = None
        self._interrupt: BaseException | None = None
        self._over = False

    # -- the caller's loop -----------------------------------------------------------

    async def beside(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Run while ``wait()`` does. Raises the error of the user's code, not a group of it."""
        error: BaseException | None = None
        try:
            async with anyio.create_task_group() as tasks:
                await tasks.start(self._serve, tasks.cancel_scope)
                try:
                    await wait()
                except Exception as exc:  # the task group would put it into an exception group
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
        if job.future.cancelled():  # no task waits for it any more
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

    async def execute(self, function: Callable[[], Awaitable[A]]) -> A:
        """Await ``function`` in the caller's loop.

        Raises what ``function`` raises, and LoopThreadError if the call is over.
        """
        sleeper = self._sleeper
        if self._over or sleeper is None:
            raise LoopThreadError("the task that could await this callback has ended its request")
        job = Job(function, asyncio.get_running_loop().create_future())
        self._jobs.append((running_here(), job))
        sleeper.wake()
        await job.future
        return cast(A, job.outcome())
