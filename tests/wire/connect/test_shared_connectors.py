"""connector_owner=False: sessions that are given one connector share its pool, until it closes."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import syncclient
from syncclient import (
    BaseConnector,
    ClientConnectionError,
    ClientTimeout,
    LoopThread,
    PoolTimeoutError,
    Session,
    TCPConnector,
)
from tests.children import RunChild
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer


def guest(app: AppServer, connector: TCPConnector, **options: Any) -> Session:
    return Session(app.url, connector=connector, connector_owner=False, **options)


def is_closed(connector: BaseConnector) -> bool:
    return connector.closed


def number(session: Session) -> int:
    got: int = session.get("/get").json()["connection"]
    return got


def test_the_limit_is_common(app: AppServer) -> None:
    """A response that one session has not read leaves the other without a connection."""
    connector = TCPConnector(limit=1)
    with guest(app, connector) as first, guest(app, connector) as second:
        held = first.get("/bytes/2000000")
        with pytest.raises(PoolTimeoutError, match="limit=1"):
            second.get("/get", timeout=ClientTimeout(connect=0.1))
        held.close()
        assert second.get("/get").status == 200
    connector.close()


def test_the_pool_outlives_its_sessions(app: AppServer) -> None:
    """One after the other, they go by the same connection, until the connector is closed."""
    connector = TCPConnector()
    opened = app.stats().connections_open
    numbers = set()
    for _ in range(3):
        with guest(app, connector) as session:
            numbers.add(number(session))
    assert len(numbers) == 1
    assert not is_closed(connector)
    connector.close()
    connector.close()
    assert is_closed(connector)
    app.wait_until(lambda stats: stats.connections_open == opened)


@pytest.mark.parametrize("kept", [False, True], ids=["in use", "kept before"])
def test_a_closed_connector_ends_its_sessions(app: AppServer, kept: bool) -> None:
    """Requests under way, those that come, of sessions there are and of those that come."""
    connector = TCPConnector()
    if kept:
        with guest(app, connector) as session:
            number(session)
    with guest(app, connector) as session, ThreadPoolExecutor(1) as pool:
        asking = pool.submit(session.get, "/delay/30")
        app.wait_until(lambda stats: stats.in_flight.get("/delay/30") == 1)
        connector.close()
        with pytest.raises(syncclient.ClientError):
            asking.result(10)
        assert session.connector.closed
        for ask in (lambda: session.get("/get"), lambda: session.ws_connect("/echo")):
            with pytest.raises(ClientConnectionError, match="connector is closed"):
                ask()
    for owner in (True, False):
        with Session(app.url, connector=connector, connector_owner=owner) as late:
            with pytest.raises(ClientConnectionError, match="connector is closed"):
                late.get("/get")


def test_a_session_s_own_connector_can_be_closed(app: AppServer) -> None:
    """By way of session.connector, which is closed with the session otherwise."""
    description = TCPConnector()
    with Session(app.url, connector=description) as session:
        number(session)
        assert not is_closed(session.connector)
        session.connector.close()
        assert is_closed(session.connector)
        assert not description.closed
        with pytest.raises(ClientConnectionError, match="connector is closed"):
            session.get("/get")
    with Session(app.url) as session:
        number(session)
    assert session.connector.closed


def test_closing_one_that_was_never_used_starts_nothing(app: AppServer) -> None:
    """Neither a thread nor a crossing."""
    connector = TCPConnector()
    session = guest(app, connector)
    session.close()
    connector.close()
    assert connector.closed
    assert "syncclient-loop" not in {thread.name for thread in threading.enumerate()}


def test_session_aio_shares_it_too(app: AppServer) -> None:
    """aclose() is close() for a task, whose thread does not block."""
    connector = TCPConnector()

    async def main() -> None:
        numbers = set()
        for _ in range(2):
            async with guest(app, connector).aio as session:
                response = await session.get("/get")
                numbers.add((await response.json())["connection"])
        assert len(numbers) == 1
        await session.connector.aclose()
        assert connector.closed

    asyncio.run(main())


@pytest.mark.filterwarnings("error")
def test_one_that_is_dropped_unclosed_is_noticed(app: AppServer) -> None:
    """By a ResourceWarning that names the line of its first session; nothing is left open."""
    opened = app.stats().connections_open
    connector = TCPConnector()
    with guest(app, connector) as session:
        number(session)
    del session
    held = [connector]
    del connector
    with pytest.warns(ResourceWarning, match=rf"unclosed connector.*{__file__}.*close\(\)"):
        held.clear()
    app.wait_until(lambda stats: stats.connections_open == opened)


def test_one_that_is_open_at_exit_is_noticed(app: AppServer, run_child: RunChild) -> None:
    """As sessions are, and the exit closes it."""
    code = f"""
import syncclient
connector = syncclient.TCPConnector()
with syncclient.Session({app.url!r}, connector=connector, connector_owner=False) as session:
    session.get("/get").read()
"""
    child = run_child(code, flags=("-W", "always::ResourceWarning"))
    assert child.status == 0
    assert child.stderr.count("ResourceWarning: unclosed connector") == 1


def test_loop_threads_have_pools_of_their_own(app: AppServer) -> None:
    """A pool belongs to one event loop; close() closes all."""
    connector = TCPConnector()
    for loop_thread in (LoopThread(), LoopThread()):
        with guest(app, connector, loop_thread=loop_thread) as session:
            number(session)
            assert session.connector.snapshot().open == 1
    connector.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="wants os.fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_child_has_a_pool_of_its_own(app: AppServer) -> None:
    """And closes it without the parent's noticing."""
    connector = TCPConnector()
    with guest(app, connector) as session:
        mine = number(session)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with guest(app, connector) as session:
                status = 0 if number(session) != mine else 2
            connector.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    with guest(app, connector) as session:
        assert number(session) == mine
    connector.close()


def test_threads_that_open_and_close_at_once(app: AppServer) -> None:
    """Whatever the order, each request is answered, or told that the connector is closed."""
    for _ in range(20):
        connector = TCPConnector()

        def ask(connector: TCPConnector = connector) -> str:
            try:
                with guest(app, connector) as session:
                    return str(session.get("/get").status)
            except syncclient.ClientError as exc:
                return type(exc).__name__

        with ThreadPoolExecutor(5) as pool:
            asks: list[Callable[[], object]] = [ask, ask, connector.close, ask, ask]
            futures = [pool.submit(each) for each in asks]
            told = {future.result(20) for future in futures} - {None}
        assert told <= {"200", "ClientConnectionError", "ServerDisconnectedError"}, told
        connector.close()


@pytest.mark.parametrize("abort", [False, True])
@pytest.mark.parametrize(
    "framing", [[], [("Content-Length", "9")], [("Transfer-Encoding", "chunked")]], ids=str
)
def test_closing_is_no_quiet_end_of_a_body(
    raw_server: StartRawServer, framing: list[tuple[str, str]], abort: bool
) -> None:
    """A body that lasts until the server closes the connection is not whole if we do."""

    def begin(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=framing)
        conn.send(b"4\r\npart\r\n" if "chunked" in str(framing) else b"part")
        conn.read_to_end()

    wire = raw_server(begin)
    with ThreadPoolExecutor(1) as pool, Session() as session:
        content = session.get(wire.url).content
        assert content.readexactly(4) == b"part"
        rest = pool.submit(content.read)
        session.connector.close(abort_ssl=abort)
        with pytest.raises(ClientConnectionError, match="closed before the end"):
            rest.result(10)
