"""Blocking middlewares, which run in the blocked caller's thread, among aiohttp's own.

==================  =============  ========================================================
what                thread         may block, and what wakes it
==================  =============  ========================================================
BlockingAdapter     loop thread    awaits the caller, which runs the middleware
_CallerPass.run     the caller's   as the middleware does
_CallerPass.handle  the caller's   until the head of the response arrives, or the request
                                   ends for one of the reasons in docs/topics/design.md
BlockingPass        loop thread    awaits the rest of the chain
==================  =============  ========================================================
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from aiohttp import ClientError, hdrs
from multidict import CIMultiDict
from yarl import URL

from .._async.middleware.blocking_pass import Asked, BlockingPass, Changed
from .._async.middleware.user_middleware import CarriedError, CheckedMiddleware, name_of
from .._caller import in_caller
from .._models import redacted_url
from .arguments import check_method, check_url
from .headers import header_items
from .response import CharsetResolver, Response

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse

    from .._async.session import AsyncSession
    from .._boundary.lease import Errand
    from .._boundary.portal import Portal


class MiddlewareRequest:
    """The request that a blocking middleware gets. Do not create it yourself.

    Each call of the handler sends the request in its present state. A request is one hop: a
    redirect makes another request, which passes through all middlewares again.

    Any thread may use it until the middleware has returned.
    Source: aiohttp.ClientRequest, the part that is useful to middlewares.

    Attributes:
        method: ``"GET"``, ``"POST"`` ...
        url: the URL. The Host header follows it; all other headers do not change, including Cookie
            and Authorization, even if the new URL leads to another host.
        headers: a mutable multidict, including headers added by the session and the engine.
    """

    __slots__ = ("_body", "_changed", "_errand", "headers", "method", "url")

    def __init__(self, asked: Asked, errand: Errand[BlockingPass]) -> None:
        self.method: str = asked.method
        self.url: URL = asked.url
        self.headers: CIMultiDict[str] = asked.headers
        self._body = asked.body
        self._changed: tuple[bytes | None] | None = None
        self._errand = errand

    def __repr__(self) -> str:
        return f"<MiddlewareRequest {self.method} {redacted_url(self.url)}>"

    def read(self) -> bytes:
        """Return the body before compression; ``b""`` if there is none.

        Blocks until a file or a form has been read; bytes, text and JSON need no wait.

        Raises:
            TypeError: the body, such as a generator, can be read only once, by the request.
        """
        if self._body is None:
            self._body = self._errand.call(BlockingPass.body)
        return self._body

    def update_body(self, body: bytes | str | None) -> None:
        """Replace the body and its Content-Length; text is sent as UTF-8.

        The Content-Type does not change. None removes the body.
        """
        if isinstance(body, str):
            body = body.encode()
        if body is not None and not isinstance(body, bytes):
            raise TypeError(f"body must be bytes, str or None, not {type(body).__name__}")
        self._body = body or b""
        self._changed = (body,)
        self.headers.popall(hdrs.CONTENT_LENGTH, None)


#: Sends a request and returns its response. Blocks until the headers of the response arrive.
HandlerType = Callable[[MiddlewareRequest], Response]

#: A blocking middleware: it returns the response that its handler returned.
MiddlewareType = Callable[[MiddlewareRequest, HandlerType], Response]

#: The result of a pass: the number of the response that the middleware returned, and the body if
#: the middleware has read it; None if the call showed that the middleware is async.
PassResult = tuple[int, bytes | None] | None


class MiddlewareAdapter:
    """Turns the middlewares of a session into middlewares that aiohttp can call.

    Args:
        resolve_charset: chooses the encoding of the responses that the middlewares see.
    """

    def __init__(self, resolve_charset: CharsetResolver) -> None:
        self.resolve_charset = resolve_charset
        self._portal: Callable[[], Portal[AsyncSession] | None] = _no_portal

    def attach(self, portal: Portal[AsyncSession]) -> None:
        """Set the portal that handlers use. Held weakly, because its session holds this."""
        self._portal = weakref.ref(portal)

    def __call__(
        self, middlewares: Iterable[MiddlewareType | ClientMiddlewareType]
    ) -> tuple[ClientMiddlewareType, ...]:
        """Return the middlewares, in their order."""
        return tuple(map(self._adapted, middlewares))

    def _adapted(self, middleware: MiddlewareType | ClientMiddlewareType) -> ClientMiddlewareType:
        if is_async(middleware):
            return CheckedMiddleware(cast("ClientMiddlewareType", middleware))
        return BlockingAdapter(cast(MiddlewareType, middleware), self)

    def errand(self, on_loop: BlockingPass) -> Errand[BlockingPass]:
        """Return a hold on ``on_loop`` for its caller. Loop thread only."""
        portal = self._portal()
        if portal is None:
            raise RuntimeError("the session of this request was dropped")
        return portal.errand(on_loop)


def _no_portal() -> None:
    return None


def is_async(middleware: object) -> bool:
    """Return whether a middleware is async, as far as that shows without calling it."""
    while isinstance(middleware, partial):
        middleware = middleware.func
    if inspect.isroutine(middleware):
        # The function of a decorator may be plain, and return the awaitable of the async one.
        return inspect.iscoroutinefunction(inspect.unwrap(middleware))
    return inspect.iscoroutinefunction(middleware) or inspect.iscoroutinefunction(
        getattr(type(middleware), "__call__", None)  # noqa: B004  -- looked at, not called
    )


class BlockingAdapter:
    """An aiohttp middleware that runs a blocking one in the caller's thread. Loop thread only."""

    __slots__ = ("_adapter", "_is_async", "_middleware")

    def __init__(self, middleware: MiddlewareType, adapter: MiddlewareAdapter) -> None:
        self._middleware = middleware
        self._adapter = adapter
        #: Set if the plain function turned out to return an awaitable.
        self._is_async: CheckedMiddleware | None = None

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Call the middleware in the caller's thread, and return the response it returned."""
        if self._is_async is not None:
            return await self._is_async(request, handler)
        on_loop = BlockingPass(request, handler)
        errand = self._adapter.errand(on_loop)
        try:
            asked = await on_loop.asked()
            in_thread = _CallerPass(self._middleware, asked, errand, self._adapter)
            on_loop.pause(name_of(self._middleware))
            outcome = await in_caller(in_thread.run)
            if outcome is not None:
                return on_loop.choose(*outcome)
        finally:
            errand.end()
            await on_loop.aclose()
        self._is_async = CheckedMiddleware(cast("ClientMiddlewareType", self._middleware))
        return await self._is_async(request, handler)


class _CallerPass:
    """One request's pass through a blocking middleware, in the caller's thread."""

    __slots__ = ("_adapter", "_errand", "_given", "_kept", "_middleware", "_raised", "_request")

    def __init__(
        self,
        middleware: MiddlewareType,
        asked: Asked,
        errand: Errand[BlockingPass],
        adapter: MiddlewareAdapter,
    ) -> None:
        self._middleware = middleware
        self._errand = errand
        self._adapter = adapter
        self._request = MiddlewareRequest(asked, errand)
        self._given: dict[int, Response] = {}
        #: The engine's errors that the handler raised.
        self._raised: list[ClientError] = []

    def run(self) -> PassResult:
        """Call the middleware, and release all responses but the one that it returned.

        Raises:
            TypeError: the middleware returned something else.
            RuntimeError: the middleware returned a response that can no longer be read whole.
        """
        number: int | None = None
        try:
            result: Any = self._middleware(self._request, self.handle)
            if not self._given and inspect.isawaitable(result):
                _dismiss(result)
                return None
            number = self._number(result)
            response = self._given[number]
            # Kept until the loop has detached the exchange; dropping this would release it.
            self._kept = response._content and response._content._remote
            return number, _handed_back(response, name_of(self._middleware))
        except Exception as exc:
            if any(exc is error for error in self._raised):
                raise  # the engine's own: it may repeat the request, and the core explains it
            raise CarriedError(exc) from exc
        finally:
            self._raised.clear()
            for each, response in self._given.items():
                if each != number:
                    response.release()

    def handle(self, request: MiddlewareRequest) -> Response:
        """Send the request. This is the handler that the middleware gets."""
        if request is not self._request:
            raise TypeError(
                f"the handler of {name_of(self._middleware)} accepts only the middleware's own "
                f"request, changed or not, not this {type(request).__name__}"
            )
        changed = Changed(
            check_method(request.method),
            check_url(request.url, None, None),
            CIMultiDict(header_items(request.headers, jar=True)),
            request._changed,
        )
        try:
            (number, reply), remote = self._errand.open(BlockingPass.proceed, changed)
        except ClientError as exc:
            self._raised.append(exc)
            raise
        response = Response(reply, remote, self._adapter.resolve_charset)
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
            "it must return the response that its handler returned"
        )


def _dismiss(awaitable: Awaitable[object]) -> None:
    """Drop an awaitable without starting it."""
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()


def _handed_back(response: Response, name: str) -> bytes | None:
    """Detach ``response``, which goes up the chain, and return its body if it has been read."""
    body, content = response._body, response._content
    if body is None:
        if response._released:
            raise RuntimeError(f"the middleware {name} returned a response that it had released")
        if content is not None and content._buffer.total > len(content._buffer):
            response.close()
            raise RuntimeError(
                f"the middleware {name} returned a response that it had partly read: "
                "read() keeps the body, content does not"
            )
    if content is not None:
        # From now on a finaliser or a late release() does nothing, and a late read() raises.
        content._detach()
    return body
