"""EventSource: server-sent events, one after another, over as many connections as it takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from aiohttp import ClientPayloadError, ClientTimeout

from ._async.sse import AsyncEventSource, EventParser, Feed, ServerSentEvent, open_events
from ._checks import count, seconds
from ._closing import Closing
from ._exceptions import LoopThreadError, SessionClosedError
from ._models import redacted_url
from ._payload import NO_BODY
from ._unclosed import call_site, complain, watch

if TYPE_CHECKING:
    from ._async.session import AsyncSession
    from ._lease import Remote
    from ._portal import Portal
    from ._request import Defaults, RequestOptions
    from ._types import StrOrURL


def parsed(content: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    """Iterate over the events in ``content``, the pieces of one body. Reads as it goes."""
    parser = EventParser()
    for data in content:
        yield from parser.feed(data)


def sse(
    portal: Portal[AsyncSession],
    defaults: Defaults,
    url: StrOrURL,
    options: RequestOptions,
    *,
    method: str = "GET",
    last_event_id: str = "",
    reconnects: int | None = None,
    idle_timeout: float | None = None,
) -> EventSource:
    """Open a source of events: the inside of ``Session.sse``. Blocks until it is connected.

    Args:
        method: of the request; what is not GET is common for answers of language models.
        last_event_id: where to go on, known from an earlier source.
        reconnects: how many attempts to connect again may fail in a row; None sets no
            limit. With 0 there are none: the events end with the connection.
        idle_timeout: seconds without a byte, be it a comment, after which the connection
            is taken for lost; None waits for ever.

    Raises:
        ClientResponseError: the answer is no stream of events.
        ClientError: no connection could be made.
    """
    if reconnects is not None:
        count("reconnects", reconnects)
    prepared = defaults.prepare(method, url, options)
    method, target, timeout, engine = prepared.crossing
    if prepared.body is not NO_BODY and not isinstance(engine.get("data"), bytes):
        raise TypeError("the body of a request for events must be json= or bytes: it may be resent")
    if "timeout" not in options:
        # A stream of events lasts: the session's limit is for getting there.
        timeout = ClientTimeout(
            total=None, connect=timeout.connect, sock_connect=timeout.sock_connect
        )
    if idle_timeout is not None:
        timeout = ClientTimeout(
            total=timeout.total,
            connect=timeout.connect,
            sock_connect=timeout.sock_connect,
            sock_read=seconds("idle_timeout", idle_timeout),
        )
    crossing = (method, target, timeout, engine)
    _, remote = portal.open(open_events, crossing, reconnects, last_event_id)
    assert remote is not None
    return EventSource(remote, redacted_url(target), last_event_id)


class EventSource(Closing, Iterator[ServerSentEvent]):
    """The events at a URL: an iterator that connects again when the connection is lost.

    It ends when the server answers 204, or when it is closed. Close it, best by a ``with``
    block: afterwards its connection is closed as well. Any thread may close it; one at a
    time may iterate. Made by ``Session.sse``, by the rules of the WHATWG's EventSource.
    """

    def __init__(self, remote: Remote[AsyncEventSource], url: str, last_event_id: str) -> None:
        self._remote: Remote[AsyncEventSource] | None = remote
        self._url = url
        self._parser = EventParser(last_event_id)
        #: The parser's is ahead of it: a batch of events is parsed before the first is taken.
        self._last_event_id = last_event_id
        self._feed = Feed()
        self._number = 1
        self._events: deque[ServerSentEvent] = deque()
        self._opened_at = call_site()
        watch(self)

    def __repr__(self) -> str:
        return f"<EventSource {self._url}{' closed' if self.closed else ''}>"

    @property
    def closed(self) -> bool:
        """Whether there is no connection, and will be none."""
        return self._remote is None

    @property
    def last_event_id(self) -> str:
        """The id as of the event taken last: where another source can go on, losing none."""
        return self._last_event_id

    @property
    def retry(self) -> float | None:
        """The seconds to wait before connecting again, if the server has set them."""
        return self._parser.retry

    def __next__(self) -> ServerSentEvent:
        """Return the next event. Blocks until there is one, connecting as often as needed.

        Woken by an event, an error, ``close()`` in another thread (StopIteration), an
        interrupt, which loses nothing, or the session's closing.
        Raises ClientError where the last of ``reconnects`` failed.
        """
        while not self._events:
            remote, parser = self._remote, self._parser
            if remote is None:
                raise StopIteration
            self._last_event_id = parser.last_event_id  # there may be an id without an event
            try:
                remote.call(AsyncEventSource.take, self._feed, parser.last_event_id, parser.retry)
            except (LoopThreadError, SessionClosedError):
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
                    self.close()
                    raise
        event = self._events.popleft()
        self._last_event_id = event.id
        return event

    def close(self) -> None:
        """Close the connection, and make no other. Never waits."""
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
