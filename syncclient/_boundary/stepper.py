"""Runs the coroutine of a call without a task, as long as it needs none.

See ``_taskless``. Once something needs the task, to wait for it or to cancel it, an asyncio.Task
continues the coroutine. All of this runs on the loop thread.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Coroutine, Generator, Iterable
from contextvars import Context
from functools import partial
from typing import Any

from .._taskless import NEEDS_TASK, Wait


def start_task(
    coroutine: Coroutine[Any, Any, None],
    context: Context,
    loop: asyncio.AbstractEventLoop,
    name: str,
) -> asyncio.Task[None]:
    """Return a task for ``coroutine``; from Python 3.12 on it runs to its first wait at once."""
    if sys.version_info >= (3, 12):
        # Saves every call an iteration of the loop.
        task = asyncio.Task(coroutine, loop=loop, name=name, context=context, eager_start=True)
    else:
        task = context.run(asyncio.Task, coroutine, loop=loop, name=name)
    return task


class Stepper:
    """A coroutine that is run by hand until it ends or needs a task.

    Args:
        coroutine: not yet started; it catches all errors inside it.
        context: the context that it runs in.
        loop: the loop of this thread.
        name: the name of the task, if there has to be one.
    """

    __slots__ = ("_context", "_coroutine", "_loop", "_name", "_send", "_task", "_wait")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, None],
        context: Context,
        loop: asyncio.AbstractEventLoop,
        name: str,
    ) -> None:
        self._coroutine = coroutine
        self._send = coroutine.send
        self._context = context
        self._loop = loop
        self._name = name
        #: What the coroutine waits for while there is no task.
        self._wait: Wait | None = None
        self._task: asyncio.Task[None] | None = None

    def step(self) -> None:
        """Run the coroutine up to its next wait, or to its end."""
        self._wait = None
        if asyncio.current_task() is not None:
            # Woken by another task, which the coroutine would take for its own.
            self._continue_in_task(())
            return
        try:
            awaited: Any = self._context.run(self._send, None)
        except StopIteration:
            return
        if isinstance(awaited, Wait):
            self._wait = awaited
            awaited.notify(self.step)
        else:
            self._continue_in_task(() if awaited is NEEDS_TASK else (awaited,))

    def task(self) -> asyncio.Task[None] | None:
        """Return the task that runs the coroutine, made now if it waits without one."""
        wait = self._wait
        if wait is not None and not self._loop.is_closed():
            self._wait = None
            over = self._loop.create_future()
            wait.notify(partial(_set, over))
            self._continue_in_task(over)
        return self._task

    def _continue_in_task(self, first: Iterable[Any]) -> None:
        # The task has a context of its own, and steps the coroutine in the one that it began in:
        # before Python 3.11 a task always runs in a copy, where no variable can be reset.
        coroutine = _awaited(self._coroutine, self._context, first)
        self._task = start_task(coroutine, self._context.copy(), self._loop, self._name)


def _set(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


async def _awaited(
    coroutine: Coroutine[Any, Any, None], context: Context, first: Iterable[Any]
) -> None:
    """Await a coroutine that has been started in ``context``, and waits for ``first``."""
    await _continued(coroutine, context, first)


@types.coroutine
def _continued(
    coroutine: Coroutine[Any, Any, None], context: Context, first: Iterable[Any]
) -> Generator[Any, Any, None]:
    failure: BaseException | None = None
    try:
        try:
            yield from first
        except BaseException as exc:
            failure = exc
        while True:
            # Outside the except clause, so that errors of the coroutine have their own context.
            if failure is None:
                awaited = context.run(coroutine.send, None)
            else:
                try:
                    awaited = context.run(coroutine.throw, failure)
                finally:
                    failure = None
            try:
                yield awaited
            except BaseException as exc:
                failure = exc
    except StopIteration:
        pass
