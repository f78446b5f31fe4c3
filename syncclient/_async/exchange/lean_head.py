"""The heads of requests that go the lean way.

aiohttp's own request says what the head has, so that both ways send the same. What requests with
the same method, origin and headers have in common is kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import ClientRequest, hdrs
from multidict import CIMultiDict, CIMultiDictProxy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp.client_reqrep import ConnectionKey

#: A body, and the headers that describe it; None for those of any bytes.
Body: TypeAlias = "tuple[bytes, CIMultiDict[str] | None]"

#: Methods without a body, unless one is given, for which the engine then sends no length ...
_BODILESS = ClientRequest.GET_METHODS
#: ... and those whose body is said to have some type, even where there is none.
_TYPED = ClientRequest.POST_METHODS

#: What a header cannot hold (RFC 9110, section 5.5).
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_OCTETS = {hdrs.CONTENT_TYPE: "application/octet-stream"}


class HeadTemplate:
    """What requests with the same method, origin and headers have in common.

    Args:
        request: aiohttp's own, with these headers and no body.
        method: of the requests; that of ``request`` is another.
        exact: the headers, where aiohttp is to add none.
        force_close: whether each connection serves one request.
    """

    __slots__ = ("_added", "_closing", "_headers", "_last", "_lines", "_method", "_skipped", "key")

    def __init__(
        self,
        request: ClientRequest,
        method: str,
        exact: CIMultiDict[str] | None,
        *,
        force_close: bool,
    ) -> None:
        self.key: ConnectionKey = request.connection_key
        self._method = method
        self._skipped = request.skip_auto_headers
        self._headers: CIMultiDict[str] = request.headers if exact is None else exact.copy()
        self._closing = force_close and hdrs.CONNECTION not in self._headers
        #: The headers as they are sent.
        self._lines = _lines_of(self._headers.items())
        #: What the last request had beside them, and what it came to: the next one mostly has the
        #: same cookies, and no body.
        self._added: object = None
        self._last: tuple[CIMultiDictProxy[str], bytes] | None = None

    def completed(
        self, cookie: str | None, body: Body | None, authorization: str | None
    ) -> tuple[CIMultiDictProxy[str], bytes]:
        """Return the headers of a request, and their bytes.

        In the order of aiohttp's ClientRequest, of its middlewares, and of its ``send``.
        """
        described: object = None
        if body is not None:
            data, describing = body
            described = len(data), None if describing is None else tuple(describing.items())
        added = cookie, described, authorization
        if self._last is not None and self._added == added:
            return self._last
        headers, skipped = self._headers.copy(), self._skipped
        if cookie is not None:
            headers[hdrs.COOKIE] = cookie
        if body is not None:
            if hdrs.CONTENT_LENGTH not in headers:
                headers[hdrs.CONTENT_LENGTH] = str(len(data))
            for name, value in _OCTETS.items() if describing is None else describing.items():
                if name not in headers and name not in skipped:
                    headers[name] = value
        elif self._method not in _BODILESS and hdrs.CONTENT_LENGTH not in headers:
            headers[hdrs.CONTENT_LENGTH] = "0"
        if authorization is not None and hdrs.AUTHORIZATION not in headers:
            headers[hdrs.AUTHORIZATION] = authorization
        self._added, self._last = added, self._finished(headers)
        return self._last

    def exactly(self) -> tuple[CIMultiDictProxy[str], bytes]:
        """Return the headers of a request that is to have no others, and their bytes."""
        if self._last is None:
            self._last = self._finished(self._headers.copy())
        return self._last

    def _finished(self, headers: CIMultiDict[str]) -> tuple[CIMultiDictProxy[str], bytes]:
        if (
            self._method in _TYPED
            and hdrs.CONTENT_TYPE not in headers
            and hdrs.CONTENT_TYPE not in self._skipped
        ):
            headers.update(_OCTETS)
        if self._closing:
            headers[hdrs.CONNECTION] = "close"
        if not headers:
            raise ValueError("a head without headers")
        # All of them were added at the end.
        new = list(headers.items())[len(self._headers) :]
        return CIMultiDictProxy(headers), b"%b%b\r\n" % (self._lines, _lines_of(new))


def _lines_of(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return headers as they are sent.

    Raises:
        ValueError: one has a control character, or cannot be encoded.
    """
    lines = [f"{name}: {value}" for name, value in headers]
    if not all(map(str.isprintable, lines)) and any(map(_CONTROL.search, lines)):
        raise ValueError("headers that cannot be sent so")
    return "".join([f"{line}\r\n" for line in lines]).encode()
