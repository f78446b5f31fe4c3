"""The base of both kinds of responses: the head as values, and the state of the body."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from aiohttp import (
    ClientResponseError,
    ContentTypeError,
    HttpVersion,
    RequestInfo,
    hdrs,
)
from multidict import CIMultiDictProxy
from yarl import URL

from .._async.cookies.set_cookie import response_cookies
from .._async.exchange.body_buffer import ALL, BodyBuffer
from .._async.exchange.exchange import Exchange
from .._async.exchange.retry import sign
from .._async.headers.parsed_headers import ParsedHeaders
from .._bodies.body_reader import READ, BodyReader
from .._boundary.lease import Remote
from .._boundary.unclosed import call_site
from .._content_type import TextualBody, content_type, decode
from .._exceptions import SecondReaderError
from .._models import (
    Attempt,
    Head,
    Reply,
    Timings,
    redacted_head,
    redacted_headers,
    redacted_info,
    redacted_url,
)
from .._other_libraries import no_such_attribute
from .._text_lines import TextLines
from .._types import JSONDecoder
from .response_views import ResponseViews

if TYPE_CHECKING:
    from typing_extensions import Self

C = TypeVar("C", bound=BodyReader)

#: Maximum number of bytes of a body that an error shows.
_SHOWN = 1024

_JSON_TYPE = re.compile(r"^application/(?:[\w.+-]+?\+)?json")


class _NotToBeSet:
    """An attribute of other libraries' responses, which can be neither read nor set here."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, response: object, owner: type) -> Self:
        if response is None:
            return self
        raise AttributeError(self._name)  # __getattr__ continues from here

    def __set__(self, response: object, value: object) -> None:
        raise no_such_attribute("Response", response, self._name, to_set=True)


class ResponseBase(TextualBody, ParsedHeaders, ResponseViews, Generic[C]):
    """A response, with a body that is read by the blocking or the async face."""

    #: The tag of its request; see ``Session.map``.
    tag: Any = None

    #: The class that reads the body.
    _reader: type[C]
    #: The only reader, once there is one: set on the object in one step.
    _content: C | None = None

    #: Whether ``content`` starts again after a ``read()``.
    _again = False

    _cookies: SimpleCookie | None = None

    def __init__(
        self,
        reply: Reply,
        remote: Remote[Exchange] | None,
        charset_resolver: Callable[[Any, bytes], str],
        opened_at: str | None = None,
    ) -> None:
        # At once: each item by its name would cost as much as all six.
        (
            self._head,
            self._taken,
            self._elapsed,
            self._attempts,
            self._timings,
            self._compressed,
        ) = reply
        self._body: bytes | None = None
        self._released = False
        self._in_context = False
        self._charset_resolver = charset_resolver
        if remote is not None:
            self._content = self._reader(BodyBuffer(), remote, self._head, opened_at or call_site())

    def _body_here(self) -> bytes | None:
        return self._body

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
        """The headers as pairs of bytes, as received."""
        return self._head.raw_headers

    @property
    def request_info(self) -> RequestInfo:
        """The request that was sent: URL, method and headers."""
        return self._head.request_info

    @property
    def history(self) -> tuple[Self, ...]:
        """The responses that redirected here, oldest first, without their bodies."""
        return tuple(self._of_head(head, self._charset_resolver) for head in self._head.history)

    @property
    def cookies(self) -> SimpleCookie:
        """The cookies set by this response, whether or not a jar keeps them.

        ``coded_value`` of a cookie is the value on the wire, and ``value`` the same without
        surrounding quotes.
        """
        if self._cookies is None:
            self._cookies = response_cookies(self.headers.getall(hdrs.SET_COOKIE, ()))
        return self._cookies

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All attempts of the request, ending with this response's; empty without a ``Retry``."""
        return self._attempts

    @property
    def from_cache(self) -> bool:
        """Whether the body comes from an ``HTTPCache``, validated by the server or not."""
        return self._head.from_cache

    @property
    def timings(self) -> Timings | None:
        """Where the time of the request went; None unless it had ``timings=True``. Never blocks.

        Complete once the body has been read to its end.
        """
        content = self._content
        return (None if content is None else content._buffer.timings) or self._timings

    @property
    def elapsed(self) -> timedelta:
        """The time from the start of the request to the arrival of the headers. Never blocks.

        Includes redirects and earlier attempts, but not the body. Raises RuntimeError for the
        responses of ``history``, for which it is not known.
        """
        if self._elapsed is None:
            raise RuntimeError("elapsed is not known for the responses in history")
        return timedelta(seconds=self._elapsed)

    @property
    def content_length(self) -> int | None:
        """The Content-Length header, or None: the bytes on the wire, possibly compressed."""
        length = self.headers.get(hdrs.CONTENT_LENGTH, "")
        # Python refuses to convert a very long number, which no body could have.
        return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None

    def raise_for_status(self) -> Self:
        """Return this response, or raise StatusError if the status is 400 or above.

        Outside a ``with`` block this releases the response before it raises. The error has the
        body if that has arrived. Never blocks.
        """
        if self.ok:
            return self
        if not self._in_context:
            self._here()  # kept, because the error shows it
            self._give_up(Exchange.abandon)
        error = self._status_error()
        try:
            if self._attempts:
                sign(error, self._attempts)
            raise error
        finally:
            del error  # its traceback holds this frame

    @property
    def closed(self) -> bool:
        """Whether this response no longer uses a connection."""
        return self._content is None or not self._content._on_wire

    # -- inside ----------------------------------------------------------------------

    def _status_error(self) -> ClientResponseError:
        """Return the error of ``raise_for_status``."""
        raise NotImplementedError

    def _serve_again(self) -> None:
        """Serve ``content`` from the stored body, which is complete although released."""
        content = vars(self).pop("_content", None)
        if content is not None:
            self._timings = content._buffer.timings or self._timings
            self._compressed = content._buffer.compressed
        self._again, self._released = True, False

    def _lines(self, encoding: str | None, errors: str) -> TextLines:
        """Return the object that splits this body into lines of text."""
        return TextLines(lambda start: encoding or self._encoding_of(start), errors)

    def _stream(self) -> C:
        """Return the reader of the body, which may have arrived completely."""
        content = self._content
        if content is None:
            body = self._taken if self._body is None else self._body
            buffer = BodyBuffer(body or b"")
            buffer.compressed = self._compressed
            if self._body is not None and not self._again:
                buffer.cut(ALL)  # to the end, where read() left it
            # One for all threads. Only then check _released, which is set first.
            content = vars(self).setdefault("_content", self._reader(buffer, None, self._head))
            self._taken = None
            if self._released:
                content._discard(Exchange.abandon)
        return content

    @classmethod
    def _of_head(
        cls,
        head: Head,
        charset_resolver: Callable[[Any, bytes], str],
        body: bytes | None = None,
    ) -> Self:
        """Return a released response, with the head only, and a body if given."""
        response = cls(Reply(head, body), None, charset_resolver)
        response._released = body is None
        return response

    def _here(self) -> bytes | None:
        """Return the whole body if it has arrived."""
        body = self._body
        if body is None:
            # Left in _taken, for another thread in this method.
            body = self._taken
            if body is not None:
                self._body = body
        return body

    async def _read(self) -> bytes:
        """Return the rest of the body, and keep it. Close the response on an error."""
        content = self._stream()
        try:
            return await content._in_turn(lambda buffer: self._read_rest(buffer, content))
        except SecondReaderError:  # the body belongs to the other reader
            raise
        except BaseException:
            self._give_up(Exchange.abort)
            raise

    async def _read_rest(self, buffer: BodyBuffer, content: C) -> bytes:
        # In one turn with storing the body: otherwise another thread's read() could find neither
        # data left nor a stored body.
        if self._body is None:
            self._body = await content._rest(buffer, READ)
        return self._body

    def _give_up(self, how: Callable[[Exchange], None]) -> None:
        self._released = True
        self._taken = None
        if self._content is not None:
            self._content._discard(how)

    def _parsed(
        self, body: bytes, encoding: str | None, loads: JSONDecoder, content_type: str | None
    ) -> Any:
        """Return ``body`` parsed as JSON."""
        any_json = content_type == "application/json"
        if content_type and not any_json and content_type not in self._type_given():
            raise self._unexpected_type(b"", "; json(content_type=None) takes any")
        # Servers send JSON under many types. The error is that it is not JSON, not the type: so the
        # type is looked at last.
        try:
            found = self._json(body, encoding, loads)
        except ValueError as exc:
            if not any_json or _JSON_TYPE.match(self._type_given()):
                raise
            raise self._unexpected_type(body) from exc
        if found is not None or not any_json or body.strip() == b"null":
            return found
        if _JSON_TYPE.match(self._type_given()) is None:
            raise self._unexpected_type(body)
        return None

    def _type_given(self) -> str:
        return self.headers.get(hdrs.CONTENT_TYPE, "").lower()

    def _unexpected_type(self, body: bytes, hint: str = "") -> ContentTypeError:
        message = f"Attempt to decode JSON with unexpected mimetype: {self._type_given()}{hint}"
        if start := self._start(body):
            message += f"; the body begins: {start}"
        return ContentTypeError(
            *self._for_error(),
            status=self.status,
            message=message,
            headers=redacted_headers(self.headers),
        )

    def _start(self, body: bytes) -> str:
        """Return the beginning of ``body`` as one line for a message; "" if it is not text."""
        if not body or not content_type(self.headers.get(hdrs.CONTENT_TYPE)).is_text:
            return ""
        start = body[:_SHOWN]
        text = decode(start, self._encoding_of(start), "replace")
        # A server must not control the terminal, or inject lines into a log.
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return text + "..." * (len(body) > _SHOWN)

    if not TYPE_CHECKING:
        # A descriptor, because a __setattr__ would slow down every response.
        encoding = _NotToBeSet("encoding")

        def __getattr__(self, name):
            raise no_such_attribute("Response", self, name)

    def _for_error(self) -> tuple[RequestInfo, tuple[Any, ...]]:
        """Return the first arguments of an error about this response, without secrets."""
        head = self._head
        return redacted_info(head.request_info), tuple(map(redacted_head, head.history))
