"""Long bodies of known length, past the parser: straight from the transport to their reader.

aiohttp's parser copies a body out of what it is fed. Where a body is as long as its
Content-Length says, and is not decompressed, that copy is all the parser does for it. So
once the head is parsed, and what came with it has been read, the rest of such a body takes
the short way. All else is left to the engine: the reader with its waits and limits, the
pauses at its high-water mark, the errors when the connection breaks.

The transport also rests while nobody reads, for the kernel receives ahead anyway. Two
threads that both want to run, one to take from the socket and one to use what was taken,
would pass the interpreter's lock to and fro between two cores.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp import ClientResponse, StreamReader

#: Bytes that must be left for the short way to be worth its while.
_WORTH = 2**18
#: Bytes to gather before the transport rests; the engine calls this the chunk size.
_GATHERED = 2**19


def fits(response: ClientResponse) -> bool:
    """Tell whether a body is of the kind that can take the short way."""
    headers = response.headers
    return (
        hdrs.TRANSFER_ENCODING not in headers
        and hdrs.CONTENT_ENCODING not in headers
        and _left(response) >= _WORTH
    )


def straighten(response: ClientResponse) -> Straight | None:
    """Have the rest of a body that fits come straight from the transport; None if not now.

    To be called when all that has come of the body has been taken from its reader.
    """
    connection = response.connection
    handler = None if connection is None else connection.protocol
    if (
        handler is None
        or handler.transport is None
        or _left(response) < _WORTH
        # Private: whether the parser was told to hold bytes back.
        or getattr(handler, "_reading_paused", True)
    ):
        return None
    return Straight(handler, handler.transport, response.content, _left(response))


def _left(response: ClientResponse) -> int:
    length = response.headers.get(hdrs.CONTENT_LENGTH, "")
    if not (length.isascii() and length.isdigit()):
        return 0
    return int(length) - response.content.total_bytes


class Straight(asyncio.Protocol):
    """Stands in for the engine's protocol until the body has its ``left`` bytes."""

    def __init__(
        self,
        handler: ResponseHandler,
        transport: asyncio.Transport,
        content: StreamReader,
        left: int,
    ) -> None:
        self._handler = handler
        self._transport = transport
        self._content = content
        self._left = left
        self._read_timeout = handler.read_timeout
        content.set_read_chunk_size(_GATHERED)
        transport.set_protocol(self)

    def rest(self) -> None:
        """Leave what comes to the kernel, and the server to wait, until ``go_on``."""
        if self._left > 0 and not self._transport.is_closing():
            self._transport.pause_reading()
            self._time(None)

    def go_on(self) -> None:
        """Receive again."""
        if self._left > 0 and not self._transport.is_closing():
            self._transport.resume_reading()
            self._time(self._read_timeout)

    def _time(self, seconds: float | None) -> None:
        """Start the engine's timer for the next bytes anew, or stop it."""
        if self._read_timeout is not None:
            self._handler.read_timeout = seconds
            self._handler.start_timeout()

    # -- called by the transport -----------------------------------------------------

    def data_received(self, data: bytes) -> None:
        handler, content = self._handler, self._content
        self._left -= len(data)
        if self._left > 0:
            if self._read_timeout is not None:
                handler.start_timeout()
            content.feed_data(data)
            return
        self._transport.set_protocol(handler)
        if self._left < 0:
            handler.force_close()
            data = data[: self._left]
        content.feed_data(data)
        # A new parser, to know what comes before the next request for the error it is. To
        # the old one this body never ends.
        handler.set_response_params()
        content.feed_eof()

    def eof_received(self) -> None:
        self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._handler.connection_lost(exc)
