"""A download over as many connections as it takes: ranges, validators, starting over."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import ClientConnectionError, ClientPayloadError, ClientResponseError, hdrs
from multidict import CIMultiDict

from .._models import Head, Reply, redacted_head, redacted_headers, redacted_info
from .exchange import Exchange
from .stream import ALL, Inbox

if TYPE_CHECKING:
    from .session import AsyncSession, Crossing

#: Seconds before the second attempt; doubled before each further one, up to ``_MAX_DELAY``.
_DELAY = 0.5
_MAX_DELAY = 30.0

#: What ends a connection, and not the download.
_LOST = (ClientConnectionError, ClientPayloadError)
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
    """

    def __init__(
        self, session: AsyncSession, request: Crossing, known: Known, *, retries: int
    ) -> None:
        self._session = session
        self._request = request
        self._known = known
        self._retries = retries
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
        try:
            while not self.done:
                if not self._connected:
                    await self._connect(feed)
                    if feed.parts:
                        return
                elif await self._take_from_connection(feed):
                    return
        except Exception:
            self.abandon()
            raise
        finally:
            feed.ended = self.done

    async def go_on_from(self, known: Known) -> None:
        """Drop the connection: the caller has found that there is more of the file already."""
        if self._exchange is not None:
            self._exchange.abort()
        self._known, self._connected, self._exchange = known, False, None

    async def _take_from_connection(self, feed: Feed) -> bool:
        inbox = self._inbox
        if not inbox and self._exchange is not None and not inbox.eof:
            try:
                await self._exchange.fill(inbox)
            except _LOST as exc:
                self._lost(exc)
                return False
        if inbox:
            self._failures = 0
            data = inbox.cut(ALL)
            self._known = self._known._replace(offset=self._known.offset + len(data))
            feed.parts.append(data)
            return True
        known = self._known
        if known.total is not None and known.offset != known.total:
            self._lost(
                ClientPayloadError(f"the body has {known.offset} bytes, not {known.total} as told")
            )
        else:
            self.abandon()
        return False

    async def _connect(self, feed: Feed) -> None:
        if self._failures:
            await asyncio.sleep(min(_DELAY * 2 ** (self._failures - 1), _MAX_DELAY))
        known = self._known
        if known.validator is None:
            known = Known()
        try:
            reply, exchange = await self._ask(known)
        except _LOST as exc:
            if not self._tried:
                raise
            self._lost(exc)
            return
        head, status = reply.head, reply.head.status
        self._exchange = exchange
        if status == 200:
            begun = Known(0, _validator(head), _length(head))
        elif known.offset and status == 206 and (total := _goes_on(head, known)) is not None:
            begun = known._replace(total=total)
        elif known.offset and status == 416 and _is_all(head, known):
            begun, reply = known, Reply(head, b"")  # all of it was here
            self._drop_exchange()
        elif known.offset and status in (206, 416):
            # Another version, or another range than was asked for.
            self._drop_exchange()
            self._known = Known()
            return
        elif self._tried and status in _PASSING:
            self._drop_exchange()
            self._lost(_error(head))
            return
        else:
            raise _error(head)
        self._known, self._connected, self._tried = begun, True, True
        self._inbox = Inbox(reply.body)
        feed.parts.append(Begun(begun, head))

    async def _ask(self, known: Known) -> tuple[Reply, Exchange | None]:
        method, url, timeout, options = self._request
        options = dict(options)
        options["headers"] = headers = CIMultiDict(options.get("headers", ()))
        # Ranges count the bytes as they are sent: compressed ones would not fit the file.
        headers.setdefault(hdrs.ACCEPT_ENCODING, "identity")
        if known.offset and known.validator is not None:
            headers[hdrs.RANGE] = f"bytes={known.offset}-"
            headers[hdrs.IF_RANGE] = known.validator
        return await self._session.request(method, url, timeout, options)

    def _lost(self, exc: Exception) -> None:
        """The connection has broken, or could not be made: try again, or raise."""
        self._drop_exchange()
        self._connected = False
        self._failures += 1
        if self._failures > self._retries:
            raise exc

    def _drop_exchange(self) -> None:
        if self._exchange is not None:
            self._exchange.abort()
            self._exchange = None

    def abandon(self) -> None:
        """End the download, now."""
        if not self.done:
            self.done = True
            self._drop_exchange()
            self._session.forget(self)

    async def aclose(self) -> None:
        """End the download, for the session is closing."""
        self.abandon()


async def open_download(
    session: AsyncSession, request: Crossing, known: Known, retries: int
) -> tuple[None, AsyncDownload]:
    """Return a download; its first ``take`` connects."""
    return None, AsyncDownload(session, request, known, retries=retries)


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


def _goes_on(head: Head, known: Known) -> int | None:
    """Return the size of it all if ``head`` begins where ``known`` ends, in the same version."""
    told = _CONTENT_RANGE.fullmatch(head.headers.get(hdrs.CONTENT_RANGE, ""))
    if told is None or told[1] is None or told[3] == "*" or int(told[1]) != known.offset:
        return None
    total = int(told[3])
    # Not every server takes If-Range seriously.
    is_etag = known.validator is not None and known.validator.startswith('"')
    version = head.headers.get(hdrs.ETAG if is_etag else hdrs.LAST_MODIFIED, known.validator)
    if version != known.validator or int(told[2]) != total - 1 or known.total not in (None, total):
        return None
    return total


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
