"""The keywords of httpx's transports, converted to a syncclient session."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict
from yarl import URL

from .._async.connect import socks
from .._client.connectors import TCPConnector
from .._client.cookies import DummyCookieJar
from .._client.transports import UnixConnector
from .._session import Session
from .._types import SSLSetting

if TYPE_CHECKING:
    import ssl

    import aiohttp

    from .._client.connectors import BaseConnector
    from .library import Library

SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)

#: Headers that the engine would add, but must not: only the library's headers are sent.
_NONE_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

#: Seconds of silence before the first probe, between two, and how many of them: a connection
#: behind a NAT, on which a model thinks for minutes, is neither forgotten nor waited for in vain.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 60, "TCP_KEEPCNT": 5}


class SocketFactory:
    """Makes sockets with TCP keepalive and the options of the user's.

    Args:
        options: arguments of ``setsockopt``.
    """

    def __init__(self, options: Iterable[SocketOption] = ()) -> None:
        self._options: list[SocketOption] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        for name, value in _KEEPALIVE.items():
            if (number := getattr(socket, name, None)) is not None:
                self._options.append((socket.IPPROTO_TCP, number, value))
        self._options += options

    def __call__(self, addr_info: aiohttp.AddrInfoType) -> socket.socket:
        """Return a socket for the address. On the loop thread; does not block."""
        family, kind, proto, _, _ = addr_info
        sock = socket.socket(family, kind, proto)
        try:
            for option in self._options:
                sock.setsockopt(*option)
        except BaseException:
            sock.close()
            raise
        return sock


class Way:
    """Where the requests of one transport go: its session, and what goes along with each.

    Args:
        library: httpx or httpx2.
        session: whose connections to use; None makes a session of these keywords.
    """

    def __init__(
        self,
        library: Library,
        *,
        session: Session | None,
        verify: ssl.SSLContext | str | bool,
        cert: Any,
        trust_env: bool,
        http1: bool,
        http2: bool,
        limits: Any,
        proxy: Any,
        uds: str | None,
        local_address: str | None,
        retries: int,
        socket_options: Iterable[SocketOption] | None,
    ) -> None:
        if http2 or not http1:
            raise ValueError(
                "HTTP/2 is not spoken here: leave out http2=True and http1=False, or use "
                f"{library.name}'s own transport for the servers that need it"
            )
        self.options: dict[str, Any] = {"bring": _SMALL, "allow_redirects": False}
        #: What goes to an HTTP proxy with every request.
        self.proxy_headers: list[tuple[bytes, bytes]] = []
        self.is_forwarded = False
        self.retries = _whole("retries", retries)
        #: Whether middlewares see the headers, and may change them.
        self.is_theirs = session is not None
        if proxy is not None:
            self._take_proxy(library, proxy)
        if session is not None:
            self._refuse_beside_session(
                verify=verify is not True,
                cert=cert is not None,
                limits=limits is not None,
                uds=uds is not None,
                local_address=local_address is not None,
                socket_options=socket_options is not None,
            )
            if not isinstance(session, Session):
                raise TypeError(f"session must be a Session, not {type(session).__name__}")
            self.session = session.with_options(
                auto_decompress=False,
                cookie_jar=DummyCookieJar(),
                skip_auto_headers=_NONE_ADDED,
                trust_env=False,
            )
            return
        if limits is None:
            limits = library.module.Limits(max_connections=100, max_keepalive_connections=20)
        library.check("limits", limits, "Limits")
        context = library.module.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)
        context.set_alpn_protocols(["http/1.1"])  # as theirs does
        self.session = Session(
            connector=_connector(context, limits, uds, local_address, socket_options),
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
            skip_auto_headers=_NONE_ADDED,
            timeout=None,
        )
        # Transports are dropped: then the session retires, and open streams continue.
        self.session._opened_at = None
        if uds is not None:
            self.options["ssl"] = context

    def _take_proxy(self, library: Library, proxy: Any) -> None:
        module = library.module
        if isinstance(proxy, (str, module.URL)):
            proxy = module.Proxy(url=proxy)
        library.check("proxy", proxy, "Proxy", "URL")
        if proxy.ssl_context is not None:
            raise ValueError(
                "proxy: an ssl_context of its own cannot be used for the connection to the proxy; "
                "one context verifies both, give it as verify="
            )
        scheme = proxy.url.scheme
        url = URL(f"{scheme}://{proxy.url.netloc.decode('ascii')}", encoded=True)
        if scheme.startswith("socks"):
            socks.require()
            url = url.with_scheme("socks5h")  # the proxy looks names up, as theirs has it
        if proxy.auth is not None:
            url = url.with_user(proxy.auth[0]).with_password(proxy.auth[1])
        self.options["proxy"] = url
        self.is_forwarded = scheme in ("http", "https")
        headers = list(proxy.headers.raw)
        if headers:
            pairs = [(name.decode("ascii"), value.decode("latin-1")) for name, value in headers]
            self.options["proxy_headers"] = CIMultiDict(pairs)
        if proxy.auth is not None and self.is_forwarded:
            words = ":".join(proxy.auth).encode()
            headers.insert(0, (b"Proxy-Authorization", b"Basic " + b64encode(words)))
        self.proxy_headers = headers

    @staticmethod
    def _refuse_beside_session(**given: bool) -> None:
        for name, is_given in given.items():
            if is_given:
                raise ValueError(
                    f"{name}= says how connections are made, and session= has its own: "
                    "give it to the session's connector"
                )


#: Bytes of a body that is worth a moment's wait, so that a response is one crossing.
_SMALL = 2**16


def _connector(
    context: SSLSetting,
    limits: Any,
    uds: str | None,
    local_address: str | None,
    socket_options: Iterable[SocketOption] | None,
) -> BaseConnector:
    expiry = limits.keepalive_expiry
    close = limits.max_keepalive_connections == 0 or (expiry is not None and expiry <= 0)
    keeping: dict[str, Any] = {
        "limit": limits.max_connections or 0,
        "force_close": close,
        "keepalive_timeout": None if close else expiry,
    }
    if uds is not None:
        return UnixConnector(uds, **keeping)
    return TCPConnector(
        ssl=context,
        local_addr=None if local_address is None else (local_address, 0),
        socket_factory=SocketFactory(socket_options or ()),
        **keeping,
    )


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a whole number, 0 or more, not {value!r}")
    return value
