"""Connections that fail in every way, beside honest ones: no descriptor is closed twice.

uvloop and the engine each close what they think is theirs. Where both close one descriptor, the
second close hits whoever has got its number meanwhile: another connection dies, or the process.
"""

import contextlib
import random
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import syncclient
from syncclient import ClientTimeout, Session, TCPConnector
from tests.servers.process import AppServer
from tests.servers.raw import PeerGoneError, RawConnection, Script, StartRawServer
from tests.wire.tls.test_tls_names import undisturbed

ROUNDS = 100


def read_out(conn: RawConnection) -> None:
    with contextlib.suppress(OSError, PeerGoneError):
        conn.read_to_end()


def hang_up(conn: RawConnection) -> None:
    """Close as soon as the client is there."""


def reset(conn: RawConnection) -> None:
    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def say_nothing(conn: RawConnection) -> None:
    read_out(conn)


def talk_plainly(conn: RawConnection) -> None:
    conn.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    read_out(conn)


def tunnel_then(after: bytes, *, ends: bool) -> Script:
    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.send(after)
        if not ends:
            read_out(conn)

    return script


#: What the peer does to a connection, which it was told is for TLS.
PEERS: dict[str, Script] = {
    "hangs up": hang_up,
    "resets": reset,
    "says nothing": say_nothing,
    "talks plainly": talk_plainly,
}

PROXIES: dict[str, Script] = {
    "hangs up": hang_up,
    "resets": reset,
    "says nothing": say_nothing,
    "refuses": tunnel_then(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", ends=True),
    "is no proxy": tunnel_then(b"\x00\x01\x02\r\n\r\n", ends=False),
    "tunnels to silence": tunnel_then(b"HTTP/1.1 200 OK\r\n\r\n", ends=False),
    "tunnels to the end": tunnel_then(b"HTTP/1.1 200 OK\r\n\r\n", ends=True),
    "tunnels to noise": tunnel_then(b"HTTP/1.1 200 OK\r\n\r\nnoise", ends=False),
}


@contextlib.contextmanager
def neighbours(url: str) -> Iterator[Callable[[], None]]:
    """Honest connections that are kept alive, and a function that uses each of them."""
    with contextlib.ExitStack() as stack:
        sessions = [
            stack.enter_context(Session(connector=TCPConnector(limit=1), timeout=10))
            for _ in range(3)
        ]

        def use() -> None:
            for session in sessions:
                assert session.get(url).read()

        use()
        yield use
        opened = [session.connector.snapshot().open for session in sessions]
        assert opened == [1, 1, 1]


def fail(session: Session, url: str, **options: Any) -> None:
    """Ask for what cannot be had, and give up at some moment before that is known."""
    # From an end within the first turn of the loop to one that comes later than the failure.
    seconds = random.choice((0.0005, 0.002, 0.01, 0.05))
    with pytest.raises((syncclient.ClientError, TimeoutError)):
        session.get(url, timeout=ClientTimeout(total=seconds), **options)


@pytest.mark.parametrize("peer", PEERS)
def test_handshakes_that_fail(
    app: AppServer, raw_server: StartRawServer, client_tls: ssl.SSLContext, peer: str
) -> None:
    """A peer that breaks off, or a caller that does, in any phase of the handshake."""
    wire = raw_server(PEERS[peer])
    with neighbours(f"{app.url}/get") as use, Session() as session:
        for _ in range(ROUNDS // 4):
            with undisturbed():
                fail(session, f"https://127.0.0.1:{wire.port}/", ssl=client_tls)
            use()


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_tunnels_that_fail(
    app: AppServer,
    raw_server: StartRawServer,
    client_tls: ssl.SSLContext,
    server_tls: ssl.SSLContext,
    scheme: str,
    proxy: str,
) -> None:
    """A proxy that refuses, breaks off or lies, before the upgrade to TLS and within it."""
    wire = raw_server(PROXIES[proxy], tls=server_tls if scheme == "https" else None)
    with neighbours(f"{app.url}/get") as use, Session() as session:
        for _ in range(ROUNDS // 8):
            with undisturbed():
                fail(session, "https://host.test/", ssl=client_tls, proxy=wire.url)
            use()


def test_certificates_that_are_refused(app: AppServer, tls_app: AppServer) -> None:
    """A handshake that the client ends, for the certificate is not one to trust."""
    url = f"https://127.0.0.1:{tls_app.port}/get"
    with neighbours(f"{app.url}/get") as use, Session() as session:
        for number in range(ROUNDS // 4):
            options: dict[str, Any] = {}
            if number % 2:
                options["ssl"] = syncclient.Fingerprint(b"\x00" * 32)
            with undisturbed(), pytest.raises(syncclient.ClientConnectionError):
                session.get(url, **options)
            use()


def test_callers_that_leave(app: AppServer, tls_app: AppServer, client_tls: ssl.SSLContext) -> None:
    """Requests that are cancelled in whatever phase they are, beside those that are not."""
    url = f"https://127.0.0.1:{tls_app.port}/get"
    with neighbours(f"{app.url}/get") as use:
        for _ in range(ROUNDS // 4):
            with undisturbed(), Session() as session:
                futures = [session.submit("GET", url, ssl=client_tls) for _ in range(4)]
                for future in futures[::2]:
                    future.cancel()
                for future in futures[1::2]:
                    assert future.result(10).status == 200
            use()


def test_socks_proxies_that_fail(
    app: AppServer, raw_server: StartRawServer, client_tls: ssl.SSLContext
) -> None:
    """The socket that a SOCKS proxy has joined belongs to one owner at a time, too."""
    pytest.importorskip("python_socks")

    def joined_to(after: bytes, *, ends: bool) -> Script:
        def script(conn: RawConnection) -> None:
            conn.sock.recv(100)
            conn.send(b"\x05\x00")
            conn.sock.recv(100)
            conn.send(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50" + after)
            if not ends:
                read_out(conn)

        return script

    for script in (hang_up, joined_to(b"", ends=True), joined_to(b"noise\r\n", ends=False)):
        wire = raw_server(script)
        proxy = f"socks5://127.0.0.1:{wire.port}"
        with neighbours(f"{app.url}/get") as use, Session() as session:
            for _ in range(ROUNDS // 8):
                with undisturbed():
                    fail(session, "https://127.0.0.1/", ssl=client_tls, proxy=proxy)
                use()
