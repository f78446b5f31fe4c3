"""Requests that a server and a proxy could read in two ways: refused, or sent in one."""

import asyncio
import contextlib
import io
from collections.abc import Callable
from typing import Any

import h11
import pytest
from yarl import URL

import syncclient
from syncclient import Session
from tests.servers.raw import PeerGoneError, RawConnection, StartRawServer

SMUGGLED = b"0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n"

Ask = Callable[..., object]


def _blocking(session: Session, method: str, url: object, **options: Any) -> object:
    given: Any = url
    with session.request(method, given, **options) as response:
        return response.read()


def _submitted(session: Session, method: str, url: object, **options: Any) -> object:
    given: Any = url
    return session.submit(method, given, **options).result(20).read()


def _awaited(session: Session, method: str, url: object, **options: Any) -> object:
    given: Any = url

    async def ask() -> bytes:
        async with session.aio.request(method, given, **options) as response:
            return await response.read()

    return asyncio.run(ask())


def _of_the_session(session: Session, method: str, url: object, **options: Any) -> object:
    headers = options.pop("headers", None)
    with session.with_options(headers=headers) as derived:
        return _blocking(derived, method, url, **options)


def _by_middleware(session: Session, method: str, url: object, **options: Any) -> object:
    headers = options.pop("headers", {})

    def change(request: Any, handler: Any) -> Any:
        _put(request.headers, headers)
        return handler(request)

    return _blocking(session, method, url, middlewares=[change], **options)


def _by_async_middleware(session: Session, method: str, url: object, **options: Any) -> object:
    headers = options.pop("headers", {})

    async def change(request: Any, handler: Any) -> Any:
        _put(request.headers, headers)
        return await handler(request)

    return _blocking(session, method, url, middlewares=[change], **options)


def _put(target: Any, headers: Any) -> None:
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    for name, _ in pairs:
        target.popall(name, None)
    for name, value in pairs:
        target.add(name, value)


WAYS: dict[str, Ask] = {
    "blocking": _blocking,
    "submit": _submitted,
    "aio": _awaited,
    "session": _of_the_session,
    "middleware": _by_middleware,
    "async middleware": _by_async_middleware,
}


def read_strictly(conn: RawConnection) -> None:
    """Answer requests as long as h11 finds them well-formed; note each as its target and body."""
    with contextlib.suppress(PeerGoneError, OSError):
        parser = h11.Connection(h11.SERVER)
        target, body = b"", b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                if not (data := conn.sock.recv(65536)):
                    return
                parser.receive_data(data)
            elif isinstance(event, h11.Request):
                target, body = event.target, b""
                names = [name for name, _ in event.headers]
                assert not {b"content-length", b"transfer-encoding"} <= {*names}
                assert names.count(b"content-length") <= 1
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                seen.append((target, body))
                conn.send(parser.send(h11.Response(status_code=200, headers=[])) or b"")
                conn.send(parser.send(h11.EndOfMessage()) or b"")
                if parser.our_state is h11.MUST_CLOSE:
                    return
                parser.start_next_cycle()


#: What servers that read strictly have seen. One test runs at a time.
seen: list[tuple[bytes, bytes]] = []


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Transfer-Encoding": "gzip"},
        {"transfer-encoding": "gzip, chunked"},
        {"Transfer-Encoding": "identity"},
        {"Transfer-Encoding": "chunked, chunked"},
        {"Transfer-Encoding": "xchunked"},
        {"Transfer-Encoding": ""},
        [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
        [("Content-Length", "10"), ("Content-Length", "3")],
        [("Content-Length", "10"), ("content-length", "10")],
        {"Content-Length": "3"},
        {"Content-Length": "11"},
        {"Content-Length": "10, 10"},
        {"Content-Length": "+10"},
        {"Content-Length": "-1"},
        {"Content-Length": "1_0"},
        {"Content-Length": "0x0a"},
        {"Content-Length": ""},
        {"Content-Length": "9" * 5000},
    ],
    ids=str,
)
def test_what_is_not_so_is_refused(raw_server: StartRawServer, headers: Any, how: str) -> None:
    """A framing that cannot be carried out is a ValueError that names the header."""
    wire = raw_server(read_strictly)
    name = "transfer-encoding" if "ransfer" in str(headers) else "content-length"
    with Session() as session:
        with pytest.raises(ValueError, match=f"(?i){name}"):
            WAYS[how](session, "POST", wire.url, data=b"x" * 10, headers=headers)
    assert seen == []


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("value", ["chunked", "Chunked", " chunked"])
def test_chunked_is_carried_out(raw_server: StartRawServer, value: str, how: str) -> None:
    """Whoever sets Transfer-Encoding: chunked gets a body that is chunked, and one framing."""
    wire = raw_server(read_strictly)
    with Session() as session:
        WAYS[how](
            session, "POST", wire.url, data=SMUGGLED, headers={"Transfer-Encoding": value.strip()}
        )
        session.get(f"{wire.url}/next").read()
    assert seen == [(b"/", SMUGGLED), (b"/next", b"")]


@pytest.mark.parametrize("how", WAYS)
def test_a_length_that_fits_is_sent_once(raw_server: StartRawServer, how: str) -> None:
    """A Content-Length of the caller's is the length of the body."""
    wire = raw_server(read_strictly)
    with Session() as session:
        WAYS[how](session, "POST", wire.url, data=b"12345", headers={"Content-Length": "5"})
    assert seen == [(b"/", b"12345")]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("POST", {"data": b"abc", "chunked": False}),
        ("POST", {"data": b"abc", "chunked": True}),
        ("POST", {"chunked": True}),
        ("GET", {"chunked": True}),
        ("GET", {"chunked": False}),
        ("DELETE", {"chunked": False}),
        ("GET", {"data": b"abc", "chunked": True}),
        ("GET", {"headers": {"Content-Length": "0"}}),
        ("POST", {"data": b"", "headers": {"Transfer-Encoding": "chunked"}}),
        ("POST", {"headers": {"Transfer-Encoding": "chunked"}}),
        ("PUT", {"data": lambda: io.BytesIO(b"abc"), "headers": {"Content-Length": "3"}}),
        ("PUT", {"data": lambda: iter([b"abc"]), "headers": {"Content-Length": "3"}}),
        ("PUT", {"data": lambda: iter([b"abc"]), "headers": {"Transfer-Encoding": "chunked"}}),
        ("POST", {"json": [], "headers": {"Transfer-Encoding": "chunked"}}),
        ("POST", {"data": b"abc", "compress": True}),
        ("POST", {"data": b"abc", "compress": True, "headers": {"Transfer-Encoding": "chunked"}}),
    ],
)
def test_each_request_ends_where_it_says(
    raw_server: StartRawServer, method: str, options: dict[str, Any]
) -> None:
    """The next request on the connection is read as that."""
    wire = raw_server(read_strictly)
    if callable(options.get("data")):
        options = {**options, "data": options["data"]()}
    with Session() as session:
        session.request(method, wire.url, **options).read()
        session.get(f"{wire.url}/next").read()
    assert [target for target, _ in seen] == [b"/", b"/next"]
    assert len({id(conn) for conn in wire.connections}) == 1


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("GET", {"headers": {"Content-Length": "5"}}),
        ("GET", {"headers": {"Transfer-Encoding": "chunked"}}),
        ("HEAD", {"headers": {"Transfer-Encoding": "chunked"}}),
        ("POST", {"headers": {"Content-Length": "5"}}),
        ("POST", {"data": b"abc", "chunked": True, "headers": {"Content-Length": "3"}}),
        ("POST", {"data": b"abc", "compress": True, "headers": {"Content-Length": "3"}}),
        ("POST", {"data": io.BytesIO(b"abc"), "headers": {"Content-Length": "4"}}),
        ("POST", {"data": {"a": "1"}, "headers": {"Content-Length": "4"}}),
        ("POST", {"json": {"a": "1"}, "headers": {"Content-Length": "4"}}),
        (
            "POST",
            {"data": b"abc", "headers": {"Content-Length": "3", "Transfer-Encoding": "chunked"}},
        ),
    ],
)
def test_what_does_not_fit_is_refused(method: str, options: dict[str, Any]) -> None:
    """A request that does not fit is refused in the caller's thread, before anything connects."""
    with Session() as session, pytest.raises(ValueError, match=r"Content-Length|Transfer-Encoding"):
        session.request(method, "http://127.0.0.1:9/", **options)


@pytest.mark.parametrize("how", ["sse", "ws_connect", "download"])
def test_requests_without_a_body_have_no_framing(tmp_path: Any, how: str) -> None:
    """An event stream, a WebSocket and a download refuse the header as well."""
    ways: dict[str, Callable[[Session, Any], object]] = {
        "sse": lambda session, headers: list(session.sse("http://127.0.0.1:9/", headers=headers)),
        "ws_connect": lambda session, headers: session.ws_connect(
            "http://127.0.0.1:9/", headers=headers
        ),
        "download": lambda session, headers: session.download(
            "http://127.0.0.1:9/", tmp_path / "f", headers=headers
        ),
    }
    for headers in ({"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}):
        (name,) = headers
        with Session() as session, pytest.raises(ValueError, match=name):
            ways[how](session, headers)


def _url_by_middleware(session: Session, url: URL) -> None:
    def change(request: Any, handler: Any) -> Any:
        request.url = url
        return handler(request)

    _blocking(session, "GET", url.origin(), middlewares=[change])


def _url_by_async_middleware(session: Session, url: URL) -> None:
    async def change(request: Any, handler: Any) -> Any:
        request.url = url
        return await handler(request)

    _blocking(session, "GET", url.origin(), middlewares=[change])


@pytest.mark.parametrize(
    "ask",
    [
        lambda session, url: _blocking(session, "GET", url),
        lambda session, url: _submitted(session, "GET", url),
        lambda session, url: _awaited(session, "GET", url),
        _url_by_middleware,
        _url_by_async_middleware,
    ],
    ids=["blocking", "submit", "aio", "middleware", "async middleware"],
)
@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/a HTTP/1.1X", b"/a%20HTTP/1.1X"),
        ("/\u010d?\u010d", b"/%C4%8D?%C4%8D"),
        ("/a\x00b?\x7f", b"/a%00b?%7F"),
        ('/"<>|', b"/%22%3C%3E%7C"),
        ("/%41%2f", b"/%41%2f"),
    ],
)
def test_a_request_line_has_three_parts(
    raw_server: StartRawServer, ask: Callable[[Session, URL], None], path: str, target: bytes
) -> None:
    """No URL, however it is made, puts a blank, a control or a raw byte into the request line."""
    wire = raw_server(read_strictly)
    with Session() as session:
        ask(session, URL(f"{wire.url}{path}", encoded=True))
    assert [each for each, _ in seen] == [target]


@pytest.mark.parametrize("host", ["a..b", "a b", "a\r\nb", "a\x00b"])
def test_a_middleware_cannot_name_a_bad_host(host: str) -> None:
    """Such a host is an InvalidURL, as it is in the URL of a request."""

    async def change(request: Any, handler: Any) -> Any:
        request.url = URL.build(scheme="http", authority=host, path="/", encoded=True)
        return await handler(request)

    with Session(middlewares=[change]) as session, pytest.raises(syncclient.InvalidURL):
        session.get("http://127.0.0.1:9/")


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("value", ["a\ud800b", "\udc80", "a\r\nX: y", "a\x00b", "a\nb"])
def test_a_header_that_cannot_be_sent(raw_server: StartRawServer, value: str, how: str) -> None:
    """A header that cannot be sent is a ValueError that names it, wherever it was set."""
    wire = raw_server(read_strictly)
    with Session() as session, pytest.raises(ValueError, match="X-Name"):
        WAYS[how](session, "GET", wire.url, headers={"X-Name": value})
    assert seen == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"headers": {"User-Agent": "\ud800"}}, "User-Agent"),
        ({"auth": ("u\ud800", "p")}, "auth"),
        ({"auth": ("u", "s3cr3t\ud800")}, "auth"),
        ({"cookies": {"name": "\ud800"}}, "cookies"),
        (
            {"proxy": "http://127.0.0.1:9", "proxy_headers": {"X-Name": "\ud800"}},
            "proxy_headers",
        ),
        ({"proxy": "http://127.0.0.1:9", "proxy_auth": ("\ud800", "p")}, "proxy"),
        ({"params": {"a": "\ud800"}}, "params"),
        ({"params": "a=\ud800"}, "params"),
    ],
)
def test_lone_surrogates_are_refused_everywhere(options: dict[str, Any], named: str) -> None:
    """Lone surrogates, as of ``json.loads`` and ``os.listdir``, are refused and not dropped."""
    with Session() as session, pytest.raises(ValueError, match=named) as caught:
        session.get("http://127.0.0.1:9/", **options)
    assert "s3cr3t" not in repr(caught.value)
    assert caught.value.__context__ is None or "s3cr3t" not in repr(caught.value.__context__)


@pytest.mark.parametrize("method", ["GET /x HTTP/1.1\r\nX: y", "GE T", "", "G\x00T", "GÉT"])
def test_a_method_is_a_token(method: str) -> None:
    """A method that is not a token is a ValueError, in a request as in a middleware."""

    async def change(request: Any, handler: Any) -> Any:
        request.method = method
        return await handler(request)

    def change_too(request: Any, handler: Any) -> Any:
        request.method = method
        return handler(request)

    with Session() as session:
        with pytest.raises(ValueError, match="method"):
            session.request(method, "http://127.0.0.1:9/")
        for middleware in (change, change_too):
            with pytest.raises(ValueError, match="method"):
                session.get("http://127.0.0.1:9/", middlewares=[middleware])


@pytest.mark.parametrize(
    "options",
    [
        {"data": b"abc", "chunked": True},
        {"data": b"abc", "compress": True},
        {"data": b"abc", "headers": {"Transfer-Encoding": "chunked"}},
        {"data": [b"abc"]},
    ],
)
def test_http_1_0_has_no_chunks(raw_server: StartRawServer, options: dict[str, Any]) -> None:
    """A server of HTTP/1.0 would take the chunks for the body; a length is no trouble."""
    wire = raw_server(read_strictly)
    if isinstance(options["data"], list):
        options = {"data": iter(options["data"])}
    with Session(version=syncclient.HttpVersion10) as session:
        with pytest.raises(ValueError, match=r"HTTP/1\.0 has no chunks"):
            session.post(wire.url, **options)
        session.post(wire.url, data=b"abc").read()
        session.get(wire.url).read()
    assert seen == [(b"/", b"abc"), (b"/", b"")]


@pytest.mark.parametrize("headers", [{"Content-Length": "5"}, {"Transfer-Encoding": "chunked"}])
def test_proxies_are_told_of_no_body(headers: dict[str, str]) -> None:
    """A CONNECT with a length would swallow what is meant for the server."""
    with Session() as session, pytest.raises(ValueError, match="proxy_headers: "):
        session.get("http://127.0.0.1:9/", proxy="http://127.0.0.1:9", proxy_headers=headers)


@pytest.mark.parametrize("origin", ["http://x\r\nY: z", "\ud800"])
def test_the_origin_of_a_websocket_is_one_header(origin: str) -> None:
    """The origin of a WebSocket is checked like any other header, before anything connects."""
    with Session() as session, pytest.raises(ValueError, match="origin"):
        session.ws_connect("http://127.0.0.1:9/", origin=origin)
