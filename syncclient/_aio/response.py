"""AioResponse: a response for tasks of any event loop."""

from __future__ import annotations

import inspect
import json as jsonlib
from collections.abc import AsyncIterator, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeGuard

import anyio.to_thread

from .._async.exchange.exchange import Exchange
from .._async.sse import EVENT_LIMIT, EventParser, ServerSentEvent
from .._bodies.aio_stream import AioStreamReader
from .._boundary.lease import Remote
from .._checks import count
from .._client.arguments import RaiseForStatus
from .._client.response import CharsetResolver, Response, StatusError, check_status
from .._client.response_base import ResponseBase
from .._models import Reply
from .._other_libraries import check_keywords
from .._types import JSONDecoder

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from typing_extensions import Never


class AioResponse(ResponseBase[AioStreamReader]):
    """The response to a request of ``session.aio``. Created by a session.

    It works like aiohttp's ClientResponse, for asyncio and trio tasks, in any thread's loop. The
    headers have arrived. The body may have arrived with them; otherwise it stays on the wire
    until it is read, with backpressure, and holds its connection until then: read it whole,
    leave the ``async with`` block, or call ``release()``.

    One task at a time may read. Source: aiohttp.ClientResponse.
    """

    _reader = AioStreamReader

    @property
    def content(self) -> AioStreamReader:
        """The body as a stream: aiohttp's StreamReader."""
        return self._stream()

    async def read(self) -> bytes:
        """Return the whole body, or the part that ``content`` has not read.

        The body is kept for the next call. Cancelling this closes the response, as every error
        does. Raises ClientPayloadError if the body is cut short or corrupt, and
        ClientConnectionError if the response was released before.
        """
        body = self._here()
        return await self._read() if body is None else body

    async def text(self, encoding: str | None = None, errors: str = "strict") -> str:
        """Return the body, decoded as ``encoding`` or ``get_encoding()``."""
        return self._decoded(await self.read(), encoding, errors)

    async def json(
        self,
        *,
        encoding: str | None = None,
        loads: JSONDecoder = jsonlib.loads,
        content_type: str | None = "application/json",
        **misspelt: Never,
    ) -> Any:
        """Return the body parsed as JSON, in this thread; see ``Response.json``."""
        if misspelt:
            check_keywords("json", misspelt, ())
        return self._parsed(await self.read(), encoding, loads, content_type)

    async def iter_lines(
        self, encoding: str | None = None, errors: str = "strict", **misspelt: Never
    ) -> AsyncIterator[str]:
        """Iterate over the lines of the body as text; see ``Response.iter_lines``."""
        check_keywords("iter_lines", misspelt, ())
        lines = self._lines(encoding, errors)
        body = self._here()
        if body is None:
            async for piece in self.content:
                for line in lines.feed(piece):
                    yield line
        for line in lines.feed(body or b"", end=True):
            yield line

    def __aiter__(self) -> AsyncIterator[str]:
        """Iterate over the lines of the body as text; see ``Response.iter_lines``."""
        return self.iter_lines()

    async def events(self, *, max_event_size: int = EVENT_LIMIT) -> AsyncIterator[ServerSentEvent]:
        """Iterate over the server-sent events of the body as they arrive, until it ends.

        Raises ClientPayloadError if an event has more than ``max_event_size`` characters.
        """
        parser = EventParser(max_event_size=count("max_event_size", max_event_size, least=1))
        body = self._here()
        if body is not None:
            for event in parser.feed(body):
                yield event
            return
        async for data in self.content.iter_any():
            for event in parser.feed(data):
                yield event

    def release(self) -> Awaitable[None]:
        """Release the connection, or close it if part of the body is unread.

        Never waits. The result may be awaited, as in aiohttp, but need not be.
        """
        self._give_up(Exchange.abandon)
        return _DONE

    def close(self) -> None:
        """Close the connection. Never waits."""
        self._give_up(Exchange.abort)

    async def __aenter__(self) -> AioResponse:
        self._in_context = True
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._in_context = False
        self._give_up(Exchange.abandon)

    def _resolve_charset(self, _: object, body: bytes) -> str:
        # The session's resolver expects a blocking response. This one has been read, so none
        # of its methods blocks.
        return self._charset_resolver(self._blocking(body), body)

    def _blocking(self, body: bytes | None) -> Response:
        twin = Response._of_head(self._head, self._charset_resolver, body)
        twin._attempts, twin._timings, twin._elapsed = self._attempts, self.timings, self._elapsed
        return twin

    def _status_error(self) -> StatusError:
        return StatusError(self._blocking(self._here()))

    def _take_over(self, response: Response) -> None:
        """Continue where ``response``, the blocking twin, has stopped, and detach that."""
        self._taken, self._body = response._taken, response._body
        self._released = response._released
        theirs, self._content = response._content, None
        if theirs is not None:
            buffer, closed = theirs._buffer, theirs._closed
            mine = AioStreamReader(buffer, theirs._detach(), theirs._head, theirs._opened_at)
            mine._closed = closed
            self._content = mine


class _Done:
    """A finished awaitable; aiohttp's would yield to asyncio."""

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield


_DONE = _Done()


async def checked_response(
    reply: Reply,
    remote: Remote[Exchange] | None,
    resolve_charset: CharsetResolver,
    rule: RaiseForStatus[Any],
) -> AioResponse:
    """Return the response after the check by ``raise_for_status`` of the request.

    An ``async def`` function is awaited here, with an AioResponse, as in aiohttp. A plain
    function may block, and gets a Response on a worker thread of this loop.
    """
    if isinstance(rule, bool):
        response = AioResponse(reply, remote, resolve_charset)
        if rule:
            response.raise_for_status()
        return response
    if _is_async(rule):
        response = AioResponse(reply, remote, resolve_charset)
        try:
            await rule(response)
        except BaseException:
            response.close()
            raise
        return response
    blocking = Response(reply, remote, resolve_charset)
    try:
        # Abandoned if this is cancelled; it ends with the response that it checks.
        await anyio.to_thread.run_sync(check_status, blocking, rule, abandon_on_cancel=True)
    except BaseException:
        blocking.close()
        raise
    response = AioResponse(reply._replace(body=None), None, resolve_charset)
    response._take_over(blocking)
    return response


def _is_async(
    function: Callable[..., object],
) -> TypeGuard[Callable[[AioResponse], Awaitable[object]]]:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  -- not whether, but which
    )
