"""Bodies where there may be none, and bytes beyond a response: it is complete all the same."""

from __future__ import annotations

import gzip
import logging
import threading
from typing import Any

import httpx
import pytest
import requests

import syncclient
from syncclient import ClientResponseError, Session
from tests.servers.raw import RawConnection, Script, StartRawServer

PACKED = gzip.compress(b"hello")

#: What a server may send behind a complete response.
RUBBISH = [
    b"hello",
    b"null",
    b"\r\n",
    b"\n\n\n",
    b"\0",
    b"<html>\r\n\r\n</html>",
    b"0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nothe",
    b"HTTP/1.1 200 O",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"\x16\x03\x01",
    b"x" * 300_000,
]


def first(*pieces: bytes) -> Script:
    """A script that answers the first request with the pieces, one at each `proceed()`."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(pieces[0])
        conn.send_slowly(pieces[1:])
        conn.read_to_end()

    return script


def fine(conn: RawConnection) -> None:
    conn.read_request()
    conn.respond(b"fine")


def spoilt(raw_server: StartRawServer, data: bytes, method: str, body: bytes) -> Any:
    """Send a request and a second one; the first has `body`, the second its own connection."""
    wire = raw_server(first(data), fine)
    with Session() as session:
        with session.request(method, wire.url, allow_redirects=False) as response:
            assert response.read() == body
        assert session.get(wire.url).read() == b"fine"
        wire.connections[0].wait_until_closed()
    assert len(wire.connections) == 2
    return response


HEADS = [
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 5\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n"),
    ("DELETE", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Encoding: br\r\nETag: x\r\n\r\n"),
    ("POST", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("GET", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 No Content\nX: 1\n\n"),
]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
@pytest.mark.parametrize(("method", "head"), HEADS, ids=range(len(HEADS)))
def test_no_body_where_there_may_be_none(
    raw_server: StartRawServer, method: str, head: bytes, rubbish: bytes
) -> None:
    """What stands where a body would is not read, and spoils the connection (RFC 9112, 6.3)."""
    response = spoilt(raw_server, head + rubbish, method, b"")
    assert response.status == int(head.rpartition(b"HTTP/1.1 ")[2][:3])


BODIES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
    % (len(PACKED), PACKED),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
@pytest.mark.parametrize("answer", BODIES, ids=range(len(BODIES)))
def test_a_body_ends_where_its_framing_says(
    raw_server: StartRawServer, answer: bytes, rubbish: bytes
) -> None:
    """What comes beyond it in the same packet is nobody's answer."""
    spoilt(raw_server, answer + rubbish, "GET", b"hello")


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
@pytest.mark.parametrize("cut", [10, -3])
def test_beyond_the_end_in_a_later_packet(
    raw_server: StartRawServer, rubbish: bytes, cut: int
) -> None:
    """The same where the head, or the end of the body, comes along with the rubbish."""
    answer = BODIES[0]
    wire = raw_server(first(answer[:cut], answer[cut:] + rubbish), fine)
    with Session() as session:
        future = session.submit("GET", wire.url)
        wire.wait_until_stalled().proceed()
        assert future.result().read() == b"hello"
        assert session.get(wire.url).read() == b"fine"
    assert len(wire.connections) == 2


def test_a_slow_reader_gets_all_of_it(raw_server: StartRawServer) -> None:
    """The body is here, and unread, when the rubbish behind it ends the connection."""
    body = b"x" * 100_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    wire = raw_server(first(head + body[:10], body[10:] + b"rubbish"), fine)
    with Session() as session, session.get(wire.url) as response:
        assert response.content.readexactly(10) == body[:10]
        conn = wire.wait_until_stalled()
        conn.proceed()
        conn.wait_until_closed()
        assert response.read() == body[10:]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_beyond_a_body_that_had_to_wait(
    raw_server: StartRawServer, rubbish: bytes, framing: str
) -> None:
    """The reader was slow, and the end of the body was held back with what is beyond it."""
    body = bytes(200_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    if framing == "chunked":
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"100\r\n" + bytes(256) + b"\r\n"
        body = body * 800 + b"0\r\n\r\n"
    sent = threading.Event()

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(head)
        conn.send(body + rubbish)
        sent.set()
        conn.read_to_end()

    wire = raw_server(script, fine)
    with Session(read_bufsize=1000) as session:
        with session.get(wire.url) as response:
            sent.wait(20)
            assert len(b"".join(response.content.iter_chunked(999))) > 200_000 - 1
        assert session.get(wire.url).read() == b"fine"
    assert len(wire.connections) == 2


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_204_that_announces_a_body_is_the_last(raw_server: StartRawServer, head: bytes) -> None:
    """The body may come later, and would be taken for the next answer (RFC 9112, 6.3)."""
    spoilt(raw_server, head, "GET", b"")


@pytest.mark.parametrize("size", [5, 50_000])
@pytest.mark.parametrize(
    ("headers", "framing"),
    [
        (b"Content-Length: %d\r\nContent-Length: %d\r\n", "length"),
        (b"Content-Length: %d\r\nX: y\r\ncontent-length:%d \r\n", "length"),
        (b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", "chunked"),
        (
            b"transfer-encoding: Chunked\r\ncontent-length: %d\r\nX: Content-Length: 1\r\n",
            "chunked",
        ),
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\nContent-Length: %d\r\n", "chunked"),
    ],
    ids=range(5),
)
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
def test_a_head_that_is_framed_twice(
    raw_server: StartRawServer, headers: bytes, framing: str, before: bytes, size: int
) -> None:
    """As in requests and httpx: chunks go before a length, and the same length twice is one."""
    body = b"h" * size
    head = before + b"HTTP/1.1 200 OK\r\n" + headers % ((size,) * headers.count(b"%d")) + b"\r\n"

    def script(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            if framing == "length":
                conn.send(head + body)
            else:
                conn.send(head + b"%x\r\n%s\r\n0\r\n\r\n" % (size, body))

    wire = raw_server(script)
    with Session() as session:
        for _ in range(2):
            assert session.get(wire.url).read() == body
    assert len(wire.connections) == (1 if framing == "length" else 2)
    if b"Length: 3" not in headers:
        assert httpx.get(wire.url).content == body
    if not before:
        assert requests.get(wire.url).content == body


def test_two_lengths_are_an_error(raw_server: StartRawServer) -> None:
    """Nobody can tell which is right."""
    wire = raw_server(
        first(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhel")
    )
    with Session() as session, pytest.raises(ClientResponseError):
        session.get(wire.url)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**64, 10**30])
def test_no_length_is_too_large_to_be_missed(raw_server: StartRawServer, length: int) -> None:
    """A body that is cut off is an error, however much was announced."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhello" % length)

    wire = raw_server(script)
    with Session() as session, pytest.raises(syncclient.ClientError):
        session.get(wire.url).read()


def test_honest_responses_keep_their_connection(raw_server: StartRawServer) -> None:
    """A HEAD with the length of the GET, a 204 and a 304 are nothing odd."""

    def script(conn: RawConnection) -> None:
        for status, length in (("200 OK", "5"), ("204 No Content", "0"), ("304 N", "7")):
            conn.read_request()
            conn.send_head(status=status, headers=[("Content-Length", length)])
        fine(conn)

    wire = raw_server(script)
    with Session() as session:
        assert [session.head(wire.url).status for _ in range(3)] == [200, 204, 304]
        assert session.get(wire.url).read() == b"fine"
    assert len(wire.connections) == 1


def test_requests_and_httpx_take_it_as_complete_too(raw_server: StartRawServer) -> None:
    """Each of the three returns the response."""
    wire = raw_server(first(BODIES[0] + b"rubbish"))
    assert requests.get(wire.url).content == b"hello"
    assert httpx.get(wire.url).content == b"hello"
    assert syncclient.get(wire.url).read() == b"hello"


@pytest.mark.parametrize("way", ["submit", "map", "with", "middleware"])
def test_in_every_way_of_asking(raw_server: StartRawServer, way: str) -> None:
    """The decision is taken where the bytes come in."""
    wire = raw_server(first(b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nnull"), fine)

    def passing(request: Any, handler: Any) -> Any:
        return handler(request)

    with Session(middlewares=[passing] if way == "middleware" else []) as session:
        if way == "submit":
            status = session.submit("GET", wire.url).result().status
        elif way == "map":
            [response] = session.map([wire.url])
            status = response.status
        else:
            status = session.get(wire.url).status
        assert status == 204
        assert session.get(wire.url).read() == b"fine"


def test_nothing_is_logged(raw_server: StartRawServer, caplog: pytest.LogCaptureFixture) -> None:
    """A spoilt connection is closed quietly."""
    with caplog.at_level(logging.WARNING):
        for rubbish in RUBBISH:
            spoilt(raw_server, BODIES[0] + rubbish, "GET", b"hello")
    assert not caplog.records


# The reason phrase.

REASONS = [
    (b"Non trouv\xe9", "Non trouvé"),
    ("Nicht verfügbar".encode(), "Nicht verfügbar"),
    ("見つからない".encode(), "見つからない"),
    (b"\xff\xfe", "ÿþ"),
    (b"", ""),
    (b"Not Found", "Not Found"),
]


@pytest.mark.parametrize(("sent", "read"), REASONS, ids=range(len(REASONS)))
def test_a_reason_is_text_that_can_be_printed(
    raw_server: StartRawServer, sent: bytes, read: str
) -> None:
    """UTF-8 or else Latin-1, which is all requests reads: in errors and the history, too."""

    def script(conn: RawConnection) -> None:
        while True:
            moved = conn.read_request().target == "/moved"
            conn.send(b"HTTP/1.1 %d %s\r\n" % (302 if moved else 404, sent))
            conn.send(b"Location: /x\r\nContent-Length: 0\r\n\r\n")

    wire = raw_server(script)
    if sent.isascii() or read.encode() != sent:
        assert requests.get(wire.url).reason == read
    with Session() as session:
        response = session.get(wire.url)
        assert response.reason == read
        f"{response} {response!r}".encode()
        with pytest.raises(ClientResponseError) as caught:
            response.raise_for_status()
        assert caught.value.message == read
        f"{caught.value}".encode()
        response = session.get(f"{wire.url}/moved")
        assert [each.reason for each in response.history] == [read]
        f"{response.history}".encode()
