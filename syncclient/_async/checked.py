"""aiohttp's own middlewares, looked at: what they return, and what they leave behind."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse

from .carried import CarriedError


class Checked:
    """An aiohttp middleware around one of the user's. Event loop only.

    To aiohttp, a middleware that returns None is an AttributeError somewhere inside, and
    the responses that it did not return hold their connections until they are garbage.
    """

    __slots__ = ("middleware",)

    def __init__(self, middleware: ClientMiddlewareType) -> None:
        self.middleware = middleware

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Call the middleware, and release what it does not return.

        Raises:
            TypeError: it returned no ClientResponse.
        """
        given: list[ClientResponse] = []
        foreign: list[Exception] = []

        async def handle(request: ClientRequest) -> ClientResponse:
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
                "it must return the response that its handler gave"
            )
        return chosen


def name_of(middleware: object) -> str:
    """Return what to call a middleware in a message."""
    function = getattr(middleware, "func", middleware)  # of a functools.partial
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(middleware).__qualname__
