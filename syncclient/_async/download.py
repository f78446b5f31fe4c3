"""A download over as many connections as it takes: ranges, starting over, and when to give up."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import ClientPayloadError, ClientResponseError, hdrs
from multidict import CIMultiDict

from .._caller import ReturningCaller, current_caller
from .._deadline import DeadlineError
from .._exceptions import TotalTimeoutError
from .._models import Head, Reply, redacted_head, redacted_headers, redacted_info, redacted_url
from .download_ranges import SEGMENT, Ahead, ChangedError, read
from .download_versions import Known, content_length, continued, is_all, validator
from .exchange.body_buffer import BodyBuffer
from .exchange.exchange import LOST, Exchange, next_piece
from .exchange.loan import POSSIBLE
from .exchange.progress import Progress

if TYPE_CHECKING:
    from .session import AsyncSession, Crossing

#: Seconds before the second attempt; doubled before each further one, up to ``_MAX_DELAY``.
_DELAY = 0.5
_MAX_DELAY = 30.0

#: Statuses for which another attempt may succeed.
_PASSING = frozenset({429, 500, 502, 503, 504})

#: Errors after which no attempt follows: the time for all of them is over.
_OVER = (TotalTimeoutError, DeadlineError)


class Begun(NamedTuple):
    """The beginning of a response: the bytes that follow start at ``known.offset``."""

    known: Known
    head: Head


class DownloadFeed:
    """Received bytes that are not written yet. Outlives the call that fetches them."""

    def __init__(self) -> None:
        self.parts: deque[Begun | bytes] = deque()
        #: The continuation of the parts: the buffer of the body, read to its end, with a loan of
        #: the socket. The caller receives on the loan, or crosses; either ends it.
        self.lent: BodyBuffer | None = None
        #: Whether nothing follows.
        self.ended = False

    def clear(self) -> None:
        """Drop the received bytes."""
        self.parts.clear()
        self.lent = None


class AsyncDownload:
    """The download of one resource. Event loop only; the file itself is not touched here.

    After a lost connection it continues from the byte where that broke off, if the server supports
    ranges and still has the same version; otherwise it starts over. The total timeout and
    ``max_body`` of the request apply to the whole download.

    Args:
        session: makes the requests.
        request: a GET.
        known: the part that exists already.
        retries: how many attempts in a row to make after a lost connection; an attempt that gets
            further than all before it resets the count. Also how often, in total, to drop all
            received bytes and start over.
        connections: how many ranges to fetch at a time, if the server supports ranges and gives a
            strong validator.
        caller: runs the callbacks of the ranges that are fetched ahead.
    """

    def __init__(
        self,
        session: AsyncSession,
        request: Crossing,
        known: Known,
        *,
        retries: int,
        connections: int,
        caller: ReturningCaller,
    ) -> None:
        self._session = session
        method, url, timeout, options = request
        self._progress = Progress(method, url, timeout)
        # For the whole download, over all connections, and not for each response.
        self._max_body: int | None = options.get("max_body", session._max_body)
        self._options = {**options, "max_body": None}
        self._known = known
        self._retries = retries
        self._connections = connections
        self._caller = caller
        #: The ranges after ``_stop``, which is the end of the range that is being taken.
        self._ahead: Ahead | None = None
        self._stop = 0
        self._failures = 0
        self._restarts = 0
        #: The largest number of bytes that this download has reached.
        self._furthest = 0
        #: The buffer of the present body, which begins at ``_began``. ``_known.offset`` is the end
        #: of the bytes that were read from it, or received by the caller on a loan.
        self._buffer = BodyBuffer()
        self._began = 0
        self._exchange: Exchange | None = None
        self._connected = False
        self._tried = False
        #: Whether the download has ended: it is complete, or ``abandon`` was called.
        self.done = False
        session.adopt(self)

    async def take(self, feed: DownloadFeed) -> None:
        """Put the next bytes into ``feed``, connecting if needed.

        Raises:
            ClientResponseError: the server has no such file.
            ClientError: the first connection, or the last of ``retries``, failed.
        """
        try:
            with self._caller:
                if self._caller.waiting:
                    await asyncio.sleep(0)  # so that the waiting callbacks reach this caller
                while not (self.done or feed.parts):
                    self._check_time("writing the file")
                    if self._connected:
                        await self._take_from_connection(feed)
                    else:
                        await self._connect(feed)
        except TotalTimeoutError as exc:
            self.abandon()
            progress = self._progress
            if exc.url == redacted_url(progress.url):  # not that of a middleware's own request
                # Its limit and time are those of the last attempt.
                exc.limit, exc.elapsed = progress.timeout.total, progress.elapsed()
                exc.args = (str(exc),)
            raise
        except Exception:
            self.abandon()
            raise
        finally:
            feed.ended = self.done
            feed.lent = None if self._buffer.loan is None else self._buffer

    async def continue_from(self, known: Known) -> None:
        """Drop the connection: the caller has found a longer part of the file."""
        self._furthest = 0  # the bytes of this download are not used
        self._start_over(known)

    def _start_over(self, known: Known) -> None:
        self._drop_all()
        self._known, self._connected = known, False

    async def _take_from_connection(self, feed: DownloadFeed) -> None:
        if (reached := self._began + self._buffer.position()) > self._known.offset:
            self._reach(reached)  # on a loan
        known = self._known
        if self._ahead is not None and known.offset == self._stop:
            await self._take_from_ahead(self._ahead, feed)
            return
        try:
            data = await next_piece(self._exchange, self._buffer)
        except LOST as exc:
            self._lost(exc)
            return
        end = known.total if self._ahead is None else self._stop
        if end is not None and known.offset + len(data) + len(self._buffer) > end:
            raise ClientPayloadError(
                f"the body continues after the {end} bytes that were announced"
            )
        if data:
            # Everything that this crossing fetches, block by block: joining would copy it.
            self._add(data, feed)
            while block := self._buffer.block():
                self._add(block, feed)
        elif end is not None and known.offset != end:
            self._lost(ClientPayloadError(f"the body has {known.offset} bytes, not {end} as told"))
        else:
            self.abandon()

    async def _take_from_ahead(self, ahead: Ahead, feed: DownloadFeed) -> None:
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

    def _add(self, data: bytes, feed: DownloadFeed) -> None:
        self._reach(self._known.offset + len(data))
        feed.parts.append(data)

    def _reach(self, offset: int) -> None:
        """Count the bytes up to ``offset`` as received."""
        self._check_size(offset)
        if offset > self._furthest:
            # Only for new bytes: a server may send the first ones again and again.
            self._failures, self._furthest = 0, offset
        self._known = self._known._replace(offset=offset)

    def _check_size(self, size: int | None) -> None:
        most = self._max_body
        if most is not None and size is not None and size > most:
            url = redacted_url(self._progress.url)
            raise ClientPayloadError(f"the file from {url} has more than max_body={most} bytes")

    def _check_time(self, doing: str) -> None:
        progress = self._progress
        total = progress.timeout.total
        if total and progress.elapsed() >= total:
            raise TotalTimeoutError(
                phase=doing,
                limit=total,
                elapsed=progress.elapsed(),
                method=progress.method,
                url=redacted_url(progress.url),
            )

    async def _connect(self, feed: DownloadFeed) -> None:
        if self._failures:
            await self._pause(self._failures)
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
        if status in (200, 203):
            self._drop_ahead()
            begun = Known(0, validator(head), content_length(head))
        elif ranged and status == 206 and (found := continued(head, known, stop)) is not None:
            begun = found
            if stop is not None and begun.total is not None and begun.total > stop:
                self._go_ahead(begun, stop, begun.total)
        elif known.offset and status == 416 and is_all(head, known):
            begun, reply = known, Reply(head, b"")  # the part was complete
            self._drop_exchange()
        elif ranged and status in (206, 416):
            # Another version, or another range than requested.
            self._start_over(Known())
            if not known.offset:
                self._connections = 1  # the server does not support ranges
            return
        elif self._tried and status in _PASSING:
            self._lost(_error(head))
            return
        else:
            raise _error(head)
        self._check_size(begun.total)
        if begun.offset < self._furthest:
            self._count_restart()
        self._known, self._connected, self._tried = begun, True, True
        self._buffer, self._began = BodyBuffer(reply.body), begun.offset
        # Bytes received on a loan are not checked, so the body has to end where the head says. One
        # of several ranges is received by the loop, like the others.
        length = content_length(head)
        ends = length is not None and begun.offset + length == begun.total
        self._buffer.takes_loans = POSSIBLE and ends and self._ahead is None
        feed.parts.append(Begun(begun, head))

    async def _ask(self, known: Known, stop: int | None) -> tuple[Reply, Exchange | None]:
        progress = self._progress
        timeout = progress.time_left()
        options = dict(self._options)
        options["headers"] = headers = CIMultiDict(options.get("headers", ()))
        # Ranges count the bytes as they are sent: those of a compressed body would not fit.
        headers.setdefault(hdrs.ACCEPT_ENCODING, "identity")
        if stop is not None:
            headers[hdrs.RANGE] = f"bytes={known.offset}-{stop - 1}"
        elif known.offset and known.validator is not None:
            headers[hdrs.RANGE] = f"bytes={known.offset}-"
        if hdrs.RANGE in headers and known.validator is not None:
            headers[hdrs.IF_RANGE] = known.validator
        return await self._session.request(progress.method, progress.url, timeout, options)

    def _lost(self, exc: Exception) -> None:
        """Note that the connection was lost, or failed; raise the error after the last attempt."""
        self._drop_exchange()
        self._connected = False
        self._failures += 1
        if self._failures > self._retries or isinstance(exc, _OVER):
            raise exc

    def _count_restart(self) -> None:
        """Count that received bytes were dropped; raise if that has happened too often."""
        self._restarts += 1
        if self._restarts > self._retries:
            raise ClientPayloadError(
                f"the file from {redacted_url(self._progress.url)} cannot be completed: after "
                f"{self._furthest} bytes the server changed it, or could not resume there"
            )

    async def _pause(self, failures: int) -> None:
        delay = min(_DELAY * 2.0 ** min(failures - 1, 100), _MAX_DELAY)
        total = self._progress.timeout.total
        if total:
            delay = min(delay, max(0.0, total - self._progress.elapsed()))
        await asyncio.sleep(delay)
        self._check_time("waiting before another attempt")

    # -- ranges ahead ----------------------------------------------------------------

    def _range_end(self, known: Known) -> int | None:
        """Return the end of the range to request; None for the rest of the file."""
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
        current_caller.set(self._caller)  # the call that started this ends before it does
        failures = 0
        while True:
            reply, exchange = None, None
            try:
                reply, exchange = await self._ask(version._replace(offset=start), stop)
                if reply.head.status in _PASSING:
                    raise _error(reply.head)
                if (
                    reply.head.status != 206
                    or continued(reply.head, version._replace(offset=start), stop) is None
                ):
                    raise ChangedError
                body = await read(reply, exchange, stop - start)
                if len(body) == stop - start:
                    return body
                raise ClientPayloadError("a range does not have the length that its head says")
            except (*LOST, ClientResponseError) as exc:
                failures += 1
                if failures > self._retries or isinstance(exc, _OVER):
                    raise
            finally:
                if exchange is not None:
                    exchange.abort()
            await self._pause(failures)

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
        """End the download at once."""
        if not self.done:
            self.done = True
            self._drop_all()
            self._session.forget(self)

    async def aclose(self) -> None:
        """End the download because the session closes."""
        self.abandon()


async def open_download(
    session: AsyncSession,
    request: Crossing,
    known: Known,
    retries: int,
    connections: int,
    caller: ReturningCaller,
) -> tuple[None, AsyncDownload]:
    """Return a download; its first ``take`` connects."""
    download = AsyncDownload(
        session, request, known, retries=retries, connections=connections, caller=caller
    )
    return None, download


def _error(head: Head) -> ClientResponseError:
    history: Any = tuple(map(redacted_head, head.history))
    return ClientResponseError(
        redacted_info(head.request_info),
        history,
        status=head.status,
        message=head.reason or "",
        headers=redacted_headers(head.headers),
    )
