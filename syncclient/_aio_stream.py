"""AioStreamReader: the body of a response as it comes, for a task of any event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from ._async.stream import ALL
from ._body_reader import BodyReader, Fill, Steps, filling
from ._exceptions import LoopThreadError, SessionClosedError

T = TypeVar("T")


class AioStreamReader(BodyReader):
    """The body of a response, awaited. ``AioResponse.content``; never made by hand.

    aiohttp's StreamReader. Every read takes what is on this side first, and then does not
    suspend; under trio, such a read is no checkpoint. Where there is nothing it crosses to
    the loop thread and waits, and what has arrived there comes over at once. What is not
    read stays on the wire, with backpressure.

    Tasks of any loop may read, one at a time: while one waits, the reads of another raise
    RuntimeError. Cancelling a read that waits leaves the stream as it was: the next read
    goes on from there, and no byte is lost. A fault of the body is raised after the bytes
    before it have been read, and by every read from then on.
    """

    _other = "another task"

    async def read(self, n: int = -1) -> bytes:
        """Return up to ``n`` bytes, at least one unless at the end; all of them if ``n`` is -1."""
        if n < 0:
            return await self._read_all(filling(ALL))
        if self._waiting:
            self._refuse()
        if n and not self._inbox:
            await self._fill_here()
        return self._inbox.cut(n)

    async def readany(self) -> bytes:
        """Return everything that is on this side; if there is nothing, what comes next."""
        if self._waiting:
            self._refuse()
        if not self._inbox:
            await self._fill_here()
        return self._inbox.cut(ALL)

    async def readexactly(self, n: int) -> bytes:
        """Return ``n`` bytes. Raises asyncio.IncompleteReadError where the body has fewer."""
        if self._waiting:
            self._refuse()
        return await self._walk(self._exactly(n))

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        """Return a line with its newline; at the end what is left, b"" in the end.

        Raises aiohttp.http_exceptions.LineTooLong where it has more than ``max_line_length``
        bytes (None is twice the ``read_bufsize``), and drops the line.
        """
        line = self._line_here(max_line_length)
        return line or await self._walk(self._until(b"\n", max_line_length))

    async def readuntil(self, separator: bytes = b"\n", *, max_size: int | None = None) -> bytes:
        """Return what comes up to ``separator``, included, or up to the end of the body.

        Raises aiohttp.http_exceptions.LineTooLong where that has more than ``max_size``
        bytes (None is twice the ``read_bufsize``), and drops what it has read of it.
        """
        data = self._until_here(separator, max_size)
        return data or await self._walk(self._until(separator, max_size))

    async def readchunk(self) -> tuple[bytes, bool]:
        """Return ``(data, end_of_http_chunk)``; ``(b"", False)`` at the end of the body."""
        while (chunk := self._chunk_here()) is None:
            if not await self._fill_here(to_chunk_end=True) and not self._inbox.ends:
                return b"", False
        return chunk

    def read_nowait(self, n: int = -1) -> bytes:
        """Return up to ``n`` of the bytes that are on this side, -1 for all; b"" if none are.

        Does not look what has arrived on the loop thread: that would take a crossing.
        """
        if self._waiting:
            self._refuse()
        return self._inbox.cut(ALL if n < 0 else n)

    def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Iterate over chunks of up to ``n`` bytes, each what ``read(n)`` returns."""
        return _Reads(partial(self.read, n), b"")

    def iter_any(self) -> AsyncIterator[bytes]:
        """Iterate over what comes, as it comes: each piece is what ``readany()`` returns."""
        return _Reads(self.readany, b"")

    def iter_chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        """Iterate over HTTP chunks: each pair is what ``readchunk()`` returns."""
        return _Reads(self.readchunk, (b"", False))

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over lines; each is what ``readline()`` returns."""
        return _Reads(self.readline, b"")

    # -- inside -----------------------------------------------------------------------

    async def _walk(self, steps: Steps[bytes]) -> bytes:
        """Go through ``steps``, and return what they cut."""
        try:
            missing = next(steps)
            while True:
                missing = steps.send(await self._fill_here(missing))
        except StopIteration as end:
            data: bytes = end.value
            return data
        finally:
            steps.close()  # after an error: they put back what they hold

    async def _read_all(self, fill: Fill) -> bytes:
        """Return the rest of the body, brought by ``fill``."""
        if self._waiting:
            self._refuse()
        while True:
            before = self._inbox.total
            await self._cross_here(fill)
            if self._inbox.total == before:
                return self._inbox.cut(ALL)

    async def _fill_here(self, least: int = 1, *, to_chunk_end: bool = False) -> bool:
        """Have ``least`` more bytes come over, or all there are; tell whether any came."""
        before = self._inbox.total
        await self._cross_here(filling(least, to_chunk_end=to_chunk_end))
        return self._inbox.total > before

    async def _cross_here(self, fill: Fill) -> None:
        """Make one crossing, unless the end has come over already."""
        remote = self._other_side()
        if remote is None:
            return
        self._waiting = True
        try:
            await remote.acall(fill, self._inbox)
        except (LoopThreadError, SessionClosedError) as exc:
            self._lost(exc)
            raise
        finally:
            self._waiting = False
            self._note_end()
        self._inbox.join_new()


class _Reads(AsyncIterator[T], Generic[T]):
    """What one read after another returns, up to ``end``.

    No generator: nobody has to close it where the loop over it ends early.
    """

    __slots__ = ("_end", "_read")

    def __init__(self, read: Callable[[], Awaitable[T]], end: T) -> None:
        self._read = read
        self._end = end

    async def __anext__(self) -> T:
        value = await self._read()
        if value == self._end:
            raise StopAsyncIteration
        return value
