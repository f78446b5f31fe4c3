"""What the errors of connecting say: what failed, on which host, for which request, what to do."""

from __future__ import annotations

import asyncio
import copy
import errno
import pickle
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

import syncclient
from syncclient import ClientTimeout, Fingerprint, Session, TCPConnector
from tests.servers.raw import RawConnection, StartRawServer

REFUSED = "Check that the server is running and listens on this port."


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that is taken, and where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[int]:
    """Make handshakes on a port, one after another, and close."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as encrypted:
                    encrypted.recv(1)
            except OSError:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.fixture
def trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def ask(session: Session, url: str, **options: Any) -> object:
    return session.get(url, **options)


def ask_for_websocket(session: Session, url: str, **options: Any) -> object:
    return session.ws_connect(url.replace("http", "ws", 1), **options)


def ask_from_async(session: Session, url: str, **options: Any) -> object:
    async def main() -> object:
        return await session.aio.get(url, **options)

    return asyncio.run(main())


ASKING = pytest.mark.parametrize("ask", [ask, ask_for_websocket, ask_from_async])
Ask = Callable[..., object]


def text_of(error: BaseException) -> str:
    """What an error says; it is the same once pickled, and once copied."""
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(twin), str(twin)) == (type(error), str(error))
    return str(error)


def failure(error: type[BaseException], ask: Ask, url: str, **options: Any) -> Any:
    with Session() as session, pytest.raises(error) as caught:
        ask(session, url, **options)
    return caught.value


@ASKING
def test_refused(ask: Ask) -> None:
    """The address, the request and the phase, and what to look at; the attributes are aiohttp's."""
    with refusing_port() as port:
        error = failure(aiohttp.ClientConnectorError, ask, f"http://127.0.0.1:{port}/x")
    scheme = "ws" if ask is ask_for_websocket else "http"
    assert text_of(error) == (
        f"Connection refused by 127.0.0.1:{port} "
        f"(GET {scheme}://127.0.0.1:{port}/x, while connecting). {REFUSED}"
    )
    assert (error.host, error.port, error.ssl) == ("127.0.0.1", port, True)
    assert error.errno == errno.ECONNREFUSED
    assert isinstance(error.os_error, ConnectionRefusedError)
    assert type(error).__name__ == "ClientConnectorError"


def test_refused_by_a_name() -> None:
    """Beside the name stands the address that was tried."""
    with refusing_port() as port:
        error = failure(aiohttp.ClientConnectorError, ask, f"http://localhost:{port}/")
    assert text_of(error).startswith(f"Connection refused by localhost:{port}, at ")


def test_refused_at_an_ipv6_address() -> None:
    """An IPv6 address is in brackets."""
    with socket.socket(socket.AF_INET6) as taken:
        try:
            taken.bind(("::1", 0))
        except OSError:
            pytest.skip("there is no IPv6 here")
        port = taken.getsockname()[1]
        error = failure(aiohttp.ClientConnectorError, ask, f"http://[::1]:{port}/")
    assert text_of(error).startswith(f"Connection refused by [::1]:{port} (GET")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EHOSTUNREACH, "No route to 127.0.0.1:80 (GET"),
        (errno.ENETUNREACH, "No route to 127.0.0.1:80 (GET"),
        (errno.ETIMEDOUT, "No answer from 127.0.0.1:80 (GET"),
        (errno.EACCES, "Not permitted to connect to 127.0.0.1:80 (GET"),
        (errno.EMFILE, "Cannot connect to 127.0.0.1:80: too many open files (GET"),
        (errno.EADDRNOTAVAIL, "Cannot connect to 127.0.0.1:80: Cannot assign requested address"),
    ],
)
def test_what_the_system_says(number: int, says: str) -> None:
    """What the system tells by a number alone is told in words."""

    def fail(_: object) -> socket.socket:
        raise OSError(number, "Connect call failed ('127.0.0.1', 80)")

    with Session(connector=TCPConnector(socket_factory=fail)) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            session.get("http://127.0.0.1/")
    assert text_of(caught.value).startswith(says)
    assert caught.value.errno == number


def test_a_text_that_says_more_is_kept() -> None:
    """What code of the user's raised is quoted."""

    def fail(_: object) -> socket.socket:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "not in tests")

    with Session(connector=TCPConnector(socket_factory=fail)) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            session.get("http://127.0.0.1/")
    assert "Connection refused by 127.0.0.1:80: not in tests (GET" in text_of(caught.value)


@ASKING
def test_a_name_that_is_not_found(ask: Ask) -> None:
    """The name alone, without a port that was never asked for."""
    error = failure(aiohttp.ClientConnectorDNSError, ask, "http://no-such-host.invalid/")
    assert text_of(error).startswith("Host name not found: no-such-host.invalid (GET ")
    assert ", while resolving the host name). Check its spelling" in str(error)
    assert error.host == "no-such-host.invalid"


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
def test_a_proxy_whose_name_is_not_found(scheme: str) -> None:
    """It is said that the name is the proxy's; what stands in its URL is not."""
    error = failure(
        aiohttp.ClientConnectorDNSError,
        ask,
        "https://127.0.0.1/",
        proxy=f"{scheme}://eve:secret@proxy.invalid:1080",
    )
    assert text_of(error).startswith("Host name not found: the proxy proxy.invalid (GET https:")
    assert "secret" not in str(error) + repr(error) + repr(error.args)


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
@pytest.mark.parametrize("url", ["http://10.9.8.7/", "https://10.9.8.7/"])
def test_a_proxy_that_refuses_connections(scheme: str, url: str) -> None:
    """The error is about the proxy, and has none of its credentials."""
    with refusing_port() as port:
        proxy = f"{scheme}://eve:secret@127.0.0.1:{port}"
        error = failure(aiohttp.ClientProxyConnectionError, ask, url, proxy=proxy)
    assert text_of(error) == (
        f"Connection refused by the proxy 127.0.0.1:{port} (GET {url}, while connecting). "
        "Check that the proxy is running, and check its port."
    )
    assert "secret" not in repr(error) + repr(error.args)


def test_a_proxy_that_refuses_a_tunnel(raw_server: StartRawServer) -> None:
    """What the proxy answered, and where credentials go."""

    def refuse(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    wire = raw_server(refuse)
    error = failure(aiohttp.ClientHttpProxyError, ask, "https://example.com/", proxy=wire.url)
    assert text_of(error) == (
        f"The proxy 127.0.0.1:{wire.port} refused a tunnel: 407 Proxy Authentication Required "
        "(GET https://example.com/, while connecting). "
        "Pass the credentials in the URL of the proxy, or as proxy_auth=."
    )
    assert (error.status, error.message) == (407, "Proxy Authentication Required")


def test_a_proxy_that_speaks_no_socks(raw_server: StartRawServer) -> None:
    """A proxy that was reached is not said to have refused a connection."""

    def babble(conn: RawConnection) -> None:
        conn.read_some()
        conn.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    wire = raw_server(babble)
    proxy = f"socks5://127.0.0.1:{wire.port}"
    error = failure(aiohttp.ClientProxyConnectionError, ask, "http://10.9.8.7/", proxy=proxy)
    start = f"The proxy 127.0.0.1:{wire.port} failed: the socks5 proxy did not connect to 10.9.8.7"
    assert text_of(error).startswith(start)


# TLS.


@ASKING
def test_a_self_signed_certificate(ask: Ask) -> None:
    """It is called that, and not one of an unknown authority."""
    lone = trustme.CA()  # the certificate of an authority is signed by itself
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with lone.private_key_pem.tempfile() as key, lone.cert_pem.tempfile() as certificate:
        context.load_cert_chain(certificate, key)
    with tls_server(context) as port:
        error = failure(aiohttp.ClientConnectorCertificateError, ask, f"https://127.0.0.1:{port}/")
    text = text_of(error)
    assert f"TLS certificate verify failed for 127.0.0.1:{port}: self-signed certificate" in text
    assert text.endswith(
        "The certificate is self-signed: pass ssl= a context that trusts it, or its Fingerprint."
    )


def test_an_unknown_authority(ca: trustme.CA) -> None:
    """It is said how to trust it."""
    with tls_server(server_context(ca.issue_cert("127.0.0.1"))) as port:
        error = failure(aiohttp.ClientConnectorCertificateError, ask, f"https://127.0.0.1:{port}/")
    assert ": unable to get local issuer certificate (GET https:" in text_of(error)
    assert "set SSL_CERT_FILE" in str(error)
    assert error.certificate_error.verify_code == 20


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("127.0.0.1", "The certificate does not name this IP address: "),
        ("localhost", "The certificate is for another host: "),
    ],
)
def test_a_certificate_of_another_host(
    ca: trustme.CA, trusting: ssl.SSLContext, host: str, says: str
) -> None:
    """A wrong name is not told as a lack of trust."""
    with tls_server(server_context(ca.issue_cert("other.example"))) as port:
        error = failure(
            aiohttp.ClientConnectorCertificateError,
            ask,
            f"https://{host}:{port}/",
            ssl=trusting,
        )
    assert says in text_of(error)
    assert "authority" not in str(error)


def test_a_certificate_that_has_expired(ca: trustme.CA, trusting: ssl.SSLContext) -> None:
    """Then the clock may be wrong, and no authority is."""
    past = datetime(2020, 1, 1, tzinfo=timezone.utc)
    context = server_context(ca.issue_cert("127.0.0.1", not_after=past))
    with tls_server(context) as port:
        error = failure(
            aiohttp.ClientConnectorCertificateError,
            ask,
            f"https://127.0.0.1:{port}/",
            ssl=trusting,
        )
    assert ": certificate has expired (GET" in text_of(error)
    assert "authority" not in str(error)


@ASKING
def test_a_server_that_speaks_no_tls(raw_server: StartRawServer, ask: Ask) -> None:
    """The scheme of the URL may be wrong."""

    def answer(conn: RawConnection) -> None:
        conn.read_some()
        conn.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    wire = raw_server(answer)
    url = f"https://127.0.0.1:{wire.port}/"
    error = failure(aiohttp.ClientConnectorSSLError, ask, url)
    assert text_of(error).startswith(f"TLS handshake failed with 127.0.0.1:{wire.port}: ")
    assert "The server does not speak TLS on this port, perhaps plain HTTP: " in str(error)


def test_a_server_that_closes_in_the_handshake(raw_server: StartRawServer) -> None:
    """It is said when that was."""

    def close(conn: RawConnection) -> None:
        conn.read_some()

    wire = raw_server(close)
    error = failure(aiohttp.ClientConnectorError, ask, f"https://127.0.0.1:{wire.port}/")
    assert text_of(error).startswith(
        f"Connection closed by 127.0.0.1:{wire.port} during the TLS handshake"
    )


def test_no_version_of_tls_in_common(ca: trustme.CA, trusting: ssl.SSLContext) -> None:
    """Neither side is said to speak plain HTTP."""
    context = server_context(ca.issue_cert("127.0.0.1"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    trusting.minimum_version = ssl.TLSVersion.TLSv1_3
    with tls_server(context) as port:
        error = failure(
            aiohttp.ClientConnectorSSLError, ask, f"https://127.0.0.1:{port}/", ssl=trusting
        )
    assert "no version of TLS in common" in text_of(error)


def test_another_certificate_than_the_pinned_one(ca: trustme.CA) -> None:
    """Also where the server closes the connection at once, so that its address is gone."""
    with tls_server(server_context(ca.issue_cert("127.0.0.1"))) as port:
        error = failure(
            aiohttp.ServerFingerprintMismatch,
            ask,
            f"https://127.0.0.1:{port}/",
            ssl=Fingerprint(b"x" * 32),
        )
    assert text_of(error).startswith(f"The certificate of 127.0.0.1:{port} has the SHA-256 ")


# Unix sockets, and connections that break.


def test_a_socket_that_does_not_exist(tmp_path: Path) -> None:
    """The path, and not the host of the URL."""
    path = tmp_path / "no.sock"
    with Session(connector=syncclient.UnixConnector(path)) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            session.get("http://docker/info")
    assert text_of(caught.value) == (
        f"No such file or directory: the socket {path} (GET http://docker/info, while "
        "connecting). Check the path, and that the server is running."
    )
    error: Any = caught.value
    assert error.path == str(path)


def test_a_socket_that_nothing_listens_on(tmp_path: Path) -> None:
    """A server that has ended leaves its socket behind."""
    path = tmp_path / "old.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    with Session(connector=syncclient.UnixConnector(path)) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            session.get("http://docker/info")
    assert text_of(caught.value).startswith(f"Connection refused by the socket {path} (GET")


@ASKING
def test_a_server_that_closes_without_an_answer(raw_server: StartRawServer, ask: Ask) -> None:
    """The phase, and that nothing came."""

    def close(conn: RawConnection) -> None:
        conn.read_request()

    wire = raw_server(close, close)
    error = failure(aiohttp.ServerDisconnectedError, ask, wire.url)
    assert text_of(error).startswith(
        "The server closed the connection before it had answered (GET "
    )
    assert str(error).endswith(", while waiting for the response)")
    assert error.message == str(error)


@ASKING
def test_a_timeout_while_connecting(ask: Ask) -> None:
    """It names the phase and the limit that would have to be higher."""

    def stall(_: object) -> socket.socket:
        # Its queue of connections is full: the handshake of TCP is not answered.
        raise aiohttp.ConnectionTimeoutError("stalled")

    with Session(
        connector=TCPConnector(socket_factory=stall),
        timeout=ClientTimeout(connect=1.5),
    ) as session:
        with pytest.raises(syncclient.ConnectTimeoutError) as caught:
            ask(session, "http://127.0.0.1/")
    assert "while connecting (127.0.0.1:80) (timeout.connect is 1.5 s)" in text_of(caught.value)


def test_no_secrets() -> None:
    """The credentials of a URL are in none of it; its query is, as the page on security says."""
    with refusing_port() as port:
        url = f"http://eve:secret@127.0.0.1:{port}/?page=2"
        error = failure(aiohttp.ClientConnectorError, ask, url)
    assert "page=2" in text_of(error)
    assert "secret" not in str(error) + repr(error) + repr(error.args) + repr(vars(error))


def test_no_secrets_in_what_an_error_was_made_of() -> None:
    """Neither in the error of the engine, which loggers may find as the context."""
    with refusing_port() as port:
        proxy = f"http://eve:secret@127.0.0.1:{port}"
        error = failure(aiohttp.ClientConnectorError, ask, "http://a.test/", proxy=proxy)
    chain: list[BaseException] = [error]
    while (before := chain[-1].__context__ or chain[-1].__cause__) is not None:
        chain.append(before)
    assert len(chain) > 1
    assert "secret" not in "".join(str(each) + repr(each) + repr(each.args) for each in chain)
