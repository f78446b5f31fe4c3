"""The body of a response as urllib3 reads it: in the place of http.client's response."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from .._boundary.unclosed import forgive
from .._client.response import Response
from ._errors import body_error
from ._socket import BodySocket

if TYPE_CHECKING:
    from urllib3.connectionpool import HTTPConnectionPool

    from .._async.exchange.exchange import Exchange
    from .._boundary.lease import Remote

T = TypeVar("T")

#: How a pool, for the text of an error, is come by.
PoolOf = Callable[[], "HTTPConnectionPool"]


class Body:
    """What urllib3 asks of ``_fp``, apart from where the bytes come from.

    urllib3 reads the framing of chunks itself, from ``_fp.fp``: a line with a size, the bytes, a
    line break. The engine has taken that off. It is made anew here from what arrives: a large
    chunk that comes in pieces is several of these, so that each piece is given out at once.
    """

    def __init__(self) -> None:
        self._closed = False
        #: The chunk that urllib3 reads, and how far it is.
        self._piece = b""
        self._piece_at = 0
        self._last = False
        #: Whether the body came in HTTP chunks.
        self.chunked = False

    def read(self, amt: int | None = None) -> bytes:
        """Return the rest, or ``amt`` bytes: fewer at the end only, as http.client has it."""
        raise NotImplementedError

    def read1(self, amt: int = -1) -> bytes:
        """Return the bytes that are here or come next, ``amt`` at most."""
        raise NotImplementedError

    def chunk(self) -> bytes:
        """Return the bytes of an HTTP chunk that are here or come next; b"" at the end."""
        raise NotImplementedError

    def at_once(self) -> bytes | None:
        """Return the whole body, if nothing of it has been read and no fault comes in between."""
        raise NotImplementedError

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Read into ``buffer``, and return how many bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    @property
    def fp(self) -> Body | None:
        """What the framing of chunks is read from; None once the end has been read."""
        return None if self._closed else self

    @property
    def raw(self) -> BodySocket:
        """What stands in for the socket."""
        return BodySocket(self.close, self._remote())

    def _remote(self) -> Remote[Exchange] | None:
        return None

    @property
    def chunk_left(self) -> int:
        """How many bytes are read without waiting: docker's SDK takes an event by that."""
        raise NotImplementedError

    def readline(self, limit: int = -1) -> bytes:
        """Return the line that begins the next chunk; at the end those that end the body."""
        if self._last:
            self.close()
            return b"\r\n"
        self._piece, self._piece_at = self.chunk() + b"\r\n", 0
        self._last = len(self._piece) == 2
        return b"%x\r\n" % (len(self._piece) - 2)

    def _safe_read(self, amt: int) -> bytes:
        start = self._piece_at
        self._piece_at += amt
        return self._piece[start : self._piece_at]

    def close(self) -> None:
        """Drop the unread data. Any thread; never waits."""
        self._closed = True

    def isclosed(self) -> bool:
        """Return whether it has been read to its end, or closed."""
        return self._closed

    @property
    def closed(self) -> bool:
        """Whether it has been read to its end, or closed."""
        return self._closed

    def flush(self) -> None:
        """Do nothing, as files that are read."""


class WholeBody(Body):
    """A body that came along with the head."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data
        self._at = 0
        self._begun = False
        self._closed = not data

    def at_once(self) -> bytes | None:
        """Return the whole body, if nothing of it has been read."""
        if self._begun:
            return None
        data = self._data
        self.close()
        return data

    @property
    def chunk_left(self) -> int:
        """How many bytes there are left."""
        return len(self._data) - self._at

    def read(self, amt: int | None = None) -> bytes:
        """Return the rest, or ``amt`` bytes."""
        if self._closed:
            return b""
        self._begun = True
        at, data = self._at, self._data
        self._at = stop = len(data) if amt is None or amt < 0 else min(at + amt, len(data))
        if stop == len(data):
            self.close()
        return data[at:stop]

    def read1(self, amt: int = -1) -> bytes:
        """Return the rest, or ``amt`` bytes."""
        return self.read(amt)

    def chunk(self) -> bytes:
        """Return the rest: where the chunks of it ended is not known any more."""
        data, self._data, self._begun = self._data[self._at :], b"", True
        self._at = 0
        return data

    def close(self) -> None:
        """Drop the unread data."""
        self._closed = True
        self._begun, self._data = True, b""


class OpenBody(Body):
    """A body of which some is still on the wire.

    Dropped unread it closes its connection, without a warning: programs on requests do that.
    """

    def __init__(self, response: Response, pool_of: PoolOf) -> None:
        super().__init__()
        self._response = response
        self._pool_of = pool_of
        self._begun = False
        forgive(response.content)

    def at_once(self) -> bytes | None:
        """Return the whole body. None if some has been read, or if there is a fault in it.

        The fault is kept, and so are the bytes before it: ``read`` has both.
        """
        if self._closed or self._begun:
            return None
        try:
            data = self._response.content.read()
        except Exception:
            return None
        self._closed = True
        return data

    def _remote(self) -> Remote[Exchange] | None:
        return self._response.content._remote

    @property
    def chunk_left(self) -> int:
        """How many bytes are read without waiting."""
        return len(self._response.content._buffer)

    def read(self, amt: int | None = None) -> bytes:
        """Return the rest, or ``amt`` bytes: fewer at the end only, as http.client has it."""
        if self._closed:
            return b""
        content = self._response.content
        if amt is None or amt < 0:
            data = self._checked(content.read)
            self._closed = True
            return data
        data = self._checked(content.read, amt)
        if data and len(data) < amt:
            data = self._filled(data, amt)
        if content.at_eof():
            self._closed = True
        return data

    def _filled(self, data: bytes, amt: int) -> bytes:
        parts, missing = [data], amt - len(data)
        while missing and data:
            try:
                data = self._response.content.read(missing)
            except Exception:
                break  # the next read raises it again
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def read1(self, amt: int = -1) -> bytes:
        """Return the bytes that are here or come next, ``amt`` at most."""
        if self._closed:
            return b""
        content = self._response.content
        data = self._checked(content.read1, amt)
        if content.at_eof():
            self._closed = True
        return data

    def chunk(self) -> bytes:
        """Return the bytes of an HTTP chunk that are here or come next; b"" at the end."""
        ends = True
        data = b""
        while ends and not data and not self._closed:
            data, ends = self._checked(self._response.content.readchunk)
        return data

    def _checked(self, read: Callable[..., T], *args: int) -> T:
        self._begun = True
        try:
            return read(*args)
        except Exception as exc:
            raised = body_error(exc, self._response, self._pool_of)
            if raised is exc:
                raise
            self.close()  # as urllib3 does: after an error the body is at its end
            raise raised from exc

    def close(self) -> None:
        """Close the connection if some of the body is still on it. Any thread; never waits."""
        super().close()
        self._response.close()

    def __del__(self) -> None:
        # Before the reader's own finaliser, which would complain.
        response: Response | None = self.__dict__.get("_response")
        if response is not None and not response.closed:
            response.close()
