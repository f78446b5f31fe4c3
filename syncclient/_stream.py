"""StreamReader: the body of a response as it comes, and a binary file to read from.

The bytes that are here are cut here, in the caller's thread; only a read that finds none
crosses to the event loop, and brings back everything that has arrived there.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from ._async.exchange import Exchange
from ._async.stream import ALL
from ._body_reader import BodyReader, Fill, Steps, filling
from ._models import redacted_url

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class StreamReader(BodyReader, io.RawIOBase):
    """The body of a response, read as it comes. ``Response.content``; never made by hand.

    aiohttp's StreamReader minus ``await``, and at the same time a readable binary file: give
    it to csv (through ``io.TextIOWrapper``), gzip, tarfile, shutil, pandas. A raw one, which
    may return less than it is asked for: ``io.BufferedReader(content)`` is for those who
    cannot bear that. Iteration goes by lines.

    Every read takes what is on this side first, and does not block then. Where there is
    nothing it crosses to the loop thread and waits: for a byte, the end, a timeout, an
    error, ``close()`` in another thread, or the session's closing. What is not read stays
    on the wire, with backpressure: a body of any size needs some hundred kilobytes.

    Any thread may read, one at a time: while one waits, the reads of another raise
    RuntimeError. An interrupt (Ctrl-C) of a read that waits leaves the stream as it was:
    the next read goes on from there, and no byte is lost. A fault of the body (ClientError,
    from a timeout to a connection cut short) is raised after the bytes before it have been
    read, and by every read from then on.
    """

    # -- aiohttp's --------------------------------------------------------------------

    def read(self, n: int | None = -1) -> bytes:
        """Return up to ``n`` bytes, at least one unless at the end; all of them if ``n`` is -1."""
        if n is None or n < 0:
            return self._read_all(filling(ALL))
        if self._waiting:
            self._refuse()
        inbox = self._inbox
        data = inbox.piece(n)
        if len(data) == n:
            return data
        if not data and not inbox:
            self._fill()
        return inbox.cut(n, data)

    def readany(self) -> bytes:
        """Return everything that is on this side; if there is nothing, what comes next."""
        if self._waiting:
            self._refuse()
        if not self._inbox:
            self._fill()
        return self._inbox.cut(ALL)

    def readexactly(self, n: int) -> bytes:
        """Return ``n`` bytes. Raises asyncio.IncompleteReadError where the body has fewer."""
        if self._waiting:
            self._refuse()
        return self._taken(self._exactly(n))

    def readline(self, size: int | None = -1, /, *, max_line_length: int | None = None) -> bytes:
        """Return a line with its newline; at the end what is left, b"" in the end.

        Args:
            size: as other files have it: return no more bytes than that.
            max_line_length: bytes a line may have; None is twice the ``read_bufsize``.

        Raises aiohttp.http_exceptions.LineTooLong, and drops the line.
        """
        if size is not None and size >= 0:
            return self._readline_upto(size)
        return self._line_here(max_line_length) or self._taken(self._until(b"\n", max_line_length))

    def readuntil(self, separator: bytes = b"\n", *, max_size: int | None = None) -> bytes:
        """Return what comes up to ``separator``, included, or up to the end of the body.

        Raises aiohttp.http_exceptions.LineTooLong where that has more than ``max_size``
        bytes (None is twice the ``read_bufsize``), and drops what it has read of it.
        """
        line = self._until_here(separator, max_size)
        return line or self._taken(self._until(separator, max_size))

    def readchunk(self) -> tuple[bytes, bool]:
        """Return ``(data, end_of_http_chunk)``; ``(b"", False)`` at the end of the body.

        Blocks until there are bytes, or the end of the HTTP chunk whose bytes were read before.
        """
        while (chunk := self._chunk_here()) is None:
            if not self._fill(to_chunk_end=True) and not self._inbox.ends:
                return b"", False
        return chunk

    def read_nowait(self, n: int = -1) -> bytes:
        """Return up to ``n`` of the bytes that have arrived, -1 for all; b"" if there are none."""
        if self._waiting:
            self._refuse()
        if not self._inbox:
            self._fill(0)
        return self._inbox.cut(ALL if n < 0 else n)

    def iter_chunked(self, n: int) -> Iterator[bytes]:
        """Iterate over chunks of up to ``n`` bytes, each what ``read(n)`` returns."""
        return iter(partial(self.read, n), b"")

    def iter_any(self) -> Iterator[bytes]:
        """Iterate over what comes, as it comes: each piece is what ``readany()`` returns."""
        return iter(self.readany, b"")

    def iter_chunks(self) -> Iterator[tuple[bytes, bool]]:
        """Iterate over HTTP chunks: each pair is what ``readchunk()`` returns."""
        return iter(self.readchunk, (b"", False))

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over lines; each is what ``readline()`` returns."""
        # Without a frame of ours for each line.
        return chain.from_iterable(self._runs_of_lines())

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    # -- a file's ---------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The URL, as what files call their name."""
        return redacted_url(self._head.url)

    def readable(self) -> bool:
        """Tell that this can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into ``buffer``, at least a byte unless at the end, and return how many."""
        if self._waiting:
            self._refuse()
        view = memoryview(buffer).cast("B")
        if view.nbytes and not self._inbox:
            self._fill()
        return self._inbox.into(view)

    def write(self, data: object, /) -> int:
        """Raise io.UnsupportedOperation: this can only be read."""
        raise io.UnsupportedOperation("not writable")

    def readall(self) -> bytes:
        """Return the rest of the body."""
        return self.read()

    def read1(self, n: int | None = -1, /) -> bytes:
        """Return up to ``n`` bytes, after one wait at most; as files with a buffer have it."""
        return self.readany() if n is None or n < 0 else self.read(n)

    @property
    def closed(self) -> bool:
        """Whether this, or its response, was closed or released. Not so at the end of the body."""
        return self._closed

    def close(self) -> None:
        """Release the response: unread bytes are dropped, and nothing is waited for."""
        self._discard(Exchange.abandon)

    # -- inside -----------------------------------------------------------------------

    def _readline_upto(self, size: int) -> bytes:
        if self._waiting:
            self._refuse()
        got = b""
        try:
            while len(got) < size and got[-1:] != b"\n" and (self._inbox or self._fill()):
                got += self._inbox.line(size - len(got))
        except BaseException:
            self._inbox.put_back(got)
            raise
        return got

    def _runs_of_lines(self) -> Iterator[Iterable[bytes]]:
        inbox = self._inbox
        while True:
            if self._waiting:
                self._refuse()
            run = inbox.lines()
            if run is None and len(inbox) < inbox.line_limit and self._fill():
                run = inbox.lines()
            if run is not None:
                yield run
            elif line := self.readline():
                yield (line,)
            else:
                return

    def _taken(self, steps: Steps[bytes]) -> bytes:
        """Go through ``steps``, and return what they cut."""
        try:
            missing = next(steps)
            while True:
                missing = steps.send(self._fill(missing))
        except StopIteration as end:
            data: bytes = end.value
            return data
        finally:
            steps.close()  # after an error: they put back what they hold

    def _read_all(self, fill: Fill) -> bytes:
        """Return the rest of the body, brought by ``fill``."""
        if self._waiting:
            self._refuse()
        while True:
            before = self._inbox.total
            self._cross(fill)
            if self._inbox.total == before:
                return self._inbox.cut(ALL)
