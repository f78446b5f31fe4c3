"""Many requests at a time: a bounded number in flight, whose results are taken in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from .._deadline import Activity, activity

S = TypeVar("S")
T = TypeVar("T")


class Relay(Activity, Protocol):
    """Brings callbacks of the requests to whoever comes for their results."""

    def __enter__(self) -> None:
        """The running task takes callbacks from here on."""

    def __exit__(self, *exc_info: object) -> None:
        """It takes no more."""


class AsyncMany(Generic[S, T]):
    """Requests under way together. Event loop only.

    Args:
        fetch: makes one request and returns its result.
        concurrency: how many may be in flight.
        relay: where the callbacks of the requests go.
    """

    def __init__(self, fetch: Callable[[S], Awaitable[T]], concurrency: int, relay: Relay) -> None:
        self._fetch = fetch
        self._concurrency = concurrency
        self._relay = relay
        self._pending: deque[tuple[int, S]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._ready: dict[int, T | Exception] = {}
        self._wanted: int | None = None
        self._waiter: asyncio.Future[None] | None = None
        #: Whether it has been closed or abandoned.
        self.done = False

    async def exchange(
        self, requests: Sequence[tuple[int, S]], *, wait: bool, wanted: int | None
    ) -> dict[int, T | Exception]:
        """Take on numbered requests, and return all results that are ready, by number.

        Args:
            requests: what to begin as soon as there is room.
            wait: whether to wait for a result if none is ready.
            wanted: the number whose result to wait for; None waits for any.
        """
        with self._relay:
            self._pending.extend(requests)
            while self._pending and len(self._workers) < self._concurrency:
                # One worker for each slot, not one task for each request: it goes on to
                # the next request by itself.
                worker = asyncio.ensure_future(self._work(*self._pending.popleft()))
                self._workers.add(worker)
                worker.add_done_callback(self._workers.discard)
            while wait and not self._enough(wanted):
                self._wanted = wanted
                self._waiter = asyncio.get_running_loop().create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
        ready, self._ready = self._ready, {}
        return ready

    def _enough(self, wanted: int | None) -> bool:
        return bool(self._ready) if wanted is None else wanted in self._ready

    async def _work(self, number: int, request: S) -> None:
        activity.set(self._relay)
        while True:
            try:
                self._ready[number] = await self._fetch(request)
            except Exception as exc:
                self._ready[number] = exc
            waiter = self._waiter
            if waiter is not None and not waiter.done() and self._enough(self._wanted):
                waiter.set_result(None)
            if not self._pending:
                return
            number, request = self._pending.popleft()

    def abandon(self) -> None:
        """Cancel what is left, without waiting."""
        self.done = True
        self._pending.clear()
        self._ready.clear()
        for worker in self._workers:
            worker.cancel()

    async def aclose(self) -> None:
        """Cancel what is left, and wait for it to unwind."""
        workers = list(self._workers)
        self.abandon()
        if workers:
            await asyncio.wait(workers)
