"""Bodies that the caller's own thread reads while it waits for the response.

Files, iterables and buffers may be tied to that thread, and no file is ever touched on
the loop thread. ``CallerSource`` has them read; the readers say what one step of it is.
``ReadAhead`` is what it has in common with a source that is read in another event loop.
"""

from __future__ import annotations

import asyncio
import io
import os
import stat
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from typing import Any, Protocol, cast

from ._async.source import Chunk, StoppedError, checked_chunk
from ._async.ws_engine import start
from ._call import in_caller
from ._waiter import Waiter

#: Bytes the caller's thread may be ahead of the loop, which holds as many again: at first,
#: and at most. A crossing costs as much as sending some hundred kilobytes on a fast network.
_AHEAD, _AHEAD_AT_MOST = 2**18, 2**21
#: Bytes read at once.
_BLOCK = 2**18
#: Seconds the loop waits for reading to get that far, before it asks for every chunk at once:
#: woken by the first, it would only be in the reader's way.
_LINGER = 0.002
#: Seconds of reading after which other jobs that the loop has for the caller get their turn.
PATIENCE = 0.02


class Reader(Protocol):
    """One way to read a body, step by step. The caller's thread only."""

    #: How many bytes there are, where that is known beforehand.
    size: int | None
    #: Whether ``rewind`` works.
    replayable: bool

    def read(self) -> bytes | None:
        """Return the next bytes; None at the end."""

    def rewind(self) -> None:
        """Go back to where reading began."""

    def close(self, sent: int) -> None:
        """Reading is over, and ``sent`` bytes have gone out."""


class ReadAhead:
    """A source that is read elsewhere, ahead of the socket, while its request is sent.

    The loop has it read until as much is ahead as may be, or there is no more. It takes what
    is there at any time, sends it while the reading goes on, and is woken only where it
    waits for the next byte. That is one waking in each direction for each batch, and batches
    grow until the loop need not wait for them.

    No lock guards the fields: each is written by one side, ``_stopped`` by either, and all by
    the reading side in a rewinding, while the loop waits for it. ``Waiter`` says why neither
    side misses the other.
    """

    detached = False

    def __init__(self, *, replayable: bool) -> None:
        self.sent = 0
        self.replayable = replayable
        self._chunks: deque[bytes] = deque()
        # Where it is read:
        self._pulled = 0
        self._ended = False
        # Loop thread:
        self._taken = 0
        self._ahead = _AHEAD
        self._waiter: Waiter | None = None
        self._stopped = False
        # Whether reading gets far at once; if not, it is asked for when all is sent, so that
        # other jobs for the caller (a tracer's, about the last chunk) come first.
        self._fast = False
        self._job: asyncio.Task[bool] | None = None

    # -- where it is read ------------------------------------------------------------

    def _put(self, chunk: bytes | None) -> bool:
        """Hand over what was read, None at the end; tell whether to read on."""
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
        """Have it read ahead. Return False if that took long, without getting far."""
        raise NotImplementedError

    async def take(self) -> Sequence[Chunk]:
        """Return what has been read; wait for it only where there is nothing."""
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
                self._ahead *= 2  # what there was has gone out before there was more
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
        """Have no more read. A step of reading that is under way is not waited for."""
        self._stopped = True
        self._let_go()

    def _let_go(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.add_done_callback(_look_at)
            job.cancel()


class CallerSource(ReadAhead):
    """A source that the thread of the blocked caller reads.

    It reads on a job for the loop (``in_caller``), and goes back then to its wait, where
    everything can wake it.
    """

    def __init__(self, reader: Reader) -> None:
        super().__init__(replayable=reader.replayable)
        self._reader = reader

    # -- the caller's thread ---------------------------------------------------------

    def begin(self) -> None:
        """Nothing to do: reading begins when the loop asks for it."""

    def close(self, error: BaseException | None) -> None:
        """End the reading: the call is over."""
        self._stopped = True
        self._reader.close(self.sent)

    def _fill(self) -> bool:
        give_up = time.monotonic() + PATIENCE
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
        self._stopped = True  # for the reading that is under way; ``_rewind`` comes after it
        self._let_go()
        await in_caller(self._rewind)


def _look_at(job: asyncio.Task[bool]) -> None:
    """Have asyncio not log an error that came too late to matter."""
    if not job.cancelled():
        job.exception()


class IterableReader:
    """Reads what an iterable yields. A generator is closed in the end."""

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
    """Copies from memory that may change once the call is over, or be a mapped file."""

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


class Readable(Protocol):
    """All that is asked of a file."""

    def read(self, size: int, /) -> bytes | None: ...


class FileReader:
    """Reads a binary file from where it stands; it stays open, after the bytes sent."""

    def __init__(self, file: Readable) -> None:
        if getattr(file, "closed", False):
            raise ValueError("data is a file that is closed")
        readable = getattr(file, "readable", None)
        if readable is not None and not readable():
            raise ValueError("data is a file that is not open for reading: open it with 'rb'")
        self._file = file
        self._start = _position(file)
        self.replayable = self._start is not None
        self.size = None if self._start is None else _bytes_left(file, self._start)
        self._left = self.size
        # A pipe gives what is there, where read() would wait for a whole block.
        self._read = file.read if self.size is not None else getattr(file, "read1", file.read)

    def read(self) -> bytes | None:
        if self._left is None:
            chunk = self._read(_BLOCK)
        elif self._left:
            chunk = self._read(min(_BLOCK, self._left))
        else:
            return None
        if chunk is None:
            raise BlockingIOError("data is a file in non-blocking mode, and has nothing to read")
        block = checked_chunk(chunk, "the file")
        if self._left is not None:
            self._left -= len(block)
        return block or None

    def rewind(self) -> None:
        assert self._start is not None
        cast(Any, self._file).seek(self._start)
        self._left = self.size

    def close(self, sent: int) -> None:
        """Put the file behind the bytes sent: reading ran ahead of the socket."""
        if self._start is not None and not getattr(self._file, "closed", False):
            behind = self._start + sent
            if _position(self._file) != behind:
                cast(Any, self._file).seek(behind)


def _position(file: object) -> int | None:
    """Return where a file stands, or None where it cannot go back there."""
    seekable = getattr(file, "seekable", None)
    if seekable is not None and not seekable():
        return None
    try:
        position = cast(Any, file).tell()
    except (AttributeError, OSError):
        return None
    return position if isinstance(position, int) and hasattr(file, "seek") else None


def _bytes_left(file: Any, position: int) -> int | None:
    """Return how many bytes a seekable file has from ``position`` on, where that costs nothing."""
    raw = getattr(getattr(file, "file", file), "raw", file)
    if isinstance(raw, io.FileIO):
        status = os.fstat(raw.fileno())
        if not stat.S_ISREG(status.st_mode):
            return None
        if not status.st_size and file.read(1):  # what the kernel makes up has no size (/proc)
            file.seek(position)
            return None
        return max(0, status.st_size - position)
    if type(file).__module__ in _DECOMPRESSING:
        return None
    try:
        end = file.seek(0, os.SEEK_END)
        if end is None:  # mmap, before Python 3.13
            end = file.tell()
    except (OSError, ValueError):
        end = None
    file.seek(position)
    return None if end is None else max(0, end - position)


#: Their files know where they end only when they have decompressed it all.
_DECOMPRESSING = frozenset({"gzip", "bz2", "lzma", "zipfile"})
