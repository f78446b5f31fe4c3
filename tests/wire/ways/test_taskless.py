"""Requests that need no task, on connections that were idle: what may come while they wait."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio.to_thread
import pytest

import syncclient
from syncclient import Session
from syncclient._async.engine.connectors import idle_connections
from syncclient._async.exchange.lean_plan import WAY
from syncclient._async.session import AsyncSession
from tests.servers.raw import RawConnection, RawServer, StartRawServer

pytestmark = pytest.mark.skipif(WAY != "lean", reason="each request has a task")


async def _waits(resident: AsyncSession) -> tuple[int, int]:
    snapshot = await resident.ask_pool(lambda pool: pool.snapshot())
    return resident.lean.taskless, snapshot.open


def waits_and_connections(session: Session) -> tuple[int, int]:
    """How many heads were awaited without a task, and how many connections are open."""
    return session._portal.call(_waits)


def answering_then_stalling(conn: RawConnection) -> None:
    conn.read_request()
    conn.respond(b"first")
    conn.read_request()
    conn.stall()


def answering(conn: RawConnection) -> None:
    while True:
        conn.read_request()
        conn.respond(b"{}")


REQUESTS: dict[str, Callable[[Session], syncclient.Response]] = {
    "get": lambda s: s.get("/"),
    "post": lambda s: s.post("/", json={"a": 1}),
    "options": lambda s: s.get("/", headers={"X": "1"}, cookies={"a": "1"}, timeout=5),
    "own method": lambda s: s.request("PURGE", "/", auth=("a", "b")),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_on_an_idle_connection_need_no_task(raw_server: StartRawServer, name: str) -> None:
    """Neither to be sent, nor until their response is here."""
    wire = raw_server(answering)
    with Session(wire.url) as session:
        for _ in range(3):
            with REQUESTS[name](session) as response:
                assert response.read() == b"{}"
        assert waits_and_connections(session) == (2, 1)


def test_redirects_and_second_attempts_need_none_either(raw_server: StartRawServer) -> None:
    """Each hop is sent as soon as the one before is here."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"")
        for _ in range(3):
            conn.read_request()
            conn.send(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
        conn.read_request()
        conn.respond(b"there")

    wire = raw_server(script)
    with Session(wire.url) as session:
        session.get("/").read()
        assert session.get("/").read() == b"there"
        assert waits_and_connections(session) == (4, 1)


async def _parsers(resident: AsyncSession) -> list[object]:
    idle = idle_connections(resident._pool).values()
    return [protocol._parser for some in idle for protocol, _ in some]


def test_a_parser_serves_one_response_after_another(raw_server: StartRawServer) -> None:
    """Where they came in one piece, and the settings of the parser are the same."""
    wire = raw_server(answering)
    with Session(wire.url) as session:
        seen = []
        for limit in (None, None, 9, None, None):
            session.get("/", max_headers=limit).read()
            seen += session._portal.call(_parsers)
    first, second, third, fourth, fifth = seen
    assert first is second
    assert fourth is fifth
    assert third is not second
    assert third is not fourth


def _while_it_waits(wire: RawServer, session: Session, act: Callable[[], Any]) -> Any:
    """What comes of a request without a task when ``act`` is called while it waits."""
    session.get("/").read()
    with ThreadPoolExecutor(1) as pool:
        acted = pool.submit(lambda: (wire.wait_until_stalled(), act()))
        try:
            return session.get("/")
        finally:
            acted.result(20)


def test_closing_ends_the_wait(raw_server: StartRawServer) -> None:
    """By another thread: SessionClosedError."""
    wire = raw_server(answering_then_stalling)
    with Session(wire.url) as session, pytest.raises(syncclient.SessionClosedError):
        _while_it_waits(wire, session, session.close)


def test_an_interrupt_ends_the_wait(raw_server: StartRawServer) -> None:
    """The connection is closed, and the session goes on."""
    wire = raw_server(answering_then_stalling, answering)
    with Session(wire.url) as session:
        with pytest.raises(KeyboardInterrupt):
            _while_it_waits(wire, session, _thread.interrupt_main)
        assert waits_and_connections(session) == (1, 0)
        assert session.get("/").read() == b"{}"


def test_a_deadline_ends_the_wait(raw_server: StartRawServer) -> None:
    """The error says what was waited for; the connection is closed."""
    wire = raw_server(answering_then_stalling)
    with Session(wire.url) as session:
        session.get("/").read()
        with (
            pytest.raises(syncclient.DeadlineError, match="waiting for the response"),
            syncclient.timeout(0.1),
        ):
            session.get("/")
        assert waits_and_connections(session) == (1, 0)


@pytest.mark.parametrize(
    "timeout",
    [0.1, syncclient.ClientTimeout(sock_read=0.1), syncclient.ClientTimeout(total=0.1)],
)
def test_timeouts_end_the_wait(raw_server: StartRawServer, timeout: Any) -> None:
    """So do those of the request."""
    wire = raw_server(answering_then_stalling)
    with Session(wire.url) as session:
        session.get("/").read()
        with pytest.raises(syncclient.ServerTimeoutError, match="waiting for the response"):
            session.get("/", timeout=timeout)
        assert waits_and_connections(session) == (1, 0)


def test_a_server_that_leaves_ends_the_wait(raw_server: StartRawServer) -> None:
    """What may be sent again is, on a new connection; what may not is an error."""

    def leaving(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"first")
        conn.read_request()
        conn.close()

    wire = raw_server(leaving, answering)
    with Session(wire.url) as session:
        session.get("/").read()
        assert session.get("/").read() == b"{}"
    wire = raw_server(leaving, answering)
    with Session(wire.url) as session:
        session.get("/").read()
        with pytest.raises(syncclient.ServerDisconnectedError):
            session.post("/")
        assert waits_and_connections(session) == (1, 0)


@pytest.mark.anyio
async def test_a_cancelled_task_of_the_callers_ends_the_wait(raw_server: StartRawServer) -> None:
    """Through ``session.aio``, whose requests need no task on our loop either."""
    wire = raw_server(answering_then_stalling)
    with Session(wire.url) as session:
        await (await session.aio.get("/")).read()
        async with anyio.create_task_group() as group:
            group.start_soon(session.aio.get, "/")
            await anyio.to_thread.run_sync(wire.wait_until_stalled)
            group.cancel_scope.cancel()
        assert waits_and_connections(session) == (1, 0)
