"""The sessions that carry the requests: one for all adapters with equal settings.

requests makes a pool for each adapter and throws it away with it, so that a one-shot
``requests.get`` connects anew each time. Here adapters come and go, and the connections stay
until they have been idle for a while.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from aiohttp import AddrInfoType, ClientTimeout
from urllib3.connection import HTTPConnection

from .._boundary.unclosed import forgive
from .._client.connectors import BaseConnector, TCPConnector
from .._client.cookies import DummyCookieJar
from .._session import Session

SocketOption: TypeAlias = tuple[int, int, int | bytes] | tuple[int, int, None, int]

#: What requests, or urllib3 below it, puts into a request itself.
_NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")

#: What the engine's sockets have anyway.
_USUAL: tuple[SocketOption, ...] = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)


class Settings(NamedTuple):
    """What the connections of an engine have in common."""

    source_address: tuple[str, int] | None = None
    socket_options: tuple[SocketOption, ...] = _USUAL
    connector: BaseConnector | None = None


def settings_of(pool_settings: dict[str, Any], connector: BaseConnector | None) -> Settings | None:
    """Return the Settings that ``connection_pool_kw`` of a PoolManager comes to.

    None if there is something in it that the engine does not have.
    """
    if not pool_settings.keys() <= _KNOWN:
        return None
    if pool_settings.get("block"):
        return None  # a limit that waits, and belongs to this one adapter
    options = pool_settings.get("socket_options", HTTPConnection.default_socket_options)
    source = pool_settings.get("source_address")
    return Settings(
        None if source is None else (source[0], source[1]),
        tuple(tuple(option) for option in options or ()),
        connector,
    )


#: Keywords of urllib3's pools. ``ssl_context`` is of each request; ``maxsize`` says how many
#: connections are kept, and here they are kept for a time.
_KNOWN = frozenset({"block", "maxsize", "socket_options", "source_address", "ssl_context"})

_engines: dict[Settings, Session] = {}


def engine_for(settings: Settings) -> Session:
    """Return the session for ``settings``, the same for all who ask. Any thread; never blocks."""
    engine = _engines.get(settings)
    if engine is None:
        # setdefault is atomic, and an unused session costs nothing: see _api.py.
        engine = _engines.setdefault(settings, _opened(settings))
        forgive(engine)
    return engine


def _opened(settings: Settings) -> Session:
    connector = settings.connector
    if connector is None:
        options: Sequence[SocketOption] = settings.socket_options
        connector = TCPConnector(
            limit=0,
            local_addr=settings.source_address,
            socket_factory=None if options in (_USUAL, ()) else _factory(options),
        )
    return Session(
        connector=connector,
        connector_owner=settings.connector is None,
        cookie_jar=DummyCookieJar(),
        skip_auto_headers=_NOT_ADDED,
        timeout=ClientTimeout(total=None),
        auto_decompress=False,
    )


def _factory(options: Sequence[SocketOption]) -> Callable[[AddrInfoType], socket.socket]:
    def make(address: AddrInfoType) -> socket.socket:
        made = socket.socket(*address[:3])
        try:
            for option in options:
                made.setsockopt(*option)
        except BaseException:
            made.close()
            raise
        return made

    return make


def close_engines() -> None:
    """Close all engines and their connections. Blocks; the next request opens new ones."""
    while _engines:
        _, engine = _engines.popitem()
        engine.close()
