"""Errors of syncclient.httpx and syncclient.httpx2: the library's classes, by which SDKs decide."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import syncclient
from tests.servers.raw import RawConnection, StartRawServer

from .conftest import Door, stalled_body

Script = Callable[[RawConnection], None]


def drop(conn: RawConnection) -> None:
    conn.read_request()


def reset(conn: RawConnection) -> None:
    conn.read_request()
    conn.reset()


def no_http(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"SSH-2.0-OpenSSH\r\n\r\n")


def silent(conn: RawConnection) -> None:
    conn.read_to_end()


def cut_short(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello")


def cut_chunks(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")


def proxy_refuses(conn: RawConnection) -> None:
    conn.read_request()
    conn.respond(status="403 Forbidden")


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (drop, "RemoteProtocolError"),
        (reset, "ReadError"),
        (no_http, "RemoteProtocolError"),
        (silent, "ReadTimeout"),
        (cut_short, "RemoteProtocolError"),
        (cut_chunks, "RemoteProtocolError"),
        (stalled_body, "ReadTimeout"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_a_server_does(
    door: Door, raw_server: StartRawServer, script: Script, kind: str
) -> None:
    """The error of a request has the library's class, the request, and ours as its cause."""
    wire = raw_server(script)
    with door.ours.Client(timeout=0.5) as client:
        with pytest.raises(getattr(door.library, kind)) as caught:
            client.post(wire.url)
    assert type(caught.value).__name__ == kind
    assert caught.value.request.method == "POST"
    assert isinstance(caught.value.__cause__, syncclient.ClientError)


@pytest.mark.parametrize("script", [cut_short, cut_chunks])
def test_the_words_for_a_body_cut_short(
    door: Door, raw_server: StartRawServer, script: Script
) -> None:
    """They begin as the library's own: programs on SDKs look for them to try again."""
    words = "peer closed connection without sending complete message body"
    wire = raw_server(script)
    for client in (door.library.Client(), door.ours.Client()):
        with client, pytest.raises(door.library.RemoteProtocolError, match=f"^{words}"):
            client.get(wire.url)


def test_a_timeout_that_is_none(door: Door) -> None:
    """A timeout that is neither a number nor None is named."""
    with door.ours.Client(timeout="soon") as client:
        with pytest.raises(TypeError, match="timeout: connect must be seconds or None, not 'soon'"):
            client.get("http://127.0.0.1:1/")


def test_a_refused_connection(door: Door) -> None:
    """A connection that is refused is a ConnectError, never a timeout."""
    with door.ours.Client() as client, pytest.raises(door.library.ConnectError) as caught:
        client.get("http://127.0.0.1:1/")
    assert not isinstance(caught.value, door.library.TimeoutException)


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_deadline_is_not_its_own_cause(
    door: Door, raw_server: StartRawServer, where: str
) -> None:
    """The end of a ``timeout()`` block goes up unchanged, with causes that come to an end."""
    wire = raw_server(silent if where == "head" else stalled_body)
    with door.ours.Client(timeout=None) as client, syncclient.timeout(0.3):
        with pytest.raises(syncclient.DeadlineError) as caught:
            client.get(wire.url)
    seen: list[BaseException] = []
    error: BaseException | None = caught.value
    while error is not None:
        assert error not in seen
        seen.append(error)
        error = error.__cause__ or error.__context__


def test_an_unknown_host(door: Door) -> None:
    """A name that cannot be resolved is a ConnectError."""
    with door.ours.Client() as client, pytest.raises(door.library.ConnectError):
        client.get("http://unknown.invalid/")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["a..b", ".a", "a" * 64 + ".test", "a b", "1.2.3.4.5"])
def test_a_host_that_can_be_none(
    door: Door, raw_server: StartRawServer, scheme: str, host: str
) -> None:
    """It is a ConnectError, and neither the system nor a proxy is asked for it."""
    wire = raw_server(drop)
    for options in ({}, {"proxy": wire.url}):
        with door.ours.Client(verify=False, **options) as client:
            with pytest.raises(door.library.ConnectError, match="the host"):
                client.get(f"{scheme}://{host}/")
    assert wire.requests == []


@pytest.mark.parametrize("name", ["a..b", "a" * 64, "a b", b"\xff", "\ud800"])
def test_a_server_name_that_can_be_none(
    door: Door, raw_server: StartRawServer, name: str | bytes
) -> None:
    """The extension ``sni_hostname`` with it is a LocalProtocolError; nothing connects."""
    wire = raw_server(silent)
    with door.ours.Client(verify=False) as client:
        with pytest.raises(door.library.LocalProtocolError, match="sni_hostname"):
            client.get(f"https://127.0.0.1:{wire.port}/", extensions={"sni_hostname": name})
    assert wire.connections == []


def test_connect_timeout(door: Door) -> None:
    """A host that does not answer is a ConnectTimeout."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    try:
        for _ in range(3):  # its backlog
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
            waiting.append(sock)
        timeout = door.library.Timeout(None, connect=0.2)
        with door.ours.Client(timeout=timeout) as client:
            with pytest.raises(door.library.ConnectTimeout):
                client.get(f"http://127.0.0.1:{full.getsockname()[1]}/")
    finally:
        for sock in (full, *waiting):
            sock.close()


def test_a_connect_timeout_that_passed_counts_though_the_connection_is_there(
    door: Door, raw_server: StartRawServer
) -> None:
    """It does not depend on whether the loop looks at its timers before the socket."""

    def answer(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    wire = raw_server(answer)
    for _ in range(20):
        with door.ours.Client(timeout=door.library.Timeout(None, connect=1e-6)) as client:
            with pytest.raises(door.library.ConnectTimeout):
                client.get(wire.url)


def test_pool_timeout(door: Door, raw_server: StartRawServer) -> None:
    """A request that waits for a free connection in vain is a PoolTimeout, by its own limit."""
    wire = raw_server(stalled_body)
    limits = door.library.Limits(max_connections=1)
    timeout = door.library.Timeout(30, pool=0.1)
    with door.ours.Client(limits=limits, timeout=timeout) as client:
        with client.stream("GET", wire.url):
            with pytest.raises(door.library.PoolTimeout):
                client.get(wire.url)


@pytest.mark.parametrize("streamed", [False, True])
def test_write_timeout(door: Door, raw_server: StartRawServer, streamed: bool) -> None:
    """A server that takes no more of the body is a WriteTimeout."""

    def take_nothing(conn: RawConnection) -> None:
        conn.read_head()
        conn.stall()

    wire = raw_server(take_nothing)
    content: Any = (b"x" * 2**20 for _ in range(32)) if streamed else b"x" * 2**25
    timeout = door.library.Timeout(30, write=0.2)
    with door.ours.Client(timeout=timeout) as client:
        with pytest.raises(door.library.WriteTimeout):
            client.post(wire.url, content=content)


def test_proxy_error(door: Door, raw_server: StartRawServer) -> None:
    """A proxy that opens no tunnel is a ProxyError; one that is not there a ConnectError."""
    wire = raw_server(proxy_refuses)
    with door.ours.Client(proxy=wire.url) as client, pytest.raises(door.library.ProxyError):
        client.get("https://origin.test/")
    with door.ours.Client(proxy="http://127.0.0.1:1") as client:
        with pytest.raises(door.library.ConnectError):
            client.get("http://origin.test/")


@pytest.mark.parametrize("url", ["ftp://host/", "ws://host/", "/relative", "//host/"])
def test_unsupported_protocol(door: Door, url: str) -> None:
    """A URL that is not http:// or https:// is an UnsupportedProtocol."""
    with door.ours.Client() as client, pytest.raises(door.library.UnsupportedProtocol):
        client.get(url)


def _short() -> Iterator[bytes]:
    yield b"abc"


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {b"X Y": b"1"}},
        {"headers": {b"X": b"1\r\nY: 2"}},
        {"content": _short, "headers": {"Content-Length": "9"}},
        {"content": _short, "headers": {"Content-Length": "1"}},
        {"content": b"abc", "headers": {"Content-Length": "9"}},
        {"content": b"abc", "headers": {"Content-Length": "1"}},
        {"headers": {"Connection": "Upgrade", "Upgrade": "websocket"}},
    ],
    ids=range(7),
)
def test_local_protocol_error(
    door: Door, raw_server: StartRawServer, options: dict[str, Any]
) -> None:
    """A request that cannot be sent as it is is a LocalProtocolError."""
    wire = raw_server(drop)
    if callable(options.get("content")):
        options = {**options, "content": options["content"]()}
    with door.ours.Client() as client, pytest.raises(door.library.LocalProtocolError):
        client.post(wire.url, **options)


def test_connecting_is_tried_again(door: Door) -> None:
    """retries= tries again to connect; the body of the request is whole then."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    made: list[int] = []

    def body() -> Iterator[bytes]:
        made.append(1)
        yield b"abc"

    transport = door.ours.Transport(retries=2)
    with door.ours.Client(transport=transport) as client:
        with pytest.raises(door.library.ConnectError):
            client.post(f"http://127.0.0.1:{port}/", content=body())
    assert not made


def test_a_deadline_is_ours(door: Door, raw_server: StartRawServer) -> None:
    """The end of a syncclient.timeout() block is a DeadlineError, that no SDK tries again."""
    wire = raw_server(silent)
    with door.ours.Client() as client:
        with syncclient.timeout(0.2), pytest.raises(syncclient.DeadlineError):
            client.get(wire.url)


# -- bad input ------------------------------------------------------------------------


def test_an_object_of_the_other_library() -> None:
    """What belongs to the other of the two libraries is refused, and both are named."""
    httpx, httpx2 = pytest.importorskip("httpx"), pytest.importorskip("httpx2")
    import syncclient.httpx
    import syncclient.httpx2

    with pytest.raises(TypeError, match=r"limits is httpx's Limits.*for httpx2.*syncclient\.httpx"):
        syncclient.httpx2.Transport(limits=httpx.Limits())
    with pytest.raises(TypeError, match=r"proxy is httpx2's Proxy.*for httpx: use syncclient"):
        syncclient.httpx.Transport(proxy=httpx2.Proxy("http://host"))
    with syncclient.httpx2.Transport() as transport:
        with pytest.raises(TypeError, match=r"request is httpx's Request"):
            transport.handle_request(httpx.Request("GET", "http://host/"))
    with httpx.Client(transport=syncclient.httpx2.Transport()) as client:
        with pytest.raises(TypeError, match=r"request is httpx's Request"):
            client.get("http://127.0.0.1:1/")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"http2": True}, "HTTP/2 is not spoken"),
        ({"http1": False}, "HTTP/2 is not spoken"),
        ({"retries": -1}, "retries must be"),
        ({"limits": 5}, "limits must be httpx2?.Limits, not int"),
        ({"session": 5}, "session must be a Session, not int"),
    ],
    ids=str,
)
def test_a_keyword_that_cannot_be_honoured(door: Door, options: dict[str, Any], says: str) -> None:
    """A keyword that makes no sense here is refused, by its name."""
    with pytest.raises((TypeError, ValueError), match=says):
        door.ours.Transport(**options)


def test_keywords_of_connections_beside_a_session(door: Door) -> None:
    """What says how to connect is refused beside session=, which has its own connections."""
    with syncclient.Session() as session:
        for options in ({"verify": False}, {"uds": "/x"}, {"local_address": "127.0.0.1"}):
            with pytest.raises(ValueError, match=r"session= has its own"):
                door.ours.Transport(session=session, **options)
        with pytest.raises(TypeError, match="exclude each other"):
            door.ours.Client(session=session, transport=door.ours.Transport())


def test_a_proxy_with_its_own_context(door: Door, client_tls: Any) -> None:
    """A proxy's own ssl_context cannot be used, and is refused."""
    proxy = door.library.Proxy("https://host", ssl_context=client_tls)
    with pytest.raises(ValueError, match="ssl_context of its own"):
        door.ours.Transport(proxy=proxy)


def test_trace_is_refused(door: Door) -> None:
    """The extension trace is refused with what to use in its place."""
    with door.ours.Client() as client, pytest.raises(NotImplementedError, match="trace_configs"):
        client.get("http://127.0.0.1:1/", extensions={"trace": print})


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_a_library_that_is_not_installed(name: str) -> None:
    """Importing a door without its library says what to install."""
    code = f"import sys; sys.modules[{name!r}] = None\nimport syncclient.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert f"syncclient.{name} needs {name}: pip install {name}" in done.stderr
