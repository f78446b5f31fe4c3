"""Response: the head as values, and the body, which has arrived or is still on the wire."""

from __future__ import annotations

import inspect
import io
import json as jsonlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from aiohttp import ClientResponseError

from .._async.exchange.exchange import Exchange
from .._async.sse import EVENT_LIMIT, EventParser, ServerSentEvent
from .._bodies.stream import StreamReader
from .._checks import count
from .._coroutines import blocking
from .._models import Head, redacted_head, redacted_headers, redacted_url
from .._other_libraries import check_keywords
from .._types import JSONDecoder
from .arguments import RaiseForStatus
from .response_base import ResponseBase

if TYPE_CHECKING:
    from typing_extensions import Never

CharsetResolver = Callable[["Response", bytes], str]


class Response(ResponseBase[StreamReader]):
    """The response to a request. Created by a session; do not create it yourself.

    The headers have arrived. The body may have arrived with them; otherwise it stays on the
    wire until it is read, with backpressure, and holds its connection until then: read it
    whole, leave the ``with`` block, or call ``release()``.

    Any thread may use a response; one at a time may read. Attributes never block, nor do
    methods that use a body already read. Source: aiohttp.ClientResponse.
    """

    _reader = StreamReader

    @property
    def content(self) -> StreamReader:
        """The body as a stream: aiohttp's StreamReader minus ``await``, and a binary file."""
        return self._stream()

    def read(self) -> bytes:
        """Return the whole body, or the part that ``content`` has not read. Blocks until then.

        The body is kept for the next call. The wait ends with the last byte, a timeout, an
        error, or the closing of the session; an interrupt closes the response, as every error
        does. Raises ClientPayloadError if the body is cut short or corrupt, and
        ClientConnectionError if the response was released before.
        """
        body = self._here()
        return blocking(self._read) if body is None else body

    def text(self, encoding: str | None = None, errors: str = "strict") -> str:
        """Return the body, decoded in this thread as ``encoding`` or ``get_encoding()``.

        Raises UnicodeDecodeError, a ValueError, if the bytes are invalid in that encoding and
        ``errors`` is "strict".
        """
        return self._decoded(self.read(), encoding, errors)

    def json(
        self,
        *,
        encoding: str | None = None,
        loads: JSONDecoder = jsonlib.loads,
        content_type: str | None = "application/json",
        **misspelt: Never,
    ) -> Any:
        """Return the body parsed as JSON, in this thread; None if it is empty.

        By default any Content-Type is accepted. If the body is not JSON, this raises ValueError,
        such as JSONDecodeError; or ContentTypeError if the Content-Type is not that of JSON
        either (``application/json``, ``application/problem+json`` and similar). If you pass
        another ``content_type``, any other type raises ContentTypeError.
        """
        if misspelt:
            check_keywords("json", misspelt, ())
        return self._parsed(self.read(), encoding, loads, content_type)

    def iter_lines(
        self, encoding: str | None = None, errors: str = "strict", **misspelt: Never
    ) -> Iterator[str]:
        """Iterate over the lines of the body as text, without line ends, as they arrive.

        Lines end with LF or CRLF. ``for line in response`` does the same; ``for line in
        response.content`` yields bytes, with line ends. After the body has been read, lines come
        from the stored body. Blocks until the next line. Raises LineTooLongError like
        ``content.readline()``, and the errors of ``text()``.
        """
        check_keywords("iter_lines", misspelt, ())
        return self._iter_lines(encoding, errors)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the lines of the body as text; see ``iter_lines``."""
        return self._iter_lines(None, "strict")

    def _iter_lines(self, encoding: str | None, errors: str) -> Iterator[str]:
        lines = self._lines(encoding, errors)
        body = self._here()
        for piece in self.content if body is None else io.BytesIO(body):
            yield from lines.feed(piece)
        yield from lines.feed(b"", end=True)

    def events(self, *, max_event_size: int = EVENT_LIMIT) -> Iterator[ServerSentEvent]:
        """Iterate over the server-sent events of the body, as they arrive.

        Blocks until the next event, and ends with the body. To reconnect, use ``Session.sse``.
        After the body has been read, events come from the stored body.
        Raises ClientPayloadError if an event has more than ``max_event_size`` characters.
        """
        parser = EventParser(max_event_size=count("max_event_size", max_event_size, least=1))
        body = self._here()
        pieces = self.content.iter_any() if body is None else iter((body,))
        return (event for data in pieces for event in parser.feed(data))

    def release(self) -> None:
        """Release the connection, or close it if part of the body is unread. Never waits."""
        self._give_up(Exchange.abandon)

    def close(self) -> None:
        """Close the connection. Never waits."""
        self._give_up(Exchange.abort)

    def _status_error(self) -> StatusError:
        return StatusError(self)

    def _resolve_charset(self, _: object, body: bytes) -> str:
        return self._charset_resolver(self, body)

    def __enter__(self) -> Response:
        self._in_context = True
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._in_context = False
        self.release()


class StatusError(ClientResponseError):
    """A response has a status of 400 or above. Raised by ``raise_for_status``.

    Attributes:
        response: a blocking Response, with the body if that had arrived or been read when this
            was raised: ``error.response.text()``. Otherwise reading it raises
            ClientConnectionError, unless this was raised within the response's ``with`` block.
    """

    def __init__(self, response: Response) -> None:
        super().__init__(
            *response._for_error(),
            status=response.status,
            message=response.reason or "",
            headers=redacted_headers(response.headers),
        )
        self.response: Response = response

    def __str__(self) -> str:
        response = self.response
        text = f"{self.status} {self.message}".strip()
        if start := response._start(response._here() or b""):
            text += f": {start}"
        return f"{text} ({response.method} {redacted_url(response.real_url)})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the head without its secrets, and the body if it has arrived."""
        state = {name: value for name, value in vars(self).items() if name != "response"}
        return _unpickled, (redacted_head(self.response._head), self.response._here()), state


def _unpickled(head: Head, body: bytes | None) -> StatusError:
    return StatusError(Response._of_head(head, _utf_8, body))


def _utf_8(response: Response, body: bytes) -> str:
    return "utf-8"


def refuse_async_rule(rule: RaiseForStatus[Any]) -> None:
    """Raise TypeError if ``raise_for_status`` is an async function."""
    if not isinstance(rule, bool) and (
        inspect.iscoroutinefunction(rule)
        or inspect.iscoroutinefunction(getattr(rule, "__call__", None))  # noqa: B004
    ):
        raise TypeError(_ASYNC_RULE)


_ASYNC_RULE = (
    "raise_for_status is an async function, which a blocking request cannot await: write a plain "
    "function, which gets a blocking Response, or use session.aio"
)


def check_status(response: Response, rule: RaiseForStatus[Response]) -> None:
    """Apply ``raise_for_status`` of the request in this thread; close the response on an error."""
    if rule is True:
        response.raise_for_status()
    elif rule is not False:
        try:
            said = rule(response)
            if inspect.isawaitable(said):
                if inspect.iscoroutine(said):
                    said.close()  # not started; prevents a warning
                raise TypeError(_ASYNC_RULE)
        except BaseException:
            response.close()
            raise
