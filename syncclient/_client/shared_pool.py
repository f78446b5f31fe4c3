"""The pool of sessions that share a connector: it outlives them, until ``connector.close()``."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError

from .._async.connect.pool import Pool, PoolFactory, Token
from .._boundary.portal import Portal
from .._boundary.unclosed import complain, watch
from .._deadline import no_deadline
from .._exceptions import SessionClosedError
from .._weak_refs import WeakRefs

if TYPE_CHECKING:
    from .._boundary.loop_thread import LoopThread

_reason = partial(SessionClosedError, "the connector was closed")


class SharedPool:
    """Keeps the pool that the sessions of a connector share. Any thread.

    Each session is a user of the pool, which closes with its last user. So the first session that
    closes makes the connector a user as well, with its own lease: its *hold*. There is one for
    each loop thread, because a pool belongs to one event loop.
    """

    def __init__(self, token: Token) -> None:
        self._token = token
        self._sessions: WeakRefs[Portal[Any]] = WeakRefs()
        self._holds: dict[LoopThread, Portal[Pool]] = {}
        self._factory: PoolFactory | None = None
        self._opened_at = ""

    def enter(self, portal: Portal[Any], factory: PoolFactory, opened_at: str) -> None:
        """Register a session by its portal."""
        self._sessions.add(portal)
        self._factory, self._opened_at = factory, self._opened_at or opened_at

    def keep(self, portal: Portal[Any]) -> None:
        """Keep the pool of a session, which is about to close. Blocks for a crossing."""
        factory = self._factory
        if factory is None or self._token.closed or not portal.leased:
            return
        fresh: Portal[Pool] = Portal(portal.loop_thread, factory, _shut, name="the connector")
        hold = self._holds.setdefault(portal.loop_thread, fresh)
        if hold is fresh:
            watch(self)
        if not hold.leased:
            with no_deadline(), suppress(ClientError):
                hold.call(_open)

    def close(self, abort_ssl: bool = False) -> None:
        """Close the pool, in use or not, and prevent a new one. Blocks; idempotent."""
        for portal in self._open_sessions():
            self.keep(portal)  # so that the hold can close the pool
        self._token.closed = True
        for hold in list(self._holds.values()):
            if abort_ssl and hold.leased and not hold.closed:
                with suppress(ClientError):
                    hold.call(Pool.shut, True)
            hold.close(_reason)

    def _open_sessions(self) -> list[Portal[Any]]:
        return [portal for portal in self._sessions if not portal.closed]

    def __del__(self) -> None:
        if holds := self.__dict__.get("_holds"):
            try:
                complain(self)
            finally:  # even if warnings are errors
                for hold in holds.values():
                    hold.abandon(_reason)

    def _complaint(self) -> str | None:
        if not any(hold.leased and not hold.closed for hold in list(self._holds.values())):
            return None
        return (
            "unclosed connector, shared by sessions with connector_owner=False, the first of which "
            f"was created at {self._opened_at}: call its close()"
        )


async def _open(pool: Pool) -> None:
    """Do nothing: the pool is open by now."""


async def _shut(pool: Pool) -> None:
    await pool.shut()
