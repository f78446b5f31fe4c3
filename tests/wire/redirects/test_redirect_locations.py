"""Location headers: where they lead, in every way of asking, and those that lead nowhere."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

import syncclient
from syncclient import Session
from tests.servers.raw import RawConnection, RawServer, Script, StartRawServer
from tests.servers.ws_script import accept

#: By its name, a way to ask for a URL that returns the status and the body of the answer.
WAYS: dict[str, Callable[[Session, str], tuple[int, bytes]]] = {}


def way(function: Callable[[Session, str], tuple[int, bytes]]) -> None:
    WAYS[function.__name__] = function


@way
def get(session: Session, url: str) -> tuple[int, bytes]:
    response = session.get(url)
    assert response.history == ()
    return response.status, response.read()


@way
def post(session: Session, url: str) -> tuple[int, bytes]:
    response = session.post(url, data=iter([b"a", b"b"]))
    return response.status, response.read()


@way
def submit(session: Session, url: str) -> tuple[int, bytes]:
    response = session.submit("GET", url).result(20)
    return response.status, response.read()


@way
def many(session: Session, url: str) -> tuple[int, bytes]:
    (response,) = session.map([url])
    return response.status, response.read()


@way
def middleware(session: Session, url: str) -> tuple[int, bytes]:
    response = session.get(url, middlewares=[lambda request, handler: handler(request)])
    return response.status, response.read()


@way
def aio(session: Session, url: str) -> tuple[int, bytes]:
    async def ask() -> tuple[int, bytes]:
        response = await session.aio.get(url)
        assert response.history == ()
        return response.status, await response.read()

    return asyncio.run(ask())


@way
def traced(session: Session, url: str) -> tuple[int, bytes]:
    seen: list[str] = []
    config: Any = syncclient.TraceConfig()
    config.on_request_redirect.append(lambda *_: seen.append("redirect"))
    config.on_request_end.append(lambda *_: seen.append("end"))
    with session.with_options(trace_configs=[config]) as told:
        response = told.get(url)
        assert seen == ["end"]
        return response.status, response.read()


def answering(data: bytes) -> Script:
    def script(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            conn.send(data)

    return script


def redirecting(location: bytes, status: int = 302) -> Script:
    """Redirect the first request of a server, and answer all that come after it."""

    def script(conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            if request.target == "/start":
                conn.send(b"HTTP/1.1 %d Away\r\nLocation: " % status + location)
                conn.send(b"\r\nContent-Length: 5\r\n\r\nmoved")
            else:
                conn.respond(b"here")

    return script


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_nowhere_is_the_answer(
    raw_server: StartRawServer, status: int, how: str
) -> None:
    """A 3xx that does not say where to go is returned as any other response."""
    wire = raw_server(answering(b"HTTP/1.1 %d Away\r\nContent-Length: 5\r\n\r\nmoved" % status))
    with Session() as session:
        assert WAYS[how](session, wire.url) == (status, b"moved")
    assert requests.get(wire.url, timeout=20).status_code == status
    assert httpx.get(wire.url).status_code == status


@pytest.mark.parametrize("headers", [b"Location:\r\n", b"Location: \t\r\n", b"Refresh: 0\r\n"])
def test_an_empty_location_is_none(raw_server: StartRawServer, headers: bytes) -> None:
    """Browsers and requests take a Location without a value for no redirect."""
    wire = raw_server(answering(b"HTTP/1.1 302 Away\r\n" + headers + b"Content-Length: 0\r\n\r\n"))
    with Session() as session:
        assert session.get(wire.url).status == 302
    assert requests.get(wire.url, timeout=20).status_code == 302


@pytest.mark.parametrize("status", [300, 304, 305, 306])
def test_other_statuses_are_no_redirects(raw_server: StartRawServer, status: int) -> None:
    """A Location counts with the five statuses that browsers follow."""
    head = b"HTTP/1.1 %d X\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n" % status
    wire = raw_server(answering(head))
    with Session() as session:
        assert session.get(wire.url).status == status


@pytest.mark.parametrize("how", ["sse", "download", "ws_connect"])
@pytest.mark.parametrize("status", [301, 302, 307])
def test_what_wants_more_than_an_answer_names_the_status(
    raw_server: StartRawServer, tmp_path: Path, status: int, how: str
) -> None:
    """An event stream, a download and a WebSocket end in a ClientError that says what came."""
    wire = raw_server(answering(b"HTTP/1.1 %d Away\r\nContent-Length: 5\r\n\r\nmoved" % status))
    ways: dict[str, Callable[[Session], Any]] = {
        "sse": lambda session: list(session.sse(wire.url)),
        "download": lambda session: session.download(wire.url, tmp_path / "f"),
        "ws_connect": lambda session: session.ws_connect(wire.url),
    }
    with Session() as session, pytest.raises(syncclient.ClientError, match=str(status)) as caught:
        ways[how](session)
    assert getattr(caught.value, "status", None) == status
    assert list(tmp_path.iterdir()) == []


def targets(wire: RawServer) -> list[str]:
    return [request.target for request in wire.requests if request.target != "/start"]


@pytest.mark.parametrize(
    ("location", "target"),
    [
        (b"/f%27o?type=application%2Fgzip&Signature=a%2Bb%2Fc%3D", None),
        (b"/a%2Cb%3Ac?Credential=K%2F20261128%2Fs3", None),
        (b"/a+b?c+d=%20", None),
        (b"/a b?c d", "/a%20b?c%20d"),
        (b"/a?", None),
        (b"?only=query", "/start?only=query"),
        (b"/caf\xc3\xa9?\xc3\xa9", "/caf%C3%A9?%C3%A9"),
        (b"/caf\xe9", "/caf%E9"),
        (b"relative", "/relative"),
        (b"./a/../b", "/b"),
        (b"/a\\b", "/a%5Cb"),
        (b"/%", "/%25"),
        (b"/x#fragment", "/x"),
        (b"http:/same/scheme", "/same/scheme"),
    ],
)
def test_where_a_location_leads(
    raw_server: StartRawServer, location: bytes, target: str | None
) -> None:
    """Escapes stay, the illegal is encoded, bytes are encoded as they came."""
    wire = raw_server(redirecting(location))
    with Session() as session:
        assert session.get(f"{wire.url}/start").read() == b"here"
    assert targets(wire) == [target or location.decode()]


@pytest.mark.parametrize("location", [b"/f%27o?t=a%2Fb%2Bc%3D", b"/a%2Cb?c=%2F", b"/a b"])
def test_others_go_to_the_same_place(raw_server: StartRawServer, location: bytes) -> None:
    """requests, httpx and this client ask for the same target."""
    wire = raw_server(redirecting(location))
    start = f"{wire.url}/start"
    with Session() as session:
        session.get(start).read()
    requests.get(start, timeout=20)
    httpx.get(start, follow_redirects=True)
    assert len(set(targets(wire))) == 1 and len(targets(wire)) == 3


def test_a_host_alone_and_a_scheme_relative_location(raw_server: StartRawServer) -> None:
    """Another host's root is asked for with a slash, and ``//host`` has the scheme of before."""
    other = raw_server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere"))
    for location in (other.url, f"//127.0.0.1:{other.port}", f"HTTP://127.1:{other.port}"):
        wire = raw_server(redirecting(location.encode()))
        with Session() as session:
            assert session.get(f"{wire.url}/start#part").real_url.fragment == "part"
    assert [request.target for request in other.requests] == ["/"] * 3
    assert {request.header("Host") for request in other.requests} == {f"127.0.0.1:{other.port}"}


def test_several_locations(raw_server: StartRawServer) -> None:
    """One place named twice is one place; two places are refused, as by browsers."""
    wire = raw_server(redirecting(b"/x\r\nLocation: /x"), redirecting(b"/x\r\nLocation: /y"))
    with Session() as session:
        assert session.get(f"{wire.url}/start").read() == b"here"
    with Session() as session:
        with pytest.raises(syncclient.InvalidUrlRedirectClientError, match="more Locations"):
            session.get(f"{wire.url}/start")


@pytest.mark.parametrize("requote", [True, False])
@pytest.mark.parametrize(
    "location",
    [
        b"http://127.0.0.1:99999/",
        b"http://127.0.0.1:b/",
        b"http://127.0.0.1:-1/",
        b"http://127.0.0.1:\xc2\xb2/",
        b"http://[::1",
        b"http://[::g]/",
        b"http://[::1]x/",
        b"http://a..b/",
        b"https://a..b/",
        b"https://" + b"a" * 64 + b".example/",
        b"https://.example/",
        b"http://a b/",
        b"http://a\\b/",
        b"http://256.256.256.256/",
        b"http://xn--a/",
        b"http://\xff/",
        b"http:///x",
        b"http://",
        b"https:x",
        b"http://u:p@/",
    ],
)
def test_a_location_that_can_be_no_url(
    raw_server: StartRawServer, location: bytes, requote: bool
) -> None:
    """It is one error, which names where the redirect came from; nothing is looked up."""
    wire = raw_server(redirecting(location))
    asked: list[str] = []

    class Hosts:
        def resolve(self, host: str, port: int, family: int) -> str:
            asked.append(host)
            return "127.0.0.1"

    connector = syncclient.TCPConnector(resolver=Hosts())
    with Session(requote_redirect_url=requote, connector=connector) as session:
        with pytest.raises(syncclient.InvalidUrlRedirectClientError) as caught:
            session.get(f"{wire.url}/start")
    assert f"GET {wire.url}/start while" in str(caught.value)
    assert caught.value.args and "p@" not in str(caught.value)
    assert asked == []
    str(caught.value).encode()


@pytest.mark.parametrize("location", [b"ftp://h/", b"file:///etc/passwd", b"ws://h/", b"x:y"])
def test_a_location_of_another_scheme(raw_server: StartRawServer, location: bytes) -> None:
    """Only http and https are followed."""
    wire = raw_server(redirecting(location))
    with Session() as session, pytest.raises(syncclient.NonHttpUrlRedirectClientError):
        session.get(f"{wire.url}/start")


@pytest.mark.parametrize("way_to_ask", ["ws_connect", "aio"])
@pytest.mark.parametrize("scheme", ["ws", "http"])
def test_a_handshake_follows_ws(raw_server: StartRawServer, scheme: str, way_to_ask: str) -> None:
    """The redirect of a WebSocket's handshake may lead to ws:// as well as to http://."""

    def start(conn: RawConnection) -> None:
        redirecting(f"{scheme}://127.0.0.1:{wire.port}/there".encode())(conn)

    wire = raw_server(start)

    async def ask(session: Session) -> None:
        await session.aio.ws_connect(f"ws://127.0.0.1:{wire.port}/start")

    ways: dict[str, Callable[[Session], object]] = {
        "aio": lambda session: asyncio.run(ask(session)),
        "ws_connect": lambda session: session.ws_connect(f"ws://127.0.0.1:{wire.port}/start"),
    }
    with Session() as session, pytest.raises(syncclient.WSServerHandshakeError) as caught:
        ways[way_to_ask](session)
    assert caught.value.status == 200
    assert targets(wire) == ["/there"]
    assert all(request.header("Upgrade") == "websocket" for request in wire.requests)


def test_a_handshake_is_upgraded_where_it_is_sent(raw_server: StartRawServer) -> None:
    """A socket is opened where the redirect leads, and its messages come from there."""

    def away(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(status="307 Away", headers=[("Location", f"ws://127.0.0.1:{there.port}/")])

    def here(conn: RawConnection) -> None:
        accept(conn, greeting=b"\x81\x02hi\x88\x02\x03\xe8")

    there = raw_server(here)
    wire = raw_server(away)
    with Session() as session, session.ws_connect(wire.url) as socket:
        assert socket.receive_str() == "hi"
