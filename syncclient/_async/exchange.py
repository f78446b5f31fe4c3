"""One response that is still open on the event loop: take its body, release it, abort it."""

from __future__ import annotations

import asyncio
import sys
from functools import cache
from typing import TYPE_CHECKING

from aiohttp import ClientConnectionError, ClientPayloadError, ClientResponse, StreamReader
from aiohttp.http_exceptions import HttpProcessingError

from .._exceptions import spare
from .errors import cause, explained
from .phase import Phase, Progress, begin
from .straight import Straight, fits, straighten
from .stream import ALL, Inbox
from .tracing import is_traced, send_chunk_received

if TYPE_CHECKING:
    from collections.abc import Callable

#: What ends a connection, and not whatever came over it and may go on over the next.
LOST = (ClientConnectionError, ClientPayloadError)

#: What aiohttp's readchunk() returns at the end.
_END = (b"", False)

#: Rounds of the loop that a fill gives a sender who is quicker than its reader.
_ROUNDS = 2

_HEAP = 4 * 2**20


class Exchange:
    """An open response: its body is, at least in part, still on the wire. Event loop only.

    Args:
        response: the engine's, fresh from its request.
        progress: tells errors which request they are about.
        forget: called once, when nothing is open any more.
        max_body: how many bytes the body may have, decompressed; None sets no limit.

    The engine holds ahead of the reader at most twice its ``read_bufsize``, and what one read
    of the socket or one step of a decompressor adds to that; then the server has to wait.
    Taking never raises these limits, so a whole body, too, is inflated piece by piece.
    """

    __slots__ = (
        "_busy",
        "_chunk_end",
        "_closed",
        "_fits",
        "_forget",
        "_line_limit",
        "_max_body",
        "_over",
        "_progress",
        "_straight",
        "_taken",
        "done",
        "reads_on",
        "response",
    )

    def __init__(
        self,
        response: ClientResponse,
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
        self._busy = False
        #: Before the short way raises it.
        self._line_limit = response.content.get_read_buffer_limits()[1]
        #: The short way for the body, once that is taken.
        self._straight: Straight | None = None
        self._fits = fits(response)
        #: Whether a long body is received, up to the limits, also while its reader is away: for
        #: readers that release the interpreter's lock meanwhile, such as one that writes a file.
        self.reads_on: bool = False
        progress.phase = Phase.BODY
        #: Whether all of it has been handed over, or given up.
        self.done = False
        #: Done when the connection is.
        self._closed: asyncio.Future[None] | None = None
        self._watch()

    async def fill(self, inbox: Inbox, least: int = 1, *, to_chunk_end: bool = False) -> None:
        """Put all that is here into ``inbox``, once there are ``least`` bytes or the end.

        With 0 this does not wait; with ``to_chunk_end`` the end of an HTTP chunk ends the
        wait too. Cancelled, it has taken nothing that is not in the inbox.

        Raises:
            ClientError: the body broke off, and this fill had no byte to give before that.
            RuntimeError: another fill is under way.
        """
        if self._busy:
            raise RuntimeError("this response is being read already: one reader at a time")
        self._busy = True
        begin(self._progress)
        start = inbox.total
        _keep_heap()
        if self._straight is not None:
            self._straight.go_on()
        try:
            await self._fill(inbox, start + least, to_chunk_end)
        except Exception as exc:
            self._rescue(inbox)
            if inbox.total == start:
                self._break(exc, inbox)
        finally:
            self._busy = False
            if self._fits:
                self._shorten()
            if self._straight is not None and not self.reads_on:
                self._straight.rest()

    async def read_into(self, inbox: Inbox) -> None:
        """Put the rest of the body into ``inbox`` and tell the tracers.

        As aiohttp's ``ClientResponse.read`` has it, cancelling this closes the connection.
        """
        try:
            while not inbox.eof:
                await self.fill(inbox, ALL)
        except asyncio.CancelledError:
            inbox.error = ClientConnectionError("closed, for its read() was interrupted")
            self.abort()
            raise
        if is_traced(self.response):
            body = inbox.cut(ALL)
            inbox.put_back(body)
            await send_chunk_received(self.response, body)

    async def read(self) -> bytes:
        """Return the rest of the body; the connection then goes back to the pool."""
        inbox = Inbox()
        await self.read_into(inbox)
        return inbox.cut(ALL)

    async def _fill(self, inbox: Inbox, goal: int, to_chunk_end: bool) -> None:
        content = self.response.content
        inbox.line_limit = self._line_limit
        if self._over is not None:
            raise self._over
        # What is held at this moment, not what comes in while it is taken: with each
        # step the engine may inflate a further piece, and a bomb has no end of them.
        held = content.total_bytes
        while True:
            while self._taken < held:
                piece = await content.readchunk()  # does not wait
                if piece == _END:
                    self._taken = held  # the rest was read by somebody else: a middleware
                else:
                    self._put(inbox, *piece)
            if content.at_eof():
                # The end of an HTTP chunk may be left.
                while (piece := await content.readchunk()) != _END:
                    self._put(inbox, *piece)
                inbox.compressed = content.total_compressed_bytes
                inbox.eof = True
                self._progress.spend("over")
                inbox.timings = self._progress.timings()
                self._end()
                return
            if inbox.total >= goal or (to_chunk_end and inbox.ends):
                inbox.compressed = content.total_compressed_bytes
                return
            if content.total_bytes > held:
                await asyncio.sleep(0)  # inflated meanwhile; now the others have their turn
            else:
                if self._fits:
                    self._shorten()
                piece = await content.readchunk()
                if piece != _END:
                    self._put(inbox, *piece)
                if inbox.total >= goal:
                    await _burst(content)
            held = content.total_bytes

    def _shorten(self) -> None:
        if self._straight is None and self._taken == self.response.content.total_bytes:
            self._straight = straighten(self.response)

    def _put(self, inbox: Inbox, data: bytes, at_chunk_end: bool = False) -> None:
        self._taken += len(data)
        if self._max_body is not None and self._taken > self._max_body:
            # The reader gets as many as are allowed, and then the error.
            data = data[: max(0, len(data) - (self._taken - self._max_body))]
            self._over = ClientPayloadError(
                f"the body has more than max_body={self._max_body} bytes"
            )
        if data:
            inbox.put(data)
        if self._over is not None:
            raise self._over
        # The engine tells the end of the last HTTP chunk twice if the reader knows it already.
        if at_chunk_end and self._chunk_end != self._taken:
            self._chunk_end = self._taken
            inbox.ends.append(inbox.total)

    def _rescue(self, inbox: Inbox) -> None:
        """Take what came before the fault: of the engine's reader one gets only the fault now."""
        content = self.response.content
        if self._over is None and content.total_bytes > self._taken:
            left = _left_in(content)
            self._taken = content.total_bytes - len(left)
            try:
                self._put(inbox, left)
            except ClientPayloadError:
                return  # too many: the next fill says so

    def _break(self, exc: Exception, inbox: Inbox) -> None:
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
        inbox.error = spare(error)
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
            self._end()

    def abandon(self) -> None:
        """Release the response now. A connection with unread data on it is closed."""
        if not self.done:
            self.response.release()
            self._end()

    def abort(self) -> None:
        """Close the connection, whatever its state."""
        if not self.done:
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


async def next_piece(exchange: Exchange | None, inbox: Inbox) -> bytes:
    """Return the next block of ``inbox``, which ``exchange`` fills if need be; b"" at the end."""
    if not inbox and exchange is not None and not inbox.eof:
        await exchange.fill(inbox)
    return inbox.block()


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


def _left_in(content: StreamReader) -> bytes:
    """Return what the engine's reader holds. Its fields are private: without them, nothing."""
    blocks = getattr(content, "_buffer", ())
    return b"".join(blocks)[getattr(content, "_buffer_offset", 0) :]
