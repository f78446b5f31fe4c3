"""Idle connections of aiohttp's pool: how the lean exchange takes them, and gives them back.

With every request, aiohttp takes a connection in one coroutine and gives it back through six
methods. Here the ordinary case is done on the pool's own collections: a connection is taken if it
is alive and has not waited too long, and given back if it can be kept and no request waits for
it. For everything else aiohttp is asked.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from aiohttp.connector import Connection

from .missing import warn_without

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey

#: Of a pool.
_NEEDED = ("_acquired", "_cleanup_handle", "_conns", "_keepalive_timeout", "_waiters")


class IdleConnections:
    """The idle connections of one pool. Event loop only."""

    __slots__ = ("_all_by_engine", "loop", "pool")

    def __init__(self, pool: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.pool = pool
        self.loop = loop
        missing = [name for name in _NEEDED if not hasattr(pool, name)]
        for name in missing:
            warn_without(f"BaseConnector.{name}", "each request takes longer")
        # With a limit for each host, the engine counts connections by their host as well.
        self._all_by_engine = bool(missing or pool.limit_per_host)

    def take(self, key: ConnectionKey) -> AnyConnection | None:
        """Return an idle connection, which is then in use; None if there is none."""
        pool = self.pool
        if self._all_by_engine:
            return self._take_by_engine(key)
        waiting = pool._conns.get(key)
        if not waiting:
            return None
        protocol, since = waiting[0]
        limit = pool._keepalive_timeout
        if not protocol.is_connected() or (limit is not None and monotonic() - since > limit):
            return self._take_by_engine(key)
        waiting.popleft()
        if not waiting:
            del pool._conns[key]
        pool._acquired.add(protocol)
        return LeanConnection(self, key, protocol)

    def _take_by_engine(self, key: ConnectionKey) -> Connection | None:
        taking = self.pool._get(key, [])
        try:
            taking.send(None)
        except StopIteration as taken:
            connection: Connection | None = taken.value
            return connection
        taking.close()
        raise RuntimeError("aiohttp waits where it takes an idle connection")


class LeanConnection:
    """A connection that was idle and is in use. Its names are those of aiohttp's Connection.

    Args:
        idle: where it comes from.
        key: under which it is kept there.
        protocol: of the connection.
    """

    __slots__ = ("_idle", "_on_release", "_pool_key", "protocol")

    def __init__(
        self, idle: IdleConnections, key: ConnectionKey, protocol: ResponseHandler
    ) -> None:
        self._idle = idle
        self._pool_key = key
        self._on_release: list[Callable[[], None]] | None = None
        #: None once it has been given back or closed.
        self.protocol: ResponseHandler | None = protocol

    @property
    def transport(self) -> asyncio.Transport | None:
        return None if self.protocol is None else self.protocol.transport

    def add_callback(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when this is given back or closed."""
        if self._on_release is None:
            self._on_release = []
        self._on_release.append(callback)

    def release(self) -> None:
        """Give it back to the pool, or close it if it cannot serve another request."""
        protocol, pool = self.protocol, self._idle.pool
        if protocol is None:
            return
        if pool._waiters or pool._cleanup_handle is None or pool.closed or protocol.should_close:
            self._by_engine().release()
            return
        for callback in self._on_release or ():
            callback()
        self.protocol = None
        pool._acquired.discard(protocol)
        pool._conns[self._pool_key].append((protocol, monotonic()))

    def close(self) -> None:
        """Close it."""
        if self.protocol is not None:
            self._by_engine().close()

    def _by_engine(self) -> Connection:
        """Return aiohttp's Connection in place of this one."""
        protocol, self.protocol = self.protocol, None
        assert protocol is not None
        connection = Connection(self._idle.pool, self._pool_key, protocol, self._idle.loop)
        for callback in self._on_release or ():
            connection.add_callback(callback)
        return connection

    def __del__(self) -> None:
        if self.protocol is not None:
            self._by_engine()  # which is dropped here, warns, and closes the connection


AnyConnection: TypeAlias = Connection | LeanConnection
