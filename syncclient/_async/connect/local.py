"""The pools of connections within this machine: over Unix sockets, and Windows' named pipes."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.client_exceptions import UnixClientConnectorError

from ..._sockets import note_protocol
from ..engine.connectors import (
    protocol_factory,
    require_step,
    time_to_connect,
)
from ..exchange.progress import Phase, enter
from .pool import Pool, PoolSettings
from .tls import Trust, unverified_context

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.tracing import Trace


@dataclass(frozen=True, kw_only=True)
class UnixSettings(PoolSettings):
    """Settings of connections over a Unix socket."""

    path: str
    #: Of ``https`` and ``wss`` over it; bytes are the SHA-256 of the one certificate to accept.
    ssl: ssl.SSLContext | bool | bytes = True

    def open(self) -> UnixPool:
        """Return a live pool. On the event loop."""
        return UnixPool(self)


@dataclass(frozen=True, kw_only=True)
class PipeSettings(PoolSettings):
    """Settings of connections over a named pipe of Windows."""

    path: str

    def open(self) -> PipePool:
        """Return a live pool. On the event loop."""
        return PipePool(self)


class UnixPool(Pool, aiohttp.UnixConnector):
    """Connections to one Unix socket."""

    def __init__(self, settings: UnixSettings) -> None:
        require_step(type(self), "make_connection")
        pinned = settings.ssl
        self._ssl = aiohttp.Fingerprint(pinned) if isinstance(pinned, bytes) else pinned
        self._trust = Trust()
        super().__init__(settings.path, **settings.limits())

    # Not aiohttp's, which writes the request of an https:// URL to the socket in plain text.
    async def _open_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        refuse_proxy(req, self.path)
        setting = self._ssl if req.ssl is True else req.ssl
        context = await self._context(req, setting) if req.is_ssl() else None
        name = (req.server_hostname or req.host).rstrip(".") if context else None
        transport: asyncio.BaseTransport
        try:
            async with time_to_connect(timeout):
                transport, protocol = await asyncio.get_running_loop().create_unix_connection(
                    protocol_factory(self), self.path, ssl=context, server_hostname=name
                )
        except ssl.CertificateError as exc:
            raise aiohttp.ClientConnectorCertificateError(req.connection_key, exc) from exc
        except ssl.SSLError as exc:
            raise aiohttp.ClientConnectorSSLError(req.connection_key, exc) from exc
        except OSError as exc:
            if exc.errno is None and isinstance(exc, asyncio.TimeoutError):
                raise
            raise UnixClientConnectorError(self.path, req.connection_key, exc) from exc
        if context is not None and isinstance(setting, aiohttp.Fingerprint):
            _check_fingerprint(setting, transport, protocol, req)
        note_protocol(protocol, transport.get_extra_info("socket"))
        return protocol

    async def _context(self, req: ClientRequest, setting: object) -> ssl.SSLContext:
        if isinstance(setting, ssl.SSLContext):
            return setting
        return await self._trust.read(req) if setting is True else unverified_context()

    def _note_connecting(self, req: ClientRequest) -> None:
        enter(Phase.CONNECT, self.path)


def _check_fingerprint(
    pin: aiohttp.Fingerprint,
    transport: asyncio.BaseTransport,
    protocol: ResponseHandler,
    req: ClientRequest,
) -> None:
    peer = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    got = hashlib.sha256(peer).digest()
    if got != pin.fingerprint:
        # Not close(): over TLS that waits for the peer's goodbye.
        protocol.abort()
        raise aiohttp.ServerFingerprintMismatch(pin.fingerprint, got, req.host, req.port or 443)


def refuse_proxy(req: ClientRequest, path: str) -> None:
    """Raise if a request that goes to a socket or a pipe has been given a proxy on its way.

    Raises:
        ClientConnectionError: so it is; nothing has been sent.
    """
    if req.proxy is not None:
        raise aiohttp.ClientConnectionError(f"{path} cannot be reached through a proxy")


class PipePool(Pool, aiohttp.NamedPipeConnector):
    """Connections to one named pipe. On Windows, on a proactor event loop."""

    def __init__(self, settings: PipeSettings) -> None:
        require_step(type(self), "make_connection")
        super().__init__(settings.path, **settings.limits())

    async def make_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Open a connection for ``req``, which must ask for no proxy and no TLS."""
        refuse_proxy(req, self.path)
        if req.is_ssl():
            # aiohttp would write it to the pipe in plain text; asyncio has no TLS for pipes.
            raise aiohttp.ClientConnectionError(
                f"{req.url.scheme}:// is not spoken over a named pipe: write http:// or ws://"
            )
        return await super().make_connection(req, traces, timeout)

    def _note_connecting(self, req: ClientRequest) -> None:
        enter(Phase.CONNECT, self.path)
