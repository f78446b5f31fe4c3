"""RateLimit: a limit on the number of requests in a period, in total and for each host.

It does not use aiolimiter, whose leaky bucket lets twice the limit pass within one period, which
servers that count requests per window penalise; it serves one event loop, and has no limits per
host.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..connect.per_loop import PerLoop
from ..exchange.progress import Phase, enter

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse


class RateLimit:
    """An aiohttp middleware: at most ``requests`` requests start in any ``period``.

    Further requests wait on the loop thread, first come, first served, while their own timeouts
    run; thousands can wait, and each can be cancelled. The limit applies to all sessions and
    threads that share it, and counts every hop of a redirect and every attempt made by earlier
    middlewares. Sessions with different ``loop_thread`` arguments, and forked children, count
    separately.

    Args:
        requests: how many requests may start in a period; None sets no total limit.
        period: length of the period in seconds.
        per_host: how many requests to one host may start in a period; None sets no limit.
    """

    def __init__(
        self, requests: int | None, period: float = 1.0, *, per_host: int | None = None
    ) -> None:
        _check_count("requests", requests)
        _check_count("per_host", per_host)
        if requests is None and per_host is None:
            raise ValueError("a RateLimit needs a limit: write requests or per_host=")
        if isinstance(period, bool) or not isinstance(period, (int, float)):
            raise TypeError(f"period must be a number of seconds, not {type(period).__name__}")
        if not 0 < period < float("inf"):
            raise ValueError(f"period must be more than 0 seconds, and finite, not {period}")
        self._requests = requests
        self._period = float(period)
        self._per_host = per_host
        self._windows: PerLoop[_Windows] = PerLoop(
            partial(_Windows, requests, per_host, self._period)
        )

    def __repr__(self) -> str:
        per_host = "" if self._per_host is None else f", per_host={self._per_host}"
        return f"RateLimit({self._requests}, {self._period:g}{per_host})"

    @property
    def waiting(self) -> int:
        """The number of requests that wait for their turn. Any thread."""
        return sum(windows.waiting for windows in self._windows.every())

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send the request on, once the limit allows it."""
        enter(Phase.MIDDLEWARE, "waiting for the rate limit")
        await self._windows.here().enter(request.url.raw_host or "")
        enter(Phase.HEAD)
        return await handler(request)


def _check_count(name: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number or None, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, or None, not {value}")


class _Windows:
    """The limits on one event loop."""

    def __init__(self, overall: int | None, per_host: int | None, period: float) -> None:
        self._overall = None if overall is None else _Window(overall, period)
        self._per_host = per_host
        self._period = period
        self._hosts: dict[str, _Window] = {}
        self.waiting = 0

    async def enter(self, host: str) -> None:
        """Wait until a request to ``host`` may begin, and count it."""
        self.waiting += 1
        held: list[_Window] = []
        try:
            # The host first, so that waiting for one host does not delay the others.
            for window in (self._host(host), self._overall):
                if window is not None:
                    await window.take()
                    held.append(window)
        except BaseException:
            for window in held:
                window.give_back()
            raise
        finally:
            self.waiting -= 1
        for window in held:
            window.begun()

    def _host(self, host: str) -> _Window | None:
        if self._per_host is None:
            return None
        window = self._hosts.get(host)
        if window is None:
            window = _Window(self._per_host, self._period, partial(self._hosts.pop, host, None))
            self._hosts[host] = window
        return window


class _Window:
    """A number of permits, each of which returns one period after its request has begun."""

    def __init__(
        self, most: int, period: float, on_idle: Callable[[], object] | None = None
    ) -> None:
        self._most = most
        #: Called whenever no permit is in use any more.
        self._on_idle = on_idle
        self._free = most
        self._period = period
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[asyncio.Future[None]] = deque()
        #: When the permits in use return, the first one first.
        self._due: deque[float] = deque()

    async def take(self) -> None:
        """Take a permit, in turn."""
        if self._free:
            self._free -= 1
            return
        future = self._loop.create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # it has just got the permit
                self.give_back()
            raise

    def give_back(self) -> None:
        """Return a permit that was not used, or whose period is over."""
        # Skips cancelled waits here, since searching for each would take too long.
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self._free += 1
        if self._free == self._most and self._on_idle is not None:
            self._on_idle()

    def begun(self) -> None:
        """Return the permit after one period: the request begins now."""
        self._due.append(self._loop.time() + self._period)
        if len(self._due) == 1:
            self._loop.call_at(self._due[0], self._expire)

    def _expire(self) -> None:
        now = self._loop.time()
        while self._due and self._due[0] <= now:
            self._due.popleft()
            self.give_back()
        if self._due:
            self._loop.call_at(self._due[0], self._expire)
