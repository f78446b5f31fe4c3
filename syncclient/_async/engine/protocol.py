"""aiohttp's protocol for the connections of our own pools, where the web asks for more.

A response is complete where its framing says so; any bytes after it answer no request,
and spoils the connection, not the response. All but the body has a bound, so that a server
cannot hold the loop, or a caller who set no timeout, with heads, framing or trailers that
never end. Content codings are undone by a reader of our own (``decoded_reader.py``).
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Collection
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from aiohttp import (
    EMPTY_PAYLOAD,
    BaseConnector,
    ClientConnectionError,
    ClientPayloadError,
    StreamReader,
    hdrs,
)
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong

from ..decoding.codings import codings_in
from .connectors import (
    connections_in_use,
    idle_connections,
    set_protocol_factory,
    warn_of_missing_steps,
)
from .decoded_reader import POSSIBLE, DecodedReader
from .head_bytes import HEAD_END, find_head_end, printable, with_one_framing, with_reason
from .lean_handler import NO_TIMER, LeanHandler
from .missing import warn_without
from .tls_ends import EndingHandler

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

#: Bytes that the status line, and each header, may have: curl's limit. http.client has 64 KiB.
LINE_LIMIT = 100 * 2**10
#: How many headers a response may have: curl's limit.
HEADER_LIMIT = 5000
_LIMITS = {
    "max_line_size": LINE_LIMIT,
    "max_field_size": LINE_LIMIT,
    "max_headers": HEADER_LIMIT,
}

#: Interim responses (1xx) before the one that was asked for.
_INTERIM_LIMIT = 1000
#: Bytes that all of a response but its body may have, interim responses included ...
_OVERHEAD_LIMIT = 2**20
#: ... and for each byte of the body, for the framing of its chunks.
_OVERHEAD_PER_BYTE = 16

_BROKEN_OFF = "the connection was closed before the end of the body"

_NO_CONTENT = 204
_BODILESS = (_NO_CONTENT, 304)
_CONTINUE = 100
_SWITCHING_PROTOCOLS = 101


class Handler(LeanHandler):
    """aiohttp's protocol: one connection, and one response after another."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: BaseConnector) -> None:
        super().__init__(loop, pool)
        # The pool's own set of connections in use: checked for every piece of data.
        self._in_use: Collection[Any] = connections_in_use(pool)
        #: What the engine said of the request that is under way.
        self._params: dict[str, Any] = {}
        self._decompress = True
        #: Whether the head of its response has come, interim ones apart.
        self._answered = False
        #: All that came until then.
        self._pieces: list[bytes] = []
        self._interim = 0
        self._continued = False
        #: How many bytes that was.
        self._head_size = 0
        self._chunked = False
        #: Whether the end of the response has yet to be looked at.
        self._open_ended = False
        #: The response received last, until it is complete.
        self._last = b""
        self._received = 0
        #: How many bytes may be received before they are weighed against the body. A server may
        #: speak before it is asked.
        self._allowance = _OVERHEAD_LIMIT
        #: Whether the wait for the response counts from when the request has been written.
        self._still_writing = False

    def set_response_params(self, **params: Any) -> None:
        """Be ready for the response to the next request."""
        if "max_headers" not in params:  # of a proxy's tunnel
            params.update(_LIMITS)
        self._decompress = params.get("auto_decompress", True)
        if POSSIBLE:
            params["auto_decompress"] = False
        self._params = params
        self.parser_ended, self.made_with, self.next_timer = False, None, NO_TIMER
        self.renew()
        super().set_response_params(**params)

    def renew(self) -> None:
        """Forget the response before."""
        self._answered = self._continued = self._open_ended = False
        self._interim = self._received = 0
        self._allowance = _OVERHEAD_LIMIT
        if self._pieces:
            self._pieces.clear()

    def start_timeout_once_written(self) -> None:
        """Start the timer for the next bytes, as soon as the request has left for the system."""
        if self.writing_paused:
            self._still_writing = True
        else:
            self.start_timeout()

    def close(self) -> None:
        """Close the connection; a response that is still being received has an error."""
        self._break_off()
        super().close()

    def abort(self) -> None:
        """Close the connection at once; see ``close``."""
        self._break_off()
        super().abort()

    def _break_off(self) -> None:
        # A body may last until the connection is closed: by the server, and not from here.
        payload = self._payload
        if (
            self.transport is not None
            and isinstance(payload, StreamReader)
            and not payload.is_eof()
            and payload.exception() is None
        ):
            self._parser = None
            payload.set_exception(ClientConnectionError(_BROKEN_OFF))

    # -- called by the transport -----------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take data for the response that is awaited; if there is none, close."""
        if data:
            if self not in self._in_use and self._lies_in_pool():
                # Bytes that come once the next request has gone out cannot be told from its
                # answer; no client can, in HTTP/1.1.
                self.close()
                return
            if not self._answered and not self._pieces:
                data, self._head_size, ambiguous = with_one_framing(data)
                if ambiguous:
                    self.force_close()
            self._received += len(data)
            if self._received > self._allowance and not self._weigh():
                self.wake()
                return
        # Without data, the parser continues with what it has: its reader has room again.
        if self._answered or not data:
            super().data_received(data)
        else:
            self._pieces.append(data)
            super().data_received(data)
            if self._interim and not self._answered:
                self.start_timeout()  # the engine stops it: it takes any head for the last
        if self._open_ended:
            self._look_at_end(data)
        # The end of a body gives the connection back at once, while the rest of the same
        # data is still to be looked at.
        if self not in self._in_use and self.should_close and self._lies_in_pool():
            self.close()
        # Last: the coroutine may send its next request over this connection.
        if self.arrived is not None:
            self.wake()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Resume receiving, and parse the data that has arrived."""
        # A body that came with its head ends before it has a reader, who could have paused this.
        if self._answered or resume_parser or self._reading_paused:
            super().resume_reading(resume_parser)

    def resume_writing(self) -> None:
        """Resume writers."""
        super().resume_writing()
        if self._still_writing:
            self._still_writing = False
            self.start_timeout()

    def _lies_in_pool(self) -> bool:
        # Not in use is also the connection to a proxy, until its tunnel stands.
        idle = idle_connections(self._pool)
        return any(self is protocol for some in idle.values() for protocol, _ in some)

    def _look_at_end(self, data: bytes) -> None:
        """Spoil the connection if ``data`` goes beyond the end of the response.

        The parser passes over line breaks there, and says nothing of half a head.
        """
        payload = self._payload
        if payload is None or not payload.is_eof():
            self._last = data or self._last
            return
        data, self._last = data or self._last, b""
        self._open_ended = False
        if self._chunked:
            exact = data.endswith(b"\r\n\r\n" if len(data) > 3 else b"\n")
            exact = exact and not data.endswith(b"\r\n" * 3)
        else:
            exact = self._received == self._head_size + payload.total_bytes
        if not exact:
            self.force_close()

    def _size_of_head(self) -> int:
        data, at = b"".join(self._pieces), 0
        for _ in range(1 + self._interim):
            at = find_head_end(data, at) or len(data)
        return at

    def _weigh(self) -> bool:
        """Return whether enough of the received data is a body; if not, end the connection."""
        if self.upgraded:
            self._allowance = sys.maxsize
            return True
        body = 0 if self._payload is None else self._payload.total_bytes
        longest = max(self._params["max_line_size"], self._params["max_field_size"])
        limit = max(_OVERHEAD_LIMIT, 4 * longest)
        self._allowance = limit + (1 + _OVERHEAD_PER_BYTE) * body
        if self._received <= self._allowance:
            return True
        self._refuse(
            f"more than {limit} bytes of headers and framing; max_field_size= raises this"
            if self._answered
            else f"more than {limit} bytes before the body; max_field_size= raises this"
        )
        return False

    def _refuse(self, why: str) -> None:
        """End the connection, and the response with an error."""
        payload, self._payload = self._payload, None
        if self._answered and payload is not None:
            payload.set_exception(ClientPayloadError(f"the body is malformed: {why}"))
        self._answered = True
        super().set_exception(BadHttpMessage(why))
        if self.transport is not None:
            self.transport.abort()

    # -- called by the engine's data_received() --------------------------------------

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Pass on a head that the parser found, if it is awaited, and the reader of its body."""
        message, payload = data
        code = message.code
        if self._answered:
            self.force_close()  # a second response to one request
            return
        if 100 <= code < 200 and code != _SWITCHING_PROTOCOLS:
            self._interim += 1
            if self._interim > _INTERIM_LIMIT:
                self._refuse(f"more than {_INTERIM_LIMIT} interim responses (1xx)")
            elif code == _CONTINUE and not self._continued:
                self._continued = True
                super().feed_data(data, size)
            return
        self._answered = True
        # Most responses come in one piece, which ends where they do.
        size = self._head_size + payload.total_bytes
        if size != self._received or not payload.is_eof():
            self._open_ended = code != _SWITCHING_PROTOCOLS
            self._chunked = bool(message.chunked) and payload is not EMPTY_PAYLOAD
            self._head_size = self._size_of_head()
        else:
            self.parser_ended = not (self._interim or message.chunked or message.should_close)
        self._pieces.clear()
        if self.next_timer is not NO_TIMER and payload is not EMPTY_PAYLOAD:
            payload._timer = self.next_timer
        headers = message.headers
        if code == _SWITCHING_PROTOCOLS:
            self.force_close()  # what follows is no HTTP
        elif code == _NO_CONTENT and (
            hdrs.TRANSFER_ENCODING in headers or headers.get(hdrs.CONTENT_LENGTH, "0") != "0"
        ):
            self.force_close()  # a body follows that it must not have
        elif payload is EMPTY_PAYLOAD and self._should_have_body(code, headers):
            # 2**64 - 1 bytes: the parser takes that for no length at all.
            self._refuse("Content-Length is out of range")
            return
        if message.reason and not message.reason.isascii():
            message = with_reason(message, printable(message.reason))
        if (
            payload is not EMPTY_PAYLOAD
            and hdrs.CONTENT_ENCODING in headers
            and POSSIBLE
            and self._decompress
        ):
            codings = codings_in(headers.getall(hdrs.CONTENT_ENCODING))
            if codings:
                payload = decoded = DecodedReader(
                    payload, codings, chunked=bool(message.chunked), loop=self._event_loop
                )
                decoded.advance()
        super().feed_data((message, payload), size)

    def _should_have_body(self, code: int, headers: CIMultiDictProxy[str]) -> bool:
        if self._params.get("skip_payload") or code in _BODILESS:
            return False
        return headers.get(hdrs.CONTENT_LENGTH, "").strip("0 \t") != ""

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Break off the response, unless it is complete and ``exc`` is about what follows it."""
        if isinstance(exc, HttpProcessingError):
            if not self._answered:
                pieces = b"".join(self._pieces)
                if pieces and self._answer(pieces):
                    return
                exc.message = self._explained(exc, pieces, *cause)
            elif self._payload is None or self._payload.is_eof():
                self._end()
                return
            else:
                error = ClientPayloadError(f"the body is malformed: {exc.message}")
                self._payload.set_exception(error, exc)
        super().set_exception(exc, *cause)
        self.wake_with_error(exc, *cause)

    def _answer(self, data: bytes) -> bool:
        """Return whether ``data``, which the parser refused, begins with a response; pass it on.

        The parser gives up what it has found, with the first error after it.
        """
        super().set_response_params(**self._params)
        parser: Any = self._parser
        at = 0
        found: tuple[RawResponseMessage, StreamReader] | None = None
        # Head by head: with more than one the parser would be at the same error again.
        for end in islice(HEAD_END.finditer(data), 2 * _INTERIM_LIMIT):
            try:
                messages, _, _ = parser.feed_data(data[at : end.end()])
            except Exception:
                return False
            at = end.end()
            for message, payload in messages:
                if 100 <= message.code < 200:
                    self.feed_data((message, EMPTY_PAYLOAD))
                else:
                    found = message, payload
            if found is not None:
                break
        else:
            return False
        message, payload = found
        if self._params.get("skip_payload") or message.code in _BODILESS:
            payload = EMPTY_PAYLOAD
        elif not payload.is_eof():
            self._payload = payload
            with suppress(Exception):
                parser.feed_data(data[at:])
            if not payload.is_eof():
                return False
        self._end()
        self.feed_data((message, payload))
        return True

    def _end(self) -> None:
        """Protect the response from later events, such as the end of the connection."""
        self.force_close()
        self._open_ended = False
        self._parser = self._payload = None
        self.read_timeout = None
        self.start_timeout()

    def _explained(
        self, error: HttpProcessingError, data: bytes, cause: BaseException | None = None
    ) -> str:
        """Return the message of ``error``, which names the limit that the head went beyond."""
        if isinstance(cause, LineTooLong):
            what, keyword = "a header", "max_field_size"
            if len(data.lstrip(b"\r\n").partition(b"\n")[0]) > self._params["max_line_size"]:
                what, keyword = "the status line", "max_line_size"
            return f"{what} has more than {keyword}={self._params[keyword]} bytes"
        if "Too many headers" in error.message:
            return f"there are more than max_headers={self._params['max_headers']} headers"
        return error.message


#: The fields that ``Handler`` changes. How the engine's own protocol ends a response hangs on them.
_FIELDS = ("_parser", "_payload", "_reading_paused")


def watch(pool: BaseConnector) -> bool:
    """Make ``pool`` create its connections with this protocol. On the event loop.

    Returns whether it does: not where this aiohttp lacks a name that it needs.
    """
    warn_of_missing_steps(type(pool))
    loop = asyncio.get_running_loop()
    kind: type[EndingHandler] = Handler
    probe = EndingHandler(loop, pool)
    for name in _FIELDS:
        if not hasattr(probe, name):
            warn_without(
                f"ResponseHandler.{name}",
                "responses are read by aiohttp's own rules, and what follows them is not noticed",
            )
            kind = EndingHandler
    if not POSSIBLE:
        warn_without("StreamReader._wait", "content codings are undone by aiohttp's own rules")
    return set_protocol_factory(pool, functools.partial(kind, loop, pool)) and kind is Handler
