"""What is sent: every keyword of a request and of a session, as the server sees it."""

import base64
import json
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from multidict import CIMultiDict, MultiDict
from yarl import URL

import syncclient
from syncclient import BasicAuth, FormData, HttpVersion, HttpVersion10, Session
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer


def answer(conn: RawConnection) -> None:
    """Answer every request of the connection."""
    while True:
        conn.read_request()
        conn.respond(b"ok")


def values(echo: dict[str, Any], name: str) -> list[str]:
    """The values of a request header, as the server saw them."""
    return [value for key, value in echo["headers"] if key.lower() == name.lower()]


def basic_auth(login: str, password: str) -> BasicAuth:
    return BasicAuth(login, password)


BASIC = "Basic " + base64.b64encode(b"ada:pw").decode()


# Methods and URLs.


@pytest.mark.parametrize("name", ["get", "post", "put", "patch", "delete", "options"])
def test_each_method_sends_its_own_verb(session: Session, name: str) -> None:
    """session.put() sends PUT, and so on for each of them."""
    assert getattr(session, name)("/anything").json()["method"] == name.upper()


def test_head_does_not_follow_redirects_unless_told(session: Session) -> None:
    """HEAD shows the redirect itself, as in aiohttp, and follows with allow_redirects=True."""
    assert session.head("/redirect/1").status == 302
    assert session.head("/redirect/1", allow_redirects=True).url.path == "/get"


def test_a_method_may_be_any_token_in_any_case(raw_server: StartRawServer) -> None:
    """request() sends a method of the caller's own, in capitals."""
    wire = raw_server(answer)
    with Session() as session:
        session.request("purge", wire.url).read()
    assert wire.requests[0].method == "PURGE"


@pytest.mark.parametrize(
    ("base", "url", "path"),
    [
        ("/api/", "items", "/api/items"),
        ("/api/", "items?x=1", "/api/items?x=1"),
        ("/api/", "/items", "/items"),
        ("/api/", "../items", "/items"),
        ("/", "a/b", "/a/b"),
    ],
)
def test_relative_urls_are_joined_to_base_url(
    raw_server: StartRawServer, base: str, url: str, path: str
) -> None:
    """base_url is joined as a browser joins a link, whether the URL is a str or a URL."""
    wire = raw_server(answer)
    with Session(wire.url + base) as session:
        session.get(url).read()
        session.get(URL(url)).read()
    assert [request.target for request in wire.requests] == [path, path]


def test_an_absolute_url_leaves_base_url_alone(app: AppServer, session: Session) -> None:
    """base_url has no say about a URL that is complete."""
    other = app.url.replace("127.0.0.1", "localhost")
    assert session.get(f"{other}/get").json()["url"] == f"{other}/get"


@pytest.mark.parametrize(
    "params",
    [
        {"a": "1", "b": "x y"},
        MultiDict([("a", "1"), ("b", "x y")]),
        [("a", "1"), ("b", "x y")],
        "a=1&b=x y",
        {"a": 1, "b": "x y"},
    ],
    ids=["dict", "multidict", "pairs", "str", "int"],
)
def test_params_are_added_to_the_query(session: Session, params: Any) -> None:
    """Every form of params ends up in the query, behind what the URL has."""
    args = session.get("/get?z=0", params=params).json()["args"]
    assert args == [["z", "0"], ["a", "1"], ["b", "x y"]]


def test_params_may_repeat_a_name(session: Session) -> None:
    """Pairs, a MultiDict and a dict of lists keep all values of one name, in order."""
    expected = [["k", "1"], ["k", "2"]]
    pairs = [("k", "1"), ("k", "2")]
    assert session.get("/get", params=pairs).json()["args"] == expected
    assert session.get("/get", params=MultiDict(pairs)).json()["args"] == expected
    assert session.get("/get", params={"k": ["1", "2"]}).json()["args"] == expected


def test_an_encoded_url_is_sent_letter_by_letter(raw_server: StartRawServer) -> None:
    """URL(encoded=True) is for servers that tell %2f from %2F and a quoted from a bare letter."""
    wire = raw_server(answer)
    with Session() as session:
        session.get(URL(f"{wire.url}/%41%2f;a=%7E?q=%2c+%20", encoded=True)).read()
        session.get(f"{wire.url}/%41%2f").read()
    assert [request.target for request in wire.requests] == ["/%41%2f;a=%7E?q=%2c+%20", "/A%2F"]


def test_a_fragment_is_not_sent_and_stays_in_real_url(session: Session) -> None:
    """What stands behind # is the client's own."""
    response = session.get("/get#part")
    assert response.json()["target"] == "/get"
    assert (response.url.fragment, response.real_url.fragment) == ("", "part")


# Headers.


def test_headers_of_the_request_override_those_of_the_session(app: AppServer) -> None:
    """Names are compared without case; the request's own may repeat a name."""
    with Session(app.url, headers={"X-One": "session", "X-Two": "session"}) as session:
        echo = session.get("/get", headers=[("x-one", "a"), ("X-ONE", "b"), ("X-3", "c")]).json()
    assert values(echo, "X-One") == ["a", "b"]
    assert values(echo, "X-Two") == ["session"]
    assert values(echo, "X-3") == ["c"]


def test_headers_of_the_session_may_change_between_requests(session: Session) -> None:
    """session.headers is live: what is set or removed counts from the next request on."""
    session.headers["X-Late"] = "yes"
    assert values(session.get("/get").json(), "X-Late") == ["yes"]
    del session.headers["X-Late"]
    assert values(session.get("/get").json(), "X-Late") == []


def test_a_request_does_not_change_its_arguments(session: Session) -> None:
    """The caller's headers, params and session headers are as they were afterwards."""
    headers, params = CIMultiDict({"X-Mine": "1"}), {"a": "1"}
    session.post("/post", headers=headers, params=params, json={}, auth=("ada", "pw")).read()
    assert (headers, params) == (CIMultiDict({"X-Mine": "1"}), {"a": "1"})
    assert not session.headers


def test_params_of_the_session_go_with_every_request(app: AppServer) -> None:
    """Those of a request replace those of the same name, be they a dict, pairs or text."""
    with Session(app.url, params={"key": "k", "page": 1}) as session:
        for own, expected in {
            (): "key=k&page=1",
            (("page", "2"),): "key=k&page=2",
            "page=%2F": "key=k&page=%2F",
            "q=x": "key=k&page=1&q=x",
        }.items():
            options: Any = {"params": dict(own) if isinstance(own, tuple) else own}
            assert session.get("/get", **options).url.raw_query_string == expected
        assert session.get("/get?a=1").url.raw_query_string == "a=1&key=k&page=1"
        assert session.with_options(params=None).get("/get").url.raw_query_string == ""


def test_skip_auto_headers_of_session_and_request_add_up(raw_server: StartRawServer) -> None:
    """What is named there is not added by itself, but is sent where the caller sets it."""
    wire = raw_server(answer)
    with Session(skip_auto_headers=["User-Agent"]) as session:
        session.post(wire.url, json={}, skip_auto_headers=["accept", "Content-Type"]).read()
        session.post(wire.url, json={}, headers={"User-Agent": "mine"}).read()
    bare, mine = wire.requests
    assert (bare.header("User-Agent"), bare.header("Accept"), bare.header("Content-Type")) == (
        "",
        "",
        "",
    )
    assert (mine.header("User-Agent"), mine.header("Accept")) == ("mine", "*/*")
    assert mine.header("Content-Type") == "application/json"


def test_automatic_headers_name_host_and_codings(raw_server: StartRawServer) -> None:
    """Host carries the port, Accept-Encoding what can be decoded here, brotli and zstd too."""
    wire = raw_server(answer)
    with Session() as session:
        session.get(wire.url).read()
    request = wire.requests[0]
    assert request.header("Host") == f"127.0.0.1:{wire.port}"
    codings = set(request.header("Accept-Encoding").split(", "))
    assert codings >= {"gzip", "deflate", "br", "zstd"}


# Bodies.


@pytest.mark.parametrize("value", [{"a": [1, None]}, [], {}, "", 0, False, "ü"])
def test_json_sends_every_value_but_none(session: Session, value: Any) -> None:
    """json= takes falsy values at their word, and says application/json."""
    echo = session.post("/post", json=value).json()
    assert (echo["json"], values(echo, "Content-Type")) == (value, ["application/json"])


def test_json_none_is_no_body(session: Session) -> None:
    """json=None is the default and sends nothing."""
    echo = session.post("/post", json=None).json()
    assert (echo["body"], values(echo, "Content-Length")) == ("", ["0"])


def test_json_keeps_the_callers_content_type(session: Session) -> None:
    """A Content-Type of the caller's own wins over application/json."""
    headers = {"content-type": "application/vnd.api+json"}
    echo = session.post("/post", json={}, headers=headers).json()
    assert values(echo, "Content-Type") == ["application/vnd.api+json"]


@pytest.mark.parametrize("as_bytes", [False, True])
def test_json_serialize_runs_in_the_callers_thread(app: AppServer, as_bytes: bool) -> None:
    """A serialiser of text or of bytes, such as orjson's, is called by the caller itself."""
    seen = []

    def serialize(value: object) -> str | bytes:
        seen.append(threading.current_thread())
        text = json.dumps({"wrapped": value})
        return text.encode() if as_bytes else text

    with Session(app.url, json_serialize=serialize) as session:
        assert session.post("/post", json=[1]).json()["json"] == {"wrapped": [1]}
    assert seen == [threading.current_thread()]


def test_json_serialize_bytes_goes_before_json_serialize(app: AppServer) -> None:
    """aiohttp's second keyword for serialisers of bytes is there, and has precedence."""
    with Session(
        app.url, json_serialize=lambda value: "1", json_serialize_bytes=lambda value: b"2"
    ) as session:
        assert session.post("/post", json={}).json()["json"] == 2


@pytest.mark.parametrize(
    ("data", "body", "content_type"),
    [
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
        (bytearray(b"ab"), b"ab", "application/octet-stream"),
        (memoryview(b"abc")[1:], b"bc", "application/octet-stream"),
        ("grün", "grün".encode(), "text/plain; charset=utf-8"),
        (b"", b"", "application/octet-stream"),
        ({"a": "1", "b": "x&y"}, b"a=1&b=x%26y", "application/x-www-form-urlencoded"),
        ([("k", "1"), ("k", "2")], b"k=1&k=2", "application/x-www-form-urlencoded"),
        (MultiDict(k="ü"), b"k=%C3%BC", "application/x-www-form-urlencoded"),
    ],
    ids=["bytes", "bytearray", "memoryview", "str", "empty", "dict", "pairs", "multidict"],
)
def test_data_of_every_plain_kind(
    session: Session, data: Any, body: bytes, content_type: str
) -> None:
    """Bytes go as they are, text as UTF-8, pairs as a form; each with its length and type."""
    echo = session.post("/post", data=data).json()
    assert base64.b64decode(echo["body"]) == body
    assert values(echo, "Content-Length") == [str(len(body))]
    assert values(echo, "Content-Type") == [content_type]


def test_form_data_with_text_and_bytes_is_multipart(session: Session) -> None:
    """FormData keeps fields, file names and types apart, in order."""
    form = FormData()
    form.add_field("name", "Ada Lövelace")
    form.add_field("blob", b"\x00\r\n\xff", filename="a.bin", content_type="application/x-bin")
    form.add_field("name", "again")
    echo = session.post("/post", data=form).json()
    assert echo["form"] == [["name", "Ada Lövelace"], ["name", "again"]]
    (part,) = echo["files"]
    assert (part["name"], part["filename"]) == ("blob", "a.bin")
    assert part["content_type"] == "application/x-bin"
    assert base64.b64decode(part["body"]) == b"\x00\r\n\xff"


def test_form_data_of_plain_fields_is_urlencoded(session: Session) -> None:
    """FormData without a file is a plain form, with the charset asked for."""
    form = FormData({"a": "é"}, charset="latin-1")
    echo = session.post("/post", data=form).json()
    assert base64.b64decode(echo["body"]) == b"a=%E9"


@pytest.mark.parametrize(
    ("compress", "coding", "wbits"),
    [(True, "deflate", 15), ("deflate", "deflate", 15), ("gzip", "gzip", 31)],
)
def test_compress_compresses_the_body(
    raw_server: StartRawServer, compress: Any, coding: str, wbits: int
) -> None:
    """compress=True means deflate; the coding is named and the body comes in chunks."""
    wire = raw_server(answer)
    with Session() as session:
        session.post(wire.url, data=b"x" * 1000, compress=compress).read()
    (request,) = wire.requests
    assert request.header("Content-Encoding") == coding
    assert zlib.decompress(request.body, wbits) == b"x" * 1000


def test_chunked_leaves_the_length_unsaid(raw_server: StartRawServer) -> None:
    """chunked=True sends even bytes without Content-Length."""
    wire = raw_server(answer)
    with Session() as session:
        session.post(wire.url, data=b"abc", chunked=True).read()
    (request,) = wire.requests
    assert (request.body, request.header("Content-Length")) == (b"abc", "")
    assert request.header("Transfer-Encoding") == "chunked"


def test_expect100_waits_for_the_servers_consent(raw_server: StartRawServer) -> None:
    """The body is not sent before the server has said 100 Continue."""
    held_back = []

    def consent(conn: RawConnection) -> None:
        request = conn.read_head()
        conn.sock.setblocking(False)
        try:
            held_back.append(conn.sock.recv(1))
        except BlockingIOError:
            held_back.append(b"")
        conn.sock.setblocking(True)
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.respond(conn.read_body(request))

    wire = raw_server(consent)
    with Session() as session:
        assert session.post(wire.url, data=b"body", expect100=True).read() == b"body"
    assert held_back == [b""]
    assert wire.requests[0].header("Expect") == "100-continue"


# Cookies, credentials, versions.


def test_cookies_of_a_request_are_sent_once(session: Session) -> None:
    """cookies= adds to this request and leaves the jar as it was."""
    assert session.get("/cookies", cookies={"a": "1", "b": "x/y"}).json() == {
        "cookies": {"a": "1", "b": "x/y"}
    }
    assert session.get("/cookies").json() == {"cookies": {}}
    assert len(session.cookie_jar) == 0


def test_cookies_may_come_from_an_iterator_of_the_callers(session: Session) -> None:
    """It is drawn in the caller's thread, once, and serves the redirects as well."""
    names = []

    def cookies() -> Iterator[tuple[str, str]]:
        names.append(threading.current_thread().name)
        yield "a", "1"

    given: Any = cookies()
    assert session.get("/redirect-to?url=/cookies", cookies=given).json()["cookies"] == {"a": "1"}
    assert names == [threading.current_thread().name]


def test_cookies_of_the_session_go_to_every_host(app: AppServer) -> None:
    """Session(cookies=) fills the jar; a request's own override them by name."""
    with Session(app.url, cookies={"a": "1", "b": "2"}) as session:
        both = session.get("/cookies", cookies={"b": "3"}).json()
        assert both == {"cookies": {"a": "1", "b": "3"}}
        other = app.url.replace("127.0.0.1", "localhost")
        assert session.get(f"{other}/cookies").json() == {"cookies": {"a": "1", "b": "2"}}


@pytest.mark.parametrize("kind", ["basic auth", "tuple", "url"])
def test_auth_sends_basic_credentials(app: AppServer, kind: str) -> None:
    """BasicAuth, a tuple and credentials in the URL say the same."""
    url = f"{app.url}/get"
    auth: Any = {"basic auth": lambda: basic_auth("ada", "pw"), "tuple": lambda: ("ada", "pw")}
    with Session() as session:
        if kind == "url":
            response = session.get(url.replace("//", "//ada:pw@"))
        else:
            response = session.get(url, auth=auth[kind]())
        assert values(response.json(), "Authorization") == [BASIC]
        assert "pw" not in f"{response.url} {response!r}"


def test_auth_of_the_session_is_overridden_by_every_other(app: AppServer) -> None:
    """auth= of the request, an Authorization header and credentials in the URL go before it."""
    with Session(auth=("ada", "pw")) as session:
        url = f"{app.url}/get"
        assert values(session.get(url).json(), "Authorization") == [BASIC]
        for response in (
            session.get(url, auth=("eve", "x")),
            session.get(url, headers={"authorization": "Basic ZXZlOng="}),
            session.get(url.replace("//", "//eve:x@")),
        ):
            assert values(response.json(), "Authorization") == ["Basic ZXZlOng="]
    assert session.auth == ("ada", "pw")


def test_auth_of_a_session_with_base_url_is_for_its_origin(app: AppServer) -> None:
    """Credentials meant for one server are not told to another."""
    other = app.url.replace("127.0.0.1", "localhost")
    with Session(app.url, auth=("ada", "pw")) as session:
        assert values(session.get("/get").json(), "Authorization") == [BASIC]
        assert values(session.get(f"{other}/get").json(), "Authorization") == []


def test_version_10_is_spoken_when_asked_for(app: AppServer) -> None:
    """version= of the session is what goes into the request line."""
    with Session(app.url, version=HttpVersion10) as session:
        response = session.get("/get")
        assert (response.json()["version"], session.version) == ("1.0", HttpVersion10)
    assert syncclient.HttpVersion11 == (1, 1)


@pytest.mark.parametrize("version", [(2, 0), HttpVersion(0, 9), HttpVersion(1, 2), "1.1", None])
def test_versions_that_are_not_spoken_are_refused(version: Any) -> None:
    """The engine would write them into the request line, and go on in HTTP/1.1."""
    with pytest.raises(ValueError, match="version must be HttpVersion10 or HttpVersion11, not "):
        Session(version=version)
