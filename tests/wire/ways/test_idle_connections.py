"""Idle connections taken from the engine's pool and given back past it, as it does both."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from typing import Any

import pytest

from syncclient import Session, TCPConnector
from syncclient._async.engine.connectors import connections_in_use, idle_connections
from syncclient._async.engine.lean_connection import IdleConnections, LeanConnection
from syncclient._async.session import AsyncSession
from tests.servers.process import AppServer

#: How many connections are in use and idle, under how many keys.
Held = tuple[int, int, int]


def held(pool: Any) -> Held:
    """What the engine's pool has in its own collections, empty queues among them."""
    idle = idle_connections(pool)
    return len(connections_in_use(pool)), sum(map(len, idle.values())), len(idle)


async def use(resident: AsyncSession, by_engine: bool, how: str) -> list[Held]:
    """Take the one idle connection and give it back; return what the pool held at each step."""
    pool = resident._pool
    idle = IdleConnections(pool, asyncio.get_running_loop())
    idle._all_by_engine = by_engine
    (key,) = idle_connections(pool)
    connection = idle.take(key)
    assert connection is not None and isinstance(connection, LeanConnection) != by_engine
    seen = [held(pool)]
    assert idle.take(key) is None
    seen.append(held(pool))
    protocol = connection.protocol
    assert protocol is not None and connection.transport is protocol.transport
    told: list[Held] = []
    waiter = None
    if how in ("with a callback", "spoilt", "closed"):
        connection.add_callback(lambda: told.append(held(pool)))
    if how == "spoilt":
        protocol.force_close()
    elif how == "closed":
        connection.close()
    elif how == "a request waits":
        waiter = asyncio.get_running_loop().create_future()
        pool._waiters[key][waiter] = None
    connection.release()
    seen.append(held(pool))
    connection.release()
    connection.close()
    seen.append(held(pool))
    if waiter is not None:
        assert waiter.done()
        pool._waiters.clear()
    return seen + told


@pytest.mark.parametrize(
    "how", ["released", "with a callback", "spoilt", "closed", "a request waits"]
)
def test_the_pool_holds_what_it_would_by_the_engine(app: AppServer, how: str) -> None:
    """Each step leaves the pool's collections as the engine's own step leaves them."""
    seen = []
    for by_engine in (True, False):
        with Session(app.url) as session:
            session.get("/get").read()
            seen.append(session._portal.call(use, by_engine, how))
    assert seen[0] == seen[1]
    assert seen[0][:2] == [(1, 0, 0), (1, 0, 0)]


async def takes(resident: AsyncSession) -> bool:
    """Whether the idle connection of the session is one that is given back past the engine."""
    (key,) = idle_connections(resident._pool)
    connection = resident.lean._idle.take(key)
    assert connection is not None
    connection.release()
    return isinstance(connection, LeanConnection)


def test_limits_for_each_host_are_counted_by_the_engine(app: AppServer) -> None:
    """It has a second set of what is in use for them."""
    for limit, past_it in ((0, True), (2, False)):
        with Session(app.url, connector=TCPConnector(limit_per_host=limit)) as session:
            session.get("/get").read()
            assert session._portal.call(takes) == past_it


async def drop(resident: AsyncSession) -> tuple[list[str], Held]:
    """Forget a connection that is in use."""
    pool = resident._pool
    (key,) = idle_connections(pool)
    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: said.append(about["message"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        connection = resident.lean._idle.take(key)
        assert isinstance(connection, LeanConnection)
        del connection
        gc.collect()
    asyncio.get_running_loop().set_exception_handler(None)
    return said, held(pool)


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="frees at once")
def test_a_connection_that_was_forgotten_is_closed(app: AppServer) -> None:
    """Its place in the pool is free again, and the engine says that it was forgotten."""
    with Session(app.url) as session:
        session.get("/get").read()
        assert session._portal.call(drop) == (["Unclosed connection"], (0, 0, 0))
        assert session.get("/get").ok
