"""A download over as many connections as it takes: ranges, validators, starting over."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import ClientPayloadError, ClientResponseError, hdrs
from multidict import CIMultiDict

from .._deadline import activity
from .._models import Head, Reply, redacted_head, redacted_headers, redacted_info
from .exchange import LOST, Exchange, next_piece
from .ranges import SEGMENT, Ahead
from .stream import ALL, Inbox

if TYPE_CHECKING:
    from .many import Relay
    from .session import AsyncSession, Crossing

#: Seconds before the second attempt; doubled before each further one, up to ``_MAX_DELAY``.
_DELAY = 0.5
_MAX_DELAY = 30.0

#: Answers that a further attempt may not get.
_PASSING = frozenset({429, 500, 502, 503, 504})

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class Known(NamedTuple):
    """What there is of a download: ``offset`` bytes of the version that ``validator`` names."""

    offset: int = 0
    #: A strong entity tag, or the time of the last change; None if the server gave neither.
    validator: str | None = None
    #: How many bytes it has in all, where that is known.
    total: int | None = None


class Begun(NamedTuple):
    """A connection brings bytes: those that follow belong from ``known.offset`` on."""

    known: Known
    head: Head


class ChangedError(Exception):
    """A range came from another version than those before it, or was not to be had."""


class Feed:
    """What has come and is not written yet. Outlives the call that brings it."""

    def __init__(self) -> None:
        self.parts: deque[Begun | bytes] = deque()
        #: Whether nothing comes after that.
        self.ended = False


class AsyncDownload:
    """One resource on its way into a file. Event loop only; knows no file.

    A connection that is lost is made again from the byte where it broke, if the server
    can do that and still has the same version; otherwise the download starts over.

    Args:
        session: whose connections to use.
        request: a GET.
        known: what there is already.
        retries: how many attempts in a row to make once a connection was lost; one that
            brings bytes begins the count anew.
        connections: how many ranges to fetch at a time, if the server gives ranges of a
            version that it names.
        relay: where the callbacks of those go that are fetched ahead, if they have any.
    """

    def __init__(
        self,
        session: AsyncSession,
        request: Crossing,
        known: Known,
        *,
        retries: int,
        connections: int = 1,
        relay: Relay | None = None,
    ) -> None:
        self._session = session
        self._request = request
        self._known = known
        self._retries = retries
        self._connections = connections
        self._relay = relay
        #: The ranges under way beyond ``_stop``, where the one that is being taken ends.
        self._ahead: Ahead | None = None
        self._stop = 0
        self._failures = 0
        self._inbox = Inbox()
        self._exchange: Exchange | None = None
        self._connected = False
        self._tried = False
        #: Whether nothing more comes: all of it has, or ``abandon`` was called.
        self.done = False
        session.adopt(self)

    async def take(self, feed: Feed) -> None:
        """Put what comes next into ``feed``, connecting if need be.

        Raises:
            ClientResponseError: the server has no such file to give.
            ClientError: the first connection, or the last of ``retries``, failed.
        """
        relay = self._relay
        taking: AbstractContextManager[None] = nullcontext() if relay is None else relay
        try:
            with taking:
                if relay is not None and relay.waiting:
                    await asyncio.sleep(0)  # they have been told of us, and now they ask
                while not (self.done or feed.parts):
                    if self._connected:
                        await self._take_from_connection(feed)
                    else:
                        await self._connect(feed)
        except Exception:
            self.abandon()
            raise
        finally:
            feed.ended = self.done

    async def go_on_from(self, known: Known) -> None:
        """Drop the connection: the caller has found that there is more of the file already."""
        self._start_over(known)

    def _start_over(self, known: Known) -> None:
        self._drop_all()
        self._known, self._connected = known, False

    async def _take_from_connection(self, feed: Feed) -> None:
        known = self._known
        if self._ahead is not None and known.offset == self._stop:
            await self._take_from_ahead(self._ahead, feed)
            return
        try:
            data = await next_piece(self._exchange, self._inbox)
        except LOST as exc:
            self._lost(exc)
            return
        end = known.total if self._ahead is None else self._stop
        if end is not None and known.offset + len(data) + len(self._inbox) > end:
            raise ClientPayloadError(f"the body goes on after the {end} bytes it was told to have")
        if data:
            # All that one crossing brings, block by block: joining would copy it.
            self._add(data, feed)
            while block := self._inbox.block():
                self._add(block, feed)
        elif end is not None and known.offset != end:
            self._lost(ClientPayloadError(f"the body has {known.offset} bytes, not {end} as told"))
        else:
            self.abandon()

    async def _take_from_ahead(self, ahead: Ahead, feed: Feed) -> None:
        ahead.advance(self._connections)
        try:
            data = await ahead.next()
        except ChangedError:
            self._start_over(Known())
            return
        if data:
            self._stop += len(data)
            self._add(data, feed)
        else:
            self.abandon()

    def _add(self, data: bytes, feed: Feed) -> None:
        self._failures = 0
        self._known = self._known._replace(offset=self._known.offset + len(data))
        feed.parts.append(data)

    async def _connect(self, feed: Feed) -> None:
        if self._failures:
            await _pause(self._failures)
        known = self._known
        if known.validator is None:
            known = Known()
        stop = self._range_end(known)
        try:
            reply, exchange = await self._ask(known, stop)
        except LOST as exc:
            if not self._tried:
                raise
            self._lost(exc)
            return
        head, status = reply.head, reply.head.status
        self._exchange = exchange
        if exchange is not None:
            exchange.reads_on = True
        ranged = bool(known.offset) or stop is not None
        if status == 200:
            self._drop_ahead()
            begun = Known(0, _validator(head), _length(head))
        elif ranged and status == 206 and (found := _goes_on(head, known, stop)) is not None:
            begun = found
            if stop is not None and begun.total is not None and begun.total > stop:
                self._go_ahead(begun, stop, begun.total)
        elif known.offset and status == 416 and _is_all(head, known):
            begun, reply = known, Reply(head, b"")  # all of it was here
            self._drop_exchange()
        elif ranged and status in (206, 416):
            # Another version, or another range than was asked for.
            self._start_over(Known())
            if not known.offset:
                self._connections = 1  # ranges are not to be had
            return
        elif self._tried and status in _PASSING:
            self._lost(_error(head))
            return
        else:
            raise _error(head)
        self._known, self._connected, self._tried = begun, True, True
        self._inbox = Inbox(reply.body)
        feed.parts.append(Begun(begun, head))

    async def _ask(self, known: Known, stop: int | None) -> tuple[Reply, Exchange | None]:
        method, url, timeout, options = self._request
        options = dict(options)
        options["headers"] = headers = CIMultiDict(options.get("headers", ()))
        # Ranges count the bytes as they are sent: compressed ones would not fit the file.
        headers.setdefault(hdrs.ACCEPT_ENCODING, "identity")
        if stop is not None:
            headers[hdrs.RANGE] = f"bytes={known.offset}-{stop - 1}"
        elif known.offset and known.validator is not None:
            headers[hdrs.RANGE] = f"bytes={known.offset}-"
        if hdrs.RANGE in headers and known.validator is not None:
            headers[hdrs.IF_RANGE] = known.validator
        return await self._session.request(method, url, timeout, options)

    def _lost(self, exc: Exception) -> None:
        """The connection has broken, or could not be made: try again, or raise."""
        self._drop_exchange()
        self._connected = False
        self._failures += 1
        if self._failures > self._retries:
            raise exc

    # -- ranges ahead ----------------------------------------------------------------

    def _range_end(self, known: Known) -> int | None:
        """Return where the range ends that is to be asked for; None for all that is left."""
        if self._ahead is not None:
            return self._stop
        least = known.offset + SEGMENT
        if self._connections == 1 or (known.total is not None and known.total <= least):
            return None
        return least

    def _go_ahead(self, version: Known, stop: int, total: int) -> None:
        if self._ahead is None:
            self._stop = stop
            self._ahead = Ahead(partial(self._fetch, version), stop, total)
            self._ahead.advance(self._connections - 1)

    async def _fetch(self, version: Known, start: int, stop: int) -> bytes:
        """Return the bytes of ``version`` from ``start`` up to ``stop``.

        Raises ChangedError if the server has no such range any more.
        """
        if self._relay is not None:
            activity.set(self._relay)  # the call that this began in ends before it does
        failures = 0
        while True:
            reply, exchange = None, None
            try:
                reply, exchange = await self._ask(version._replace(offset=start), stop)
                if reply.head.status in _PASSING:
                    raise _error(reply.head)
                if (
                    reply.head.status != 206
                    or _goes_on(reply.head, version._replace(offset=start), stop) is None
                ):
                    raise ChangedError
                body = await _read(reply, exchange, stop - start)
                if len(body) == stop - start:
                    return body
                raise ClientPayloadError("a range has not the length that was told")
            except (*LOST, ClientResponseError):
                failures += 1
                if failures > self._retries:
                    raise
            finally:
                if exchange is not None:
                    exchange.abort()
            await _pause(failures)

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    # -- the end ---------------------------------------------------------------------

    def _drop_exchange(self) -> None:
        if self._exchange is not None:
            self._exchange.abort()
            self._exchange = None

    def _drop_all(self) -> None:
        self._drop_exchange()
        self._drop_ahead()

    def abandon(self) -> None:
        """End the download, now."""
        if not self.done:
            self.done = True
            self._drop_all()
            self._session.forget(self)

    async def aclose(self) -> None:
        """End the download, for the session is closing."""
        self.abandon()


async def open_download(
    session: AsyncSession,
    request: Crossing,
    known: Known,
    retries: int,
    connections: int,
    relay: Relay,
) -> tuple[None, AsyncDownload]:
    """Return a download; its first ``take`` connects."""
    download = AsyncDownload(
        session, request, known, retries=retries, connections=connections, relay=relay
    )
    return None, download


async def _read(reply: Reply, exchange: Exchange | None, limit: int) -> bytes:
    """Return a body, or a bit more than ``limit`` bytes of one that is longer."""
    if exchange is None:
        return reply.body or b""
    inbox = Inbox()
    while not inbox.eof and len(inbox) <= limit:
        await exchange.fill(inbox)
    return inbox.cut(ALL)


async def _pause(failures: int) -> None:
    await asyncio.sleep(min(_DELAY * 2 ** (failures - 1), _MAX_DELAY))


def _validator(head: Head) -> str | None:
    """Return what If-Range can ask for (RFC 9110, 13.1.5): nothing weak."""
    if _is_coded(head):
        return None
    etag = head.headers.get(hdrs.ETAG)
    if etag is not None:
        return None if etag.startswith("W/") else etag
    return head.headers.get(hdrs.LAST_MODIFIED)


def _is_coded(head: Head) -> bool:
    """Tell whether the bytes we get are not those that ranges and lengths count."""
    return head.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity"


def _length(head: Head) -> int | None:
    length = head.headers.get(hdrs.CONTENT_LENGTH, "")
    return int(length) if length.isdecimal() and not _is_coded(head) else None


def _goes_on(head: Head, known: Known, stop: int | None) -> Known | None:
    """Return what is known by now if ``head`` begins where ``known`` ends, in the same version.

    None if not, or if it does not go to ``stop``, or to the end of it all.
    """
    told = _CONTENT_RANGE.fullmatch(head.headers.get(hdrs.CONTENT_RANGE, ""))
    if told is None or told[1] is None or told[3] == "*" or int(told[1]) != known.offset:
        return None
    total = int(told[3])
    end = total if stop is None else min(stop, total)
    if known.validator is None:
        known = known._replace(validator=_validator(head))
        if end != total and known.validator is None:
            return None
    # Not every server takes If-Range seriously.
    is_etag = known.validator is not None and known.validator.startswith('"')
    version = head.headers.get(hdrs.ETAG if is_etag else hdrs.LAST_MODIFIED, known.validator)
    if version != known.validator or int(told[2]) != end - 1 or known.total not in (None, total):
        return None
    return known._replace(total=total)


def _is_all(head: Head, known: Known) -> bool:
    """Tell whether ``head`` refuses a range because ``known`` has all there is."""
    told = _CONTENT_RANGE.fullmatch(head.headers.get(hdrs.CONTENT_RANGE, ""))
    return told is not None and told[3] == str(known.offset) and known.total in (None, known.offset)


def _error(head: Head) -> ClientResponseError:
    history: Any = tuple(map(redacted_head, head.history))
    return ClientResponseError(
        redacted_info(head.request_info),
        history,
        status=head.status,
        message=head.reason or "",
        headers=redacted_headers(head.headers),
    )
