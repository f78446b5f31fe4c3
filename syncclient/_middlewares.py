"""Blocking middlewares: run by the blocked caller, in the midst of aiohttp's own.

================  ===================  ====================================================
what              thread               may block, and what wakes it
================  ===================  ====================================================
Blocking          loop thread          awaits the caller, who runs the middleware
_Pass.run         the caller's         as the middleware does
_Pass.handle      the caller's         until the response's head is here, or the request has
                                       ended: any reason, docs/topics/design.md lists them
Visit             loop thread          awaits the rest of the chain
================  ===================  ====================================================
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from aiohttp import ClientError
from multidict import CIMultiDict

from ._async.carried import CarriedError
from ._async.checked import Checked, name_of
from ._async.visit import Asked, Changed, Visit
from ._call import in_caller
from ._middleware_request import MiddlewareRequest
from ._request import check_method, check_url, header_items
from ._response import CharsetResolver, Response

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse

    from ._async.session import AsyncSession
    from ._lease import Errand
    from ._portal import Portal

#: Sends a request on, and returns its response. Blocks until the head of that is here.
HandlerType = Callable[[MiddlewareRequest], Response]

#: What a blocking middleware is: it returns the response that its handler gave.
MiddlewareType = Callable[[MiddlewareRequest, HandlerType], Response]

#: What a middleware's pass comes to: the number of its response, and of that what it has
#: read; None if it is one of aiohttp's, which only calling it could tell.
Outcome = tuple[int, bytes | None] | None


class Chain:
    """Makes of the middlewares of one session what aiohttp can call.

    Args:
        resolve_charset: what the responses that they see are decoded by.
    """

    def __init__(self, resolve_charset: CharsetResolver) -> None:
        self.resolve_charset = resolve_charset
        self._portal: Callable[[], Portal[AsyncSession] | None] = _no_portal

    def attach(self, portal: Portal[AsyncSession]) -> None:
        """Have handlers cross by ``portal``, whose session holds this: so not the other way."""
        self._portal = weakref.ref(portal)

    def __call__(
        self, middlewares: Iterable[MiddlewareType | ClientMiddlewareType]
    ) -> tuple[ClientMiddlewareType, ...]:
        """Return the middlewares, in their order."""
        return tuple(map(self._adapted, middlewares))

    def _adapted(self, middleware: MiddlewareType | ClientMiddlewareType) -> ClientMiddlewareType:
        if is_async(middleware):
            return Checked(cast("ClientMiddlewareType", middleware))
        return Blocking(cast(MiddlewareType, middleware), self)

    def errand(self, visit: Visit) -> Errand[Visit]:
        """Return a hold on ``visit`` for its caller. Loop thread only."""
        portal = self._portal()
        if portal is None:
            raise RuntimeError("the session of this request was dropped")
        return portal.errand(visit)


def _no_portal() -> None:
    return None


def is_async(middleware: object) -> bool:
    """Tell whether a middleware is one of aiohttp's, as far as can be told without calling it."""
    while isinstance(middleware, partial):
        middleware = middleware.func
    if inspect.isroutine(middleware):
        # A decorator's function may be plain, and return what the async one in it returns.
        return inspect.iscoroutinefunction(inspect.unwrap(middleware))
    return inspect.iscoroutinefunction(middleware) or inspect.iscoroutinefunction(
        getattr(type(middleware), "__call__", None)  # noqa: B004  -- looked at, not called
    )


class Blocking:
    """An aiohttp middleware that has the blocked caller run one of the user's. Loop thread."""

    __slots__ = ("_chain", "_is_async", "_middleware")

    def __init__(self, middleware: MiddlewareType, chain: Chain) -> None:
        self._middleware = middleware
        self._chain = chain
        #: One of aiohttp's after all: a plain function that returns an awaitable.
        self._is_async: Checked | None = None

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Call the middleware in the caller's thread, and return the response it returned."""
        if self._is_async is not None:
            return await self._is_async(request, handler)
        visit = Visit(request, handler)
        errand = self._chain.errand(visit)
        try:
            asked = await visit.asked()
            passing = _Pass(self._middleware, asked, errand, self._chain)
            visit.pause(name_of(self._middleware))
            outcome = await in_caller(passing.run)
            if outcome is not None:
                return visit.choose(*outcome)
        finally:
            errand.end()
            await visit.aclose()
        self._is_async = Checked(cast("ClientMiddlewareType", self._middleware))
        return await self._is_async(request, handler)


class _Pass:
    """One request's pass through a blocking middleware: the side of the caller's thread."""

    __slots__ = ("_chain", "_errand", "_given", "_kept", "_middleware", "_raised", "_request")

    def __init__(
        self, middleware: MiddlewareType, asked: Asked, errand: Errand[Visit], chain: Chain
    ) -> None:
        self._middleware = middleware
        self._errand = errand
        self._chain = chain
        self._request = MiddlewareRequest(asked, errand)
        self._given: dict[int, Response] = {}
        #: The engine's errors that came out of the handler.
        self._raised: list[ClientError] = []

    def run(self) -> Outcome:
        """Call the middleware, and give back all responses but the one it returned.

        Raises:
            TypeError: it returned something else.
            RuntimeError: it returned a response that nobody can read any more.
        """
        number: int | None = None
        try:
            result: Any = self._middleware(self._request, self.handle)
            if not self._given and inspect.isawaitable(result):
                _dismiss(result)
                return None
            number = self._number(result)
            response = self._given[number]
            # Kept until the loop has let go of what it holds, which its end would release.
            self._kept = response._content and response._content._remote
            return number, _handed_back(response, name_of(self._middleware))
        except Exception as exc:
            if any(exc is error for error in self._raised):
                raise  # the engine's own: it may send the request anew, and we explain it
            raise CarriedError(exc) from exc
        finally:
            self._raised.clear()
            for each, response in self._given.items():
                if each != number:
                    response.release()

    def handle(self, request: MiddlewareRequest) -> Response:
        """Send the request on: the handler that the middleware gets."""
        if request is not self._request:
            raise TypeError(
                f"the handler of {name_of(self._middleware)} takes the request that came with "
                f"it, changed or not; this is a {type(request).__name__}"
            )
        changed = Changed(
            check_method(request.method),
            check_url(request.url, None, None),
            CIMultiDict(header_items(request.headers)),
            request._changed,
        )
        try:
            (number, reply), remote = self._errand.open(Visit.proceed, changed)
        except ClientError as exc:
            self._raised.append(exc)
            raise
        response = Response(reply, remote, self._chain.resolve_charset)
        self._given[number] = response
        return response

    def _number(self, result: object) -> int:
        for number, response in self._given.items():
            if response is result:
                return number
        if inspect.isawaitable(result):
            _dismiss(result)
        what = "another response" if isinstance(result, Response) else type(result).__name__
        raise TypeError(
            f"the middleware {name_of(self._middleware)} returned {what}: "
            "it must return the response that its handler gave"
        )


def _dismiss(awaitable: Awaitable[object]) -> None:
    """Drop an awaitable that nobody awaits; what it would have done is not begun."""
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()


def _handed_back(response: Response, name: str) -> bytes | None:
    """Let go of ``response``, which goes up the chain, and return what has been read of it.

    None where its body is where it was.
    """
    body, content = response._body, response._content
    if body is None:
        if response._released:
            raise RuntimeError(f"the middleware {name} returned a response that it had released")
        if content is not None and content._inbox.total > len(content._inbox):
            response.close()
            raise RuntimeError(
                f"the middleware {name} returned a response that it had read in part: "
                "read() keeps what it reads, content does not"
            )
    if content is not None:
        # Neither a finaliser nor a late release() has a say any more, and a late read() an error.
        content._remote, content._closed = None, True
    return body
