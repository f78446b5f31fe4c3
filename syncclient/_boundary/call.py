"""Call: one call of a method on the loop thread, which its caller waits for.

Which thread runs which method:

=============  ======================  ==============================================
method         thread                  may block, and what wakes it
=============  ======================  ==============================================
complete       the caller's            until the loop thread ends the call, asks for a
                                       job, or dies; an interrupt wakes it too
begin          loop thread             never blocks
_main          loop thread (a task,    awaits the core
               or without one: see
               ``_taskless``)
execute        loop thread (a task)    awaits the caller's answer
cancel         loop thread             never blocks
_finish        loop thread             never blocks
=============  ======================  ==============================================

No lock guards the fields; ownership does. They belong to the caller until the call is
posted, and to the loop thread afterwards. The loop thread writes ``_value`` and ``_error``,
then ``_done``, and then releases ``_wake``; the caller takes the first two out once it has
acquired ``_wake``. ``_jobs`` is a deque: the loop thread appends, the caller pops, and both
operations are atomic.

``_wake`` is a bare lock used as a binary semaphore. Only the loop thread releases it, so
testing it before the release is no race: if it is free, the caller has not consumed the
previous wake yet, and looks at the jobs and at ``_done`` after it does.
"""

from __future__ import annotations

import asyncio
import functools
import time
from _thread import allocate_lock
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

from .._caller import current_caller
from .._deadline import timeout
from .._exceptions import LoopThreadError
from .._tracebacks import clear_engine_frames, original
from .foreign_loops import correct_library, library_here
from .loop_run import LoopRun
from .stepper import Stepper, start_task
from .waiting import MAIN_SLICE, in_slices

#: One name for all tasks: asyncio would format a new one for each.
_TASK_NAME = "syncclient-call"

#: Bound here: looking up a method on an imported object costs Python more.
_set_caller = current_caller.set

#: The keyword arguments of a call that has ended.
_NOTHING: dict[str, Any] = {}

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")

#: Seconds an interrupted caller waits for its call to unwind before it leaves anyway.
UNWIND_LIMIT = 2.0


class Gate(Protocol):
    """Admits calls to an object on the loop. ``admit`` and ``leave`` run on the loop thread."""

    @property
    def run(self) -> LoopRun:
        """The life of the loop thread that the object belongs to."""

    def admit(self, call: Call[Any]) -> Any:
        """Return the object that the call is for, or raise why the call is refused."""

    def leave(self, call: Call[Any]) -> None:
        """Note that the admitted call has ended."""

    def explained(self, error: BaseException) -> BaseException:
        """Return the error to raise for ``error``, with which a call ended. Any thread."""


class Job:
    """A function that the caller runs while it waits, and its outcome."""

    __slots__ = ("error", "function", "future", "value")

    def __init__(self, function: Callable[[], object], future: asyncio.Future[None]) -> None:
        self.function = function
        self.future = future
        self.value: object = None
        self.error: Exception | None = None

    def answered(self) -> None:
        """Wake the task that asked. Loop thread only."""
        if not self.future.done():
            self.future.set_result(None)

    def outcome(self) -> Any:
        """Return the function's result, or raise its exception; once. Loop thread only."""
        if self.error is not None:
            # Taken out first: the traceback holds this frame, and the frame the job.
            error, self.error = self.error, None
            try:
                raise error
            finally:
                del error
        return self.value


class CallerLink:
    """The ``Caller`` in the context of a call. Loop thread only.

    Contexts are copied and outlive the call, in transports that go back to the pool and in
    timers such as the heartbeat of a WebSocket. If they held the call itself, they would keep
    its arguments, and a result that was never taken, as long as the connection lasts.
    """

    __slots__ = ("_call", "doing")

    def __init__(self, call: Call[Any]) -> None:
        self._call: Call[Any] | None = call
        #: What the call is doing, for the error of a deadline.
        self.doing: object = ""

    async def execute(self, function: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> A:
        """Run ``function`` in the blocked caller: in its thread and its context."""
        if self._call is None:
            raise LoopThreadError("the caller of this callback is not waiting any more")
        return await self._call.execute(function, *args, **kwargs)

    @property
    def listening(self) -> bool:
        """Whether the caller is waiting."""
        return self._call is not None

    @property
    def asked(self) -> bool:
        """Whether the caller has a job that it has not begun, or has gone. Any thread."""
        call = self._call
        return call is None or bool(call._jobs)

    def cut(self) -> None:
        """Drop the call, which has ended."""
        self._call = None


class Call(Generic[R]):
    """One crossing: a method of an object on the loop, run there and waited for here."""

    def __init__(
        self,
        gate: Gate,
        method: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        deadline: timeout | None,
    ) -> None:
        self.run: LoopRun = gate.run
        self._gate: Gate | None = gate
        self._method: Callable[..., Awaitable[Any]] | None = method
        self._args = args
        self._kwargs = kwargs
        self._deadline = deadline
        # All fields are set here. A default of the class, which an object then replaces, would
        # cost twenty times as much with each access.
        #: Converts the result on the loop thread, before it crosses.
        self.hold: Callable[[Any], R] | None = None
        self._target: object = None
        self._task: asyncio.Task[None] | None = None
        #: Runs the call in place of a task; see ``_taskless``.
        self._stepper: Stepper | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: Jobs for the caller; None before the first.
        self._jobs: deque[Job] | None = None
        self._cancelled: BaseException | None = None
        self._value: R | None = None
        self._error: BaseException | None = None
        self._done = False
        self._link = CallerLink(self)
        self._wake = wake = allocate_lock()
        wake.acquire()

    # -- the caller's thread ---------------------------------------------------------

    def complete(self) -> R:
        """Cross, wait, and return the result or raise the error. Blocks the caller.

        An exception that interrupts the wait (KeyboardInterrupt, or one from a signal handler
        or a job) cancels the call on the loop, and is raised once the call has unwound, or a
        bounded time later. A second interrupt leaves at once.
        """
        # The interrupt may hit any instruction below, before the call is posted and after it
        # has ended. Nothing that the call opened is lost: results that own something on the
        # loop give it back in their own finaliser.
        try:
            self.run.submit(self)
            self._wait()
        except BaseException:
            try:
                self._abandon()
            finally:
                # The traceback holds this call, and must not keep alive what the call opened.
                self._value = None
            raise
        if self._error is not None:
            # Taken out first: the traceback holds this frame, and the frame the call.
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error
        value, self._value = self._value, None
        return cast(R, value)

    def _wait(self) -> None:
        acquire = self._wake.acquire
        while True:
            # Most calls end within the first slice, and need no more than this. By position:
            # a keyword costs as much as the rest of it.
            if not acquire(True, MAIN_SLICE):
                in_slices(self._woken, self.run.sleepers)
            # Read before the jobs, so that a job appended before the end is still served.
            done = self._done
            while self._jobs:
                self._serve(self._jobs.popleft())
            if done:
                return

    def _woken(self, seconds: float) -> bool:
        return self._wake.acquire(timeout=seconds)

    def _serve(self, job: Job) -> None:
        """Run a job. An Exception goes back to the loop, any other interrupts the wait."""
        if job.future.done():  # cancelled: no task waits for it any more
            return
        self._perform(job)
        # After the end, too: the task that asked may outlive this call (see ``ReturningCaller``).
        if not self.run.post(job.answered) and not self._done:
            raise self.explained(
                LoopThreadError(
                    "the loop thread is not there any more to take this callback's result: "
                    "it has died, or the callback returned in a forked child"
                )
            )

    def _perform(self, job: Job) -> None:
        try:
            job.value = job.function()
        except Exception as exc:
            job.error = exc

    def _abandon(self) -> None:
        if self._done or not self.run.post(self.cancel, None):
            return
        give_up = time.monotonic() + UNWIND_LIMIT
        while not self._done:
            remaining = give_up - time.monotonic()
            # Jobs that arrive now are not run, as the user asked to stop: the task that wants
            # one is cancelled, and does not wait for the answer.
            if remaining <= 0 or not in_slices(self._woken, self.run.sleepers, remaining):
                return

    def explained(self, error: BaseException) -> BaseException:
        """Return the error to raise for ``error``, with which the call could not be made."""
        gate = self._gate
        # Without a gate the call has ended, perhaps just now, and its own error says why.
        return (self._error or error) if gate is None else gate.explained(error)

    # -- the loop thread -------------------------------------------------------------

    def begin(self, context: Context) -> None:
        """Start the task, in ``context``. Posted by ``LoopRun.submit``."""
        if self._done:
            return
        gate = self._gate
        assert gate is not None
        try:
            self._target = gate.admit(self)
            if self._deadline is not None:
                self._set_timer(self._deadline)
            # An error from here on holds this frame, which called _main: it must not keep
            # objects of the engine.
            del gate
            if getattr(self._method, "taskless", False):
                self._stepper = Stepper(self._main(), context, self.run.loop, _TASK_NAME)
                self._stepper.step()
                return
            task = start_task(self._main(), context, self.run.loop, _TASK_NAME)
            if not self._done:
                self._task = task
            del task
        except BaseException as exc:
            # SystemExit too: an error of the user's code goes to its caller, and does not end
            # the loop for all other callers.
            self._finish(exc)

    async def _main(self) -> None:
        # The result is kept as a value, not as the task's own: a task cannot raise
        # StopIteration, and a SystemExit would end the loop.
        try:
            _set_caller(self._link)
            if library_here() not in (None, "asyncio"):
                correct_library()
            assert self._method is not None
            value = await self._method(self._target, *self._args, **self._kwargs)
            self._value = value if self.hold is None else self.hold(value)
        except BaseException as exc:
            # No local variable: the error holds its traceback, and the traceback this frame.
            self._finish(self._cancelled or original(exc))
        else:
            self._finish(None)

    def _finish(self, error: BaseException | None) -> None:
        if self._done:
            return
        gate = self._gate
        if error is not None:
            clear_engine_frames(error)
            self._error = error if gate is None else gate.explained(error)
        self._gate = None
        # Objects of the loop thread have to be freed on it.
        self._method = self._target = self._task = self._stepper = self._cancelled = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._args, self._kwargs = (), _NOTHING
        self._link.cut()
        if gate is not None:
            gate.leave(self)
        self._done = True
        self._notify()

    def _set_timer(self, deadline: timeout) -> None:
        when = deadline.when()
        if when is not None:
            delay = when - time.monotonic()
            if delay <= 0:
                raise deadline.error("")
            self._timer = self.run.loop.call_later(delay, self._expire)

    def _expire(self) -> None:
        deadline = self._deadline
        if deadline is None or self._done:
            return
        when = deadline.when()
        if when is None:  # removed by a callback of this very call
            return
        left = when - time.monotonic()
        if left > 0:  # it was moved; or uvloop, which counts in milliseconds, was early
            self._timer = self.run.loop.call_later(max(left, 0.001), self._expire)
        else:
            self.cancel(deadline.error(self._link.doing))

    def _notify(self) -> None:
        if self._wake.locked() and not self.run.exiting:
            self._wake.release()

    def cancel(self, reason: BaseException | None) -> None:
        """Cancel the call, begun or not; its caller gets ``reason``."""
        assert self.run.on_loop_thread()
        if self._done:
            return
        self._cancelled = reason
        task = self.task
        if task is not None:
            # Not at once: before Python 3.12 the task may not have taken its first step, and a
            # task cancelled before that ends without one, and would not wake the caller.
            self.run.loop.call_soon(task.cancel)
        else:
            self._finish(reason or asyncio.CancelledError())

    def fail(self, error: BaseException) -> None:
        """Wake the caller with ``error``, without waiting for the task: the loop is ending."""
        self._finish(error)

    async def execute(self, function: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> A:
        """Run ``function`` in the blocked caller: in its thread and its context."""
        if self._done:
            raise LoopThreadError("the caller of this callback is not waiting any more")
        loop = asyncio.get_running_loop()
        job = Job(functools.partial(function, *args, **kwargs), loop.create_future())
        if self._jobs is None:
            self._jobs = deque()
        self._jobs.append(job)
        self._notify()
        await job.future
        return cast(A, job.outcome())

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that runs the call while it is suspended. Loop thread only."""
        return self._task if self._stepper is None else self._stepper.task()
