"""Which way a request takes: the engine's, or urllib3's where something is overridden."""

import socket
import ssl
from typing import Any
from unittest import mock

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter as RequestsAdapter

from syncclient.requests.adapters import HTTPAdapter
from tests.doors.requests.sides import Side
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer


def _by_engine(response: requests.Response) -> bool:
    """Whether the engine made the request: urllib3's responses hold one of http.client's."""
    return type(response) is not requests.Response


def test_the_engines_way(http: requests.Session, app: AppServer) -> None:
    """A request of which nothing is changed takes the engine's way."""
    assert _by_engine(http.get(f"{app.url}/json"))
    assert _by_engine(http.post(f"{app.url}/anything", json={}))
    assert http.adapters["http://"].poolmanager.pools.keys() == set()  # type: ignore[attr-defined]


class _ChoosesPools(HTTPAdapter):
    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        self.chosen = True
        return super().get_connection_with_tls_context(*args, **kwargs)


class _Verifies(HTTPAdapter):
    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        self.chosen = True
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]


class _FullURL(HTTPAdapter):
    def request_url(self, request: Any, proxies: Any) -> str:
        self.chosen = True
        return super().request_url(request, proxies)


@pytest.mark.parametrize("cls", [_ChoosesPools, _Verifies, _FullURL])
def test_overridden_choices_go_through_urllib3(cls: type[HTTPAdapter], app: AppServer) -> None:
    """A subclass that chooses or changes urllib3's connections gets them."""
    adapter = cls()
    with requests.Session() as session:
        session.mount("http://", adapter)
        response = session.get(f"{app.url}/json")
    assert response.ok
    assert not _by_engine(response)
    assert adapter.chosen  # type: ignore[attr-defined]


def test_an_instance_may_be_changed(app: AppServer) -> None:
    """What is put into one adapter counts as well."""
    adapter = HTTPAdapter()
    with requests.Session() as session:
        session.mount("http://", adapter)
        with mock.patch.object(adapter, "cert_verify") as changed:
            assert not _by_engine(session.get(f"{app.url}/json"))
        assert changed.called
        assert _by_engine(session.get(f"{app.url}/json"))


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (RequestsAdapter, "send"),
        (RequestsAdapter, "cert_verify"),
        (urllib3.HTTPConnectionPool, "urlopen"),
        (urllib3.connection.HTTPConnection, "connect"),
        (urllib3.util.connection, "create_connection"),
        (urllib3.util.connection, "allowed_gai_family"),
        (socket, "getaddrinfo"),
    ],
)
def test_patches_are_seen(target: Any, name: str, http: requests.Session, app: AppServer) -> None:
    """Whatever urllib3 would use, patched: the patch is called."""
    original = getattr(target, name)
    calls = []

    def patched(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return original(*args, **kwargs)

    with mock.patch.object(target, name, patched):
        response = http.get(f"{app.url}/json")
    assert response.ok
    assert calls
    assert not _by_engine(response)
    assert _by_engine(http.get(f"{app.url}/json"))


def test_hooks_that_look_into_the_connection(http: requests.Session, app: AppServer) -> None:
    """Authentication of the connection, such as requests-ntlm's, has urllib3's from the start."""

    def authorise(response: requests.Response, **options: Any) -> None:
        raw: Any = response.raw
        found.append(raw._fp.fp.raw._sock)

    found: list[Any] = []
    authorise.__module__ = "requests_ntlm.requests_ntlm"
    hooks = {"response": authorise}
    response = http.get(f"{app.url}/bytes/100000", hooks=hooks, stream=True)
    assert isinstance(found[0], socket.socket)
    assert not _by_engine(response)
    response.close()


def test_headers_may_be_added(app: AppServer) -> None:
    """`add_headers` of a subclass is called, with the arguments of send, on the engine's way."""

    class Signs(HTTPAdapter):
        def add_headers(self, request: requests.PreparedRequest, **kwargs: Any) -> None:
            request.headers["X-Signed"] = ",".join(sorted(kwargs))

    with requests.Session() as session:
        session.mount("http://", Signs())
        response = session.get(f"{app.url}/anything")
    assert _by_engine(response)
    assert ["X-Signed", "cert,proxies,stream,timeout,verify"] in response.json()["headers"]


def test_responses_may_be_built(app: AppServer) -> None:
    """`build_response` of a subclass is given the raw response, on the engine's way."""

    class Builds(HTTPAdapter):
        def build_response(self, req: Any, resp: Any) -> requests.Response:
            self.built = resp
            return super().build_response(req, resp)

    adapter = Builds()
    with requests.Session() as session:
        session.mount("http://", adapter)
        response = session.get(f"{app.url}/bytes/100000")
    assert adapter.built is response.raw
    assert len(response.content) == 100_000
    assert type(response.raw).__module__.startswith("syncclient.")


def test_the_pool_is_a_description(raw_server: StartRawServer) -> None:
    """What `init_poolmanager` is given is what the engine's connections have."""

    def far_end(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            alive = conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            conn.respond(f"{conn.sock.getpeername()[0]} {alive}".encode())

    class Bound(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)]
            super().init_poolmanager(
                *args, source_address=("127.0.0.2", 0), socket_options=options, **kwargs
            )

    server = raw_server(far_end)
    with requests.Session() as session:
        session.mount("http://", Bound())
        response = session.get(server.url)
    assert _by_engine(response)
    assert response.text.startswith("127.0.0.2 ")


def test_a_blocking_pool_goes_through_urllib3(app: AppServer) -> None:
    """`pool_block=True` is a limit of one adapter, which urllib3 keeps."""
    with Side.MOUNTED.session(pool_block=True, pool_maxsize=1) as session:
        assert not _by_engine(session.get(f"{app.url}/json"))


@pytest.mark.parametrize(
    "headers", [{"Upgrade": "tcp"}, {"Authorization": "NTLM abc"}, {"X-Odd": "a\x01b"}]
)
def test_headers_that_urllib3_sends(
    http: requests.Session, app: AppServer, headers: dict[str, str]
) -> None:
    """What concerns the connection does not meet a shared one; nor is an odd character ours."""
    assert not _by_engine(http.get(f"{app.url}/anything", headers=headers))


def test_contexts_of_ones_own(tls_app: AppServer, client_tls: ssl.SSLContext) -> None:
    """`ssl_context` of a pool is the one that the engine connects with."""

    class Trusting(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, ssl_context=client_tls, **kwargs)

    with requests.Session() as session:
        session.mount("https://", Trusting())
        response = session.get(f"{tls_app.url}/json")
    assert response.ok
    assert _by_engine(response)
