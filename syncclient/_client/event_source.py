"""EventSource: an iterator of server-sent events that reconnects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

import attr
from aiohttp import ClientError, ClientPayloadError

from .._async.sse import (
    EVENT_LIMIT,
    AsyncEventSource,
    EventFeed,
    EventParser,
    ServerSentEvent,
    open_events,
    sendable,
)
from .._bodies.payload import NO_BODY
from .._boundary.unclosed import call_site, complain, watch
from .._checks import count, seconds
from .._closing import Closing
from .._deadline import check_nearest, innermost
from .._exceptions import LoopThreadError, SessionClosedError
from .._models import redacted_url
from .headers import header_items
from .request import prepare

if TYPE_CHECKING:
    from .._boundary.lease import Remote
    from .._types import StrOrURL
    from .place import Place
    from .request import RequestOptions


def sse(
    place: Place,
    url: StrOrURL,
    options: RequestOptions,
    *,
    method: str = "GET",
    last_event_id: str = "",
    reconnects: int | None = None,
    idle_timeout: float | None = None,
    max_event_size: int = EVENT_LIMIT,
) -> EventSource:
    """Open a source of events: the inside of ``Session.sse``. Blocks until it is connected.

    Args:
        method: the method of the request; language models need POST.
        last_event_id: the id to continue after, from an earlier source.
        reconnects: how many attempts to reconnect may fail in a row; None sets no
            limit; with 0 the events end with the connection.
        idle_timeout: seconds without data, including comments, after which the connection
            counts as lost; None sets no limit.
        max_event_size: maximum number of characters in one event, all lines together.

    Raises:
        ClientResponseError: the response is not a stream of events.
        ClientError: no connection could be made.
    """
    if reconnects is not None:
        count("reconnects", reconnects)
    count("max_event_size", max_event_size, least=1)
    header_items({"Last-Event-ID": last_event_id}, "last_event_id")
    prepared = prepare(place, method, url, options)
    method, target, timeout, engine = prepared.crossing
    if prepared.body is not NO_BODY and not isinstance(engine.get("data"), bytes):
        raise TypeError("the body of a request for events may be resent: it must be json= or bytes")
    if "timeout" not in options:
        # A stream of events is long-lived: the session's limit applies to connecting.
        timeout = attr.evolve(timeout, total=None, sock_read=None)
    if idle_timeout is not None:
        timeout = attr.evolve(timeout, sock_read=seconds("idle_timeout", idle_timeout))
    crossing = (method, target, timeout, engine)
    _, remote = place.portal.open(place.here(open_events), crossing, reconnects, last_event_id)
    assert remote is not None
    return EventSource(remote, redacted_url(target), last_event_id, max_event_size)


class EventSource(Closing, Iterator[ServerSentEvent]):
    """The events at a URL: an iterator that reconnects when the connection is lost.

    It ends when the server responds with 204, or when it is closed. Close it, preferably by a
    ``with`` block, to close its connection. Any thread may close it; one at a time may iterate.
    Created by ``Session.sse``; follows the rules of the WHATWG's EventSource.
    """

    def __init__(
        self,
        remote: Remote[AsyncEventSource],
        url: str,
        last_event_id: str,
        max_event_size: int = EVENT_LIMIT,
    ) -> None:
        self._remote: Remote[AsyncEventSource] | None = remote
        self._url = url
        self._parser = EventParser(last_event_id, max_event_size)
        #: Lags behind the parser's, which parses a batch of events before the first is taken.
        self._last_event_id = last_event_id
        self._feed = EventFeed()
        self._number = 1
        self._events: deque[ServerSentEvent] = deque()
        #: Whether ``close()`` was called, as opposed to an end by the server.
        self._shut = False
        self._opened_at = call_site()
        watch(self)

    def __repr__(self) -> str:
        return f"<EventSource {self._url}{' closed' if self.closed else ''}>"

    @property
    def closed(self) -> bool:
        """Whether the source has ended, and will not reconnect."""
        return self._remote is None

    @property
    def last_event_id(self) -> str:
        """The id of the last event taken: another source can continue after it without a gap."""
        return self._last_event_id

    @property
    def retry(self) -> float | None:
        """The seconds to wait before connecting again, if the server has set them."""
        return self._parser.retry

    def __next__(self) -> ServerSentEvent:
        """Return the next event. Blocks until it arrives, and reconnects as often as needed.

        The wait ends with an event, an error, ``close()`` in another thread (StopIteration), an
        interrupt, which loses nothing, or the closing of the session.
        Raises ClientError if the last of ``reconnects`` failed, and ClientPayloadError if an
        event has more than ``max_event_size`` characters.
        """
        if innermost() is not None:
            check_nearest()
        while not self._shut:
            try:
                event = self._events.popleft()
            except IndexError:
                if self._remote is None:
                    break
                self._take(self._remote)
            else:
                if sendable(event.id):
                    self._last_event_id = event.id
                return event
        raise StopIteration

    def _take(self, remote: Remote[AsyncEventSource]) -> None:
        """Fetch the next events, or the end. Blocks for one crossing."""
        parser = self._parser
        self._last_event_id = parser.last_event_id  # there may be an id without an event
        try:
            remote.call(AsyncEventSource.take, self._feed, parser.last_event_id, parser.retry)
        except ClientError as exc:
            if self._shut:
                return
            if isinstance(exc, (LoopThreadError, SessionClosedError)):
                self._feed.ended = True
            raise
        finally:
            if self._feed.ended:
                self._remote = None
        while self._feed.parts:
            number, data = self._feed.parts.popleft()
            if number != self._number:
                self._number = number
                parser.restart()
            try:
                self._events.extend(parser.feed(data))
            except ClientPayloadError:
                if not self._events:
                    self.close()
                    raise
                self._feed.parts.clear()  # the parser raises it again, after those events

    def close(self) -> None:
        """Close the connection, and do not reconnect. Never waits."""
        self._shut = True  # first: an iterating thread checks it, even if the rest fails
        remote, self._remote = self._remote, None
        self._events.clear()
        if remote is not None:
            remote.post(AsyncEventSource.abandon)

    def __del__(self) -> None:
        # The connection is closed by the Remote's own finaliser.
        complain(self)

    def _complaint(self) -> str | None:
        remote: Remote[AsyncEventSource] | None = self.__dict__.get("_remote")
        if remote is None or not remote.reachable:
            return None
        return (
            f"unclosed {self!r}; it was opened at {self._opened_at}: "
            "use it in a with block, or call close()"
        )
