"""The proxy of a request: its credentials kept out of its URL, and where its headers go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
from aiohttp import BasicAuth, hdrs
from yarl import URL

from . import socks

if TYPE_CHECKING:
    from aiohttp import ClientRequest

_HTTP = ("http", "https")


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
    if req.proxy_headers is not None and not req.is_ssl():
        # Those alone: what has another name may be a secret between client and proxy, and
        # in a plain request everything travels on to the server, unless the proxy knows it.
        value = req.proxy_headers.get(hdrs.PROXY_AUTHORIZATION)
        if value is not None:
            req.headers[hdrs.PROXY_AUTHORIZATION] = value


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
    return str(proxy.with_user(None)) if proxy.host else f"{proxy.scheme}:..."
