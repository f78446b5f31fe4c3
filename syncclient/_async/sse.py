"""Server-sent events (WHATWG HTML, 9.2): the parser, and the source that connects again."""

from __future__ import annotations

import asyncio
import codecs
import json
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

from .._models import Head, redacted_head, redacted_headers, redacted_info
from .exchange import LOST, Exchange, next_piece
from .stream import Inbox

if TYPE_CHECKING:
    from .session import AsyncSession, Crossing

#: Seconds before a lost connection is made again, until the server sets another time.
RETRY = 3.0
#: Seconds between two attempts at the most, unless the server set more.
MAX_DELAY = 60.0
#: Characters that an event may have, in all its lines.
EVENT_LIMIT = 2**24


class ServerSentEvent(NamedTuple):
    """One event of a server's."""

    #: Its type: "message" unless the server names another.
    event: str
    #: Its data, without the last newline.
    data: str
    #: The id that the server set last, with this event or before; "" until then.
    id: str

    def json(self, *, loads: Callable[[str], Any] = json.loads) -> Any:
        """Return the data parsed as JSON."""
        return loads(self.data)


class EventParser:
    """Bytes to events, in whatever pieces the bytes come. Knows no connection; any thread."""

    def __init__(self, last_event_id: str = "") -> None:
        #: What the next request has to send as Last-Event-ID.
        self.last_event_id = last_event_id
        #: The seconds to wait before that request, if the server has set them.
        self.retry: float | None = None
        self.restart()

    def restart(self) -> None:
        """Begin a new stream: what was incomplete in the one before is dropped."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._at_start = True
        self._after_cr = False
        self._line: list[str] = []
        self._id = self.last_event_id
        self._type = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take bytes and return the events that they complete.

        Raises ClientPayloadError where an event has more than ``EVENT_LIMIT`` characters.
        """
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
        self._size += len(text)
        events: list[ServerSentEvent] = []
        for line in lines:
            if self._line:
                line = "".join(self._line) + line
                self._line.clear()
            if line:
                self._field(line)
            else:
                self._size = 0
                self._dispatch(events)
        if rest:
            self._line.append(rest)
        if self._size > EVENT_LIMIT:
            raise ClientPayloadError(f"an event has more than {EVENT_LIMIT} characters")
        return events

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value) / 1000

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        self.last_event_id = self._id
        if self._data:
            events.append(ServerSentEvent(self._type or "message", "\n".join(self._data), self._id))
            self._data.clear()
        self._type = ""


class Feed:
    """What has come and is not parsed yet. Outlives the call that brings it."""

    def __init__(self) -> None:
        #: Bytes, each with the number of the connection they came over.
        self.parts: deque[tuple[int, bytes]] = deque()
        #: Whether nothing comes after that.
        self.ended = False


class AsyncEventSource:
    """The stream of events at a URL, over as many connections as it takes. Event loop only.

    A connection that ends or breaks is made again, with the id of the last event; the wait
    before is the server's or ``RETRY``, and doubles with each attempt that fails.

    Args:
        session: whose connections to use.
        request: the first request; the later ones differ in Last-Event-ID.
        reconnects: how many attempts in a row may fail before that is the end; None sets no
            limit, and with 0 there are no attempts.
    """

    def __init__(
        self, session: AsyncSession, request: Crossing, *, reconnects: int | None = None
    ) -> None:
        self._session = session
        self._request = request
        self._reconnects = reconnects
        self._inbox = Inbox()
        self._exchange: Exchange | None = None
        #: The number of the present connection, and whether there is one.
        self._number = 0
        self._connected = False
        self._failures = 0
        self._taking: asyncio.Task[Any] | None = None
        #: Whether the source has ended: by the server, an error, or ``abandon``.
        self.done = False
        session.adopt(self, lasts=True)

    async def take(self, feed: Feed, last_event_id: str, retry: float | None) -> bool:
        """Put what comes next into ``feed``, connecting if need be; False at the end of it all.

        Args:
            feed: takes the bytes.
            last_event_id: what to connect with.
            retry: seconds to wait before; None is ``RETRY``.

        Raises:
            ClientResponseError: the answer was no stream of events.
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

    async def _take_from_connection(self, feed: Feed) -> bool:
        try:
            data = await next_piece(self._exchange, self._inbox)
        except LOST as exc:
            self._lost(exc)
            return False
        if data:
            self._failures = 0
            feed.parts.append((self._number, data))
            return True
        if self._inbox.eof:
            self._lost(None)
        return False

    async def _connect(self, last_event_id: str, retry: float | None) -> None:
        if self._number:
            base = RETRY if retry is None else retry
            await asyncio.sleep(min(base * 2 ** min(self._failures, 16), max(MAX_DELAY, base)))
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
            self._lost(exc)
            return
        self._exchange = exchange
        if exchange is not None:
            self._session.adopt(exchange, lasts=True)
        if reply.head.status == 204:  # the server's way to say: no more
            self.abandon()
            return
        _check(reply.head)
        self._inbox = Inbox(reply.body)
        self._number += 1
        self._connected = True

    def _lost(self, exc: Exception | None) -> None:
        """The connection has ended, or could not be made: go on, or end it all."""
        if self.done:
            return
        # A connection that brought nothing counts as an attempt that failed.
        if self._connected and not self._inbox.total:
            self._failures += 1
        self._connected, self._exchange = False, None
        limit = self._reconnects
        if limit is not None and (limit == 0 or self._failures > limit):
            if exc is not None:
                raise exc
            self.abandon()

    async def events(self, last_event_id: str = "") -> AsyncIterator[ServerSentEvent]:
        """Iterate over the events; the source ends with the iteration."""
        parser, feed, number = EventParser(last_event_id), Feed(), 0
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
        """End the source, now; whoever waits for events is told that there are no more."""
        if self.done:
            return
        self.done = True
        if self._exchange is not None:
            self._exchange.abort()
        if self._taking is not None and self._taking is not asyncio.current_task():
            self._taking.cancel()
        self._session.forget(self)

    async def aclose(self) -> None:
        """End the source, for the session is closing."""
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
    """Raise unless ``head`` announces a stream of events."""
    info = redacted_info(head.request_info)
    history: Any = tuple(map(redacted_head, head.history))
    headers = redacted_headers(head.headers)
    if head.status != 200:
        raise ClientResponseError(
            info, history, status=head.status, message=head.reason or "", headers=headers
        )
    content_type = head.headers.get(hdrs.CONTENT_TYPE, "")
    if content_type.partition(";")[0].strip().lower() != "text/event-stream":
        raise ContentTypeError(
            info,
            history,
            status=head.status,
            message=f"expected text/event-stream, got {content_type or 'no content type'}",
            headers=headers,
        )
