"""aiohttp's response, as middlewares and trace callbacks on the loop get it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any

from aiohttp import ClientResponse, hdrs
from aiohttp.typedefs import JSONDecoder

from .._content_type import TextualBody
from .cookies.set_cookie import response_cookies
from .engine.client import awaited_continue, body_of
from .headers.parsed_headers import ParsedHeaders

if TYPE_CHECKING:
    from aiohttp.connector import Connection


#: Seconds to wait for ``100 Continue``, as in curl.
CONTINUE_AFTER = 1.0


def _send_body(expected: asyncio.Future[bool]) -> None:
    if not expected.done():
        expected.set_result(True)


class WebClientResponse(TextualBody, ParsedHeaders, ClientResponse):  # pyright: ignore[reportIncompatibleVariableOverride]
    """aiohttp's ClientResponse, which reads headers and text as ``Response`` does.

    It decodes on the loop, so no charset may decide how long that takes.
    """

    _said_cookies: SimpleCookie | None = None

    @property
    def cookies(self) -> SimpleCookie:
        """The cookies that this response sets, including malformed ones."""
        if self._said_cookies is None:
            self._said_cookies = response_cookies(self.headers.getall(hdrs.SET_COOKIE, ()))
        return self._said_cookies

    @cookies.setter
    def cookies(self, cookies: SimpleCookie) -> None:
        self._said_cookies = cookies
        ClientResponse.cookies.__set__(self, cookies)  # type: ignore[attr-defined]

    def _body_here(self) -> bytes | None:
        return body_of(self)

    # Not async: every response passes here.
    def start(  # pyright: ignore[reportIncompatibleMethodOverride]  # it returns a coroutine
        self, connection: Connection
    ) -> Coroutine[Any, Any, ClientResponse]:
        """Wait for the head; send a body that waits for 100 Continue after a second.

        RFC 9110, section 10.1.1: a server may not know this expectation, and wait for the body.
        If the server answers first, the body is not sent, and the connection is closed once the
        answer has been read.
        """
        expected = awaited_continue(self)
        if expected is None or expected.done():
            return super().start(connection)
        return self._start_without(expected, connection)

    async def _start_without(
        self, expected: asyncio.Future[bool], connection: Connection
    ) -> ClientResponse:
        waiting = expected.get_loop().call_later(CONTINUE_AFTER, _send_body, expected)
        try:
            return await super().start(connection)
        finally:
            waiting.cancel()

    async def text(self, encoding: str | None = None, errors: str = "strict") -> str:
        """Return the body decoded, as ``encoding`` or else ``get_encoding()``."""
        body = body_of(self)
        body = await self.read() if body is None else body
        return self._decoded(body, encoding, errors)

    async def json(
        self,
        *,
        encoding: str | None = None,
        loads: JSONDecoder = json.loads,
        content_type: str | None = "application/json",
    ) -> Any:
        """Return the body parsed as JSON; None if it is empty."""
        body = body_of(self)
        body = await self.read() if body is None else body
        # For its check of the Content-Type; the result is dropped.
        await super().json(encoding="latin-1", loads=len, content_type=content_type)
        return self._json(body, encoding, loads)
