"""The pool of TCP connections: direct, through proxies, and the way round to Unix sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import weakref
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp

from .._sockets import note_socket
from . import proxies, socks, tls, whole
from .connector import Pool, PoolSettings, PoolSnapshot, UnixSettings
from .phase import Phase, enter, spend
from .resolver import Names, SystemNames
from .tracing import LookUp

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace
    from yarl import URL

#: The Unix socket that the running exchange goes to while its URL says ``http://localhost``.
#: A context variable, since aiohttp hands nothing of ours to the connector.
unix_socket: ContextVar[str | None] = ContextVar("syncclient_unix_socket", default=None)

_SYSTEM = SystemNames()


@dataclass(frozen=True)
class TCPSettings(PoolSettings):
    """Settings of connections over TCP."""

    #: Bytes are the SHA-256 of the one certificate to accept.
    ssl: ssl.SSLContext | bool | bytes = True
    use_dns_cache: bool = True
    ttl_dns_cache: float | None = 10
    dns_cache_max_size: int = 1000
    family: socket.AddressFamily = socket.AF_UNSPEC
    local_addr: tuple[str, int] | None = None
    resolver: Names = _SYSTEM
    enable_cleanup_closed: bool = False
    timeout_ceil_threshold: float = 5
    happy_eyeballs_delay: float | None = 0.25
    interleave: int | None = None
    socket_factory: aiohttp.SocketFactoryType | None = None
    ssl_shutdown_timeout: float | None = 0

    def open(self) -> TCPPool:
        """Return a live pool. On the event loop."""
        return TCPPool(self)


@dataclass(frozen=True, kw_only=True)
class SocksSettings(TCPSettings):
    """Settings of connections over TCP that all go through one SOCKS proxy."""

    #: May hold the credentials, so it is kept out of every message.
    proxy: URL

    def open(self) -> SocksPool:
        """Return a live pool. On the event loop."""
        return SocksPool(self)


class TCPPool(Pool, aiohttp.TCPConnector):
    """Connections over TCP, and the way round to Unix sockets and SOCKS proxies.

    A Unix socket or a SOCKS proxy that a URL, an argument or the environment names gets a
    pool of its own, with the same limits, at its first use: aiohttp's pool knows neither, and
    a connection of one way must never be lent to an exchange of another.
    """

    def __init__(self, settings: TCPSettings) -> None:
        self._settings = settings
        self._names = settings.resolver.open()
        self._user_socket_factory = settings.socket_factory
        pinned = settings.ssl
        super().__init__(
            limit=settings.limit,
            limit_per_host=settings.limit_per_host,
            keepalive_timeout=settings.keepalive_timeout,
            force_close=settings.force_close,
            ssl=aiohttp.Fingerprint(pinned) if isinstance(pinned, bytes) else pinned,
            use_dns_cache=settings.use_dns_cache,
            # Declared an int, and used as any number.
            ttl_dns_cache=settings.ttl_dns_cache,  # type: ignore[arg-type]
            dns_cache_max_size=settings.dns_cache_max_size,
            family=settings.family,
            local_addr=settings.local_addr,
            resolver=self._names,
            enable_cleanup_closed=settings.enable_cleanup_closed,
            timeout_ceil_threshold=settings.timeout_ceil_threshold,
            happy_eyeballs_delay=settings.happy_eyeballs_delay,
            interleave=settings.interleave,
            socket_factory=self._make_socket,
        )
        # Not as an argument, which warns: whoever set it was warned at their own line.
        self._ssl_shutdown_timeout = settings.ssl_shutdown_timeout
        #: The context that ``ssl=True`` means, being read or ready.
        self._trust: asyncio.Future[ssl.SSLContext] | None = None
        self._detours: dict[tuple[str, object], Pool] = {}
        #: Where each diverted request goes, should a middleware send it a second time.
        self._diverted: weakref.WeakKeyDictionary[ClientRequest, Pool] = weakref.WeakKeyDictionary()

    def snapshot(self) -> PoolSnapshot:
        """Return what the pool and those of its detours hold now."""
        return sum((pool.snapshot() for pool in self._detours.values()), super().snapshot())

    async def _shut(self, *, abort_ssl: bool) -> None:
        for pool in self._detours.values():
            await pool.close(abort_ssl=abort_ssl)
        await super()._shut(abort_ssl=abort_ssl)
        await self._names.close()

    # Not async: every request passes here, and a coroutine around a coroutine costs each of them.
    def connect(  # pyright: ignore[reportIncompatibleMethodOverride]  # it returns a coroutine
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Coroutine[Any, Any, Connection]:
        """Lend a connection for ``req``, from this pool or from that of its detour."""
        path = unix_socket.get()
        if path is not None or req.proxy is not None or self._detours:
            pool = self._detour(req, path)
            if pool is not None:
                return pool.connect(req, traces, timeout)
        return super().connect(req, traces, timeout)

    def _detour(self, req: ClientRequest, path: str | None) -> Pool | None:
        pool = self._diverted.get(req)
        if pool is None:
            if path is not None and req.host == "localhost":
                pool = self._detour_pool("unix", path)
            elif req.proxy is not None:
                proxies.settle(req, req.proxy)
                if req.proxy.scheme in socks.SCHEMES:
                    pool = self._detour_pool("socks", proxies.with_credentials(req))
            if pool is None:
                return None
            self._diverted[req] = pool
        # With a proxy set aiohttp would write the request as to an HTTP proxy.
        req.update_proxy(None, None, None)
        return pool

    def _detour_pool(self, way: str, to: Any) -> Pool:
        pool = self._detours.get((way, to))
        if pool is None:
            if way == "unix":
                pool = UnixSettings(path=to, **_common(self._settings, PoolSettings)).open()
            else:
                pool = SocksSettings(proxy=to, **_common(self._settings, TCPSettings)).open()
            whole.watch(pool)
            self._detours[way, to] = pool
        return pool

    def _note_connecting(self, req: ClientRequest) -> None:
        host = req.proxy.host if req.proxy is not None else req.host
        enter(Phase.RESOLVE, host or "")

    def _make_socket(self, addr_info: aiohttp.AddrInfoType) -> socket.socket:
        # Called for each address tried: the one public sign that the name is resolved.
        family, kind, proto, _, address = addr_info
        enter(Phase.CONNECT, f"{address[0]}:{address[1]}")
        if self._user_socket_factory is not None:
            sock = self._user_socket_factory(addr_info)
        else:
            sock = socket.socket(family=family, type=kind, proto=proto)
        note_socket(sock)
        return sock

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        to_tls_proxy = req.proxy is not None and req.proxy.scheme == "https"
        if (req.is_ssl() or to_tls_proxy) and req.ssl is True and self._settings.ssl is True:
            await self._read_trust(req)
        return await super()._create_connection(req, traces, timeout)

    async def _resolve_host(
        self, host: str, port: int, traces: Sequence[Trace] | None = None
    ) -> list[ResolveResult]:
        look_up = partial(super()._resolve_host, host, port)
        return await (LookUp(traces).relay(look_up) if traces else look_up())

    # What follows only tells TLS from TCP for the timings.

    async def _wrap_create_connection(
        self, *args: Any, **kwargs: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        if kwargs.get("ssl") and args:
            # The protocol is made once the socket is connected, and before the handshake.
            args = (partial(_handshaking, args[0]), *args[1:])
        made = await super()._wrap_create_connection(*args, **kwargs)
        spend("connect")  # an HTTPS proxy has yet to connect us
        return made

    async def _wrap_existing_connection(
        self, *args: Any, **kwargs: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        if kwargs.get("ssl"):
            spend("tls")
        return await super()._wrap_existing_connection(*args, **kwargs)

    async def _start_tls_connection(
        self, *args: Any, **kwargs: Any
    ) -> tuple[asyncio.BaseTransport, ResponseHandler]:
        spend("tls")
        return await super()._start_tls_connection(*args, **kwargs)

    async def _read_trust(self, req: ClientRequest) -> None:
        """Have the default context ready, read by a worker thread once for all who need it."""
        spend("tls")
        if self._trust is None:
            loop = asyncio.get_running_loop()
            self._trust = loop.run_in_executor(None, tls.default_context)
        trust = self._trust
        # Not awaited itself: one exchange that is cancelled must not cancel it for the others.
        await asyncio.wait([trust])
        try:
            trust.result()
        except OSError as exc:
            self._trust = None
            raise aiohttp.ClientConnectorSSLError(req.connection_key, exc) from exc

    def _get_ssl_context(self, req: ClientRequest) -> ssl.SSLContext | None:
        if self._trust is not None and req.ssl is True and req.is_ssl():
            return self._trust.result()
        return super()._get_ssl_context(req)


def _handshaking(make: Callable[[], ResponseHandler]) -> ResponseHandler:
    spend("tls")
    return make()


def _common(settings: PoolSettings, kind: type[PoolSettings]) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in fields(kind)}


class SocksPool(TCPPool):
    """Connections that all go through one SOCKS proxy."""

    def __init__(self, settings: SocksSettings) -> None:
        self._proxy = settings.proxy
        super().__init__(settings)

    async def _address_of(
        self, host: str, port: int, req: ClientRequest, traces: list[Trace]
    ) -> str:
        enter(Phase.RESOLVE, host)
        try:
            return (await self._resolve_host(host, port, traces=traces))[0]["host"]
        except OSError as exc:
            key = req.connection_key._replace(host=host, port=port)
            raise aiohttp.ClientConnectorDNSError(key, exc) from exc

    async def _create_direct_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,
        *,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        host, port = req.host, req.url.port
        assert port is not None  # only ws, wss, http and https come here, and each has one
        if not socks.SCHEMES[self._proxy.scheme]:
            host = await self._address_of(host, port, req, traces)
        proxy = self._proxy.with_host(
            await self._address_of(self._proxy.host or "", socks.port_of(self._proxy), req, traces)
        )
        enter(Phase.CONNECT, f"through the proxy {socks.shown(self._proxy)}")
        sock = await socks.tunnel(proxy, host, port, req=req, timeout=timeout.sock_connect)
        note_socket(sock)
        context = self._get_ssl_context(req)
        name = (req.server_hostname or req.host).rstrip(".") if context else None
        try:
            transport, proto = await self._wrap_existing_connection(
                self._factory,
                timeout=timeout,
                ssl=context,
                sock=sock,
                server_hostname=name,
                req=req,
            )
        except BaseException:
            sock.close()
            raise
        if context and (pin := self._get_fingerprint(req)):
            try:
                pin.check(transport)
            except aiohttp.ServerFingerprintMismatch:
                transport.abort()
                raise
        return transport, proto
