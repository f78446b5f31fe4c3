"""HTTP proxies: the way through real ones, and credentials where they belong, nowhere else."""

import logging
import os
import ssl
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

import syncclient
from syncclient import BasicAuth, Session, SocksConnector
from tests.servers.process import AppServer
from tests.servers.proxies import HTTPProxy, http_proxy, socks_proxy
from tests.servers.raw import PeerGoneError, RawConnection, RawServer
from tests.wire.connect.reading import status

RawServers = Callable[..., RawServer]

SECRET = "s3cret"
BASIC = "Basic " + b64encode(f"user:{SECRET}".encode()).decode()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPProxy]:
    """A proxy that serves anybody."""
    with http_proxy(tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTTPProxy]:
    """A proxy that wants user and password."""
    with http_proxy(tmp_path_factory.mktemp("proxy"), basic_auth=f"user:{SECRET}") as running:
        yield running


@pytest.fixture(scope="module")
def tls_proxy(tmp_path_factory: pytest.TempPathFactory, ca: trustme.CA) -> Iterator[HTTPProxy]:
    """A proxy that is spoken to over TLS."""
    folder = tmp_path_factory.mktemp("proxy")
    pem = folder / "proxy.pem"
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    with http_proxy(folder, pem=pem) as running:
        yield running


def answer(conn: RawConnection) -> None:
    """A proxy that answers every request itself, with "hello"."""
    with suppress(PeerGoneError):
        while True:
            conn.read_request()
            conn.respond(b"hello")


def wall(status: str) -> Callable[[RawConnection], None]:
    """A proxy that refuses every request with `status`."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"no", status=status, headers=[("Connection", "close")])

    return script


# The way.


def test_http(app: AppServer, proxy: HTTPProxy) -> None:
    """A plain request goes through the proxy of the request, or else of the session."""
    with Session(app.url) as session:
        reply = session.get("/get", proxy=proxy.url).json()
        assert "proxy.py" in dict(reply["headers"])["Via"]
        assert "Via" not in dict(session.get("/get").json()["headers"])
    with Session(app.url, proxy=proxy.url) as session:
        assert "Via" in dict(session.get("/get").json()["headers"])


def test_https(tls_app: AppServer, proxy: HTTPProxy, client_tls: ssl.SSLContext) -> None:
    """https:// goes through a tunnel, so that the server's certificate is verified end to end."""
    with Session(tls_app.url, proxy=proxy.url) as session:
        assert status(session.get("/get", ssl=client_tls)) == 200
        with pytest.raises(syncclient.ClientConnectorCertificateError):
            session.get("/get")
    proxy.wait_for_line(f"CONNECT 127.0.0.1:{tls_app.port}")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_over_tls(
    app: AppServer,
    tls_app: AppServer,
    tls_proxy: HTTPProxy,
    client_tls: ssl.SSLContext,
    scheme: str,
) -> None:
    """A proxy may itself be https://, for plain requests and for TLS within TLS."""
    url = app.url if scheme == "http" else tls_app.url
    with Session(url, proxy=tls_proxy.url) as session:
        assert status(session.get("/get", ssl=client_tls)) == 200
        with pytest.raises(syncclient.ClientSSLError):
            session.get("/get")
        assert session.connector.snapshot().in_use == 0


# Credentials and headers.


@pytest.mark.parametrize("how", ["url", "auth", "header", "session"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_credentials(
    app: AppServer,
    tls_app: AppServer,
    guarded: HTTPProxy,
    client_tls: ssl.SSLContext,
    how: str,
    scheme: str,
) -> None:
    """Credentials in the URL, in proxy_auth or in proxy_headers open a guarded proxy."""
    url = f"{app.url if scheme == 'http' else tls_app.url}/get"
    within = guarded.url.replace("http://", f"http://user:{SECRET}@")
    with warnings.catch_warnings():
        # aiohttp is about to drop the class, and says so to whoever makes one.
        warnings.simplefilter("ignore", DeprecationWarning)
        auth = BasicAuth("user", SECRET)
    with Session() as session:
        if how == "url":
            response = session.get(url, ssl=client_tls, proxy=within)
        elif how == "auth":
            response = session.get(url, ssl=client_tls, proxy=guarded.url, proxy_auth=auth)
        elif how == "header":
            headers = {"Proxy-Authorization": BASIC}
            response = session.get(url, ssl=client_tls, proxy=guarded.url, proxy_headers=headers)
        else:
            with Session(proxy=guarded.url, proxy_auth=auth) as other:
                response = other.get(url, ssl=client_tls)
        names = [name.lower() for name, _ in response.json()["headers"]]
        assert "proxy-authorization" not in names


def test_a_kept_connection_is_authorised_again(raw_server: RawServers) -> None:
    """Every request over one connection to a proxy carries the credentials, not the first alone."""
    wire = raw_server(answer)
    with Session(proxy=f"http://user:{SECRET}@127.0.0.1:{wire.port}") as session:
        for _ in range(3):
            session.get("http://shop.test/").read()
    assert len(wire.connections) == 1
    sent = [request.header("Proxy-Authorization") for request in wire.requests]
    assert sent == [BASIC] * 3
    assert wire.requests[0].target == "http://shop.test/"


def test_proxy_headers_of_a_tunnel(
    tls_app: AppServer, raw_server: RawServers, client_tls: ssl.SSLContext
) -> None:
    """proxy_headers go to the proxy with its CONNECT, and the request's own headers do not."""
    wire = raw_server(wall("503 Busy"))
    with Session() as session, pytest.raises(syncclient.ClientHttpProxyError):
        session.get(
            f"{tls_app.url}/get",
            ssl=client_tls,
            proxy=wire.url,
            proxy_headers={"X-Proxy": "yes"},
            headers={"X-Own": "secret", "Authorization": "Bearer t"},
        )
    (request,) = wire.requests
    assert request.method == "CONNECT"
    assert request.header("X-Proxy") == "yes"
    assert not request.header("X-Own")
    assert not request.header("Authorization")


def test_credentials_stay_with_the_proxy(app: AppServer, raw_server: RawServers) -> None:
    """After a redirect to another host, the proxy gets its credentials and the host not the old."""

    def script(conn: RawConnection) -> None:
        with suppress(PeerGoneError):
            while True:
                if conn.read_request().target == "http://shop.test/":
                    to = [("Location", f"{app.url}/get")]
                    conn.respond(status="302 Found", headers=to)
                else:
                    conn.respond(b"{}")

    wire = raw_server(script)
    proxied = f"http://user:{SECRET}@127.0.0.1:{wire.port}"
    with Session() as session:
        headers = {"Authorization": "Bearer t"}
        session.get("http://shop.test/", proxy=proxied, headers=headers).close()
    first, second = wire.requests
    assert first.header("Authorization") == "Bearer t"
    assert second.target == f"{app.url}/get"
    assert second.header("Proxy-Authorization") == BASIC
    assert not second.header("Authorization")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("failure", ["407", "502", "garbage", "gone", "refused"])
def test_failures_show_no_secret(
    app: AppServer,
    tls_app: AppServer,
    raw_server: RawServers,
    client_tls: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
    unused_port: int,
    failure: str,
    scheme: str,
) -> None:
    """However a proxy fails, the error is aiohttp's, nothing stays open, and no secret is shown."""

    def garbage(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"\x00\x01 what?\r\n\r\n")

    def gone(conn: RawConnection) -> None:
        conn.read_request()

    scripts = {
        "407": wall("407 Proxy Authentication Required"),
        "502": wall("502 Bad Gateway"),
        "garbage": garbage,
        "gone": gone,
    }
    port = raw_server(scripts[failure]).port if failure in scripts else unused_port
    proxy = f"http://user:{SECRET}@127.0.0.1:{port}"
    url = f"{app.url if scheme == 'http' else tls_app.url}/get"
    shown: list[str] = []
    with caplog.at_level(logging.DEBUG), Session(proxy=proxy) as session:
        if scheme == "http" and failure in ("407", "502"):
            # Of a plain request it is an answer like any other.
            assert status(session.get(url)) == int(failure)
        else:
            with pytest.raises(syncclient.ClientError) as caught:
                session.post(url, ssl=client_tls)
            error: BaseException | None = caught.value
            if failure == "refused":
                assert isinstance(error, syncclient.ClientProxyConnectionError)
                assert (error.host, error.port) == ("127.0.0.1", port)
            elif failure in ("407", "502"):
                assert isinstance(error, syncclient.ClientHttpProxyError)
                assert error.status == int(failure)
            while error is not None:
                shown += [str(error), repr(error), repr(error.args)]
                error = error.__cause__ or error.__context__
        shown += [repr(session), repr(session.connector), caplog.text]
        assert session.connector.snapshot().in_use == 0
    everything = "\n".join(shown)
    assert SECRET not in everything
    assert BASIC not in everything


def test_a_proxy_that_is_none(app: AppServer) -> None:
    """A proxy of an unknown kind, or what is no URL, is refused with what it may be."""
    with Session(app.url) as session:
        with pytest.raises(syncclient.InvalidURL, match="socks5") as caught:
            session.get("/get", proxy=f"ftp://user:{SECRET}@127.0.0.1:21")
        assert SECRET not in str(caught.value)
        with pytest.raises(syncclient.InvalidURL, match="must be a URL"):
            session.get("/get", proxy="127.0.0.1")
        assert session.connector.snapshot().open == 0


def test_a_proxy_of_the_wrong_type_is_named(app: AppServer) -> None:
    """The TypeError says which argument it is, of a request as of a session."""
    number: Any = 5
    with Session(app.url) as session:
        with pytest.raises(TypeError, match=r"^proxy must be a str or a yarl\.URL, not int$"):
            session.get("/get", proxy=number)
        with pytest.raises(TypeError, match=r"^proxy_auth must be .*, not str$"):
            session.get("/get", proxy="http://127.0.0.1:1", proxy_auth=typed("ada:pw"))
    with pytest.raises(TypeError, match=r"^proxy must be"):
        Session(proxy=number)


# The environment.


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A way to set variables, in an environment that has no proxy and no .netrc."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password one\n")
    return monkeypatch


def test_the_environment_is_asked_when_trusted(
    app: AppServer, proxy: HTTPProxy, environment: pytest.MonkeyPatch
) -> None:
    """Only with trust_env do the environment's proxy and the user's .netrc come into it."""
    environment.setenv("http_proxy", proxy.url)
    for trusted in (False, True):
        with Session(app.url, trust_env=trusted) as session:
            headers = dict(session.get("/get").json()["headers"])
            assert ("Via" in headers) is trusted
            assert ("Authorization" in headers) is trusted
    with Session(app.url, trust_env=True) as session:
        environment.setenv("no_proxy", "127.0.0.0/8")
        assert "Via" not in dict(session.get("/get").json()["headers"])


def test_what_is_explicit_beats_the_environment(
    app: AppServer, proxy: HTTPProxy, environment: pytest.MonkeyPatch, unused_port: int
) -> None:
    """An argument and a header of the request's, or of the session's, go before the environment."""
    environment.setenv("http_proxy", f"http://127.0.0.1:{unused_port}")
    for of_session, of_request in (
        ({"proxy": proxy.url, "headers": {"Authorization": "Bearer t"}}, {}),
        ({}, {"proxy": proxy.url, "headers": {"Authorization": "Bearer t"}}),
    ):
        with Session(app.url, trust_env=True, **typed(of_session)) as session:
            headers = dict(session.get("/get", **typed(of_request)).json()["headers"])
            assert "Via" in headers
            assert headers["Authorization"] == "Bearer t"


def typed(options: object) -> Any:
    return options


def test_each_hop_asks_the_environment_anew(
    app: AppServer, proxy: HTTPProxy, environment: pytest.MonkeyPatch
) -> None:
    """A redirect to an exempt host leaves the proxy, and gets that host's credentials."""
    environment.setenv("http_proxy", proxy.url)
    environment.setenv("no_proxy", "localhost")
    there = f"http://localhost:{app.port}/get"
    with Session(app.url, trust_env=True) as session:
        response = session.get("/redirect-to", params={"url": there})
        headers = dict(response.json()["headers"])
    assert len(response.history) == 1
    assert "Via" not in headers
    assert "Authorization" not in headers


def test_all_proxy_may_be_socks(app: AppServer, environment: pytest.MonkeyPatch) -> None:
    """A SOCKS proxy in all_proxy carries the requests; a SocksConnector has its own way."""
    with socks_proxy(5) as asked, socks_proxy(5) as own:
        environment.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{asked.port}")
        with Session(app.url, trust_env=True) as session:
            assert status(session.get("/get")) == 200
        assert len(asked.asked) == 1
        connector = SocksConnector(f"socks5://127.0.0.1:{own.port}")
        with Session(app.url, trust_env=True, connector=connector) as session:
            assert status(session.get("/get")) == 200
        assert len(asked.asked) == 1
        assert len(own.asked) == 1


def test_middlewares_of_a_request_do_not_switch_it_off(
    app: AppServer, proxy: HTTPProxy, environment: pytest.MonkeyPatch
) -> None:
    """A request's own middlewares replace the session's, and the environment still counts."""
    environment.setenv("http_proxy", proxy.url)
    with Session(app.url, trust_env=True) as session:
        headers = dict(session.get("/get", middlewares=()).json()["headers"])
        assert "Via" in headers
        assert session.trust_env is True
