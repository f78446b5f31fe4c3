"""Many requests at a time: a limited number in flight, with results taken in batches."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, TypeVar

from .._caller import ReturningCaller, current_caller, note_doing

S = TypeVar("S")
T = TypeVar("T")

#: Seconds that cancelled requests have to unwind.
_UNWIND_LIMIT = 2.0


class BatchFeed(Generic[S]):
    """Numbered requests for an AsyncMany.

    Another thread may fill it while the loop takes from it. The two sides use the deque, whose
    operations are atomic, and the flag in opposite orders, so neither misses the other: ``put``
    first appends and then looks at ``_hungry``; ``take`` first sets ``_hungry`` and then looks at
    the deque again.
    """

    def __init__(self) -> None:
        self._requests: deque[tuple[int, S]] = deque()
        #: Whether the next ``put`` has to be followed by ``AsyncMany.begin``.
        self._hungry = True

    def put(self, number: int, request: S) -> bool:
        """Add a request; True if ``AsyncMany.begin`` must now be called, on the loop."""
        self._requests.append((number, request))
        if not self._hungry:
            return False
        self._hungry = False
        return True

    def take(self) -> tuple[int, S] | None:
        """Return the next request; None if there is none until the next ``begin``."""
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
    """Requests that run at the same time. Event loop only.

    Args:
        fetch: makes one request and returns its result.
        feed: the source of the requests.
        concurrency: maximum number of requests in flight.
        caller: runs the callbacks of the requests, if they have any.
        forget: called once, at the end.
    """

    def __init__(
        self,
        fetch: Callable[[S], Awaitable[T]],
        feed: BatchFeed[S],
        concurrency: int,
        *,
        caller: ReturningCaller | None = None,
        forget: Callable[[AsyncMany[Any, Any]], None] | None = None,
    ) -> None:
        self._fetch = fetch
        self._feed = feed
        self._concurrency = concurrency
        self._caller = caller
        #: The maker's context; later requests may be begun in any other.
        self._context = contextvars.copy_context()
        self._forget = forget
        self._workers: set[asyncio.Task[None]] = set()
        # Not len(_workers), which a task leaves some time after it has ended.
        self._slots_taken = 0
        self._ready: dict[int, T | BaseException] = {}
        self._wanted: int | None = None
        self._waiter: asyncio.Future[None] | None = None
        #: Whether it has been closed or abandoned.
        self.done = False

    def __str__(self) -> str:
        some = "" if self._caller is None else f", such as {self._caller.doing}"
        return f"waiting for the results of {self._slots_taken} requests{some}"

    def begin(self) -> None:
        """Begin the requests in the feed, as many as there are free slots."""
        while not self.done and self._slots_taken < self._concurrency:
            asked = self._feed.take()
            if asked is None:
                return
            self._slots_taken += 1
            # One worker for each slot, not one task for each request: it takes the next request
            # by itself.
            worker = self._context.run(asyncio.ensure_future, self._work(*asked))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def results(self, *, wait: bool, wanted: int | None) -> dict[int, T | BaseException]:
        """Return all results that are ready, by number; none once this is closed.

        One task at a time.

        Args:
            wait: whether to wait for a result if none is ready.
            wanted: the number whose result to wait for; None waits for any.
        """
        note_doing(self)
        caller = self._caller
        taking: AbstractContextManager[None] = nullcontext() if caller is None else caller
        with taking:
            if wait:
                await self._until(wanted)
            elif caller is not None and caller.waiting:
                await asyncio.sleep(0)  # so that the waiting callbacks reach this caller
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
        current_caller.set(self._caller)
        while True:
            try:
                self._ready[number] = await self._fetch(request)
            except BaseException as exc:
                if self.done:  # cancelled
                    return
                # SystemExit and the like too: they go to the maker of the request.
                self._ready[number] = self._carried(exc)
            if self._enough(self._wanted):
                self._wake()
            asked = self._feed.take()
            if asked is None:
                # At once: the ``begin`` that is now due may come before this task ends.
                self._slots_taken -= 1
                return
            number, request = asked

    def _carried(self, error: BaseException) -> BaseException:
        if self._caller is not None:
            # This frame is still running; the others can be cleared without its entry.
            traceback = error.__traceback__
            error.__traceback__ = None if traceback is None else traceback.tb_next
            self._caller.carry(error)
        return error

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def abandon(self) -> None:
        """Cancel the remaining requests, without waiting."""
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
        """Cancel the remaining requests, and wait a few seconds at most for them to unwind."""
        workers = list(self._workers)
        self.abandon()
        if workers:
            await asyncio.wait(workers, timeout=_UNWIND_LIMIT)
