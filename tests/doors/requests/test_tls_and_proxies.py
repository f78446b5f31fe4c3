"""verify, cert and proxies of each request."""

import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import trustme
import urllib3
from requests.exceptions import ProxyError, SSLError

from tests.doors.requests.sides import Side, chain_of, fault_of
from tests.servers.process import AppServer
from tests.servers.proxies import socks_proxy
from tests.servers.raw import RawConnection, StartRawServer


@pytest.fixture
def bundle(ca: trustme.CA, tmp_path: Path) -> str:
    """The authority of the tests, as a file."""
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


def test_a_bundle_is_trusted(http: requests.Session, tls_app: AppServer, bundle: str) -> None:
    """`verify=` a file trusts the authorities in it; without it they are not."""
    assert http.get(f"{tls_app.url}/json", verify=bundle).ok
    http.verify = bundle
    assert http.get(f"{tls_app.url}/json").ok


def test_the_same_refusal(side: Side, tls_app: AppServer) -> None:
    """A certificate that is not trusted is the SSLError of requests, with OpenSSL's inside."""
    faults = []
    for each in (Side.THEIRS, side):
        with each.session() as session:
            faults.append(fault_of(lambda: session.get(f"{tls_app.url}/json")))
    theirs, ours = faults
    assert type(ours) is type(theirs) is SSLError
    assert chain_of(ours) == chain_of(theirs)
    assert "certificate verify failed" in str(ours)


def test_a_name_that_does_not_match(
    http: requests.Session, raw_server: StartRawServer, ca: trustme.CA, bundle: str
) -> None:
    """A certificate for another name is refused."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("other.example").configure_cert(context)
    server = raw_server(_proxy, tls=context)
    with pytest.raises(SSLError, match=r"(mismatch|doesn't match|not valid for)"):
        http.get(server.url, verify=bundle)


def test_nothing_is_verified_where_that_is_said(http: requests.Session, tls_app: AppServer) -> None:
    """`verify=False` connects, and warns as urllib3 does."""
    with pytest.warns(urllib3.exceptions.InsecureRequestWarning, match="Unverified HTTPS"):
        assert http.get(f"{tls_app.url}/json", verify=False).ok
    # And does not serve those who verify.
    with pytest.raises(SSLError):
        http.get(f"{tls_app.url}/json")


def test_files_that_are_missing(http: requests.Session) -> None:
    """A bundle or a certificate that is not there is the OSError of requests."""
    with pytest.raises(OSError, match="invalid path: /no/bundle"):
        http.get("https://127.0.0.1:9/", verify="/no/bundle")
    with pytest.raises(OSError, match="invalid path: /no/cert"):
        http.get("https://127.0.0.1:9/", cert="/no/cert")
    with pytest.raises(OSError, match="invalid path: /no/key"):
        http.get("https://127.0.0.1:9/", cert=(__file__, "/no/key"))


def test_client_certificates(
    http: requests.Session, raw_server: StartRawServer, ca: trustme.CA, bundle: str, tmp_path: Path
) -> None:
    """`cert=` is shown to the server, as one file or as a pair; two of them share nothing."""

    def names(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            assert isinstance(conn.sock, ssl.SSLSocket)
            shown = conn.sock.getpeercert() or {}
            conn.respond(str(shown.get("subjectAltName")).encode())

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    server = raw_server(names, tls=context)
    for name in ("one.example", "two.example"):
        cert = ca.issue_cert(name)
        whole, key, chain = (tmp_path / f"{name}.{part}" for part in ("pem", "key", "crt"))
        cert.private_key_and_cert_chain_pem.write_to_path(str(whole))
        cert.private_key_pem.write_to_path(str(key))
        cert.cert_chain_pems[0].write_to_path(str(chain))
        assert name in http.get(server.url, verify=bundle, cert=str(whole)).text
        assert name in http.get(server.url, verify=bundle, cert=(str(chain), str(key))).text


def test_a_renewed_certificate_is_read(
    http: requests.Session, tls_app: AppServer, bundle: str
) -> None:
    """A bundle that changes on the disk is read anew."""
    right = Path(bundle).read_bytes()
    trustme.CA().cert_pem.write_to_path(bundle)
    with pytest.raises(SSLError):
        http.get(f"{tls_app.url}/json", verify=bundle)
    Path(bundle).write_bytes(right + b"\n")
    assert http.get(f"{tls_app.url}/json", verify=bundle).ok


def _proxy(conn: RawConnection) -> None:
    while True:
        request = conn.read_request()
        if request.method == "CONNECT":
            conn.respond(status="407 Who are you")
        else:
            conn.respond(b"by proxy")


def test_a_proxy_sees_what_requests_sends(side: Side, raw_server: StartRawServer) -> None:
    """Plain HTTP through a proxy: the absolute URL, the credentials, the headers."""
    server = raw_server(_proxy)
    proxies = {"http": server.url.replace("://", "://us%20er:pass@")}
    for each in (Side.THEIRS, side):
        with each.session() as session:
            response = session.get("http://example.test/a?b", proxies=proxies)
            assert response.text == "by proxy"
    theirs, ours = server.requests
    assert ours.target == theirs.target == "http://example.test/a?b"
    assert sorted(ours.headers) == sorted(theirs.headers)


def test_a_proxy_that_refuses(side: Side, raw_server: StartRawServer) -> None:
    """A CONNECT that is refused, and a proxy that is not there, are ProxyErrors."""
    server = raw_server(_proxy)
    for proxy in (server.url, "http://127.0.0.1:9"):
        faults = []
        for each in (Side.THEIRS, side):
            with each.session() as session:
                proxies = {"https": proxy}
                faults.append(
                    fault_of(lambda: session.get("https://example.test/", proxies=proxies))  # noqa: B023
                )
        theirs, ours = faults
        assert type(ours) is type(theirs) is ProxyError
        assert chain_of(ours) == chain_of(theirs)


def test_no_proxy(http: requests.Session, app: AppServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxies count, and so do its exceptions."""
    http.trust_env = True
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ProxyError):
        http.get(f"{app.url}/json")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    assert http.get(f"{app.url}/json").ok


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
def test_socks(http: requests.Session, scheme: str, app: AppServer, tls_app: AppServer) -> None:
    """The engine goes through SOCKS proxies, with TLS too, and keeps the connections alive."""
    url = tls_app.url.replace("127.0.0.1", "localhost")
    with socks_proxy(4 if scheme.startswith("socks4") else 5) as proxy:
        proxies = {"all": f"{scheme}://127.0.0.1:{proxy.port}"}
        assert type(http.get(f"{app.url}/json", proxies=proxies)) is not requests.Response
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert http.get(f"{url}/json", proxies=proxies, verify=False).ok
        assert http.post(f"{app.url}/anything", data=iter([b"a"]), proxies=proxies).ok
    named = scheme in ("socks4a", "socks5h")
    assert [host for host, _ in proxy.asked] == [
        "127.0.0.1",
        "localhost" if named else "127.0.0.1",
    ]


def test_socks_that_fails(side: Side, app: AppServer) -> None:
    """A SOCKS proxy that is not there, or refuses the credentials, is requests' error."""
    pytest.importorskip("socks", reason="PySocks is what requests' own SOCKS needs")
    with socks_proxy(5, ("user", "right")) as proxy:
        for address in (f"user:wrong@127.0.0.1:{proxy.port}", "127.0.0.1:9"):
            faults = []
            for each in (Side.THEIRS, side):
                with each.session() as session:
                    proxies = {"http": f"socks5h://{address}"}
                    faults.append(
                        fault_of(lambda: session.get(f"{app.url}/json", proxies=proxies))  # noqa: B023
                    )
            assert chain_of(faults[1])[:2] == chain_of(faults[0])[:2]
        with side.session() as session:
            proxies = {"http": f"socks5h://user:right@127.0.0.1:{proxy.port}"}
            assert session.get(f"{app.url}/json", proxies=proxies).ok


@pytest.fixture(autouse=True)
def other_warnings_are_errors() -> Iterator[None]:
    """Nothing else warns."""
    with warnings.catch_warnings():
        yield
