"""What goes out and what comes back through syncclient.httpx and syncclient.httpx2."""

import contextlib
import gzip
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

import syncclient
from tests.servers.raw import RawConnection, RawServer, StartRawServer

from .conftest import Door


def answer(conn: RawConnection) -> None:
    """Answer every request with what it has for a body."""
    while True:
        request = conn.read_request()
        conn.respond(request.body or b"hello")


def sent(wire: RawServer) -> bytes:
    """The head of the last request."""
    return wire.requests[-1].head


FIELDS = [
    (b"x-LOWER", b"1"),
    (b"X-Twice", b"a"),
    (b"X-Twice", b"b"),
    (b"x-twice", b"c"),
    (b"Cookie", b"b=2; a=1"),
    (b"Cookie", b"b=3"),
    (b"X-Empty", b""),
]


@pytest.mark.parametrize("last", [b"utf-8 \xc3\xa9", b"latin-1 \xe9"], ids=["utf-8", "latin-1"])
@pytest.mark.parametrize("body", [None, b"body"], ids=["without", "with"])
def test_headers_go_out_to_the_letter(
    door: Door, raw_server: StartRawServer, last: bytes, body: bytes | None
) -> None:
    """Names, order, duplicates and octets of headers are sent as the request has them."""
    wire = raw_server(answer)
    with door.ours.Client() as client:
        request = client.build_request(
            "POST" if body else "GET", wire.url, headers=[*FIELDS, (b"X-Last", last)], content=body
        )
        client.send(request)
    lines = b"".join(b"%b: %b\r\n" % field for field in request.headers.raw)
    assert sent(wire).partition(b"\r\n")[2] == lines + b"\r\n"


@pytest.mark.parametrize("target", ["/a%2fb/%7e?x=%20+&y", "/?", "/%C3%A9?q=a|b", "//x"])
def test_targets_go_out_to_the_letter(door: Door, raw_server: StartRawServer, target: str) -> None:
    """The request line has the path and query that the library made of the URL."""
    wire = raw_server(answer)
    with door.ours.Client() as client:
        request = client.build_request("GET", wire.url.rstrip("/") + target)
        client.send(request)
    assert sent(wire).split(b" ")[1] == request.url.raw_path


def test_the_extension_target(door: Door, raw_server: StartRawServer) -> None:
    """The extension ``target`` is sent in place of the path."""
    wire = raw_server(answer)
    with door.ours.Client() as client:
        client.request("OPTIONS", wire.url, extensions={"target": b"*"})
    assert sent(wire).startswith(b"OPTIONS * HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "method", ["GET / HTTP/1.1\r\nX: y\r\n\r\nGET", "GE T", "G\0T", "", "P\u00dc"]
)
def test_a_method_that_is_no_token_is_refused(
    door: Door, raw_server: StartRawServer, method: str
) -> None:
    """A method can neither end the request line nor begin another request; nothing is sent."""
    wire = raw_server(answer)
    with door.ours.Client() as client:
        client.get(wire.url)  # the connection is kept: then the lean exchange writes the head
        with pytest.raises(door.library.LocalProtocolError, match="method"):
            client.request(method, wire.url)
    assert len(wire.requests) == 1


@pytest.mark.parametrize("target", [b"/ HTTP/1.1\r\nX: y\r\n\r\nGET /", b"", b"/a b"])
def test_a_target_that_is_none_is_refused(
    door: Door, raw_server: StartRawServer, target: bytes
) -> None:
    """The extension `target` cannot end the request line."""
    wire = raw_server(answer)
    with door.ours.Client() as client:
        client.get(wire.url)
        with pytest.raises(door.library.LocalProtocolError, match="target"):
            client.get(wire.url, extensions={"target": target})
    assert len(wire.requests) == 1


def test_the_host_goes_first(door: Door, raw_server: StartRawServer) -> None:
    """As the library's own transports have it, wherever the request has its Host."""
    wire = raw_server(answer)
    with door.ours.Client() as ours, door.library.Client() as theirs:
        for client in (theirs, ours, ours):
            client.get(wire.url, headers=[("X-First", "1"), ("host", "other.test")])
    assert sent(wire).splitlines()[1] == b"host: other.test"
    assert len({request.head for request in wire.requests}) == 1


def test_a_body_comes_undecoded(door: Door, raw_server: StartRawServer) -> None:
    """iter_raw() gives the bytes of the wire; decoding is the library's."""
    coded = gzip.compress(b"hello" * 100)

    def script(conn: RawConnection) -> None:
        for _ in range(2):
            conn.read_request()
            conn.respond(coded, headers=[("Content-Encoding", "gzip"), ("x-A", "1"), ("X-a", "2")])

    wire = raw_server(script)
    with door.ours.Client() as client:
        with client.stream("GET", wire.url) as response:
            assert b"".join(response.iter_raw()) == coded
            assert response.headers.raw[1:3] == [(b"x-A", b"1"), (b"X-a", b"2")]
        assert client.get(wire.url).content == b"hello" * 100


def test_extensions_of_a_response(door: Door, raw_server: StartRawServer) -> None:
    """A response has its version, its reason, and the addresses of its connection while open."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 200 Very fine\r\nContent-Length: 9\r\n\r\n")
        conn.read_to_end()

    wire = raw_server(script)
    with door.ours.Client() as client, client.stream("GET", wire.url) as response:
        assert response.http_version == "HTTP/1.1"
        assert response.reason_phrase == "Very fine"
        stream = response.extensions["network_stream"]
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", response.url.port)
        assert stream.get_extra_info("ssl_object") is None
        with pytest.raises(NotImplementedError, match="ws_connect"):
            stream.read(1)


def test_events_come_one_by_one(door: Door, raw_server: StartRawServer) -> None:
    """A chunk of a stream is handed over when it comes, and the server waits for no reader."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Transfer-Encoding", "chunked")])
        for number in range(3):
            conn.stall()
            conn.send_chunk(b"data: %d\n\n" % number)
        conn.send_chunk(b"")

    wire = raw_server(script)
    with door.ours.Client() as client, client.stream("GET", wire.url) as response:
        lines = response.iter_lines()
        for number in range(3):
            wire.wait_until_stalled().proceed()
            assert next(lines) == f"data: {number}"
            assert next(lines) == ""


def test_a_stream_is_pulled_in_the_callers_thread(door: Door, raw_server: StartRawServer) -> None:
    """A generator that is the body runs in the thread that makes the request."""
    wire = raw_server(answer)
    threads: set[threading.Thread] = set()

    def body() -> Iterator[bytes]:
        for _ in range(3):
            threads.add(threading.current_thread())
            yield b"part"

    with door.ours.Client() as client:
        assert client.post(wire.url, content=body()).content == b"part" * 3
        sized = client.post(wire.url, content=body(), headers={"Content-Length": "12"})
    assert sized.content == b"part" * 3
    assert threads == {threading.current_thread()}
    assert wire.requests[0].header("Transfer-Encoding") == "chunked"
    assert wire.requests[1].header("Content-Length") == "12"


def test_what_a_stream_raises_reaches_the_caller(door: Door, raw_server: StartRawServer) -> None:
    """An error of a generator that is the body comes out as it is, and not as the library's."""
    wire = raw_server(answer)

    def body() -> Iterator[bytes]:
        yield b"part"
        raise ValueError("mine")

    with door.ours.Client() as client:
        with pytest.raises(ValueError, match="mine"):
            client.post(wire.url, content=body())


def test_files_and_forms(door: Door, raw_server: StartRawServer) -> None:
    """Multipart forms and JSON are sent as the library encodes them."""
    wire = raw_server(answer)
    with door.ours.Client() as client:
        response = client.post(wire.url, files={"file": ("a.txt", b"content")}, data={"a": "1"})
        assert b'filename="a.txt"' in response.content
        assert client.post(wire.url, json={"a": 1}).json() == {"a": 1}


def test_redirects_and_cookies_are_the_librarys(door: Door, raw_server: StartRawServer) -> None:
    """A redirect is not followed unless the library does it, and cookies are in its jar."""

    def script(conn: RawConnection) -> None:
        for _ in range(3):
            request = conn.read_request()
            if request.target == "/":
                headers = [("Location", "/next"), ("Set-Cookie", "a=1")]
                conn.respond(status="302 Found", headers=headers)
            else:
                conn.respond(request.header("Cookie").encode())

    wire = raw_server(script)
    with door.ours.Client() as client:
        assert client.get(wire.url).status_code == 302
        assert dict(client.cookies) == {"a": "1"}
        response = client.get(wire.url, follow_redirects=True)
        assert response.text == "a=1"
        assert [each.status_code for each in response.history] == [302]


def test_a_small_response_is_one_crossing(door: Door, raw_server: StartRawServer) -> None:
    """A response whose body comes behind its head is brought over with it."""

    def script(conn: RawConnection) -> None:
        for _ in range(2):
            conn.read_request()
            conn.send_head(headers=[("Content-Length", "5")])
            conn.send(b"hello")

    wire = raw_server(script)
    with syncclient.Session() as session:
        with door.ours.Client(session=session) as client:
            client.get(wire.url)
            before = session._portal.crossings
            assert client.get(wire.url).content == b"hello"
            assert session._portal.crossings == before + 1


def test_a_session_of_the_users(door: Door, raw_server: StartRawServer) -> None:
    """With session=, its middlewares see the requests; its headers and cookies are not sent."""
    wire = raw_server(answer)
    seen: list[str] = []

    def middleware(request: Any, handler: Any) -> Any:
        seen.append(request.method)
        request.headers["X-Middleware"] = "1"
        return handler(request)

    with syncclient.Session(
        middlewares=[middleware], headers={"X-Session": "1"}, cookies={"c": "1"}
    ) as session:
        with door.ours.Client(session=session) as client:
            assert client.post(wire.url, content=b"abc").content == b"abc"
            assert client.post(wire.url, content=iter([b"abc"])).content == b"abc"
        assert not session.closed
    assert seen == ["POST", "POST"]
    for request in wire.requests:
        assert request.header("X-Middleware") == "1"
        assert request.header("Cookie") == ""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_client(door: Door, raw_server: StartRawServer, backend: str) -> None:
    """The asynchronous client sends bytes and async generators and streams, under both loops."""
    wire = raw_server(answer)

    async def body() -> AsyncIterator[bytes]:
        yield b"part"
        await anyio.sleep(0)
        yield b"part"

    async def main() -> None:
        async with door.ours.AsyncClient() as client:
            assert (await client.get(wire.url)).content == b"hello"
            assert (await client.post(wire.url, content=b"abc")).content == b"abc"
            assert (await client.post(wire.url, content=body())).content == b"partpart"
            async with client.stream("GET", wire.url) as response:
                assert b"".join([part async for part in response.aiter_raw()]) == b"hello"

    anyio.run(main, backend=backend)


def test_async_requests_at_a_time(door: Door, raw_server: StartRawServer) -> None:
    """A hundred requests of one task group are under way together."""
    wire = raw_server(answer)

    async def main() -> None:
        async with door.ours.AsyncClient() as client:

            async def get() -> None:
                assert (await client.get(wire.url)).status_code == 200

            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(get)

    anyio.run(main)


def test_unix_socket(door: Door, unix_app: Any) -> None:
    """uds= connects to a Unix socket."""
    _, path = unix_app
    with door.ours.Client(transport=door.ours.Transport(uds=str(path))) as client:
        assert client.get("http://localhost/get").status_code == 200


def test_tls_is_verified(door: Door, tls_app: Any, client_tls: Any) -> None:
    """A context given as verify= is used; without it the certificate is refused."""
    with door.ours.Client(verify=client_tls) as client:
        assert client.get(f"{tls_app.url}/get").status_code == 200
    with door.ours.Client() as client, pytest.raises(door.library.ConnectError):
        client.get(f"{tls_app.url}/get")
    with door.ours.Client(verify=False) as client:
        assert client.get(f"{tls_app.url}/get").status_code == 200


def test_a_proxy_of_the_environment(
    door: Door, raw_server: StartRawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clients go through HTTP_PROXY, with its credentials, and past NO_PROXY."""
    wire = raw_server(answer)
    proxy = wire.url.replace("http://", "http://user:pass@").rstrip("/")
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with door.ours.Client() as client:
        assert client.get("http://origin.test/path?q=1").content == b"hello"
    assert sent(wire).startswith(b"GET http://origin.test/path?q=1 HTTP/1.1\r\n")
    assert wire.requests[-1].header("Proxy-Authorization") == "Basic dXNlcjpwYXNz"


def test_keepalive_of_the_kernel_is_on(door: Door, raw_server: StartRawServer) -> None:
    """Connections have TCP keepalive, and the socket options that were given."""
    import socket

    from syncclient._httpx.settings import SocketFactory

    factory = SocketFactory([(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)])
    info: Any = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 80))
    with contextlib.closing(factory(info)) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 65536
    wire = raw_server(answer)
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)]
    transport = door.ours.Transport(socket_options=options)
    with door.ours.Client(transport=transport) as client:
        assert client.get(wire.url).status_code == 200
