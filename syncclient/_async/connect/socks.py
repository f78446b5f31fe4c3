"""SOCKS proxies: their URLs, and python-socks (the extra ``socks``), which speaks to them.

python-socks is imported once somebody has such a proxy, in that thread, and then the tunnels
through it (``socks_tunnel.py``), which need it, can be imported too.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..._late import load

if TYPE_CHECKING:
    from yarl import URL

#: What a proxy URL may begin with, and whether the proxy resolves the names, as for curl.
SCHEMES = {"socks4": False, "socks4a": True, "socks5": False, "socks5h": True}

_TUNNELS = f"{__package__}.socks_tunnel"


def shown(proxy: URL) -> str:
    """Return ``proxy`` for a message: without its credentials."""
    return f"{proxy.scheme}://{proxy.host_subcomponent}:{port_of(proxy)}"


def port_of(proxy: URL) -> int:
    """Return the port of ``proxy``, 1080 where it names none."""
    return proxy.port or 1080


def prepare(scheme: str) -> None:
    """Import what a proxy with that scheme needs, if it is a SOCKS proxy. May block for long.

    Never raises: that python-socks is missing is an error of the request that needs it.
    """
    if scheme in SCHEMES:
        load(_TUNNELS)


def require() -> None:
    """Raise ImportError, saying what to install, where python-socks is missing."""
    load(_TUNNELS)
    if sys.modules.get(_TUNNELS) is None:
        raise ImportError("SOCKS proxies need python-socks: pip install 'python-socks[asyncio]'")
