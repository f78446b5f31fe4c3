"""An open response on the event loop: take its body, release it, or abort it."""

from __future__ import annotations

import asyncio
import sys
import time
from functools import cache
from typing import TYPE_CHECKING

from aiohttp import (
    ClientConnectionError,
    ClientPayloadError,
    StreamReader,
    hdrs,
)
from aiohttp.http_exceptions import HttpProcessingError

from ..._exceptions import SecondReaderError, spare
from ..._taskless import on_task
from ..engine.decoded_reader import DecodedReader, left_in
from .body_buffer import ALL, BodyBuffer
from .direct_body import direct_body
from .errors import cause, explained
from .progress import Phase, Progress, begin
from .tracing import is_traced, send_chunk_received

if TYPE_CHECKING:
    from collections.abc import Callable

    from .lean_response import AnyResponse

#: Errors that end a connection, but not a download or stream, which may continue over the next one.
LOST = (ClientConnectionError, ClientPayloadError)

#: The result of aiohttp's readchunk() at the end.
_END = (b"", False)

#: Rounds of the loop that a fill leaves to a sender that is faster than its reader.
_ROUNDS = 2

#: Rounds that a fill may take to end after it has been cancelled.
_UNWINDING = 4

_HEAP = 4 * 2**20

#: Seconds to wait for a small body: several times as long as a server needs that writes the head
#: separately, and too short for a reader of the head to notice.
_MOMENT = 0.01


class Exchange:
    """An open response: its body is, at least in part, still on the wire. Event loop only.

    Args:
        response: a new response, of either way through the engine.
        progress: identifies the request in errors.
        forget: called once, when nothing is open any more.
        max_body: maximum size of the decompressed body in bytes; None sets no limit.

    The engine buffers at most twice its ``read_bufsize`` ahead of the reader, plus one read of the
    socket; then the server has to wait. A compressed body is buffered as it was sent, and at most
    one ``read_bufsize`` of it is decoded ahead. Taking the body never raises these limits, so even
    a whole body is inflated piece by piece.
    """

    __slots__ = (
        "_busy",
        "_chunk_end",
        "_closed",
        "_direct",
        "_due",
        "_forget",
        "_line_limit",
        "_max_body",
        "_over",
        "_progress",
        "_taken",
        "done",
        "reads_on",
        "response",
    )

    def __init__(
        self,
        response: AnyResponse,
        progress: Progress,
        forget: Callable[[Exchange], None],
        *,
        max_body: int | None = None,
    ) -> None:
        self.response = response
        self._progress = progress
        self._forget = forget
        self._max_body = max_body
        #: The error to raise once the body has exceeded ``max_body`` bytes.
        self._over: ClientPayloadError | None = None
        #: Bytes taken from the engine's reader so far.
        self._taken = 0
        #: Where the last HTTP chunk ended.
        self._chunk_end = 0
        #: Whether a fill is running.
        self._busy = False
        #: When the total timeout is over. The engine checks its own only while it waits.
        self._due = progress.due()
        #: Before the short way raises it.
        self._line_limit = response.content.get_read_buffer_limits()[1]
        #: The direct read of a long body.
        self._direct = direct_body(response)
        #: Whether to receive a long body that is not lent, up to the limits, even while its reader
        #: is away: for readers that release the interpreter's lock while they work, such as one
        #: that writes a file.
        self.reads_on: bool = False
        progress.phase = Phase.BODY
        #: Whether the whole body has been handed over or given up.
        self.done = False
        #: Done when the connection is.
        self._closed: asyncio.Future[None] | None = None
        self._watch()

    async def fill(self, buffer: BodyBuffer, least: int = 1, *, to_chunk_end: bool = False) -> None:
        """Move all available data into ``buffer``, once there are ``least`` bytes or the end.

        With 0 this does not wait; with ``to_chunk_end`` the end of an HTTP chunk ends the wait
        too. If it is cancelled, all data that it has taken is in the buffer.

        Raises:
            ClientError: the body broke off, and there was no data before that; or the total
                timeout is over before the body has arrived.
            SecondReaderError: another fill is running.
        """
        for _ in range(_UNWINDING):
            if not self._busy:
                break
            await asyncio.sleep(0)
        if self._busy:
            raise SecondReaderError("this response is being read already: one reader at a time")
        begin(self._progress)
        direct = self._direct
        if direct is not None:
            self._taken += direct.take_back()
        if self._late():
            self._break(asyncio.TimeoutError(), buffer)
        self._busy = True
        start = buffer.total
        _keep_heap()
        if direct is not None:
            direct.resume()
        try:
            await self._fill(buffer, start + least, to_chunk_end)
        except Exception as exc:
            self._rescue(buffer)
            if buffer.total == start:
                self._break(exc, buffer)
        finally:
            self._busy = False
            buffer.due = None if self.response.content.is_eof() else self._due
            if direct is not None:
                direct.begin(self._taken)
                if buffer.takes_loans and self._may_lend():
                    direct.lend(buffer, self._taken)
                if direct.is_lent or not self.reads_on:
                    direct.pause()

    async def read_into(self, buffer: BodyBuffer) -> None:
        """Put the rest of the body into ``buffer`` and tell the tracers.

        Or put a part of it there, with a loan, on which the reader receives the rest.

        As in aiohttp's ``ClientResponse.read``, cancelling this closes the connection.
        """
        traced = is_traced(self.response)
        try:
            if buffer.takes_loans and self._direct is not None and not traced and not buffer.eof:
                await self.fill(buffer)
                if buffer.loan is not None:
                    return
            while not buffer.eof:
                await self.fill(buffer, ALL)
        except asyncio.CancelledError:
            buffer.error = ClientConnectionError("closed, for its read() was interrupted")
            self.abort()
            raise
        if traced:
            body = buffer.cut(ALL)
            buffer.put_back(body)
            await send_chunk_received(self.response, body)

    async def read(self) -> bytes:
        """Return the rest of the body; the connection then goes back to the pool."""
        buffer = BodyBuffer()
        await self.read_into(buffer)
        return buffer.cut(ALL)

    async def _fill(self, buffer: BodyBuffer, goal: int, to_chunk_end: bool) -> None:
        content = self.response.content
        buffer.line_limit = self._line_limit
        if self._over is not None:
            raise self._over
        if isinstance(content, DecodedReader):
            content.advance()
        # Only the data buffered at this moment, not data that arrives while it is taken: at each
        # step the engine may inflate another piece, and a decompression bomb never ends.
        held = content.total_bytes
        while True:
            if self._late():
                raise asyncio.TimeoutError
            while self._taken < held:
                piece = await content.readchunk()  # does not wait
                if piece == _END:
                    self._taken = held  # a middleware has read the rest
                else:
                    self._put(buffer, *piece)
            if content.at_eof():
                # The end of an HTTP chunk may be left.
                while (piece := await content.readchunk()) != _END:
                    self._put(buffer, *piece)
                buffer.compressed = content.total_compressed_bytes
                buffer.eof = True
                self._progress.spend("over")
                buffer.timings = self._progress.timings()
                self._end()
                return
            if buffer.total >= goal or (to_chunk_end and buffer.ends):
                buffer.compressed = content.total_compressed_bytes
                return
            if content.total_bytes > held:
                await asyncio.sleep(0)  # has inflated; now others get their turn
            else:
                if self._direct is not None:
                    self._direct.begin(self._taken)
                piece = await content.readchunk()
                if piece != _END:
                    self._put(buffer, *piece)
                if buffer.total >= goal:
                    await _burst(content)
            held = content.total_bytes

    def _late(self) -> bool:
        """Return whether the total timeout ended before the body was received and decoded."""
        due = self._due
        return due is not None and time.monotonic() >= due and not self.response.content.is_eof()

    def _may_lend(self) -> bool:
        # On a loan, nothing counts against ``max_body``, and the timings would miss the reads.
        return not self.done and self._max_body is None and self._progress.timings() is None

    def end_loan(self) -> None:
        """Release the connection: the reader has received the whole body on its loan.

        The reader does not wait for this, and keeps using the buffer.
        """
        if self._direct is not None and not self.done:
            received = self._direct.complete()
            if received is not None:
                self._taken += received
                self._end()

    def _put(self, buffer: BodyBuffer, data: bytes, at_chunk_end: bool = False) -> None:
        self._taken += len(data)
        if self._max_body is not None and self._taken > self._max_body:
            # The reader gets the allowed bytes, and then the error.
            data = data[: max(0, len(data) - (self._taken - self._max_body))]
            self._over = ClientPayloadError(
                f"the body has more than max_body={self._max_body} bytes"
            )
        if data:
            buffer.put(data)
        if self._over is not None:
            raise self._over
        # The engine reports the end of the last HTTP chunk twice if the reader already knows it.
        if at_chunk_end and self._chunk_end != self._taken:
            self._chunk_end = self._taken
            buffer.ends.append(buffer.total)

    def _rescue(self, buffer: BodyBuffer) -> None:
        """Take the data before the error, because the engine's reader now only raises the error."""
        content = self.response.content
        if self._over is None and content.total_bytes > self._taken:
            left = left_in(content)
            self._taken = content.total_bytes - len(left)
            try:
                self._put(buffer, left)
            except ClientPayloadError:
                return  # too many: the next fill says so

    def _break(self, exc: Exception, buffer: BodyBuffer) -> None:
        if type(exc) is RuntimeError:
            # "Connection closed.": this is faster than the callback that reports it.
            self._lost()
            fault = self.response.content.exception()
            exc = fault if isinstance(fault, Exception) else exc
        if isinstance(exc, HttpProcessingError):
            malformed = ClientPayloadError(f"the body is malformed: {exc.message}")
            malformed.__cause__ = exc
            exc = malformed
        error = explained(exc, self._progress)
        buffer.error = spare(error)
        self.abort()
        raise error from cause(error, exc)

    def _watch(self) -> None:
        """End the body when the connection ends.

        aiohttp does not notify the reader of the body if its C parser finds malformed chunks:
        a waiting reader would wait forever.
        """
        connection = self.response.connection
        protocol = None if connection is None else connection.protocol
        if protocol is None:
            return
        self._closed = protocol.closed
        if self._closed is None:
            self._lost()
        else:
            self._closed.remove_done_callback(_retrieve)
            self._closed.add_done_callback(_retrieve)
            self._closed.add_done_callback(self._lost)

    def _lost(self, _closed: asyncio.Future[None] | None = None) -> None:
        content, connection = self.response.content, self.response.connection
        while isinstance(content, DecodedReader):
            content = content.source  # part of it may not have been decoded yet
        if content.is_eof() or content.exception() is not None:
            return
        protocol = None if connection is None else connection.protocol
        fault = None if protocol is None else protocol.exception()
        if isinstance(fault, HttpProcessingError):
            content.set_exception(fault)
        else:
            content.set_exception(ClientPayloadError("the connection was lost"))

    def detach(self) -> None:
        """Detach the response unchanged: other code uses it from now on."""
        if not self.done:
            if self._direct is not None:
                self._taken += self._direct.take_back()
            self._end()

    def abandon(self) -> None:
        """Release the response now. A connection with unread data on it is closed."""
        if not self.done:
            if self._direct is not None:
                self._direct.end()
            self.response.release()
            self._end()

    def abort(self) -> None:
        """Close the connection in any state."""
        if not self.done:
            if self._direct is not None:
                self._direct.end()
            connection = self.response.connection
            transport = None if connection is None else connection.transport
            if sys.version_info < (3, 11) and transport is not None:
                # asyncio's TLS would first wait, without a limit, for the server's close message,
                # which comes after all unread data.
                transport.abort()
            self.response.close()
            self._end()

    async def aclose(self) -> None:
        """Close the connection, because the session is closing."""
        self.abort()

    def _end(self) -> None:
        self.done = True
        if self._closed is not None:
            # It lives as long as the connection, and other exchanges wait for it later.
            self._closed.remove_done_callback(self._lost)
        self._forget(self)


async def next_piece(exchange: Exchange | None, buffer: BodyBuffer) -> bytes:
    """Return the next block of ``buffer``, filled by ``exchange`` if needed; b"" at the end."""
    if not buffer and exchange is not None and not buffer.eof:
        await exchange.fill(buffer)
    return buffer.block()


async def small_body(response: AnyResponse, most: int) -> None:
    """Wait a moment for a body of up to ``most`` bytes, which follows the head."""
    length = response.headers.get(hdrs.CONTENT_LENGTH, "")
    if not (length.isascii() and length.isdigit() and len(length) < 10 and int(length) <= most):
        return
    await on_task()
    arrived = asyncio.Event()
    response.content.on_eof(arrived.set)
    waiting = asyncio.ensure_future(arrived.wait())
    try:
        await asyncio.wait((waiting,), timeout=_MOMENT)
    finally:
        waiting.cancel()


def _retrieve(closed: asyncio.Future[None]) -> None:
    """Prevent asyncio from warning about an error that was never retrieved."""
    if not closed.cancelled():
        closed.exception()


async def _burst(content: StreamReader) -> None:
    """Wait while more data arrives: a crossing for each read of the socket costs too much.

    If nothing more arrives, this delays the reader by one empty round of the loop.
    """
    for _ in range(_ROUNDS):
        before = content.total_bytes
        await asyncio.sleep(0)
        if content.total_bytes == before:
            break


@cache
def _keep_heap() -> None:
    """Make malloc keep freed memory. Once per process, with the first streamed body.

    The engine allocates each block of 256 KiB anew. At first, glibc treats this as a large block:
    it is mapped, faulted in page by page, and unmapped again, which takes as long as all the rest
    of a download. The threshold follows the largest freed block: mallopt(3). This block is never
    touched, so it needs no memory; the price is free heap of up to twice its size that is not
    returned to the system.
    """
    bytes(_HEAP)
