"""Many requests at a time from one thread: the iterator behind ``Session.map``."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from aiohttp import ClientError, InvalidURL, NonHttpUrlClientError
from yarl import URL

from .._async.batch import AsyncMany, BatchFeed
from .._async.session import AsyncSession, Crossing
from .._bodies.payload import NO_BODY
from .._boundary.lease import Remote
from .._caller import ReturningCaller
from .._closing import Closing
from .._deadline import check_nearest, innermost, no_deadline
from .._exceptions import LoopThreadError, SessionClosedError
from .._models import Reply, redacted_url
from .._types import StrOrURL
from .curl import curl_of_options
from .place import Place
from .request import Prepared, prepare
from .response import Response, check_status, refuse_async_rule

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .request import RequestOptions

#: Seconds of reading from the iterable after which the requests read so far are sent.
_PULL_TIME = 0.001

R = TypeVar("R")


class Request:
    """A request for ``Session.map``, with its own method, options and tag.

    Args:
        method: ``"GET"``, ``"POST"`` ...
        url: absolute, or relative to the session's ``base_url``.
        tag: anything; the response, or the error, carries it as its ``tag``.
        options: the keywords of ``Session.request``.
    """

    __slots__ = ("method", "options", "tag", "url")

    def __init__(
        self, method: str, url: StrOrURL, *, tag: Any = None, **options: Unpack[RequestOptions]
    ) -> None:
        self.method: str = method
        self.url: StrOrURL = url
        self.tag: Any = tag
        self.options: RequestOptions = options

    def as_curl(self, *, secrets: bool = False) -> str:
        """Return the equivalent curl command, for a POSIX shell.

        It does not include settings of a session. A body that is a file or an iterator is not
        read: the command has ``@BODY`` instead, for you to fill in.

        Args:
            secrets: whether to include passwords, tokens, cookies and similar; by default they
                are replaced by ``[redacted]``.

        Raises:
            ValueError: the URL is relative.
        """
        return curl_of_options(self.method, self.url, self.options, secrets=secrets)

    def __repr__(self) -> str:
        tag = "" if self.tag is None else f" tag={self.tag!r}"
        return f"<Request {self.method} {redacted_url(self.url)}{tag}>"


#: What the iterable given to ``Session.map`` may yield.
RequestLike = StrOrURL | tuple[str, StrOrURL] | Mapping[str, Any] | Request

Outcome = Reply | BaseException


#: A prepared request from the iterable, or None if the preparation failed; and its tag.
Pulled = tuple[Prepared | None, Any]


class ResponseIterator(Closing, Iterator[R], Generic[R]):
    """The responses of ``Session.map``. One thread at a time may iterate; any may close.

    Leaving its ``with`` block, an error, or ``close()`` cancels the remaining requests and
    waits until they have ended. If it is dropped, they are cancelled without waiting.
    """

    def __init__(
        self,
        place: Place,
        requests: Iterable[RequestLike],
        method: str,
        concurrency: int,
        ordered: bool,
        return_exceptions: bool,
        options: RequestOptions,
        owner: object,
    ) -> None:
        self._place = place
        self._resolve_charset = place.settings.fallback_charset_resolver
        self._requests = iter(requests)
        self._method = method
        self._concurrency = concurrency
        self._return_exceptions = return_exceptions
        self._options = options
        self._owner = owner  # kept, because a dropped session is closed
        self._turn = threading.Lock()
        self._remote: Remote[AsyncMany[Crossing, Reply]] | None = None
        self._feed: BatchFeed[Crossing] = BatchFeed()
        self._asked: dict[int, Pulled] = {}
        #: Outcomes that have arrived; those that can be yielded are in ``_next``.
        self._come: dict[int, Outcome] = {}
        self._next: deque[tuple[Pulled, Outcome]] = deque()
        self._ordered = ordered
        #: The number of the result to come next, in order.
        self._wanted = 0
        self._pulled = 0
        self._exhausted = False
        self._closed = False
        # As many results may wait for the caller as requests are in flight, so no slot is idle.
        self._window = 2 * concurrency

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:
        """Return the next response, with its body read. Blocks until it has arrived.

        Raises:
            ClientError: the request failed. Errors of its arguments or its body are raised as they
                are. The remaining requests are cancelled.
            RuntimeError: another thread is iterating.
        """
        if innermost() is not None:
            check_nearest()
        try:
            asked, outcome = self._next.popleft()
        except IndexError:  # also if another thread has just closed this
            asked, outcome = self._more()
        prepared, tag = asked
        if prepared is None or isinstance(outcome, BaseException) or _has_more(prepared):
            try:
                return self._settled(prepared, tag, outcome)
            finally:
                del outcome  # an error's traceback holds this frame
        response = Response(outcome, None, self._resolve_charset)
        response.tag = tag
        return cast(R, response)

    def close(self) -> None:
        """Cancel the remaining requests. Blocks until they have ended, for seconds at most."""
        self._closed = True
        remote, self._remote = self._remote, None
        try:
            if remote is not None and self._asked:
                with no_deadline(), suppress(SessionClosedError, LoopThreadError):
                    remote.call(AsyncMany.aclose)
        finally:
            self._tidy()

    def __del__(self) -> None:
        # The requests are cancelled by the finaliser of the Remote.
        if self.__dict__.get("_asked") or self.__dict__.get("_next"):
            with suppress(Exception):
                self._give_back()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._asked)} requests sent"
        return f"<ResponseIterator {state}>"

    # -- results ---------------------------------------------------------------------

    def _more(self) -> tuple[Pulled, Outcome]:
        """Return the next result once it has arrived, and fetch others with it. Blocks."""
        if not self._turn.acquire(blocking=False):
            raise RuntimeError(
                "another thread, or code called by this iteration, is already iterating over "
                "these responses"
            )
        try:
            while not self._closed:
                self._pull()
                self._sort()
                if self._asked and not self._next:
                    self._cross(wait=self._exhausted or len(self._asked) >= self._window)
                if self._next:
                    return self._next.popleft()
                if not self._asked:
                    break
            raise StopIteration
        except BaseException as exc:
            closed = self._closed
            self.close()
            if closed and isinstance(exc, SessionClosedError):
                raise StopIteration from None  # by another thread, during this call
            raise
        finally:
            self._turn.release()
            self._tidy()

    def _tidy(self) -> None:
        """Release the bodies once this is closed; an iterating thread does it itself."""
        # A thread that cannot take the turn leaves this to its holder, which calls it afterwards.
        if self._closed and self._turn.acquire(blocking=False):
            try:
                self._give_back()
            finally:
                self._turn.release()

    def _cross(self, *, wait: bool) -> None:
        """Fetch all results that are ready; with ``wait``, block until there is one."""
        remote = self._remote
        if remote is None:  # closed by another thread
            return
        wanted = self._wanted if self._ordered else None
        come = remote.call(AsyncMany.results, wait=wait, wanted=wanted)
        if not self._closed:
            self._come.update(come)
            self._sort()

    def _sort(self) -> None:
        """Move the outcomes that can be yielded to ``_next``."""
        come, asked = self._come, self._asked
        if self._ordered:
            while self._wanted in come:
                self._next.append((asked.pop(self._wanted), come.pop(self._wanted)))
                self._wanted += 1
        else:
            self._next.extend((asked.pop(number), outcome) for number, outcome in come.items())
            come.clear()

    def _settled(self, prepared: Prepared | None, tag: Any, outcome: Outcome) -> R:
        """Return the response to yield for ``outcome``, or raise it."""
        try:
            response = self._response(prepared, outcome)
        except BaseException as exc:
            exc.__dict__["tag"] = tag
            if self._return_exceptions and isinstance(exc, Exception):
                return cast(R, exc)
            if isinstance(exc, Exception) and hasattr(exc, "add_note"):  # Python 3.11 and later
                exc.add_note("in map(): with return_exceptions=True the other requests continue")
            self.close()
            if isinstance(exc, StopIteration):  # raised by user code; not the end
                raise RuntimeError("a request of this map raised StopIteration") from exc
            raise
        finally:
            del outcome  # an error's traceback holds this frame
        response.tag = tag
        return cast(R, response)

    def _response(self, prepared: Prepared | None, outcome: Outcome) -> Response:
        try:
            if prepared is not None and prepared.body is not NO_BODY:
                prepared.body.end(outcome if isinstance(outcome, BaseException) else None)
            if isinstance(outcome, BaseException):
                raise outcome
            response = Response(outcome, None, self._resolve_charset)
            if prepared is not None:
                response._sent = prepared.body.kept()
                check_status(response, prepared.raise_for_status)
            return response
        finally:
            del outcome

    def _give_back(self) -> None:
        """Release the bodies of all requests whose results will not be taken."""
        left = [*self._asked.values(), *(asked for asked, _ in self._next)]
        self._asked, self._come = {}, {}
        self._next.clear()
        with ExitStack() as stack:
            for prepared, _ in left:
                if prepared is not None and prepared.body is not NO_BODY:
                    stack.callback(prepared.body.end, ClientError("the request was cancelled"))

    # -- requests --------------------------------------------------------------------

    def _pull(self) -> None:
        """Take requests from the iterable until the window is full or a short time is over.

        Each is sent before the next is taken, because the iterable may be slow.
        """
        until = time.monotonic() + _PULL_TIME
        while not (self._exhausted or self._closed) and len(self._asked) < self._window:
            try:
                request = next(self._requests)
            except StopIteration:
                self._exhausted = True
                return
            number = self._pulled
            self._pulled += 1
            tag = _tag(request)
            try:
                method, url, options = self._read(request)
                prepared = prepare(self._place, method, url, options)
                refuse_async_rule(prepared.raise_for_status)
            except Exception as exc:
                self._asked[number] = None, tag
                self._come[number] = _numbered(exc, number)
            else:
                self._send(number, prepared, tag)
            if time.monotonic() >= until:
                return

    def _send(self, number: int, prepared: Prepared, tag: Any) -> None:
        if prepared.body is not NO_BODY:
            prepared.body.begin()
        self._asked[number] = prepared, tag
        remote = self._remote
        if remote is None:
            _, remote = self._place.portal.open(
                self._place.here(_open), self._feed, self._concurrency
            )
            assert remote is not None
            self._remote = remote
            if self._closed:  # by another thread, which found nothing to close
                self._remote = None
                remote.post(AsyncMany.abandon)
        if self._feed.put(number, prepared.crossing):
            remote.post(AsyncMany.begin)

    def _read(self, request: object) -> tuple[str, StrOrURL, RequestOptions]:
        """Return method, URL and options of an item of the iterable."""
        if isinstance(request, (str, URL)):
            return self._method, request, self._options
        if isinstance(request, Request):
            return request.method, request.url, self._merged(request.options)
        if isinstance(request, Mapping):
            own = dict(request)
            if "url" not in own:
                raise ValueError("a mapping needs a 'url'")
            method, url = own.pop("method", self._method), own.pop("url")
            own.pop("tag", None)
            return method, url, self._merged(cast("RequestOptions", own))
        if isinstance(request, (tuple, list)) and len(request) == 2:
            return request[0], request[1], self._options
        raise TypeError(
            "must be a URL, a (method, URL) pair, a mapping with a 'url' or a Request, "
            f"not {type(request).__name__}"
        )

    def _merged(self, options: RequestOptions) -> RequestOptions:
        return {**self._options, **options} if options else self._options


def _tag(request: object) -> Any:
    """Return the tag of an item of the iterable, which may not even be a request."""
    if isinstance(request, Request):
        return request.tag
    return request.get("tag") if isinstance(request, Mapping) else None


def _has_more(prepared: Prepared) -> bool:
    """Return whether the response needs a check, or its request a cleanup."""
    return prepared.raise_for_status is not False or prepared.body is not NO_BODY


async def _open(
    session: AsyncSession, feed: BatchFeed[Crossing], concurrency: int
) -> tuple[None, AsyncMany[Crossing, Reply]]:
    return None, session.many(feed, concurrency, ReturningCaller())


def _numbered(error: Exception, number: int) -> Exception:
    """Return ``error``, about the arguments of a request, with the number of the request."""
    where = f"requests[{number}]"
    if isinstance(error, InvalidURL):
        described = error.description or "invalid URL"
        return type(error)(error.url, f"{described} ({where})").with_traceback(error.__traceback__)
    if type(error) in (TypeError, ValueError, NonHttpUrlClientError):
        return type(error)(f"{where}: {error}").with_traceback(error.__traceback__)
    return error  # of user code: json_serialize, or a file


def check_requests(requests: Iterable[RequestLike], options: RequestOptions) -> None:
    """Raise TypeError for a single request, and for a body that can be sent only once."""
    if isinstance(requests, (str, bytes, URL, Mapping, Request)):
        raise TypeError(
            f"requests must be an iterable of requests, not one {type(requests).__name__}: "
            "write [request]"
        )
    if not isinstance(requests, Iterable):
        raise TypeError(
            f"requests must be an iterable of requests, such as a list, not "
            f"{type(requests).__name__}"
        )
    data = options.get("data")
    if isinstance(data, Iterator) or callable(getattr(data, "read", None)):
        raise TypeError(
            f"data is a {type(data).__name__}, which can be sent only once, but each request "
            "would send it: give each its own body, {'url': ..., 'data': ...}"
        )
