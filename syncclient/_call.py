"""One pending call: what a caller waits on, and the loop thread completes.

Which thread runs what:

=============  ======================  ==============================================
method         thread                  may block, and what wakes it
=============  ======================  ==============================================
complete       the caller's            until the loop thread finishes the call, asks
                                       for a job, or dies; an interrupt wakes it too
begin          loop thread             never blocks
_main          loop thread (a task)    awaits the core
ask            loop thread (a task)    awaits the caller's answer
cancel         loop thread             never blocks
_finish        loop thread             never blocks
=============  ======================  ==============================================

No lock guards the fields; ownership does. Until the call is posted they are the
caller's; from then on the loop thread's. It writes ``_value`` and ``_error``, then
``_done``, and then releases ``_wake``; the caller, once it has acquired ``_wake``,
takes the first two out. ``_jobs`` is a deque: appended to on the loop thread, popped
by the caller, both atomic by themselves.

``_wake`` is a bare lock used as a binary semaphore. Only the loop thread releases
it, so testing it before the release is no race: were it seen free, then the wake
before this one has not been consumed yet, and whoever consumes it looks at the
jobs and at ``_done`` afterwards.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from _thread import allocate_lock
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

from ._deadline import activity, timeout
from ._exceptions import LoopThreadError
from ._foreign import correct_library
from ._frames import clear_engine_frames, original
from ._loop_run import LoopRun
from ._slices import MAIN_SLICE, in_slices

#: A name for all tasks: asyncio would format a number into a new one for each.
_TASK_NAME = "syncclient-call"

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")

#: Seconds an interrupted caller waits for its call to unwind before it leaves anyway.
UNWIND_LIMIT = 2.0


class Place(Protocol):
    """Where a call's target lives. Its methods run on the loop thread."""

    def admit(self, call: Call[Any]) -> Any:
        """Return the object the call is for, or raise why it is refused."""

    def leave(self, call: Call[Any]) -> None:
        """The admitted call has ended."""


class Job:
    """A function for the caller to run while it waits, and the place for its outcome."""

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
        """Return what the function returned, or raise what it raised; once. Loop thread only."""
        if self.error is not None:
            # Taken out first: the traceback holds this frame, and the frame the job.
            error, self.error = self.error, None
            try:
                raise error
            finally:
                del error
        return self.value


class Tie:
    """What the context of a call holds of it. Loop thread only.

    Contexts are copied, and outlive the call, in transports that go back to the pool and in
    tasks such as the pump of a WebSocket. Were the call itself in there, so would be its
    result, if nobody took that, and what its caller lent: for as long as the connection lasts.
    """

    __slots__ = ("_call", "doing")

    def __init__(self, call: Call[Any]) -> None:
        self._call: Call[Any] | None = call
        #: What the call is doing, for the error of a deadline.
        self.doing: object = ""

    async def ask(self, function: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> A:
        """Have the blocked caller run ``function``, in its thread and its context."""
        if self._call is None:
            raise LoopThreadError("the caller that could run this callback has gone on")
        return await self._call.ask(function, *args, **kwargs)

    @property
    def listening(self) -> bool:
        """Whether the call's caller waits."""
        return self._call is not None

    def cut(self) -> None:
        """The call has ended."""
        self._call = None


class Call(Generic[R]):
    """One crossing: a method of a loop-owned object, run there and waited for here."""

    __slots__ = (
        "_args",
        "_cancelled",
        "_deadline",
        "_done",
        "_error",
        "_jobs",
        "_kwargs",
        "_method",
        "_place",
        "_posted",
        "_task",
        "_tie",
        "_timer",
        "_value",
        "_wake",
        "hold",
        "run",
    )

    def __init__(
        self,
        run: LoopRun,
        place: Place,
        method: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        deadline: timeout | None = None,
    ) -> None:
        self.run: LoopRun = run
        self._deadline = deadline
        self._timer: asyncio.TimerHandle | None = None
        self._tie = Tie(self)
        #: What to do, on the loop thread, with the result before it crosses.
        self.hold: Callable[[Any], R] | None = None
        self._place: Place | None = place
        self._method: Callable[..., Awaitable[Any]] | None = method
        self._args = args
        self._kwargs = kwargs
        self._wake = allocate_lock()
        self._wake.acquire()
        self._jobs: deque[Job] = deque()
        self._task: asyncio.Task[None] | None = None
        self._posted = False
        self._done = False
        self._cancelled: BaseException | None = None
        self._value: R | None = None
        self._error: BaseException | None = None

    # -- the caller's thread ---------------------------------------------------------

    def complete(self) -> R:
        """Cross, wait, and return the result or raise the error. Blocks the caller.

        Whatever interrupts the wait (KeyboardInterrupt, an exception from a signal
        handler or a job) cancels the call on the loop and waits a bounded time for
        it to unwind before it goes on up. A second interrupt leaves at once.
        """
        # The interrupt may come at any instruction below, before the call is posted
        # and after it has ended. What the call opened is never lost by that: results
        # that own something on the loop give it back in their own finaliser.
        try:
            self._posted = True
            self.run.submit(self)
            self._wait()
        except BaseException:
            try:
                self._abandon()
            finally:
                # The traceback will hold this call: what it opened must not live as long.
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
            # Most calls end within the first slice, and need no more than this.
            if not acquire(timeout=MAIN_SLICE):
                in_slices(self._woken, self.run.sleepers)
            # Looked at before the jobs: a job appended before the end is thus served.
            done = self._done
            while self._jobs:
                self._serve(self._jobs.popleft())
            if done:
                return

    def _woken(self, seconds: float) -> bool:
        return self._wake.acquire(timeout=seconds)

    def _serve(self, job: Job) -> None:
        """Run a job for the loop. An Exception goes back to it, an interrupt goes up."""
        if job.future.done():  # cancelled: nobody waits for it any more
            return
        self._perform(job)
        # After the end, too: the task that asked may outlive this call (see ``Relay``).
        if not self.run.post(job.answered) and not self._done:
            raise LoopThreadError(
                "the loop thread is not there any more to take this callback's result: "
                "it died meanwhile, or the callback returned in a forked child"
            )

    def _perform(self, job: Job) -> None:
        try:
            job.value = job.function()
        except Exception as exc:
            job.error = exc

    def _abandon(self) -> None:
        if not self._posted or self._done or not self.run.post(self.cancel, None):
            return
        give_up = time.monotonic() + UNWIND_LIMIT
        while not self._done:
            remaining = give_up - time.monotonic()
            # Jobs that come now are not run (the user asked to stop): the task that
            # asked for one is cancelled, and does not wait for the answer.
            if remaining <= 0 or not in_slices(self._woken, self.run.sleepers, remaining):
                return

    # -- the loop thread -------------------------------------------------------------

    def begin(self) -> None:
        """Start the task. Posted by ``LoopRun.submit``, hence in the caller's context."""
        run = self.run
        assert run.on_loop_thread()
        run.posted.discard(self)
        if self._done:
            return
        method, place = self._method, self._place
        assert method is not None and place is not None
        try:
            target = place.admit(self)
            activity.set(self._tie)
            correct_library()
            if self._deadline is not None:
                self._set_timer(self._deadline)
            main = self._main(method(target, *self._args, **self._kwargs))
            # An error that comes now holds this frame, as the one that _main was called
            # from: nothing of the engine's may be left in it.
            del target, method, place
            if sys.version_info >= (3, 12):
                # Runs up to its first suspension here and now. Without that, every
                # call costs one more iteration of the loop.
                task = asyncio.Task(main, loop=run.loop, name=_TASK_NAME, eager_start=True)
            else:
                task = asyncio.Task(main, loop=run.loop, name=_TASK_NAME)
            if not self._done:
                self._task = task
            del main, task
        except BaseException as exc:
            # SystemExit too: what a user's code raises goes to its caller, and does
            # not end the loop for all the others.
            self._finish(exc)

    async def _main(self, awaitable: Awaitable[Any]) -> None:
        # As a value, not as the task's own result: a StopIteration could not travel
        # as one, and a SystemExit would end the loop.
        try:
            value = await awaitable
            self._value = value if self.hold is None else self.hold(value)
        except BaseException as exc:
            # No local variable: the traceback will hold this frame, and be held by the error.
            self._finish(self._cancelled or original(exc))
        else:
            self._finish(None)

    def _finish(self, error: BaseException | None) -> None:
        if self._done:
            return
        if error is not None:
            clear_engine_frames(error)
            self._error = error
        place, self._place = self._place, None
        # Let go on this thread of all that may belong to it.
        self._method = self._task = self._cancelled = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._args, self._kwargs = (), {}
        self._tie.cut()
        if place is not None:
            place.leave(self)
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
        if left > 0:  # moved likewise; or uvloop, which counts in milliseconds, came early
            self._timer = self.run.loop.call_later(max(left, 0.001), self._expire)
        else:
            self.cancel(deadline.error(self._tie.doing))

    def _notify(self) -> None:
        if self._wake.locked() and not self.run.exiting:
            self._wake.release()

    def cancel(self, reason: BaseException | None) -> None:
        """Cancel the call, even one not yet begun; ``reason`` is what its caller gets."""
        assert self.run.on_loop_thread()
        if self._done:
            return
        self._cancelled = reason
        if self._task is not None:
            # Not at once: before Python 3.12 the task may not have had its first step, and
            # cancelled before that it would end without one, and nobody would wake the caller.
            self.run.loop.call_soon(self._task.cancel)
        else:
            self.run.posted.discard(self)
            self._finish(reason or asyncio.CancelledError())

    def fail(self, error: BaseException) -> None:
        """Wake the caller with ``error`` without waiting for the task: the loop is ending."""
        self.run.posted.discard(self)
        self._finish(error)

    async def ask(self, function: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> A:
        """Have the blocked caller run ``function``, in its thread and its context."""
        if self._done:
            raise LoopThreadError("the caller that could run this callback has gone on")
        loop = asyncio.get_running_loop()
        job = Job(functools.partial(function, *args, **kwargs), loop.create_future())
        self._jobs.append(job)
        self._notify()
        await job.future
        return cast(A, job.outcome())

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task that runs the call while it is suspended. Loop thread only."""
        return self._task


async def in_caller(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run ``function`` in the thread that is blocked on the running call, and await it.

    For the code of users: thread-locals, database connections and context variables
    are theirs, and it may call the session again. Any task started within the call
    finds its way too, since tasks copy the context. Raises what ``function`` raises,
    and LoopThreadError where no caller waits any more.
    """
    asker = activity.get()
    if asker is None:
        raise LoopThreadError("no caller is waiting who could run this callback")
    return await asker.ask(function, *args, **kwargs)
