"""Tunnels through SOCKS proxies, by python-socks (the extra ``socks``)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    import socket

    from aiohttp.client_reqrep import ClientRequest
    from python_socks.async_.asyncio import Proxy
    from yarl import URL

#: What a proxy URL may begin with, and whether the proxy resolves the names, as for curl.
SCHEMES = {"socks4": False, "socks4a": True, "socks5": False, "socks5h": True}

#: python-socks takes None for a minute; our limits come from outside, so none is set there.
_NO_LIMIT = 7 * 24 * 3600.0


def shown(proxy: URL) -> str:
    """Return ``proxy`` for a message: without its credentials."""
    return f"{proxy.scheme}://{proxy.host}:{port_of(proxy)}"


def port_of(proxy: URL) -> int:
    """Return the port of ``proxy``, 1080 where it names none."""
    return proxy.port or 1080


def require() -> None:
    """Raise ImportError, saying what to install, where python-socks is missing."""
    try:
        import python_socks.async_.asyncio  # noqa: F401 - an extra: is it here?
    except ImportError as exc:
        raise ImportError(
            "SOCKS proxies need python-socks: pip install 'syncclient[socks]'"
        ) from exc


async def tunnel(
    proxy: URL, host: str, port: int, *, req: ClientRequest, timeout: float | None
) -> socket.socket:
    """Return a socket that ``proxy`` has joined to ``host``, a name or an address.

    Args:
        timeout: Seconds for the whole way to ``host``; None or 0 for no limit.

    Raises:
        aiohttp.ClientProxyConnectionError: The proxy cannot be reached, refuses, or does not
            talk SOCKS; the message says which, without credentials.
        asyncio.TimeoutError: ``timeout`` ran out.
    """
    require()
    import python_socks

    try:
        return await _open(proxy).connect(host, port, timeout=timeout or _NO_LIMIT)
    except python_socks.ProxyTimeoutError as exc:
        raise asyncio.TimeoutError from exc
    except python_socks.ProxyConnectionError as exc:
        cause = exc.__cause__
        why = getattr(cause, "strerror", None) or str(cause or exc)
        errno = getattr(cause, "errno", None)
        raise _failed(proxy, req, errno, f"proxy not reached: {why}") from exc
    except python_socks.ProxyError as exc:
        said = str(exc) or "it closed the connection"
        raise _failed(
            proxy, req, None, f"the {proxy.scheme} proxy did not connect to {host}:{port}: {said}"
        ) from exc


def _open(proxy: URL) -> Proxy:
    from python_socks import ProxyType
    from python_socks.async_.asyncio import Proxy

    kind = ProxyType.SOCKS4 if proxy.scheme.startswith("socks4") else ProxyType.SOCKS5
    # rdns is always on: where a name is to be resolved here, it already is an address.
    return Proxy(kind, proxy.host or "", port_of(proxy), proxy.user, proxy.password, rdns=True)


def _failed(
    proxy: URL, req: ClientRequest, errno: int | None, message: str
) -> aiohttp.ClientProxyConnectionError:
    # As aiohttp does for HTTP proxies: the error's host and port are the proxy's.
    key = req.connection_key._replace(host=proxy.host or "", port=port_of(proxy))
    return aiohttp.ClientProxyConnectionError(key, OSError(errno, message))
