"""Calls without a blocked caller: those behind a future.

==========================  ======================  =====================================
what                        thread                  may block
==========================  ======================  =====================================
SubmittedCall.submit        the caller's            never
CallFuture.cancel           any                     never
CallFuture.result           any but the loop's      until the call has ended
CallFuture's done callbacks a worker thread         as the user's code does
SubmittedCall._serve_all    a thread of its own     as the user's code does
==========================  ======================  =====================================

A call that has to run code of the user's, such as a generator that is its body, gets a thread
of its own, and runs all of that code there, which may be tied to one thread. A worker thread
would not do: the code of a call runs bit by bit.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import logging
import threading
import time
from _thread import LockType, RLock
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED
from typing import Any, Generic, ParamSpec, TypeVar, cast

from .._deadline import nearest
from .call import UNWIND_LIMIT, Call, Gate, Job
from .waiting import Event, in_slices

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")

_logger = logging.getLogger("syncclient")

#: Seconds for which a thread may hold a future's lock. It is held for a few steps only.
_LOCK_LIMIT = 1.0
#: The states of a future that is done.
_ENDED = (FINISHED, CANCELLED, CANCELLED_AND_NOTIFIED)


class _Condition(RLock, threading.Condition):  # type: ignore[misc]  # final in typeshed only
    """A Condition that is its own lock, for the ``with`` blocks of ``concurrent.futures``.

    They enter and leave it without a step of the interpreter. ``Condition.__enter__`` has such
    steps, and an interrupt that hits one leaves the lock acquired forever.
    """

    def __init__(self) -> None:
        self._waiters: deque[LockType] = deque()  # what the methods of Condition use

    def release(self) -> None:
        """Release it, unless it has taken the place of the one that was acquired."""
        with contextlib.suppress(RuntimeError):
            super().release()


class CallFuture(Future[R]):
    """The future of a submitted request: a real one, for ``wait`` and ``as_completed``.

    ``cancel()`` cancels the request on the wire. Callbacks run on a worker thread, or at once
    in the caller's thread if the future is done; never on the loop thread, which they could
    delay. The callbacks of one future run in order, those of several futures at the same time:
    a callback may make requests, and wait for other callbacks. ``result()`` and
    ``exception()`` keep to the deadline of a ``syncclient.timeout()`` block around them.
    """

    def __init__(self, call: SubmittedCall[R]) -> None:
        super().__init__()
        self._condition: _Condition = _Condition()
        self._call = call
        self._callbacks: list[Callable[[Future[R]], object]] = []
        #: Set once the future is done, by the first of its callbacks.
        self._over = over = Event()
        super().add_done_callback(lambda _: over.set())  # holds no reference to the future

    def cancel(self) -> bool:
        """Cancel the request, unless it is done already. Any thread; does not block."""
        cancelled = super().cancel()
        if cancelled:
            self._call.run.post(self._call.withdraw)
        return cancelled

    def ended(self) -> bool:
        """Return whether it is done. Unlike ``done()``, takes no lock."""
        return self._state in _ENDED

    def result(self, timeout: float | None = None) -> R:
        """Return the result, or raise the error. Blocks for ``timeout`` seconds at most."""
        try:
            error = self.exception(timeout)
            if error is not None:
                raise error
            return cast(R, self._result)
        finally:
            del self  # which holds the error, whose traceback holds this frame
            error = None

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error, or None. Blocks until there is one, ``timeout`` seconds at most.

        Raises:
            concurrent.futures.TimeoutError: it took longer; the request continues.
            DeadlineError: a ``syncclient.timeout()`` block ended first; the request continues.
            concurrent.futures.CancelledError: it was cancelled.
        """
        if not self.ended():
            self._wait(timeout)
        # Without the lock, which a jammed waiter may keep from being released: see ``settle``.
        if self._state != FINISHED:
            raise concurrent.futures.CancelledError
        return self._exception

    def _wait(self, timeout: float | None) -> None:
        run = self._call.run
        if not run.is_ours():
            raise run.death()
        run.refuse_loop_thread("result() of a future", "await asyncio.wrap_future(future) there")
        run.refuse_after_exit()
        block = nearest()
        when = None if block is None else block.when()
        left = None if block is None or when is None else max(0.0, when - time.monotonic())
        late = timeout is None or (left is not None and left < timeout)
        if not in_slices(self._ended_within, run.sleepers, left if late else timeout):
            if late:
                assert block is not None
                raise block.error("waiting for a submitted request")
            raise concurrent.futures.TimeoutError

    def _ended_within(self, seconds: float) -> bool:
        # Both: an interrupt of cancel() may have kept the callbacks from running.
        return self._over.wait(seconds) or self.ended()

    def settle(self, settled: Callable[[], None]) -> None:
        """Run ``settled``, which makes the future done. Never waits on the loop thread.

        A thread that is interrupted inside ``concurrent.futures.wait`` or ``as_completed`` may
        keep the future's lock forever, or one that wakes it. So a worker tells such threads.
        """
        run = self._call.run
        if not run.on_loop_thread():
            self._settle_here(settled)
            return
        if self._condition.acquire(blocking=False):
            waiters = self._waiters
            self._condition.release()
            if not waiters:
                settled()
                return
        run.on_worker(functools.partial(self._settle_here, settled))

    def _settle_here(self, settled: Callable[[], None]) -> None:
        if self._condition.acquire(timeout=_LOCK_LIMIT):
            self._condition.release()
        else:  # an interrupt has kept it from being released, and nothing will
            self._condition = _Condition()
        settled()

    def add_done_callback(self, fn: Callable[[Future[R]], object]) -> None:
        """Call ``fn(future)`` when the future is done; the class says on which thread."""
        super().add_done_callback(functools.partial(self._off_the_loop, fn))

    def _off_the_loop(self, fn: Callable[[Future[R]], object], future: Future[R]) -> None:
        run = self._call.run
        if not run.on_loop_thread() or run.loop.is_closed():
            fn(future)
            return
        self._callbacks.append(fn)
        if len(self._callbacks) == 1:
            # In the next turn, when all are in the list: one worker runs them in order.
            run.loop.call_soon(run.loop.run_in_executor, None, self._call_back)

    def _call_back(self) -> None:
        for fn in self._callbacks:
            try:
                fn(self)
            except BaseException:  # logged, as concurrent.futures does: no caller could get it
                _logger.exception("exception calling callback for %r", self)
        self._callbacks.clear()


class Submission(Generic[R]):
    """The submitter's side of a call. This one lends nothing."""

    #: Whether there is something to give back.
    lends: bool = False

    def give_back(self, error: BaseException | None) -> None:
        """Give it back: the call has ended. Runs in the thread that has run the call's code."""

    def discard(self, result: R) -> None:
        """Close the result: the future was cancelled before it arrived. Never blocks."""


NOTHING: Submission[Any] = Submission()


class SubmittedCall(Call[R]):
    """A call whose outcome goes into a future.

    If the call has a thread, the future is done once that thread has given back what was lent.
    It does not wait for code of the user's that is still running then, and may block.
    """

    def __init__(
        self,
        gate: Gate,
        method: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        submission: Submission[R],
    ) -> None:
        super().__init__(gate, method, args, kwargs, nearest())
        self._submission = submission
        #: The future, until a thread takes it to complete it: pop() is atomic.
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
            future.cancel()  # an interrupt, perhaps after it was posted: no caller has the future
            raise

    # -- the loop thread -------------------------------------------------------------

    def begin(self, context: contextvars.Context) -> None:
        """Start the task, unless the future has been cancelled."""
        if self._future and self._future[0].ended():
            self.fail(asyncio.CancelledError())
        else:
            super().begin(context)

    def withdraw(self) -> None:
        """Cancel the call of a cancelled future; only once, not to disturb the unwinding."""
        if not self._withdrawn:
            self._withdrawn = True
            self.cancel(None)

    async def execute(self, function: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> A:
        """Run ``function`` in the call's own thread, in the context it was submitted in."""
        if self._server is None:
            self._context = contextvars.copy_context()
            self._start_serving()
        return await super().execute(function, *args, **kwargs)

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
            # SystemExit and the like: what an interrupted caller does, but here without one.
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
        # Reset before the loop gets the answer, upon which it may end the call.
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
        try:
            future.settle(functools.partial(self._complete, future, value, error))
        finally:
            del error, future  # the error's traceback holds this frame

    def _complete(
        self, future: CallFuture[R], value: R | None, error: BaseException | None
    ) -> None:
        try:
            if not future.set_running_or_notify_cancel():
                if error is None:
                    self._submission.discard(cast(R, value))
            elif error is None:
                future.set_result(cast(R, value))
            elif isinstance(error, asyncio.CancelledError):
                # The loop has ended, or foreign code cancelled the task.
                future.set_exception(concurrent.futures.CancelledError())
            else:
                future.set_exception(error)
        finally:
            del error, future  # the error's traceback holds this frame
