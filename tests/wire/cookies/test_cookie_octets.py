"""Cookies on the wire: what a server set goes back to it octet for octet, beside other clients."""

import asyncio
from collections.abc import Callable
from http.cookies import Morsel
from typing import Any

import httpx
import pytest
import requests

import syncclient
from syncclient import CookieJar, DummyCookieJar, Session
from tests.servers.raw import RawConnection, StartRawServer
from tests.wire.cookies.cookie_servers import cookie_line, in_turn, setting

Headers = list[bytes]

ODD: list[tuple[Headers, bytes | None]] = [
    ([b"a=abc=="], b"a=abc=="),
    ([b"a=1,2,3"], b"a=1,2,3"),
    ([b'a={"id":7,"x":[1]}'], b'a={"id":7,"x":[1]}'),
    ([b"a="], b"a="),
    ([b'a="b c"'], b'a="b c"'),
    ([b"a=b c"], b"a=b c"),
    ([b"a[0]=1"], b"a[0]=1"),
    ([b"a=%2C%3b+"], b"a=%2C%3b+"),
    ([b"a=1, b=2; Path=/"], b"a=1, b=2"),
]


@pytest.mark.parametrize(("headers", "line"), ODD, ids=str)
def test_what_was_set_goes_back(
    raw_server: StartRawServer, headers: Headers, line: bytes | None
) -> None:
    """Where requests and httpx agree on it, so do we."""
    seen = []
    for client in (Session, requests.Session, httpx.Client):
        wire = raw_server(setting(*headers))
        with client() as session:
            session.get(wire.url).text  # noqa: B018  # a method with one, and a property
            session.get(wire.url)
        seen.append(cookie_line(wire.requests[-1].head))
    assert seen == [line] * 3


@pytest.mark.parametrize(
    "log_out",
    [
        b"sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        b"sid=; Path=/; Expires=Thu, 01-Jan-1970 00:00:00 GMT",
        b"sid=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0; path=/",
        b"sid=; Path=/; Max-Age=0",
        b'sid=""; Path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0',
    ],
    ids=str,
)
def test_a_log_out_is_one(raw_server: StartRawServer, log_out: bytes) -> None:
    """However servers spell it, the cookie is gone; so it is for requests and httpx."""
    for client in (Session, requests.Session, httpx.Client):
        wire = raw_server(in_turn(b"sid=1; Path=/", log_out))
        with client() as session:
            for _ in range(3):
                session.get(f"{wire.url}/a/b").text  # noqa: B018  # as above
        assert [cookie_line(r.head) for r in wire.requests] == [None, b"sid=1", None]


ODDER: list[tuple[bytes, bytes | None]] = [
    (b'a="b\\"c"', b'a="b\\"c"'),
    (b"a=caf\xe9", b"a=caf\xe9"),
    (b"\xd0\xba=\xd0\xb7", b"\xd0\xba=\xd0\xb7"),
    (b"a=\xff\xfe", b"a=\xff\xfe"),
    (b"\xe9=1", b"\xe9=1"),
    (b"a=b\tc", b"a=b\tc"),
    (b"a b=1", b"a b=1"),
    (b'"a"=1', b'"a"=1'),
    (b"=foo", b"foo"),
    (b"foo", b"foo"),
    (b'a="b;c"', b'a="b'),
    (b"path=1", b"path=1"),
    (b"a=1\x07", None),
    (b"a=" + b"x" * 4095, b"a=" + b"x" * 4095),
    (b"a=" + b"x" * 4096, None),
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("header", "line"), ODDER, ids=lambda value: str(value)[:30])
def test_octets_beyond_what_others_take(
    raw_server: StartRawServer, header: bytes, line: bytes | None, method: str
) -> None:
    """By RFC 6265bis and browsers; with a body as without, as often as it is asked."""
    wire = raw_server(setting(header))
    data = None if method == "GET" else b"body"
    with Session(wire.url) as session:
        session.get("/").read()
        for _ in range(2):
            assert session.request(method, "/", data=data).text() == "ok"
    for request in wire.requests[1:]:
        assert cookie_line(request.head) == line
        assert request.body == (data or b"")


def by_submit(session: Session) -> None:
    session.submit("GET", "/").result().read()


def by_map(session: Session) -> None:
    list(session.map(["/"]))


def by_middleware(session: Session) -> None:
    def passing(request: Any, handler: Callable[[Any], Any]) -> Any:
        return handler(request)

    session.get("/", middlewares=[passing]).read()


@pytest.mark.parametrize("ask", [by_submit, by_map, by_middleware])
def test_all_ways_of_asking(raw_server: StartRawServer, ask: Callable[[Session], None]) -> None:
    """The octets are the same whoever asks for the response."""
    wire = raw_server(setting(b"a=\xff==; Path=/", b"=x,y; Path=/"))
    with Session(wire.url) as session:
        session.get("/").read()
        ask(session)
    assert cookie_line(wire.requests[-1].head) == b"a=\xff==; x,y"


def test_several_go_the_oldest_first(raw_server: StartRawServer) -> None:
    """Not by name; and of one name, that of the longest path first."""
    wire = raw_server(setting(b"z=1; Path=/", b"a=2; Path=/", b"z=3; Path=/x"))
    with Session(wire.url) as session:
        session.get("/").read()
        session.get("/x/y").read()
    assert cookie_line(wire.requests[-1].head) == b"z=3; z=1; a=2"


def test_odd_octets_beside_others(raw_server: StartRawServer) -> None:
    """Those that are UTF-8 are not disturbed."""
    wire = raw_server(setting(b"a=1; Path=/", b"b=\xff; Path=/", b"c=\xc3\xa9; Path=/"))
    with Session(wire.url) as session:
        session.get("/").read()
        session.get("/", headers={"X-Same": "a=1; c=é", "Cookie": "own=2"}).read()
    request = wire.requests[-1]
    assert cookie_line(request.head) == b"own=2; a=1; b=\xff; c=\xc3\xa9"
    assert b"\r\nX-Same: a=1; c=\xc3\xa9\r\n" in request.head


def test_expect100_goes_with_odd_octets(raw_server: StartRawServer) -> None:
    """The head is as it has to be before the body is waited for."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=\xff\r\nContent-Length: 0\r\n\r\n")
        request = conn.read_head()
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.read_body(request)
        conn.respond(b"ok")

    wire = raw_server(script)
    with Session(wire.url) as session:
        session.get("/").read()
        assert session.post("/", data=b"body", expect100=True).text() == "ok"
    assert cookie_line(wire.requests[-1].head) == b"a=\xff"


@pytest.mark.parametrize("jar", [None, DummyCookieJar()], ids=["jar", "no jar"])
@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"a": "abc=="}, b"a=abc=="),
        ({"a": "1,2,3"}, b"a=1,2,3"),
        ({"a": '{"id":7}'}, b'a={"id":7}'),
        ({"a": ""}, b"a="),
        ({"a": "x y"}, b"a=x y"),
        ({"a": '"x y"'}, b'a="x y"'),
        ({"a": "é"}, b"a=\xc3\xa9"),
        ({"a[0]": "1"}, b"a[0]=1"),
        ({"ключ": "1"}, "ключ=1".encode()),
        ({"path": "/x", "expires": "never"}, b"path=/x; expires=never"),
        ({"z": "1", "a": "2"}, b"z=1; a=2"),
        ([("a", "1"), ("b", "2"), ("a", "3")], b"a=3; b=2"),
        ({"a": 1}, b"a=1"),
    ],
    ids=str,
)
def test_cookies_of_a_request(
    raw_server: StartRawServer, jar: DummyCookieJar | None, given: Any, line: bytes
) -> None:
    """cookies= says its values to the letter, for one request and for a session."""
    wire = raw_server(setting())
    with Session(wire.url, cookie_jar=jar) as session:
        session.get("/", cookies=given).read()
    with Session(wire.url, cookies=given) as session:
        session.get("/").read()
    assert [cookie_line(request.head) for request in wire.requests] == [line, line]


BAD: list[Any] = [
    *({name: "1"} for name in ("a b", "", "a;b", "a=b", "a,b", 'a"b', "a\r\nb", "a\tb", "\x7f")),
    *({"a b": value} for value in ("secret", "")),
    *({"odd": value} for value in ("secret\r\nX: y", "secret\0", "secret; b=2", "secret\ud800")),
    {"a\udce9": "1"},
    {"odd": "secret\x7f"},
]


@pytest.mark.parametrize("given", BAD, ids=ascii)
def test_cookies_that_cannot_be_sent(given: Any) -> None:
    """A ValueError in the caller's thread names the cookie, and shows no value."""
    (name,) = given
    with Session("http://127.0.0.1:9/") as session:
        for attempt in (
            lambda: session.get("/", cookies=given),
            lambda: session.submit("GET", "/", cookies=given),
            lambda: session.cookie_jar.update_cookies(given),
            lambda: Session(cookies=given),
        ):
            with pytest.raises(ValueError, match="cookies has") as caught:
                attempt()
            assert repr(name) in str(caught.value)
            assert "secret" not in str(caught.value)
            assert not isinstance(caught.value, syncclient.ClientError)


@pytest.mark.parametrize("given", [{1: "a"}, {"a": None}, {"a": b"1"}, {"a": ["1"]}], ids=str)
def test_cookies_of_no_type_that_is_text(given: Any) -> None:
    """A TypeError says what there was, before anything is sent."""
    with Session("http://127.0.0.1:9/") as session:
        with pytest.raises(TypeError, match="cookies must have"):
            session.get("/", cookies=given)


def test_a_header_of_the_callers_and_the_jar(raw_server: StartRawServer) -> None:
    """What the caller wrote stays as it was written; what has the same name comes from the jar."""
    wire = raw_server(setting(b"a=jar; Path=/", b"b=jar; Path=/"))
    with Session(wire.url) as session:
        session.get("/").read()
        session.get("/", headers={"Cookie": 'x="1 2"; a=mine;  y=3=='}).read()
        session.cookie_jar.clear()
        session.get("/", headers={"Cookie": 'x="1 2";a=mine;  y=3=='}).read()
        session.get("/", headers={"Cookie": "x=1"}, cookies={"x": "2", "z": "3,4"}).read()
    assert [cookie_line(request.head) for request in wire.requests[1:]] == [
        b'x="1 2"; y=3==; a=jar; b=jar',
        b'x="1 2";a=mine;  y=3==',
        b"x=2; z=3,4",
    ]


def test_cookies_of_a_redirect_and_of_one_request(raw_server: StartRawServer) -> None:
    """The hop that sets a cookie is the last without it; cookies= go along to the same origin."""

    def script(conn: RawConnection) -> None:
        for path in (b"/me", b"/there/again", None):
            conn.read_request()
            if path is None:
                conn.respond(b"here")
                return
            conn.send(
                b"HTTP/1.1 302 Found\r\nLocation: %b\r\nSet-Cookie: sid=%b==\r\n"
                b"Content-Length: 0\r\n\r\n" % (path, path[1:3])
            )

    wire = raw_server(script)
    with Session(wire.url) as session:
        response = session.get("/login", cookies={"own": "1,2"})
        assert response.text() == "here"
    assert [hop.cookies["sid"].value for hop in response.history] == ["me==", "th=="]
    assert [cookie_line(request.head) for request in wire.requests] == [
        b"own=1,2",
        b"sid=me==; own=1,2",
        b"sid=th==; own=1,2",
    ]


def test_cookies_of_a_response(raw_server: StartRawServer) -> None:
    """response.cookies has each one: its value readable, its coded_value as it was sent."""
    headers = (
        *(b"a=abc==", b'b={"id":7}; Path=/x; HttpOnly; SameSite=lax', b"c=", b'd="x \\"y\\""'),
        *(b"e=\xe9; Secure", b"f[0]=1; Domain=Example.TEST", b"path=1; Max-Age=5", b"g=x\ty"),
        *(b"h h=1", b"=nameless", b"bad=\x07", b"twice=1", b"twice=2", b"i=1, j=2"),
    )
    wire = raw_server(setting(*headers))
    with Session(wire.url) as session:
        cookies = session.get("/").cookies
    assert {name: (m.value, m.coded_value) for name, m in cookies.items()} == {
        "a": ("abc==", "abc=="),
        "b": ('{"id":7}', '{"id":7}'),
        "c": ("", ""),
        "d": ('x "y"', '"x \\"y\\""'),
        "e": ("é", "\udce9"),
        "f[0]": ("1", "1"),
        "path": ("1", "1"),
        "g": ("x\ty", "x\ty"),
        "h h": ("1", "1"),
        "": ("nameless", "nameless"),
        "twice": ("2", "2"),
        "i": ("1, j=2", "1, j=2"),
    }
    assert (cookies["b"]["path"], cookies["b"]["httponly"]) == ("/x", True)
    assert cookies["b"]["samesite"] == "lax"
    assert (cookies["e"]["secure"], cookies["f[0]"]["domain"]) == (True, "Example.TEST")
    assert cookies["path"]["max-age"] == "5"


def test_cookies_of_a_response_as_a_middleware_sees_them(raw_server: StartRawServer) -> None:
    """On the loop, too, response.cookies has the odd ones."""
    seen = []

    async def looking(request: Any, handler: Any) -> Any:
        response = await handler(request)
        seen.append({name: m.coded_value for name, m in response.cookies.items()})
        return response

    wire = raw_server(setting(b"a=abc==", b"=nameless", b"b b=\xe9"))
    with Session(wire.url, middlewares=[looking]) as session:
        session.get("/").read()
    assert seen == [{"a": "abc==", "": "nameless", "b b": "\udce9"}]


def test_cookies_of_a_response_can_be_given_again(raw_server: StartRawServer) -> None:
    """Morsels go as they came, into a request and into a jar."""
    wire = raw_server(setting(b"a=\xe9==; Path=/", b'b="1 2"; Path=/', b"c c=1; Path=/"))
    with Session(wire.url, cookie_jar=DummyCookieJar()) as session:
        cookies = session.get("/").cookies
        session.get("/", cookies=cookies).read()
    jar = CookieJar()
    jar.update_cookies(cookies, wire.url)
    with Session(wire.url, cookie_jar=jar) as session:
        session.get("/").read()
    assert {cookie_line(r.head) for r in wire.requests[1:]} == {b'a=\xe9==; b="1 2"; c c=1'}


@pytest.mark.parametrize("where", ["request", "session", "jar", "aio"])
def test_a_morsel_is_sent_under_its_own_name(raw_server: StartRawServer, where: str) -> None:
    """Whatever name a dict files a Morsel under, its own one counts, as in aiohttp."""
    morsel: Morsel[str] = Morsel()
    morsel.set("own", "1", "1")
    given = {"other": morsel}
    wire = raw_server(setting(b"x=y"))
    with Session(wire.url, cookies=given if where == "session" else None) as session:
        if where == "jar":
            session.cookie_jar.update_cookies(given, wire.url)

        async def twin() -> None:
            await (await session.aio.get("/", cookies=given)).read()

        if where == "aio":
            asyncio.run(twin())
        else:
            session.get("/", cookies=given if where == "request" else None).read()
    assert cookie_line(wire.requests[0].head) == b"own=1"


def test_a_morsel_without_a_value_is_refused() -> None:
    """One that was never set has nothing to send; it does not go as "None"."""
    with Session() as session, pytest.raises(ValueError, match="'a' that has no value"):
        session.get("http://localhost/", cookies={"a": Morsel()})


def test_quote_cookie_quotes(raw_server: StartRawServer) -> None:
    """Where it is asked for, values are quoted as aiohttp quotes them."""
    wire = raw_server(setting(b"a=1,2; Path=/", b'b="1 2"; Path=/', b"c=plain; Path=/"))
    with Session(wire.url, cookie_jar=CookieJar(quote_cookie=True)) as session:
        session.get("/").read()
        session.get("/", cookies={"d": "x y"}).read()
    line = cookie_line(wire.requests[-1].head)
    assert line == b'a="1\\0542"; b="1 2"; c=plain; d="x y"'
