"""Settings from the environment for ``trust_env=True``: proxies and ``.netrc``.

This replaces aiohttp's own code, which does not support ``all_proxy``, network ranges or ports in
``no_proxy``, HTTPS or SOCKS proxies, uses a worker thread for every request, and refuses requests
that have both an Authorization header and an entry in ``.netrc``.
"""

from __future__ import annotations

import base64
import functools
import ipaddress
import logging
import os
import stat
import sys
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import hdrs
from yarl import URL

from ..._hosts import host_key
from ..._urls import origin_of, parse_url
from ..exchange.progress import progress
from .netrc import MalformedError, Netrc, parse_netrc
from .tcp import socket_to

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

_log = logging.getLogger("syncclient")

#: By the scheme of the request: the variables to read, in this order, without ``_proxy``.
_ASKED = {
    "http": ("http", "all"),
    "https": ("https", "all"),
    "ws": ("ws", "http", "all"),
    "wss": ("wss", "https", "all"),
}

#: The first existing file counts; curl and requests know both names.
_NETRC_NAMES = (".netrc", "_netrc")

_SYSTEM_SETTINGS = sys.platform in ("win32", "darwin")


class Surroundings(NamedTuple):
    """Settings of the environment. Read by the caller of a request, never on the event loop.

    Reading them accesses the file system, and on Windows and macOS the system's settings.
    """

    proxies: dict[str, str]
    netrc: Netrc | None


def read_surroundings() -> Surroundings:
    """Return the present settings of the environment."""
    return Surroundings(getproxies(), read_netrc())


class Hops:
    """The environment's settings for each hop of one request.

    The credentials of a host are sent only to the scheme and port of the first request to it: a
    redirect to another port, or from https to http, gets none (CVE-2022-27774). A redirect from
    http to https, both on the default ports, gets them. A redirect to another host gets the
    entry of that host, but not the ``default`` entry.
    """

    __slots__ = ("_first", "_origins", "_secure", "given")

    def __init__(self, given: Surroundings) -> None:
        self.given = given
        self._first = ""
        self._origins: dict[str, Origin] = {}
        #: Whether a hop used TLS: then no later hop without TLS gets credentials.
        self._secure = False

    def authorization(self, url: URL) -> str | None:
        """Return the Authorization header for a hop to ``url``, or None."""
        origin = origin_of(url)
        scheme, host, _ = origin
        secure = scheme == "https"
        downgraded = self._secure and not secure
        self._secure = self._secure or secure
        self._first = self._first or host
        known = self._origins.setdefault(host, origin)
        if known != origin and (known[0], known[2], scheme, origin[2]) != _UPGRADE:
            return None
        netrc = self.given.netrc
        if downgraded or netrc is None:
            return None
        entry = netrc.entry(host, default=host == self._first)
        if entry is None:
            return None
        # Not by aiohttp, which refuses a login with a colon.
        words = f"{entry.login}:{entry.password}".encode(netrc.encoding)
        return f"Basic {base64.b64encode(words).decode()}"


Origin: TypeAlias = "tuple[str, str, int | None]"

_UPGRADE = ("http", 80, "https", 443)


class Environment:
    """An aiohttp middleware: applies the environment's settings if nothing else is set.

    It is the innermost, so that other middlewares take precedence, for example with a token or
    another URL. It runs for every hop of a redirect, because each may go to another host.

    Args:
        proxies: Whether to use proxies; not with a Unix socket or a SOCKS connector.
    """

    __slots__ = ("_proxies",)

    def __init__(self, *, proxies: bool = True) -> None:
        self._proxies = proxies

    async def __call__(self, req: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Complete ``req``, and send it."""
        current = progress.get()
        hops: Hops | None = None if current is None else current.hops
        # If the URL names a socket, the host has no meaning.
        if hops is None or socket_to(req.url) is not None:
            return await handler(req)
        authorization = hops.authorization(req.url)
        if authorization is not None and hdrs.AUTHORIZATION not in req.headers:
            req.headers[hdrs.AUTHORIZATION] = authorization
        if req.proxy is None:
            proxy = self.proxy_for(req.url, hops)
            if proxy is not None:
                req.update_proxy(proxy, None, None)
        return await handler(req)

    def proxy_for(self, url: URL, hops: Hops) -> URL | None:
        """Return the proxy for a hop to ``url``; None if it goes without one.

        Raises:
            aiohttp.InvalidURL: see the function ``proxy_for``.
        """
        return proxy_for(url, hops.given) if self._proxies else None


def proxy_for(url: URL, given: Surroundings | None = None) -> URL | None:
    """Return the environment's proxy for ``url``, including credentials, or None.

    The variables are those of curl, in lower or upper case, lower case first: ``http_proxy``,
    ``https_proxy``, ``all_proxy`` and ``no_proxy``. If none is set, the system settings of
    Windows and macOS are used.

    Raises:
        aiohttp.InvalidURL: A variable is not a URL. The message only names the variable.
    """
    if given is None:
        given = read_surroundings()
    settings = given.proxies
    for name in _ASKED.get(url.scheme, ()):
        value = settings.get(name)
        if value:
            break
    else:
        return None
    host = url.raw_host or ""
    no_proxy = settings.get("no")
    if no_proxy is None and _SYSTEM_SETTINGS:
        bypassed = bool(proxy_bypass(host))
    else:
        bypassed = bypasses(no_proxy or "", host, url.port)
    if bypassed:
        return None
    proxy = _proxy_url(name, value)
    if proxy.raw_user is None and given.netrc is not None:
        # Not the default entry: that is for servers, and a proxy would get it with every request.
        entry = given.netrc.entry(proxy.raw_host or "", default=False)
        if entry is not None:
            proxy = proxy.with_user(entry.login).with_password(entry.password)
    return proxy


@functools.lru_cache(maxsize=16)
def _proxy_url(name: str, value: str) -> URL:
    try:
        proxy = parse_url(value if "://" in value else f"http://{value}")
    except ValueError:
        proxy = URL()
    if not proxy.raw_host:
        # Without the value, which may contain a password.
        raise aiohttp.InvalidURL(f"{name}_proxy", "is not set to the URL of a proxy")
    return proxy


def bypasses(no_proxy: str, host: str, port: int | None) -> bool:
    """Return whether ``no_proxy`` exempts a host.

    Its entries, separated by commas or spaces, are ``*`` for all; a name, for itself and all names
    below it, with or without a leading ``.`` or ``*.``, in any script; an address; a range of
    addresses such as ``10.0.0.0/8`` or ``fd00::/8``. A name or address may have a ``:port``.
    """
    rules = _rules(no_proxy)
    if not rules:
        return False
    host = host_key(host)
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
    return _Rule(name=host_key(entry.removeprefix("*").lstrip(".")), port=port)


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
    """Return the (login, password) that the user's ``.netrc`` has for ``host``, or None."""
    netrc = read_netrc()
    return None if netrc is None else netrc.entry(host)


def read_netrc() -> Netrc | None:
    """Return the contents of ``$NETRC``, ``~/.netrc`` or ``~/_netrc``; None if there is no file.

    If it cannot be read, or is malformed, this logs a warning once, and the file counts as empty.
    """
    named = os.environ.get("NETRC")
    paths = (named,) if named else tuple(f"~/{name}" for name in _NETRC_NAMES)
    for path in map(os.path.expanduser, paths):
        try:
            status = os.stat(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            _warn_once(path, "cannot be read")
            return None
        if not stat.S_ISREG(status.st_mode):
            # A pipe could be read only once, and would delay the first request.
            if path != os.devnull:
                _warn_once(path, "is no regular file")
            return None
        return _read(path, status.st_ino, status.st_mtime_ns, status.st_size)
    if named:
        _warn_once(named, "does not exist")
    return None


# Inode, time and size are arguments so that a changed file is read again.
@functools.lru_cache(maxsize=4)
def _read(path: str, _inode: int, _mtime_ns: int, _size: int) -> Netrc | None:
    try:
        with open(path, "rb") as file:
            return parse_netrc(file.read())
    except MalformedError as exc:
        _warn_once(path, f"is malformed in line {exc.line}")
    except OSError:
        _warn_once(path, "cannot be read")
    return None


@functools.lru_cache(maxsize=64)
def _warn_once(path: str, what: str) -> None:
    _log.warning("%s %s: no credentials are taken from it", path, what)
