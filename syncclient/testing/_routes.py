"""Routes: a table of responses, and a record of the requests."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from yarl import URL

from .._checks import UNSET, Unset, count
from .._client.arguments import check_method
from .._exceptions import spare
from .._models import redacted_url
from .._urls import checked_url
from ._values import Answer, MockRequest, ReplyOptions, RouteAnswer, reply_from, table_items

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: How a route specifies the URLs that it matches.
Pattern = str | URL | re.Pattern[str]


class UnmatchedRequestError(AssertionError):
    """A request matches no route; the message lists the routes.

    This is an AssertionError, not a ClientError: code under test that handles network errors must
    not swallow a mistake in the test.
    """


class Route:
    """One entry of a table. Created by ``Routes.add``.

    Attributes:
        method: ``"GET"`` ..., or ``"*"`` for any.
        times: How many requests it answers; None sets no limit.
        calls: The requests that it answered, in order.
    """

    def __init__(self, method: str, url: Pattern, answer: RouteAnswer, times: int | None) -> None:
        self.method: str = method
        self.times: int | None = times
        self.calls: list[MockRequest] = []
        self._url = url if isinstance(url, re.Pattern) else _url(url)
        self._answer = answer

    @property
    def called(self) -> bool:
        """Whether this route has answered a request."""
        return bool(self.calls)

    def assert_called(self, times: int | None = None) -> None:
        """Raise AssertionError unless it answered ``times`` requests, or at least one for None."""
        if not self.calls if times is None else len(self.calls) != times:
            wanted = "not at all" if times is None else f"{len(self.calls)} times, not {times}"
            raise AssertionError(f"{self._name} was called {wanted}")

    def _matches(self, request: MockRequest) -> bool:
        if self.method not in ("*", request.method):
            return False
        url, wanted = request.url, self._url
        if isinstance(wanted, re.Pattern):
            return wanted.search(str(url)) is not None
        if wanted.absolute and wanted.origin() != url.origin():
            return False
        left = list(url.query.items())
        for pair in wanted.query.items():
            if pair not in left:
                return False
            left.remove(pair)
        return (wanted.path or "/") == url.path

    def _respond(self, request: MockRequest) -> Answer:
        answer = self._answer
        if isinstance(answer, BaseException):
            return spare(answer)  # a separate traceback for every request
        if callable(answer) and not isinstance(answer, type):
            return answer(request)
        return answer

    @property
    def _name(self) -> str:
        url = self._url
        return f"{self.method} {f're:{url.pattern}' if isinstance(url, re.Pattern) else url}"

    def __str__(self) -> str:
        used = len(self.calls)
        limit = "" if self.times is None else f" of {self.times}"
        return f"{self._name} (answered {used}{limit})"

    def __repr__(self) -> str:
        return f"<Route {self}>"


class Routes:
    """A table of responses, and a record of the requests. Any thread may use it.

    The first matching route that is not used up answers. A request without a matching route
    raises UnmatchedRequestError in the client.

    Args:
        table: ``{"GET /path": answer}``, the initial routes. For answers see ``add``.
    """

    def __init__(self, table: Mapping[str, RouteAnswer] | None = None) -> None:
        self._lock = threading.Lock()  # held for bookkeeping only
        self._routes: list[Route] = []
        self._calls: list[MockRequest] = []
        self._unmatched: list[MockRequest] = []
        for method, url, answer in table_items(table or {}):
            self.add(method, url, answer)

    @property
    def calls(self) -> list[MockRequest]:
        """All requests in the order of arrival, including those without a route."""
        with self._lock:
            return list(self._calls)

    @property
    def unmatched(self) -> list[MockRequest]:
        """The requests that matched no route."""
        with self._lock:
            return list(self._unmatched)

    def add(
        self,
        method: str,
        url: Pattern,
        answer: RouteAnswer | Unset = UNSET,
        *,
        times: int | None = None,
        status: int | Unset = UNSET,
        **reply: Unpack[ReplyOptions],
    ) -> Route:
        """Add a route for ``method`` on ``url``.

        Args:
            method: ``"GET"`` ..., or ``"*"`` for any.
            url: ``"http://host/path"``, or ``"/path"`` on any host; or a compiled regular
                expression, searched for in the whole URL. If it has a query, that must be part
                of the request's query; otherwise any query matches.
            answer: A MockReply; a str, bytes, or a dict or list to send as JSON; a status; an
                exception to raise in the client; or a function that gets the MockRequest and
                returns one of these. The function runs on one of the server's threads.
            times: How many requests this route answers before the next matching route does.
            status: The status, and ``reply`` the keywords of MockReply, instead of ``answer``.

        Raises:
            TypeError, ValueError: An argument is wrong; the message names it.
        """
        if times is not None:
            count("times", times, least=1)
        method = method if method == "*" else check_method(method).upper()
        route = Route(method, url, reply_from(answer, status, reply), times)
        with self._lock:
            self._routes.append(route)
        return route

    def get(
        self,
        url: Pattern,
        answer: RouteAnswer | Unset = UNSET,
        *,
        times: int | None = None,
        status: int | Unset = UNSET,
        **reply: Unpack[ReplyOptions],
    ) -> Route:
        """Answer GET on ``url``; see ``add``."""
        return self.add("GET", url, answer, times=times, status=status, **reply)

    def post(
        self,
        url: Pattern,
        answer: RouteAnswer | Unset = UNSET,
        *,
        times: int | None = None,
        status: int | Unset = UNSET,
        **reply: Unpack[ReplyOptions],
    ) -> Route:
        """Answer POST on ``url``; see ``add``."""
        return self.add("POST", url, answer, times=times, status=status, **reply)

    def put(
        self,
        url: Pattern,
        answer: RouteAnswer | Unset = UNSET,
        *,
        times: int | None = None,
        status: int | Unset = UNSET,
        **reply: Unpack[ReplyOptions],
    ) -> Route:
        """Answer PUT on ``url``; see ``add``."""
        return self.add("PUT", url, answer, times=times, status=status, **reply)

    def patch(
        self,
        url: Pattern,
        answer: RouteAnswer | Unset = UNSET,
        *,
        times: int | None = None,
        status: int | Unset = UNSET,
        **reply: Unpack[ReplyOptions],
    ) -> Route:
        """Answer PATCH on ``url``; see ``add``."""
        return self.add("PATCH", url, answer, times=times, status=status, **reply)

    def delete(
        self,
        url: Pattern,
        answer: RouteAnswer | Unset = UNSET,
        *,
        times: int | None = None,
        status: int | Unset = UNSET,
        **reply: Unpack[ReplyOptions],
    ) -> Route:
        """Answer DELETE on ``url``; see ``add``."""
        return self.add("DELETE", url, answer, times=times, status=status, **reply)

    def head(
        self,
        url: Pattern,
        answer: RouteAnswer | Unset = UNSET,
        *,
        times: int | None = None,
        status: int | Unset = UNSET,
        **reply: Unpack[ReplyOptions],
    ) -> Route:
        """Answer HEAD on ``url``; see ``add``."""
        return self.add("HEAD", url, answer, times=times, status=status, **reply)

    def options(
        self,
        url: Pattern,
        answer: RouteAnswer | Unset = UNSET,
        *,
        times: int | None = None,
        status: int | Unset = UNSET,
        **reply: Unpack[ReplyOptions],
    ) -> Route:
        """Answer OPTIONS on ``url``; see ``add``."""
        return self.add("OPTIONS", url, answer, times=times, status=status, **reply)

    def assert_all_called(self) -> None:
        """Raise AssertionError if a route was never used, or a request matched no route.

        A route with ``times`` must have answered that many requests.
        """
        with self._lock:
            problems = [
                f"{route} should have been called"
                for route in self._routes
                if len(route.calls) < (route.times or 1)
            ]
            problems += [f"no route for {request}" for request in self._unmatched]
        if problems:
            raise AssertionError("; ".join(problems))

    def reset(self) -> None:
        """Remove all routes and all recorded requests."""
        with self._lock:
            for kept in (self._routes, self._calls, self._unmatched):
                kept.clear()

    def __call__(self, request: MockRequest) -> Answer:
        """Answer ``request``. Called by a MockTransport, on one of the server's threads."""
        with self._lock:
            self._calls.append(request)
            for route in self._routes:
                used_up = route.times is not None and len(route.calls) >= route.times
                if not used_up and route._matches(request):
                    route.calls.append(request)
                    break
            else:
                self._unmatched.append(request)
                raise UnmatchedRequestError(self._complaint(request))
        return route._respond(request)

    def _complaint(self, request: MockRequest) -> str:
        if not self._routes:
            return f"no route for {request}: none is registered"
        known = "".join(f"\n  {route}" for route in self._routes)
        return f"no route for {request}; registered are:{known}"

    def __repr__(self) -> str:
        return f"<Routes: {len(self._routes)} routes, {len(self._calls)} calls>"


def _url(url: str | URL) -> URL:
    if not isinstance(url, (str, URL)):
        raise TypeError(f"url must be a str, a yarl.URL or a pattern, not {type(url).__name__}")
    parsed = checked_url(url)
    if not parsed.absolute and not parsed.path.startswith("/"):
        raise ValueError(f"url must be 'http://host/path' or '/path', not {redacted_url(url)!r}")
    return parsed.with_fragment(None)
