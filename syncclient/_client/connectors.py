"""Connectors: descriptions of connections, created in any thread and without an event loop.

A Session creates a pool from its description on the loop thread, and another in a forked child.
So one description serves any number of sessions, threads and processes.
"""

from __future__ import annotations

import socket
import ssl as ssl_module
import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import aiohttp
import anyio.to_thread
from yarl import URL

from .._async.connect import socks
from .._async.connect.pool import (
    Pool,
    PoolFactory,
    PoolSettings,
    PoolSnapshot,
    Token,
)
from .._async.connect.tcp import TCPPool, TCPSettings
from .._checks import UNSET, Unset, address_family, count, local_address, seconds
from .._other_libraries import answering
from .resolvers import ResolverLike, names_of
from .shared_pool import SharedPool
from .tls import SSLArgument, is_system_context, merge_ssl, system_context

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class SessionPool(Protocol):
    """The live pool of a session, on the loop thread."""

    @property
    def closed(self) -> bool:
        """Whether the session is closed."""
        ...

    def __call__(self, question: Callable[[Pool], T], /) -> T | None:
        """Return the pool's answer, or None if there is no pool yet. Blocks for one crossing."""
        ...

    def close_pool(self, abort_ssl: bool) -> None:
        """Close the pool, if there is one. Blocks for one crossing."""
        ...


class BaseConnector:
    """The base class of all connectors: immutable descriptions that need no event loop.

    Two descriptions are equal if their parts are, and can be pickled if their parts can (an
    ``ssl.SSLContext`` cannot). Each session opens its own pool from its description. Sessions
    with ``connector_owner=False`` and the *same* description share a pool, which lasts until
    ``close()``. Sessions that are given another session's ``connector`` share its pool, which
    closes with the last of them.
    """

    __slots__ = ("_pool", "_settings", "_shared", "_token")
    _settings: PoolSettings
    _token: Token
    _pool: SessionPool | None
    _shared: SharedPool | None

    def __init__(self) -> None:
        raise TypeError("BaseConnector is abstract: use TCPConnector, UnixConnector ...")

    def _describe(
        self,
        settings: PoolSettings,
        token: Token | None = None,
        pool: SessionPool | None = None,
        shared: SharedPool | None = None,
    ) -> None:
        object.__setattr__(self, "_settings", settings)
        #: Stands for the pool in ``connector_owner=False`` sessions.
        token = token or Token()
        object.__setattr__(self, "_token", token)
        object.__setattr__(self, "_pool", pool)
        #: The pool of those sessions; None for the pool that a session owns.
        object.__setattr__(self, "_shared", SharedPool(token) if pool is None else shared)

    @property
    def limit(self) -> int:
        """Maximum number of open connections; 0 sets no limit."""
        return self._settings.limit

    @property
    def limit_per_host(self) -> int:
        """Maximum number of open connections to one host (name, port and TLS); 0 sets no limit."""
        return self._settings.limit_per_host

    @property
    def force_close(self) -> bool:
        """Whether each connection is closed after one exchange."""
        return self._settings.force_close

    @property
    def keepalive_timeout(self) -> float | None:
        """Seconds that an idle connection is kept; None keeps it as long as the server does."""
        return self._settings.keepalive_timeout

    def snapshot(self) -> PoolSnapshot:
        """Return the current numbers of open and idle connections, and of waiting requests.

        Any thread may call it, on the ``connector`` of a session. Blocks for one crossing.

        Raises:
            RuntimeError: This is only a description, without connections. Use
                ``session.connector``.
        """
        if self._pool is None:
            raise RuntimeError("only a session's connector has connections: use session.connector")
        held = self._pool(_snapshot)
        return PoolSnapshot(self.limit, self.limit_per_host) if held is None else held

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called, or the session of this pool is closed."""
        owned = self._shared is None and self._pool is not None and self._pool.closed
        return owned or self._token.closed

    def close(self, *, abort_ssl: bool = False) -> None:
        """Close the connections, even those in use. Blocks; may be called again.

        This closes the pool that sessions with ``connector_owner=False`` share, or, for
        ``session.connector``, the session's own pool. Requests of these sessions then raise
        ClientConnectionError, and so do those of sessions created later. A shared pool outlives
        its sessions until this is called. ``abort_ssl`` drops TLS connections without a TLS
        close.
        """
        if self._shared is not None:
            self._shared.close(abort_ssl)
        elif self._pool is not None:
            self._token.closed = True
            self._pool.close_pool(abort_ssl)

    async def aclose(self, *, abort_ssl: bool = False) -> None:
        """Like ``close``, for tasks of any loop: it does not block their thread."""
        await anyio.to_thread.run_sync(partial(self.close, abort_ssl=abort_ssl))

    def _factory(self, *, shared: bool = False) -> PoolFactory:
        """Return the factory that opens the pool on the loop.

        ``shared``: whether it is for sessions with ``connector_owner=False``.
        """
        token = self._token if shared else Token(closed=self._token.closed)
        return PoolFactory(self._settings, token)

    def _bound(self, factory: PoolFactory, pool: SessionPool) -> Self:
        """Return this description as the ``connector`` of the session that uses ``factory``."""
        shared = self._shared if factory.token is self._token else None
        return _described(type(self), self._settings, factory.token, pool, shared)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a connector is immutable: create a new one with {name}=")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a connector is immutable: {name} cannot be deleted")

    def __reduce__(self) -> tuple[Callable[..., BaseConnector], tuple[object, ...]]:
        """Pickle the description. A connector with an ``ssl.SSLContext`` raises TypeError."""
        settings = self._settings
        if not isinstance(settings, TCPSettings) or not isinstance(
            settings.ssl, ssl_module.SSLContext
        ):
            return _described, (type(self), settings)
        if is_system_context(settings.ssl):
            return _described_with_system, (type(self), replace(settings, ssl=True))
        raise TypeError(
            f"a {type(self).__name__} with an ssl.SSLContext cannot be pickled, because a context "
            "cannot: create both where they are used, or write ssl=True, False, "
            '"system" or a Fingerprint'
        )

    def __copy__(self) -> Self:
        return self  # it never changes

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BaseConnector):
            return NotImplemented
        return type(self) is type(other) and self._settings == other._settings

    def __hash__(self) -> int:
        return hash(self._settings)

    def __repr__(self) -> str:
        settings = self._settings
        parts = (
            f"{field.name}={_shown(getattr(settings, field.name))}"
            for field in fields(settings)
            if getattr(settings, field.name) != field.default
        )
        return f"{type(self).__name__}({', '.join(parts)})"


C = TypeVar("C", bound=BaseConnector)


def _described(
    cls: type[C],
    settings: PoolSettings,
    token: Token | None = None,
    pool: SessionPool | None = None,
    shared: SharedPool | None = None,
) -> C:
    connector = cls.__new__(cls)
    connector._describe(settings, token, pool, shared)
    return connector


def _described_with_system(cls: type[C], settings: TCPSettings) -> C:
    return _described(cls, replace(settings, ssl=system_context()))


def _snapshot(pool: Pool) -> PoolSnapshot:
    return pool.snapshot()


def _shown(part: object) -> str:
    if isinstance(part, ssl_module.SSLContext):
        return "<SSLContext>"
    if isinstance(part, bytes):
        return f"Fingerprint({part!r})"
    if isinstance(part, URL):
        return repr(socks.shown(part))
    return repr(part)


@answering("TCPConnector")
class TCPConnector(BaseConnector):
    """Connections over TCP, the default.

    Args:
        ssl: True verifies (certifi's authorities, or those that SSL_CERT_FILE and
            SSL_CERT_DIR name), False does not, "system" verifies with the operating system's
            trust store; or an ``ssl.SSLContext``, or a Fingerprint. A request's ``ssl=``
            takes precedence. ``verify_ssl``, ``ssl_context`` and ``fingerprint`` are older
            spellings.
        use_dns_cache: Whether addresses are cached, for ``ttl_dns_cache`` seconds (None sets
            no limit) and ``dns_cache_max_size`` names.
        family: ``socket.AF_INET`` or ``AF_INET6`` to use only one of them.
        local_addr: The (address, port) to connect from; port 0 lets the system choose.
        resolver: See :mod:`syncclient`'s resolvers, ``{host: address}``, or any object with a
            blocking ``resolve(host, port, family)``.
        keepalive_timeout: Seconds that an idle connection is kept, 15 by default; None keeps it
            as long as the server does.
        force_close: Close each connection after one exchange.
        limit: Maximum number of open connections; 0 sets no limit.
        limit_per_host: Maximum number of open connections to one host; 0 sets no limit.
        enable_cleanup_closed: Drop TLS connections that the peer never closes. Useful on
            Python before 3.12.8, ignored with a warning elsewhere.
        timeout_ceil_threshold: Timeouts of more seconds than this are rounded up to whole
            seconds.
        happy_eyeballs_delay: Seconds after which the next address is tried at the same time as
            the last (RFC 8305); None tries one after the other.
        interleave: How many addresses of the first family are tried before the second one.
        socket_factory: Makes the socket for an address; called on the loop thread, so it must
            not block.
        ssl_shutdown_timeout: Deprecated by aiohttp.

    Raises:
        TypeError, ValueError: An argument is wrong; the message names it.
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        verify_ssl: bool = True,
        fingerprint: bytes | None = None,
        use_dns_cache: bool = True,
        ttl_dns_cache: float | None = 10,
        dns_cache_max_size: int = 1000,
        family: int = socket.AF_UNSPEC,
        ssl_context: ssl_module.SSLContext | None = None,
        ssl: SSLArgument = True,
        local_addr: tuple[str, int] | None = None,
        resolver: ResolverLike = None,
        keepalive_timeout: float | Unset | None = UNSET,
        force_close: bool = False,
        limit: int = 100,
        limit_per_host: int = 0,
        enable_cleanup_closed: bool = False,
        timeout_ceil_threshold: float = 5,
        happy_eyeballs_delay: float | None = 0.25,
        interleave: int | None = None,
        socket_factory: aiohttp.SocketFactoryType | None = None,
        ssl_shutdown_timeout: float | Unset | None = UNSET,
    ) -> None:
        setting = merge_ssl(ssl, verify_ssl, ssl_context, fingerprint)
        if enable_cleanup_closed and not _NEEDS_CLEANUP_CLOSED:
            warnings.warn(
                "enable_cleanup_closed is ignored: this Python closes TLS connections itself",
                DeprecationWarning,
                stacklevel=3,  # answering() is one
            )
            enable_cleanup_closed = False
        if ssl_shutdown_timeout is not UNSET:
            warnings.warn(
                "The ssl_shutdown_timeout parameter is deprecated "
                "and will be removed in aiohttp 4.0",
                DeprecationWarning,
                stacklevel=3,  # answering() is one
            )
        if socket_factory is not None and not callable(socket_factory):
            raise TypeError(f"socket_factory must be callable, not {socket_factory!r}")
        settings = TCPSettings(
            **keeping(limit, limit_per_host, keepalive_timeout, force_close),
            ssl=setting.fingerprint if isinstance(setting, aiohttp.Fingerprint) else setting,
            use_dns_cache=bool(use_dns_cache),
            ttl_dns_cache=seconds("ttl_dns_cache", ttl_dns_cache),
            dns_cache_max_size=count("dns_cache_max_size", dns_cache_max_size, least=1),
            family=address_family(family),
            local_addr=local_address(local_addr),
            resolver=names_of(resolver),
            enable_cleanup_closed=enable_cleanup_closed,
            timeout_ceil_threshold=seconds("timeout_ceil_threshold", timeout_ceil_threshold) or 0,
            happy_eyeballs_delay=seconds("happy_eyeballs_delay", happy_eyeballs_delay),
            interleave=None if interleave is None else count("interleave", interleave, least=1),
            socket_factory=socket_factory,
            ssl_shutdown_timeout=0
            if isinstance(ssl_shutdown_timeout, Unset)
            else seconds("ssl_shutdown_timeout", ssl_shutdown_timeout),
        )
        self._describe(settings)

    @property
    def _tcp(self) -> TCPSettings:
        assert isinstance(self._settings, TCPSettings)
        return self._settings

    @property
    def family(self) -> int:
        """The address family used; ``socket.AF_UNSPEC`` is either."""
        return self._tcp.family

    @property
    def use_dns_cache(self) -> bool:
        """Whether addresses are cached."""
        return self._tcp.use_dns_cache

    def clear_dns_cache(self, host: str | None = None, port: int | None = None) -> None:
        """Forget the addresses of ``host`` and ``port``, or all of them.

        Any thread may call it, on the ``connector`` of a session. Blocks for one crossing.

        Raises:
            ValueError: Only one of the two is given.
            RuntimeError: This is a description that no session has opened.
        """
        if (host is None) != (port is None):
            raise ValueError("either both host and port or none of them are allowed")
        if self._pool is None:
            raise RuntimeError("only a session's connector has a cache: use session.connector")

        def clear(pool: Pool) -> None:
            if isinstance(pool, TCPPool):
                pool.clear_dns_cache(host, port)

        self._pool(clear)


#: aiohttp's own criterion; if it is missing, aiohttp is not asked to clean up.
_NEEDS_CLEANUP_CLOSED = getattr(aiohttp.connector, "NEEDS_CLEANUP_CLOSED", False)


def keeping(
    limit: int, limit_per_host: int, keepalive_timeout: float | Unset | None, force_close: bool
) -> dict[str, Any]:
    """Return the checked settings that all kinds of pools have."""
    if isinstance(keepalive_timeout, Unset):
        keepalive_timeout = None if force_close else PoolSettings.keepalive_timeout
    elif force_close and keepalive_timeout is not None:
        raise ValueError("keepalive_timeout cannot be set if force_close is True")
    return {
        "limit": count("limit", limit),
        "limit_per_host": count("limit_per_host", limit_per_host),
        "keepalive_timeout": seconds("keepalive_timeout", keepalive_timeout),
        "force_close": bool(force_close),
    }
