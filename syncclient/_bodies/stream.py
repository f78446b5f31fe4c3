"""StreamReader: the body of a response, and a binary file to read it from.

Buffered bytes are cut in the caller's thread; only a read that finds none crosses to the event
loop, and returns with everything that has arrived there.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from .._async.exchange.body_buffer import ALL, BodyBuffer
from .._async.exchange.exchange import Exchange
from .._coroutines import blocking
from .._models import redacted_url
from .._other_libraries import no_such_attribute
from .body_reader import ANY, BodyReader, Fill

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from .._boundary.lease import Remote

#: Lines yielded at once to a loop that took the previous ones within so many seconds.
_LINES, _QUICK = 64, 0.001


class StreamReader(BodyReader, io.RawIOBase):
    """The body of a response, read as it arrives: ``Response.content``. Never made by hand.

    aiohttp's StreamReader minus ``await``, and also a readable binary file: give it to csv
    (through ``io.TextIOWrapper``), gzip, tarfile, shutil or pandas. It is a raw file, which may
    return less than it is asked for; wrap it in ``io.BufferedReader(content)`` for code that
    expects full reads. Iteration yields lines.

    A read that finds buffered bytes does not block. Otherwise it crosses to the loop thread and
    waits: for a byte, the end, a timeout, an error, ``close()`` in another thread, or the closing
    of the session. Unread bytes stay on the wire, with backpressure: a body of any size needs
    some hundred kilobytes of memory.

    Any thread may read, one at a time: while one waits, the reads of others raise RuntimeError.
    An interrupt (Ctrl-C) of a waiting read leaves the stream as it was: the next read continues
    there, and no byte is lost. An error in the body (ClientError, such as a timeout or a lost
    connection) is raised once the bytes before it have been read, and by every later read.
    """

    # -- aiohttp's --------------------------------------------------------------------

    def read(self, n: int | None = -1) -> bytes:
        """Return up to ``n`` bytes, at least one unless at the end; all of them if ``n`` is -1."""
        if n is None or n < 0:
            return blocking(self._in_turn, self._rest)
        buffer = self._buffer
        if self._free(buffer) and (data := buffer.piece(n)):
            return data
        return blocking(self._in_turn, lambda buffer: self._some(buffer, n))

    def readany(self) -> bytes:
        """Return all buffered bytes; if there are none, wait for the next ones."""
        return blocking(self._in_turn, lambda buffer: self._some(buffer, ALL))

    def readexactly(self, n: int) -> bytes:
        """Return ``n`` bytes. Raises asyncio.IncompleteReadError if the body has fewer."""
        return blocking(self._in_turn, lambda buffer: self._exactly(buffer, n))

    def readline(self, size: int | None = -1, /, *, max_line_length: int | None = None) -> bytes:
        """Return a line with its newline; at the end the remaining bytes, then b"".

        Args:
            size: maximum number of bytes to return, as with other files.
            max_line_length: maximum length of a line in bytes; None is twice the
                ``read_bufsize``. A longer one raises LineTooLongError, and is dropped.
        """
        if size is not None and size >= 0:
            return blocking(self._in_turn, lambda buffer: self._line_upto(buffer, size))
        buffer = self._buffer
        if self._free(buffer) and (line := buffer.until(b"\n", max_line_length)):
            return line
        return blocking(self._in_turn, lambda buffer: self._until(buffer, b"\n", max_line_length))

    def readuntil(self, separator: bytes = b"\n", *, max_size: int | None = None) -> bytes:
        """Return the bytes up to and including ``separator``, or up to the end of the body.

        Raises LineTooLongError if they are more than ``max_size`` (None is twice the
        ``read_bufsize``), and drops those it has read.
        """
        return blocking(self._in_turn, lambda buffer: self._until(buffer, separator, max_size))

    def readchunk(self) -> tuple[bytes, bool]:
        """Return ``(data, end_of_http_chunk)``; ``(b"", False)`` at the end of the body.

        Blocks until there are bytes, or the end of the HTTP chunk whose bytes were read before.
        """
        return blocking(self._in_turn, self._chunk)

    def read_nowait(self, n: int = -1) -> bytes:
        """Return up to ``n`` of the bytes that have arrived, -1 for all; b"" if there are none."""
        return blocking(self._in_turn, lambda buffer: self._look(buffer, ALL if n < 0 else n))

    def iter_chunked(self, n: int) -> Iterator[bytes]:
        """Iterate over chunks of up to ``n`` bytes, each what ``read(n)`` returns."""
        return iter(partial(self.read, n), b"")

    def iter_any(self) -> Iterator[bytes]:
        """Iterate over the bytes as they arrive: each piece is what ``readany()`` returns."""
        return iter(self.readany, b"")

    def iter_chunks(self) -> Iterator[tuple[bytes, bool]]:
        """Iterate over HTTP chunks: each pair is what ``readchunk()`` returns."""
        return iter(self.readchunk, (b"", False))

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over lines; each is what ``readline()`` returns."""
        # In C: no Python frame runs for each line.
        return chain.from_iterable(self._runs_of_lines())

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    # -- a file's ---------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The URL, which is the name of this file."""
        return redacted_url(self._head.url)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into ``buffer``, at least a byte unless at the end, and return how many."""
        into = memoryview(buffer).cast("B")
        return blocking(self._in_turn, lambda buffer: self._some_into(buffer, into))

    def write(self, data: object, /) -> int:
        """Raise io.UnsupportedOperation."""
        raise io.UnsupportedOperation("not writable")

    def readall(self) -> bytes:
        """Return the rest of the body."""
        return self.read()

    def read1(self, n: int | None = -1, /) -> bytes:
        """Return up to ``n`` bytes after at most one wait, like a buffered file."""
        return self.readany() if n is None or n < 0 else self.read(n)

    @property
    def closed(self) -> bool:
        """Whether this or its response was closed or released. Not set by the end of the body."""
        return self._closed

    def close(self) -> None:
        """Release the response and drop unread bytes. Never waits."""
        self._discard(Exchange.abandon)

    # -- inside -----------------------------------------------------------------------

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            raise no_such_attribute("StreamReader", self, name)

    def _exchange_for(self, buffer: BodyBuffer) -> Remote[Exchange] | None:
        buffer.takes_loans = True
        return super()._exchange_for(buffer)

    async def _call(self, remote: Remote[Exchange], fill: Fill, buffer: BodyBuffer) -> None:
        remote.call(fill, buffer)

    async def _some_into(self, buffer: BodyBuffer, view: memoryview) -> int:
        if view.nbytes and not buffer:
            await self._bring(buffer, ANY)
        return buffer.into(view)

    async def _run(self, buffer: BodyBuffer) -> tuple[io.BytesIO, int] | None:
        """Return the next complete lines, as ``BodyBuffer.lines`` does."""
        run = buffer.lines()
        if run is None and len(buffer) < buffer.line_limit and await self._bring(buffer, ANY):
            run = buffer.lines()
        return run

    def _runs_of_lines(self) -> Iterator[Iterable[bytes]]:
        while True:
            self._lines_in = threading.get_ident()
            run = blocking(self._in_turn, self._run)
            if run is not None:
                yield from self._parts_of(*run)
            elif line := self.readline():
                yield (line,)
            else:
                return

    def _parts_of(self, lines: io.BytesIO, stop: int) -> Iterator[Iterable[bytes]]:
        """Yield ``lines`` by the dozen to a quick loop, and one by one to a slow one.

        Between two parts, a deadline can end the loop, and a second reader can be refused.
        """
        some, before = 1, time.monotonic()
        while lines.tell() < stop:
            yield islice(lines, some)
            now = time.monotonic()
            some = min(2 * some, _LINES) if now - before < _QUICK else 1
            before = now
            blocking(self._in_turn, lambda buffer: self._some(buffer, 0))
