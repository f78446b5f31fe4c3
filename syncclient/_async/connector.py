"""The pools: aiohttp's connectors, which tell the phase of an exchange and what they hold.

Settings are values made anywhere; ``PoolFactory`` turns them into a live pool on the event
loop, one for each session, or one for all the sessions that were given the same token.
Everything live here belongs to the event loop. ``tcp.py`` holds the pool of TCP connections.
"""

from __future__ import annotations

import asyncio
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp

from .._sockets import note_protocol
from .phase import Phase, enter

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


@dataclass(frozen=True)
class PoolSnapshot:
    """What a pool held at one moment.

    Attributes:
        limit: How many connections it may have open; 0 is no limit.
        limit_per_host: How many of them to one host; 0 is no limit.
        open: Connections that are open or being opened, idle ones included.
        idle: Connections kept alive for later, used by nobody.
        waiting: Requests that wait for a connection to become free.
    """

    limit: int
    limit_per_host: int
    open: int = 0
    idle: int = 0
    waiting: int = 0

    @property
    def in_use(self) -> int:
        """Connections that a request, a response not yet read or a WebSocket holds."""
        return self.open - self.idle

    def __add__(self, other: PoolSnapshot) -> PoolSnapshot:
        """Return what both hold together, under the limits of the first."""
        return PoolSnapshot(
            limit=self.limit,
            limit_per_host=self.limit_per_host,
            open=self.open + other.open,
            idle=self.idle + other.idle,
            waiting=self.waiting + other.waiting,
        )


@dataclass(frozen=True)
class PoolSettings:
    """What every kind of pool can be told."""

    limit: int = 100
    limit_per_host: int = 0
    #: Seconds an unused connection is kept; None keeps it until the server closes it.
    keepalive_timeout: float | None = 15.0
    #: Close each connection after its one exchange; wants ``keepalive_timeout=None``.
    force_close: bool = False

    def open(self) -> Pool:
        """Return a live pool. On the event loop."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class UnixSettings(PoolSettings):
    """Settings of connections over a Unix socket."""

    path: str

    def open(self) -> UnixPool:
        """Return a live pool. On the event loop."""
        return UnixPool(self)


@dataclass(frozen=True, kw_only=True)
class PipeSettings(PoolSettings):
    """Settings of connections over a named pipe of Windows."""

    path: str

    def open(self) -> PipePool:
        """Return a live pool. On the event loop."""
        return PipePool(self)


class PoolFactory:
    """Makes the live pool of a session; factories with one token share one live pool.

    A shared pool counts its sessions and closes with the last of them.
    """

    __slots__ = ("settings", "token")

    def __init__(self, settings: PoolSettings, token: object) -> None:
        self.settings = settings
        self.token = token

    def __call__(self) -> Pool:
        """Return the live pool, opened if need be. Each call wants one ``close()`` of the pool."""
        pools = _pools.setdefault(asyncio.get_running_loop(), weakref.WeakValueDictionary())
        pool = pools.get(id(self.token))
        if pool is None or pool.closed:
            pool = self.settings.open()
            # Held, so that its id cannot become another token's while the pool lives.
            pool.token = self.token
            pools[id(self.token)] = pool
        pool.users += 1
        return pool


#: By event loop: a forked child runs another loop, and so never finds its parent's pools.
_pools: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, weakref.WeakValueDictionary[int, Pool]
] = weakref.WeakKeyDictionary()


#: The settings of what answers in place of every server; the last one counts. Filled by
#: ``syncclient.testing``, from any thread: both ways to change it are atomic.
stand_ins: list[PoolSettings] = []

#: The loop itself holds tasks weakly.
_closing: set[asyncio.Future[None]] = set()


class Pool(aiohttp.BaseConnector):
    """What our pools share: phases, a snapshot, a limit that holds, closing by count."""

    #: How many sessions have yet to close this pool.
    users = 0
    token: object = None
    #: Whether it connects to a server within the process (``_async/inprocess.py``).
    in_process = False
    #: The pool that answers in place of this one, and the settings it was opened from.
    _stand_in: tuple[PoolSettings, Pool] | None = None

    def snapshot(self) -> PoolSnapshot:
        """Return what the pool holds now."""
        try:
            idle = sum(map(len, self._conns.values()))
            in_use = len(self._acquired)
            waiting = sum(map(len, self._waiters.values()))
        except AttributeError as exc:
            raise RuntimeError(
                f"aiohttp {aiohttp.__version__} keeps its pool in a way that this "
                "syncclient cannot read: please use a newer syncclient"
            ) from exc
        return PoolSnapshot(self.limit, self.limit_per_host, in_use + idle, idle, waiting)

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close the pool, once each of its sessions has done so."""
        self.users -= 1
        if self.users <= 0:
            await self._shut(abort_ssl=abort_ssl)

    async def _shut(self, *, abort_ssl: bool) -> None:
        if self._stand_in is not None:
            await self._stand_in[1].close(abort_ssl=abort_ssl)
        await super().close(abort_ssl=abort_ssl)

    # Not async: every request passes here, and a coroutine around a coroutine costs each of them.
    def connect(  # pyright: ignore[reportIncompatibleMethodOverride]  # it returns a coroutine
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Coroutine[Any, Any, Connection]:
        """Lend a connection for ``req``, or have a server within the process answer it."""
        if stand_ins or self._stand_in is not None:
            stand_in = self._standing_in(stand_ins[-1] if stand_ins else None)
            if stand_in is not None:
                return stand_in.connect(req, traces, timeout)
        return super().connect(req, traces, timeout)

    def _standing_in(self, settings: PoolSettings | None) -> Pool | None:
        """Return the pool of ``settings``; close that of those before, for they are gone."""
        if self._stand_in is not None:
            known, pool = self._stand_in
            if known is settings:
                return pool
            self._stand_in = None
            closing = asyncio.ensure_future(pool.close())
            _closing.add(closing)
            closing.add_done_callback(_closing.discard)
        if settings is None:
            return None
        pool = settings.open()
        self._stand_in = settings, pool
        return pool

    async def _wait_for_available_connection(self, key: ConnectionKey, traces: list[Trace]) -> None:
        enter(Phase.POOL, self._why_full(key))
        try:
            await super()._wait_for_available_connection(key, traces)
        except BaseException:
            # A connection may have been promised to us meanwhile, all the more while a callback
            # for tracing ran. aiohttp does not pass it on, and the others would wait for ever.
            self._release_waiter()
            raise
        # A connection that became idle is there at once; a new one notes its own phases.
        enter(Phase.HEAD)

    def _why_full(self, key: ConnectionKey) -> str:
        limit, which, where = self.limit, "limit", ""
        if self.limit_per_host and not 0 < limit <= len(getattr(self, "_acquired", ())):
            limit, which, where = self.limit_per_host, "limit_per_host", f" to {key.host}"
        if limit == 1:
            return f"the one connection{where} is in use ({which}=1)"
        return f"all {limit} connections{where} are in use ({which}={limit})"

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        if self.limit:
            await self._make_room()
        self._note_connecting(req)
        protocol = await super()._create_connection(req, traces, timeout)
        enter(Phase.HEAD)
        return protocol

    def _note_connecting(self, req: ClientRequest) -> None:
        raise NotImplementedError

    async def _make_room(self) -> None:
        """Close the longest idle connections, as many as the limit asks for.

        aiohttp counts those in use only: with many hosts its idle connections go beyond
        the limit, which is what servers and the process's descriptors notice.
        """
        idle = getattr(self, "_conns", {})
        surplus = len(getattr(self, "_acquired", ())) + sum(map(len, idle.values())) - self.limit
        closing: list[asyncio.Future[None]] = []
        for _ in range(surplus):
            key = min((key for key in idle if idle[key]), key=lambda key: idle[key][0][1])
            proto, _since = idle[key].popleft()
            if not idle[key]:
                del idle[key]
            if (closed := proto.closed) is not None:
                closing.append(closed)
            # Not close(): over TLS that waits for the peer's goodbye.
            proto.abort()
        if closing:
            await asyncio.gather(*closing, return_exceptions=True)


class UnixPool(Pool, aiohttp.UnixConnector):
    """Connections to one Unix socket."""

    def __init__(self, settings: UnixSettings) -> None:
        super().__init__(
            settings.path,
            limit=settings.limit,
            limit_per_host=settings.limit_per_host,
            keepalive_timeout=settings.keepalive_timeout,
            force_close=settings.force_close,
        )

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        protocol = await super()._create_connection(req, traces, timeout)
        if protocol.transport is not None:
            note_protocol(protocol, protocol.transport.get_extra_info("socket"))
        return protocol

    def _note_connecting(self, req: ClientRequest) -> None:
        enter(Phase.CONNECT, self.path)


class PipePool(Pool, aiohttp.NamedPipeConnector):
    """Connections to one named pipe. On Windows, on a proactor event loop."""

    def __init__(self, settings: PipeSettings) -> None:
        super().__init__(
            settings.path,
            limit=settings.limit,
            limit_per_host=settings.limit_per_host,
            keepalive_timeout=settings.keepalive_timeout,
            force_close=settings.force_close,
        )

    def _note_connecting(self, req: ClientRequest) -> None:
        enter(Phase.CONNECT, self.path)
