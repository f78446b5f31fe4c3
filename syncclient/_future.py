"""Calls that nobody is blocked on: futures, and many requests behind one caller.

==========================  ======================  =====================================
what                        thread                  may block
==========================  ======================  =====================================
SubmittedCall.submit        the caller's            never
CallFuture.cancel           any                     never
CallFuture's done callbacks a worker thread         as the user's code does
Relay.ask                   loop thread (a task)    awaits a caller that takes the job
==========================  ======================  =====================================
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from typing import ParamSpec, TypeVar, cast

from ._call import Call
from ._deadline import Activity, activity

P = ParamSpec("P")
R = TypeVar("R")
A = TypeVar("A")

_logger = logging.getLogger("syncclient")


class CallFuture(Future[R]):
    """The future of a submitted request: a real one, for ``wait`` and ``as_completed``.

    ``cancel()`` cancels the request on the wire. Callbacks run on a worker thread, or at
    once in the caller's if the future is done: never on the loop thread, which they
    could hold up.
    """

    _call: SubmittedCall[R]

    def cancel(self) -> bool:
        """Cancel the request, unless it is done already. Any thread; does not block."""
        cancelled = super().cancel()
        if cancelled:
            self._call.run.post(self._call.cancel, None)
        return cancelled

    def add_done_callback(self, fn: Callable[[Future[R]], object]) -> None:
        """Have ``fn(future)`` called when the future is done; see the class for where."""
        super().add_done_callback(functools.partial(self._off_the_loop, fn))

    def _off_the_loop(self, fn: Callable[[Future[R]], object], future: Future[R]) -> None:
        run = self._call.run
        if run.on_loop_thread():
            # Nobody awaits this; _call_back tells what goes wrong.
            _ = run.loop.run_in_executor(None, _call_back, fn, future)
        else:
            fn(future)


def _call_back(fn: Callable[[Future[R]], object], future: Future[R]) -> None:
    try:
        fn(future)
    except Exception:  # as concurrent.futures does it: there is nobody to raise it to
        _logger.exception("exception calling callback for %r", future)


class SubmittedCall(Call[R]):
    """A call whose outcome goes into a future."""

    __slots__ = ("future",)

    def submit(self) -> CallFuture[R]:
        """Cross, and return the future of the result at once."""
        self.future: CallFuture[R] = CallFuture()
        self.future._call = self
        self.run.submit(self)
        return self.future

    def _notify(self) -> None:
        # Called for a job as well, but ask() below queues none.
        if self.run.exiting:
            return
        error, self._error = self._error, None
        value, self._value = self._value, None
        try:
            if isinstance(error, asyncio.CancelledError):
                self.future.cancel()
            elif error is not None:
                self.future.set_exception(error)
            else:
                self.future.set_result(cast(R, value))
        except InvalidStateError:
            pass  # cancelled by its owner in the meantime

    async def ask(self, function: Callable[P, A], /, *args: P.args, **kwargs: P.kwargs) -> A:
        """Run ``function`` on a worker thread in the caller's context: no caller is blocked."""
        context = contextvars.copy_context()
        job = functools.partial(context.run, functools.partial(function, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(None, job)


class Relay:
    """Passes callbacks of tasks that outlive a call on to whichever call is waiting.

    One caller comes again and again for results of the same tasks; a callback that is
    due between two of its calls waits for the next. Loop thread only.
    """

    def __init__(self) -> None:
        self.doing: object = ""
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
            await self._arrived.wait()
        return await self._asker.ask(function, *args, **kwargs)
