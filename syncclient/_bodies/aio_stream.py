"""AioStreamReader: the body of a response, for tasks of any event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from .._async.exchange.body_buffer import ALL, BodyBuffer
from .._deadline import check_nearest
from .body_reader import BodyReader, Fill

if TYPE_CHECKING:
    from .._async.exchange.exchange import Exchange
    from .._boundary.lease import Remote

T = TypeVar("T")


class AioStreamReader(BodyReader):
    """The body of a response for async code: ``AioResponse.content``.

    It works like aiohttp's StreamReader. A read returns buffered bytes without suspending (under
    trio, this is not a checkpoint). Otherwise it crosses to the loop thread, waits, and
    returns with everything that has arrived there. Unread bytes stay on the wire, with
    backpressure.

    Tasks of any loop may read, one at a time: while one waits, the reads of others raise
    RuntimeError. Cancelling a waiting read does not change the stream: the next read continues
    there, and no data is lost. An error in the body is raised once the bytes before it have
    been read, and by every later read.
    """

    _other = "another task"

    async def read(self, n: int = -1) -> bytes:
        """Return up to ``n`` bytes, at least one unless at the end; all of them if ``n`` is -1."""
        if n < 0:
            return await self._in_turn(self._rest)
        buffer = self._buffer
        if self._free(buffer) and (data := buffer.piece(n)):
            return data
        return await self._in_turn(lambda buffer: self._some(buffer, n))

    async def readany(self) -> bytes:
        """Return all buffered bytes; if there are none, wait for the next ones."""
        return await self._in_turn(lambda buffer: self._some(buffer, ALL))

    async def readexactly(self, n: int) -> bytes:
        """Return ``n`` bytes. Raises asyncio.IncompleteReadError if the body has fewer."""
        return await self._in_turn(lambda buffer: self._exactly(buffer, n))

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        """Return a line with its newline; at the end the remaining bytes, then b"".

        Raises LineTooLongError if the line has more than ``max_line_length`` bytes (None is twice
        the ``read_bufsize``), and drops the line.
        """
        buffer = self._buffer
        if self._free(buffer) and (line := buffer.until(b"\n", max_line_length)):
            return line
        return await self._in_turn(lambda buffer: self._until(buffer, b"\n", max_line_length))

    async def readuntil(self, separator: bytes = b"\n", *, max_size: int | None = None) -> bytes:
        """Return the bytes up to and including ``separator``, or up to the end of the body.

        Raises LineTooLongError if they are more than ``max_size`` (None is twice the
        ``read_bufsize``), and drops those it has read.
        """
        return await self._in_turn(lambda buffer: self._until(buffer, separator, max_size))

    async def readchunk(self) -> tuple[bytes, bool]:
        """Return ``(data, end_of_http_chunk)``; ``(b"", False)`` at the end of the body."""
        return await self._in_turn(self._chunk)

    def read_nowait(self, n: int = -1) -> bytes:
        """Return up to ``n`` buffered bytes, -1 for all; b"" if there are none.

        Does not ask the loop thread for more, which would take a crossing.
        """
        if self._readers:
            self._refuse()
        check_nearest()
        return self._buffer.cut(ALL if n < 0 else n)

    def iter_chunked(self, n: int) -> AsyncIterator[bytes]:
        """Iterate over chunks of up to ``n`` bytes, each what ``read(n)`` returns."""
        return _Reads(partial(self.read, n), b"")

    def iter_any(self) -> AsyncIterator[bytes]:
        """Iterate over the bytes as they arrive: each piece is what ``readany()`` returns."""
        return _Reads(self.readany, b"")

    def iter_chunks(self) -> AsyncIterator[tuple[bytes, bool]]:
        """Iterate over HTTP chunks: each pair is what ``readchunk()`` returns."""
        return _Reads(self.readchunk, (b"", False))

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over lines; each is what ``readline()`` returns."""
        return _Reads(self.readline, b"")

    # -- inside -----------------------------------------------------------------------

    async def _call(self, remote: Remote[Exchange], fill: Fill, buffer: BodyBuffer) -> None:
        await remote.acall(fill, buffer)


class _Reads(AsyncIterator[T], Generic[T]):
    """Iterates over the results of ``read``, up to ``end``.

    Not a generator, which would have to be closed if the loop over it ends early.
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
