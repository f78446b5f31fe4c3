"""Run coroutines: in one go for the blocking face, or as a task that starts at once.

Steps that both faces share are written once, as coroutines. A step that may have to wait is an
``async def``. The awaited face awaits it. In the blocking face it awaits functions that block
and never suspend, so it runs to its end in one go.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def blocking(steps: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run ``steps(...)``, whose waits all block, and return its result. Blocks as they do."""
    try:
        # One line, so that no interrupt hits between the two: Python warns of a coroutine that
        # was never started.
        steps(*args, **kwargs).send(None)
    except StopIteration as end:
        result: R = end.value
        return result
    raise RuntimeError("a step of a blocking call was suspended")


def start(coroutine: Coroutine[object, object, R]) -> asyncio.Task[R]:
    """Start a task; on Python 3.12 and later it runs to its first suspension at once."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, eager_start=True)
    else:  # without it mypy takes what follows the return for unreachable
        return asyncio.Task(coroutine, loop=loop)
