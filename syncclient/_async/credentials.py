"""The ``auth=`` of a request, for as long as it stays with the origin it was given for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
    from yarl import URL


class Credentials:
    """An aiohttp middleware: adds the Authorization header to the hops of one request.

    Not a header of the request from the start. A redirect may name credentials in its URL, and
    aiohttp raises ValueError where these meet a header. Here they win, as they do over
    aiohttp's own ``auth=``, which warns of itself. A redirect to another origin ends it, also
    for a later hop that leads back: whoever sent it there is not to be trusted with them.

    Args:
        authorization: The value of the header.
        url: What the request asks for first.
    """

    __slots__ = ("_authorization", "_left", "_origin")

    def __init__(self, authorization: str, url: URL) -> None:
        self._authorization = authorization
        self._origin = url.origin()
        self._left = False

    async def __call__(self, req: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send ``req`` on, authorised if it may be."""
        if req.url.origin() != self._origin:
            self._left = True
        elif not self._left and hdrs.AUTHORIZATION not in req.headers:
            req.headers[hdrs.AUTHORIZATION] = self._authorization
        return await handler(req)
