"""What the transports for httpx and httpx2 do with a request: both libraries call them alike.

Redirects, cookies, authentication and decoding stay the library's. A request goes out as it
says, to the letter, and the response is handed over undecoded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, ClassVar, NoReturn

from aiohttp import ClientConnectorError, ClientError, ConnectionTimeoutError

from .._async.exchange.body_buffer import BodyBuffer
from .._async.exchange.exchange import Exchange
from .._async.session import AsyncSession
from .._async.websocket.websocket import pause
from .._bodies.aio_stream import AioStreamReader
from .._bodies.read_ahead import TaskSource
from .._bodies.stream import StreamReader
from .._boundary.caller_task import CallerTask
from .._boundary.lease import Remote
from .._boundary.submitted_call import NOTHING
from .._exceptions import BlockingCallError, PoolTimeoutError
from .._models import Reply
from .errors import raise_translated
from .library import Library
from .outbound import Outbound, prepare
from .settings import Way

Opened = tuple[Reply, Remote[Exchange] | None]

#: Seconds before the second attempt to connect, and the factor of each further pause: theirs.
_FIRST_PAUSE, _PAUSES = 0.0, 0.5


class Door:
    """What a transport has, whichever way it is called."""

    _library: ClassVar[Library]
    _way: Way
    #: The keywords of the transport.
    _given: dict[str, Any]
    #: The library's own transport with these, if it has been needed.
    _theirs: Any = None

    def _stand_in(self, method: str) -> Any:
        """Return the library's own transport, which a mock answers for or lets through."""
        if self._theirs is None:
            self._theirs = self._library.transports[method](**self._given)
        return self._theirs

    def _check(self, request: Any) -> None:
        if type(request) is not self._library.module.Request:
            self._library.check("request", request, "Request")
        if self._way.session.closed:
            raise RuntimeError("Cannot send a request, as the transport has been closed.")

    def _response(self, request: Any, opened: Opened, streams: type[Any]) -> Any:
        reply, remote = opened
        head, module = reply.head, self._library.module
        reason = head.reason or ""
        is_old = head.version is not None and head.version < (1, 1)
        extensions = {
            "http_version": b"HTTP/1.0" if is_old else b"HTTP/1.1",
            "reason_phrase": reason.encode("latin-1", "replace"),
            "network_stream": NetworkStream(remote),
        }
        if remote is None:
            stream = module.ByteStream(reply.body or b"")
        else:
            stream = streams(remote, reply, request)
        return module.Response(
            head.status, headers=head.raw_headers, stream=stream, extensions=extensions
        )

    def _raise(self, error: ClientError, request: Any) -> NoReturn:
        raise_translated(error, self._library, request, reading=False)

    def _delay(self, error: ClientError, attempt: int) -> float | None:
        """Return the seconds before another attempt to connect; None if there is to be none."""
        if attempt >= self._way.retries or isinstance(error, PoolTimeoutError):
            return None
        if not isinstance(error, (ClientConnectorError, ConnectionTimeoutError)):
            return None
        return _FIRST_PAUSE if attempt == 0 else _PAUSES * 2.0 ** (attempt - 1)


class BlockingDoor(Door):
    """``handle_request`` for threads: any number of them may share a transport.

    Blocks the caller until the head of the response is here. A stream that is the body is
    pulled in the caller's thread.
    """

    _streams: ClassVar[type[Any]]

    def handle_request(self, request: Any) -> Any:
        """Send ``request``, and return the library's Response; its body may be on the wire."""
        self._check(request)
        library = self._library
        library.check("request.stream", request.stream, "SyncByteStream")
        if library.is_mocked("handle_request"):
            return self._stand_in("handle_request").handle_request(request)
        outbound = prepare(library, self._way, request)
        try:
            if outbound.body.lends:
                with outbound.body.lent():
                    opened = self._open(outbound)
            else:
                opened = self._open(outbound)
        except ClientError as exc:
            self._raise(exc, request)
        return self._response(request, opened, self._streams)

    def _open(self, outbound: Outbound) -> Opened:
        method, url, timeout, options, _ = outbound
        place, attempt = self._way.session._place, 0
        send = place.here(AsyncSession.request)
        if not self._way.retries:
            return place.portal.open(send, method, url, timeout, options)
        while True:
            try:
                return place.portal.open(send, method, url, timeout, {**options})
            except ClientError as exc:
                if (delay := self._delay(exc, attempt)) is None:
                    raise
            # Not time.sleep(): the closing of the session, or a deadline, ends this.
            place.portal.call(place.here(pause), delay)
            attempt += 1

    def close(self) -> None:
        """Close all connections; a response that is being read has an error.

        Blocks. On the loop thread, as in a finaliser there, it does not: the session retires.
        """
        if self._theirs is not None:
            self._theirs.close()
        try:
            self._way.session.close()
        except BlockingCallError:
            self._way.session.retire()


class AwaitedDoor(Door):
    """``handle_async_request`` for tasks of asyncio and trio, in any number of loops."""

    _streams: ClassVar[type[Any]]

    async def handle_async_request(self, request: Any) -> Any:
        """Send ``request``, and return the library's Response; its body may be on the wire."""
        self._check(request)
        library = self._library
        library.check("request.stream", request.stream, "AsyncByteStream")
        if library.is_mocked("handle_async_request"):
            return await self._stand_in("handle_async_request").handle_async_request(request)
        task = CallerTask()
        outbound = prepare(library, self._way, request, partial(TaskSource, task))
        try:
            opened = await self._open(outbound, task)
        except ClientError as exc:
            self._raise(exc, request)
        return self._response(request, opened, self._streams)

    async def _open(self, outbound: Outbound, task: CallerTask) -> Opened:
        method, url, timeout, options, _ = outbound
        place, attempt = self._way.session._place, 0
        send = place.here(AsyncSession.request)
        while True:
            try:
                return await place.portal.aopen(
                    send, NOTHING, task, method, url, timeout, {**options}
                )
            except ClientError as exc:
                if (delay := self._delay(exc, attempt)) is None:
                    raise
            await place.portal.acall(place.here(pause), delay)
            attempt += 1

    async def aclose(self) -> None:
        """Close all connections; a response that is being read has an error."""
        if self._theirs is not None:
            await self._theirs.aclose()
        await self._way.session.aio.close()


class BlockingStream:
    """A body as it arrives: received data is one chunk, and nothing is read ahead."""

    _library: ClassVar[Library]

    def __init__(self, remote: Remote[Exchange], reply: Reply, request: Any) -> None:
        self._reader = StreamReader(BodyBuffer(), remote, reply.head, None)
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the body, still encoded."""
        read = self._reader.readany
        while True:
            try:
                data = read()
            except ClientError as exc:
                raise_translated(exc, self._library, self._request, reading=True)
            if not data:
                return
            yield data

    def close(self) -> None:
        """Give the connection back, or close it if some of the body is unread. Never waits."""
        self._reader.close()


class AwaitedStream:
    """As ``BlockingStream``, awaited."""

    _library: ClassVar[Library]

    def __init__(self, remote: Remote[Exchange], reply: Reply, request: Any) -> None:
        self._reader = AioStreamReader(BodyBuffer(), remote, reply.head, None)
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the body, still encoded."""
        read = self._reader.readany
        while True:
            try:
                data = await read()
            except ClientError as exc:
                raise_translated(exc, self._library, self._request, reading=True)
            if not data:
                return
            yield data

    async def aclose(self) -> None:
        """Give the connection back, or close it if some of the body is unread. Never waits."""
        self._reader._discard(Exchange.abandon)


class NetworkStream:
    """The extension ``network_stream``: what is known of a connection in another thread.

    Only while the response is open: afterwards the connection may be another request's.
    """

    def __init__(self, remote: Remote[Exchange] | None) -> None:
        self._remote = remote

    def get_extra_info(self, info: str) -> Any:
        """Return ``"client_addr"`` or ``"server_addr"``; None for all else. One crossing."""
        name = _ADDRESSES.get(info)
        if name is None or self._remote is None:
            return None
        try:
            return self._remote.call(_extra_info, name)
        except (ClientError, RuntimeError):  # it has ended
            return None

    def _refuse(self, *args: object, **kwargs: object) -> Any:
        raise NotImplementedError(
            "the connection belongs to the event loop and cannot be taken over: for a WebSocket "
            "use syncclient.Session.ws_connect()"
        )

    read = write = start_tls = _refuse


_ADDRESSES = {"client_addr": "sockname", "server_addr": "peername"}


async def _extra_info(exchange: Exchange, name: str) -> Any:
    connection = exchange.response.connection
    transport = None if connection is None else connection.transport
    return None if transport is None else transport.get_extra_info(name)
