"""What a middleware keeps for one event loop: its locks and queues are of no use to another."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One value for each event loop, made when it is first asked for there.

    A middleware may serve several sessions, whose loop threads may differ, and after a fork
    it continues in another loop than it began in.

    Args:
        make: returns the value for the running loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, T] = (
            weakref.WeakKeyDictionary()
        )

    def here(self) -> T:
        """Return the value of the running loop."""
        loop = asyncio.get_running_loop()
        value = self._values.get(loop)
        if value is None:
            # Atomic enough: no other thread runs this loop.
            value = self._values[loop] = self._make()
        return value

    def every(self) -> list[T]:
        """Return the values of all loops. Any thread."""
        while True:
            try:
                return list(self._values.values())
            except RuntimeError:  # another loop was added in the meantime
                continue

    def __reduce__(self) -> tuple[object, ...]:
        return PerLoop, (self._make,)
