"""Response: the head as values, and the body, here already or still on the wire."""

from __future__ import annotations

import json as jsonlib
import re
import sys
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

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
from ._async.sse import ServerSentEvent
from ._async.stream import Inbox
from ._lease import Remote
from ._models import (
    Attempt,
    Head,
    Reply,
    redacted_head,
    redacted_headers,
    redacted_info,
    redacted_url,
)
from ._request import RaiseForStatus
from ._sse import parsed
from ._stream import StreamReader
from ._types import JSONDecoder

CharsetResolver = Callable[["Response", bytes], str]

_JSON_TYPE = re.compile(r"^application/(?:[\w.+-]+?\+)?json")

#: requests' and httpx's names, and what to write here.
_TWINS = {
    "apparent_encoding": "get_encoding()",
    "elapsed": "trace_configs=, or time.perf_counter() around the call",
    "encoding": "get_encoding(), or text(encoding=...)",
    "http_version": "version",
    "is_error": "not response.ok",
    "is_redirect": "history, or status",
    "is_success": "ok",
    "iter_bytes": "content.iter_chunked(n)",
    "iter_content": "content.iter_chunked(n)",
    "iter_lines": "content, which iterates over lines: for line in response.content",
    "iter_raw": "content.iter_chunked(n) of a request with auto_decompress=False",
    "raw": "content, a readable binary file",
    "reason_phrase": "reason",
    "request": "request_info",
    "status_code": "status",
}


def call_site() -> str:
    """Return file and line of the nearest frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Response(HeadersMixin):
    """The response to a request. Made by a session, never by hand.

    The head is here. The body is here too if it came along with the head; otherwise it
    stays on the wire until it is read, with backpressure, and keeps its connection until
    then: read it whole, or leave the ``with`` block, or call ``release()``.

    Any thread may use a response; one at a time may read. Attributes and everything
    that works on a body already read never block. Source: aiohttp.ClientResponse.
    """

    #: What its request was tagged with; see ``Session.map``.
    tag: Any = None

    def __init__(
        self,
        reply: Reply,
        remote: Remote[Exchange] | None,
        resolve_charset: CharsetResolver,
        opened_at: str | None = None,
    ) -> None:
        head = reply.head
        self._head = head
        self._headers = head.headers
        self._resolve_charset = resolve_charset
        self._attempts = reply.attempts
        self._taken = reply.body
        self._body: bytes | None = None
        self._released = False
        self._in_context = False
        self._content: StreamReader | None = None
        if remote is not None:
            self._content = StreamReader(Inbox(), remote, head, opened_at or call_site())

    def __repr__(self) -> str:
        url = redacted_url(self._head.url)
        return f"<Response({url}) [{self._head.status} {self._head.reason}]>"

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
    def history(self) -> tuple[Response, ...]:
        """The responses that redirected here, oldest first; their bodies are gone."""
        return tuple(_released_response(head, self._resolve_charset) for head in self._head.history)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All attempts at the request, this response's the last; empty without a ``Retry``."""
        return self._attempts

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

    # -- the body --------------------------------------------------------------------

    @property
    def content(self) -> StreamReader:
        """The body as it comes: aiohttp's StreamReader minus ``await``, and a binary file."""
        content = self._content
        if content is None:
            body = self._taken if self._body is None else self._body
            content = StreamReader(Inbox(body or b""), None, self._head)
            if self._released:
                content.close()
            elif self._body is not None:
                content.readany()  # to the end, where read() has left it
            self._content, self._taken = content, None
        return content

    def read(self) -> bytes:
        """Return the whole body, or what ``content`` has left of it. Blocks until it is here.

        It is kept for the next call. Woken by the last byte, a timeout, an error, the
        session's closing; an interrupt closes the response, as every error does.
        Raises ClientPayloadError where the body is cut short or corrupt, and
        ClientConnectionError where the response was released before.
        """
        if self._body is None:
            if self._taken is not None:
                self._body, self._taken = self._taken, None
            else:
                content = self.content
                try:
                    self._body = content._read_all(Exchange.read_into)
                except BaseException:
                    if not content._waiting:  # not for the sake of another reader's refusal
                        self.close()
                    raise
        return self._body

    def text(self, encoding: str | None = None, errors: str = "strict") -> str:
        """Return the body decoded in this thread, as ``encoding`` or else ``get_encoding()``."""
        body = self.read()
        return body.decode(encoding or self.get_encoding(), errors=errors)

    def json(
        self,
        *,
        encoding: str | None = None,
        loads: JSONDecoder = jsonlib.loads,
        content_type: str | None = "application/json",
    ) -> Any:
        """Return the body parsed as JSON, in this thread; None where it is empty.

        Raises ContentTypeError where the Content-Type is another than ``content_type``
        (``application/problem+json`` and the like are JSON as well; None checks nothing).
        """
        body = self.read()
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

    def events(self) -> Iterator[ServerSentEvent]:
        """Iterate over the server-sent events of the body, as they come.

        Blocks until the next one, and ends with the body. ``Session.sse`` connects again.
        """
        return parsed(self.content.iter_any())

    def raise_for_status(self) -> None:
        """Raise ClientResponseError if the status is 400 or above.

        Outside a ``with`` block this releases the response first.
        """
        if self.ok:
            return
        if not self._in_context:
            self.release()
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

    def release(self) -> None:
        """Give the connection back, or close it if some of the body is unread. Never waits."""
        self._released = True
        self._taken = None
        if self._content is not None:
            self._content.close()

    def close(self) -> None:
        """Close the connection. Never waits."""
        self._released = True
        self._taken = None
        if self._content is not None:
            self._content._discard(Exchange.abort)

    def __enter__(self) -> Response:
        self._in_context = True
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._in_context = False
        self.release()

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            hint = f"; here it is {_TWINS[name]}" if name in _TWINS else ""
            raise AttributeError(f"Response has no attribute {name!r}{hint}", name=name, obj=self)

    def _for_error(self) -> tuple[RequestInfo, tuple[Any, ...]]:
        """Return the first arguments of an error about this response: picklable, no secrets."""
        head = self._head
        return redacted_info(head.request_info), tuple(map(redacted_head, head.history))


def check_status(response: Response, rule: RaiseForStatus[Response]) -> None:
    """Do what ``raise_for_status`` of the request says, in this thread; on an error, close."""
    if rule is True:
        response.raise_for_status()
    elif rule is not False:
        try:
            rule(response)
        except BaseException:
            response.close()
            raise


def _released_response(head: Head, resolve_charset: CharsetResolver) -> Response:
    response = Response(Reply(head, None), None, resolve_charset)
    response._released = True
    return response


def _borrowed(name: str) -> Callable[[Any], Any]:
    """Return the function behind a cached property of aiohttp's ClientResponse.

    It asks of its first argument only what a Response has as well, so that headers are
    parsed by the engine's rules and there is no second set of them to keep alike.
    """
    return cast(Callable[[Any], Any], vars(ClientResponse)[name].wrapped)


_links: Callable[[Response], MultiDictProxy[MultiDictProxy[str | URL]]] = _borrowed("links")
_content_disposition: Callable[[Response], ContentDisposition | None] = _borrowed(
    "content_disposition"
)
