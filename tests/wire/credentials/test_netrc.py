"""Credentials of .netrc: whom they reach, what they yield to, and where the file is read."""

import asyncio
import base64
import contextlib
import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

import syncclient
from syncclient import URL, BearerAuth, Session, UnixConnector
from syncclient._async.connect.environment import Hops, Surroundings
from syncclient._async.connect.netrc import parse_netrc
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, RawRequest, StartRawServer
from tests.wire.redirects.test_redirect_secrets import authorizations, hops

ME_PW = "Basic bWU6cHc="


@pytest.fixture
def netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Write the file that NETRC names, in an environment without proxies."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    def write(text: str) -> None:
        (tmp_path / "netrc").write_text(text)

    return write


def _aio(session: Session, url: str) -> None:
    async def ask() -> None:
        async with session.aio.get(url) as response:
            await response.read()

    asyncio.run(ask())


def _aio_ws(session: Session, url: str) -> None:
    async def ask() -> None:
        with pytest.raises(syncclient.WSServerHandshakeError):
            await session.aio.ws_connect(url)

    asyncio.run(ask())


def _aio_in_a_middleware(session: Session, url: str) -> None:
    async def ask(request: Any, handler: Any) -> Any:
        async with session.aio.get(url) as response:
            await response.read()
        return await handler(request)

    session.get(url, middlewares=[ask], allow_redirects=False).read()


def _ws(session: Session, url: str) -> None:
    with pytest.raises(syncclient.WSServerHandshakeError):
        session.ws_connect(url)


def _sse(session: Session, url: str) -> None:
    with pytest.raises(syncclient.ClientResponseError):
        session.sse(url, reconnects=0)


ASKING: dict[str, Callable[[Session, str], object]] = {
    "get": lambda session, url: session.get(url).read(),
    "submit": lambda session, url: session.submit("GET", url).result(10).read(),
    "map": lambda session, url: list(session.map([url])),
    "aio": _aio,
    "aio_ws_connect": _aio_ws,
    "ws_connect": _ws,
    "sse": _sse,
    "middleware": lambda session, url: session.get(
        url, middlewares=[lambda request, handler: handler(request)]
    ).read(),
    "retry": lambda session, url: session.get(url, retry=syncclient.Retry(1)).read(),
}


@pytest.mark.parametrize("how", ASKING)
def test_every_way_of_asking_uses_it(
    raw_server: StartRawServer, netrc: Callable[[str], None], how: str
) -> None:
    """The host's entry authorises the request and each hop within the origin, as in requests."""
    netrc("machine 127.0.0.1 login me password pw")
    wire = raw_server(hops("/x", "/y"))
    with Session(trust_env=True) as session:
        ASKING[how](session, wire.url)
    assert authorizations(wire.requests) == [ME_PW] * 3


def test_a_download_uses_it(
    raw_server: StartRawServer, netrc: Callable[[str], None], tmp_path: Path
) -> None:
    """So does a download, whose requests have headers of their own."""
    netrc("machine 127.0.0.1 login me password pw")
    wire = raw_server(hops("/x"))
    with Session(trust_env=True) as session:
        session.download(wire.url, tmp_path / "f")
    assert authorizations(wire.requests) == [ME_PW] * 2


@pytest.mark.parametrize("how", ASKING)
def test_another_port_gets_nothing(
    raw_server: StartRawServer, netrc: Callable[[str], None], how: str
) -> None:
    """A redirect to another port of the host does not take the credentials along (CVE-2022-27774),
    whether they are of the host's entry or the default."""
    for text in ("machine 127.0.0.1 login me password pw", "default login me password pw"):
        netrc(text)
        other = raw_server(hops("/x"))
        first = raw_server(hops(other.url))
        with Session(trust_env=True) as session:
            ASKING[how](session, first.url)
        assert authorizations(first.requests) == [ME_PW]
        assert authorizations(other.requests) == ["", ""]


def test_no_downgrade_takes_it_along(
    raw_server: StartRawServer,
    netrc: Callable[[str], None],
    server_tls: ssl.SSLContext,
    client_tls: ssl.SSLContext,
) -> None:
    """From https to http nothing is sent in the clear, neither to this host nor to another."""
    netrc("machine localhost login me password pw machine 127.0.0.1 login me password pw")
    plain = raw_server(hops())
    plain_url = plain.url.replace("127.0.0.1", "localhost")
    for landed in (plain_url, plain.url):
        secure = raw_server(hops(landed), tls=server_tls)
        with Session(trust_env=True) as session:
            session.get(secure.url.replace("127.0.0.1", "localhost"), ssl=client_tls).read()
        assert authorizations(secure.requests) == [ME_PW]
    assert authorizations(plain.requests) == ["", ""]


def test_another_host_gets_its_own(
    raw_server: StartRawServer, netrc: Callable[[str], None]
) -> None:
    """A redirect to another host finds that one's entry, as in curl and requests; never the
    default, which a server could have sent anywhere."""
    other = raw_server(hops())
    first = raw_server(hops(other.url.replace("127.0.0.1", "localhost")))
    for own in ("machine localhost login me password pw", ""):
        netrc(f"machine 127.0.0.1 login a password b\n{own}\ndefault login c password d")
        with Session(trust_env=True) as session:
            session.get(first.url).read()
    assert authorizations(first.requests) == ["Basic YTpi"] * 2
    assert authorizations(other.requests) == [ME_PW, ""]


def test_a_host_beyond_the_way_home_keeps_to_its_port(
    raw_server: StartRawServer, netrc: Callable[[str], None]
) -> None:
    """A host that was reached by a redirect is bound to the port of its first hop as well."""
    netrc("machine localhost login me password pw")
    last = raw_server(hops())
    middle = raw_server(hops(last.url.replace("127.0.0.1", "localhost")))
    first = raw_server(hops(middle.url.replace("127.0.0.1", "localhost")))
    with Session(trust_env=True) as session:
        session.get(first.url).read()
    assert authorizations(middle.requests) == [ME_PW]
    assert authorizations(last.requests) == [""]


@pytest.mark.parametrize("given", ["header", "session", "auth", "url", "bearer", "middleware"])
def test_whatever_is_explicit_wins(
    raw_server: StartRawServer, netrc: Callable[[str], None], given: str
) -> None:
    """The file is for requests that nothing else authorises, in whatever way."""
    netrc("machine 127.0.0.1 login me password pw")
    wire = raw_server(hops())
    url = wire.url
    of_session: dict[str, Any] = {}
    of_request: dict[str, Any] = {}
    if given == "header":
        of_request["headers"] = {"Authorization": "Basic YTpi"}
    elif given == "session":
        of_session["auth"] = ("a", "b")
    elif given == "auth":
        of_request["auth"] = ("a", "b")
    elif given == "url":
        url = url.replace("//", "//a:b@")
    elif given == "bearer":
        of_session["middlewares"] = [BearerAuth(lambda: "t")]
    else:

        def authorise(request: Any, handler: Any) -> Any:
            assert "Authorization" not in request.headers
            request.headers["Authorization"] = "Basic YTpi"
            return handler(request)

        of_session["middlewares"] = [authorise]
    with Session(trust_env=True, **of_session) as session:
        session.get(url, **of_request).read()
    expected = "Bearer t" if given == "bearer" else "Basic YTpi"
    assert authorizations(wire.requests) == [expected]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("machine 127.0.0.1 login me password pä", "me:pä".encode()),
        ("machine 127.0.0.1 login a:b password c", b"a:b:c"),
        ("machine 127.0.0.1 login me", b"me:"),
        ("machine 127.0.0.1", None),
        ("machine 127.0.0.1 login me password my secret", None),
    ],
)
def test_what_is_sent(
    raw_server: StartRawServer, netrc: Callable[[str], None], text: str, sent: bytes | None
) -> None:
    """Any login and password go out as they are in the file; half an entry is one, none is none."""
    netrc(text)
    wire = raw_server(hops())
    with Session(trust_env=True) as session:
        session.get(wire.url).read()
    expected = "" if sent is None else f"Basic {base64.b64encode(sent).decode()}"
    assert authorizations(wire.requests) == [expected]


@pytest.mark.parametrize("name", [".netrc", "_netrc"])
def test_where_the_file_is_looked_for(
    raw_server: StartRawServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Both names in the home directory count, on every system, as in requests."""
    monkeypatch.delenv("NETRC", raising=False)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    (tmp_path / name).write_text("machine 127.0.0.1 login me password pw")
    wire = raw_server(hops())
    with Session(trust_env=True) as session:
        session.get(wire.url).read()
    requests.get(wire.url, timeout=20)
    assert authorizations(wire.requests) == [ME_PW, ME_PW]


def test_a_pipe_is_not_read(
    raw_server: StartRawServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What could be read once only, and keep its reader waiting, counts as empty."""
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setenv("NETRC", str(tmp_path / "fifo"))
    wire = raw_server(hops())
    with Session(trust_env=True, timeout=5) as session:
        session.get(wire.url).read()
    assert authorizations(wire.requests) == [""]


@pytest.mark.parametrize(
    "how", ["get", "submit", "map", "retry", "aio", "aio_ws_connect", "aio_in_a_middleware"]
)
def test_no_file_is_touched_on_the_loop_thread(
    raw_server: StartRawServer,
    netrc: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """The caller's thread asks the file system, for every hop to come; if it runs an event loop,
    a worker thread does."""
    netrc("machine 127.0.0.1 login me password pw")
    touched: list[str] = []
    stat = os.stat

    def noted(*args: Any, **kwargs: Any) -> os.stat_result:
        touched.append(threading.current_thread().name)
        with contextlib.suppress(RuntimeError):
            touched.append(f"the loop {asyncio.get_running_loop()}")
        return stat(*args, **kwargs)

    wire = raw_server(hops("/x"))
    with Session(trust_env=True) as session:
        session.get(wire.url, allow_redirects=False).read()
        monkeypatch.setattr(os, "stat", noted)
        {**ASKING, "aio_in_a_middleware": _aio_in_a_middleware}[how](session, wire.url)
        monkeypatch.undo()
    assert touched
    assert not [name for name in touched if "loop" in name]


def test_a_socket_has_no_name(
    unix_app: tuple[AppServer, Path], netrc: Callable[[str], None]
) -> None:
    """What the file has for localhost, or by default, is not for a socket that a URL names; a
    UnixConnector is asked for the host of the URL."""
    _, path = unix_app
    netrc("machine localhost login me password pw\ndefault login me password pw")
    with Session(trust_env=True) as session:
        reply = session.get(f"http+unix://{quote(str(path), safe='')}/get").json()
        assert "Authorization" not in dict(reply["headers"])
    with Session(trust_env=True, connector=UnixConnector(path)) as session:
        reply = session.get("http://localhost/get").json()
        assert dict(reply["headers"])["Authorization"] == ME_PW


class Proxy:
    """A server that answers what is meant for others, and keeps what it was sent."""

    def __init__(self, raw_server: StartRawServer) -> None:
        self.wire = raw_server(self._script)

    def _script(self, conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"from the proxy")

    @property
    def requests(self) -> list[RawRequest]:
        return self.wire.requests


def test_the_default_is_not_for_proxies(
    raw_server: StartRawServer, netrc: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server gets the default credentials through a proxy, which gets none itself."""
    proxy = Proxy(raw_server)
    monkeypatch.setenv("http_proxy", proxy.wire.url)
    netrc("default login me password pw")
    with Session(trust_env=True) as session:
        session.get("http://example.test/").read()
    (request,) = proxy.requests
    assert request.header("Proxy-Authorization") == ""
    assert request.header("Authorization") == ME_PW


def test_an_upgrade_at_the_default_ports_keeps_it() -> None:
    """From http to https, where both have their usual ports, is the one change of port that
    keeps the credentials, as in requests and httpx; the way back does not."""
    given = Surroundings({}, parse_netrc(b"machine a.test login me password pw"))
    upgraded = Hops(given)
    assert upgraded.authorization(URL("http://a.test/")) == ME_PW
    assert upgraded.authorization(URL("https://a.test/")) == ME_PW
    assert upgraded.authorization(URL("http://a.test/")) is None
    for first, then in (
        ("http://a.test/", "https://a.test:8443/"),
        ("http://a.test:8080/", "https://a.test/"),
        ("https://a.test/", "http://a.test/"),
        ("http://a.test/", "http://a.test:81/"),
    ):
        moved = Hops(given)
        assert moved.authorization(URL(first)) == ME_PW
        assert moved.authorization(URL(then)) is None
