"""Bodies that the caller reads, ahead of the socket, while it waits for the response.

Files, iterables and buffers may be tied to the caller's thread, and asynchronous iterables to
its event loop; none of them is touched on the loop thread. ``CallerSource`` is read by a blocked
caller's thread, a step at a time, by a reader; ``TaskSource`` by a task of the caller's loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Sequence,
)
from typing import Protocol

from .._async.exchange.source import Chunk, StoppedError, checked_chunk
from .._boundary.caller_task import CallerTask
from .._boundary.loop_run import Waiter
from .._caller import in_caller
from .._coroutines import start

#: How many bytes the reader may be ahead of the loop, which holds as many again: at first, and
#: at most. A crossing costs as much as sending some hundred kilobytes on a fast network.
_AHEAD, _AHEAD_AT_MOST = 2**18, 2**21
#: Bytes read at once.
_BLOCK = 2**18
#: Seconds that the loop gives the reader to get that far, before it wants every chunk at once.
#: Woken by the first chunk, it would only be in the reader's way.
_LINGER = 0.002
#: Seconds of reading after which other jobs for the caller get their turn.
_PATIENCE = 0.02


class Reader(Protocol):
    """Reads a body, step by step. The caller's thread only."""

    #: The number of bytes, if it is known in advance.
    size: int | None
    #: Whether ``rewind`` works.
    replayable: bool

    def read(self) -> bytes | None:
        """Return the next bytes; None at the end."""

    def rewind(self) -> None:
        """Go back to where reading began."""

    def close(self, sent: int) -> None:
        """End the reading, after ``sent`` bytes have been sent."""


class ReadAheadSource:
    """A source that the caller reads, ahead of the socket, while the request is sent.

    The loop asks the caller to read until it is as far ahead as it may be, or at the end. The
    loop takes the bytes that are there at any time, sends them while the reading continues, and
    is woken only if it waits for the next byte. So each batch costs one wake-up in each
    direction, and batches grow until the loop need not wait for them.

    No lock guards the fields: each is written by one side, ``_stopped`` by either, and all of
    them by the reading side in a rewinding, for which the loop waits. ``Waiter`` says why
    neither side misses the other.
    """

    detached = False

    def __init__(self, *, replayable: bool) -> None:
        self.sent = 0
        self.replayable = replayable
        self._chunks: deque[bytes] = deque()
        # Reading side:
        self._pulled = 0
        self._ended = False
        # Loop thread:
        self._taken = 0
        self._ahead = _AHEAD
        self._waiter: Waiter | None = None
        self._stopped = False
        # Whether reading gets far at once. If not, the loop asks for more only when everything is
        # sent, so that other jobs for the caller (a tracer's, for the last chunk) come first.
        self._fast = False
        self._job: asyncio.Task[bool] | None = None

    # -- the reading side ------------------------------------------------------------

    def _put(self, chunk: bytes | None) -> bool:
        """Hand over a chunk, or None at the end; return whether to continue reading."""
        if chunk is None:
            self._ended = True
            return False
        if chunk:
            self._pulled += len(chunk)
            self._chunks.append(chunk)
            waiter = self._waiter
            if waiter is not None:
                waiter.wake()
        return self._pulled - self._taken < self._ahead

    # -- the loop thread -------------------------------------------------------------

    async def _reading(self) -> bool:
        """Ask the caller to read ahead. Return False if it was slow and did not get far."""
        raise NotImplementedError

    async def take(self) -> Sequence[Chunk]:
        """Return the chunks that have been read; wait only if there are none."""
        while True:
            if self._stopped:
                raise StoppedError
            job = self._job
            if job is not None and job.done():
                self._job = None
                self._fast = job.result()
            taken = [self._chunks.popleft() for _ in range(len(self._chunks))]
            self._taken += sum(map(len, taken))
            if self._job is None and not self._ended and (self._fast or not taken):
                self._job = start(self._reading())
            if taken or self._job is None:
                return taken
            if self._fast and self._ahead < _AHEAD_AT_MOST:
                self._ahead *= 2  # the last batch was sent before the next was there
            await self._wait(self._job)

    async def _wait(self, job: asyncio.Task[bool]) -> None:
        waiter = Waiter()
        job.add_done_callback(waiter.wake_here)
        linger = asyncio.get_running_loop().call_later(_LINGER, self._publish, waiter)
        try:
            if not job.done():
                await waiter.wait()
        finally:
            linger.cancel()
            self._waiter = None

    def _publish(self, waiter: Waiter) -> None:
        self._waiter = waiter
        if self._chunks:
            waiter.wake_here()

    async def restart(self) -> None:
        """Go back to where reading began."""
        raise NotImplementedError

    def drop(self, reason: Exception | None) -> None:
        """Stop the reading, without waiting for the step that is under way."""
        self._stopped = True
        self._let_go()

    def _let_go(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.add_done_callback(_look_at)
            job.cancel()


class CallerSource(ReadAheadSource):
    """A source that the thread of the blocked caller reads.

    It reads in a job of the loop's (``in_caller``), and then returns to its wait, where
    everything can wake it.
    """

    def __init__(self, reader: Reader) -> None:
        super().__init__(replayable=reader.replayable)
        self._reader = reader

    # -- the caller's thread ---------------------------------------------------------

    def begin(self) -> None:
        """Do nothing: reading begins when the loop asks for it."""

    def close(self, error: BaseException | None) -> None:
        """End the reading: the call is over."""
        self._stopped = True
        self._reader.close(self.sent)

    def _fill(self) -> bool:
        give_up = time.monotonic() + _PATIENCE
        while not self._stopped and self._put(self._reader.read()):
            if time.monotonic() > give_up:
                return False
        return True

    def _rewind(self) -> None:
        self._reader.rewind()
        self._chunks.clear()
        self._pulled = self._taken = 0
        self._ended = self._stopped = False

    # -- the loop thread -------------------------------------------------------------

    async def _reading(self) -> bool:
        return await in_caller(self._fill)

    async def restart(self) -> None:
        """Go back to where reading began."""
        self._stopped = True  # stops the reading under way, after which ``_rewind`` runs
        self._let_go()
        await in_caller(self._rewind)


class TaskSource(ReadAheadSource):
    """A source that a task of the caller's loop reads from an asynchronous iterable.

    The iterable may be bound to that loop. Everything runs in one task, which lives as long as
    the call, the closing of a generator included.
    """

    def __init__(self, task: CallerTask, data: AsyncIterable[object]) -> None:
        super().__init__(replayable=False)
        self._task = task
        task.helpers.append(self)
        self._data = data
        self._iterator: AsyncIterator[object] | None = None

    # -- the caller's loop -----------------------------------------------------------

    async def _fill(self) -> bool:
        if self._iterator is None:
            self._iterator = self._data.__aiter__()
        give_up = time.monotonic() + _PATIENCE
        while not self._stopped and self._put(await self._read(self._iterator)):
            if time.monotonic() > give_up:
                return False
        return True

    async def _read(self, iterator: AsyncIterator[object]) -> bytes | None:
        try:
            chunk = await iterator.__anext__()
        except StopAsyncIteration:
            return None
        return checked_chunk(chunk, "the iterator")

    async def aclose(self) -> None:
        """Stop reading, and close a generator: the call is over."""
        self._stopped = True
        iterator, self._iterator = self._iterator, None
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()

    # -- the loop thread -------------------------------------------------------------

    async def _reading(self) -> bool:
        return await self._task.execute(self._fill)


def _look_at(job: asyncio.Task[bool]) -> None:
    """Retrieve an error that no longer matters, so that asyncio does not log it."""
    if not job.cancelled():
        job.exception()


class IterableReader:
    """Reads the bytes of an iterable. A generator is closed at the end."""

    size: int | None = None
    replayable = False

    def __init__(self, data: Iterable[object]) -> None:
        self._iterator = iter(data)

    def read(self) -> bytes | None:
        try:
            chunk = next(self._iterator)
        except StopIteration:
            return None
        return checked_chunk(chunk, "the iterator")

    def rewind(self) -> None:
        raise NotImplementedError

    def close(self, sent: int) -> None:
        if isinstance(self._iterator, Generator):
            self._iterator.close()


class BufferReader:
    """Reads memory, which may change once the call is over, or be a mapped file."""

    replayable = True

    def __init__(self, view: memoryview) -> None:
        self.size: int | None = view.nbytes
        self._view = view
        self._position = 0

    def read(self) -> bytes | None:
        block = bytes(self._view[self._position : self._position + _BLOCK])
        self._position += len(block)
        return block or None

    def rewind(self) -> None:
        self._position = 0

    def close(self, sent: int) -> None:
        self._view.release()
