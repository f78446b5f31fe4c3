"""Open a WebSocket: request the upgrade, check the answer, take over the connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict

from aiohttp import (
    ClientResponse,
    ClientWSTimeout,
    ServerDisconnectedError,
    WSServerHandshakeError,
)
from multidict import CIMultiDict
from yarl import URL

from ..connect.environment import Hops, Surroundings
from ..connect.tcp import unix_socket
from ..exchange import progress as phase
from ..exchange.errors import cause, explained
from ..exchange.tracing import fault_in
from ..middleware.user_middleware import CarriedError
from .handshake import HandshakeError, agree, request_headers
from .settings import (
    BUFFER_BYTES,
    BUFFER_MESSAGES,
    CLOSE_TIMEOUT,
    MAX_MSG_SIZE,
    Opened,
    SocketSettings,
)
from .websocket import AsyncWebSocket, Host

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp import Fingerprint
    from aiohttp.typedefs import LooseHeaders, StrOrURL
    from typing_extensions import Unpack

#: Names of a transport's plain values; "socket" and "ssl_object" are objects.
EXTRA_INFO = ("peername", "sockname", "cipher", "compression", "peercert")


class HandshakeOptions(TypedDict, total=False):
    """The options that the request for the upgrade shares with all others."""

    proxy: StrOrURL | None
    ssl: SSLContext | bool | Fingerprint
    server_hostname: str | None
    proxy_headers: LooseHeaders | None


async def connect(
    host: Host,
    url: StrOrURL,
    *,
    timeout: ClientWSTimeout,
    method: str = "GET",
    protocols: Iterable[str] = (),
    origin: str | None = None,
    headers: LooseHeaders | None = None,
    compress: int = 0,
    autoclose: bool = True,
    autoping: bool = True,
    heartbeat: float | None = None,
    max_msg_size: int = MAX_MSG_SIZE,
    decode_text: bool = True,
    buffer_messages: int = BUFFER_MESSAGES,
    buffer_bytes: int = BUFFER_BYTES,
    over: str | None = None,
    surroundings: Surroundings | None = None,
    **options: Unpack[HandshakeOptions],
) -> tuple[Opened, AsyncWebSocket]:
    """Open a WebSocket in the session of ``host``, which closes it with itself.

    ``timeout.ws_receive`` has no effect here: it is a limit for readers. ``over`` is the path of
    a Unix socket to connect to.
    """
    settings = SocketSettings(
        close_timeout=timeout.ws_close or CLOSE_TIMEOUT,
        buffer_messages=buffer_messages,
        buffer_bytes=buffer_bytes,
        autoclose=autoclose,
        autoping=autoping,
        heartbeat=heartbeat or None,
        max_msg_size=max_msg_size,
        decode_text=decode_text,
    )
    asked = request_headers(headers, protocols=protocols, origin=origin, compress=compress)
    progress = phase.Progress(method, URL(url), host.http.timeout)
    if surroundings is not None:
        progress.hops = Hops(surroundings)
    phase.begin(progress)
    if over is not None:
        unix_socket.set(over)
    fault = None
    try:
        response = await host.shake_hands(
            progress, {"headers": asked, "read_until_eof": False, **options}
        )
        try:
            return _take_over(host, response, asked, settings)
        except BaseException:
            response.close()
            raise
    except Exception as exc:
        fault = exc.error if isinstance(exc, CarriedError) else fault_in(exc, progress)
        if fault is None:
            error = explained(exc, progress)
            raise error from cause(error, exc)
    raise fault  # as it was, with its own context


def _take_over(
    host: Host, response: ClientResponse, asked: CIMultiDict[str], settings: SocketSettings
) -> tuple[Opened, AsyncWebSocket]:
    """Check the answer, and make a socket of its connection."""
    try:
        agreed = agree(response.status, response.headers, asked)
    except HandshakeError as error:
        raise WSServerHandshakeError(
            response.request_info,
            response.history,
            message=str(error),
            status=response.status,
            headers=response.headers,
        ) from None
    connection = response.connection
    handler = None if connection is None else connection.protocol
    transport = None if handler is None else handler.transport
    if handler is None or transport is None:
        raise ServerDisconnectedError  # right after its answer
    # The limit between two reads was for the answer; a WebSocket may be silent for any time.
    handler.read_timeout = None
    extra = {name: transport.get_extra_info(name) for name in EXTRA_INFO}
    socket = AsyncWebSocket(response, handler, transport, agreed, settings, host)
    opened = Opened(
        agreed.protocol,
        0 if agreed.deflate is None else agreed.deflate.client_bits,
        agreed.deflate is not None and agreed.deflate.client_notakeover,
        socket.queue,
        socket.window,
        extra,
    )
    return opened, socket
