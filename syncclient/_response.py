"""Response: the head as values, and the body, here already or still on the wire."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from ._async.exchange import Exchange
from ._async.sse import ServerSentEvent
from ._lease import Remote
from ._models import Head, Reply
from ._request import RaiseForStatus
from ._response_base import ResponseBase
from ._sse import parsed
from ._stream import StreamReader
from ._types import JSONDecoder

CharsetResolver = Callable[["Response", bytes], str]


class Response(ResponseBase[StreamReader]):
    """The response to a request. Made by a session, never by hand.

    The head is here. The body is here too if it came along with the head; otherwise it
    stays on the wire until it is read, with backpressure, and keeps its connection until
    then: read it whole, or leave the ``with`` block, or call ``release()``.

    Any thread may use a response; one at a time may read. Attributes and everything
    that works on a body already read never block. Source: aiohttp.ClientResponse.
    """

    def __init__(
        self,
        reply: Reply,
        remote: Remote[Exchange] | None,
        resolve_charset: CharsetResolver,
        opened_at: str | None = None,
    ) -> None:
        super().__init__(reply, remote, opened_at)
        self._resolve_charset = resolve_charset

    @property
    def history(self) -> tuple[Response, ...]:
        """The responses that redirected here, oldest first; their bodies are gone."""
        return tuple(released_response(head, self._resolve_charset) for head in self._head.history)

    # -- the body --------------------------------------------------------------------

    _reader = StreamReader

    @property
    def content(self) -> StreamReader:
        """The body as it comes: aiohttp's StreamReader minus ``await``, and a binary file."""
        return self._stream()

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
        return self._parsed(self.read(), encoding, loads, content_type)

    def events(self) -> Iterator[ServerSentEvent]:
        """Iterate over the server-sent events of the body, as they come.

        Blocks until the next one, and ends with the body. ``Session.sse`` connects again.
        """
        return parsed(self.content.iter_any())

    def release(self) -> None:
        """Give the connection back, or close it if some of the body is unread. Never waits."""
        self._give_up(Exchange.abandon)

    def close(self) -> None:
        """Close the connection. Never waits."""
        self._give_up(Exchange.abort)

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


def released_response(head: Head, resolve_charset: CharsetResolver) -> Response:
    """Return a response of which only the head is left."""
    response = Response(Reply(head, None), None, resolve_charset)
    response._released = True
    return response
