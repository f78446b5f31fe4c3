"""StreamReader: the body of a response as it comes, and a binary file to read from.

The bytes that are here are cut here, in the caller's thread; only a read that finds none
crosses to the event loop, and brings back everything that has arrived there.
"""

from __future__ import annotations

import asyncio
import io
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from aiohttp import ClientConnectionError
from aiohttp.http_exceptions import LineTooLong

from ._async.exchange import Exchange
from ._async.stream import ALL, Inbox
from ._exceptions import LoopThreadError, SessionClosedError, spare
from ._models import Head, redacted_url

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from ._lease import Remote


class StreamReader(io.RawIOBase):
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

    def __init__(
        self, inbox: Inbox, remote: Remote[Exchange] | None, head: Head, opened_at: str = ""
    ) -> None:
        self._inbox = inbox
        self._remote = remote
        self._head = head
        self._opened_at = opened_at
        self._closed = False
        self._waiting = False

    def __repr__(self) -> str:
        return f"<StreamReader of {self._described()}>"

    # -- aiohttp's --------------------------------------------------------------------

    def read(self, n: int | None = -1) -> bytes:
        """Return up to ``n`` bytes, at least one unless at the end; all of them if ``n`` is -1."""
        if n is None or n < 0:
            return self._read_all(partial(Exchange.fill, least=ALL))
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
        while (missing := n - len(self._inbox)) > 0:
            if not self._fill(missing):
                raise asyncio.IncompleteReadError(self._inbox.cut(ALL), n)
        return self._inbox.cut(max(0, n))

    def readline(self, size: int | None = -1, /, *, max_line_length: int | None = None) -> bytes:
        """Return a line with its newline; at the end what is left, b"" in the end.

        Args:
            size: as other files have it: return no more bytes than that.
            max_line_length: bytes a line may have; None is twice the ``read_bufsize``.

        Raises aiohttp.http_exceptions.LineTooLong, and drops the line.
        """
        if self._waiting:
            self._refuse()
        if size is not None and size >= 0:
            return self._readline_upto(size)
        inbox = self._inbox
        line = inbox.line()
        if line[-1:] == b"\n" and len(line) <= (max_line_length or inbox.line_limit):
            return line
        inbox.put_back(line)
        return self.readuntil(max_size=max_line_length)

    def readuntil(self, separator: bytes = b"\n", *, max_size: int | None = None) -> bytes:
        """Return what comes up to ``separator``, included, or up to the end of the body.

        Raises aiohttp.http_exceptions.LineTooLong where that has more than ``max_size``
        bytes (None is twice the ``read_bufsize``), and drops what it has read of it.
        """
        if not separator:
            raise ValueError("Separator should be at least one-byte string")
        if self._waiting:
            self._refuse()
        inbox = self._inbox
        limit = max_size or inbox.line_limit
        line = inbox.until(separator)
        if line and len(line) <= limit:
            return line
        got = bytearray(line)
        at = -1
        try:
            while at < 0 and len(got) <= limit and (inbox or self._fill()):
                seen = len(got)
                got += inbox.block()
                at = got.find(separator, max(0, seen - len(separator) + 1))
            if at >= 0:
                stop = at + len(separator)
                inbox.put_back(bytes(got[stop:]))
                del got[stop:]
        except BaseException:
            inbox.put_back(bytes(got))
            raise
        if len(got) > limit:
            raise LineTooLong(bytes(got[:100]) + b"...", limit)
        return bytes(got)

    def readchunk(self) -> tuple[bytes, bool]:
        """Return ``(data, end_of_http_chunk)``; ``(b"", False)`` at the end of the body.

        Blocks until there are bytes, or the end of the HTTP chunk whose bytes were read before.
        """
        if self._waiting:
            self._refuse()
        inbox = self._inbox
        while True:
            inbox.drop_passed_ends()
            if inbox.ends:
                data = inbox.cut(inbox.ends[0] - inbox.position())
                inbox.ends.popleft()
                return data, True
            if inbox:
                return inbox.block(), False
            if not self._fill(to_chunk_end=True) and not inbox.ends:
                return b"", False

    def read_nowait(self, n: int = -1) -> bytes:
        """Return up to ``n`` of the bytes that have arrived, -1 for all; b"" if there are none."""
        if self._waiting:
            self._refuse()
        if not self._inbox:
            self._fill(0)
        return self._inbox.cut(ALL if n < 0 else n)

    def at_eof(self) -> bool:
        """Tell whether everything has been read, as far as is known on this side."""
        return self._inbox.eof and not self._inbox

    def is_eof(self) -> bool:
        """Tell whether the end of the body is here, though perhaps not read."""
        return self._inbox.eof

    def exception(self) -> BaseException | None:
        """Return what broke the body off, once a read has met it."""
        return self._inbox.error

    @property
    def total_bytes(self) -> int:
        """How many bytes have come over to this side, decompressed."""
        return self._inbox.total

    @property
    def total_compressed_bytes(self) -> int | None:
        """How many bytes the server has sent for them; None if it did not compress them."""
        return self._inbox.compressed

    @property
    def total_raw_bytes(self) -> int:
        """``total_compressed_bytes``, or ``total_bytes`` where nothing was compressed."""
        compressed = self._inbox.compressed
        return self._inbox.total if compressed is None else compressed

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

    def __del__(self) -> None:
        # In place of IOBase's, which would close: the Remote's own finaliser does that.
        if self.__dict__.get("_remote") is not None:
            warnings.warn(
                f"unread response to {self._described()} dropped; it was opened at "
                f"{self._opened_at}: use it in a with block, or read or release it",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )

    # -- inside -----------------------------------------------------------------------

    def _readline_upto(self, size: int) -> bytes:
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

    @property
    def _on_wire(self) -> bool:
        return self._remote is not None

    def _fill(self, least: int = 1, *, to_chunk_end: bool = False) -> bool:
        """Have ``least`` more bytes come over, or all there are; tell whether any came.

        With 0 this does not wait, with ``to_chunk_end`` no longer than to the end of the
        HTTP chunk. False means the end of the body. Blocks for one crossing.
        """
        before = self._inbox.total
        self._cross(partial(Exchange.fill, least=least, to_chunk_end=to_chunk_end))
        return self._inbox.total > before

    def _read_all(self, fill: Callable[[Exchange, Inbox], Awaitable[None]]) -> bytes:
        """Return the rest of the body, brought by ``fill``."""
        if self._waiting:
            self._refuse()
        while True:
            before = self._inbox.total
            self._cross(fill)
            if self._inbox.total == before:
                return self._inbox.cut(ALL)

    def _cross(self, fill: Callable[[Exchange, Inbox], Awaitable[None]]) -> None:
        """Make one crossing, unless the end has come over already. Blocks until it is done."""
        inbox, remote = self._inbox, self._remote
        if self._waiting:
            self._refuse()
        if remote is None:
            if inbox.error is not None:
                raise spare(inbox.error)
            if self._closed:
                raise ClientConnectionError(
                    f"the response to {self._described()} was released before its body was read"
                )
            return
        inbox.drop_passed_ends()
        try:
            self._waiting = True
            remote.call(fill, inbox)
        except (LoopThreadError, SessionClosedError) as exc:
            inbox.error = inbox.error or spare(exc)  # nothing is left over there
            raise
        finally:
            self._waiting = False
            self._note_end()
        inbox.join_new()

    def _note_end(self) -> None:
        """Let go of the other side if nothing more will come from there."""
        if self._inbox.eof or self._inbox.error is not None:
            self._remote = None

    def _refuse(self) -> None:
        raise RuntimeError(
            f"the response to {self._described()} is being read by another thread: "
            "one reader at a time"
        )

    def _discard(self, give_up: Callable[[Exchange], None]) -> None:
        """Drop what is here, and give up what is not. Does not wait."""
        remote, self._remote = self._remote, None
        self._closed = True
        self._inbox.clear()
        if remote is not None:
            remote.post(give_up)

    def _described(self) -> str:
        return f"{self._head.method} {redacted_url(self._head.url)}"
