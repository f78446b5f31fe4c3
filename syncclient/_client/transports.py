"""Connectors other than TCPConnector: SOCKS proxies, Unix sockets, named pipes."""

from __future__ import annotations

import os
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypedDict
from urllib.parse import unquote

import aiohttp
from yarl import URL

from .._async.connect import socks
from .._async.connect.local import PipeSettings, UnixSettings
from .._async.connect.tcp import SocksSettings
from .._checks import UNSET, Unset
from .._models import redacted_url
from .._types import StrOrURL
from .._urls import is_encodable, parse_url, to_url, url_or_fault
from .connectors import BaseConnector, TCPConnector, keeping
from .resolvers import ResolverLike
from .tls import SSLArgument

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: The C library rejects longer paths with a message that names neither path nor limit.
_UNIX_PATH_MAX = 103 if sys.platform == "darwin" else 107

_ON_WINDOWS = os.name == "nt"


class TCPOptions(TypedDict, total=False):
    """The keywords of SocksConnector other than those of the proxy."""

    use_dns_cache: bool
    ttl_dns_cache: float | None
    dns_cache_max_size: int
    family: int
    ssl: SSLArgument
    resolver: ResolverLike
    keepalive_timeout: float | None
    force_close: bool
    limit: int
    limit_per_host: int
    timeout_ceil_threshold: float


class SocksConnector(TCPConnector):
    """Connections through a SOCKS proxy; needs python-socks.

    Args:
        url: The proxy, ``socks5://user:password@host:1080`` or with ``socks5h``, ``socks4``
            or ``socks4a``. With ``h`` or ``a``, the proxy resolves host names.
        rdns: Whether the proxy resolves host names; overrides the scheme of the URL.
        options: Arguments of :class:`TCPConnector` that apply to proxied connections.

    Raises:
        ImportError: python-socks is not installed.
        ValueError: ``url`` is not the URL of a SOCKS proxy. The message shows no password.
    """

    __slots__ = ()

    def __init__(
        self, url: str | URL, *, rdns: bool | None = None, **options: Unpack[TCPOptions]
    ) -> None:
        unknown = set(options) - set(TCPOptions.__annotations__)
        if unknown:
            raise TypeError(f"SocksConnector takes no {', '.join(sorted(unknown))}")
        socks.require()
        if not isinstance(url, (str, URL)):
            raise TypeError(f"url must be a str or a yarl.URL, not {type(url).__name__}")
        proxy = url_or_fault(to_url, url)
        if isinstance(proxy, str) or proxy.scheme not in socks.SCHEMES or not proxy.raw_host:
            raise ValueError(
                "the URL of a SOCKS proxy is scheme://host:port, the scheme one of "
                f"{', '.join(socks.SCHEMES)}, not {redacted_url(url)!r}"
            )
        if rdns is not None:
            proxy = proxy.with_scheme(_SCHEME[proxy.scheme.startswith("socks4"), rdns])
        plain = TCPConnector(**options)._tcp
        common: dict[str, Any] = {f.name: getattr(plain, f.name) for f in fields(plain)}
        self._describe(SocksSettings(proxy=proxy, **common))


#: Schemes by SOCKS version (4 or not), and by whether the proxy resolves names.
_SCHEME = {
    (True, False): "socks4",
    (True, True): "socks4a",
    (False, False): "socks5",
    (False, True): "socks5h",
}


class UnixConnector(BaseConnector):
    """Connections to a Unix socket, for any host in the URL.

    ``https://`` and ``wss://`` URLs use TLS over it, with the ``ssl=`` of the request, and verify
    the host of the URL.

    Args:
        path: The socket's path.
        force_close, keepalive_timeout, limit, limit_per_host: As for :class:`TCPConnector`.

    Raises:
        ValueError: The path is empty, or longer than the system allows.
    """

    __slots__ = ()

    def __init__(
        self,
        path: str | os.PathLike[str],
        force_close: bool = False,
        keepalive_timeout: float | Unset | None = UNSET,
        limit: int = 100,
        limit_per_host: int = 0,
    ) -> None:
        path = os.fspath(path)
        size = len(os.fsencode(path))
        if not 0 < size <= _UNIX_PATH_MAX:
            raise ValueError(
                f"the path of a Unix socket has 1 to {_UNIX_PATH_MAX} bytes, not {size}: {path!r}"
            )
        common = keeping(limit, limit_per_host, keepalive_timeout, force_close)
        self._describe(UnixSettings(path=path, **common))

    @property
    def path(self) -> str:
        """The socket's path."""
        assert isinstance(self._settings, UnixSettings)
        return self._settings.path


class NamedPipeConnector(BaseConnector):
    """Connections to a named pipe. On Windows, on a proactor event loop.

    Args:
        path: The pipe's path.
        force_close, keepalive_timeout, limit, limit_per_host: As for :class:`TCPConnector`.

    Raises:
        RuntimeError: This is not Windows.
    """

    __slots__ = ()

    def __init__(
        self,
        path: str,
        force_close: bool = False,
        keepalive_timeout: float | Unset | None = UNSET,
        limit: int = 100,
        limit_per_host: int = 0,
    ) -> None:
        if not _ON_WINDOWS:
            raise RuntimeError("named pipes exist only on Windows: use UnixConnector here")
        common = keeping(limit, limit_per_host, keepalive_timeout, force_close)
        self._describe(PipeSettings(path=path, **common))

    @property
    def path(self) -> str:
        """The pipe's path."""
        assert isinstance(self._settings, PipeSettings)
        return self._settings.path


def check_connector(connector: object) -> BaseConnector:
    """Return ``connector``, or the default one for None.

    Raises:
        TypeError: It is not a description; the message says what to write.
    """
    if connector is None:
        return TCPConnector()
    if isinstance(connector, BaseConnector):
        return connector
    if isinstance(connector, aiohttp.BaseConnector):
        name = type(connector).__name__
        ours = name if name in ("UnixConnector", "NamedPipeConnector") else "TCPConnector"
        raise TypeError(
            f"connector must not be aiohttp's {name}, which belongs to the event loop that "
            f"created it: write connector=syncclient.{ours}(...) with the same arguments"
        )
    if isinstance(connector, type) and issubclass(connector, BaseConnector):
        raise TypeError(f"connector must be an object, not a class: {connector.__name__}(...)")
    raise TypeError(
        f"connector must be a TCPConnector or another connector, not {type(connector).__name__}"
    )


def split_unix_url(url: StrOrURL) -> tuple[str, URL] | None:
    """Return the path of the socket and the URL to request over it; None for any other URL.

    ``http+unix://%2Frun%2Fapp.sock/status`` is ``/run/app.sock`` and ``http://localhost/status``;
    ``https+unix://``, ``ws+unix://`` and ``wss+unix://`` work the same way. Pass it as text: a
    ``yarl.URL`` loses the capital letters of the path.

    Raises:
        aiohttp.InvalidURL: It contains no path.
    """
    # Every request passes here, so the usual URLs return first.
    if "+unix" not in (url[:10] if isinstance(url, str) else getattr(url, "scheme", "")):
        return None
    text = str(url)
    scheme, plus, rest = text.partition("+unix://")
    if not plus or scheme.lower() not in ("http", "https", "ws", "wss"):
        return None
    authority, slash, path = rest.partition("/")
    userinfo, at, quoted = authority.rpartition("@")
    socket_path = unquote(quoted)
    if not socket_path:
        raise aiohttp.InvalidURL(
            redacted_url(text),
            "must name the socket, with %2F for each slash: http+unix://%2Frun%2Fapp.sock/path",
        )
    return socket_path, parse_url(f"{scheme.lower()}://{userinfo}{at}localhost{slash}{path}")


def proxy_url(
    proxy: StrOrURL | None, proxy_auth: aiohttp.BasicAuth | tuple[str, str] | None
) -> URL | None:
    """Return ``proxy`` with the credentials of ``proxy_auth`` in it.

    The core removes them again before anything can show them. If ``proxy_auth`` were passed
    separately, aiohttp would warn about its own parameter.

    Raises:
        TypeError: One of them has a wrong type.
        aiohttp.InvalidURL: ``proxy`` is not a URL; the message does not show it.
        ValueError: Both contain credentials, or there is no proxy for them.
    """
    if proxy is None:
        if proxy_auth is not None:
            raise ValueError("proxy_auth needs a proxy")
        return None
    if not isinstance(proxy, (str, URL)):
        raise TypeError(f"proxy must be a str or a yarl.URL, not {type(proxy).__name__}")
    if proxy_auth is not None and not isinstance(proxy_auth, tuple):
        raise TypeError(
            f"proxy_auth must be a BasicAuth or (login, password), not {type(proxy_auth).__name__}"
        )
    target = url_or_fault(to_url, proxy)
    if isinstance(target, str) or not target.raw_host:
        raise aiohttp.InvalidURL("proxy", "must be a URL: http://host:port")
    if proxy_auth is None:
        return target
    if target.raw_user is not None:
        raise ValueError("proxy_auth cannot be combined with credentials in the proxy's URL")
    if not is_encodable("".join(proxy_auth[:2])):
        raise ValueError("proxy_auth contains a lone surrogate, which cannot be encoded")
    return target.with_user(proxy_auth[0]).with_password(proxy_auth[1])


def check_way(
    connector: BaseConnector | None, *, proxy: URL | None, unix_socket: str | None = None
) -> None:
    """Raise if two conflicting ways to reach a server are given.

    Args:
        connector: The session's; None for the default one.
        proxy: The proxy of the request or, without one, of the session.
        unix_socket: The path of the socket that the URL names.

    Raises:
        ValueError: The message names both ways.
    """
    if isinstance(connector, (UnixConnector, NamedPipeConnector)):
        name, path = type(connector).__name__, connector.path
        if proxy is not None:
            raise ValueError(f"proxy cannot be combined with a {name}, which connects to {path}")
        if unix_socket not in (None, path):
            raise ValueError(
                f"the URL names the socket {unix_socket}, "
                f"but the session's {name} connects to {path}"
            )
    elif proxy is None:
        return
    elif unix_socket is not None:
        raise ValueError(f"proxy cannot be combined with a URL that names a socket, {unix_socket}")
    elif isinstance(connector, SocksConnector) and proxy.scheme in socks.SCHEMES:
        raise ValueError(
            f"proxy={socks.shown(proxy)} cannot be combined with a SocksConnector: "
            "a request can use only one SOCKS proxy"
        )
