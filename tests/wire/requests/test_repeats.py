"""What the engine sends a second time by itself: only what a dead kept-alive connection lost."""

import asyncio
import itertools
import socket
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests

import syncclient
from syncclient import Retry, ServerDisconnectedError, Session
from tests.servers.raw import RawConnection, StartRawServer
from tests.servers.scripts import hang_up


def answer_once(conn: RawConnection) -> None:
    """Answer a request, and hang up on the next one."""
    conn.read_request()
    conn.respond()
    conn.read_request()


async def passing(request: Any, handler: Any) -> Any:
    return await handler(request)


def _aio(session: Session, url: str) -> None:
    async def ask() -> None:
        await session.aio.get(url)

    asyncio.run(ask())


ASKING: dict[str, Callable[[Session, str], object]] = {
    "get": lambda session, url: session.get(url),
    "head": lambda session, url: session.head(url),
    "put": lambda session, url: session.put(url, data=b"x"),
    "submit": lambda session, url: session.submit("GET", url).result(10),
    "map": lambda session, url: list(session.map([url])),
    "aio": _aio,
    "ws_connect": lambda session, url: session.ws_connect(url),
    "middleware": lambda session, url: session.get(url, middlewares=[passing]),
    "one attempt": lambda session, url: session.get(url, retry=Retry(1)),
    "no such method": lambda session, url: session.get(url, retry=Retry(methods={"POST"})),
}


@pytest.mark.parametrize("how", ASKING)
def test_nothing_is_repeated_on_a_new_connection(raw_server: StartRawServer, how: str) -> None:
    """A server that hangs up on a new connection has seen the request, and gets it once, as from
    requests and httpx."""
    wire = raw_server(hang_up)
    with Session(timeout=10) as session, pytest.raises(ServerDisconnectedError):
        ASKING[how](session, wire.url)
    assert len(wire.requests) == 1
    with pytest.raises(requests.ConnectionError):
        requests.get(wire.url, timeout=10)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(wire.url)
    assert len(wire.requests) == 3


@pytest.mark.parametrize("how", ["get", "head", "put", "submit", "map", "aio", "middleware"])
def test_a_dead_kept_alive_connection_is_replaced(raw_server: StartRawServer, how: str) -> None:
    """There the request may never have been seen: it is sent once more, on a new connection."""
    wire = raw_server(answer_once)
    with Session(timeout=10) as session:
        session.get(wire.url).read()
        ASKING[how](session, wire.url)
    assert len(wire.requests) == 3


@pytest.mark.parametrize("retry", [Retry(1), Retry(methods={"POST"})])
def test_a_policy_has_the_last_word(raw_server: StartRawServer, retry: Retry) -> None:
    """A request with a policy of its own, which wants no second attempt, has none."""
    wire = raw_server(answer_once)
    with Session(timeout=10) as session:
        session.get(wire.url).read()
        with pytest.raises(ServerDisconnectedError):
            session.get(wire.url, retry=retry)
    assert len(wire.requests) == 2


def test_a_middleware_may_repeat(raw_server: StartRawServer) -> None:
    """One that catches the error and asks again gets a new connection."""

    async def twice(request: Any, handler: Any) -> Any:
        try:
            return await handler(request)
        except syncclient.ServerDisconnectedError:
            return await handler(request)

    wire = raw_server(hang_up, answer_once)
    with Session(timeout=10, middlewares=[twice]) as session:
        assert session.get(wire.url).status == 200
    assert len(wire.requests) == 2


def test_each_hop_has_a_connection(raw_server: StartRawServer) -> None:
    """Redirects over connections that are closed each time are no repeats."""

    def hop(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(status="302 Found", headers=[("Location", "/x"), ("Connection", "close")])

    wire = raw_server(hop, hop, answer_once)
    with Session(timeout=10) as session:
        assert session.get(wire.url).status == 200
    assert len(wire.requests) == 3


def test_the_second_attempt_goes_over_a_new_connection(raw_server: StartRawServer) -> None:
    """Where a server has closed one idle connection it has closed the others: none is tried."""
    together = threading.Barrier(3)
    connections = itertools.count()

    def script(conn: RawConnection) -> None:
        old = next(connections) < 3
        conn.read_request()
        if old:
            together.wait(10)
        conn.respond(b"old" if old else b"new")
        conn.read_request()

    wire = raw_server(script)
    with Session(timeout=10) as session:
        replies = [session.submit("GET", wire.url) for _ in range(3)]
        assert [reply.result(10).read() for reply in replies] == [b"old"] * 3
        assert session.get(wire.url).read() == b"new"
    assert len(wire.connections) == 4


def test_nothing_is_repeated_on_a_new_connection_to_a_socket() -> None:
    """A Unix socket is no exception."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = f"{folder}/s"
        listener.bind(path)
        listener.listen()
        listener.settimeout(5)
        with Session(timeout=10, connector=syncclient.UnixConnector(path)) as session:
            asked = session.submit("GET", "http://host.test/")
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.close()
            with pytest.raises(ServerDisconnectedError):
                asked.result(10)
            listener.settimeout(0)
            with pytest.raises(BlockingIOError):
                listener.accept()
