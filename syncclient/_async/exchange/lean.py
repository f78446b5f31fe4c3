"""The lean exchange: one hop of a request on aiohttp's connections, past its session.

aiohttp makes a request, a writer, a timer, a response and a task's worth of closures for each
hop. Here a hop is the bytes of a head, written to a connection of aiohttp's pool, and the message
that aiohttp's parser finds in the answer. Nearly all requests go this way: ``Planner.plan``
decides. The others go the *full* way, through ``aiohttp.ClientSession``. Both mean the same:
``tests/wire/ways/test_two_ways.py`` compares what they send, return, raise and leave in the pool.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import (
    ClientConnectionResetError,
    ClientError,
    ClientOSError,
    ClientResponseError,
    ConnectionTimeoutError,
    ServerDisconnectedError,
    hdrs,
)
from aiohttp.helpers import TimerNoop
from aiohttp.http_exceptions import HttpProcessingError

from ..._models import Head
from ..._taskless import on_task
from ..engine.decoded_reader import DecodedReader
from ..engine.lean_connection import IdleConnections
from ..engine.lean_timer import Clock, TotalTimer
from .lean_plan import WAY, Connector, LeanRequest, Planner
from .lean_response import LeanResponse

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from aiohttp import ClientRequest, ClientSession, ClientTimeout
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from ..engine.lean_connection import AnyConnection

#: RFC 9110, section 9.2.2.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

_NO_TIMER = TimerNoop()
_SWITCHING_PROTOCOLS = 101


class Pool(Connector, Protocol):
    """What the lean exchange asks of a pool, beside its idle connections."""

    @property
    def closed(self) -> bool:
        """Whether it takes no more requests."""

    def drop_idle(self, key: ConnectionKey) -> None:
        """Close the idle connections to a server of which one was found dead."""

    def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
    ) -> Coroutine[Any, Any, Connection]:
        """Lend a connection."""


class Lean:
    """The lean way of one session. Event loop only.

    Args:
        http: aiohttp's session, for the full way; its connector and its jar are used here, too.
        pool: its connector.
        planner: decides which requests go this way.
    """

    def __init__(self, http: ClientSession, pool: Pool, planner: Planner) -> None:
        #: How many hops went this way. For tests.
        self.served = 0
        #: How many waits for a head were without a task. For tests.
        self.taskless = 0
        #: Whether all of them are to have one. For tests.
        self.on_tasks = WAY == "task"
        self.planner = planner
        #: Returns a hop as it is sent this way; None if it is to go the full way.
        self.plan = planner.plan
        self._closed = False
        self._pool = pool
        self._jar = http.cookie_jar
        loop = asyncio.get_running_loop()
        self._idle = IdleConnections(pool, loop)
        self._clock = Clock(loop)

    async def send(
        self,
        request: LeanRequest,
        timeout: ClientTimeout,
        options: Mapping[str, Any],
        *,
        repeats: bool,
    ) -> LeanResponse:
        """Send a hop, and return its response once the head is here.

        Args:
            request: what to send.
            timeout: of it.
            options: those that ``request`` was planned with.
            repeats: whether there may be a second attempt after a dead kept-alive connection.
        """
        self.served += 1
        if self.on_tasks:
            await on_task()
        if self._closed or self._pool.closed:
            raise RuntimeError("Session is closed")
        total = timeout.total
        timer = self._clock.start(total) if total else None
        try:
            connection = self._idle.take(request.key)
            if connection is not None:
                try:
                    return await self._ask(connection, request, timeout, timer)
                except (ClientOSError, ServerDisconnectedError):
                    # The server may have closed it before the request was there (RFC 9112,
                    # section 9.3.1). On a connection that is new it has seen the request.
                    if not repeats or request.info.method not in _IDEMPOTENT:
                        raise
                self._pool.drop_idle(request.key)
            connection = await self._connect(request, timeout, timer, options)
            return await self._ask(connection, request, timeout, timer)
        except BaseException as exc:
            if timer is not None:
                timer.stop()
            if (
                not isinstance(exc, OSError)
                or isinstance(exc, ClientError)
                or (exc.errno is None and isinstance(exc, asyncio.TimeoutError))
            ):
                raise
            raise ClientOSError(*exc.args) from exc

    async def _connect(
        self,
        request: LeanRequest,
        timeout: ClientTimeout,
        timer: TotalTimer | None,
        options: Mapping[str, Any],
    ) -> Connection:
        """Wait for a connection to become free, or open one."""
        await on_task()
        asking = self.planner.asking(request, options)
        with timer or _NO_TIMER:
            try:
                return await self._pool.connect(asking, [], timeout)
            except asyncio.TimeoutError as exc:
                raise ConnectionTimeoutError(f"Connection timeout to host {asking.url}") from exc

    async def _ask(
        self,
        connection: AnyConnection,
        request: LeanRequest,
        timeout: ClientTimeout,
        timer: TotalTimer | None,
    ) -> LeanResponse:
        """Send the request over ``connection``, and wait for the head of its response."""
        protocol: Any = connection.protocol
        # Unpacked: to read an item of a named tuple by its name takes Python many times longer.
        info, _, data, params = request
        url, method, _, real_url = info
        try:
            protocol.expect(params, timer, timeout.sock_read, bodiless=method == hdrs.METH_HEAD)
            transport = protocol.transport
            if transport is None or transport.is_closing():
                raise ClientConnectionResetError("Cannot write to closing transport")
            transport.write(data)
            if timeout.sock_read:
                protocol.start_timeout_once_written()
            if timer is not None:
                timer.awaited = protocol
            while True:
                if asyncio.current_task() is None:
                    self.taskless += 1
                    await protocol
                message, content = await protocol.read()
                status = message.code
                if not 100 <= status < 200 or status == _SWITCHING_PROTOCOLS:
                    break
        except HttpProcessingError as exc:
            connection.close()
            raise ClientResponseError(
                info, (), status=exc.code, message=exc.message, headers=exc.headers
            ) from exc
        except BaseException:
            connection.close()
            raise
        headers = message.headers
        head = Head(
            method,
            url,
            real_url,
            status,
            message.reason,
            message.version,
            headers,
            message.raw_headers,
            info,
            (),
        )
        response = LeanResponse(head, content, connection)
        if timer is not None:
            timer.awaited = None
        if content.is_eof() and type(content) is not DecodedReader:
            if timer is not None:
                timer.stop()
            response.end()
        else:
            if timer is not None:
                connection.add_callback(timer.stop)
            content.on_eof(response.end)
        if hdrs.SET_COOKIE in headers:
            self._jar.update_cookies_from_headers(headers.getall(hdrs.SET_COOKIE), url)
        return response

    def close(self) -> None:
        """End the timers. The session is closing."""
        self._closed = True
        self._clock.close()
