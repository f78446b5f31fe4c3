"""Tunnels through SOCKS proxies, by python-socks (the extra ``socks``)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    import socket

    import python_socks
    from aiohttp.client_reqrep import ClientRequest
    from python_socks.async_.asyncio import Proxy
    from yarl import URL
else:
    try:
        import python_socks
        from python_socks.async_.asyncio import Proxy
    except ImportError:  # an extra
        python_socks = None

#: What a proxy URL may begin with, and whether the proxy resolves the names, as for curl.
SCHEMES = {"socks4": False, "socks4a": True, "socks5": False, "socks5h": True}

#: python-socks takes None for a minute; our limits come from outside, so none is set there.
_NO_LIMIT = 7 * 24 * 3600.0


def shown(proxy: URL) -> str:
    """Return ``proxy`` for a message: without its credentials."""
    return f"{proxy.scheme}://{proxy.host_subcomponent}:{port_of(proxy)}"


def port_of(proxy: URL) -> int:
    """Return the port of ``proxy``, 1080 where it names none."""
    return proxy.port or 1080


def require() -> None:
    """Raise ImportError, saying what to install, where python-socks is missing."""
    if globals()["python_socks"] is None:
        raise ImportError("SOCKS proxies need python-socks: pip install 'python-socks[asyncio]'")


class _Opened:
    """Stands in for the proxy before the first one: gives python-socks a socket made by us.

    Its own connects to the first address of a name only, from whatever address it gets.
    """

    def __init__(self, open_socket: Callable[[], Awaitable[socket.socket]]) -> None:
        self._open = open_socket

    async def connect(self, **where: object) -> socket.socket:
        try:
            return await self._open()
        except OSError as exc:
            raise python_socks.ProxyConnectionError(exc.errno, str(exc)) from exc


async def tunnel(
    proxy: URL,
    host: str,
    port: int,
    open_socket: Callable[[], Awaitable[socket.socket]],
    *,
    req: ClientRequest,
    timeout: float | None,
) -> socket.socket:
    """Return a socket that ``proxy`` has joined to ``host``, a name or an address.

    Args:
        open_socket: connects to the proxy.
        timeout: Seconds for the whole way to ``host``; None or 0 for no limit.

    Raises:
        aiohttp.ClientProxyConnectionError: The proxy cannot be reached, refuses, or does not
            talk SOCKS; the message says which, without credentials.
        asyncio.TimeoutError: ``timeout`` ran out.
    """
    require()
    try:
        way = _open(proxy, _Opened(open_socket))
        return await way.connect(host, port, timeout=timeout or _NO_LIMIT)
    except python_socks.ProxyTimeoutError as exc:
        raise asyncio.TimeoutError from exc
    except python_socks.ProxyConnectionError as exc:
        cause = exc.__cause__
        why = getattr(cause, "strerror", None) or str(cause or exc)
        errno = getattr(cause, "errno", None)
        raise _failed(proxy, req, errno, why) from exc
    except python_socks.ProxyError as exc:
        said = str(exc) or "it closed the connection"
        raise _failed(
            proxy, req, None, f"the {proxy.scheme} proxy did not connect to {host}:{port}: {said}"
        ) from exc


def _open(proxy: URL, opened: Any) -> Proxy:
    kinds = python_socks.ProxyType
    kind = kinds.SOCKS4 if proxy.scheme.startswith("socks4") else kinds.SOCKS5
    # rdns is always on: where a name is to be resolved here, it already is an address.
    return Proxy(
        kind,
        proxy.raw_host or "",
        port_of(proxy),
        proxy.user,
        proxy.password,
        rdns=True,
        forward=opened,
    )


def _failed(
    proxy: URL, req: ClientRequest, errno: int | None, message: str
) -> aiohttp.ClientProxyConnectionError:
    # As aiohttp does for HTTP proxies: the error's host and port are the proxy's.
    key = req.connection_key._replace(host=proxy.raw_host or "", port=port_of(proxy))
    return aiohttp.ClientProxyConnectionError(key, OSError(errno, message))
