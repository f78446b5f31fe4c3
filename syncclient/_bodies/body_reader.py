"""BodyReader: the common part of the blocking and the awaited StreamReader.

A read cuts bytes from the buffer, and fetches more from the loop if they do not suffice. Only
``_call`` differs between the two readers: it blocks, or is awaited. Everything else is written
once, as coroutines; see ``blocking``.

Two rules keep a body whole for its reader. A read has the *turn* until it ends: a second reader
is refused until then, and disturbs nothing. (Cutting bytes from a single block is atomic and
needs no turn.) And ``close()``, in any thread, puts an empty buffer in place of the one that
the reader is using. That one keeps its bytes, in order, and only its ``eof`` is the end of the
body.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import ClientConnectionError, ClientError

from .._async.exchange.body_buffer import ALL, BodyBuffer
from .._async.exchange.exchange import Exchange
from .._boundary.unclosed import complain, watch
from .._deadline import check_nearest, innermost, overdue
from .._exceptions import (
    LineTooLongError,
    LoopThreadError,
    SecondReaderError,
    SessionClosedError,
    spare,
)
from .._models import Head, redacted_url

if TYPE_CHECKING:
    from .._boundary.lease import Remote

R = TypeVar("R")

#: Fetches more of the body: a function for the event loop.
Fill = Callable[[Exchange, BodyBuffer], Awaitable[None]]


class Filling:
    """Fetches at least ``least`` bytes, or the bytes up to the end of a chunk.

    A reader that has a loan of the socket receives up to ``most`` bytes at once.
    """

    __slots__ = ("_to_chunk_end", "least", "most")

    def __init__(self, least: int = 1, most: int = ALL, *, to_chunk_end: bool = False) -> None:
        self.least = least
        self.most = most
        self._to_chunk_end = to_chunk_end

    def __call__(self, exchange: Exchange, buffer: BodyBuffer) -> Awaitable[None]:
        return exchange.fill(buffer, self.least, to_chunk_end=self._to_chunk_end)


class Reading(Filling):
    """Fetches the whole body, for the ``read()`` of a response."""

    __slots__ = ()

    def __call__(self, exchange: Exchange, buffer: BodyBuffer) -> Awaitable[None]:
        return exchange.read_into(buffer)


#: What ``Response.read`` uses.
READ = Reading(ALL)

#: Used by most reads, to fetch: the next bytes; the next bytes or the end of an HTTP chunk; the
#: bytes that have arrived, without waiting; the whole body.
ANY, TO_CHUNK_END, LOOK, ALL_LEFT = Filling(), Filling(to_chunk_end=True), Filling(0), Filling(ALL)


class BodyReader:
    """The body of a response: a part has arrived, the rest is on the wire."""

    #: The other reader, in an error message.
    _other = "another thread"

    def __init__(
        self,
        buffer: BodyBuffer,
        remote: Remote[Exchange] | None,
        head: Head,
        opened_at: str | None = "",
    ) -> None:
        self._buffer = buffer
        self._remote = remote
        self._head = head
        #: None if it may be dropped unread: its creator has its own warnings.
        self._opened_at = opened_at
        self._closed = False
        #: The reader whose turn it is, followed by those about to be refused. Appending to the
        #: list and removing from it are atomic.
        self._readers: list[object] = []
        #: The thread that iterates over lines.
        self._lines_in = 0
        if remote is not None and opened_at is not None:
            watch(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._described()}>"

    def __del__(self) -> None:
        # The Remote's own finaliser releases the connection.
        complain(self)

    def _complaint(self) -> str | None:
        remote: Remote[Exchange] | None = self.__dict__.get("_remote")
        if remote is None or self._opened_at is None or not remote.reachable:
            return None
        return (
            f"unread response to {self._described()} dropped; it was opened at "
            f"{self._opened_at}: use it in a with block, or read or release it"
        )

    # -- state ------------------------------------------------------------------------

    def at_eof(self) -> bool:
        """Return whether everything has been read. False until a read has reached the end."""
        return self._buffer.eof and not self._buffer

    def is_eof(self) -> bool:
        """Return whether the end of the body has arrived here, though perhaps not been read."""
        return self._buffer.eof

    def exception(self) -> BaseException | None:
        """Return the error that ended the body, once a read has raised it; otherwise None."""
        return self._buffer.error

    @property
    def total_bytes(self) -> int:
        """The number of bytes that have arrived here, decompressed."""
        return self._buffer.total

    @property
    def total_compressed_bytes(self) -> int | None:
        """The number of bytes that the server sent for them; None if it did not compress them."""
        return self._buffer.compressed

    @property
    def total_raw_bytes(self) -> int:
        """``total_compressed_bytes``, or ``total_bytes`` if the body is not compressed."""
        compressed = self._buffer.compressed
        return self._buffer.total if compressed is None else compressed

    # -- steps ------------------------------------------------------------------------

    async def _call(self, remote: Remote[Exchange], fill: Fill, buffer: BodyBuffer) -> None:
        """Cross to the loop thread and back."""
        raise NotImplementedError

    def _free(self, buffer: BodyBuffer) -> bool:
        """Return whether bytes of the buffer may be cut without taking the turn first."""
        return (
            not self._readers and innermost() is None and (buffer.due is None or not buffer.late())
        )

    async def _in_turn(self, steps: Callable[[BodyBuffer], Coroutine[Any, Any, R]]) -> R:
        """Take the turn, run ``steps``, and return their result.

        Raises SecondReaderError, or DeadlineError if a deadline is over.
        """
        me, readers = object(), self._readers
        try:
            readers.append(me)
            if readers[0] is not me:
                self._refuse()
            check_nearest()
            buffer = self._buffer
            if buffer.due is not None and buffer.late():
                await self._bring(buffer, LOOK)
            return await steps(buffer)
        finally:
            if me in readers:
                readers.remove(me)

    async def _some(self, buffer: BodyBuffer, n: int) -> bytes:
        """Cut up to ``n`` bytes; b"" at the end only."""
        if n and not buffer:
            await self._bring(buffer, ANY if buffer.loan is None else Filling(1, n))
        return buffer.cut(n)

    async def _look(self, buffer: BodyBuffer, n: int) -> bytes:
        """Cut up to ``n`` of the bytes that have arrived."""
        if not buffer:
            await self._bring(buffer, LOOK)
        return buffer.cut(n)

    async def _rest(self, buffer: BodyBuffer, fill: Fill = ALL_LEFT) -> bytes:
        """Cut the rest of the body, fetched by ``fill``."""
        while await self._bring(buffer, fill):
            pass
        return buffer.cut(ALL)

    async def _exactly(self, buffer: BodyBuffer, n: int) -> bytes:
        """Cut ``n`` bytes. Raises asyncio.IncompleteReadError if the body has fewer."""
        while (missing := n - len(buffer)) > 0:
            if not await self._bring(buffer, Filling(missing)):
                raise asyncio.IncompleteReadError(buffer.cut(ALL), n)
        return buffer.cut(max(0, n))

    async def _until(self, buffer: BodyBuffer, separator: bytes, max_size: int | None) -> bytes:
        """Cut the bytes up to and including ``separator``, or up to the end of the body."""
        if not separator:
            raise ValueError("Separator should be at least one-byte string")
        if line := buffer.until(separator, max_size):  # one block has it all
            return line
        got = bytearray()
        at = -1
        try:
            # The buffer knows its limit once bytes have arrived.
            while at < 0 and len(got) <= (max_size or buffer.line_limit):
                if not buffer and not await self._bring(buffer, ANY):
                    break
                seen = len(got)
                got += buffer.block()
                at = got.find(separator, max(0, seen - len(separator) + 1))
            if at >= 0:
                stop = at + len(separator)
                buffer.put_back(bytes(got[stop:]))
                del got[stop:]
        except BaseException:
            buffer.put_back(bytes(got))
            raise
        if len(got) > (limit := max_size or buffer.line_limit):
            raise LineTooLongError(bytes(got[:100]) + b"...", limit)
        return bytes(got)

    async def _line_upto(self, buffer: BodyBuffer, size: int) -> bytes:
        """Cut a line, or ``size`` bytes of it."""
        got = b""
        try:
            while len(got) < size and got[-1:] != b"\n":
                if not buffer and not await self._bring(buffer, ANY):
                    break
                got += buffer.line(size - len(got))
        except BaseException:
            buffer.put_back(got)
            raise
        return got

    async def _chunk(self, buffer: BodyBuffer) -> tuple[bytes, bool]:
        """Cut bytes of the present HTTP chunk; ``(b"", False)`` at the end of the body."""
        while True:
            buffer.drop_passed_ends()
            if buffer.ends:
                data = buffer.cut(buffer.ends[0] - buffer.position())
                buffer.ends.popleft()
                return data, True
            if buffer:
                return buffer.block(), False
            if not await self._bring(buffer, TO_CHUNK_END) and not buffer.ends:
                return b"", False

    # -- the rest of the body, on the loop --------------------------------------------

    @property
    def _on_wire(self) -> bool:
        return self._remote is not None

    def _exchange_for(self, buffer: BodyBuffer) -> Remote[Exchange] | None:
        """Return the exchange to fetch from; None at the end. Raises if nothing can be fetched."""
        remote = self._remote
        if buffer.error is not None:
            raise spare(buffer.error)
        if buffer.released:
            raise self._released()
        if buffer.eof:
            return None
        if remote is None:  # released during this read
            raise self._released()
        buffer.drop_passed_ends()
        return remote

    async def _bring(self, buffer: BodyBuffer, fill: Fill, *, block: bool = False) -> bool:
        """Run ``fill`` in one crossing; return whether bytes arrived.

        False means the end of the body, or that ``fill`` needs none. With ``block``, the crossing
        blocks the thread, whichever reader this is.
        """
        remote = self._exchange_for(buffer)
        if remote is None:
            return False
        before = buffer.total
        if buffer.loan is not None and isinstance(fill, Filling):
            rest = self._receive(remote, buffer, fill)
            if rest is None:
                self._note_end(buffer)
                return True
            fill = rest
        try:
            if block:
                remote.call(fill, buffer)
            else:
                await self._call(remote, fill, buffer)
        except ClientError as exc:
            self._note_failure(buffer, exc)
            raise
        finally:
            self._note_end(buffer)
        buffer.join_new()
        return buffer.total > before

    def _receive(
        self, remote: Remote[Exchange], buffer: BodyBuffer, order: Filling
    ) -> Filling | None:
        """Receive the bytes for ``order`` on the loan; return what remains for the loop to do.

        Blocks as long as bytes arrive. Ends early if a timeout or a deadline is over, and leaves
        it to the loop to raise the error.
        """
        loan = buffer.loan
        if loan is None:  # the loop has just ended it
            return order
        start = buffer.counted()
        while loan.left(buffer) and (missing := start + order.least - buffer.total) > 0:
            if buffer.late() or overdue() is not None or not loan.receive(buffer, order.most):
                buffer.loan = None
                return Filling(missing)
        if loan.left(buffer):
            return None if order.least else order
        # In this order: after an interrupt the next read finds the end, or crosses to hear of it.
        buffer.loan = buffer.due = None
        buffer.eof = True
        remote.post(Exchange.end_loan)
        return None

    def _note_failure(self, buffer: BodyBuffer, error: ClientError) -> None:
        """Keep the error that ended the body; raise another if the response was released."""
        if self._closed:
            raise self._released() from None
        if isinstance(error, (LoopThreadError, SessionClosedError)):
            buffer.error = buffer.error or spare(error)

    def _note_end(self, buffer: BodyBuffer) -> None:
        """Drop the exchange if nothing more can be fetched from it."""
        if buffer.eof or buffer.error is not None:
            self._remote = None

    def _refuse(self) -> None:
        raise SecondReaderError(
            f"the response to {self._described()} is being read by {self._other}: "
            "one reader at a time"
        )

    def _released(self) -> ClientConnectionError:
        return ClientConnectionError(
            f"the response to {self._described()} was released before its body was read"
        )

    def _detach(self) -> Remote[Exchange] | None:
        """Refuse further reads. Any thread; a read in progress keeps the bytes it has."""
        # In this order: a reader that finds no exchange must find the reason too.
        self._closed = True
        self._buffer = self._buffer.successor()
        remote, self._remote = self._remote, None
        return remote

    def _discard(self, give_up: Callable[[Exchange], None]) -> None:
        """Drop the buffered bytes, and give up the rest. Never waits."""
        buffer = self._buffer
        remote = self._detach()
        if self._lines_in == threading.get_ident():
            buffer.skip()  # only for this thread's own loop over lines
        if remote is not None:
            remote.post(give_up)

    def _described(self) -> str:
        return f"{self._head.method} {redacted_url(self._head.url)}"
