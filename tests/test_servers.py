"""The test servers themselves, asked by the standard library: a test is no better than they."""

import hashlib
import http.client
import json
import socket
from contextlib import closing

import pytest

from tests.children import RunChild
from tests.servers.content import pattern
from tests.servers.process import AppServer, app_server
from tests.servers.raw import RawConnection, RawServer, StartRawServer


def ask(server: AppServer, method: str, target: str, **kwargs: object) -> tuple[int, bytes]:
    assert server.port is not None
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with closing(connection):
        connection.request(method, target, **kwargs)  # type: ignore[arg-type]  # passed on as given
        response = connection.getresponse()
        return response.status, response.read()


def test_the_echo_keeps_order_and_bytes(app: AppServer) -> None:
    """Repeated arguments stay apart and in order, and a body comes back byte for byte."""
    status, body = ask(app, "POST", "/anything/x?b=1&a=2&b=3", body=b"\xff\x00")
    seen = json.loads(body)
    assert status == 200
    assert seen["args"] == [["b", "1"], ["a", "2"], ["b", "3"]]
    assert (seen["method"], seen["body"], seen["text"]) == ("POST", "/wA=", None)


def test_the_pattern_is_the_same_on_both_sides(app: AppServer) -> None:
    """/bytes and /range send what `pattern()` says, across its block edges."""
    assert ask(app, "GET", "/bytes/200000")[1] == pattern(200_000)
    part = {"Range": "bytes=65000-66999"}
    assert ask(app, "GET", "/range/200000", headers=part) == (206, pattern(2000, 65_000))
    assert pattern(2000, 65_000) == pattern(67_000)[65_000:]


def test_upload_reports_what_arrived(app: AppServer) -> None:
    """The digest is of the body received, and the framing is told."""
    seen = json.loads(ask(app, "PUT", "/upload", body=iter([b"ab", b"cd"]))[1])
    assert seen["sha256"] == hashlib.sha256(b"abcd").hexdigest()
    assert (seen["content_length"], seen["transfer_encoding"]) == (None, "chunked")


def test_a_request_in_flight_can_be_waited_for() -> None:
    """`wait_until` sees a request come, and sees it cancelled when its client leaves."""
    with app_server() as server:
        assert server.port is not None
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET /delay/60 HTTP/1.1\r\nHost: x\r\n\r\n")
            server.wait_until(lambda stats: stats.in_flight == {"/delay/60": 1})
        stats = server.wait_until(lambda stats: not stats.total_in_flight)
        assert (stats.cancelled, stats.connections_opened) == (1, 1)
        server.wait_until(lambda stats: stats.connections_open == 0)
        with pytest.raises(TimeoutError, match="requests=1"):
            server.wait_until(lambda stats: stats.requests == 2, timeout=0.05)


def test_a_script_sends_step_by_step(raw_server: StartRawServer) -> None:
    """Nothing is sent before the test says so, and what the client sent is recorded."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_slowly([b"one", b"two"])
        conn.half_close()
        conn.read_to_end()

    wire = raw_server(script)
    with socket.create_connection((wire.host, wire.port)) as client:
        client.sendall(b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.sendall(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        conn = wire.wait_until_stalled()
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(10)
        client.settimeout(10)
        conn.proceed()
        assert client.recv(10) == b"one"
        conn.wait_until_stalled()
        conn.proceed()
        assert client.recv(10) == b"two"
        assert client.recv(10) == b""
    conn.wait_until_closed()
    (request,) = wire.requests
    assert (request.method, request.body, request.chunks) == ("POST", b"abc", [2, 1])


def test_a_stalled_script_sees_its_client_leave(raw_server: StartRawServer) -> None:
    """`wait_until_closed` needs no read in the script; unread data does not hide the close."""
    wire = raw_server(RawConnection.stall)
    with socket.create_connection((wire.host, wire.port)) as client:
        client.sendall(b"unread")
        wire.wait_until_stalled()
        with pytest.raises(TimeoutError):
            wire.wait_until_closed(timeout=0.05)
    wire.wait_until_closed()


def test_a_reset_is_a_reset(raw_server: StartRawServer) -> None:
    """`reset()` sends RST, not an orderly end."""
    wire = raw_server(RawConnection.reset)
    with socket.create_connection((wire.host, wire.port)) as client, pytest.raises(ConnectionError):
        client.recv(1)


def test_an_error_in_a_script_fails_the_test() -> None:
    """A script cannot go wrong unseen."""

    def script(conn: RawConnection) -> None:
        assert conn.read_some() == b"expected"

    def provoke(wire: RawServer) -> None:
        with socket.create_connection((wire.host, wire.port)) as client:
            client.sendall(b"other")
            wire.wait_until_connected().wait_until_ended()

    with pytest.raises(AssertionError), RawServer(script) as wire:
        provoke(wire)


def test_the_server_dies_with_its_parent(run_child: RunChild) -> None:
    """A parent that is killed takes its application along."""
    child = run_child(
        "import os, signal\n"
        "from tests.servers.process import app_server\n"
        "with app_server() as server:\n"
        "    print(server.port, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # The application inherits the child's stderr: the pipe's end, which run_child waited for, is
    # the event. What is left to see is that nobody listens any more.
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", int(child.stdout)))
