"""The connection to a SOCKS proxy is made like any other: from where, with what, and to where."""

import socket
from typing import Any

import pytest

from syncclient import Session, TCPConnector
from tests.servers.raw import RawConnection, StartRawServer


def socks5(conn: RawConnection) -> None:
    """Play a SOCKS5 proxy and the server behind it."""
    conn.read_exactly(conn.read_exactly(2)[1])
    conn.send(b"\x05\x00")
    conn.read_exactly(4)
    conn.read_exactly(conn.read_exactly(1)[0] + 2)
    conn.send(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    conn.read_request()
    conn.respond(conn.sock.getpeername()[0].encode())


class Addresses:
    """Knows two addresses of every name."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    def resolve(self, host: str, port: int, family: int) -> list[str]:
        return list(self.addresses)


def test_the_local_address_is_bound(raw_server: StartRawServer) -> None:
    """local_addr= of the connector holds for a request that names a SOCKS proxy."""
    wire = raw_server(socks5)
    connector = TCPConnector(local_addr=("127.0.0.2", 0))
    with Session(connector=connector, proxy=f"socks5h://127.0.0.1:{wire.port}") as session:
        assert session.get("http://a.test/").text() == "127.0.0.2"


def test_the_socket_factory_is_asked(raw_server: StartRawServer) -> None:
    """socket_factory= makes the socket to the proxy, too."""
    made: list[Any] = []

    def make(info: Any) -> socket.socket:
        made.append(info[4])
        return socket.socket(info[0], info[1], info[2])

    wire = raw_server(socks5)
    with Session(connector=TCPConnector(socket_factory=make)) as session:
        session.get("http://a.test/", proxy=f"socks5h://127.0.0.1:{wire.port}").read()
    assert made == [("127.0.0.1", wire.port)]


@pytest.mark.parametrize("delay", [0.25, None])
def test_each_address_of_the_proxy_is_tried(
    raw_server: StartRawServer, delay: float | None
) -> None:
    """Where its first address refuses, the next one is tried, with or without a race."""
    wire = raw_server(socks5)
    connector = TCPConnector(
        resolver=Addresses("127.0.0.3", "127.0.0.1"), happy_eyeballs_delay=delay
    )
    with Session(connector=connector, proxy=f"socks5h://proxy.test:{wire.port}") as session:
        assert session.get("http://a.test/").text() == "127.0.0.1"
