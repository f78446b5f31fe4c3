"""The ``auth=`` of a request, sent as long as the request stays with its first origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs

from ..._urls import origin_of

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
    from yarl import URL


class Credentials:
    """An aiohttp middleware: adds the Authorization header to the hops of one request.

    It is not a header of the request from the start, because a redirect may have credentials in
    its URL, and aiohttp raises ValueError if there is a header as well. Here those in the URL win,
    as they do over aiohttp's own ``auth=``, which is deprecated there. A redirect to another
    origin ends it, even for a later hop that leads back: the server that sent the request there
    is not trusted with the credentials.

    Args:
        authorization: The value of the header.
        url: The first URL of the request.
    """

    __slots__ = ("_authorization", "_left", "_origin")

    def __init__(self, authorization: str, url: URL) -> None:
        self._authorization = authorization
        self._origin = origin_of(url)
        self._left = False

    async def __call__(self, req: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send ``req`` on, authorised if it goes to the first origin."""
        value = self.value_for(req.url)
        if value is not None and hdrs.AUTHORIZATION not in req.headers:
            req.headers[hdrs.AUTHORIZATION] = value
        return await handler(req)

    def value_for(self, url: URL) -> str | None:
        """Return the header for a hop to ``url``; None if it gets none."""
        if origin_of(url) != self._origin:
            self._left = True
        return None if self._left else self._authorization
