"""Many requests at a time from one thread: the iterator behind ``Session.map``."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from ._async.many import AsyncMany
from ._async.session import AsyncSession
from ._future import Relay
from ._models import Reply
from ._portal import Portal, Remote
from ._request import Defaults, Prepared
from ._response import CharsetResolver, Response
from ._types import StrOrURL

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._request import RequestOptions

#: Seconds the iterable may be pulled from before what it gave is sent off.
_PULL_TIME = 0.001


class Request:
    """A request for ``Session.map``: a URL with a method, options and a tag of its own.

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
        return f"<Request {self.method} {self.url}>"


#: What the iterable given to ``Session.map`` may yield.
RequestLike = StrOrURL | tuple[str, StrOrURL] | Mapping[str, Any] | Request

Ask = tuple[int, tuple[Any, ...]]


class ResponseIterator(Iterator[Response]):
    """Iterates over the responses of ``Session.map``. One thread at a time.

    Leaving its ``with`` block, or ``close()``, cancels the requests that are left and
    waits for them to unwind. Merely dropped, it has them cancelled without waiting.
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
    ) -> None:
        self._portal = portal
        self._defaults = defaults
        self._resolve_charset = resolve_charset
        self._requests = iter(requests)
        self._method = method
        self._concurrency = concurrency
        self._ordered = ordered
        self._return_exceptions = return_exceptions
        self._options = options
        self._remote: Remote[AsyncMany[Any, Reply]] | None = None
        self._asked: dict[int, tuple[Prepared, Any]] = {}
        self._ready: dict[int, Reply | Exception] = {}
        self._next_number = 0  # of the next request pulled
        self._next_result = 0  # of the next result yielded, in order
        self._exhausted = False
        self._closed = False
        # As many waiting as are in flight: then none of them waits for us.
        self._window = 2 * concurrency

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Response:
        """Return the next response. Blocks until it is here."""
        if self._closed:
            raise StopIteration
        try:
            return self._take()
        except StopIteration:
            self.close()
            raise
        except BaseException:
            self.close()
            raise

    def _take(self) -> Response:
        while True:
            number = self._next_ready()
            if number is not None:
                prepared, tag = self._asked.pop(number)
                outcome = self._ready.pop(number)
                self._next_result = number + 1
                return self._finished(outcome, prepared, tag)
            batch = self._pull()
            if not self._asked:
                raise StopIteration
            full = self._exhausted or len(self._asked) >= self._window
            wanted = self._next_result if self._ordered else None
            self._ready.update(
                self._many().call(AsyncMany.exchange, batch, wait=full, wanted=wanted)
            )

    def _next_ready(self) -> int | None:
        if self._ordered:
            return self._next_result if self._next_result in self._ready else None
        return next(iter(self._ready), None)

    def _finished(self, outcome: Reply | Exception, prepared: Prepared, tag: Any) -> Response:
        try:
            if isinstance(outcome, Exception):
                raise outcome
            response = Response(outcome, None, self._resolve_charset)
            response.tag = tag
            checked = prepared.raise_for_status
            if checked is True:
                response.raise_for_status()
            elif checked is not False:
                checked(response)
            return response
        except Exception as exc:
            exc.tag = tag  # type: ignore[attr-defined]  # so that the user can tell whose it is
            if not self._return_exceptions:
                raise
            return cast(Response, exc)  # asked for by return_exceptions
        finally:
            del outcome

    def _pull(self) -> list[Ask]:
        """Take requests from the iterable, until the window is full or some time is over."""
        batch: list[Ask] = []
        until = time.monotonic() + _PULL_TIME
        while not self._exhausted and len(self._asked) < self._window:
            try:
                request = next(self._requests)
            except StopIteration:
                self._exhausted = True
                break
            number = self._next_number
            self._next_number += 1
            try:
                prepared, tag = self._prepared(request)
            except Exception as exc:
                error = type(exc)(f"requests[{number}]: {exc}") if _plain(exc) else exc
                if not self._return_exceptions:
                    raise error from exc
                self._ready[number] = error
                self._asked[number] = _FAILED, getattr(request, "tag", None)
            else:
                self._asked[number] = prepared, tag
                batch.append((number, prepared.crossing))
            if time.monotonic() >= until:
                break
        return batch
