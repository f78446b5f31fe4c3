"""Many requests at a time: a bounded number in flight, whose results are taken in batches."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, Protocol, TypeVar

from .._deadline import Activity, activity

S = TypeVar("S")
T = TypeVar("T")

#: Seconds that cancelled requests have to unwind.
_UNWIND_LIMIT = 2.0


class Relay(Activity, Protocol):
    """Brings callbacks of the requests to whoever comes for their results."""

    #: How many callbacks wait for somebody to come.
    waiting: int

    def __enter__(self) -> None:
        """The running task takes callbacks from here on."""

    def __exit__(self, *exc_info: object) -> None:
        """It takes no more."""

    def carry(self, error: BaseException) -> None:
        """Make ``error`` ready to be taken away as a result."""


class Feed(Generic[S]):
    """Numbered requests on their way to an AsyncMany.

    It may be filled from elsewhere while the loop takes from it. Each side looks at the
    deque, whose operations are atomic, and at the flag in the opposite order, so neither
    misses the other: ``put`` appends first and looks at ``_hungry`` then, ``take`` sets
    ``_hungry`` first and looks at the deque once more.
    """

    def __init__(self) -> None:
        self._requests: deque[tuple[int, S]] = deque()
        #: Whether somebody has to say when there is something again.
        self._hungry = True

    def put(self, number: int, request: S) -> bool:
        """Add a request; True if ``AsyncMany.begin`` must now be called, on the loop."""
        self._requests.append((number, request))
        if not self._hungry:
            return False
        self._hungry = False
        return True

    def take(self) -> tuple[int, S] | None:
        """Return the next request; None where there is none before the next ``begin``."""
        for _ in range(2):
            try:
                return self._requests.popleft()
            except IndexError:
                self._hungry = True
        return None

    def clear(self) -> None:
        """Drop all requests."""
        self._requests.clear()


class AsyncMany(Generic[S, T]):
    """Requests under way together. Event loop only.

    Args:
        fetch: makes one request and returns its result.
        feed: where the requests come from.
        concurrency: how many may be in flight.
        relay: where the callbacks of the requests go, if they have any.
        forget: called once, when nothing is under way any more, nor ever will be.
    """

    def __init__(
        self,
        fetch: Callable[[S], Awaitable[T]],
        feed: Feed[S],
        concurrency: int,
        *,
        relay: Relay | None = None,
        forget: Callable[[AsyncMany[Any, Any]], None] | None = None,
    ) -> None:
        self._fetch = fetch
        self._feed = feed
        self._concurrency = concurrency
        self._relay = relay
        #: The context of whoever made this: more requests may be begun out of any other.
        self._context = contextvars.copy_context()
        self._forget = forget
        self._workers: set[asyncio.Task[None]] = set()
        # Not len(_workers), which a task leaves only some time after it has ended.
        self._slots_taken = 0
        self._ready: dict[int, T | BaseException] = {}
        self._wanted: int | None = None
        self._waiter: asyncio.Future[None] | None = None
        #: Whether it has been closed or abandoned.
        self.done = False

    def __str__(self) -> str:
        some = "" if self._relay is None else f", such as {self._relay.doing}"
        return f"waiting for the results of {len(self._workers)} requests{some}"

    def begin(self) -> None:
        """Begin with what is in the feed, as far as there is room for it."""
        while not self.done and self._slots_taken < self._concurrency:
            asked = self._feed.take()
            if asked is None:
                return
            self._slots_taken += 1
            # One worker for each slot, not one task for each request: it goes on to the
            # next request by itself.
            worker = self._context.run(asyncio.ensure_future, self._work(*asked))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def results(self, *, wait: bool, wanted: int | None) -> dict[int, T | BaseException]:
        """Return all results that are ready, by number; nothing once this is closed.

        One task at a time.

        Args:
            wait: whether to wait for a result if none is ready.
            wanted: the number whose result to wait for; None waits for any.
        """
        current = activity.get()
        if current is not None:
            current.doing = self
        relay = self._relay
        taking: AbstractContextManager[None] = nullcontext() if relay is None else relay
        with taking:
            if wait:
                await self._until(wanted)
            elif relay is not None and relay.waiting:
                await asyncio.sleep(0)  # they have been told of us, and now they ask
        ready, self._ready = self._ready, {}
        return ready

    async def _until(self, wanted: int | None) -> None:
        while not self.done and not self._enough(wanted):
            self._wanted = wanted
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _enough(self, wanted: int | None) -> bool:
        return bool(self._ready) if wanted is None else wanted in self._ready

    async def _work(self, number: int, request: S) -> None:
        activity.set(self._relay)
        while True:
            try:
                self._ready[number] = await self._fetch(request)
            except BaseException as exc:
                if self.done:  # cancelled
                    return
                # SystemExit and the like, too: they are meant for who made the request.
                self._ready[number] = self._carried(exc)
            if self._enough(self._wanted):
                self._wake()
            asked = self._feed.take()
            if asked is None:
                # At once: the ``begin`` that is asked for now may come before this task ends.
                self._slots_taken -= 1
                return
            number, request = asked

    def _carried(self, error: BaseException) -> BaseException:
        if self._relay is not None:
            # This frame runs on; without the entry for it the others can be cleared.
            traceback = error.__traceback__
            error.__traceback__ = None if traceback is None else traceback.tb_next
            self._relay.carry(error)
        return error

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def abandon(self) -> None:
        """Cancel what is left, without waiting."""
        if self.done:
            return
        self.done = True
        self._feed.clear()
        self._ready.clear()
        for worker in self._workers:
            worker.cancel()
        self._wake()
        if self._forget is not None:
            self._forget(self)

    async def aclose(self) -> None:
        """Cancel what is left, and wait for it to unwind, some seconds at most."""
        workers = list(self._workers)
        self.abandon()
        if workers:
            await asyncio.wait(workers, timeout=_UNWIND_LIMIT)
