"""Read long bodies of known length from the transport, bypassing the parser.

aiohttp's parser copies a body out of the received data. If a body has a Content-Length and is not
decompressed, that copy is all the parser does. So once the head is parsed, and the data that came
with it has been read, the rest of such a body is read directly. Everything else is left to the
engine: the reader with its waits and limits, the pauses at its high-water mark, the errors when
the connection breaks.

The transport also pauses while there is no reader, because the kernel receives ahead anyway.
Otherwise two busy threads, one that reads the socket and one that uses the data, would pass the
interpreter's lock back and forth between two cores.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler

from .decoded_reader import DecodedReader
from .missing import warn_without

if TYPE_CHECKING:
    import socket

    from aiohttp import StreamReader
    from multidict import CIMultiDictProxy

    from .lean_connection import AnyConnection

#: Bytes that must be left for a direct read to be worthwhile.
_WORTH = 2**18
#: Bytes to collect before the transport pauses; the engine calls this the chunk size.
_GATHERED = 2**19


class Streamed(Protocol):
    """The parts of a response that are used here."""

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers of the response."""

    @property
    def content(self) -> StreamReader:
        """The reader of its body."""

    @property
    def connection(self) -> AnyConnection | None:
        """The connection; None once it has been released."""


def fits(response: Streamed) -> bool:
    """Return whether a body can be read directly."""
    headers = response.headers
    return (
        not isinstance(response.content, DecodedReader)  # which has its own reader
        and hdrs.TRANSFER_ENCODING not in headers
        and hdrs.CONTENT_ENCODING not in headers
        and _left(response) >= _WORTH
    )


def read_directly(response: Streamed) -> DirectRead | None:
    """Read the rest of a suitable body from the transport; return None if that is not possible now.

    Call this once all received data of the body has been taken from its reader.
    """
    connection = response.connection
    handler = None if connection is None else connection.protocol
    if (
        handler is None
        or handler.transport is None
        or _left(response) < _WORTH
        or _is_paused(handler)
    ):
        return None
    return DirectRead(handler, handler.transport, response.content, _left(response))


def _is_paused(handler: ResponseHandler) -> bool:
    """Return whether the parser was told to hold bytes back."""
    paused: bool | None = getattr(handler, "_reading_paused", None)
    if paused is None:
        warn_without("BaseProtocol._reading_paused", "long bodies are received more slowly")
        return True
    return paused


def _left(response: Streamed) -> int:
    length = response.headers.get(hdrs.CONTENT_LENGTH, "")
    if not (length.isascii() and length.isdigit()):
        return 0
    return int(length) - response.content.total_bytes


class DirectRead(asyncio.Protocol):
    """Replaces the engine's protocol until the ``left`` bytes of the body have arrived."""

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

    def pause(self) -> None:
        """Leave data in the kernel, and make the server wait, until ``resume``."""
        if self._left > 0 and not self._transport.is_closing():
            self._transport.pause_reading()
            self._time(None)

    def resume(self) -> None:
        """Receive again."""
        if self._left > 0 and not self._transport.is_closing():
            self._transport.resume_reading()
            self._time(self._read_timeout)

    def lend(self) -> tuple[socket.socket, int] | None:
        """Return the socket, and how many bytes of the body are left on it, for a loan.

        None if a loan is not worthwhile. Call this just before ``pause``, once all received data
        of the body has been taken from its reader.
        """
        transport = self._transport
        if (
            self._left < _WORTH
            or transport.is_closing()
            or transport.get_extra_info("sslcontext") is not None
            or (sock := transport.get_extra_info("socket")) is None
        ):
            return None
        return sock, self._left

    def take_back(self, left: int, *, followed: bool) -> int:
        """Continue after a loan, and return how many bytes were received on it.

        Args:
            left: bytes of the body that were not received.
            followed: whether other data follows the body.
        """
        received = self._left - left
        self._left = left
        self._content.total_bytes += received
        if self._left == 0 and not self._transport.is_closing():
            if followed:
                self._handler.force_close()
            self._finish(b"")
            self._transport.resume_reading()
        return received

    def _time(self, seconds: float | None) -> None:
        """Restart the engine's timer for the next bytes, or stop it."""
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
        if self._left < 0:
            handler.force_close()
            data = data[: self._left]
        self._finish(data)

    def _finish(self, data: bytes) -> None:
        handler = self._handler
        self._transport.set_protocol(handler)
        self._content.feed_data(data)
        # A new parser, to detect data before the next request as an error. For the old parser,
        # this body never ends.
        handler.set_response_params()
        self._content.feed_eof()

    def eof_received(self) -> None:
        self._handler.eof_received()

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._handler.connection_lost(exc)
