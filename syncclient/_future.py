"""Calls that nobody is blocked on: futures, and many requests behind one caller.

==========================  ======================  =====================================
what                        thread                  may block
==========================  ======================  =====================================
SubmittedCall.submit        the caller's            never
CallFuture.cancel           any                     never
CallFuture.result           any but the loop's      until the call has ended
CallFuture's done callbacks a worker thread         as the user's code does
SubmittedCall._serve_all    a thread of its own     as the user's code does
Relay.ask                   loop thread (a task)    awaits a caller that takes the job
==========================  ======================  =====================================

A call that has something of the user's to run, such as a generator that is its body,
gets a thread of its own for it, in which all of that runs: it may be tied to a thread.
Not a worker thread: those are few, and the look-up of a host name must not wait for an
upload that waits for the look-up.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import ParamSpec, Protocol, TypeVar, cast

from ._call import UNWIND_LIMIT, Call, Job, Place
from ._deadline import Activity, activity, nearest
from ._frames import clear_engine_frames
from ._loop_run import LoopRun
from ._slices import in_slices

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")
R_contra = TypeVar("R_contra", contravariant=True)

_logger = logging.getLogger("syncclient")


class CallFuture(Future[R]):
    """The future of a submitted request: a real one, for ``wait`` and ``as_completed``.

    ``cancel()`` cancels the request on the wire. Callbacks run on a thread of ours, or at
    once in the caller's if the future is done: never on the loop thread, which they
    could hold up. ``result()`` and ``exception()`` keep to the deadline of a
    ``syncclient.timeout()`` block around them.
    """

    def __init__(self, call: SubmittedCall[R]) -> None:
        super().__init__()
        self._call = call
        self._callbacks: list[Callable[[Future[R]], object]] = []

    def cancel(self) -> bool:
        """Cancel the request, unless it is done already. Any thread; does not block."""
        cancelled = super().cancel()
        if cancelled:
            self._call.run.post(self._call.withdraw)
        return cancelled

    def result(self, timeout: float | None = None) -> R:
        """Return the result, or raise the error. Blocks for ``timeout`` seconds at most."""
        try:
            self.exception(timeout)
            return super().result()
        finally:
            del self  # which holds the error, whose traceback holds this frame

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error, or None. Blocks until there is one, ``timeout`` seconds at most.

        Raises:
            concurrent.futures.TimeoutError: it took longer; the request goes on.
            DeadlineError: so did a ``syncclient.timeout()`` block; the request goes on.
            concurrent.futures.CancelledError: it was cancelled.
        """
        if self.done():
            return super().exception()
        run = self._call.run
        if not run.is_ours():
            raise run.death()
        run.refuse_loop_thread("result() of a future", "await asyncio.wrap_future(future) there")
        run.refuse_after_exit()
        block = nearest()
        when = None if block is None else block.when()
        left = None if block is None or when is None else max(0.0, when - time.monotonic())
        late = timeout is None or (left is not None and left < timeout)
        if not in_slices(self._done_within, run.sleepers, left if late else timeout) and late:
            assert block is not None
            raise block.error("waiting for a submitted request")
        return super().exception(0)

    def _done_within(self, seconds: float) -> bool:
        try:
            super().exception(seconds)
        except (concurrent.futures.CancelledError, concurrent.futures.TimeoutError):
            return self.done()
        return True

    def add_done_callback(self, fn: Callable[[Future[R]], object]) -> None:
        """Have ``fn(future)`` called when the future is done; see the class for where."""
        super().add_done_callback(functools.partial(self._off_the_loop, fn))

    def _off_the_loop(self, fn: Callable[[Future[R]], object], future: Future[R]) -> None:
        run = self._call.run
        if not run.on_loop_thread() or run.loop.is_closed():
            fn(future)
            return
        self._callbacks.append(fn)
        if len(self._callbacks) == 1:
            # By then they are all there: one worker runs them, in their order.
            run.loop.call_soon(run.loop.run_in_executor, None, self._call_back)

    def _call_back(self) -> None:
        for fn in self._callbacks:
            try:
                fn(self)
            except Exception:  # as concurrent.futures does it: there is nobody to raise it to
                _logger.exception("exception calling callback for %r", self)
        self._callbacks.clear()


class Submission(Protocol[R_contra]):
    """What a submitted call needs of who submitted it."""

    @property
    def lends(self) -> bool:
        """Whether there is something to give back."""

    def give_back(self, error: BaseException | None) -> None:
        """The call has ended. In the thread that has run the callbacks of the call."""

    def discard(self, result: R_contra) -> None:
        """Nobody wants the result: the future was cancelled when it came. Never blocks."""


class SubmittedCall(Call[R]):
    """A call whose outcome goes into a future.

    The future is done once the thread of the call, where it has one, has given back what
    was lent; but a callback that is still running then, and may block, is not waited for.
    """

    __slots__ = (
        "_busy",
        "_context",
        "_explained",
        "_future",
        "_server",
        "_submission",
        "_withdrawn",
    )

    def __init__(
        self,
        run: LoopRun,
        place: Place,
        method: Callable[..., Awaitable[R]],
        submission: Submission[R],
        explained: Callable[[BaseException], BaseException],
    ) -> None:
        super().__init__(run, place, method, (), {}, nearest())
        self._submission = submission
        #: Returns the error that the future gets for one of the loop thread's.
        self._explained = explained
        #: The future, until somebody takes it to complete it: pop() is atomic.
        self._future: list[CallFuture[R]] = []
        self._server: threading.Thread | None = None
        self._context: contextvars.Context | None = None
        #: Whether a callback is running. Written by the serving thread.
        self._busy = False
        self._withdrawn = False

    def submit(self) -> CallFuture[R]:
        """Cross, and return the future of the result at once."""
        future = CallFuture(self)
        self._future.append(future)
        try:
            self.run.submit(self)
            return future
        except BaseException:
            future.cancel()  # an interrupt, perhaps after it was posted: nobody has the future
            raise

    # -- the loop thread -------------------------------------------------------------

    def begin(self) -> None:
        """Start the task, unless the future has been cancelled in the meantime."""
        if self._future and self._future[0].cancelled():
            self.fail(asyncio.CancelledError())
        else:
            super().begin()

    def withdraw(self) -> None:
        """Cancel, for the future has been cancelled: once, or it would disturb the unwinding."""
        if not self._withdrawn:
            self._withdrawn = True
            self.cancel(None)

    async def ask(self, function: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> A:
        """Run ``function`` in the call's own thread, in the context it was submitted in."""
        if self._server is None:
            self._context = contextvars.copy_context()
            self._start_serving()
        return await super().ask(function, *args, **kwargs)

    def _start_serving(self) -> None:
        server = threading.Thread(target=self._serve_all, name="syncclient-submit", daemon=True)
        server.start()
        self._server = server

    def _notify(self) -> None:
        if self.run.exiting:
            return
        if not self._done:
            super()._notify()
            return
        if self._server is None and self._submission.lends:
            try:
                self._start_serving()
            except RuntimeError:  # the interpreter is exiting, and starts no more threads
                self._end(None)
        if self._server is None:
            self._settle()
        else:
            super()._notify()
            if self._busy:
                self._settle()

    # -- the thread of the call ------------------------------------------------------

    def _serve_all(self) -> None:
        error: BaseException | None = None
        try:
            if self._context is None:
                self._wait()
            else:
                self._context.run(self._wait)
        except BaseException as exc:
            # SystemExit and its like: as an interrupted caller does it, but without one.
            error = exc
            give_up = time.monotonic() + UNWIND_LIMIT
            if self.run.post(self.cancel, exc):
                while not self._done and self._wake.acquire(
                    timeout=max(0.0, give_up - time.monotonic())
                ):
                    pass
        self._end(error)
        self._settle(error)

    def _perform(self, job: Job) -> None:
        # No longer busy by the time the loop learns of the answer, and may end the call.
        self._busy = True
        try:
            super()._perform(job)
        finally:
            self._busy = False

    # -- either ----------------------------------------------------------------------

    def _end(self, error: BaseException | None) -> None:
        try:
            self._submission.give_back(self._error or error)
        except Exception as exc:  # the cleanup of a generator
            if self._error is None:
                self._error = exc

    def _settle(self, error: BaseException | None = None) -> None:
        """Complete the future, unless that has been done."""
        try:
            future = self._future.pop()
        except IndexError:
            return
        error, self._error = self._error or error, None
        value, self._value = self._value, None
        submission = self._submission
        try:
            if not future.set_running_or_notify_cancel():
                if error is None:
                    submission.discard(cast(R, value))
            elif error is None:
                future.set_result(cast(R, value))
            elif isinstance(error, asyncio.CancelledError):
                # The loop ended, or somebody else's code cancelled the task.
                future.set_exception(concurrent.futures.CancelledError())
            else:
                future.set_exception(self._explained(error))
        finally:
            del error, future  # the error's traceback holds this frame


class Relay:
    """Passes callbacks of tasks that outlive a call on to whichever call is waiting.

    One caller comes again and again for results of the same tasks; a callback that is
    due between two of its calls waits for the next. Loop thread only.
    """

    def __init__(self) -> None:
        self.doing: object = ""
        #: How many callbacks wait for the caller to come.
        self.waiting = 0
        self._asker: Activity | None = None
        self._arrived = asyncio.Event()

    def __enter__(self) -> None:
        """The running call takes callbacks from here on."""
        self._asker = activity.get()
        self._arrived.set()

    def __exit__(self, *exc_info: object) -> None:
        self._asker = None
        self._arrived.clear()

    async def ask(self, function: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> A:
        """Have the caller run ``function`` when it is, or comes, to wait."""
        while self._asker is None:
            self.waiting += 1
            try:
                await self._arrived.wait()
            finally:
                self.waiting -= 1
        return await self._asker.ask(function, *args, **kwargs)

    @property
    def listening(self) -> bool:
        """Whether a caller is there, or may come: tasks that none comes for are cancelled."""
        return True

    def carry(self, error: BaseException) -> None:
        """Have ``error`` hold nothing of the loop's, since it goes to another thread."""
        clear_engine_frames(error)
