"""AioResponse: a response for a task of any event loop."""

from __future__ import annotations

import inspect
import json as jsonlib
from collections.abc import AsyncIterator, Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeGuard

import anyio.to_thread

from ._aio_stream import AioStreamReader
from ._async.exchange import Exchange
from ._async.sse import EventParser, ServerSentEvent
from ._lease import Remote
from ._models import Head, Reply
from ._request import RaiseForStatus
from ._response import CharsetResolver, Response, check_status
from ._response_base import ResponseBase
from ._types import JSONDecoder

if TYPE_CHECKING:
    from collections.abc import Awaitable


class AioResponse(ResponseBase[AioStreamReader]):
    """The response to a request of ``session.aio``. Made by a session, never by hand.

    aiohttp's ClientResponse, awaited by tasks of asyncio or trio, in any thread's loop. The
    head is here. The body is here too if it came along with the head; otherwise it stays on
    the wire until it is read, with backpressure, and keeps its connection until then: read
    it whole, or leave the ``async with`` block, or call ``release()``.

    One task at a time may read. Source: aiohttp.ClientResponse.
    """

    _reader = AioStreamReader

    def __init__(
        self,
        reply: Reply,
        remote: Remote[Exchange] | None,
        resolve_charset: CharsetResolver,
        opened_at: str | None = None,
    ) -> None:
        super().__init__(reply, remote, opened_at)
        self._resolver = resolve_charset

    @property
    def history(self) -> tuple[AioResponse, ...]:
        """The responses that redirected here, oldest first; their bodies are gone."""
        return tuple(_released(head, self._resolver) for head in self._head.history)

    @property
    def content(self) -> AioStreamReader:
        """The body as it comes: aiohttp's StreamReader."""
        return self._stream()

    async def read(self) -> bytes:
        """Return the whole body, or what ``content`` has left of it.

        It is kept for the next call. Cancelling this closes the response, as every error does.
        Raises ClientPayloadError where the body is cut short or corrupt, and
        ClientConnectionError where the response was released before.
        """
        if self._body is None:
            if self._taken is not None:
                self._body, self._taken = self._taken, None
            else:
                content = self.content
                try:
                    self._body = await content._read_all(Exchange.read_into)
                except BaseException:
                    if not content._waiting:  # not for the sake of another reader's refusal
                        self.close()
                    raise
        return self._body

    async def text(self, encoding: str | None = None, errors: str = "strict") -> str:
        """Return the body decoded, as ``encoding`` or else ``get_encoding()``."""
        body = await self.read()
        return body.decode(encoding or self.get_encoding(), errors=errors)

    async def json(
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
        return self._parsed(await self.read(), encoding, loads, content_type)

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        """Iterate over the server-sent events of the body, as they come; it ends with the body."""
        parser = EventParser()
        async for data in self.content.iter_any():
            for event in parser.feed(data):
                yield event

    def release(self) -> Awaitable[None]:
        """Give the connection back, or close it if some of the body is unread.

        Never waits. What it returns may be awaited, as aiohttp's users do, and need not be.
        """
        self._give_up(Exchange.abandon)
        return _DONE

    def close(self) -> None:
        """Close the connection. Never waits."""
        self._give_up(Exchange.abort)

    async def __aenter__(self) -> AioResponse:
        self._in_context = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._in_context = False
        self._give_up(Exchange.abandon)

    def _resolve_charset(self, _: object, body: bytes) -> str:
        # The resolver is the session's, and made for its blocking responses. This one is
        # read already, so that nothing it asks of it blocks.
        return self._resolver(Response(Reply(self._head, body), None, self._resolver), body)

    def _take_over(self, response: Response) -> None:
        """Go on where the blocking twin ``response`` has got to, which then ends."""
        self._taken, self._body = response._taken, response._body
        self._released = response._released
        theirs, self._content = response._content, None
        if theirs is not None:
            mine = AioStreamReader(theirs._inbox, theirs._remote, theirs._head, theirs._opened_at)
            mine._closed = theirs._closed
            theirs._remote, theirs._closed = None, True
            self._content = mine


class _Done:
    """Done already; aiohttp's of the kind would yield to asyncio."""

    def __await__(self) -> Generator[Any, Any, None]:
        return
        yield


_DONE = _Done()


def _released(head: Head, resolve_charset: CharsetResolver) -> AioResponse:
    response = AioResponse(Reply(head, None), None, resolve_charset)
    response._released = True
    return response


async def checked_response(
    reply: Reply,
    remote: Remote[Exchange] | None,
    resolve_charset: CharsetResolver,
    rule: RaiseForStatus[Any],
) -> AioResponse:
    """Return the response once ``raise_for_status`` of the request has had its say.

    An ``async def`` function is awaited here, with an AioResponse, as aiohttp has it. A plain
    one is made for blocking code: it gets a Response, on a worker thread of this loop.
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
        # Left alone when this is cancelled: it ends with the response that it looks at.
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
