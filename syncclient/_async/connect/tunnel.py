"""CONNECT for what the engine would not open a tunnel for: WebSockets without TLS.

RFC 6455, section 4.1, wants one for every WebSocket through a proxy. The engine sends the
handshake of a ``ws://`` URL to the proxy as if it were a plain request, and most proxies know
nothing of upgrades. For ``https://`` and ``wss://`` it does the same as this itself.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy

from ..engine.connectors import time_to_connect

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout
    from yarl import URL

_STATUS = re.compile(r"HTTP/\d\.\d (\d{3})(?: (.*))?")
_END = re.compile(rb"\r?\n\r?\n")
#: Bytes that the answer may have, interim ones included.
_LIMIT = 2**16
_OPENED = range(200, 300)
_INTERIM = range(100, 200)


def is_handshake(req: ClientRequest) -> bool:
    """Return whether ``req`` asks for a WebSocket."""
    return req.headers.get(hdrs.UPGRADE, "").lower() == "websocket"


async def open_tunnel(
    transport: asyncio.Transport, proxy_req: ClientRequest, url: URL, timeout: ClientTimeout
) -> bytes:
    """Ask the proxy at the other end of ``transport`` for a tunnel to the host of ``url``.

    Args:
        proxy_req: names the proxy, and has the headers for it.

    Returns:
        The bytes that have already come through the tunnel.

    Raises:
        ClientHttpProxyError: the proxy refuses.
        ClientProxyConnectionError: it does not answer, or not in HTTP.
    """
    answer = _Answer()
    transport.set_protocol(answer)
    target = f"{url.host_subcomponent}:{url.port}"
    proxy_req.method = hdrs.METH_CONNECT
    proxy_req.headers[hdrs.HOST] = target
    fields = "".join(f"{name}: {value}\r\n" for name, value in proxy_req.headers.items())
    transport.write(f"CONNECT {target} HTTP/1.1\r\n{fields}\r\n".encode())
    try:
        async with time_to_connect(timeout):
            head = await answer.head
    except OSError as exc:
        if isinstance(exc, asyncio.TimeoutError):
            raise
        raise aiohttp.ClientProxyConnectionError(proxy_req.connection_key, exc) from exc
    if head.status not in _OPENED:
        raise aiohttp.ClientHttpProxyError(
            proxy_req.request_info,
            (),
            status=head.status,
            message=head.reason,
            headers=CIMultiDictProxy(head.headers),
        )
    return bytes(answer.rest)


class _Head(NamedTuple):
    status: int
    reason: str
    headers: CIMultiDict[str]


class _Answer(asyncio.Protocol):
    """Waits for the head of the response; all data after it belongs to the tunnel."""

    def __init__(self) -> None:
        self.head: asyncio.Future[_Head] = asyncio.get_running_loop().create_future()
        self.rest = bytearray()
        self._received = 0

    def data_received(self, data: bytes) -> None:
        self.rest += data
        self._received += len(data)
        while not self.head.done() and (end := _END.search(self.rest)) is not None:
            head = self._parsed(bytes(self.rest[: end.start()]))
            del self.rest[: end.end()]
            if head is None:
                self._fail("the proxy did not answer in HTTP")
            elif head.status not in _INTERIM:
                self.head.set_result(head)
        if not self.head.done() and self._received > _LIMIT:
            self._fail(f"the proxy answered with more than {_LIMIT} bytes")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("the proxy closed the connection without an answer")

    def _fail(self, why: str) -> None:
        if not self.head.done():
            self.head.set_exception(OSError(None, why))

    def _parsed(self, data: bytes) -> _Head | None:
        first, *lines = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
        status = _STATUS.fullmatch(first)
        if status is None:
            return None
        pairs = (line.partition(":") for line in lines)
        headers = CIMultiDict((name.strip(), value.strip()) for name, _, value in pairs if name)
        return _Head(int(status[1]), status[2] or "", headers)
