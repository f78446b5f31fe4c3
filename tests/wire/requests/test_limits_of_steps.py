"""The limits of the steps of a request that aiohttp does not have: the pool's, and for writing."""

import copy
import pickle
import threading
from collections.abc import Iterator

import aiohttp
import attr
import pytest

from syncclient import (
    ClientTimeout,
    PoolTimeoutError,
    Session,
    TCPConnector,
    WriteTimeoutError,
)
from tests.servers.raw import RawConnection, RawServer, StartRawServer


def hold(conn: RawConnection) -> None:
    conn.read_request()
    conn.send_head(headers=[("Content-Length", "10")])
    conn.stall()


def take_nothing(conn: RawConnection) -> None:
    conn.read_head()
    conn.stall()


@pytest.fixture
def held(raw_server: StartRawServer) -> Iterator[tuple[Session, RawServer]]:
    """A session whose one connection is in use."""
    wire = raw_server(hold)
    with Session(connector=TCPConnector(limit=1)) as session:
        with session.get(wire.url):
            yield session, wire


def test_the_pool_has_a_limit_of_its_own(held: tuple[Session, RawServer]) -> None:
    """The wait for a free connection ends after ``pool`` seconds, and the error names it."""
    session, wire = held
    with pytest.raises(PoolTimeoutError, match=r"limit=1.*\(timeout\.pool is 0\.1 s\)") as caught:
        session.get(wire.url, timeout=ClientTimeout(pool=0.1, connect=30))
    assert caught.value.limit == 0.1
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_with_pool_the_limit_to_connect_leaves_the_wait_out(
    held: tuple[Session, RawServer],
) -> None:
    """``connect`` does not end the wait for a free connection where ``pool`` is given."""
    session, wire = held
    timeout = ClientTimeout(total=0.5, pool=None, connect=0.01)
    with pytest.raises(TimeoutError, match=r"timeout\.total is 0\.5 s"):
        session.get(wire.url, timeout=timeout)


def test_connect_ends_the_look_up_of_a_name() -> None:
    """With ``pool``, ``connect`` limits the making of a connection, names included."""
    gate = threading.Event()

    class Slow:
        def resolve(self, host: str, port: int, family: int) -> list[str]:
            gate.wait(20)
            return []

    with Session(connector=TCPConnector(resolver=Slow())) as session:
        timeout = ClientTimeout(pool=None, connect=0.1)
        with pytest.raises(aiohttp.ConnectionTimeoutError, match=r"timeout\.connect is 0\.1 s"):
            session.get("http://slow.test/", timeout=timeout)
        gate.set()


@pytest.mark.parametrize("body", [b"x" * 2**24, None], ids=["bytes", "generator"])
def test_a_server_that_takes_nothing(raw_server: StartRawServer, body: bytes | None) -> None:
    """An upload ends after ``sock_write`` seconds in which the server took no byte of it."""
    wire = raw_server(take_nothing)
    data = body if body is not None else (b"x" * 2**18 for _ in range(64))
    with Session() as session:
        with pytest.raises(WriteTimeoutError, match=r"sending the body \(timeout\.sock_write"):
            session.post(wire.url, data=data, timeout=ClientTimeout(sock_write=0.2))
        assert session.connector.snapshot().open == 0


def test_a_slow_source_is_no_stall(raw_server: StartRawServer) -> None:
    """An upload whose generator takes longer than ``sock_write`` is not cut short."""

    def answer(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"")

    wire = raw_server(answer)
    pause = threading.Event()

    def slow() -> Iterator[bytes]:
        for _ in range(3):
            pause.wait(0.1)
            yield b"x"

    with Session() as session:
        timeout = ClientTimeout(sock_write=0.05)
        assert session.post(wire.url, data=slow(), timeout=timeout).status == 200


@pytest.mark.parametrize("name", ["pool", "sock_write"])
def test_a_wrong_limit_is_refused(name: str) -> None:
    """A limit that is no number of seconds is an error that names the field."""
    with Session() as session:
        with pytest.raises(ValueError, match=rf"timeout\.{name}"):
            session.get("http://127.0.0.1:1/", timeout=ClientTimeout(**{name: -1}))


def test_a_timeout_is_a_value() -> None:
    """A ClientTimeout compares, copies, pickles and is changed as aiohttp's is."""
    timeout = ClientTimeout(total=3, pool=1, sock_write=2)
    assert timeout == ClientTimeout(3, pool=1, sock_write=2) != ClientTimeout(3, pool=2)
    assert copy.copy(timeout) == pickle.loads(pickle.dumps(timeout)) == timeout
    assert attr.evolve(timeout, total=4) == ClientTimeout(4, pool=1, sock_write=2)
    assert isinstance(timeout, aiohttp.ClientTimeout)
