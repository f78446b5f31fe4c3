"""Response: every attribute of the head, and the body read, decoded, parsed and released."""

import gc
import json
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from multidict import CIMultiDictProxy, MultiDictProxy
from yarl import URL

import syncclient
from syncclient import ClientConnectionError, ContentTypeError, HttpVersion11, Response, Session
from tests.servers.content import SAMPLE_TEXT, pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer


def sending(head: str, body: bytes = b"") -> Callable[[RawConnection], None]:
    """A script that answers each request with this head, its length, and this body."""
    lines = [*head.splitlines(), f"Content-Length: {len(body)}", "", ""]
    data = "\r\n".join(lines).encode("latin-1") + body

    def script(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            conn.send(data)

    return script


# The head.


def test_every_attribute_of_the_head(raw_server: StartRawServer) -> None:
    """All of it is there before a byte of the body is read, and stays after the session's end."""
    wire = raw_server(
        sending(
            "HTTP/1.1 203 Sort Of OK\nContent-Type: Text/HTML; charset=UTF-8; x=y\n"
            "X-Twice: 1\nx-twice: 2\nSet-Cookie: a=1; Path=/; HttpOnly\nSet-Cookie: b=2\n"
            'Content-Disposition: attachment; filename="a b.txt"',
            b"abc",
        )
    )
    with Session() as session:
        response = session.get(f"{wire.url}/x?y=1#part", headers={"X-Sent": "yes"})
    assert (response.status, response.reason, response.ok) == (203, "Sort Of OK", True)
    assert (response.method, response.version) == ("GET", HttpVersion11)
    assert response.url == URL(f"{wire.url}/x?y=1")
    assert response.real_url == URL(f"{wire.url}/x?y=1#part")
    assert response.host == "127.0.0.1"
    assert isinstance(response.headers, CIMultiDictProxy)
    assert response.headers.getall("X-TWICE") == ["1", "2"]
    assert response.raw_headers[1:3] == ((b"X-Twice", b"1"), (b"x-twice", b"2"))
    assert (response.content_type, response.charset) == ("text/html", "UTF-8")
    assert response.content_length == 3
    assert response.content_disposition is not None
    assert response.content_disposition.type == "attachment"
    assert response.content_disposition.filename == "a b.txt"
    assert response.content_disposition.parameters["filename"] == "a b.txt"
    assert {name: morsel.value for name, morsel in response.cookies.items()} == {"a": "1", "b": "2"}
    assert response.cookies["a"]["httponly"] is True
    assert response.request_info.method == "GET"
    assert response.request_info.url == response.url
    assert response.request_info.real_url == response.real_url
    assert response.request_info.headers["X-Sent"] == "yes"
    assert response.history == ()
    assert response.closed
    assert repr(response) == f"<Response({wire.url}/x?y=1) [203 Sort Of OK]>"


def test_what_the_head_lacks(raw_server: StartRawServer) -> None:
    """A bare head has the defaults of the RFCs, and empty collections."""
    wire = raw_server(sending("HTTP/1.1 200 "))
    with Session() as session:
        response = session.get(wire.url)
    assert (response.reason, response.content_disposition, response.charset) == ("", None, None)
    assert response.content_type == "application/octet-stream"
    assert len(response.cookies) == len(response.links) == 0


@pytest.mark.parametrize(("status", "ok"), [(200, True), (399, True), (400, False), (599, False)])
def test_ok_is_below_400(session: Session, status: int, ok: bool) -> None:
    """ok says whether raise_for_status() would pass."""
    response = session.get(f"/status/{status}")
    assert response.ok is ok
    if ok:
        response.raise_for_status()
    else:
        with pytest.raises(syncclient.ClientResponseError):
            response.raise_for_status()


def test_links_are_resolved_and_keyed_by_relation(app: AppServer, session: Session) -> None:
    """Relative targets are joined to the response's URL; parameters are kept."""
    links = session.get("/links?page=2").links
    assert isinstance(links, MultiDictProxy)
    assert links["next"]["url"] == URL(f"{app.url}/links?page=3")
    assert links["next"]["title"] == "more"
    assert links["prev"]["url"] == URL(f"{app.url}/links?page=1")


def test_a_requests_name_is_answered_with_ours(session: Session) -> None:
    """A mistyped attribute raises AttributeError with the right spelling, and hasattr() works."""
    response: Any = session.get("/get")
    for name, right in {
        "status_code": "status",
        "iter_content": r"content.iter_chunked\(n\)",
        "iter_text": "iter_lines",
        "encoding": "get_encoding",
        "raw": "content",
        "request": "request_info",
    }.items():
        with pytest.raises(AttributeError, match=f"{name}.*here it is .*{right}"):
            getattr(response, name)
        assert not hasattr(response, name)
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        response.nonsense  # noqa: B018  # the access is what is tested


# Text and JSON.


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("utf-8", "utf-8"),
        ("latin-1", "cp1252"),
        ("cp1252", "cp1252"),
        ("utf-16", "utf-16"),
        ("UTF8", "utf-8"),
    ],
)
def test_text_is_decoded_as_the_server_declares(session: Session, charset: str, codec: str) -> None:
    """The charset of the Content-Type decides, under any name that browsers know."""
    response = session.get(f"/encoding/{charset}")
    assert response.text() == SAMPLE_TEXT
    assert response.get_encoding() == codec


def test_text_of_an_undeclared_or_unknown_charset_is_utf_8(session: Session) -> None:
    """Without a charset, or with one nobody knows, the session's resolver is asked: UTF-8."""
    for declare in ("", "nonsense"):
        response = session.get("/encoding/utf-8", params={"declare": declare})
        assert (response.text(), response.get_encoding()) == (SAMPLE_TEXT, "utf-8")


def test_text_takes_an_encoding_and_an_error_handler(session: Session) -> None:
    """Both are the caller's to say, each time anew."""
    response = session.get("/encoding/latin-1", params={"declare": "utf-8"})
    with pytest.raises(UnicodeDecodeError):
        response.text()
    assert response.text(encoding="latin-1") == response.text("latin-1") == SAMPLE_TEXT
    assert response.text(errors="replace").startswith("Gr\N{REPLACEMENT CHARACTER}")


def test_the_charset_resolver_runs_in_the_callers_thread(app: AppServer) -> None:
    """It is given the response and its body, and only where the head does not tell."""
    asked = []

    def resolve(response: Response, body: bytes) -> str:
        asked.append((threading.current_thread(), response.status, body))
        return "latin-1"

    with Session(app.url, fallback_charset_resolver=resolve) as session:
        response = session.get("/encoding/latin-1", params={"declare": ""})
        assert response.text() == SAMPLE_TEXT
        assert session.get("/encoding/utf-16").text() == SAMPLE_TEXT
    assert asked == [(threading.current_thread(), 200, SAMPLE_TEXT.encode("latin-1"))]


def test_get_encoding_of_an_unread_body_may_not_be_known(session: Session) -> None:
    """Where only the body could tell, it has to be read first, as in aiohttp."""
    response = session.get("/encoding/utf-8", params={"declare": ""})
    with pytest.raises(RuntimeError, match="not yet read body"):
        response.get_encoding()
    response.read()
    assert response.get_encoding() == "utf-8"
    assert session.get("/json").get_encoding() == "utf-8"


def json_as(raw_server: StartRawServer, content_type: str, body: bytes = b'["\\u00e4"]') -> str:
    """The URL of a document that says it is of this type."""
    return raw_server(sending(f"HTTP/1.1 200 OK\nContent-Type: {content_type}", body)).url


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/problem+json",
        "application/vnd.api+json; x=y",
    ],
)
def test_json_takes_every_type_of_json(raw_server: StartRawServer, content_type: str) -> None:
    """+json is JSON, and neither case nor parameters matter."""
    with Session() as session:
        assert session.get(json_as(raw_server, content_type)).json() == ["ä"]


@pytest.mark.parametrize("content_type", ["text/html", "application/xml", "text/json", ""])
def test_json_of_another_type_is_taken(raw_server: StartRawServer, content_type: str) -> None:
    """JSON is JSON, whatever it is called; unless another type than JSON's is asked for."""
    with Session() as session:
        response = session.get(json_as(raw_server, content_type))
        assert response.json() == ["ä"]
        assert response.json(content_type=None) == ["ä"]
        if content_type:
            assert response.json(content_type=content_type) == ["ä"]
        with pytest.raises(ContentTypeError, match=r"unexpected mimetype.*content_type=None"):
            response.json(content_type="application/x-other")


@pytest.mark.parametrize("body", [b"<p>down for\r\n\x1b[31mrepair</p>", b" ", b""])
def test_what_is_no_json_by_type_nor_content_is_refused(
    raw_server: StartRawServer, body: bytes
) -> None:
    """ContentTypeError says which type it was, and how the body begins, in one harmless line."""
    url = json_as(raw_server, "text/html", body)
    with Session() as session:
        with pytest.raises(ContentTypeError, match="unexpected mimetype: text/html") as caught:
            session.get(url).json()
    assert caught.value.status == 200 and url in str(caught.value)
    assert ("begins: <p>down for [31mrepair</p>" in str(caught.value)) == (len(body) > 1)


def test_json_takes_an_encoding_and_a_decoder(raw_server: StartRawServer) -> None:
    """encoding= overrides the head's, and loads= gets the text, in the caller's thread."""
    got: list[tuple[threading.Thread, str]] = []

    def loads(text: str) -> object:
        got.append((threading.current_thread(), text))
        return json.loads(text)

    url = json_as(raw_server, "application/json; charset=utf-8", '["ä"]'.encode("latin-1"))
    with Session() as session:
        response = session.get(url)
        assert response.json(encoding="latin-1", loads=loads) == ["ä"]
        assert got == [(threading.current_thread(), '["ä"]')]
        with pytest.raises(UnicodeDecodeError):
            response.json()


def test_json_of_an_empty_body_is_none(raw_server: StartRawServer) -> None:
    """White space is as good as nothing, as in aiohttp; what is no JSON raises ValueError."""
    with Session() as session:
        assert session.get(json_as(raw_server, "application/json", b" \r\n")).json() is None
        with pytest.raises(json.JSONDecodeError):
            session.get(json_as(raw_server, "application/json", b"{")).json()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw-deflate", "brotli", "zstd"])
@pytest.mark.parametrize("size", [0, 10, 3_000_000])
def test_bodies_are_decompressed(session: Session, coding: str, size: int) -> None:
    """Every coding that was offered is decoded, whether one packet holds the body or many do."""
    response = session.get(f"/{coding}", params={"size": size})
    assert response.read() == pattern(size)
    assert "Content-Encoding" in response.headers
    assert session.get(f"/{coding}").json()["coding"]


# Reading and releasing.


def test_a_body_is_read_once_and_kept(session: Session) -> None:
    """read(), text() and json() may be called in any order, any number of times, on one copy."""
    response = session.get("/json")
    body = response.read()
    assert response.read() is body
    assert json.loads(response.text()) == response.json()
    with response:
        pass
    response.release()
    response.close()
    assert response.read() is body


def test_a_large_body_stays_on_the_wire_until_it_is_read(session: Session) -> None:
    """closed tells whether anything is left there; the body is whole, to the last byte."""
    response = session.get("/bytes/3000000")
    assert not response.closed
    assert response.read() == pattern(3_000_000)
    assert response.closed


def test_a_chunked_body_is_whole(session: Session) -> None:
    """The length need not be known."""
    response = session.get("/bytes/3000000?chunked=1")
    assert response.content_length is None
    assert response.read() == pattern(3_000_000)


def test_a_body_until_the_end_of_the_connection_is_whole(raw_server: StartRawServer) -> None:
    """Without any length, the body lasts until the server closes."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\n\r\nfirst")
        conn.stall()
        conn.send(b" last")

    wire = raw_server(script)
    with Session() as session:
        response = session.get(wire.url)
        assert not response.closed
        wire.wait_until_stalled().proceed()
        assert response.text() == "first last"


@pytest.mark.parametrize("how", ["release", "close", "with", "drop"])
def test_an_unread_body_is_given_up(raw_server: StartRawServer, how: str) -> None:
    """Each way to let go of a response frees its connection, at once and without waiting."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")
        conn.stall()

    wire = raw_server(script)
    with Session() as session:
        response = session.get(wire.url)
        wire.wait_until_stalled()
        if how == "drop":
            with pytest.warns(ResourceWarning, match=f"to GET {wire.url} dropped.*{__file__}"):
                del response
            wire.wait_until_closed()
            return
        if how == "with":
            with response:
                pass
        else:
            getattr(response, how)()
        wire.wait_until_closed()
        assert response.closed
        with pytest.raises(ClientConnectionError, match="released before its body was read"):
            response.read()
        assert response.status == 200
        getattr(response, "close" if how == "with" else how)()


def test_a_read_response_gives_its_connection_back(app: AppServer, session: Session) -> None:
    """One connection serves one request after the other, whatever the size of the bodies."""
    before = app.stats().connections_opened
    for size in (10, 3_000_000, 10):
        with session.get(f"/bytes/{size}") as response:
            response.read()
    session.get("/empty").release()
    session.head("/bytes/10").close()
    session.get("/json").text()
    assert app.stats().connections_opened == before + 1


def test_the_session_may_be_closed_before_the_body_is_used(session: Session) -> None:
    """A body that is here stays here; one that is not raises SessionClosedError."""
    here, not_here = session.get("/json"), session.get("/bytes/3000000")
    session.close()
    assert here.json()["slideshow"]
    with not_here, pytest.raises(syncclient.SessionClosedError, match="was closed"):
        not_here.read()


def test_responses_do_not_keep_their_session(app: AppServer) -> None:
    """A response may outlive everything else: it holds values only."""
    with Session(app.url) as session:
        response = session.get("/json")
        gone = weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None
    assert response.ok


@pytest.mark.parametrize("path", ["/empty", "/status/304"])
def test_a_status_without_a_body_is_read_as_nothing(session: Session, path: str) -> None:
    """204 and 304 have no body, and nobody waits for one."""
    assert session.get(path).read() == b""
    assert session.head("/bytes/10").content_length == 10
