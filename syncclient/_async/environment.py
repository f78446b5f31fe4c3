"""What ``trust_env=True`` takes from the process's environment: proxies, and ``.netrc``.

Ours in place of aiohttp's own, which knows no ``all_proxy``, no network ranges or ports in
``no_proxy``, no HTTPS or SOCKS proxies, hops to a worker thread for every request, and
refuses a request whose Authorization header meets an entry of ``.netrc``.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
import netrc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import hdrs
from yarl import URL

from .tcp import unix_socket

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

_log = logging.getLogger("syncclient")

#: By the scheme of the request: the variables asked, in this order, without their ``_proxy``.
_ASKED = {
    "http": ("http", "all"),
    "https": ("https", "all"),
    "ws": ("ws", "http", "all"),
    "wss": ("wss", "https", "all"),
}

_SYSTEM_SETTINGS = sys.platform in ("win32", "darwin")


class Environment:
    """An aiohttp middleware: adds what the environment says, where the request says nothing.

    It runs for every hop of a redirect, since each may go to another host.

    Args:
        proxies: Whether to take proxies from it; a Unix socket or a SOCKS connector is a way
            of its own already.
    """

    __slots__ = ("_proxies",)

    def __init__(self, *, proxies: bool = True) -> None:
        self._proxies = proxies

    async def __call__(self, req: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send ``req`` on, completed."""
        url = req.url
        if hdrs.AUTHORIZATION not in req.headers:
            credentials = netrc_credentials(url.host or "")
            if credentials is not None:
                req.headers[hdrs.AUTHORIZATION] = aiohttp.encode_basic_auth(*credentials)
        if self._proxies and req.proxy is None and unix_socket.get() is None:
            proxy = proxy_for(url)
            if proxy is not None:
                req.update_proxy(proxy, None, None)
        return await handler(req)


def proxy_for(url: URL) -> URL | None:
    """Return the proxy the environment names for ``url``, credentials included, or None.

    The variables are those of curl, in small letters or in capitals, small ones first:
    ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``. Where none is set, Windows
    and macOS are asked for their own settings.

    Raises:
        aiohttp.InvalidURL: A variable holds no URL. The message names the variable only.
    """
    settings = getproxies()
    for name in _ASKED.get(url.scheme, ()):
        value = settings.get(name)
        if value:
            break
    else:
        return None
    host = url.host or ""
    no_proxy = settings.get("no")
    if no_proxy is None and _SYSTEM_SETTINGS:
        bypassed = bool(proxy_bypass(host))
    else:
        bypassed = bypasses(no_proxy or "", host, url.port)
    if bypassed:
        return None
    proxy = _proxy_url(name, value)
    if proxy.raw_user is None and (known := netrc_credentials(proxy.host or "")) is not None:
        proxy = proxy.with_user(known[0]).with_password(known[1])
    return proxy


@functools.lru_cache(maxsize=16)
def _proxy_url(name: str, value: str) -> URL:
    try:
        proxy = URL(value if "://" in value else f"http://{value}")
    except ValueError:
        proxy = URL()
    if not proxy.host:
        # Nothing of the value: it may well hold a password.
        raise aiohttp.InvalidURL(f"{name}_proxy", "is set to what is not the URL of a proxy")
    return proxy


def bypasses(no_proxy: str, host: str, port: int | None) -> bool:
    """Tell whether ``no_proxy`` exempts a host.

    Its entries, between commas or spaces, are ``*`` for all; a name, for itself and all below
    it, with or without a leading ``.`` or ``*.``; an address; a range of addresses such as
    ``10.0.0.0/8`` or ``fd00::/8``. A name or address may have a ``:port``.
    """
    rules = _rules(no_proxy)
    if not rules:
        return False
    host = host.rstrip(".").lower()
    address = _address(host)
    return any(
        rule.everything
        or (
            rule.port in (None, port)
            and (
                (rule.network is not None and address is not None and address in rule.network)
                or (address is None and rule.name and f".{host}".endswith(f".{rule.name}"))
            )
        )
        for rule in rules
    )


Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


class _Rule(NamedTuple):
    name: str = ""
    network: Network | None = None
    port: int | None = None
    everything: bool = False


@functools.lru_cache(maxsize=16)
def _rules(no_proxy: str) -> tuple[_Rule, ...]:
    return tuple(map(_rule, no_proxy.replace(",", " ").split()))


def _rule(entry: str) -> _Rule:
    if entry == "*":
        return _Rule(everything=True)
    if (network := _network(entry)) is not None:
        return _Rule(network=network)
    port = None
    head, colon, tail = entry.rpartition(":")
    if colon and tail.isdecimal():
        entry, port = head, int(tail)
    entry = entry.removeprefix("[").removesuffix("]").rstrip(".").lower()
    if (network := _network(entry)) is not None:
        return _Rule(network=network, port=port)
    return _Rule(name=entry.removeprefix("*").lstrip("."), port=port)


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def netrc_credentials(host: str) -> tuple[str, str] | None:
    """Return the (login, password) that the user's ``.netrc`` has for ``host``, or None.

    The file is ``$NETRC``, or ``.netrc`` (on Windows also ``_netrc``) in the home directory.
    One that cannot be read, or is malformed, is warned of in the log, once, and counts as empty.
    """
    path = _netrc_path()
    if path is None:
        return None
    try:
        status = os.stat(path)
    except OSError:
        if "NETRC" in os.environ:
            _warn_once(path, "does not exist")
        return None
    entries = _netrc(path, status.st_mtime_ns, status.st_size)
    found = entries.authenticators(host) if entries is not None else None
    if found is None:
        return None
    login, account, password = found
    return login or account or "", password or ""


def _netrc_path() -> str | None:
    if path := os.environ.get("NETRC"):
        return path
    try:
        home = Path.home()
    except RuntimeError:
        return None
    underscored = home / "_netrc"
    return str(underscored if os.name == "nt" and underscored.exists() else home / ".netrc")


# Time and size are there so that a changed file is read again.
@functools.lru_cache(maxsize=4)
def _netrc(path: str, _mtime_ns: int, _size: int) -> netrc.netrc | None:
    try:
        return netrc.netrc(path)
    except netrc.NetrcParseError as exc:
        # Not the parser's words: they may quote a password.
        _warn_once(path, f"is malformed in line {exc.lineno}")
    except (OSError, UnicodeDecodeError):
        _warn_once(path, "cannot be read")
    return None


@functools.lru_cache(maxsize=64)
def _warn_once(path: str, what: str) -> None:
    _log.warning("%s %s: no credentials are taken from it", path, what)
