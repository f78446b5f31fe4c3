"""Run coroutines: in one go for the blocking face, or as a task that starts at once.

Steps that both faces share are written once, as coroutines. A step that may have to wait is an
``async def``. The awaited face awaits it. In the blocking face it awaits functions that block
and never suspend, so it runs to its end in one go.

A step awaits others as ``await step(a, b)``, never with ``*args``: an interrupt of the thread
can hit between that call and the await (and in Python 3.10 after any call).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from itertools import starmap
from operator import methodcaller
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    A = TypeVarTuple("A")
R = TypeVar("R")


def blocking(steps: Callable[[Unpack[A]], Coroutine[Any, Any, R]], /, *args: Unpack[A]) -> R:
    """Run ``steps(*args)``, whose waits all block, and return its result. Blocks as they do."""
    try:
        # Made and started without a step of the interpreter in between, where an interrupt could
        # hit: Python warns of a coroutine that was never started.
        next(map(_START, starmap(steps, (args,))))
    except StopIteration as end:
        result: R = end.value
        return result
    raise RuntimeError("a step of a blocking call was suspended")


_START = methodcaller("send", None)


def start(coroutine: Coroutine[object, object, R]) -> asyncio.Task[R]:
    """Start a task; on Python 3.12 and later it runs to its first suspension at once."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, eager_start=True)
    else:  # without it mypy takes what follows the return for unreachable
        return asyncio.Task(coroutine, loop=loop)
