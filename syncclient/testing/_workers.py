"""Threads for the code of a server, and their way back to the loop.

The code of a server is separate from the client's: it runs neither in the caller's thread, whose
timeouts have to work while a handler is slow, nor in the caller's context. Each request has its
own thread, so a handler may call a session and wait for other handlers.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar

from .._boundary.loop_run import running_here
from .._boundary.workers import DaemonExecutor

P = ParamSpec("P")
R = TypeVar("R")

#: Seconds that a thread waits for the loop before it checks whether that is still running.
_SLICE = 1.0


class _Outcome(Generic[R]):
    """The outcome of a function, as a value: a SystemExit must not end the loop."""

    __slots__ = ("_error", "_value")

    def __init__(self, function: Callable[[], R]) -> None:
        self._error: BaseException | None = None
        try:
            self._value = function()
        except BaseException as exc:
            self._error = exc

    def get(self) -> R:
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error
        return self._value


class Workers:
    """The threads of one server. Created on the loop thread."""

    def __init__(self) -> None:
        self._run = running_here()
        self._executor = DaemonExecutor(name="syncclient-server")

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``function`` on a thread. If this is cancelled, the thread finishes on its own."""
        context = contextvars.copy_context()

        def work() -> R:
            return context.run(function, *args, **kwargs)

        outcome: _Outcome[R] = await self._run.loop.run_in_executor(self._executor, _Outcome, work)
        return outcome.get()

    def on_loop(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run ``coroutine`` on the loop. Called on one of the threads; blocks it.

        The wait ends with the outcome, or with the end of the loop.
        """
        if not self._run.usable():
            coroutine.close()
            raise ConnectionAbortedError("the loop thread has ended")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._run.loop)
        while True:
            try:
                return future.result(_SLICE)
            except concurrent.futures.CancelledError:
                raise ConnectionAbortedError("the session was closed") from None
            except concurrent.futures.TimeoutError:
                # From Python 3.11 on this is the builtin, which the coroutine may have raised.
                if future.done():
                    return future.result()
                if not self._run.usable():
                    raise ConnectionAbortedError("the loop thread has ended") from None

    def close(self) -> None:
        """Stop the threads without waiting for busy ones. Loop thread only."""
        self._executor.shutdown()
