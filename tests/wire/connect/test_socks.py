"""SOCKS: every way to name the proxy, who resolves the names, and what goes wrong on the way."""

import gzip
import ssl
from collections.abc import Callable

import aiohttp
import pytest

import syncclient
from syncclient import ClientTimeout, Fingerprint, Session, SocksConnector, TCPConnector
from tests.servers.process import AppServer
from tests.servers.proxies import socks_proxy
from tests.servers.raw import RawConnection, RawServer
from tests.wire.connect.reading import status

RawServers = Callable[..., RawServer]


@pytest.mark.parametrize("how", ["connector", "request", "session"])
@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
def test_requests_go_through_the_proxy(app: AppServer, scheme: str, how: str) -> None:
    """A SOCKS proxy named by a connector, a session or a request carries the request.

    As for curl, the proxy resolves the names with socks4a and socks5h only.
    """
    with socks_proxy(4 if scheme.startswith("socks4") else 5) as proxy:
        url = f"{scheme}://127.0.0.1:{proxy.port}"
        connector = SocksConnector(url) if how == "connector" else TCPConnector()
        with Session(connector=connector, proxy=url if how == "session" else None) as session:
            for _ in range(2):
                there = f"http://localhost:{app.port}/get"
                reply = session.get(there, proxy=url) if how == "request" else session.get(there)
                # In origin form: an HTTP proxy would have been sent the whole URL.
                assert reply.json()["target"] == "/get"
            assert session.connector.snapshot().open == 1
        host = "localhost" if scheme.endswith(("a", "h")) else "127.0.0.1"
        assert proxy.asked == [(host, app.port)]


def test_tls_through_the_proxy(tls_app: AppServer, client_tls: ssl.SSLContext) -> None:
    """https:// is encrypted end to end, and certificates and pins are checked as ever."""
    with socks_proxy(5) as proxy:
        with Session(connector=SocksConnector(f"socks5h://127.0.0.1:{proxy.port}")) as session:
            url = f"https://localhost:{tls_app.port}/get"
            assert status(session.get(url, ssl=client_tls)) == 200
            with pytest.raises(syncclient.ClientConnectorCertificateError):
                session.get(url)
            with pytest.raises(syncclient.ServerFingerprintMismatch):
                session.get(url, ssl=Fingerprint(bytes(32)))
            assert session.connector.snapshot().in_use == 0


def test_a_compressed_body_cut_off_is_noticed(raw_server: RawServers) -> None:
    """On the connections through a proxy that one request names, as on all others."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(gzip.compress(b"hello" * 1000)[:-20], headers=[("Content-Encoding", "gzip")])

    wire = raw_server(script)
    with socks_proxy(5) as proxy, Session() as session:
        with pytest.raises(syncclient.ClientPayloadError):
            session.get(wire.url, proxy=f"socks5://127.0.0.1:{proxy.port}").read()


def test_rdns_overrides_the_scheme(app: AppServer) -> None:
    """rdns= says who resolves, whatever the URL says."""
    with socks_proxy(5) as proxy:
        for scheme, rdns, host in (("socks5", True, "localhost"), ("socks5h", False, "127.0.0.1")):
            connector = SocksConnector(f"{scheme}://127.0.0.1:{proxy.port}", rdns=rdns)
            with Session(connector=connector) as session:
                session.get(f"http://localhost:{app.port}/get").close()
            assert proxy.asked[-1] == (host, app.port)


def test_credentials(app: AppServer) -> None:
    """User and password of the URL reach the proxy; wrong ones fail, and no message shows them."""
    with socks_proxy(5, ("user", "p@ss:word")) as proxy:
        right = f"socks5://user:p%40ss%3Aword@127.0.0.1:{proxy.port}"
        with Session(connector=SocksConnector(right)) as session:
            assert status(session.get(f"{app.url}/get")) == 200
            assert "p@ss" not in repr(session.connector)
            assert "p%40ss" not in repr(session.connector)
        with Session(connector=SocksConnector(right.replace("word", "wrong"))) as session:
            with pytest.raises(syncclient.ClientProxyConnectionError) as caught:
                session.get(f"{app.url}/get")
        assert (caught.value.host, caught.value.port) == ("127.0.0.1", proxy.port)
        for text in (str(caught.value), repr(caught.value)):
            assert "wrong" not in text
            assert "user" not in text


def test_proxies_are_pools_apart(app: AppServer) -> None:
    """A connection through a proxy serves no direct request, nor one through another proxy."""
    with socks_proxy(5) as one, socks_proxy(5) as two, Session() as session:
        numbers = [
            session.get(f"{app.url}/get", proxy=proxy).json()["connection"]
            for proxy in (None, f"socks5://127.0.0.1:{one.port}", f"socks5://127.0.0.1:{two.port}")
        ]
        assert len(set(numbers)) == 3
        assert session.connector.snapshot().open == 3
        again = session.get(f"{app.url}/get", proxy=f"socks5://127.0.0.1:{one.port}")
        assert again.json()["connection"] == numbers[1]


def test_the_proxy_is_not_there(app: AppServer, unused_port: int) -> None:
    """A proxy that cannot be reached is an error of the proxy, with its address."""
    with Session(connector=SocksConnector(f"socks5://127.0.0.1:{unused_port}")) as session:
        with pytest.raises(syncclient.ClientProxyConnectionError) as caught:
            session.get(f"{app.url}/get")
    assert f"127.0.0.1:{unused_port}" in str(caught.value)


def test_the_server_is_not_there(unused_port: int) -> None:
    """A server the proxy cannot reach is the proxy's refusal, and the message says of whom."""
    with socks_proxy(5) as proxy:
        with Session(connector=SocksConnector(f"socks5://127.0.0.1:{proxy.port}")) as session:
            with pytest.raises(
                syncclient.ClientProxyConnectionError, match=f"did not connect to .*{unused_port}"
            ):
                session.get(f"http://127.0.0.1:{unused_port}/")
            assert session.connector.snapshot().open == 0


def garbage(conn: RawConnection) -> None:
    conn.read_some()
    conn.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def gone(conn: RawConnection) -> None:
    conn.read_some()


@pytest.mark.parametrize("script", [garbage, gone], ids=["garbage", "gone"])
def test_a_proxy_that_talks_nonsense(
    app: AppServer, raw_server: RawServers, script: Callable[[RawConnection], None]
) -> None:
    """A proxy that talks something else, or hangs up, fails as a proxy and leaves nothing open."""
    wire = raw_server(script)
    with Session(connector=SocksConnector(f"socks5://127.0.0.1:{wire.port}")) as session:
        with pytest.raises(syncclient.ClientProxyConnectionError):
            session.get(f"{app.url}/get")
        assert session.connector.snapshot().open == 0


def test_a_proxy_that_is_silent(app: AppServer, raw_server: RawServers) -> None:
    """A proxy that never answers is timed out, and the message names it."""
    wire = raw_server(lambda conn: conn.stall())
    with Session(connector=SocksConnector(f"socks5://u:pw@127.0.0.1:{wire.port}")) as session:
        for timeout in (ClientTimeout(total=0.2), ClientTimeout(sock_connect=0.2)):
            with pytest.raises(
                syncclient.ServerTimeoutError, match=f"through the proxy .*{wire.port}"
            ) as caught:
                session.get(f"{app.url}/get", timeout=timeout)
            assert "pw" not in str(caught.value)
    wire.wait_until_closed()


def test_a_request_sent_twice(app: AppServer) -> None:
    """A middleware that sends a request a second time, as digest does, stays with the proxy."""

    async def twice(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        first = await handler(request)
        await first.read()
        return await handler(request)

    with socks_proxy(5) as proxy, Session(middlewares=[twice]) as session:
        url = f"socks5h://127.0.0.1:{proxy.port}"
        first = session.get(f"{app.url}/get", proxy=url).json()
        second = session.get(f"{app.url}/get", proxy=url).json()
        assert first["connection"] == second["connection"]
        assert len(proxy.asked) == 1
        assert session.connector.snapshot().open == 1
        assert first["target"] == "/get"
