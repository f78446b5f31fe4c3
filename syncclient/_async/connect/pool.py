"""Pools: aiohttp's connectors, which also record the phase of an exchange, and report their state.

Settings are values created anywhere; ``PoolFactory`` turns them into a live pool on the event
loop, one for each session, or one for all sessions with the same token. All live objects belong
to the event loop. ``tcp.py`` and ``local.py`` define the kinds of pools.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.client_exceptions import ServerDisconnectedError

from ..._timeout import limits_pool, pool_limit
from ..engine.connectors import (
    ConnectorSteps,
    connections_in_use,
    idle_connections,
    pool_contents,
    time_limit,
    tls_shutdown_timeout,
    wake_next_waiter,
)
from ..engine.tls_ends import abort_all
from ..exchange.connect_errors import address
from ..exchange.progress import Phase, Progress, enter, progress

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


@dataclass(frozen=True)
class HostSnapshot:
    """The connections of a pool to one host at one moment.

    Attributes:
        open: Connections that are open or being opened, including idle ones.
        idle: Unused connections that are kept alive.
        waiting: Requests that wait for a connection to become free.
    """

    open: int = 0
    idle: int = 0
    waiting: int = 0

    @property
    def in_use(self) -> int:
        """Connections that a request, a response not yet read or a WebSocket holds."""
        return self.open - self.idle

    def __add__(self, other: HostSnapshot) -> HostSnapshot:
        """Return the sum of both."""
        return HostSnapshot(
            self.open + other.open, self.idle + other.idle, self.waiting + other.waiting
        )


@dataclass(frozen=True)
class PoolSnapshot:
    """The state of a pool at one moment.

    Attributes:
        limit: Maximum number of open connections; 0 means no limit.
        limit_per_host: Maximum number of open connections to one host; 0 means no limit.
        open: Connections that are open or being opened, including idle ones.
        idle: Unused connections that are kept alive.
        waiting: Requests that wait for a connection to become free.
        hosts: The same for each host, with keys like ``https://example.org:443``. Requests
            through a proxy count for their target host.
    """

    limit: int
    limit_per_host: int
    open: int = 0
    idle: int = 0
    waiting: int = 0
    hosts: Mapping[str, HostSnapshot] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, compare=False
    )

    @property
    def in_use(self) -> int:
        """Connections that a request, a response not yet read or a WebSocket holds."""
        return self.open - self.idle

    def __add__(self, other: PoolSnapshot) -> PoolSnapshot:
        """Return the sum of both, with the limits of the first."""
        return PoolSnapshot(
            limit=self.limit,
            limit_per_host=self.limit_per_host,
            open=self.open + other.open,
            idle=self.idle + other.idle,
            waiting=self.waiting + other.waiting,
            hosts=MappingProxyType(_added(self.hosts, other.hosts)),
        )


def _added(
    ours: Mapping[str, HostSnapshot], theirs: Mapping[str, HostSnapshot]
) -> dict[str, HostSnapshot]:
    hosts = dict(ours)
    for name, held in theirs.items():
        hosts[name] = hosts.get(name, HostSnapshot()) + held
    return hosts


@dataclass(frozen=True)
class PoolSettings:
    """The settings that all kinds of pools have."""

    limit: int = 100
    limit_per_host: int = 0
    #: Seconds an unused connection is kept; None keeps it until the server closes it.
    keepalive_timeout: float | None = 15.0
    #: Close each connection after one exchange; requires ``keepalive_timeout=None``.
    force_close: bool = False

    def open(self) -> Pool:
        """Return a live pool. On the event loop."""
        raise NotImplementedError

    def limits(self) -> dict[str, Any]:
        """Return the arguments that the constructors of all pools have."""
        return {
            "limit": self.limit,
            "limit_per_host": self.limit_per_host,
            "keepalive_timeout": self.keepalive_timeout,
            "force_close": self.force_close,
        }


class Token:
    """Stands for one pool, on every event loop."""

    __slots__ = ("closed",)

    def __init__(self, *, closed: bool = False) -> None:
        #: Whether opening a pool is no longer allowed. Written by any thread.
        self.closed = closed


class PoolFactory:
    """Makes the live pool of a session; factories with one token share one live pool.

    A shared pool counts its users and closes with the last of them.
    """

    __slots__ = ("settings", "token")

    def __init__(self, settings: PoolSettings, token: Token) -> None:
        self.settings = settings
        self.token = token

    def __call__(self) -> Pool:
        """Return the live pool, opened if needed. Each call requires one ``close()`` of the pool.

        Raises ClientConnectionError if the connector was closed.
        """
        if self.token.closed:
            raise connector_closed()
        pools = _pools.setdefault(asyncio.get_running_loop(), weakref.WeakValueDictionary())
        pool = pools.get(id(self.token))
        if pool is None or pool.closed:
            pool = self.settings.open()
            # Held, so that its id cannot become another token's while the pool lives.
            pool.token = self.token
            pools[id(self.token)] = pool
        pool.users += 1
        return pool


def connector_closed() -> aiohttp.ClientConnectionError:
    """Return the error of a request through a closed connector."""
    return aiohttp.ClientConnectionError(
        "the connector is closed: pass another one to the session, or close it after its sessions"
    )


#: By event loop: a forked child runs another loop, and so never finds its parent's pools.
_pools: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, weakref.WeakValueDictionary[int, Pool]
] = weakref.WeakKeyDictionary()


#: The settings of pools that replace every server; the last one counts. Filled by
#: ``syncclient.testing``, from any thread: both ways to change it are atomic.
stand_ins: list[PoolSettings] = []

#: The loop itself holds tasks weakly.
_closing: set[asyncio.Future[None]] = set()


class Pool(ConnectorSteps):
    """The common part of all pools: phases, snapshots, a limit that holds, closing by count."""

    #: The number of sessions that have not yet closed this pool.
    users = 0
    token: object = None
    #: Whether it connects to a server within the process (``_async/connect/inprocess.py``).
    in_process = False
    #: The pool that replaces this one, and the settings it was opened from.
    _stand_in: tuple[PoolSettings, Pool] | None = None

    @cached_property
    def _opening(self) -> Counter[ConnectionKey]:
        """How many connections to each host are being opened."""
        return Counter()

    @cached_property
    def _leads_to(self) -> weakref.WeakKeyDictionary[ResponseHandler, ConnectionKey]:
        """The host of each open connection; the engine only knows that of idle ones."""
        return weakref.WeakKeyDictionary()

    def snapshot(self) -> PoolSnapshot:
        """Return the present state of the pool."""
        held, idle, waiting = pool_contents(self)
        in_use = Counter(self._opening)
        # Not one by one: the placeholders of connections being opened have no weak references.
        in_use.update(key for each, key in self._leads_to.items() if each in held)
        hosts: dict[str, HostSnapshot] = {}
        for key in {**+in_use, **idle, **waiting}:
            # Keys of one host may differ in their proxy or in how it is verified.
            name = f"{'https' if key.is_ssl else 'http'}://{address(key.host, key.port)}"
            resting = idle.get(key, 0)
            one = HostSnapshot(in_use[key] + resting, resting, waiting.get(key, 0))
            hosts[name] = hosts.get(name, HostSnapshot()) + one
        resting = sum(idle.values())
        return PoolSnapshot(
            self.limit,
            self.limit_per_host,
            len(held) + resting,
            resting,
            sum(waiting.values()),
            MappingProxyType(hosts),
        )

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close the pool, once each of its sessions has done so."""
        self.users -= 1
        if self.users <= 0:
            await self._shut(abort_ssl=abort_ssl)

    async def shut(self, abort_ssl: bool = False) -> None:
        """Close the pool immediately, even if it is in use."""
        await self._shut(abort_ssl=abort_ssl)

    async def _shut(self, *, abort_ssl: bool) -> None:
        if self._stand_in is not None:
            await self._stand_in[1].close(abort_ssl=abort_ssl)
        await super().close(abort_ssl=abort_ssl)
        if abort_ssl or not tls_shutdown_timeout(self):
            abort_all(self)

    # Not async: every request passes here, and a coroutine around a coroutine costs each of them.
    def connect(  # pyright: ignore[reportIncompatibleMethodOverride]  # it returns a coroutine
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Coroutine[Any, Any, Connection]:
        """Lend a connection for ``req``, to its server or to one within the process."""
        if stand_ins or self._stand_in is not None:
            stand_in = self._standing_in(stand_ins[-1] if stand_ins else None)
            if stand_in is not None:
                return stand_in.connect(req, traces, timeout)
        exchange = progress.get()
        if exchange is not None:
            if exchange.tried is not None and exchange.tried() is not req:
                self.drop_idle(req.connection_key)
            exchange.tried = weakref.ref(req)
        return super().connect(req, traces, timeout)

    def close_idle(self) -> None:
        """Close the connections that are idle, unless other sessions may use them."""
        if self.users > 1:
            return
        idle = idle_connections(self)
        for key in list(idle):
            self.drop_idle(key)

    @property
    def diverted(self) -> bool:
        """Whether another pool replaces this one, or did so a moment ago."""
        return bool(stand_ins) or self._stand_in is not None

    def drop_idle(self, key: ConnectionKey) -> None:
        """Close the idle connections to a server after one of them was found dead.

        The engine repeats a request once, and the cause that closed one connection has usually
        closed the others: so the second attempt gets a new one, as in curl and Chromium.
        """
        for proto, _since in idle_connections(self).pop(key, ()):
            proto.abort()

    def _standing_in(self, settings: PoolSettings | None) -> Pool | None:
        """Return the pool of ``settings``; close the pool of earlier settings, which are gone."""
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

    async def wait_for_connection(self, key: ConnectionKey, traces: list[Trace]) -> None:
        """Wait for a free connection, and record the phase for errors of timeouts."""
        enter(Phase.POOL, self._why_full(key))
        exchange = progress.get()
        limit = None if exchange is None else pool_limit(exchange.timeout)
        try:
            async with time_limit(limit):
                await super().wait_for_connection(key, traces)
        except BaseException as exc:
            if self.closed and isinstance(exc, asyncio.CancelledError):
                raise connector_closed() from None  # which has cancelled all waiting requests
            # This request may have been promised a connection in the meantime, especially while a
            # trace callback ran. aiohttp does not pass it on, and others would wait forever.
            wake_next_waiter(self)
            raise
        # A connection that became idle is available at once; a new one records its own phases.
        enter(Phase.HEAD)

    def _why_full(self, key: ConnectionKey) -> str:
        limit, which, where = self.limit, "limit", ""
        if self.limit_per_host and not 0 < limit <= len(connections_in_use(self)):
            limit, which, where = self.limit_per_host, "limit_per_host", f" to {key.host}"
        if limit == 1:
            return f"the one connection{where} is in use ({which}=1)"
        return f"all {limit} connections{where} are in use ({which}={limit})"

    async def make_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Open a connection for ``req`` once there is room for it."""
        key = req.connection_key
        self._opening[key] += 1
        try:
            protocol = await self._make_connection(req, traces, timeout)
        finally:
            self._opening[key] -= 1
        self._leads_to[protocol] = key
        return protocol

    async def _make_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        if self.limit:
            await self._make_room()
        exchange = progress.get()
        if exchange is not None:
            _refuse_repeat(exchange, req)
        self._note_connecting(req)
        if exchange is None or not limits_pool(exchange.timeout):
            protocol = await self._open_connection(req, traces, timeout)
        else:
            protocol = await self._open_in_time(exchange.timeout.connect, req, traces, timeout)
        if exchange is not None:
            exchange.opened = protocol, weakref.ref(req)
        enter(Phase.HEAD)
        return protocol

    async def _open_in_time(
        self,
        limit: float | None,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,
    ) -> ResponseHandler:
        with contextlib.ExitStack() as too_late:
            async with time_limit(limit):
                protocol = await self._open_connection(req, traces, timeout)
                too_late.callback(protocol.abort)
            too_late.pop_all()
        return protocol

    async def _open_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        """Connect. The callers have the steps that are common to all pools."""
        return await super().make_connection(req, traces, timeout)

    def _note_connecting(self, req: ClientRequest) -> None:
        raise NotImplementedError

    async def _make_room(self) -> None:
        """Close the connections that have been idle longest, as many as the limit requires.

        aiohttp only counts connections in use: with many hosts, idle connections exceed the limit,
        which affects servers and the file descriptors of the process.
        """
        idle = idle_connections(self)
        surplus = len(connections_in_use(self)) + sum(map(len, idle.values())) - self.limit
        closing: list[asyncio.Future[None]] = []
        for _ in range(surplus):
            key = min((key for key in idle if idle[key]), key=lambda key: idle[key][0][1])
            proto, _since = idle[key].popleft()
            if not idle[key]:
                del idle[key]
            if (closed := proto.closed) is not None:
                closing.append(closed)
            # Not close(), which over TLS waits for the peer's close message.
            proto.abort()
        if closing:
            await asyncio.gather(*closing, return_exceptions=True)


def _refuse_repeat(exchange: Progress, req: ClientRequest) -> None:
    """Raise the error of the last connection, if that was new and the engine tries again.

    A kept-alive connection may have been closed before the request reached it, so the engine
    repeats the request (RFC 9112, 9.3.1). It does the same for a new connection, although the
    server has seen the request. Its second attempt is a different request object; a second
    attempt by a middleware is not.
    """
    if exchange.opened is not None:
        protocol, request = exchange.opened
        if request() is not req:
            # Its own exception() is gone, because it was closed.
            loss = getattr(protocol, "lost_by", None)
            if isinstance(loss, OSError):
                raise aiohttp.ClientOSError(*loss.args) from loss
            raise protocol.exception() or ServerDisconnectedError()
