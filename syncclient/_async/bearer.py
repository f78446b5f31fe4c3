"""Bearer tokens (RFC 6750), and another one when the server does not take the first any more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from aiohttp import hdrs
from yarl import URL

from .per_loop import PerLoop
from .phase import Phase, enter
from .retry import can_be_sent_again

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

#: RFC 6750 knows fewer characters, but servers give out others; none that would end a header.
_TOKEN = re.compile(r"[\x21-\x7e]+")

_UNAUTHORIZED = 401

#: Whose tokens are being got by the running code: its requests are not to wait for them.
getting: ContextVar[tuple[AsyncBearerAuth, ...]] = ContextVar("syncclient_getting", default=())


class AsyncBearerAuth:
    """An aiohttp middleware: authorises requests with a token, and gets another on a 401.

    One token is got at a time; requests that need it meanwhile wait for it. A 401 gets
    the request sent once more, with a new token, where its body can be sent again; a second
    401 is the answer. A request with an Authorization header of its own is left alone.

    Requests that ``get_token`` makes itself pass without a token, so they may go through
    this middleware, but not through other tasks or threads that have one to wait for.

    Args:
        get_token: returns a token that is valid now. Awaited on the event loop.
        origin: the only server to get the token. None is that of the first request.
    """

    def __init__(
        self, get_token: Callable[[], Awaitable[str]], *, origin: str | URL | None = None
    ) -> None:
        self._get_token = get_token
        self._origin = None if origin is None else URL(origin).origin()
        self._token: str | None = None
        self._turn: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send the request on, authorised if it is to be."""
        if self in getting.get() or hdrs.AUTHORIZATION in request.headers:
            return await handler(request)
        origin = request.url.origin()
        if self._origin is None:
            self._origin = origin
        if origin != self._origin:
            return await handler(request)
        token = self._token or await self._new_token(None)
        request.headers[hdrs.AUTHORIZATION] = f"Bearer {token}"
        response = await handler(request)
        if response.status != _UNAUTHORIZED:
            return response
        if not can_be_sent_again(request.body):
            if self._token == token:
                self._token = None  # or requests with such bodies would send it for ever
            return response
        # Before the new token is got: that may need this connection.
        response.release()
        token = await self._new_token(token)
        request.headers[hdrs.AUTHORIZATION] = f"Bearer {token}"
        return await handler(request)

    async def _new_token(self, stale: str | None) -> str:
        enter(Phase.MIDDLEWARE, "waiting for a token")
        if self._token == stale:
            self._token = None
        token = self._token
        while token is None:  # somebody else may get it, and fail
            token = await self._get_in_turn()
        enter(Phase.HEAD)
        return token

    async def _get_in_turn(self) -> str | None:
        """Get the token, or wait for who gets it at this moment; None if that one failed."""
        async with self._turn.here():
            if self._token is None:
                self._token = checked_token(await self._get())
            return self._token

    async def _get(self) -> str:
        reset = getting.set((*getting.get(), self))
        try:
            return await self._get_token()
        finally:
            getting.reset(reset)


def checked_token(token: object) -> str:
    """Return what get_token returned; raise TypeError or ValueError if it is no token."""
    # Nothing of the token in the messages: they end up in logs.
    if not isinstance(token, str):
        raise TypeError(f"get_token must return the token as a str, not {type(token).__name__}")
    if not _TOKEN.fullmatch(token):
        raise ValueError("get_token returned a token that is empty or has spaces in it")
    return token
