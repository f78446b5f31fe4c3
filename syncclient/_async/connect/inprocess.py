"""Servers within the process: the engine runs for real, and no port is opened.

A pool of this kind connects every host to a server protocol on the same event loop. So
parsers, pools, redirects, cookies, compression, streams and WebSockets are the real ones,
and nothing is patched. What answers is a ``Mounted``.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ssl
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

import aiohttp
from aiohttp import hdrs, web
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpVersion11
from multidict import CIMultiDictProxy
from yarl import URL

from ..engine.connectors import protocol_factory, require_step
from ..engine.protocol import watch
from ..exchange.progress import Phase, enter
from .memory import MemoryTransport, join
from .pool import Pool, PoolSettings

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

P = ParamSpec("P")
R = TypeVar("R")

#: Seconds that what still answers has to unwind when its pool closes.
_UNWIND_LIMIT = 2.0

#: The key of the URL that a connection was made for, in its transport's information.
_ORIGIN = "syncclient_origin"

#: What a client looks like to a server: applications want an address to log.
_PEER = ("127.0.0.1", 0)


class HangUp(Exception):
    """Raised by what answers, to end the connection without a further word."""


class Mounted(Protocol):
    """A server within the process, for as long as one pool is open. Event loop only."""

    def start(self) -> Coroutine[Any, Any, None]:
        """Make ready; called before the first connection, and awaited by all who connect."""
        ...

    def connection(self) -> asyncio.Protocol:
        """Return the server's protocol for one more connection."""
        ...

    async def close(self) -> None:
        """End all that runs. Every connection is closed already. Bounded."""


@dataclass(frozen=True, kw_only=True)
class InProcessSettings(PoolSettings):
    """Settings of connections to a server within the process."""

    #: Makes the server; called once for each pool, on the event loop.
    mount: Callable[[], Mounted]

    def open(self) -> InProcessPool:
        """Return a live pool. On the event loop."""
        return InProcessPool(self)


class InProcessPool(Pool):
    """Connections of every host to one server within the process."""

    in_process = True

    def __init__(self, settings: InProcessSettings) -> None:
        require_step(type(self), "make_connection")
        super().__init__(**settings.limits())
        self._mounted = settings.mount()
        self._starting: asyncio.Task[None] | None = None
        watch(self)

    def connect(  # pyright: ignore[reportIncompatibleMethodOverride]  # it returns a coroutine
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Coroutine[Any, Any, Connection]:
        """Lend a connection for ``req``. A proxy is not asked: every host is answered here."""
        req.update_proxy(None, None, None)
        return aiohttp.BaseConnector.connect(self, req, traces, timeout)

    def _note_connecting(self, req: ClientRequest) -> None:
        enter(Phase.CONNECT, "within the process")

    async def _open_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        if self._starting is None:
            # A context of its own, here and below: a server knows nothing of its caller's.
            create_task = asyncio.get_running_loop().create_task
            self._starting = _apart(create_task, self._mounted.start())
        starting = self._starting
        # Not awaited itself: one exchange that is cancelled must not cancel it for the others.
        await asyncio.wait([starting])
        starting.result()
        client = protocol_factory(self)()
        origin = req.url.origin()
        server_info: dict[str, Any] = {_ORIGIN: origin, "peername": _PEER}
        server_info["sockname"] = (origin.host, origin.port)
        if req.is_ssl():
            server_info["sslcontext"] = _any_context()
        client_info = {"peername": server_info["sockname"], "sockname": _PEER}
        server = self._mounted.connection()
        _apart(join, client, server, client_info=client_info, server_info=server_info)
        return client

    async def _shut(self, *, abort_ssl: bool) -> None:
        await super()._shut(abort_ssl=abort_ssl)
        if self._starting is not None:
            await asyncio.wait([self._starting], timeout=_UNWIND_LIMIT)
        await self._mounted.close()


class Serving:
    """A Mounted whose ``answer`` gets one exchange after another.

    What ``answer`` raises reaches the client as it is, where the engine lets it: an
    AssertionError is an AssertionError over there. HangUp ends the connection instead.

    Args:
        decompress: whether bodies of requests come decompressed.
    """

    def __init__(self, *, decompress: bool = False) -> None:
        self._server = web.Server(
            self._handle,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=decompress,
            tcp_keepalive=False,
        )
        self._answering: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Nothing to do."""

    def connection(self) -> asyncio.Protocol:
        """Return the server's protocol for one more connection."""
        return self._server()

    async def answer(self, exchange: ServerExchange) -> None:
        """Answer one request."""
        raise NotImplementedError

    async def close(self) -> None:
        """Cancel what still answers, and see it unwind."""
        answering = list(self._answering)
        for task in answering:
            task.cancel()
        if answering:
            await asyncio.wait(answering, timeout=_UNWIND_LIMIT)
        await self._server.shutdown(_UNWIND_LIMIT)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        exchange = ServerExchange(request)
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            await self.answer(exchange)
            return await exchange.finished()
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as exc:
            # pytest's own outcomes and SystemExit too: they belong to the client's caller,
            # and must not end the loop.
            exchange.fail(None if isinstance(exc, HangUp) else exc)
        finally:
            self._answering.discard(task)
        # The engine's server would log any error, and answer with 500.
        raise asyncio.CancelledError


class ServerExchange:
    """One request as a server sees it, and the way to answer it. Event loop only."""

    def __init__(self, request: web.BaseRequest) -> None:
        self.request = request
        self._response: web.StreamResponse | None = None
        self._continued = False

    @property
    def method(self) -> str:
        """The method, in upper case."""
        return self.request.method

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers."""
        return self.request.headers

    @property
    def url(self) -> URL:
        """The URL asked for, with the host that was connected to, whatever Host says."""
        origin: URL = self._transport.get_extra_info(_ORIGIN)
        return origin.join(self.request.rel_url)

    @property
    def started(self) -> bool:
        """Whether the head of the response is out."""
        return self._response is not None

    async def read(self) -> bytes:
        """Wait for more of the request's body; ``b""`` at its end."""
        await self._continue()
        return await self.request.content.readany()

    async def read_all(self) -> bytes:
        """Wait for all of the request's body."""
        await self._continue()
        return await self.request.content.read()

    async def respond(
        self, status: int, reason: str | None, headers: Iterable[tuple[str, str]]
    ) -> None:
        """Send the head of the response."""
        response = web.StreamResponse(status=status, reason=reason)
        for name, value in headers:
            if name.lower() != "transfer-encoding":  # this server's own business
                response.headers.add(name, value)
        self._response = response
        await response.prepare(self.request)

    async def write(self, data: bytes) -> None:
        """Send some of the response's body, at the client's pace."""
        response = self._response
        assert response is not None
        if data and self.method != hdrs.METH_HEAD and response.status not in (204, 304):
            await response.write(data)

    async def finished(self) -> web.StreamResponse:
        """Send the end of the response, and return it."""
        response = self._response
        if response is None:
            raise RuntimeError("the application has not answered the request")
        await response.write_eof()
        return response

    def upgraded(self, response: web.StreamResponse) -> None:
        """Note that ``response``, a WebSocket's, is the answer."""
        self._response = response

    def fail(self, error: BaseException | None) -> None:
        """Break the connection because of ``error``, after the data already sent."""
        transport = self.request.transport
        if not isinstance(transport, MemoryTransport):
            return  # the client has gone
        client = transport.peer.get_protocol()
        if error is not None and not self.started and isinstance(client, ResponseHandler):
            # As it is. Given as the reason of a loss, the engine would tell it in its own words.
            client.set_exception(error)
        transport.fail(error)

    @property
    def _transport(self) -> asyncio.Transport:
        transport = self.request.transport
        if transport is None:
            raise ConnectionResetError("the client has closed the connection")
        return transport

    async def _continue(self) -> None:
        if self._continued or self.request.version != HttpVersion11:
            return
        self._continued = True
        if self.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
            writer = self.request.writer
            await writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            writer.output_size = 0  # as the engine has it: that was not yet the response


class AppMount:
    """A Mounted for an ``aiohttp.web.Application``."""

    def __init__(self, application: web.Application) -> None:
        self._runner = web.AppRunner(
            application,
            handle_signals=False,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=_UNWIND_LIMIT,
        )

    async def start(self) -> None:
        """Run the application's startup."""
        await self._runner.setup()

    def connection(self) -> asyncio.Protocol:
        """Return the server's protocol for one more connection."""
        server = self._runner.server
        assert server is not None
        return server()

    async def close(self) -> None:
        """Run the application's cleanup."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._runner.cleanup(), 2 * _UNWIND_LIMIT)


@cache
def _any_context() -> ssl.SSLContext:
    # That it is there is what tells the engine's server of https.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def _apart(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    return contextvars.Context().run(function, *args, **kwargs)
