"""The pool inside aiohttp's connectors: its state, and the steps that our pools extend.

``ConnectorSteps`` and ``TCPSteps`` give the private methods that the engine calls names of our
own. Where the engine calls such a method by another name, its own implementation runs, without
what we add.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import anyio
from aiohttp import helpers

from .missing import unsupported, warn_without

if TYPE_CHECKING:
    import ssl

    from aiohttp.abc import ResolveResult
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.tracing import Trace

    Idle = dict[ConnectionKey, deque[tuple[ResponseHandler, float]]]

_ceil_timeout: Callable[..., contextlib.AbstractAsyncContextManager[object]] | None = getattr(
    helpers, "ceil_timeout", None
)

#: What needs each of the steps.
_STEPS = {
    "_create_connection": "limits do not count idle connections, and errors name no phase",
    "_wait_for_available_connection": "errors do not name the wait for a free connection",
    "_resolve_host": "callbacks for tracing a look-up of a host hold up other requests",
    "_update_proxy_auth_header_and_build_proxy_req": "only status 200 opens a proxy's tunnel",
    "_wrap_create_connection": "sockets of failed TLS handshakes are closed by the engine",
    "_wrap_existing_connection": "SOCKS proxies do not work",
    "_start_tls_connection": "timings do not tell TLS within a tunnel",
    "_get_ssl_context": "SSL_CERT_FILE, SSL_CERT_DIR and certifi do not choose the authorities",
    "_create_direct_connection": "SOCKS proxies, and WebSockets through HTTP proxies, do not work",
    "_get_fingerprint": "certificates are not pinned through SOCKS proxies",
}


# -- what a pool holds ---------------------------------------------------------------


def idle_connections(pool: aiohttp.BaseConnector) -> Idle:
    """Return the pool's own mapping of its idle connections, with the time each became idle."""
    idle = getattr(pool, "_conns", None)
    if idle is None:
        warn_without("BaseConnector._conns", "idle connections do not count against limit=")
        return {}
    return cast("Idle", idle)


def connections_in_use(pool: aiohttp.BaseConnector) -> Collection[ResponseHandler]:
    """Return the pool's own set of the connections that are in use or being opened."""
    in_use = getattr(pool, "_acquired", None)
    if in_use is None:
        warn_without("BaseConnector._acquired", "idle connections do not count against limit=")
        return ()
    return cast("Collection[ResponseHandler]", in_use)


def pool_contents(
    pool: aiohttp.BaseConnector,
) -> tuple[Collection[ResponseHandler], dict[ConnectionKey, int], dict[ConnectionKey, int]]:
    """Return the connections in use, and for each host how many are idle, and who waits.

    Raises:
        RuntimeError: this aiohttp keeps them elsewhere.
    """
    held: list[Any] = []
    for name in ("_acquired", "_conns", "_waiters"):
        if (value := getattr(pool, name, None)) is None:
            raise unsupported(f"BaseConnector.{name}", "the number of connections in the pool")
        held.append(value)
    in_use, idle, waiting = held
    return (
        in_use,
        {key: len(connections) for key, connections in idle.items() if connections},
        {key: len(waiters) for key, waiters in waiting.items() if waiters},
    )


def wake_next_waiter(pool: aiohttp.BaseConnector) -> None:
    """Offer a free connection to the next request that waits for one."""
    wake: Callable[[], None] | None = getattr(pool, "_release_waiter", None)
    if wake is None:
        warn_without(
            "BaseConnector._release_waiter",
            "a request that is cancelled while it waits for a connection may delay others",
        )
    else:
        wake()


# -- how a pool makes connections ----------------------------------------------------


def protocol_factory(pool: aiohttp.BaseConnector) -> Callable[[], ResponseHandler]:
    """Return what makes the protocol of a new connection of ``pool``."""
    factory: Callable[[], ResponseHandler] | None = getattr(pool, "_factory", None)
    if factory is None:
        raise unsupported("BaseConnector._factory", "this kind of connector")
    return factory


def set_protocol_factory(
    pool: aiohttp.BaseConnector, factory: Callable[[], ResponseHandler]
) -> bool:
    """Make ``pool`` create its protocols by ``factory``. Returns whether that is possible."""
    if not hasattr(pool, "_factory"):
        warn_without(
            "BaseConnector._factory",
            "responses are read by aiohttp's own rules, and content codings undone by them",
        )
        return False
    pool._factory = cast("functools.partial[ResponseHandler]", factory)
    return True


def tls_shutdown_timeout(pool: aiohttp.BaseConnector) -> float | None:
    """Return how many seconds closing waits for the end of TLS; None or 0 for no wait."""
    return cast("float | None", getattr(pool, "_ssl_shutdown_timeout", None))


def set_tls_shutdown_timeout(pool: aiohttp.TCPConnector, seconds: float | None) -> None:
    """Set ``tls_shutdown_timeout``.

    The argument of the connector would warn; users are warned at their own line.
    """
    if not hasattr(pool, "_ssl_shutdown_timeout"):
        warn_without("TCPConnector._ssl_shutdown_timeout", "ssl_shutdown_timeout= has no effect")
    pool._ssl_shutdown_timeout = seconds


def time_to_connect(
    timeout: aiohttp.ClientTimeout,
) -> contextlib.AbstractAsyncContextManager[object]:
    """Return a context whose body raises asyncio.TimeoutError after ``timeout.sock_connect``."""
    if _ceil_timeout is not None:
        return _ceil_timeout(timeout.sock_connect, ceil_threshold=timeout.ceil_threshold)
    warn_without("helpers.ceil_timeout", "timeouts for connecting are not rounded up")
    return time_limit(timeout.sock_connect)


@contextlib.asynccontextmanager
async def time_limit(seconds: float | None) -> AsyncIterator[None]:
    """Raise asyncio.TimeoutError in the body after ``seconds``; None and 0 set no limit.

    Also at its end, if it took longer: a body may end in the turn of the loop in which its timer
    is due, and timers of uvloop are only exact to the millisecond.
    """
    started = time.monotonic()
    try:
        with anyio.fail_after(seconds or None):
            yield
        if seconds and time.monotonic() - started >= seconds:
            raise TimeoutError
    except TimeoutError:
        raise asyncio.TimeoutError from None  # another class before Python 3.11


# -- the steps -----------------------------------------------------------------------


def warn_of_missing_steps(kind: type[aiohttp.BaseConnector]) -> None:
    """Log a warning for each step that the engine no longer takes by the name extended here."""
    ours = {
        name
        for each in kind.__mro__
        if each in (ConnectorSteps, TCPSteps)
        for name in _STEPS.keys() & vars(each).keys()
    }
    engines = [each for each in kind.__mro__ if each.__module__.startswith("aiohttp.")]
    for name in ours:
        if not any(name in vars(each) for each in engines):
            warn_without(f"{engines[0].__name__}.{name}", _STEPS[name])


#: By the name that ``ConnectorSteps`` and ``TCPSteps`` give them.
_PRIVATE = {
    "make_connection": "_create_connection",
    "connect_directly": "_create_direct_connection",
}


def require_step(kind: type[aiohttp.BaseConnector], step: str) -> None:
    """Raise RuntimeError if the engine would not come to ``step``, and connect elsewhere."""
    name = _PRIVATE[step]
    engines = (each for each in kind.__mro__ if each.__module__.startswith("aiohttp."))
    if not any(name in vars(each) for each in engines):
        raise unsupported(f"{kind.__name__}.{name}", "this kind of connection")


class ConnectorSteps(aiohttp.BaseConnector):
    """A connector whose private steps are methods that subclasses extend."""

    async def make_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Open a connection for ``req``."""
        return await super()._create_connection(req, traces, timeout)

    async def wait_for_connection(self, key: ConnectionKey, traces: list[Trace]) -> None:
        """Wait until a connection for ``key`` is free, or may be opened."""
        await super()._wait_for_available_connection(key, traces)

    # -- called by the engine

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        return await self.make_connection(req, traces, timeout)

    async def _wait_for_available_connection(self, key: ConnectionKey, traces: list[Trace]) -> None:
        await self.wait_for_connection(key, traces)


class TCPSteps(aiohttp.TCPConnector):
    """A connector over TCP whose private steps are methods that subclasses extend."""

    async def resolve_host(
        self, host: str, port: int, traces: Sequence[Trace] | None = None
    ) -> list[ResolveResult]:
        """Return the addresses of ``host``."""
        found: list[ResolveResult] = await _step(super(), "_resolve_host")(host, port, traces)
        return found

    def request_to_proxy(self, req: ClientRequest) -> ClientRequest:
        """Return the request for a tunnel for ``req`` through its HTTP proxy."""
        return super()._update_proxy_auth_header_and_build_proxy_req(req)

    async def connect_directly(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,
        *,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        """Connect to the server of ``req``, or to what stands for it."""
        connect = _step(super(), "_create_direct_connection")
        made: tuple[asyncio.Transport, ResponseHandler]
        made = await connect(req, traces, timeout, client_error=client_error)
        return made

    async def connect_to_addresses(
        self, factory: Callable[[], ResponseHandler], **options: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        """Connect a new socket to one of the addresses, over TLS where that is asked for."""
        return await super()._wrap_create_connection(factory, **options)

    async def connect_over(
        self, factory: Callable[[], ResponseHandler], **options: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        """Make a connection of a socket that is connected already."""
        made: tuple[asyncio.Transport, ResponseHandler]
        made = await _step(super(), "_wrap_existing_connection")(factory, **options)
        return made

    async def start_tls(
        self, transport: asyncio.Transport, **options: Any
    ) -> tuple[asyncio.BaseTransport, ResponseHandler]:
        """Start TLS to the server of a request, through the tunnel of a proxy."""
        return await super()._start_tls_connection(transport, **options)

    def tls_context(self, req: ClientRequest) -> ssl.SSLContext | None:
        """Return the context for ``req``; None without TLS."""
        context: ssl.SSLContext | None = _step(super(), "_get_ssl_context")(req)
        return context

    def pin_for(self, req: ClientRequest) -> aiohttp.Fingerprint | None:
        """Return the fingerprint that the certificate must have, if one is given."""
        pin: aiohttp.Fingerprint | None = _step(super(), "_get_fingerprint")(req)
        return pin

    # -- called by the engine

    async def _resolve_host(
        self, host: str, port: int, traces: Sequence[Trace] | None = None
    ) -> list[ResolveResult]:
        return await self.resolve_host(host, port, traces)

    def _update_proxy_auth_header_and_build_proxy_req(self, req: ClientRequest) -> ClientRequest:
        return self.request_to_proxy(req)

    async def _create_direct_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,
        *,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        return await self.connect_directly(req, traces, timeout, client_error=client_error)

    async def _wrap_create_connection(
        self, *args: Any, **options: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        return await self.connect_to_addresses(*args, **options)

    async def _wrap_existing_connection(
        self, *args: Any, **options: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        return await self.connect_over(*args, **options)

    async def _start_tls_connection(
        self, *args: Any, **options: Any
    ) -> tuple[asyncio.BaseTransport, ResponseHandler]:
        return await self.start_tls(*args, **options)

    def _get_ssl_context(self, req: ClientRequest) -> ssl.SSLContext | None:
        return self.tls_context(req)


def _step(engine: Any, name: str) -> Callable[..., Any]:
    """Return the engine's own method of that name.

    Raises:
        RuntimeError: this aiohttp has none.
    """
    step: Callable[..., Any] | None = getattr(engine, name, None)
    if step is None:
        raise unsupported(f"TCPConnector.{name}", "this connection")
    return step
