"""Total timeouts of many exchanges by few timers of the loop: one for each length of time.

A timer of the loop for each request costs more than all else that its timeout needs, and next to
none of them ever strikes.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from aiohttp.helpers import TimerContext

#: So many lengths have a timer in common. A program that computes its timeouts has no end of them.
_LENGTHS = 16
#: uvloop counts in milliseconds, and may come early by one.
_TICK = 0.001


class Awaited(Protocol):
    """What an exchange waits for."""

    def set_exception(self, exc: BaseException) -> None:
        """End the wait with an error."""


class TotalTimer(TimerContext):
    """aiohttp's timer of one request. It cancels tasks that wait within its ``with`` block.

    Args:
        loop: the running loop.
        group: strikes it.
    """

    __slots__ = ("_group", "awaited")

    def __init__(self, loop: asyncio.AbstractEventLoop, group: _Group) -> None:
        super().__init__(loop)
        self._group = group
        #: What gets the TimeoutError where the wait is not within a ``with`` block.
        self.awaited: Awaited | None = None

    def stop(self) -> None:
        """End it before its time. May be called again."""
        self._group.stop(self)

    def timeout(self) -> None:
        """Strike."""
        awaited, self.awaited = self.awaited, None
        if awaited is not None:
            awaited.set_exception(asyncio.TimeoutError())
        super().timeout()


class _Group:
    """The running timers of one length, the first to strike before the others."""

    __slots__ = ("_loop", "_shared", "ringing", "timers")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, shared: bool) -> None:
        self._loop = loop
        self._shared = shared
        #: A dict for its order: each is taken out when it stops, wherever it stands.
        self.timers: dict[TotalTimer, float] = {}
        self.ringing: asyncio.TimerHandle | None = None

    def stop(self, timer: TotalTimer) -> None:
        self.timers.pop(timer, None)
        if not self._shared:
            self.cancel()

    def cancel(self) -> None:
        if self.ringing is not None:
            self.ringing.cancel()
            self.ringing = None

    def strike(self) -> None:
        """End the exchanges whose time is over."""
        self.ringing = None
        while self.timers:
            timer, when = next(iter(self.timers.items()))
            left = when - time.monotonic()
            if left > 0:
                self.ringing = self._loop.call_later(max(left, _TICK), self.strike)
                return
            del self.timers[timer]
            timer.timeout()


class Clock:
    """Makes the timers of one session."""

    __slots__ = ("_groups", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._groups: dict[float, _Group] = {}

    def start(self, total: float) -> TotalTimer:
        """Return a timer that strikes in ``total`` seconds."""
        group = self._groups.get(total)
        if group is None:
            shared = len(self._groups) < _LENGTHS
            group = _Group(self._loop, shared=shared)
            if shared:
                self._groups[total] = group
        timer = TotalTimer(self._loop, group)
        group.timers[timer] = time.monotonic() + total
        if group.ringing is None:
            group.ringing = self._loop.call_later(total, group.strike)
        return timer

    def close(self) -> None:
        """Drop the timers of the loop; no exchange is running any more."""
        for group in self._groups.values():
            group.cancel()
