"""Many requests at a time from one thread: the iterator behind ``Session.map``."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from aiohttp import ClientError, ClientTimeout, InvalidURL
from yarl import URL

from ._async.many import AsyncMany
from ._async.session import AsyncSession
from ._deadline import no_deadline
from ._exceptions import LoopThreadError, SessionClosedError
from ._future import Relay
from ._models import Reply, redacted_text
from ._payload import NO_BODY
from ._portal import Portal, Remote
from ._request import Defaults, Prepared
from ._response import CharsetResolver, Response, check_status
from ._types import StrOrURL

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._request import RequestOptions

#: Seconds of pulling from the iterable after which what it has given is sent off.
_PULL_TIME = 0.001

R = TypeVar("R")


class Request:
    """A request for ``Session.map``, with a method, options and a tag of its own.

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
        self.method = method
        self.url = url
        self.tag = tag
        self.options = options

    def __repr__(self) -> str:
        tag = "" if self.tag is None else f" tag={self.tag!r}"
        return f"<Request {self.method} {redacted_text(str(self.url))}{tag}>"


#: What the iterable given to ``Session.map`` may yield.
RequestLike = StrOrURL | tuple[str, StrOrURL] | Mapping[str, Any] | Request

_Crossing = tuple[str, URL, ClientTimeout, dict[str, Any]]
Outcome = Reply | BaseException


class _Asked(NamedTuple):
    """A request that has been taken from the iterable."""

    #: None where it could not be made ready.
    prepared: Prepared | None
    tag: Any


class _InOrder:
    """Results that have come, taken in the order of their requests."""

    def __init__(self) -> None:
        self._here: dict[int, Outcome] = {}
        self._next = 0

    def add(self, outcomes: dict[int, Outcome]) -> None:
        self._here.update(outcomes)

    def ready(self) -> int | None:
        """Return the number of the result to be taken next, if it is here."""
        return self._next if self._next in self._here else None

    def wanted(self) -> int | None:
        """Return the number of the one result that is worth waiting for; None for any."""
        return self._next

    def take(self, number: int) -> Outcome:
        self._next += 1
        return self._here.pop(number)


class _AsTheyCome:
    """Results that have come, taken as they came."""

    def __init__(self) -> None:
        # No dict: its first key is slow to find where many before it have been taken out.
        self._here: deque[tuple[int, Outcome]] = deque()

    def add(self, outcomes: dict[int, Outcome]) -> None:
        self._here.extend(outcomes.items())

    def ready(self) -> int | None:
        return self._here[0][0] if self._here else None

    def wanted(self) -> int | None:
        return None

    def take(self, number: int) -> Outcome:
        return self._here.popleft()[1]


class ResponseIterator(Iterator[R], Generic[R]):
    """The responses of ``Session.map``. One thread at a time may iterate; any may close.

    Leaving its ``with`` block, an error, or ``close()`` cancels the requests that are left
    and waits for them to unwind. Merely dropped, it has them cancelled without waiting.
    """

    def __init__(
        self,
        portal: Portal[AsyncSession],
        defaults: Defaults,
        resolve_charset: CharsetResolver,
        requests: Iterable[RequestLike],
        method: str,
        concurrency: int,
        ordered: bool,
        return_exceptions: bool,
        options: RequestOptions,
        owner: object,
    ) -> None:
        self._portal = portal
        self._defaults = defaults
        self._resolve_charset = resolve_charset
        self._requests = iter(requests)
        self._method = method
        self._concurrency = concurrency
        self._return_exceptions = return_exceptions
        self._options = options
        self._owner = owner  # kept: a session that is dropped is closed
        self._turn = threading.Lock()
        self._remote: Remote[AsyncMany[_Crossing, Reply]] | None = None
        self._asked: dict[int, _Asked] = {}
        self._results = _InOrder() if ordered else _AsTheyCome()
        self._pulled = 0
        self._exhausted = False
        self._closed = False
        # As many may wait for the caller as are in flight: so none of them waits for it.
        self._window = 2 * concurrency

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:
        """Return the next response, its body read. Blocks until it is here.

        Raises:
            ClientError: the request failed, or what else its arguments or its body raise;
                the requests that are left are cancelled.
            RuntimeError: another thread is iterating.
        """
        if not self._turn.acquire(blocking=False):
            raise RuntimeError(
                "these responses are being iterated over by another thread, or by "
                "what the iteration itself has called"
            )
        try:
            return self._next()
        except BaseException:
            self.close()
            raise
        finally:
            self._turn.release()

    def close(self) -> None:
        """Cancel what is left. Blocks until it has unwound, some seconds at most; idempotent."""
        self._closed = True
        remote, self._remote = self._remote, None
        try:
            if remote is not None and self._asked:
                with no_deadline(), suppress(SessionClosedError, LoopThreadError):
                    remote.call(AsyncMany.aclose)
        finally:
            self._give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # The requests are cancelled by the finaliser of the Remote.
        if self.__dict__.get("_asked"):
            with suppress(Exception):
                self._give_back()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._asked)} requests asked for"
        return f"<ResponseIterator {state}>"

    # -- results ---------------------------------------------------------------------

    def _next(self) -> R:
        while not self._closed:
            number = self._results.ready()
            if number is not None:
                return self._finished(self._asked.pop(number), self._results.take(number))
            batch = self._pull()
            if not self._asked:
                break
            none_here = self._results.ready() is None
            if batch or none_here:
                full = self._exhausted or len(self._asked) >= self._window
                self._cross(batch, wait=none_here and full)
        raise StopIteration

    def _cross(self, batch: list[tuple[int, _Crossing]], *, wait: bool) -> None:
        """Send ``batch`` off, and bring all results that are ready. Blocks if it is to wait."""
        remote = self._remote
        if remote is None:
            _, remote = self._portal.open(_open, self._concurrency)
            assert remote is not None
            self._remote = remote
        wanted = self._results.wanted()
        self._results.add(remote.call(AsyncMany.exchange, batch, wait=wait, wanted=wanted))

    def _finished(self, asked: _Asked, outcome: Outcome) -> R:
        try:
            response = self._response(asked, outcome)
        except Exception as exc:
            exc.__dict__["tag"] = asked.tag
            if not self._return_exceptions:
                raise
            return cast(R, exc)
        finally:
            del outcome  # an error's traceback holds this frame
        response.tag = asked.tag
        return cast(R, response)

    def _response(self, asked: _Asked, outcome: Outcome) -> Response:
        error = outcome if isinstance(outcome, BaseException) else None
        prepared = asked.prepared
        try:
            if prepared is not None and prepared.body is not NO_BODY:
                prepared.body.end(error)
            if isinstance(outcome, BaseException):
                raise outcome
            assert prepared is not None
            response = Response(outcome, None, self._resolve_charset)
            if prepared.raise_for_status is not False:
                check_status(response, prepared.raise_for_status)
            return response
        finally:
            del error, outcome

    def _give_back(self) -> None:
        """Give back the bodies of all requests whose results nobody will take."""
        asked, self._asked = list(self._asked.values()), {}
        with ExitStack() as stack:
            for prepared, _ in asked:
                if prepared is not None and prepared.body is not NO_BODY:
                    stack.callback(prepared.body.end, ClientError("the request was cancelled"))

    # -- requests --------------------------------------------------------------------

    def _pull(self) -> list[tuple[int, _Crossing]]:
        """Take requests from the iterable, until the window is full or some time is over."""
        batch: list[tuple[int, _Crossing]] = []
        until = time.monotonic() + _PULL_TIME
        while not self._exhausted and len(self._asked) < self._window:
            try:
                request = next(self._requests)
            except StopIteration:
                self._exhausted = True
                break
            number = self._pulled
            self._pulled += 1
            tag = None
            try:
                method, url, options, tag = self._read(request)
                prepared = self._defaults.prepare(method, url, options)
            except Exception as exc:
                self._asked[number] = _Asked(None, tag)
                self._results.add({number: _numbered(exc, number)})
            else:
                if prepared.body is not NO_BODY:
                    prepared.body.begin()
                self._asked[number] = _Asked(prepared, tag)
                batch.append((number, prepared.crossing))
            if time.monotonic() >= until:
                break
        return batch

    def _read(self, request: object) -> tuple[str, StrOrURL, RequestOptions, Any]:
        """Return method, URL, options and tag of what the iterable has given."""
        if isinstance(request, (str, URL)):
            return self._method, request, self._options, None
        if isinstance(request, Request):
            options = self._merged(request.options)
            return request.method, request.url, options, request.tag
        if isinstance(request, Mapping):
            own = dict(request)
            if "url" not in own:
                raise ValueError("a mapping needs a 'url'")
            method, url = own.pop("method", self._method), own.pop("url")
            tag = own.pop("tag", None)
            return method, url, self._merged(cast("RequestOptions", own)), tag
        if isinstance(request, (tuple, list)) and len(request) == 2:
            return request[0], request[1], self._options, None
        raise TypeError(
            "must be a URL, a (method, URL) pair, a mapping with a 'url' or a Request, "
            f"not {type(request).__name__}"
        )

    def _merged(self, options: RequestOptions) -> RequestOptions:
        return {**self._options, **options} if options else self._options


async def _open(
    session: AsyncSession, concurrency: int
) -> tuple[None, AsyncMany[_Crossing, Reply]]:
    return None, await session.many(concurrency, Relay())


def _numbered(error: Exception, number: int) -> Exception:
    """Return ``error`` about the arguments of a request, saying which request it was."""
    where = f"requests[{number}]"
    if isinstance(error, InvalidURL):
        described = error.description or "invalid URL"
        return type(error)(error.url, f"{described} ({where})").with_traceback(error.__traceback__)
    if type(error) in (TypeError, ValueError):
        return type(error)(f"{where}: {error}").with_traceback(error.__traceback__)
    return error  # of code of the user's: json_serialize, or a file


def check_requests(requests: Iterable[RequestLike], options: RequestOptions) -> None:
    """Raise TypeError for one request in place of many, and a body that serves only once."""
    if isinstance(requests, (str, bytes, URL, Mapping, Request)):
        raise TypeError(
            f"requests must be an iterable of requests, not one {type(requests).__name__}: "
            "write [request]"
        )
    data = options.get("data")
    if isinstance(data, Iterator) or callable(getattr(data, "read", None)):
        raise TypeError(
            f"data is a {type(data).__name__}, which can be sent once, and each request would "
            "send it: give each a body of its own, {'url': ..., 'data': ...}"
        )
