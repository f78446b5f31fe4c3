"""One response that is still open on the event loop: take its body, release it, abort it."""

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

#: What ends a connection, and not whatever came over it and may go on over the next.
LOST = (ClientConnectionError, ClientPayloadError)

#: What aiohttp's readchunk() returns at the end.
_END = (b"", False)

#: Rounds of the loop that a fill gives a sender who is quicker than its reader.
_ROUNDS = 2

#: Rounds that a fill that was cancelled just now may take to end.
_UNWINDING = 4

_HEAP = 4 * 2**20

#: Seconds to wait for a small body: some times as long as a server that writes the head by itself
#: takes for the body, and too short for a reader of the head to notice.
_MOMENT = 0.01


class Exchange:
    """An open response: its body is, at least in part, still on the wire. Event loop only.

    Args:
        response: fresh from its request, whichever way that went.
        progress: tells errors which request they are about.
        forget: called once, when nothing is open any more.
        max_body: how many bytes the body may have, decompressed; None sets no limit.

    The engine holds ahead of the reader at most twice its ``read_bufsize``, and what one read
    of the socket adds to that; then the server has to wait. A compressed body is held as it
    was sent, and at most a ``read_bufsize`` of it is decoded ahead.
    Taking never raises these limits, so a whole body, too, is inflated piece by piece.
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
        #: Why no more is taken, once the body has had ``max_body`` bytes and went on.
        self._over: ClientPayloadError | None = None
        #: Bytes taken from the engine's reader so far.
        self._taken = 0
        #: Where the last HTTP chunk ended.
        self._chunk_end = 0
        #: Whether a fill is under way.
        self._busy = False
        #: When the total timeout is over. The engine looks at its own only in a wait.
        self._due = progress.due()
        #: Before the short way raises it.
        self._line_limit = response.content.get_read_buffer_limits()[1]
        #: The short way of a long body.
        self._direct = direct_body(response)
        #: Whether a long body that is not lent is received, up to the limits, also while its
        #: reader is away: for readers that release the interpreter's lock meanwhile, such as one
        #: that writes a file.
        self.reads_on: bool = False
        progress.phase = Phase.BODY
        #: Whether all of it has been handed over, or given up.
        self.done = False
        #: Done when the connection is.
        self._closed: asyncio.Future[None] | None = None
        self._watch()

    async def fill(self, buffer: BodyBuffer, least: int = 1, *, to_chunk_end: bool = False) -> None:
        """Put all that is here into ``buffer``, once there are ``least`` bytes or the end.

        With 0 this does not wait; with ``to_chunk_end`` the end of an HTTP chunk ends the
        wait too. Cancelled, it has taken nothing that is not in the buffer.

        Raises:
            ClientError: the body broke off, and this fill had no byte to give before that; or
                the total timeout is over, and the body not here.
            SecondReaderError: another fill is under way.
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

        Or put a part of it there, with a loan, on which the reader receives what is left.

        As aiohttp's ``ClientResponse.read`` has it, cancelling this closes the connection.
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
        # What is held at this moment, not what comes in while it is taken: with each
        # step the engine may inflate a further piece, and a bomb has no end of them.
        held = content.total_bytes
        while True:
            if self._late():
                raise asyncio.TimeoutError
            while self._taken < held:
                piece = await content.readchunk()  # does not wait
                if piece == _END:
                    self._taken = held  # the rest was read by somebody else: a middleware
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
                await asyncio.sleep(0)  # inflated meanwhile; now the others have their turn
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
        """Return whether the total timeout is over, and the body not received and decoded."""
        due = self._due
        return due is not None and time.monotonic() >= due and not self.response.content.is_eof()

    def _may_lend(self) -> bool:
        # On a loan, nothing counts against ``max_body``, and the timings would miss the reads.
        return not self.done and self._max_body is None and self._progress.timings() is None

    def end_loan(self) -> None:
        """Give the connection back: the reader has received the whole body on its loan.

        It does not wait for this, and uses the buffer meanwhile.
        """
        if self._direct is not None and not self.done:
            received = self._direct.complete()
            if received is not None:
                self._taken += received
                self._end()

    def _put(self, buffer: BodyBuffer, data: bytes, at_chunk_end: bool = False) -> None:
        self._taken += len(data)
        if self._max_body is not None and self._taken > self._max_body:
            # The reader gets as many as are allowed, and then the error.
            data = data[: max(0, len(data) - (self._taken - self._max_body))]
            self._over = ClientPayloadError(
                f"the body has more than max_body={self._max_body} bytes"
            )
        if data:
            buffer.put(data)
        if self._over is not None:
            raise self._over
        # The engine tells the end of the last HTTP chunk twice if the reader knows it already.
        if at_chunk_end and self._chunk_end != self._taken:
            self._chunk_end = self._taken
            buffer.ends.append(buffer.total)

    def _rescue(self, buffer: BodyBuffer) -> None:
        """Take what came before the fault: of the engine's reader one gets only the fault now."""
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
            # "Connection closed.": we are quicker than the callback that tells of it.
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
        """See to it that the end of the connection is the end of the body.

        aiohttp forgets to tell the body's reader when its C parser finds the chunked coding
        malformed: whoever waits for more would wait for ever.
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
            content = content.source  # some of it may still be to be decoded
        if content.is_eof() or content.exception() is not None:
            return
        protocol = None if connection is None else connection.protocol
        fault = None if protocol is None else protocol.exception()
        if isinstance(fault, HttpProcessingError):
            content.set_exception(fault)
        else:
            content.set_exception(ClientPayloadError("the connection was lost"))

    def detach(self) -> None:
        """Let go of the response, as it is: somebody else has it from here on."""
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
        """Close the connection, whatever its state."""
        if not self.done:
            if self._direct is not None:
                self._direct.end()
            connection = self.response.connection
            transport = None if connection is None else connection.transport
            if sys.version_info < (3, 11) and transport is not None:
                # asyncio's TLS would first wait for the server's goodbye, which comes behind
                # all that is unread, and has no limit to that.
                transport.abort()
            self.response.close()
            self._end()

    async def aclose(self) -> None:
        """Close the connection, for the session is closing."""
        self.abort()

    def _end(self) -> None:
        self.done = True
        if self._closed is not None:
            # It lives as long as the connection, and others come to wait for it.
            self._closed.remove_done_callback(self._lost)
        self._forget(self)


async def next_piece(exchange: Exchange | None, buffer: BodyBuffer) -> bytes:
    """Return the next block of ``buffer``, which ``exchange`` fills if need be; b"" at the end."""
    if not buffer and exchange is not None and not buffer.eof:
        await exchange.fill(buffer)
    return buffer.block()


async def small_body(response: AnyResponse, most: int) -> None:
    """Wait a moment for a body of up to ``most`` bytes: it is on its way, behind the head."""
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
    """Keep asyncio from complaining of an error that nobody has asked for."""
    if not closed.cancelled():
        closed.exception()


async def _burst(content: StreamReader) -> None:
    """Let more come in while it does: a crossing for each read of the socket costs too much.

    Where nothing more is there, this delays the reader by one empty round of the loop.
    """
    for _ in range(_ROUNDS):
        before = content.total_bytes
        await asyncio.sleep(0)
        if content.total_bytes == before:
            break


@cache
def _keep_heap() -> None:
    """Have malloc keep what is freed. Once in a process, with the first body that streams.

    The engine makes each block anew, of 256 KiB. To glibc that is a large one at first:
    mapped, faulted in page by page, and unmapped again, which takes as long as all the
    rest of a download. Its threshold follows the largest block freed: mallopt(3). This one
    is never touched, so it costs no memory; the price is up to twice its size of free
    heap that is not given back.
    """
    bytes(_HEAP)
