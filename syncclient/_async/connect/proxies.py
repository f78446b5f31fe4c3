"""The proxy of a request: its credentials kept out of its URL, and where its headers go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import SplitResult

import aiohttp
from aiohttp import BasicAuth, ClientResponse, hdrs
from yarl import URL

from ..engine.connectors import time_to_connect
from ..exchange.progress import NO_TIMEOUT, progress
from . import socks
from .tunnel import is_handshake

if TYPE_CHECKING:
    from aiohttp import ClientRequest
    from aiohttp.connector import Connection
    from multidict import CIMultiDict

_HTTP = ("http", "https")


class TunnelAnswer(ClientResponse):
    """What a proxy answers to CONNECT."""

    async def start(self, connection: Connection) -> ClientResponse:
        """Wait for the head. Any 2xx has opened the tunnel (RFC 9110, section 9.3.6).

        The engine would wait without a limit of its own; it is a part of connecting.
        """
        current = progress.get()
        async with time_to_connect(NO_TIMEOUT if current is None else current.timeout):
            await super().start(connection)
        if self.status // 100 == _OPENED // 100:
            self.status = _OPENED  # the only one that the engine takes for that
        return self


_OPENED = 200


def settle(req: ClientRequest, proxy: URL) -> None:
    """Bring the proxy of ``req`` into the form in which it gives nothing away.

    aiohttp would keep the URL as it is, and show it, password and all, in the error of a
    proxy that refuses. And it sends ``proxy_headers`` with a CONNECT only: a
    Proxy-Authorization among them would miss the proxy of a plain ``http://`` request.

    Raises:
        aiohttp.InvalidURL: The URL is none of a proxy.
    """
    if proxy.scheme not in _HTTP and proxy.scheme not in socks.SCHEMES:
        raise aiohttp.InvalidURL(
            _shown(proxy), f"is no proxy: its scheme must be {', '.join((*_HTTP, *socks.SCHEMES))}"
        )
    if proxy.raw_user is not None or proxy.raw_password is not None:
        auth = req.proxy_auth or _credentials(proxy)
        req.update_proxy(proxy.with_user(None), auth, req.proxy_headers)
    if req.is_ssl() or is_handshake(req):
        return
    # The whole URL is sent, and one without a path has a slash nevertheless (RFC 9112, 3.2.1).
    url = req.url
    parts = url.scheme, url.raw_authority, url.raw_path, url.raw_query_string, ""
    req.url = URL(SplitResult(*parts), encoded=True)
    if req.proxy_headers is not None:
        # Those alone: what has another name may be a secret between client and proxy, and
        # in a plain request everything travels on to the server, unless the proxy knows it.
        value = req.proxy_headers.get(hdrs.PROXY_AUTHORIZATION)
        if value is not None:
            req.headers[hdrs.PROXY_AUTHORIZATION] = value


def request_to(proxy: URL, headers: CIMultiDict[str], req: ClientRequest) -> ClientRequest:
    """Return the request for a tunnel that ``proxy``, a URL with credentials, gets for ``req``."""
    plain = proxy.with_user(None)
    loop = asyncio.get_running_loop()
    made = aiohttp.ClientRequest(hdrs.METH_GET, plain, headers=headers, loop=loop, ssl=req.ssl)
    if proxy.raw_user is not None and (auth := _credentials(proxy)) is not None:
        made.headers[hdrs.PROXY_AUTHORIZATION] = auth.encode()
    return made


def with_credentials(req: ClientRequest) -> URL:
    """Return the proxy of ``req`` with its credentials, for what takes one value only."""
    proxy = req.proxy
    assert proxy is not None
    if req.proxy_auth is None:
        return proxy
    return proxy.with_user(req.proxy_auth.login).with_password(req.proxy_auth.password)


def _credentials(proxy: URL) -> BasicAuth | None:
    try:
        f"{proxy.user}:{proxy.password}".encode("latin-1")
    except UnicodeEncodeError:
        return BasicAuth.from_url(proxy, encoding="utf-8")
    return BasicAuth.from_url(proxy)


def _shown(proxy: URL) -> str:
    return str(proxy.with_user(None)) if proxy.raw_host else f"{proxy.scheme}:..."
