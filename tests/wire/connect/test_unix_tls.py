"""TLS over Unix sockets, and every way of asking for it: what is asked for is done or refused."""

import contextlib
import hashlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

import syncclient
from syncclient import Fingerprint, Session, TCPConnector, UnixConnector
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer


class UnixServer:
    """A server on a Unix socket, with or without TLS; keeps what it was sent."""

    def __init__(self, path: Path, tls: ssl.SSLContext | None) -> None:
        self.path = path
        self.received: list[bytes] = []
        self._tls = tls
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), sock:
                sock.settimeout(10)
                self._answer(sock)

    def _answer(self, sock: socket.socket) -> None:
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_side=True)
        with sock:
            data = b""
            while b"\r\n\r\n" not in data and (more := sock.recv(65536)):
                data += more
                if not data.startswith((b"GET ", b"POST")):
                    break
            self.received.append(data)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def serve() -> Iterator[Callable[[ssl.SSLContext | None], UnixServer]]:
    """Start servers on sockets of their own."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        count = iter(range(10))

        def start(tls: ssl.SSLContext | None) -> UnixServer:
            server = UnixServer(Path(folder) / f"{next(count)}.sock", tls)
            stack.callback(server.close)
            return server

        yield start


Serve = Callable[["ssl.SSLContext | None"], UnixServer]


def unix_url(scheme: str, path: Path) -> str:
    return f"{scheme}+unix://{quote(str(path), safe='')}/"


@pytest.fixture
def tls_server(serve: Serve, server_tls: ssl.SSLContext) -> UnixServer:
    return serve(server_tls)


def test_https_over_a_unix_connector_is_tls(
    tls_server: UnixServer, client_tls: ssl.SSLContext
) -> None:
    """The name that is verified is the URL's host, as in httpx."""
    with Session("https://localhost/", connector=UnixConnector(tls_server.path)) as session:
        assert session.get("a", ssl=client_tls, auth=("me", "pw")).text() == "ok"
        assert session.get("a", ssl=False).text() == "ok"
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(tls_server.path), verify=client_tls)
    ) as theirs:
        assert theirs.get("https://localhost/a").text == "ok"
    assert all(data.startswith(b"GET /a HTTP/1.1\r\n") for data in tls_server.received)


def test_a_https_unix_url_is_tls(tls_server: UnixServer, client_tls: ssl.SSLContext) -> None:
    """The URL's scheme says so; the request's ssl= goes before the connector's."""
    url = unix_url("https", tls_server.path)
    with Session(connector=TCPConnector(ssl=client_tls)) as session:
        assert session.get(url).text() == "ok"
    with Session() as session:
        assert session.get(url, ssl=client_tls).text() == "ok"
        assert session.get(url, ssl=False).text() == "ok"


def test_a_websocket_over_a_unix_socket_is_tls(
    tls_server: UnixServer, client_tls: ssl.SSLContext
) -> None:
    """The handshake of wss:// is sent encrypted; here it is answered with 200."""
    with Session(connector=UnixConnector(tls_server.path)) as session:
        with pytest.raises(syncclient.WSServerHandshakeError):
            session.ws_connect("wss://localhost/", ssl=client_tls)
    with Session() as session, pytest.raises(syncclient.WSServerHandshakeError):
        session.ws_connect(unix_url("wss", tls_server.path), ssl=client_tls)
    assert all(b"Upgrade: websocket" in data for data in tls_server.received)


@pytest.mark.parametrize("wrong", ["authority", "name", "fingerprint"])
def test_the_certificate_is_verified(
    tls_server: UnixServer, client_tls: ssl.SSLContext, wrong: str
) -> None:
    """A wrong authority, name or fingerprint ends the request before anything is sent."""
    all_options: dict[str, dict[str, Any]] = {
        "authority": {},
        "name": {"ssl": client_tls, "server_hostname": "other.test"},
        "fingerprint": {"ssl": Fingerprint(bytes(32))},
    }
    options = all_options[wrong]
    expected = {
        "authority": syncclient.ClientConnectorCertificateError,
        "name": syncclient.ClientConnectorCertificateError,
        "fingerprint": syncclient.ServerFingerprintMismatch,
    }[wrong]
    with Session("https://localhost/", connector=UnixConnector(tls_server.path)) as session:
        with pytest.raises(expected):
            session.get("a", auth=("me", "pw"), **options)
    assert not any(b"GET" in data for data in tls_server.received)


def test_a_fingerprint_is_enough(serve: Serve, server_tls: ssl.SSLContext) -> None:
    """The one certificate is accepted, whoever signed it."""
    server = serve(server_tls)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as plain:
        plain.connect(str(server.path))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as sock:
            der = sock.getpeercert(binary_form=True)
            assert der is not None
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    pin = Fingerprint(hashlib.sha256(der).digest())
    with Session("https://localhost/", connector=UnixConnector(server.path)) as session:
        assert session.get("a", ssl=pin).text() == "ok"
    with Session(connector=TCPConnector(ssl=pin)) as session:
        assert session.get(unix_url("https", server.path)).text() == "ok"


@pytest.mark.parametrize("how", ["connector", "url", "ws"])
def test_nothing_goes_out_in_plain_text(serve: Serve, how: str) -> None:
    """To a server that does not speak TLS an https:// request fails without credentials."""
    server = serve(None)
    with Session(timeout=10, connector=UnixConnector(server.path)) as session:
        ask: Any = session.ws_connect if how == "ws" else session.get
        url = {
            "connector": "https://localhost/",
            "url": unix_url("https", server.path),
            "ws": "wss://localhost/",
        }[how]
        with pytest.raises(syncclient.ClientConnectorSSLError):
            ask(url, auth=("me", "pw"))
    assert not any(b"bWU6cHc=" in data or b"Authorization" in data for data in server.received)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        # A Unix socket, in either way, and a proxy.
        (lambda: Session(connector=UnixConnector("/a")), {"proxy": "http://p:1"}, "proxy.*UnixCon"),
        (lambda: Session(), {"proxy": "http://p:1", "url": "http+unix://%2Fa/"}, "proxy.*socket"),
        (lambda: Session(proxy="http://p:1"), {"url": "http+unix://%2Fa/"}, "proxy.*socket"),
        (lambda: Session(proxy="http://p:1", connector=UnixConnector("/a")), {}, "proxy.*UnixConn"),
        # Two sockets.
        (
            lambda: Session(connector=UnixConnector("/a")),
            {"url": "http+unix://%2Fb/"},
            "names the socket /b.*UnixConnector.*/a",
        ),
        # Two SOCKS proxies.
        (
            lambda: Session(connector=syncclient.SocksConnector("socks5://p:1")),
            {"proxy": "socks5://u:s3cr3t@q:1"},
            "proxy=socks5://q:1 cannot be combined with a SocksConnector",
        ),
        (
            lambda: Session(
                proxy="socks4://q:1", connector=syncclient.SocksConnector("socks5://p:1")
            ),
            {},
            "proxy=socks4://q:1 cannot be combined with a SocksConnector",
        ),
        # What belongs to a proxy or to TLS, where there is none.
        (lambda: Session(), {"proxy_auth": ("a", "b")}, "proxy_auth needs a proxy"),
        (lambda: Session(), {"proxy_headers": {"A": "b"}}, "proxy_headers needs a proxy"),
        (lambda: Session(), {"server_hostname": "a.test"}, "server_hostname.*http://"),
        (lambda: Session(), {"ssl": Fingerprint(bytes(32))}, "Fingerprint.*http://"),
    ],
)
@pytest.mark.parametrize("how", ["get", "submit", "ws_connect"])
def test_what_cannot_be_done_is_refused(
    make: Callable[[], Session], options: dict[str, Any], message: str, how: str
) -> None:
    """Of two things asked for of which one only can be done, neither is silently left out."""
    options = dict(options)
    url = options.pop("url", "http://a.test/")
    if how == "ws_connect":
        url = url.replace("http", "ws", 1)
        message = message.replace("http://", "ws://")

    def ask() -> None:
        with make() as session:
            if how == "submit":
                session.submit("GET", url, **options)
            else:
                getattr(session, how)(url, **options)

    with pytest.raises(ValueError, match=message) as caught:
        ask()
    assert "s3cr3t" not in str(caught.value)


def test_a_redirect_to_another_port_leaves_the_socket(
    raw_server: StartRawServer, unix_app: tuple[AppServer, Path]
) -> None:
    """http://localhost with a port is a server of TCP, and no other name of the socket."""
    _, path = unix_app

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"over TCP")

    wire = raw_server(script)
    there = quote(wire.url.replace("127.0.0.1", "localhost"), safe="")
    with Session(timeout=20) as session:
        url = f"{unix_url('http', path)}redirect-to?url={there}"
        response = session.get(url, headers={"Authorization": "Basic bWU6cHc="})
        assert response.text() == "over TCP"
    assert wire.requests[0].header("Authorization") == ""


def test_a_proxy_that_a_middleware_adds_is_refused(serve: Serve) -> None:
    """Also where nothing could be checked before, a socket is not asked as if it were a proxy."""
    server = serve(None)

    async def add(request: Any, handler: Any) -> Any:
        request.update_proxy(syncclient.URL("http://p:1"), None, None)
        return await handler(request)

    for connector, url in (
        (UnixConnector(server.path), "http://a.test/"),
        (TCPConnector(), unix_url("http", server.path)),
    ):
        with Session(connector=connector, middlewares=[add]) as session:
            with pytest.raises(syncclient.ClientConnectionError, match="through a proxy"):
                session.get(url)
    assert server.received == []
