"""AioSession: the face of a session for tasks of asyncio and trio. ``Session.aio``."""

from __future__ import annotations

from collections.abc import AsyncIterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from aiohttp import ClientWSTimeout, hdrs

from ._aio_body import TaskSource
from ._aio_context import RequestContext
from ._aio_response import AioResponse, checked_response
from ._aio_websocket import AioWebSocket, connect
from ._async.session import AsyncSession
from ._async.websocket import BUFFER_BYTES, BUFFER_MESSAGES
from ._awaited import NOTHING
from ._caller_task import CallerTask
from ._exceptions import SessionClosedError
from ._payload import Outgoing
from ._request import RequestOptions
from ._settings import Settings
from ._types import StrOrURL
from ._websocket import WebSocketOptions

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class AioSession(Settings):
    """A session, awaited: aiohttp's ClientSession over the pool and cookies of a ``Session``.

    Tasks of asyncio and of trio may use it, in any number of threads and loops, at the same
    time as blocking code uses the session itself. None of its methods blocks their threads;
    the properties are the session's own, and of the ``cookie_jar`` the methods do block for
    a crossing. Cancelling a task cancels its request on the wire; closing the session, in
    whichever thread, wakes the tasks with SessionClosedError.

    Code of the caller's runs where it belongs: an asynchronous iterator that is the body, and
    an ``async def`` function for ``raise_for_status``, in the caller's loop; a file, a
    generator or a hook for ``upload_progress``, which may block, on a thread of the request's
    own; a plain function for ``raise_for_status``, with a blocking Response, on a worker
    thread of the caller's loop.

    Leaving its ``async with`` block closes the session.
    """

    def __init__(self, session: Settings) -> None:
        self._session = session  # kept: a session that is dropped is closed
        self._defaults = session._defaults
        self._options = session._options
        self._connector = session._connector
        self._connector_owner = session._connector_owner
        self._cookie_jar = session._cookie_jar
        self._charset_resolver = session._charset_resolver
        self._portal = session._portal

    def request(
        self, method: str, url: StrOrURL, **options: Unpack[RequestOptions]
    ) -> RequestContext[AioResponse]:
        """Send a request; await it, or enter it, for its response as soon as the head is here.

        The arguments and the errors are those of ``Session.request``. The arguments are
        looked at when it is awaited.

        A request whose body is an asynchronous iterator lasts until that has ended, or the
        server has refused it.
        """
        return RequestContext(self._request(method, url, options))

    async def _request(self, method: str, url: StrOrURL, options: RequestOptions) -> AioResponse:
        task: CallerTask | None = None

        def source(data: AsyncIterable[object]) -> TaskSource:
            nonlocal task
            task = task or CallerTask()
            source = TaskSource(task, data)
            task.helpers.append(source)
            return source

        prepared = self._defaults.prepare(method, url, options, asynchronous=source)
        body = prepared.body
        if body.lends:
            # Once it is begun, only a call gives it back.
            await self._portal.ready()
            body.begin()
        reply, remote = await self._portal.aopen(
            AsyncSession.request,
            _Lent(body) if body.lends else NOTHING,
            task,
            *prepared.crossing,
        )
        return await checked_response(
            reply, remote, self._charset_resolver, prepared.raise_for_status
        )

    def get(self, url: StrOrURL, **options: Unpack[RequestOptions]) -> RequestContext[AioResponse]:
        """Send a GET request; see ``request``."""
        return self.request(hdrs.METH_GET, url, **options)

    def options(
        self, url: StrOrURL, **options: Unpack[RequestOptions]
    ) -> RequestContext[AioResponse]:
        """Send an OPTIONS request; see ``request``."""
        return self.request(hdrs.METH_OPTIONS, url, **options)

    def head(self, url: StrOrURL, **options: Unpack[RequestOptions]) -> RequestContext[AioResponse]:
        """Send a HEAD request, without following redirects unless told to; see ``request``."""
        options.setdefault("allow_redirects", False)
        return self.request(hdrs.METH_HEAD, url, **options)

    def post(self, url: StrOrURL, **options: Unpack[RequestOptions]) -> RequestContext[AioResponse]:
        """Send a POST request; see ``request``."""
        return self.request(hdrs.METH_POST, url, **options)

    def put(self, url: StrOrURL, **options: Unpack[RequestOptions]) -> RequestContext[AioResponse]:
        """Send a PUT request; see ``request``."""
        return self.request(hdrs.METH_PUT, url, **options)

    def patch(
        self, url: StrOrURL, **options: Unpack[RequestOptions]
    ) -> RequestContext[AioResponse]:
        """Send a PATCH request; see ``request``."""
        return self.request(hdrs.METH_PATCH, url, **options)

    def delete(
        self, url: StrOrURL, **options: Unpack[RequestOptions]
    ) -> RequestContext[AioResponse]:
        """Send a DELETE request; see ``request``."""
        return self.request(hdrs.METH_DELETE, url, **options)

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
        """Open a WebSocket; await it, or enter it. The arguments are ``Session.ws_connect``'s."""
        return RequestContext(
            connect(
                self._portal,
                self._defaults,
                url,
                options,
                timeout=timeout,
                receive_timeout=receive_timeout,
                buffer_messages=buffer_messages,
                buffer_bytes=buffer_bytes,
            )
        )

    @property
    def closed(self) -> bool:
        """Whether the session is closed."""
        return self._portal.closed

    async def close(self, *, grace: float = 0.0) -> None:
        """Close the session, with all that is open through it; see ``Session.close``.

        Waits on a worker thread. Refused, with BlockingCallError, to code that runs on the
        session's own loop thread, such as an asynchronous middleware.
        """
        await self._portal.aclose(
            partial(SessionClosedError, f"{self._session!r} was closed"), grace=grace
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<aio of {self._session!r}>"


class _Lent:
    """The body of a request, to be given back once that is over, on the thread that read it."""

    lends = True

    def __init__(self, body: Outgoing) -> None:
        self._body = body

    def give_back(self, error: BaseException | None) -> None:
        """Give it back."""
        self._body.end(error)

    def discard(self, result: object) -> None:
        """Nothing to do: what owns something on the loop gives it back in its finaliser."""
