"""AioSession: a session for asyncio and trio tasks, ``Session.aio``."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from aiohttp import ClientWSTimeout, hdrs

from .._async.session import AsyncSession
from .._async.websocket.settings import BUFFER_BYTES, BUFFER_MESSAGES
from .._bodies.payload import Outgoing
from .._bodies.read_ahead import TaskSource
from .._boundary.caller_task import CallerTask
from .._boundary.submitted_call import NOTHING, Submission
from .._client.request import RequestOptions, prepare
from .._client.session_base import SessionBase
from .._client.websocket_options import WebSocketOptions
from .._other_libraries import not_by_position
from .._shown import shown
from .._types import StrOrURL
from .response import AioResponse, checked_response
from .websocket import AioWebSocket, connect

if TYPE_CHECKING:
    from typing_extensions import Never, Self, Unpack


R = TypeVar("R", bound="Entered", covariant=True)


class Entered(Protocol):
    """The target of an ``async with``."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *exc_info: Any) -> Any: ...


class RequestContext(Coroutine[Any, Any, R], Generic[R]):
    """A request that is sent when it is awaited, or when its ``async with`` block is entered.

    It is a coroutine, so ``asyncio.create_task`` accepts it, like aiohttp's.
    """

    __slots__ = ("_coroutine", "_result")

    def __init__(self, coroutine: Coroutine[Any, Any, R]) -> None:
        self._coroutine = coroutine

    def send(self, value: Any, /) -> Any:
        """Resume; for event loops."""
        return self._coroutine.send(value)

    def throw(self, *args: Any) -> Any:
        """Raise inside; for event loops."""
        return self._coroutine.throw(*args)

    def close(self) -> None:
        """Close the coroutine; for event loops."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, R]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> R:
        self._result = await self._coroutine
        await self._result.__aenter__()
        return self._result

    async def __aexit__(self, *exc_info: object) -> None:
        await self._result.__aexit__(*exc_info)


class AioSession(SessionBase):
    """An async session: aiohttp's ClientSession with the pool and cookies of a ``Session``.

    asyncio and trio tasks may use it, in any number of threads and loops, while blocking code
    uses the session itself. Its methods never block their threads. The properties are the
    session's, and the methods of the ``cookie_jar`` block for a crossing. Cancelling a task
    cancels its request on the wire; closing the session, in any thread, raises SessionClosedError
    in the waiting tasks.

    User code runs as follows. In the caller's loop: an asynchronous iterator as the body, and an
    ``async def`` function for ``raise_for_status``. On a separate thread for the request, because
    they may block: a file or generator as the body, and a hook for ``upload_progress``. On a
    worker thread of the caller's loop: a plain function for ``raise_for_status``, which gets a
    blocking Response.

    Leaving its ``async with`` block closes the session.
    """

    __slots__ = ("__dict__", "__weakref__", "_session")

    def __init__(self, session: SessionBase | None = None, **misspelt: Never) -> None:
        if misspelt or not isinstance(session, SessionBase):
            raise TypeError("an AioSession is created by a Session: write Session(...).aio")
        self._session = session  # kept, because a dropped session is closed
        self._place = session._place

    @shown
    def request(
        self, method: str, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> RequestContext[AioResponse]:
        """Send a request; await or enter it to get the response once the headers arrive.

        The arguments and the errors are those of ``Session.request``; the arguments are checked
        when the request is awaited.

        A request whose body is an asynchronous iterator lasts until the iterator has ended, or
        the server has refused the body.
        """
        if misplaced:
            raise not_by_position(method)
        return RequestContext(self._request(method, url, options))

    async def _request(self, method: str, url: StrOrURL, options: RequestOptions) -> AioResponse:
        task = CallerTask()
        place = self._place
        prepared = prepare(
            place,
            method,
            url,
            options,
            asynchronous=partial(TaskSource, task),
            surroundings=await place.surroundings(),
        )
        send = place.here(AsyncSession.request)
        body = prepared.body
        if body.lends:
            # After begin(), only a call releases it.
            await place.ready()
            body.begin()
        reply, remote = await place.portal.aopen(
            send,
            _Lent(body) if body.lends else NOTHING,
            task,
            *prepared.crossing,
        )
        resolve_charset = place.settings.fallback_charset_resolver
        rule = prepared.raise_for_status
        response = await checked_response(reply, remote, resolve_charset, rule)
        response._sent = body.kept()
        return response

    @shown
    def get(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> RequestContext[AioResponse]:
        """Send a GET request; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_GET)
        return self.request(hdrs.METH_GET, url, **options)

    @shown
    def options(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> RequestContext[AioResponse]:
        """Send an OPTIONS request; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_OPTIONS)
        return self.request(hdrs.METH_OPTIONS, url, **options)

    @shown
    def head(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> RequestContext[AioResponse]:
        """Send a HEAD request, without following redirects unless told to; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_HEAD)
        options.setdefault("allow_redirects", False)
        return self.request(hdrs.METH_HEAD, url, **options)

    @shown
    def post(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> RequestContext[AioResponse]:
        """Send a POST request; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_POST)
        return self.request(hdrs.METH_POST, url, **options)

    @shown
    def put(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> RequestContext[AioResponse]:
        """Send a PUT request; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_PUT)
        return self.request(hdrs.METH_PUT, url, **options)

    @shown
    def patch(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> RequestContext[AioResponse]:
        """Send a PATCH request; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_PATCH)
        return self.request(hdrs.METH_PATCH, url, **options)

    @shown
    def delete(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> RequestContext[AioResponse]:
        """Send a DELETE request; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_DELETE)
        return self.request(hdrs.METH_DELETE, url, **options)

    @shown
    def ws_connect(
        self,
        url: StrOrURL,
        *,
        timeout: ClientWSTimeout | float | None = None,
        receive_timeout: float | None = None,
        buffer_messages: int = BUFFER_MESSAGES,
        buffer_bytes: int = BUFFER_BYTES,
        **options: Unpack[WebSocketOptions],
    ) -> RequestContext[AioWebSocket]:
        """Open a WebSocket; await or enter it. For the arguments see ``Session.ws_connect``."""
        return RequestContext(
            connect(
                self._place,
                url,
                options,
                timeout=timeout,
                receive_timeout=receive_timeout,
                buffer_messages=buffer_messages,
                buffer_bytes=buffer_bytes,
            )
        )

    async def close(self, *, grace: float = 0.0) -> None:
        """Close the session and everything opened through it; see ``Session.close``.

        Waits on a worker thread. Raises BlockingCallError in code that runs on the session's own
        loop thread, such as an asynchronous middleware.
        """
        await self._place.aclose(grace=grace)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<aio of {self._session!r}>"


class _Lent(Submission[Any]):
    """The body of a request, which is released afterwards, on the thread that read it."""

    lends = True

    def __init__(self, body: Outgoing) -> None:
        self._body = body

    def give_back(self, error: BaseException | None) -> None:
        """Release the body."""
        self._body.end(error)
