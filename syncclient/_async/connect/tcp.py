"""The pool of TCP connections: direct, through proxies, and the way round to Unix sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import weakref
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohappyeyeballs
import aiohttp
from multidict import CIMultiDict

from ..._sockets import note_socket
from ..engine.connectors import (
    TCPSteps,
    protocol_factory,
    require_step,
    set_tls_shutdown_timeout,
)
from ..engine.protocol import watch
from ..exchange.connect_errors import address as address_text
from ..exchange.progress import Phase, enter, note_proxy, spend
from ..exchange.tracing import LookUp
from . import proxies, socks, tls
from .handover import handing_over, sockets_made
from .local import UnixSettings, refuse_proxy
from .pool import Pool, PoolSettings, PoolSnapshot
from .resolver import Names, SystemNames
from .tunnel import is_handshake, open_tunnel

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace
    from yarl import URL

#: The Unix socket that the running exchange goes to while its URL says ``http://localhost``.
#: A context variable, because aiohttp passes none of our arguments to the connector.
unix_socket: ContextVar[str | None] = ContextVar("syncclient_unix_socket", default=None)

_SYSTEM = SystemNames()


def socket_to(url: URL) -> str | None:
    """Return the Unix socket that the running exchange asks for ``url``; None if it is TCP.

    A redirect may lead away from the socket: to another host, or to a port of this one.
    """
    path = unix_socket.get()
    if path is None or url.raw_host != "localhost" or not url.is_default_port():
        return None
    return path


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


class TCPPool(Pool, TCPSteps):
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
            **settings.limits(),
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
        set_tls_shutdown_timeout(self, settings.ssl_shutdown_timeout)
        #: The context that ``ssl=True`` means.
        self._trust = tls.Trust()
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
            if path is not None and (path := socket_to(req.url)) is not None:
                refuse_proxy(req, path)
                pool = self._detour_pool("unix", path)
            elif req.proxy is not None:
                proxies.settle(req, req.proxy)
                if req.proxy.scheme in socks.SCHEMES:
                    pool = self._detour_pool("socks", proxies.with_credentials(req))
                elif is_handshake(req) and not req.is_ssl():
                    headers = tuple((req.proxy_headers or {}).items())
                    pool = self._detour_pool("tunnel", (proxies.with_credentials(req), headers))
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
                common = _common(self._settings, PoolSettings)
                pool = UnixSettings(path=to, ssl=self._settings.ssl, **common).open()
            elif way == "tunnel":
                pool = TunnelPool(self, *to)
            else:
                pool = SocksSettings(proxy=to, **_common(self._settings, TCPSettings)).open()
            watch(pool)
            self._detours[way, to] = pool
        return pool

    def _note_connecting(self, req: ClientRequest) -> None:
        host, proxy = req.host, req.proxy
        if proxy is not None:
            host = proxy.raw_host or ""
        enter(Phase.RESOLVE, host)
        note_proxy(None if proxy is None else (host, proxy.port))

    def _make_socket(self, addr_info: aiohttp.AddrInfoType) -> socket.socket:
        # Called for each address tried: the one public sign that the name is resolved.
        family, kind, proto, _, address = addr_info
        enter(Phase.CONNECT, address_text(address[0], address[1]))
        if self._user_socket_factory is not None:
            sock = self._user_socket_factory(addr_info)
        else:
            sock = socket.socket(family=family, type=kind, proto=proto)
        note_socket(sock)
        sockets_made.get([]).append(sock)
        return sock

    async def make_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Open a connection for ``req``, once the trusted certificates have been read."""
        to_tls_proxy = req.proxy is not None and req.proxy.scheme == "https"
        if (req.is_ssl() or to_tls_proxy) and req.ssl is True and self._settings.ssl is True:
            spend("tls")
            await self._trust.read(req)
        try:
            return await super().make_connection(req, traces, timeout)
        except OSError as exc:
            # The engine asks for the address of the peer, which may have closed the connection.
            if isinstance(exc.__context__, aiohttp.ServerFingerprintMismatch):
                raise exc.__context__ from None
            raise

    async def resolve_host(
        self, host: str, port: int, traces: Sequence[Trace] | None = None
    ) -> list[ResolveResult]:
        """Return the addresses of ``host``; ``traces`` are told by this task."""
        look_up = partial(super().resolve_host, host, port)
        return await (LookUp(traces).relay(look_up) if traces else look_up())

    def request_to_proxy(self, req: ClientRequest) -> ClientRequest:
        """Return the request for a tunnel, which any 2xx opens."""
        proxy_req = super().request_to_proxy(req)
        proxy_req.response_class = proxies.TunnelAnswer
        return proxy_req

    # What follows also tells TLS from TCP for the timings.

    async def connect_to_addresses(
        self, factory: Callable[[], ResponseHandler], **options: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        """Connect a new socket, and close it if that fails."""
        sockets: list[socket.socket] = []
        sockets_made.set(sockets)
        with handing_over(factory, sockets, tls=bool(options.get("ssl"))) as take:
            made = await super().connect_to_addresses(take, **options)
        spend("connect")  # an HTTPS proxy has yet to connect us
        return made

    async def connect_over(
        self, factory: Callable[[], ResponseHandler], **options: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        """Make a connection of a socket, and close it if that fails."""
        with handing_over(factory, [options["sock"]], tls=bool(options.get("ssl"))) as take:
            return await super().connect_over(take, **options)

    async def start_tls(
        self, transport: asyncio.Transport, **options: Any
    ) -> tuple[asyncio.BaseTransport, ResponseHandler]:
        """Start TLS through the tunnel of a proxy."""
        spend("tls")
        return await super().start_tls(transport, **options)

    def tls_context(self, req: ClientRequest) -> ssl.SSLContext | None:
        """Return the context for ``req``: by default the one that has been read."""
        if req.ssl is True and req.is_ssl() and (context := self._trust.context()) is not None:
            return context
        return super().tls_context(req)


def _common(settings: PoolSettings, kind: type[PoolSettings]) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in fields(kind)}


class SocksPool(TCPPool):
    """Connections that all go through one SOCKS proxy."""

    def __init__(self, settings: SocksSettings) -> None:
        require_step(type(self), "connect_directly")
        self._proxy = settings.proxy
        super().__init__(settings)

    async def _open_socket(self, addresses: list[ResolveResult]) -> socket.socket:
        """Connect to the proxy, as one would without it: see ``connect_to_addresses``."""
        settings = self._settings
        enter(Phase.CONNECT, f"through the proxy {socks.shown(self._proxy)}")
        infos = [
            info
            for each in addresses
            for info in aiohappyeyeballs.addr_to_addr_infos((each["host"], each["port"])) or ()
            if settings.family in (socket.AF_UNSPEC, info[0])
        ]
        if not infos:
            raise OSError(errno.EAFNOSUPPORT, "the proxy has no address of the family asked for")
        return await aiohappyeyeballs.start_connection(
            infos,
            local_addr_infos=aiohappyeyeballs.addr_to_addr_infos(settings.local_addr),
            happy_eyeballs_delay=settings.happy_eyeballs_delay,
            interleave=settings.interleave,
            loop=asyncio.get_running_loop(),
            socket_factory=self._make_proxy_socket,
        )

    def _make_proxy_socket(self, addr_info: aiohttp.AddrInfoType) -> socket.socket:
        sock = self._make_socket(addr_info)
        enter(Phase.CONNECT, f"through the proxy {socks.shown(self._proxy)}")
        return sock

    async def _addresses_of(
        self, host: str, port: int, req: ClientRequest, traces: list[Trace]
    ) -> list[ResolveResult]:
        enter(Phase.RESOLVE, host)
        try:
            return await self.resolve_host(host, port, traces=traces)
        except OSError as exc:
            key = req.connection_key._replace(host=host, port=port)
            raise aiohttp.ClientConnectorDNSError(key, exc) from exc

    async def connect_directly(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,
        *,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        note_proxy((self._proxy.raw_host or "", socks.port_of(self._proxy)))
        host, port = req.host, req.url.port
        assert port is not None  # only ws, wss, http and https come here, and each has one
        if not socks.SCHEMES[self._proxy.scheme]:
            host = (await self._addresses_of(host, port, req, traces))[0]["host"]
        addresses = await self._addresses_of(
            self._proxy.raw_host or "", socks.port_of(self._proxy), req, traces
        )
        sock = await socks.tunnel(
            self._proxy,
            host,
            port,
            partial(self._open_socket, addresses),
            req=req,
            timeout=timeout.sock_connect,
        )
        context = self.tls_context(req)
        name = (req.server_hostname or req.host).rstrip(".") if context else None
        try:
            transport, proto = await self.connect_over(
                protocol_factory(self),
                timeout=timeout,
                ssl=context,
                sock=sock,
                server_hostname=name,
                req=req,
            )
        except BaseException:
            sock.close()
            raise
        if context and (pin := self.pin_for(req)):
            try:
                pin.check(transport)
            except aiohttp.ServerFingerprintMismatch:
                transport.abort()
                raise
        return transport, proto


class TunnelPool(TCPPool):
    """Connections that all go through tunnels of one HTTP proxy; without TLS to the server.

    Args:
        through: makes the connections to the proxy.
        proxy: the proxy, with its credentials.
        headers: for the proxy.
    """

    def __init__(self, through: TCPPool, proxy: URL, headers: Iterable[tuple[str, str]]) -> None:
        require_step(type(self), "connect_directly")
        super().__init__(TCPSettings(**_common(through._settings, TCPSettings)))
        self._through = through
        self._proxy = proxy
        self._proxy_headers = CIMultiDict(headers)

    async def connect_directly(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,
        *,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        through = self._through
        note_proxy((self._proxy.raw_host or "", self._proxy.port))
        proxy_req = proxies.request_to(self._proxy, self._proxy_headers, req)
        if proxy_req.is_ssl() and req.ssl is True and through._settings.ssl is True:
            await through._trust.read(proxy_req)
        transport, _ = await through.connect_directly(
            proxy_req, traces, timeout, client_error=aiohttp.ClientProxyConnectionError
        )
        try:
            received = await open_tunnel(transport, proxy_req, req.url, timeout)
        except BaseException:
            transport.abort()
            raise
        handler = protocol_factory(self)()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        if received:
            handler.data_received(received)
        return transport, handler
