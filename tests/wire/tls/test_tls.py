"""TLS: who is trusted, what is refused and how, and whose connections are lent to whom."""

import copy
import datetime as dt
import hashlib
import pickle
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

import syncclient
from syncclient import Fingerprint, Session, TCPConnector
from syncclient._async.connect import tls
from tests.servers.process import AppServer
from tests.servers.raw import PeerGoneError, RawConnection, RawServer
from tests.wire.connect.reading import status

RawServers = Callable[..., RawServer]


def answer(conn: RawConnection) -> None:
    """Answer every request with "hello", until the client leaves."""
    try:
        while True:
            conn.read_request()
            conn.respond(b"hello")
    except PeerGoneError:
        pass


def served_as(ca: trustme.CA, *names: str, until: dt.datetime | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(*names, not_after=until).configure_cert(context)
    return context


def digest_of(port: int) -> bytes:
    """The SHA-256 of the certificate that is served at `port`."""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(sock) as tls_sock:
            certificate = tls_sock.getpeercert(binary_form=True)
    assert certificate is not None
    return hashlib.sha256(certificate).digest()


@pytest.fixture
def no_trust_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


# Whom the default trusts.


@pytest.mark.usefixtures("no_trust_settings")
def test_an_unknown_authority_is_refused(tls_app: AppServer) -> None:
    """By default certificates are verified, and a failure is both aiohttp's and ssl's error."""
    with Session() as session, pytest.raises(syncclient.ClientConnectorCertificateError) as caught:
        session.get(f"{tls_app.url}/get")
    assert isinstance(caught.value, ssl.CertificateError)
    assert isinstance(caught.value, syncclient.ClientSSLError)
    assert isinstance(caught.value.certificate_error, ssl.SSLCertVerificationError)
    assert (caught.value.host, caught.value.port) == ("127.0.0.1", tls_app.port)


def test_ssl_cert_file_is_trusted(
    tls_app: AppServer, ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authorities in SSL_CERT_FILE are trusted, and those of certifi then are not."""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    with Session() as session:
        assert status(session.get(f"{tls_app.url}/get")) == 200
    assert tls.default_context().cert_store_stats()["x509_ca"] == 1


def test_ssl_cert_dir_is_trusted(
    tls_app: AppServer, ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authorities in the directory SSL_CERT_DIR are trusted."""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(tmp_path / "ca.pem")]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / "ca.pem").rename(tmp_path / f"{name}.0")
    monkeypatch.setenv("SSL_CERT_DIR", f"/does/not/exist:{tmp_path}")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with Session() as session:
        assert status(session.get(f"{tls_app.url}/get")) == 200


@pytest.mark.parametrize(
    ("variable", "content", "says"),
    [
        ("SSL_CERT_FILE", None, "does not exist"),
        ("SSL_CERT_FILE", "no certificates here", "holds no PEM certificates"),
        ("SSL_CERT_DIR", None, "is no directory"),
    ],
)
def test_unusable_trust_settings_say_so(
    tls_app: AppServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    content: str | None,
    says: str,
) -> None:
    """A variable that names no certificates fails the connection, naming itself and the path."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv(variable, str(path))
    with Session() as session, pytest.raises(syncclient.ClientConnectorSSLError) as caught:
        session.get(f"{tls_app.url}/get")
    for part in (variable, str(path), says):
        assert part in str(caught.value)


def test_trust_is_read_once_and_only_for_tls(
    app: AppServer,
    tls_app: AppServer,
    ca: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty connections at once read the authorities once; a plain one does not at all."""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    before = tls._verifying_context.cache_info().misses
    with Session() as session:
        session.get(f"{app.url}/get").close()
        assert tls._verifying_context.cache_info().misses == before
        start = threading.Barrier(20)
        statuses: list[int] = []

        def fetch() -> None:
            start.wait(20)
            statuses.append(status(session.get(f"{tls_app.url}/get")))

        threads = [threading.Thread(target=fetch) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert statuses == [200] * 20
    assert tls._verifying_context.cache_info().misses == before + 1
    assert tls.default_context() is tls.default_context()


def test_the_systems_store(
    tls_app: AppServer, ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ssl="system" trusts what the operating system does, here OpenSSL's own default file."""
    pytest.importorskip("truststore")
    from syncclient._client.tls import system_context

    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    system_context.cache_clear()
    with Session() as session:
        with pytest.raises(syncclient.ClientConnectorCertificateError):
            session.get(f"{tls_app.url}/get", ssl="system")
        system_context.cache_clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert status(session.get(f"{tls_app.url}/get", ssl="system")) == 200
        assert system_context() is system_context()
    system_context.cache_clear()


# What a caller may ask for.


@pytest.mark.parametrize("where", ["request", "connector"])
@pytest.mark.parametrize("what", ["context", "unverified", "pin"])
def test_ssl_settings(
    tls_app: AppServer, client_tls: ssl.SSLContext, where: str, what: str
) -> None:
    """A context, False and the right pin each reach the server, by request and by connector."""
    assert tls_app.port is not None
    settings: dict[str, ssl.SSLContext | bool | Fingerprint] = {
        "context": client_tls,
        "unverified": False,
        "pin": Fingerprint(digest_of(tls_app.port)),
    }
    setting = settings[what]
    if where == "request":
        with Session() as session:
            assert status(session.get(f"{tls_app.url}/get", ssl=setting)) == 200
    else:
        with Session(connector=TCPConnector(ssl=setting)) as session:
            assert status(session.get(f"{tls_app.url}/get")) == 200


def test_a_request_overrides_its_connector(tls_app: AppServer, client_tls: ssl.SSLContext) -> None:
    """What a request asks for goes before what its connector says."""
    with Session(connector=TCPConnector(ssl=False)) as session:
        wrong = Fingerprint(bytes(32))
        with pytest.raises(syncclient.ServerFingerprintMismatch):
            session.get(f"{tls_app.url}/get", ssl=wrong)
        untrusting = ssl.create_default_context(cafile=None)
        with pytest.raises(syncclient.ClientConnectorCertificateError):
            session.get(f"{tls_app.url}/get", ssl=untrusting)
        assert status(session.get(f"{tls_app.url}/get", ssl=client_tls)) == 200


def test_ssl_of_a_session_is_its_connectors(tls_app: AppServer, client_tls: ssl.SSLContext) -> None:
    """Session(ssl=...) is short for the connector's, and a request goes before it as well."""
    with Session(ssl=False) as session:
        assert status(session.get(f"{tls_app.url}/get")) == 200
        with pytest.raises(syncclient.ServerFingerprintMismatch):
            session.get(f"{tls_app.url}/get", ssl=Fingerprint(bytes(32)))
    with Session(ssl=client_tls) as session:
        assert status(session.get(f"{tls_app.url}/get")) == 200


def test_a_wrong_pin(tls_app: AppServer) -> None:
    """A certificate that is not the pinned one is refused, and the error tells both digests."""
    assert tls_app.port is not None
    with Session() as session, pytest.raises(syncclient.ServerFingerprintMismatch) as caught:
        session.get(f"{tls_app.url}/get", ssl=Fingerprint(bytes(32)))
    error = caught.value
    assert error.expected == bytes(32)
    assert error.got == digest_of(tls_app.port)
    assert (error.host, error.port) == ("127.0.0.1", tls_app.port)


def test_a_wrong_pin_is_told_in_words(tls_app: AppServer) -> None:
    """The message names the request and both digests, and lasts through pickle and copy."""
    with Session() as session, pytest.raises(syncclient.ServerFingerprintMismatch) as caught:
        session.get(f"{tls_app.url}/get", ssl=Fingerprint(bytes(32)))
    error = caught.value
    text = str(error)
    for part in (f"(GET {tls_app.url}/get, while", error.got.hex(), bytes(32).hex()):
        assert part in text
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(twin), str(twin)) == (type(error), text)
        assert (twin.expected, twin.got) == (error.expected, error.got)
        assert (twin.host, twin.port) == (error.host, error.port)


@pytest.mark.usefixtures("no_trust_settings")
def test_an_unverified_connection_is_not_lent(
    tls_app: AppServer, client_tls: ssl.SSLContext
) -> None:
    """A connection made with ssl=False serves no request that verifies, nor the reverse."""
    with Session() as session:
        first = session.get(f"{tls_app.url}/get", ssl=False).json()["connection"]
        with pytest.raises(syncclient.ClientConnectorCertificateError):
            session.get(f"{tls_app.url}/get")
        verified = session.get(f"{tls_app.url}/get", ssl=client_tls).json()["connection"]
        assert verified != first
        assert session.get(f"{tls_app.url}/get", ssl=False).json()["connection"] == first
        assert session.get(f"{tls_app.url}/get", ssl=client_tls).json()["connection"] == verified
        # The host name it was verified for is part of the setting, too.
        named = session.get(f"{tls_app.url}/get", ssl=client_tls, server_hostname="localhost")
        assert named.json()["connection"] not in (first, verified)


def test_old_spellings_of_a_request(tls_app: AppServer, client_tls: ssl.SSLContext) -> None:
    """The older spellings work, warning at the line that used them, and never two at once."""
    assert tls_app.port is not None
    url = f"{tls_app.url}/get"
    with Session() as session:
        with pytest.warns(DeprecationWarning, match="verify_ssl") as caught:
            assert status(session.get(url, verify_ssl=False)) == 200
        with pytest.warns(DeprecationWarning, match="ssl_context") as again:
            assert status(session.request("GET", url, ssl_context=client_tls)) == 200
        with pytest.warns(DeprecationWarning, match="fingerprint") as last:
            assert status(session.get(url, fingerprint=digest_of(tls_app.port))) == 200
        warned = [*caught, *again, *last]
        assert [warning.filename for warning in warned] == [__file__] * 3
        with (
            pytest.raises(ValueError, match="mutually exclusive"),
            pytest.warns(DeprecationWarning, match="verify_ssl"),
        ):
            session.get(url, ssl=client_tls, verify_ssl=False)


# What servers do wrong.


def test_a_certificate_for_another_host(
    raw_server: RawServers, ca: trustme.CA, client_tls: ssl.SSLContext
) -> None:
    """A certificate of another name is refused, unless server_hostname says that name."""
    wire = raw_server(answer, tls=served_as(ca, "other.test"))
    with Session() as session:
        with pytest.raises(syncclient.ClientConnectorCertificateError, match=r"127\.0\.0\.1"):
            session.get(wire.url, ssl=client_tls)
        response = session.get(wire.url, ssl=client_tls, server_hostname="other.test")
        assert response.text() == "hello"


def test_an_expired_certificate(
    raw_server: RawServers, ca: trustme.CA, client_tls: ssl.SSLContext
) -> None:
    """A certificate past its date is refused, and the error says that it has expired."""
    past = dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)
    wire = raw_server(answer, tls=served_as(ca, "127.0.0.1", until=past))
    with Session() as session:
        with pytest.raises(syncclient.ClientConnectorCertificateError, match="expired"):
            session.get(wire.url, ssl=client_tls)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated:DeprecationWarning")
def test_a_server_of_old(
    raw_server: RawServers, ca: trustme.CA, client_tls: ssl.SSLContext
) -> None:
    """A server that only speaks TLS 1.0 fails the handshake, as aiohttp's and as ssl's error."""
    context = served_as(ca, "127.0.0.1")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    wire = raw_server(answer, tls=context)
    with Session() as session, pytest.raises(syncclient.ClientConnectorSSLError) as caught:
        session.get(wire.url, ssl=client_tls)
    assert isinstance(caught.value, ssl.SSLError)
    assert isinstance(caught.value, syncclient.ClientSSLError)
    assert not isinstance(caught.value, ssl.CertificateError)


def test_a_server_without_tls(app: AppServer, client_tls: ssl.SSLContext) -> None:
    """https:// to a port that speaks plain HTTP fails as an error of the handshake."""
    url = app.url.replace("http:", "https:")
    with Session() as session, pytest.raises(syncclient.ClientSSLError):
        session.get(url, ssl=client_tls)


# Certificates of clients.


def with_identity(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    ca.issue_cert("client@example.test").configure_cert(context)
    return context


def asking_for_identity(ca: trustme.CA) -> ssl.SSLContext:
    context = served_as(ca, "127.0.0.1")
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_mutual_tls(raw_server: RawServers, ca: trustme.CA) -> None:
    """A server that asks for a client's certificate gets the one in the context."""
    seen: list[object] = []

    def script(conn: RawConnection) -> None:
        assert isinstance(conn.sock, ssl.SSLSocket)
        seen.append(conn.sock.getpeercert())
        answer(conn)

    wire = raw_server(script, tls=asking_for_identity(ca))
    with Session(connector=TCPConnector(ssl=with_identity(ca))) as session:
        assert session.get(wire.url).text() == "hello"
    assert "client@example.test" in str(seen)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_missing_client_certificate(
    raw_server: RawServers,
    ca: trustme.CA,
    client_tls: ssl.SSLContext,
    version: ssl.TLSVersion,
) -> None:
    """Without the certificate a server insists on, the call fails as a ClientError."""
    context = asking_for_identity(ca)
    context.minimum_version = context.maximum_version = version
    wire = raw_server(answer, tls=context)
    with Session() as session, pytest.raises(syncclient.ClientError) as caught:
        session.get(wire.url, ssl=client_tls)
    if version is ssl.TLSVersion.TLSv1_2:
        # In TLS 1.3 the client is through with the handshake before the server says no.
        assert isinstance(caught.value, syncclient.ClientConnectorSSLError)


def test_failed_handshakes_leave_nothing_open(tls_app: AppServer) -> None:
    """After handshakes that failed, the pool holds no connection and no slot."""
    with Session(connector=TCPConnector(limit=1)) as session:
        for _ in range(3):
            with pytest.raises(syncclient.ServerFingerprintMismatch):
                session.get(f"{tls_app.url}/get", ssl=Fingerprint(bytes(32)))
        assert session.connector.snapshot().open == 0
        tls_app.wait_until(lambda stats: stats.connections_open == 0)
