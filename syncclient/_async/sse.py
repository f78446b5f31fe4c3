"""Server-sent events (WHATWG HTML, 9.2): the parser, and the source that reconnects."""

from __future__ import annotations

import asyncio
import codecs
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import (
    ClientPayloadError,
    ClientResponseError,
    ContentTypeError,
    hdrs,
)
from multidict import CIMultiDict

from .._content_type import content_type
from .._models import Head, redacted_head, redacted_headers, redacted_info
from .exchange.body_buffer import ALL, BodyBuffer
from .exchange.exchange import LOST, Exchange, next_piece

if TYPE_CHECKING:
    from .session import AsyncSession, Crossing

#: Seconds before reconnecting, until the server sets another time.
RETRY = 3.0
#: Maximum number of seconds between two attempts, unless the server sets more.
MAX_DELAY = 60.0
#: Maximum number of seconds that a server may set; larger numbers mean something else.
MAX_RETRY = 86400.0
#: Minimum number of seconds between the beginnings of two connections. After connections that
#: did not last as long, the pause grows up to this, from a tenth, even if the server sets less.
LEAST_PERIOD = 1.0
#: Maximum number of characters in an event, all lines together, unless the caller sets another.
EVENT_LIMIT = 2**24

# Characters that the engine refuses in a header. HTML forbids only NUL, CR and LF; a server that
# sends other controls gets the last id without them, and repeats some events.
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def sendable(event_id: str) -> bool:
    """Return whether ``event_id`` can be sent as Last-Event-ID."""
    return _UNSENDABLE.search(event_id) is None


class ServerSentEvent(NamedTuple):
    """One server-sent event."""

    #: Its type: "message" unless the server names another.
    event: str
    #: Its data, without the last newline.
    data: str
    #: The last id that the server has set, with this event or before; "" until then.
    id: str

    def json(self, *, loads: Callable[[str], Any] = json.loads) -> Any:
        """Return the data parsed as JSON; raise ValueError if it is not JSON."""
        try:
            return loads(self.data)
        except RecursionError as exc:
            raise ValueError("the event is JSON that is nested too deeply to parse") from exc


class EventParser:
    """Turns bytes, in pieces of any size, into events. Any thread.

    Args:
        last_event_id: the id of the first events, until the server sets one.
        max_event_size: maximum number of characters in an event, all lines together.
    """

    def __init__(self, last_event_id: str = "", max_event_size: int = EVENT_LIMIT) -> None:
        self._limit = max_event_size
        #: The Last-Event-ID of the next request.
        self.last_event_id = last_event_id
        #: The seconds to wait before that request, if the server has set them.
        self.retry: float | None = None
        self.restart()

    def restart(self) -> None:
        """Begin a new stream, and drop an incomplete event of the one before."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = True
        self._after_cr = False
        self._line: list[str] = []
        self._id = self.last_event_id
        self._type = ""
        self._data: list[str] = []
        #: The number of characters kept: of data, and of an incomplete line.
        self._size = 0

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take bytes and return the events that they complete.

        Raises ClientPayloadError once an event has more than ``max_event_size`` characters, and
        the events before it have been returned.
        """
        self._check_size()
        text = self._decoder.decode(data)
        if not text:
            return []
        if self._at_start:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        # A line ends with CR, LF or both. With a CR at the end it is complete, whatever follows.
        ends_with_cr = text.endswith("\r")
        if self._after_cr and text.startswith("\n"):
            text = text[1:]
        self._after_cr = ends_with_cr
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        events: list[ServerSentEvent] = []
        for line in lines:
            if self._line:
                self._size -= sum(map(len, self._line))
                line = "".join(self._line) + line
                self._line.clear()
            if line:
                self._field(line)
            else:
                self._dispatch(events)
        if rest:
            self._line.append(rest)
            self._size += len(rest)
        if not events:
            self._check_size()
        return events

    def _check_size(self) -> None:
        if self._size > self._limit:
            raise ClientPayloadError(
                f"an event has more than {self._limit} characters; max_event_size= sets the limit"
            )

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(line)
        elif name == "event":
            self._type = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            # Python makes no number of more than some thousand digits.
            digits = value.lstrip("0")
            if len(digits) < 10 and (seconds := int(digits or "0") / 1000) <= MAX_RETRY:
                self.retry = seconds

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        self._size = 0
        if sendable(self._id):
            self.last_event_id = self._id
        if self._data:
            events.append(ServerSentEvent(self._type or "message", "\n".join(self._data), self._id))
            self._data.clear()
        self._type = ""


class EventFeed:
    """Received bytes that are not parsed yet. Outlives the call that fetches them."""

    def __init__(self) -> None:
        #: Bytes, each with the number of their connection.
        self.parts: deque[tuple[int, bytes]] = deque()
        #: Whether these are the last.
        self.ended = False


class AsyncEventSource:
    """The stream of events at a URL, over as many connections as it takes. Event loop only.

    After a connection ends or is lost, it makes another, with the id of the last event. The wait
    before that is the server's or ``RETRY``, and doubles with each failed attempt. Connections
    that do not last are made at most once in ``LEAST_PERIOD``.

    Args:
        session: makes the requests.
        request: the first request; later ones have another Last-Event-ID.
        reconnects: how many attempts in a row may fail before the source ends; None sets no
            limit, and with 0 there are no attempts.
    """

    def __init__(
        self, session: AsyncSession, request: Crossing, *, reconnects: int | None = None
    ) -> None:
        self._session = session
        self._request = request
        self._reconnects = reconnects
        self._buffer = BodyBuffer()
        self._exchange: Exchange | None = None
        #: The number of the present connection, and whether there is one.
        self._number = 0
        self._connected = False
        self._failures = 0
        #: When the present connection was made, and how many before it in a row did not last.
        self._since = 0.0
        self._hasty = 0
        self._taking: asyncio.Task[Any] | None = None
        #: Whether the source has ended: by the server, an error, or ``abandon``.
        self.done = False
        session.adopt(self, lasts=True)

    async def take(self, feed: EventFeed, last_event_id: str, retry: float | None) -> bool:
        """Put the next bytes into ``feed``, connecting if needed; return False at the end.

        Args:
            feed: gets the bytes.
            last_event_id: sent when connecting.
            retry: seconds to wait before connecting; None is ``RETRY``.

        Raises:
            ClientResponseError: the response is not a stream of events.
            ClientError: the first connection, or the last of ``reconnects``, failed.
        """
        if self._taking is not None:
            raise RuntimeError("these events are being read already: one reader at a time")
        self._taking = asyncio.current_task()
        try:
            while not self.done:
                if not self._connected:
                    await self._connect(last_event_id, retry)
                elif await self._take_from_connection(feed):
                    return True
        except asyncio.CancelledError:
            if not self.done:
                raise
        except BaseException:
            self.abandon()
            raise
        finally:
            self._taking = None
            feed.ended = self.done
        return False

    async def _take_from_connection(self, feed: EventFeed) -> bool:
        try:
            first = await next_piece(self._exchange, self._buffer)
            # And the rest of what is here. Servers send each event in a chunk of its own: taken
            # by the chunk, each event would cost a crossing.
            data = self._buffer.cut(ALL, first)
        except LOST as exc:
            self._lost(exc)
            return False
        if data:
            self._failures = 0
            feed.parts.append((self._number, data))
            return True
        if self._buffer.eof:
            self._lost(None)
        return False

    async def _connect(self, last_event_id: str, retry: float | None) -> None:
        if self._number:
            base = RETRY if retry is None else retry
            pause = min(base * 2 ** min(self._failures, 16), max(MAX_DELAY, base))
            least = min(LEAST_PERIOD / 10 * 2 ** min(self._hasty, 16), LEAST_PERIOD)
            await asyncio.sleep(max(pause, least))
        method, url, timeout, options = self._request
        options = dict(options)
        options["headers"] = headers = CIMultiDict(options.get("headers", ()))
        headers.setdefault(hdrs.ACCEPT, "text/event-stream")
        headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        try:
            reply, exchange = await self._session.request(method, url, timeout, options)
        except LOST as exc:
            if not self._number:
                raise
            self._failures += 1
            self._hasty += 1
            self._lost(exc)
            return
        self._exchange = exchange
        if exchange is not None:
            self._session.adopt(exchange, lasts=True)
        if reply.head.status == 204:  # the server's way to end the stream
            self.abandon()
            return
        _check(reply.head)
        self._buffer = BodyBuffer(reply.body)
        self._number += 1
        self._connected = True
        self._since = asyncio.get_running_loop().time()

    def _lost(self, exc: Exception | None) -> None:
        """Note that the connection has ended, or failed; end the source if that was the last."""
        if self.done:
            return
        if self._connected:
            lasted = asyncio.get_running_loop().time() - self._since
            self._hasty = self._hasty + 1 if lasted < LEAST_PERIOD else 0
            # A connection without a byte counts as a failed attempt.
            if not self._buffer.total:
                self._failures += 1
        self._connected, self._exchange = False, None
        limit = self._reconnects
        if limit is not None and (limit == 0 or self._failures > limit):
            if exc is not None:
                raise exc
            self.abandon()

    async def events(self, last_event_id: str = "") -> AsyncIterator[ServerSentEvent]:
        """Iterate over the events; the source ends with the iteration."""
        parser, feed, number = EventParser(last_event_id), EventFeed(), 0
        try:
            while await self.take(feed, parser.last_event_id, parser.retry):
                current, data = feed.parts.popleft()
                if current != number:
                    number = current
                    parser.restart()
                for event in parser.feed(data):
                    yield event
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End the source at once; a waiting caller gets the end of the events."""
        if self.done:
            return
        self.done = True
        if self._exchange is not None:
            self._exchange.abort()
        if self._taking is not None and self._taking is not asyncio.current_task():
            self._taking.cancel()
        self._session.forget(self)

    async def aclose(self) -> None:
        """End the source because the session closes."""
        self.abandon()


async def open_events(
    session: AsyncSession, request: Crossing, reconnects: int | None, last_event_id: str
) -> tuple[None, AsyncEventSource]:
    """Return a source that has its first connection."""
    source = AsyncEventSource(session, request, reconnects=reconnects)
    try:
        await source._connect(last_event_id, None)
    except BaseException:
        source.abandon()
        raise
    return None, source


def _check(head: Head) -> None:
    """Raise ClientResponseError unless ``head`` announces a stream of events."""
    info = redacted_info(head.request_info)
    history: Any = tuple(map(redacted_head, head.history))
    headers = redacted_headers(head.headers)
    if head.status != 200:
        raise ClientResponseError(
            info, history, status=head.status, message=head.reason or "", headers=headers
        )
    header = head.headers.get(hdrs.CONTENT_TYPE)
    if content_type(header).essence != "text/event-stream":
        raise ContentTypeError(
            info,
            history,
            status=head.status,
            message=f"expected text/event-stream, got {header or 'no content type'}",
            headers=headers,
        )
