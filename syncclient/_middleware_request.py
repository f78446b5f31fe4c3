"""MiddlewareRequest: a request on its way, as a blocking middleware sees and changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs
from multidict import CIMultiDict
from yarl import URL

from ._async.visit import Asked, Visit
from ._models import redacted_url

if TYPE_CHECKING:
    from ._lease import Errand


class MiddlewareRequest:
    """A request on its way through the middlewares. Made for them, never by hand.

    What is changed here is sent when the handler is called with it, each time anew. It is
    one hop: a redirect makes another request, which passes all middlewares again.

    Any thread may use it, until the middleware has returned.
    Source: aiohttp.ClientRequest, as far as it is of use to middlewares.

    Attributes:
        method: ``"GET"``, ``"POST"`` ...
        url: where it goes. The Host header follows; all others stay, Cookie and
            Authorization included, also where another URL leads to another host.
        headers: a mutable multidict, with what the session and the engine have added so far.
    """

    __slots__ = ("_body", "_changed", "_errand", "headers", "method", "url")

    def __init__(self, asked: Asked, errand: Errand[Visit]) -> None:
        self.method: str = asked.method
        self.url: URL = asked.url
        self.headers: CIMultiDict[str] = asked.headers
        self._body = asked.body
        self._changed: tuple[bytes | None] | None = None
        self._errand = errand

    def __repr__(self) -> str:
        return f"<MiddlewareRequest {self.method} {redacted_url(URL(self.url))}>"

    def read(self) -> bytes:
        """Return the body, as it is before it is compressed; ``b""`` where there is none.

        Blocks until a file or a form has been read; bytes, text and JSON are here.

        Raises:
            TypeError: it can be read only once, such as a generator, and the server is to
                have it.
        """
        if self._body is None:
            self._body = self._errand.call(Visit.body)
        return self._body

    def update_body(self, body: bytes | str | None) -> None:
        """Put another body in its place, with its Content-Length; text is sent as UTF-8.

        The Content-Type stays as it is. None takes the body away.
        """
        if isinstance(body, str):
            body = body.encode()
        if body is not None and not isinstance(body, bytes):
            raise TypeError(f"body must be bytes, str or None, not {type(body).__name__}")
        self._body = body or b""
        self._changed = (body,)
        self.headers.popall(hdrs.CONTENT_LENGTH, None)
