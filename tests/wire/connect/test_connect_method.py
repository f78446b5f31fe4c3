"""CONNECT: when a tunnel is open, what is sent through it, and what a refusal says."""

import ssl
from typing import Any

import pytest

import syncclient
from syncclient import Session, SocksConnector
from tests.servers.proxies import socks_proxy
from tests.servers.raw import RawConnection, StartRawServer
from tests.servers.ws_script import TEXT, accept, close_frame, frame


def _tunnelled(conn: RawConnection, tls: ssl.SSLContext, answer: bytes) -> None:
    """Answer a CONNECT, and play the server behind the tunnel as well."""
    conn.read_head()
    conn.send(answer)
    conn.sock = tls.wrap_socket(conn.sock, server_side=True)
    conn.read_request()
    conn.respond(b"from the server")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 201 Created\r\n\r\n",
        b"HTTP/1.1 202 \r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 299 Whatever\r\nVia: 1.1 proxy\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        # RFC 9110, section 9.3.6: such fields are to be ignored.
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_any_2xx_opens_the_tunnel(
    raw_server: StartRawServer,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    answer: bytes,
) -> None:
    """As for curl: the status alone counts, and what its head says of a body does not."""
    wire = raw_server(lambda conn: _tunnelled(conn, server_tls, answer))
    with Session(timeout=20) as session:
        response = session.get("https://localhost/x", proxy=wire.url, ssl=client_tls)
        assert response.text() == "from the server"
    assert [request.method for request in wire.requests] == ["CONNECT", "GET"]
    assert [request.target for request in wire.requests] == ["localhost:443", "/x"]


@pytest.mark.parametrize("status", ["302 Found", "400 No", "403 No", "407 Who", "502 No"])
def test_a_refusal_is_told_with_its_head(raw_server: StartRawServer, status: str) -> None:
    """No other status opens it; the error has the status and the headers, and nothing is sent."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        headers = [("Proxy-Authenticate", 'Basic realm="p"'), ("Location", "http://a.test/")]
        conn.respond(b"why", status=status, headers=headers)
        assert conn.read_to_end() == b""

    wire = raw_server(script)
    with Session(timeout=20) as session:
        with pytest.raises(syncclient.ClientHttpProxyError) as caught:
            session.get("https://u:s3cr3t@localhost/x", proxy=wire.url.replace("//", "//a:s3cr3t@"))
    assert caught.value.status == int(status[:3])
    assert caught.value.headers is not None
    assert caught.value.headers["Proxy-Authenticate"] == 'Basic realm="p"'
    assert "s3cr3t" not in str(caught.value)


def _websocket_proxy(conn: RawConnection) -> None:
    conn.read_head()
    # The greeting shares a packet with the handshake's answer.
    conn.send(b"HTTP/1.1 200 OK\r\n\r\n")
    accept(conn, greeting=frame(TEXT, b"hello"))
    conn.read_some()  # the client's close frame
    conn.send(close_frame())


@pytest.mark.parametrize("scheme", ["ws", "http"])
@pytest.mark.parametrize("secured", [False, True])
def test_a_websocket_goes_through_a_tunnel(
    raw_server: StartRawServer,
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
    scheme: str,
    secured: bool,
) -> None:
    """ws:// as well as wss:// (RFC 6455, 4.1): the proxy gets a CONNECT with its credentials and
    headers, and the server a handshake without them."""
    wire = raw_server(_websocket_proxy, tls=server_tls if secured else None)
    with Session(timeout=20) as session:
        ws = session.ws_connect(
            f"{scheme}://a.test/chat?b=c",
            proxy=wire.url.replace("//", "//u:p%40@").replace("127.0.0.1", "localhost"),
            proxy_headers={"X-For-Proxy": "1"},
            headers={"X-For-Server": "1"},
            ssl=client_tls,
        )
        with ws:
            assert ws.receive_str() == "hello"
    to_proxy, to_server = wire.requests
    assert (to_proxy.method, to_proxy.target) == ("CONNECT", "a.test:80")
    assert to_proxy.header("Host") == "a.test:80"
    assert to_proxy.header("Proxy-Authorization") == "Basic dTpwQA=="
    assert to_proxy.header("X-For-Proxy") == "1"
    assert to_proxy.header("X-For-Server") == ""
    assert to_server.target == "/chat?b=c"
    assert to_server.header("Host") == "a.test"
    assert to_server.header("X-For-Server") == "1"
    assert to_server.header("Proxy-Authorization") == to_server.header("X-For-Proxy") == ""


def test_a_websocket_goes_through_socks_and_a_tunnel(raw_server: StartRawServer) -> None:
    """An HTTP proxy behind a SOCKS proxy is reached through that."""
    wire = raw_server(_websocket_proxy)
    with socks_proxy(5) as socks:
        connector = SocksConnector(f"socks5h://127.0.0.1:{socks.port}")
        with Session(timeout=20, connector=connector) as session:
            with session.ws_connect("ws://a.test/", proxy=wire.url) as ws:
                assert ws.receive_str() == "hello"
        assert socks.asked == [("127.0.0.1", wire.port)]
    assert [request.method for request in wire.requests] == ["CONNECT", "GET"]


def test_plain_requests_are_apart_from_tunnels(raw_server: StartRawServer) -> None:
    """A connection that a refused handshake leaves is not lent to a plain request, or back."""

    def script(conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            if request.method == "CONNECT":
                conn.send(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                conn.respond(b"plain")

    wire = raw_server(script)
    with Session(timeout=20, proxy=wire.url) as session:
        for _ in range(2):
            assert session.get("http://a.test/x").text() == "plain"
            with pytest.raises(syncclient.WSServerHandshakeError):
                session.ws_connect("ws://a.test/x")
        assert session.connector.snapshot().in_use == 0
    for connection in wire.connections:
        targets = {request.target for request in connection.requests if request.method == "GET"}
        tunnel = any(request.method == "CONNECT" for request in connection.requests)
        assert targets == {"/x" if tunnel else "http://a.test/x"}


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"HTTP/1.1 407 Who\r\nX: y\r\n\r\n", syncclient.ClientHttpProxyError, "407"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 502 \r\n\r\n",
            syncclient.ClientHttpProxyError,
            "502",
        ),
        (b"SSH-2.0-x\r\n\r\n", syncclient.ClientProxyConnectionError, "not answer in HTTP"),
        (b"", syncclient.ClientProxyConnectionError, "without an answer"),
        (b"HTTP/1.1 200 OK\r\n", syncclient.ClientProxyConnectionError, "without an answer"),
        (b"X" * 100_000, syncclient.ClientProxyConnectionError, "more than 65536"),
        (b"HTTP/1.1 100 \r\n\r\n" * 5000, syncclient.ClientProxyConnectionError, "more than"),
    ],
)
def test_a_proxy_that_opens_no_tunnel_for_a_websocket(
    raw_server: StartRawServer, answer: bytes, error: type[Exception], message: str
) -> None:
    """Its refusal, its silence and its rubbish are errors that name it, without credentials."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.send(answer)
        if answer.endswith(b"\r\n\r\n") or len(answer) > 1000:
            conn.read_to_end()

    wire = raw_server(script)
    with Session(timeout=20) as session:
        with pytest.raises(error, match=message) as caught:
            session.ws_connect("ws://a.test/", proxy=wire.url.replace("//", "//a:s3cr3t@"))
        assert session.connector.snapshot().in_use == 0
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("url", ["ws://a.test/", "wss://a.test/", "https://a.test/"])
def test_a_silent_proxy_times_out(raw_server: StartRawServer, url: str) -> None:
    """The limit for connecting holds for the tunnel, too."""
    wire = raw_server(assert_ended)
    timeout = syncclient.ClientTimeout(total=None, sock_connect=0.3)
    with Session(timeout=timeout) as session:
        ask: Any = session.ws_connect if url.startswith("ws") else session.get
        with pytest.raises(syncclient.ConnectTimeoutError):
            ask(url, proxy=wire.url)
        assert session.connector.snapshot().in_use == 0


def assert_ended(conn: RawConnection) -> None:
    conn.read_head()
    assert conn.read_to_end() == b""
