"""Middlewares of users in aiohttp's chain: checked, and their errors carried past aiohttp."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse

from ..exchange.framing import settle_request


class CarriedError(Exception):
    """Carries an error that a user's middleware raised past aiohttp.

    aiohttp would take an OSError for one of its sockets', and the core a TimeoutError for one of
    aiohttp's.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error
        super().__init__(f"a middleware raised {error!r}")


class CheckedMiddleware:
    """An aiohttp middleware around one of the user's. Event loop only.

    Without it, a middleware that returns None is an AttributeError somewhere inside aiohttp, and
    the responses that it does not return hold their connections until they are garbage.
    """

    __slots__ = ("middleware",)

    def __init__(self, middleware: ClientMiddlewareType) -> None:
        self.middleware = middleware

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Call the middleware, and release the responses that it does not return.

        Raises:
            TypeError: the middleware returned no ClientResponse.
        """
        given: list[ClientResponse] = []
        foreign: list[Exception] = []

        async def handle(request: ClientRequest) -> ClientResponse:
            settle_request(request)
            try:
                response = await handler(request)
            except CarriedError as exc:
                foreign.append(exc.error)
            else:
                given.append(response)
                return response
            raise foreign[-1]

        chosen: Any = None
        try:
            chosen = await self.middleware(request, handle)
        except Exception as exc:
            if any(exc is each for each in foreign):
                raise CarriedError(exc) from exc
            raise
        finally:
            for response in given:
                if response is not chosen:
                    response.release()
        if not isinstance(chosen, ClientResponse):
            raise TypeError(
                f"the middleware {name_of(self.middleware)} returned {type(chosen).__name__}: "
                "it must return the response that its handler returned"
            )
        return chosen


def name_of(middleware: object) -> str:
    """Return the name of a middleware for a message."""
    function = getattr(middleware, "func", middleware)  # of a functools.partial
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(middleware).__qualname__
