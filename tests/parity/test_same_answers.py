"""The same question to the same server, by aiohttp and by syncclient: the answers are equal."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

import syncclient
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, RawRequest, StartRawServer


def answering(data: bytes) -> Callable[[RawConnection], None]:
    def script(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            conn.send(data)

    return script


def message(head: str, body: bytes = b"") -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *head.splitlines(), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def outcome(ask: Callable[[], object]) -> object:
    """What was returned, or the error, as far as it is the same on both sides."""
    try:
        return ask()
    except Exception as error:
        return type(error), getattr(error, "status", None)


@dataclass
class Answer:
    """All that a response says, in values that can be compared."""

    head: dict[str, Any]
    body: dict[str, object]


HEAD = (
    "status",
    "reason",
    "ok",
    "method",
    "url",
    "real_url",
    "host",
    "version",
    "headers",
    "raw_headers",
    "content_type",
    "charset",
)


def head_of(response: syncclient.Response | aiohttp.ClientResponse) -> dict[str, Any]:
    values = {name: getattr(response, name) for name in HEAD}
    values["content_length"] = outcome(lambda: response.content_length)
    values["links"] = outcome(lambda: [(k, list(v.items())) for k, v in response.links.items()])
    values["content_disposition"] = outcome(lambda: response.content_disposition)
    values["cookies"] = {name: m.OutputString() for name, m in response.cookies.items()}
    values["history"] = [(hop.status, hop.url, hop.headers) for hop in response.history]
    info = response.request_info
    values["request"] = (info.method, info.url, info.real_url, _sent(info.headers))
    return values


def _sent(headers: Mapping[str, str]) -> dict[str, str]:
    agent = headers.get("User-Agent", "").rpartition(" ")[2]  # ours names us beside aiohttp
    return {**headers, "User-Agent": agent}


def original() -> aiohttp.ClientSession:
    # With aiodns installed the default resolver has descriptors that outlive the session.
    connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


async def by_aiohttp(url: str, **options: Any) -> Answer:
    async with original() as session:
        method = options.pop("method", "GET")
        async with session.request(method, url, **options) as response:
            body: dict[str, object] = {}
            asks: dict[str, Any] = {
                "read": response.read,
                "text": response.text,
                "replaced": lambda: response.text(errors="replace"),
                "latin-1": lambda: response.text("latin-1"),
                "json": response.json,
                "any json": lambda: response.json(content_type=None),
            }
            for name, ask in asks.items():
                try:
                    body[name] = await ask()
                except Exception as error:
                    body[name] = type(error), getattr(error, "status", None)
            body["encoding"] = outcome(response.get_encoding)
            body["raise"] = error_of_status(response)
            return Answer(head_of(response), body)


def by_syncclient(url: str, **options: Any) -> Answer:
    with syncclient.Session(cookie_jar=syncclient.DummyCookieJar()) as session:
        method = options.pop("method", "GET")
        with session.request(method, url, **options) as response:
            body = {
                "read": outcome(response.read),
                "text": outcome(response.text),
                "replaced": outcome(lambda: response.text(errors="replace")),
                "latin-1": outcome(lambda: response.text("latin-1")),
                "json": outcome(response.json),
                "any json": outcome(lambda: response.json(content_type=None)),
                "encoding": outcome(response.get_encoding),
                "raise": error_of_status(response),
            }
            return Answer(head_of(response), body)


def error_of_status(response: syncclient.Response | aiohttp.ClientResponse) -> object:
    try:
        response.raise_for_status()
    except aiohttp.ClientResponseError as error:
        return error.status, error.message
    return None


def assert_same(url: str, **options: Any) -> Answer:
    theirs = asyncio.run(by_aiohttp(url, **dict(options)))
    ours = by_syncclient(url, **dict(options))
    # JSON of another type is taken here, and refused there unless that is asked for.
    if theirs.body["json"] == (aiohttp.ContentTypeError, theirs.head["status"]):
        theirs.body["json"] = theirs.body["any json"]
        if ours.body["json"] == (aiohttp.ContentTypeError, ours.head["status"]):
            theirs.body["json"] = ours.body["json"]  # and it is no JSON
            assert theirs.body["any json"] is None or isinstance(theirs.body["any json"], tuple)
    assert ours.head == theirs.head
    assert ours.body == theirs.body
    return ours


UMLAUT = '["ä"]'.encode()

AWKWARD: dict[str, tuple[str, bytes]] = {
    "nothing": ("", b""),
    "no type": ("", UMLAUT),
    "empty type": ("Content-Type:", UMLAUT),
    "broken type": ("Content-Type: nonsense", UMLAUT),
    "quoted charset": ('Content-Type: text/plain; charset="utf-16"', "ä".encode("utf-16")),
    "unknown charset": ("Content-Type: text/plain; charset=klingon", UMLAUT),
    "charset with NUL": ("Content-Type: text/plain; charset=a%00b", UMLAUT),
    "json": ("Content-Type: application/json", UMLAUT),
    "problem": ("Content-Type: application/problem+json", UMLAUT),
    "rdap": ("Content-Type: application/rdap+json", b"\xff"),
    "jsonp": ("Content-Type: application/jsonp", UMLAUT),
    "text json": ("Content-Type: text/json", UMLAUT),
    "broken json": ("Content-Type: application/json", b"{"),
    "white json": ("Content-Type: application/json", b" \t\r\n"),
    "two types": ("Content-Type: text/html\nContent-Type: application/json", UMLAUT),
    "cookies": ("Set-Cookie: a=1; Path=/x; Secure\nSet-Cookie: b=\nSet-Cookie: a=2", b""),
    "odd cookies": ('Set-Cookie: a="q u\\"o"; HttpOnly\nSet-Cookie: [k]=1', b""),
    "dated cookie": ("Set-Cookie: d=1; Expires=Wed, 21 Oct 2065 07:28:00 GMT; SameSite=Lax", b""),
    "links": ('Link: </a>; rel="next", <b?c,d>; rel=prev; title="x, y"\nLink: <http://e/>', b""),
    "odd links": ("Link: no link, <>; rel=, </x>; =; rel='single'", b""),
    "disposition": ('Content-Disposition: attachment; filename="a b.txt"; size=3', b""),
    "utf-8 disposition": ("Content-Disposition: attachment; filename*=UTF-8''%c3%a4.txt", b""),
    "bytes": ("X-Latin: \xe4\xf6\xfc\nX-Empty:\nX-Twice: 1\nx-twice: 2", b""),
    "folded case": ("CONTENT-TYPE: text/plain\nset-COOKIE: c=1", UMLAUT),
}


@pytest.mark.parametrize(("head", "body"), AWKWARD.values(), ids=AWKWARD)
def test_awkward_heads(raw_server: StartRawServer, head: str, body: bytes) -> None:
    """Encoding, text, JSON, links, cookies: whatever comes, we make of it what aiohttp does."""
    assert_same(raw_server(answering(message(head, body))).url)


@pytest.mark.parametrize(
    "first", ["HTTP/1.0 200 OK", "HTTP/1.1 299 ", "HTTP/1.1 404 Nöt Föund", "HTTP/1.1 999 Odd"]
)
def test_status_lines(raw_server: StartRawServer, first: str) -> None:
    """Any version, status and phrase."""
    data = f"{first}\r\nContent-Length: 2\r\n\r\nok".encode()
    assert_same(raw_server(answering(data)).url)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/get", {"params": {"a": "ä", "b": ["1", "2"]}}),
        ("/get?a=/&b=c+d#part", {}),
        ("/get?a=1", {"params": "b=/&c=d+e"}),
        ("/anything/%7Eäöü/%2f", {}),
        ("/redirect/3", {}),
        ("/redirect/3", {"allow_redirects": False}),
        ("/redirect-to?url=/anything&status_code=307", {"method": "POST", "data": {"a": "1"}}),
        ("/post", {"method": "POST", "json": {"ä": [1, None]}}),
        ("/post", {"method": "POST", "data": "täxt"}),
        ("/post", {"method": "POST", "data": [("a", "1"), ("a", "&")]}),
        ("/put", {"method": "put", "data": b"x", "headers": {"content-type": "a/b"}}),
        ("/get", {"headers": [("X-A", "1"), ("X-A", "2")], "cookies": {"c": "d-e"}}),
        ("/get", {"headers": {"Accept": "x/y", "user-agent": "same"}}),
        ("/get", {"skip_auto_headers": ["Accept", "Accept-Encoding"]}),
        ("/gzip", {}),
        ("/brotli", {"auto_decompress": False}),
        ("/links?page=2", {}),
        ("/status/418", {}),
        ("/status/204", {}),
        ("/empty", {"method": "DELETE"}),
        ("/bytes/1000", {"method": "HEAD"}),
    ],
    ids=str,
)
def test_requests_are_seen_alike(app: AppServer, path: str, options: dict[str, Any]) -> None:
    """What the server received, and what it answered, is the same to the letter."""
    options.setdefault("headers", {"User-Agent": "same"})
    theirs = asyncio.run(by_aiohttp(app.url + path, **dict(options)))
    ours = by_syncclient(app.url + path, **dict(options))
    for answer in (ours, theirs):
        _leave_out_what_differs_each_time(answer)
    assert ours.head == theirs.head
    assert ours.body == theirs.body


def _leave_out_what_differs_each_time(answer: Answer) -> None:
    """The number of the connection in the echo, and with it the length; the date."""
    for name in ("headers", "raw_headers", "content_length", "history"):
        answer.head.pop(name)
    for name in ("json", "any json"):
        echo = answer.body[name]
        if isinstance(echo, dict):
            echo.pop("connection", None)
            sent = echo.get("headers", [])
            echo["headers"] = sorted(pair for pair in sent if pair[0] != "User-Agent")
    if isinstance(answer.body["any json"], dict):
        for name in ("read", "text", "replaced", "latin-1"):
            answer.body.pop(name)


def test_requests_are_the_same_on_the_wire(raw_server: StartRawServer) -> None:
    """Line, headers and body, byte by byte; only the order of headers is our own."""
    seen: list[RawRequest] = []

    def script(conn: RawConnection) -> None:
        while True:
            seen.append(conn.read_request())
            conn.respond(b"ok")

    wire = raw_server(script)
    headers = {"X-First": "1", "User-Agent": "same", "X-Last": "ü"}
    for options in (
        {},
        {"method": "POST", "json": {"a": "ä"}},
        {"method": "POST", "data": {"a": "ä b"}},
        {"method": "PUT", "data": "text", "compress": "gzip"},
        {"method": "PATCH", "data": b"x" * 10, "chunked": True},
        {"method": "DELETE"},
        {"params": {"q": "a b&c"}, "cookies": {"a": "2", "z": "1"}},
    ):
        given: dict[str, Any] = {"headers": headers, **options}
        asyncio.run(by_aiohttp(f"{wire.url}/p", **dict(given)))
        by_syncclient(f"{wire.url}/p", **dict(given))
        theirs, ours = seen[-2:]
        assert ours.head.split(b"\r\n")[0] == theirs.head.split(b"\r\n")[0]
        assert sorted(ours.head.split(b"\r\n")) == sorted(theirs.head.split(b"\r\n"))
        assert ours.body == theirs.body


def test_errors_of_statuses_are_equal(app: AppServer) -> None:
    """Status, message and URL of a ClientResponseError; ours is one of its subclasses."""
    url = f"{app.url}/status/404?reason=Gone%20Fishing"

    async def theirs() -> aiohttp.ClientResponseError:
        async with original() as session:
            with pytest.raises(aiohttp.ClientResponseError) as caught:
                await session.get(url, raise_for_status=True)
            return caught.value

    their = asyncio.run(theirs())
    with syncclient.Session() as session:
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            session.get(url, raise_for_status=True)
    ours = caught.value
    assert type(ours) is syncclient.StatusError
    assert (ours.status, ours.message, ours.history) == (their.status, their.message, ())
    assert ours.request_info.real_url == their.request_info.real_url
    assert ours.headers is not None
    assert their.headers is not None
    assert set(ours.headers) == set(their.headers)
