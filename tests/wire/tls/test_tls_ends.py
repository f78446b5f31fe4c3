"""Connections over TLS end with their session, whatever their peer says or does not say."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

import pytest

import syncclient
from syncclient import LoopThread, Session
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer


@pytest.mark.parametrize("new_loop", [None, asyncio.new_event_loop], ids=["default", "asyncio"])
@pytest.mark.parametrize("pinned", [True, False])
def test_a_peer_that_says_no_goodbye(
    app: AppServer,
    raw_server: StartRawServer,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None,
    pinned: bool,
) -> None:
    """A peer that sends no TLS goodbye delays no close() of the session."""
    ended = threading.Event()

    def script(conn: RawConnection) -> None:
        conn.sock.settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            while socket.socket.recv(conn.sock, 2**16):  # below TLS, and without an answer
                pass
        ended.set()

    wire = raw_server(script, tls=server_tls)
    how = syncclient.Fingerprint(bytes(32)) if pinned else client_tls
    thread = LoopThread(loop_factory=new_loop)
    # The other session keeps the loop, whose end would close the connection in any case.
    with Session(app.url, loop_thread=thread) as other, Session(loop_thread=thread) as session:
        assert other.get("/get").status == 200
        with pytest.raises((syncclient.ClientError, TimeoutError)):
            session.get(wire.url, ssl=how, timeout=0.5)
        session.close()
        assert ended.wait(20)
