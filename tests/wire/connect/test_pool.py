"""The pool: limits that hold, waiting that says why, what is shared, and what is let go."""

import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest

import syncclient
from syncclient import ClientTimeout, Session, TCPConnector
from syncclient._async.connect.pool import PoolFactory, PoolSnapshot, Token
from syncclient._async.connect.tcp import TCPSettings
from tests.servers.process import AppServer, app_server
from tests.servers.raw import RawConnection, RawServer
from tests.wire.connect.reading import status

RawServers = Callable[..., RawServer]


def fetch_all(session: Session, urls: list[str]) -> list[int]:
    """Fetch all at once, each from a thread of its own; returns the statuses."""

    def fetch(url: str) -> int:
        with session.get(url) as response:
            response.read()
            return response.status

    with ThreadPoolExecutor(len(urls)) as threads:
        return list(threads.map(fetch, urls))


# Limits.


@pytest.mark.parametrize("options", [{"limit": 3}, {"limit_per_host": 3}], ids=str)
def test_a_limit_holds(options: dict[str, Any]) -> None:
    """However many threads ask at once, the server sees no more connections than the limit."""
    with app_server() as app, Session(app.url, connector=TCPConnector(**options)) as session:
        assert fetch_all(session, ["/delay/0.02"] * 12) == [200] * 12
        assert app.stats().connections_opened == 3
        assert session.connector.snapshot().open == 3


def test_no_limit() -> None:
    """With limit=0 every request that finds no idle connection gets a new one."""
    with app_server() as app, Session(app.url, connector=TCPConnector(limit=0)) as session:
        with ThreadPoolExecutor(120) as threads:
            calls = [threads.submit(session.get, "/delay/30") for _ in range(120)]
            app.wait_until(lambda stats: stats.connections_open == 120)
            assert session.connector.snapshot() == PoolSnapshot(0, 0, open=120)
            session.close()
            for call in calls:
                assert isinstance(call.exception(20), syncclient.ClientError)


def test_the_default_limit() -> None:
    """Without a word about it, a session has a hundred connections and no more."""
    with app_server() as app, Session(app.url) as session:
        with ThreadPoolExecutor(110) as threads:
            calls = [threads.submit(session.get, "/delay/30") for _ in range(110)]
            app.wait_until(lambda stats: stats.connections_open == 100)
            wait_for_waiting(session, 10)
            assert session.connector.snapshot() == PoolSnapshot(100, 0, open=100, waiting=10)
            assert app.stats().connections_opened == 100
            session.close()
            for call in calls:
                assert isinstance(call.exception(20), syncclient.ClientError)


def wait_for_waiting(session: Session, count: int) -> None:
    """Ask, each time on the event loop, until so many requests wait. Bounded, without sleeping."""
    for _ in range(20_000):
        if session.connector.snapshot().waiting == count:
            return
    raise TimeoutError(f"never were {count} waiting: {session.connector.snapshot()}")


def test_idle_connections_count(raw_server: RawServers) -> None:
    """Connections kept to one host make room for another's: the limit counts idle ones, too."""

    def answer(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            conn.respond(b"hello")

    wires = [raw_server(answer) for _ in range(4)]
    with Session(connector=TCPConnector(limit=2)) as session:
        for wire in wires:
            assert session.get(wire.url).text() == "hello"
            assert session.connector.snapshot().open <= 2
        # The longest idle went first, and the server has seen it go.
        wires[0].wait_until_closed()
        wires[1].wait_until_closed()
        assert session.connector.snapshot() == PoolSnapshot(2, 0, open=2, idle=2)
        assert session.get(wires[3].url).text() == "hello"
        assert len(wires[3].connections) == 1


# Waiting.


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"limit": 2}, "all 2 connections are in use (limit=2)"),
        ({"limit": 1}, "the one connection is in use (limit=1)"),
        ({"limit_per_host": 2}, "all 2 connections to 127.0.0.1 are in use (limit_per_host=2)"),
    ],
    ids=str,
)
@pytest.mark.parametrize("which", ["total", "connect"])
def test_a_timeout_while_waiting_names_the_limit(
    raw_server: RawServers, options: dict[str, Any], says: str, which: str
) -> None:
    """A call that runs out of time waiting for a connection tells which limit it waited for."""

    def stalled(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "10")])
        conn.stall()

    wire = raw_server(stalled)
    timeout = ClientTimeout(total=0.2) if which == "total" else ClientTimeout(connect=0.2)
    with Session(connector=TCPConnector(**options)) as session:
        held = [session.get(wire.url) for _ in range(next(iter(options.values())))]
        error = syncclient.ServerTimeoutError if which == "total" else syncclient.PoolTimeoutError
        with pytest.raises(error, match=re.escape(says)):
            session.get(wire.url, timeout=timeout)
        assert session.connector.snapshot().waiting == 0
        for response in held:
            response.close()
        assert session.connector.snapshot().open == 0


def test_a_failed_connection_gives_its_slot_back(raw_server: RawServers, app: AppServer) -> None:
    """Connections refused or cut off hold no slot afterwards."""
    wire = raw_server(lambda conn: conn.reset())
    with Session(connector=TCPConnector(limit=1)) as session:
        for _ in range(3):
            with pytest.raises(syncclient.ClientConnectionError):
                session.post(wire.url)
            with pytest.raises(syncclient.ClientConnectorError):
                session.get("http://127.0.0.1:1/")
        assert session.connector.snapshot().open == 0
        assert status(session.get(f"{app.url}/get")) == 200


# What is kept, and for how long.


def test_connections_are_kept(app: AppServer) -> None:
    """One request after the other goes over one connection."""
    with Session(app.url) as session:
        numbers = {session.get("/get").json()["connection"] for _ in range(5)}
        assert len(numbers) == 1
        assert session.connector.snapshot() == PoolSnapshot(100, 0, open=1, idle=1)


def test_force_close(app: AppServer) -> None:
    """With force_close each request has a connection of its own, and none is kept."""
    with Session(app.url, connector=TCPConnector(force_close=True)) as session:
        numbers = {session.get("/get").json()["connection"] for _ in range(3)}
        assert len(numbers) == 3
        assert session.connector.snapshot().open == 0


def test_keepalive_timeout() -> None:
    """A connection unused for keepalive_timeout seconds is closed without anyone asking."""
    connector = TCPConnector(keepalive_timeout=0.1)
    with app_server() as app, Session(app.url, connector=connector) as session:
        session.get("/get").close()
        app.wait_until(lambda stats: stats.connections_open == 0)
        assert session.connector.snapshot().open == 0


def test_local_addr(app: AppServer, raw_server: RawServers) -> None:
    """Connections start from local_addr."""
    seen: list[str] = []

    def script(conn: RawConnection) -> None:
        seen.append(conn.sock.getpeername()[0])
        conn.read_request()
        conn.respond()

    wire = raw_server(script)
    with Session(connector=TCPConnector(local_addr=("127.0.0.9", 0))) as session:
        session.get(wire.url).close()
    assert seen == ["127.0.0.9"]


def test_socket_factory(app: AppServer) -> None:
    """The sockets are those that socket_factory made."""
    import socket

    made: list[socket.socket] = []

    def make(addr_info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, proto, _, _ = addr_info
        made.append(socket.socket(family, kind, proto))
        return made[-1]

    with Session(connector=TCPConnector(socket_factory=make)) as session:
        assert status(session.get(f"{app.url}/get")) == 200
        assert len(made) == 1
        assert made[0].getpeername()[1] == app.port


# Sharing.


def test_sessions_share_a_pool(app: AppServer) -> None:
    """With connector_owner=False, sessions given one description use one pool between them."""
    connector = TCPConnector(limit=5)
    first = Session(app.url, connector=connector, connector_owner=False)
    second = Session(app.url, connector=connector, connector_owner=False)
    apart = Session(app.url, connector=connector)
    with second, apart:
        with first:
            number = first.get("/get").json()["connection"]
            assert second.get("/get").json()["connection"] == number
            assert apart.get("/get").json()["connection"] != number
        # The first has closed; the pool is the second's still.
        assert second.get("/get").json()["connection"] == number
        assert second.connector.snapshot().open == 1
    connector.close()


def test_a_session_lends_its_pool(app: AppServer) -> None:
    """A session's connector, given to another that is not its owner, is the same pool."""
    with Session(app.url) as owner:
        number = owner.get("/get").json()["connection"]
        with Session(app.url, connector=owner.connector, connector_owner=False) as guest:
            assert guest.get("/get").json()["connection"] == number
        assert owner.get("/get").json()["connection"] == number
        assert owner.connector == TCPConnector()


def test_a_closing_session_leaves_the_others_requests(app: AppServer) -> None:
    """Closing one of the sessions of a pool does not disturb what the other has under way."""
    connector = TCPConnector()
    guest = Session(app.url, connector=connector, connector_owner=False)
    with Session(app.url, connector=connector, connector_owner=False) as session:
        guest.get("/get").close()
        statuses: list[int] = []
        thread = threading.Thread(target=lambda: statuses.append(status(session.get("/delay/0.3"))))
        thread.start()
        app.wait_until(lambda stats: stats.in_flight.get("/delay/0.3") == 1)
        guest.close()
        thread.join(20)
        assert statuses == [200]
    connector.close()


@pytest.mark.parametrize("late", [True, False], ids=["late", "at once"])
def test_an_answer_that_nobody_asked_for_answers_nobody(raw_server: RawServers, late: bool) -> None:
    """A second response, sent while the connection lies idle or behind the first, ends it."""

    def says_too_much(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "5")])
        second = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunasked"
        conn.send(b"first" if late else b"first" + second)
        conn.stall()
        conn.send(second)
        conn.read_to_end()

    def answers(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"second")

    server = raw_server(says_too_much, answers)
    with Session() as session:
        assert session.get(server.url).read() == b"first"
        conn = server.wait_until_stalled()
        conn.proceed()
        conn.wait_until_closed()
        assert session.get(server.url).read() == b"second"


# What of the engine we look into: should it go, these are the tests that notice.


def test_what_we_read_of_the_engine_is_there() -> None:
    """aiohttp's pool still has the attributes that the snapshot and the limit are read from."""

    async def look() -> None:
        pool = PoolFactory(TCPSettings(), Token())()
        assert isinstance(pool, aiohttp.TCPConnector)
        for name in ("_conns", "_acquired", "_waiters", "_factory", "_ssl_shutdown_timeout"):
            assert hasattr(pool, name), name
        for method in (
            *("_wait_for_available_connection", "_create_connection", "_get_ssl_context"),
            *("_create_direct_connection", "_wrap_existing_connection", "_resolve_host"),
            *("_get_fingerprint",),
        ):
            assert callable(getattr(aiohttp.TCPConnector, method, None)), method
        await pool.close()

    asyncio.run(look())


def test_an_engine_we_cannot_read_says_so() -> None:
    """On an engine without these attributes a snapshot fails, saying what to do."""

    async def look() -> None:
        pool = PoolFactory(TCPSettings(), Token())()
        del pool._acquired
        with pytest.raises(RuntimeError, match="newer syncclient"):
            pool.snapshot()
        pool._acquired = set()
        await pool.close()

    asyncio.run(look())
