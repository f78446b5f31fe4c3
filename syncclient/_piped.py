"""The body of one response as the body of another request: it does not leave the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiohttp import hdrs

from ._async.source import Chunk, StoppedError
from ._async.stream import ALL
from ._async.ws_engine import start
from ._body_reader import BodyReader
from ._call import in_caller


class ContentSource:
    """A source that takes what is left of a stream, on the loop that both belong to.

    Without a crossing for the chunks, unless the response came over another loop: then the
    caller's thread reads it. Until the request has its response, the stream is in
    use; what the request then has not taken can be read from it.
    """

    replayable = False
    detached = False

    def __init__(self, stream: BodyReader) -> None:
        if stream._waiting:
            stream._refuse()
        if stream._closed:
            raise ValueError("data is the content of a response that was released")
        self.sent = 0
        #: How many bytes are left, where that is known.
        self.size = _bytes_left(stream)
        self._stream = stream
        self._filling: asyncio.Task[None] | None = None
        self._stopped = False

    # -- the caller's thread ---------------------------------------------------------

    def begin(self) -> None:
        """Keep others from reading."""
        self._stream._waiting = True

    def close(self, error: BaseException | None) -> None:
        """Let others read again."""
        self._stream._waiting = False
        self._stream._note_end()

    def _fill_from_here(self) -> None:
        self._stream._waiting = False
        try:
            self._stream._fill()
        finally:
            self._stream._waiting = True

    # -- the loop thread -------------------------------------------------------------

    async def take(self) -> Sequence[Chunk]:
        """Return what has come; wait for it only where there is nothing."""
        inbox, remote = self._stream._inbox, self._stream._remote
        if not inbox and not inbox.eof and not self._stopped and remote is not None:
            exchange = remote.here()
            if exchange is not None:
                filling = exchange.fill(inbox)
            else:
                filling = in_caller(self._fill_from_here)
            self._filling = start(filling)
            try:
                await asyncio.wait((self._filling,))
                if not self._stopped:
                    self._filling.result()
            finally:
                self._filling = None
        if self._stopped:
            raise StoppedError
        data = inbox.cut(ALL)
        return (data,) if data else ()

    async def restart(self) -> None:
        """Not possible."""
        raise NotImplementedError

    def drop(self, reason: Exception | None) -> None:
        """Take no more. What has been taken and not sent is lost."""
        self._stopped = True
        if self._filling is not None:
            self._filling.cancel()


def _bytes_left(stream: BodyReader) -> int | None:
    headers, inbox = stream._head.headers, stream._inbox
    if inbox.eof:
        return len(inbox)
    length = headers.get(hdrs.CONTENT_LENGTH, "")
    if hdrs.CONTENT_ENCODING in headers or not length.isdecimal():
        return None
    return int(length) - inbox.position()
