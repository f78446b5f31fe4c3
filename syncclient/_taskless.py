"""Coroutines that start without a task.

For a small request, a task, the future that it waits for and the turn of the loop between them
cost more than the crossing. So a call whose method is ``taskless`` is run by hand
(``_boundary/stepper.py``) as long as it awaits only a ``Wait``, which wakes it directly: a
request on an idle connection. If the coroutine suspends in any other way, it gets a task. Code
that needs the running task before it suspends, such as a timeout of asyncio or anyio, first
awaits ``on_task()``.
"""

from __future__ import annotations

from asyncio import current_task
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Wait:
    """Something that a coroutine without a task can await, one coroutine at a time.

    Event loop only. Code in a task must not await it.
    """

    __slots__ = ()

    def __await__(self) -> Generator[Wait, None, None]:
        yield self

    def notify(self, callback: Callable[[], object] | None) -> None:
        """Call ``callback`` once, as soon as the wait is over; None cancels that."""
        raise NotImplementedError


class _NeedsTask:
    __slots__ = ()

    def __await__(self) -> Generator[_NeedsTask, None, None]:
        if current_task() is None:
            yield self


NEEDS_TASK = _NeedsTask()


def on_task() -> Awaitable[None]:
    """Continue in a task. Does nothing if one is running."""
    return NEEDS_TASK


def taskless(method: F) -> F:
    """Mark a method whose coroutine may start without a task: it awaits ``on_task`` in time."""
    method.__dict__["taskless"] = True
    return method
