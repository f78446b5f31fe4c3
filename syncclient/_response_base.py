"""What both kinds of response are: the head as values, and what has become of the body."""

from __future__ import annotations

import re
from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from aiohttp import (
    ClientResponse,
    ClientResponseError,
    ContentTypeError,
    HttpVersion,
    RequestInfo,
    hdrs,
)
from aiohttp.client_reqrep import ContentDisposition
from aiohttp.helpers import HeadersMixin
from multidict import CIMultiDictProxy, MultiDictProxy
from yarl import URL

from ._async.exchange import Exchange
from ._async.retry import sign
from ._async.stream import ALL, Inbox
from ._body_reader import BodyReader
from ._lease import Remote
from ._models import (
    Attempt,
    Reply,
    Timings,
    redacted_head,
    redacted_headers,
    redacted_info,
    redacted_url,
)
from ._types import JSONDecoder
from ._unclosed import call_site

if TYPE_CHECKING:
    from typing_extensions import Self

C = TypeVar("C", bound=BodyReader)

_JSON_TYPE = re.compile(r"^application/(?:[\w.+-]+?\+)?json")

#: requests' and httpx's names, and what to write here.
_TWINS = {
    "apparent_encoding": "get_encoding()",
    "elapsed": "timings.total, of a request or a session with timings=True",
    "encoding": "get_encoding(), or text(encoding=...)",
    "http_version": "version",
    "is_client_error": "400 <= status < 500",
    "is_closed": "closed",
    "is_error": "not response.ok",
    "is_redirect": "history, or status",
    "is_server_error": "status >= 500",
    "is_success": "ok",
    "iter_bytes": "content.iter_chunked(n)",
    "iter_content": "content.iter_chunked(n)",
    "iter_lines": "content, which iterates over lines: for line in response.content",
    "iter_raw": "content.iter_chunked(n) of a request with auto_decompress=False",
    "iter_text": "io.TextIOWrapper(response.content, encoding)",
    "num_bytes_downloaded": "content.total_bytes",
    "raw": "content, a readable binary file",
    "reason_phrase": "reason",
    "request": "request_info",
    "status_code": "status",
}


class _NotToBeSet:
    """An attribute of other libraries' responses: neither to be had, nor set to no avail."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, response: object, owner: type) -> Self:
        if response is None:
            return self
        raise AttributeError(self._name)  # from where __getattr__ goes on

    def __set__(self, response: object, value: object) -> None:
        raise AttributeError(
            f"{type(response).__name__} has no attribute {self._name!r} to set; "
            f"here it is {_TWINS[self._name]}",
            name=self._name,
            obj=response,
        )


class ResponseBase(HeadersMixin, Generic[C]):
    """A response with the body that its side of the library reads."""

    #: What its request was tagged with; see ``Session.map``.
    tag: Any = None

    #: What reads the body.
    _reader: type[C]

    def __init__(
        self,
        reply: Reply,
        remote: Remote[Exchange] | None,
        opened_at: str | None = None,
    ) -> None:
        head = reply.head
        self._head = head
        self._headers = head.headers
        self._attempts = reply.attempts
        self._timings = reply.timings
        self._taken = reply.body
        self._body: bytes | None = None
        self._released = False
        self._in_context = False
        self._content: C | None = None
        if remote is not None:
            self._content = self._reader(Inbox(), remote, head, opened_at or call_site())

    def __repr__(self) -> str:
        url = redacted_url(self._head.url)
        return f"<{type(self).__name__}({url}) [{self._head.status} {self._head.reason}]>"

    # -- the head --------------------------------------------------------------------

    @property
    def status(self) -> int:
        """The status code, such as 200."""
        return self._head.status

    @property
    def reason(self) -> str | None:
        """The reason phrase, such as ``"OK"``."""
        return self._head.reason

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self._head.status < 400

    @property
    def method(self) -> str:
        """The method of the request that got this response, after redirects."""
        return self._head.method

    @property
    def url(self) -> URL:
        """The URL of this response, after redirects, without a fragment."""
        return self._head.url

    @property
    def real_url(self) -> URL:
        """The URL of this response, after redirects, with its fragment."""
        return self._head.real_url

    @property
    def host(self) -> str:
        """The host of ``url``."""
        return cast(str, self._head.url.host)

    @property
    def version(self) -> HttpVersion | None:
        """The HTTP version of the response."""
        return self._head.version

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers: a read-only, case-insensitive multidict."""
        return self._head.headers

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers as pairs of bytes, as they came."""
        return self._head.raw_headers

    @property
    def request_info(self) -> RequestInfo:
        """What was sent: URL, method and headers."""
        return self._head.request_info

    @property
    def cookies(self) -> SimpleCookie:
        """The cookies this response sets."""
        cookies = self._head.cookies
        return SimpleCookie() if cookies is None else cookies

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All attempts at the request, this response's the last; empty without a ``Retry``."""
        return self._attempts

    @property
    def timings(self) -> Timings | None:
        """Where the time of the request went; None unless it had ``timings=True``. Never blocks.

        Complete once the body has been read to its end.
        """
        content = self._content
        return (None if content is None else content._inbox.timings) or self._timings

    @property
    def links(self) -> MultiDictProxy[MultiDictProxy[str | URL]]:
        """The Link headers by relation (RFC 8288)."""
        return _links(self)

    @property
    def content_disposition(self) -> ContentDisposition | None:
        """The Content-Disposition header (RFC 6266), or None."""
        return _content_disposition(self)

    def get_encoding(self) -> str:
        """Return the body's encoding by aiohttp's rules: charset, JSON, the session's resolver.

        Raises RuntimeError where only the body could tell, and it has not been read.
        """
        # aiohttp's own function, which asks of its first argument no more than we have.
        return ClientResponse.get_encoding(cast(ClientResponse, self))

    def raise_for_status(self) -> None:
        """Raise ClientResponseError if the status is 400 or above.

        Outside a ``with`` block this releases the response first.
        """
        if self.ok:
            return
        if not self._in_context:
            self._give_up(Exchange.abandon)
        error = ClientResponseError(
            *self._for_error(),
            status=self.status,
            message=self.reason or "",
            headers=redacted_headers(self.headers),
        )
        try:
            if self._attempts:
                sign(error, self._attempts)
            raise error
        finally:
            del error  # its traceback holds this frame

    @property
    def closed(self) -> bool:
        """Whether nothing of this response is on the wire any more."""
        return self._content is None or not self._content._on_wire

    # -- inside ----------------------------------------------------------------------

    def _stream(self) -> C:
        """Return what reads the body, which may be here as a whole."""
        content = self._content
        if content is None:
            body = self._taken if self._body is None else self._body
            inbox = Inbox(body or b"")
            content = self._reader(inbox, None, self._head)
            if self._released:
                content._discard(Exchange.abandon)
            elif self._body is not None:
                inbox.cut(ALL)  # to the end, where read() has left it
            self._content, self._taken = content, None
        return content

    def _give_up(self, how: Callable[[Exchange], None]) -> None:
        self._released = True
        self._taken = None
        if self._content is not None:
            self._content._discard(how)

    def _parsed(
        self, body: bytes, encoding: str | None, loads: JSONDecoder, content_type: str | None
    ) -> Any:
        """Return ``body`` parsed as JSON."""
        if content_type:
            actual = self.headers.get(hdrs.CONTENT_TYPE, "").lower()
            if content_type == "application/json":
                expected = _JSON_TYPE.match(actual) is not None
            else:
                expected = content_type in actual
            if not expected:
                raise ContentTypeError(
                    *self._for_error(),
                    status=self.status,
                    message=f"Attempt to decode JSON with unexpected mimetype: {actual}",
                    headers=redacted_headers(self.headers),
                )
        stripped = body.strip()
        if not stripped:
            return None
        return loads(stripped.decode(encoding or self.get_encoding()))

    if not TYPE_CHECKING:
        # A descriptor, as a __setattr__ would cost every response for the sake of this one.
        encoding = _NotToBeSet("encoding")

        def __getattr__(self, name):
            hint = f"; here it is {_TWINS[name]}" if name in _TWINS else ""
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}{hint}", name=name, obj=self
            )

    def _for_error(self) -> tuple[RequestInfo, tuple[Any, ...]]:
        """Return the first arguments of an error about this response: picklable, no secrets."""
        head = self._head
        return redacted_info(head.request_info), tuple(map(redacted_head, head.history))


def _borrowed(name: str) -> Callable[[Any], Any]:
    """Return the function behind a cached property of aiohttp's ClientResponse.

    It asks of its first argument only what a Response has as well, so that headers are
    parsed by the engine's rules and there is no second set of them to keep alike.
    """
    return cast(Callable[[Any], Any], vars(ClientResponse)[name].wrapped)


_links: Callable[[ResponseBase[Any]], MultiDictProxy[MultiDictProxy[str | URL]]] = _borrowed(
    "links"
)
_content_disposition: Callable[[ResponseBase[Any]], ContentDisposition | None] = _borrowed(
    "content_disposition"
)
