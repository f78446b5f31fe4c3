"""Bearer tokens (RFC 6750): sent with requests, and renewed when the server refuses one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from aiohttp import hdrs
from yarl import URL

from ..._models import redacted_url
from ..._urls import origin_of, to_url, url_or_fault
from ..connect.per_loop import PerLoop
from ..cookies.sent import take_cookies
from ..exchange.progress import Phase, enter
from ..exchange.retry import can_be_sent_again

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

#: RFC 6750 allows fewer characters, but servers use others; none that could end a header.
_TOKEN = re.compile(r"[\x21-\x7e]+")

_UNAUTHORIZED = 401

#: The middlewares whose token the running code is getting: its requests do not wait for it.
getting: ContextVar[tuple[AsyncBearerAuth, ...]] = ContextVar("syncclient_getting", default=())


class AsyncBearerAuth:
    """An aiohttp middleware: authorises requests with a token, and gets another on a 401.

    One task gets the token; requests that need it at the same time wait. After a 401 the request
    is sent again, with a new token, if its body can be sent again; a second 401 is the response.
    A request with an Authorization header of its own is not changed.

    Requests that ``get_token`` makes itself pass without a token, so they may go through this
    middleware. Other tasks or threads must not make them, since these would wait for the token.

    Args:
        get_token: returns a valid token. Awaited on the event loop. A str is a fixed token: there
            is no other, and a 401 is the response.
        origin: the only server that gets the token. None is the server of the first request.
    """

    def __init__(
        self, get_token: Callable[[], Awaitable[str]] | str, *, origin: str | URL | None = None
    ) -> None:
        #: The token that stays, if it does.
        self._fixed = checked_token(get_token) if isinstance(get_token, str) else None
        self._get_token = get_token
        self._origin = None if origin is None else _checked_origin(origin)
        self._token: str | None = None
        self._turn: PerLoop[asyncio.Lock] = PerLoop(asyncio.Lock)

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send the request on, authorised if it goes to the right server."""
        if self in getting.get() or hdrs.AUTHORIZATION in request.headers:
            return await handler(request)
        origin = origin_of(request.url)
        if self._origin is None:
            self._origin = origin
        if origin != self._origin:
            return await handler(request)
        token = self._fixed or self._token or await self._new_token(None)
        request.headers[hdrs.AUTHORIZATION] = f"Bearer {token}"
        response = await handler(request)
        if response.status != _UNAUTHORIZED or self._fixed is not None:
            return response
        if not can_be_sent_again(request.body):
            if self._token == token:
                self._token = None  # or requests with such bodies would always send it
            return response
        # Before getting the new token, which may need this connection.
        response.release()
        take_cookies(request, response)
        token = await self._new_token(token)
        request.headers[hdrs.AUTHORIZATION] = f"Bearer {token}"
        return await handler(request)

    @property
    def lasting_header(self) -> str | None:
        """The Authorization header of a token that stays, and goes wherever it is given."""
        return f"Bearer {self._fixed}" if self._fixed and self._origin is None else None

    async def _new_token(self, stale: str | None) -> str:
        enter(Phase.MIDDLEWARE, "waiting for a token")
        if self._token == stale:
            self._token = None
        token = self._token
        while token is None:  # another task may have tried, and failed
            token = await self._get_in_turn()
        enter(Phase.HEAD)
        return token

    async def _get_in_turn(self) -> str | None:
        """Get the token, or wait for the task that is getting it; None if that failed."""
        async with self._turn.here():
            if self._token is None:
                self._token = checked_token(await self._get())
            return self._token

    async def _get(self) -> str:
        assert not isinstance(self._get_token, str)
        reset = getting.set((*getting.get(), self))
        try:
            return await self._get_token()
        finally:
            getting.reset(reset)


def _checked_origin(origin: str | URL) -> tuple[str, str, int | None]:
    if not isinstance(origin, (str, URL)):
        raise TypeError(f"origin must be a str or a yarl.URL, not {type(origin).__name__}")
    url = url_or_fault(to_url, origin)
    if isinstance(url, str) or not url.scheme or not url.raw_host:
        raise ValueError(
            f"origin must be a URL such as https://api.example, not {redacted_url(origin)!r}"
        )
    return origin_of(url)


def checked_token(token: object) -> str:
    """Return ``token``; raise TypeError or ValueError if it is not a token."""
    # The messages do not show it, since they end up in logs.
    if not isinstance(token, str):
        raise TypeError(f"get_token must return the token as a str, not {type(token).__name__}")
    if not _TOKEN.fullmatch(token):
        raise ValueError("get_token gave a token that is empty or has spaces in it")
    return token
