"""What the application saw: counts that a test can read, and wait for."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Stats:
    """One snapshot. `in_flight` counts the requests being handled now, by path."""

    version: int = 0
    requests: int = 0
    cancelled: int = 0
    connections_opened: int = 0
    connections_open: int = 0
    in_flight: dict[str, int] = field(default_factory=dict)

    @property
    def total_in_flight(self) -> int:
        return sum(self.in_flight.values())


class Journal:
    """Counts connections and requests, and wakes whoever waits for a change. Server's loop only."""

    def __init__(self) -> None:
        self._version = 0
        self._requests = 0
        self._cancelled = 0
        self._opened = 0
        self._in_flight: Counter[str] = Counter()
        # Protocol -> the number of its connection, counted from 1.
        self._connections: dict[object, int] = {}
        self._waiters: set[asyncio.Future[None]] = set()

    def snapshot(self) -> dict[str, Any]:
        """The counts now, as the keyword arguments of `Stats`."""
        return asdict(
            Stats(
                version=self._version,
                requests=self._requests,
                cancelled=self._cancelled,
                connections_opened=self._opened,
                connections_open=len(self._connections),
                in_flight=dict(self._in_flight),
            )
        )

    def connection_number(self, protocol: object) -> int:
        """Which connection since the start this one is; 0 when it is already gone."""
        return self._connections.get(protocol, 0)

    def connection_made(self, protocol: object) -> None:
        self._opened += 1
        self._connections[protocol] = self._opened
        self._changed()

    def connection_lost(self, protocol: object) -> None:
        self._connections.pop(protocol, None)
        self._changed()

    @contextmanager
    def handling(self, path: str) -> Iterator[None]:
        """Count a request as in flight; one whose client went away counts as cancelled."""
        self._requests += 1
        self._in_flight[path] += 1
        self._changed()
        try:
            yield
        except asyncio.CancelledError:
            self._cancelled += 1
            raise
        finally:
            self._in_flight[path] -= 1
            if not self._in_flight[path]:
                del self._in_flight[path]
            self._changed()

    async def wait_newer(self, version: int, timeout: float) -> None:
        """Return when anything has changed since `version`, or after `timeout` seconds."""
        if self._version > version:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=timeout)
        finally:
            self._waiters.discard(waiter)

    def _changed(self) -> None:
        self._version += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
