"""The body of one response as the body of another request, piped on the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import hdrs

from .._async.exchange.body_buffer import ALL
from .._async.exchange.source import Chunk, StoppedError
from .._caller import in_caller
from .._coroutines import blocking, start
from .body_reader import ANY, BodyReader


class ContentSource:
    """A source that takes the rest of a stream, on the loop that both belong to.

    The chunks do not cross, unless the response belongs to another loop: then the caller's
    thread reads it. The stream is in use until the request has its response; the bytes that the
    request has not taken can then be read from it.
    """

    replayable = False
    detached = False

    def __init__(self, stream: BodyReader) -> None:
        if stream._readers:
            stream._refuse()
        if stream._closed:
            raise ValueError("data is the content of a released response")
        self.sent = 0
        #: The number of bytes left, if it is known.
        self.size = _bytes_left(stream)
        self._stream = stream
        self._buffer = stream._buffer
        self._filling: asyncio.Task[None] | None = None
        self._stopped = False

    # -- the caller's thread ---------------------------------------------------------

    def begin(self) -> None:
        """Take the turn, so that others cannot read."""
        readers = self._stream._readers
        readers.append(self)
        if readers[0] is not self:
            readers.remove(self)
            self._stream._refuse()

    def close(self, error: BaseException | None) -> None:
        """Allow other readers again."""
        readers = self._stream._readers
        if self in readers:
            readers.remove(self)
        self._stream._note_end(self._buffer)

    def _fill_from_here(self) -> None:
        blocking(lambda: self._stream._bring(self._buffer, ANY, block=True))

    # -- the loop thread -------------------------------------------------------------

    async def take(self) -> Sequence[Chunk]:
        """Return the bytes that have arrived; wait only if there are none."""
        buffer = self._buffer
        if not buffer and not buffer.eof and not self._stopped:
            remote = self._stream._exchange_for(buffer)
            exchange = None if remote is None else remote.here()
            if exchange is not None:
                filling = exchange.fill(buffer)
            else:
                filling = in_caller(self._fill_from_here)
            self._filling = start(filling)
            try:
                await asyncio.wait((self._filling,))
                if not self._stopped:
                    self._filling.result()
            finally:
                # Also if the request was cancelled: no read may stay behind.
                self._filling.cancel()
                self._filling = None
        if self._stopped:
            raise StoppedError
        data = buffer.cut(ALL)
        return (data,) if data else ()

    async def restart(self) -> None:
        """Raise NotImplementedError: the body can be sent only once."""
        raise NotImplementedError

    def drop(self, reason: Exception | None) -> None:
        """Take no more. Bytes that were taken and not sent are lost."""
        self._stopped = True
        if self._filling is not None:
            self._filling.cancel()


def _bytes_left(stream: BodyReader) -> int | None:
    headers, buffer = stream._head.headers, stream._buffer
    if buffer.eof:
        return len(buffer)
    length = headers.get(hdrs.CONTENT_LENGTH, "")
    if hdrs.CONTENT_ENCODING in headers or not length.isdecimal():
        return None
    return int(length) - buffer.position()
