"""`response.raw`: a urllib3 response, whatever is done with it."""

import gzip
import io
import shutil
import socket
import threading
from typing import Any

import pytest
import requests
import urllib3

from tests.bounds import BOUND
from tests.doors.requests.sides import Side, fault_of
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

_TEXT = b"some text, " * 3000


def _zipped(conn: RawConnection) -> None:
    while True:
        conn.read_request()
        conn.respond(gzip.compress(_TEXT), headers=[("Content-Encoding", "gzip")])


def _in_chunks(conn: RawConnection) -> None:
    conn.read_request()
    conn.send_head(headers=[("Transfer-Encoding", "chunked")])
    for piece in (b"first\n", b"second\n", b""):
        conn.stall()
        conn.send_chunk(piece)
    conn.send(b"")


def test_raw_is_urllib3s(http: requests.Session, app: AppServer) -> None:
    """`raw` is a urllib3 response with its attributes."""
    response = http.get(f"{app.url}/json", stream=True)
    raw: Any = response.raw
    assert isinstance(raw, urllib3.HTTPResponse)
    assert (raw.status, raw.version, raw.version_string, raw.reason) == (200, 11, "HTTP/1.1", "OK")
    assert raw.headers["content-type"] == response.headers["Content-Type"]
    assert response.raw is raw
    assert not raw.isclosed()
    body = raw.read()
    assert raw.tell() == len(body) == int(raw.headers["Content-Length"])
    assert (raw.closed, raw.isclosed()) == (True, True)
    assert raw._fp is not None and raw._fp.isclosed()
    assert raw.read() == b""


@pytest.mark.parametrize("decode", [False, True])
def test_decoding_is_asked_for(
    http: requests.Session, raw_server: StartRawServer, decode: bool
) -> None:
    """`read` gives the bytes of the wire, or decodes them where that is asked for."""
    url = raw_server(_zipped).url
    zipped = gzip.compress(_TEXT, mtime=0)
    raw = http.get(url, stream=True).raw
    data = raw.read(decode_content=decode)
    assert (data if decode else gzip.decompress(data)) == _TEXT
    assert abs(raw.tell() - len(zipped)) < 10
    assert http.get(url).content == _TEXT
    assert b"".join(http.get(url, stream=True).iter_content(1000)) == _TEXT
    raw = http.get(url, stream=True).raw
    raw.decode_content = True
    sink = io.BytesIO()
    shutil.copyfileobj(raw, sink)
    assert sink.getvalue() == _TEXT


_ZIPPED = gzip.compress(_TEXT, mtime=0)
_CODED = {
    "whole": _ZIPPED,
    "two streams": _ZIPPED + gzip.compress(b"and more", mtime=0),
    "cut short": _ZIPPED[:-20],
    "without its checksum": _ZIPPED[:-8],
    "a wrong checksum": _ZIPPED[:-8] + bytes(8),
    "rubbish behind it": _ZIPPED + b"rubbish",
    "no gzip": b"some text",
    "empty": b"",
}


@pytest.mark.parametrize("touched", [False, True], ids=["untouched", "touched"])
@pytest.mark.parametrize("framed", ["length", "chunks"])
@pytest.mark.parametrize("coded", _CODED.values(), ids=_CODED.keys())
def test_content_is_decoded_as_by_urllib3(
    side: Side, raw_server: StartRawServer, coded: bytes, framed: str, touched: bool
) -> None:
    """A gzip body, good or bad, has the content, the error and the count that it has there."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        zipped = ("Content-Encoding", "gzip")
        if framed == "length":
            conn.respond(coded, headers=[zipped])
        else:
            conn.send_head(headers=[zipped, ("Transfer-Encoding", "chunked")])
            conn.send_chunk(coded[:1000])
            if len(coded) > 1000:
                conn.send_chunk(coded[1000:])
            if coded:
                conn.send_chunk(b"")

    url = raw_server(script).url
    seen: list[Any] = []
    for each in (Side.THEIRS, side):
        with each.session() as session:
            response = session.get(url, stream=True)
            if touched:
                assert response.raw.status == 200
            try:
                content: Any = response.content
                count = response.raw.tell()
                seen.append((content, response.content, count, response.raw.read()))
            except requests.RequestException as error:
                seen.append(type(error))
    assert seen[1] == seen[0]


def test_a_read_is_as_long_as_it_was_asked_to_be(
    http: requests.Session, raw_server: StartRawServer
) -> None:
    """`read(n)` waits for n bytes, as http.client's does; `read1` takes what is here."""

    def slowly(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "10")])
        conn.send_slowly([b"abc", b"defg", b"hij"])

    server = raw_server(slowly)
    raw = http.get(server.url, stream=True).raw
    conn = server.wait_until_stalled()
    conn.proceed()
    assert raw.read1() == b"abc"
    conn.proceed(2)
    assert raw.read(6) == b"defghi"
    assert raw.read(6) == b"j"


def test_chunks_come_as_they_are_sent(http: requests.Session, raw_server: StartRawServer) -> None:
    """Lines of a chunked body are given out while the rest is not yet sent."""
    server = raw_server(_in_chunks)
    response = http.get(server.url, stream=True)
    conn = server.wait_until_stalled()
    lines = response.iter_lines()
    conn.proceed()
    conn.wait_until_stalled()
    conn.proceed()
    assert next(lines) == b"first"
    conn.wait_until_stalled()
    conn.proceed()
    assert list(lines) == [b"second"]
    assert response.raw.closed


def test_small_chunked_bodies(http: requests.Session, raw_server: StartRawServer) -> None:
    """A chunked body that came along with its head is streamed as well."""

    def small(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            chunks = b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)

    url = raw_server(small).url
    for size in (1, 4, 100, None):
        assert b"".join(http.get(url, stream=True).iter_content(size)) == b"firstsecond"
    raw = http.get(url, stream=True).raw
    assert b"".join(raw.read_chunked()) == b"firstsecond"
    assert raw.closed
    assert http.get(url).content == b"firstsecond"


def test_whole_after_reading(http: requests.Session, app: AppServer) -> None:
    """After the content has been read, `raw` is at its end and knows how far that was."""
    response = http.get(f"{app.url}/json")
    assert response.raw.read() == b""
    assert response.raw.tell() == len(response.content)
    assert response.raw.closed
    assert response.raw.data == b""
    assert next(response.iter_content(4)) == response.content[:4]


@pytest.mark.parametrize("path", ["/empty", "/json"])
def test_head_has_no_body(http: requests.Session, app: AppServer, path: str) -> None:
    """A HEAD has an empty body, and no fault in it."""
    response = http.head(app.url + path)
    assert response.content == b""
    assert response.raw.read() == b""


def test_consumed_once(http: requests.Session, app: AppServer) -> None:
    """A streamed body that was iterated over is not there a second time."""
    response = http.get(f"{app.url}/bytes/100000", stream=True)
    assert len(b"".join(response.iter_content(777))) == 100_000
    assert isinstance(fault_of(lambda: response.content), RuntimeError)
    assert type(fault_of(lambda: response.iter_content(1))).__name__ == "StreamConsumedError"


def test_content_after_a_part_of_raw(http: requests.Session, app: AppServer) -> None:
    """What was taken from `raw` is missing from the content, as it is in requests."""
    response = http.get(f"{app.url}/bytes/100000", stream=True)
    first = response.raw.read(10)
    assert len(first) == 10
    assert len(response.content) == 99_990


def test_drained(http: requests.Session, app: AppServer) -> None:
    """`drain_conn` reads to the end, and the connection serves again."""
    first = http.get(f"{app.url}/bytes/300000", stream=True)
    first.raw.drain_conn()
    assert first.raw.closed


def test_closed_unread(side: Side, raw_server: StartRawServer) -> None:
    """Closing, or dropping, an unread response closes its connection, without a warning."""

    def endless(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "1000000")])
        conn.stall()

    server = raw_server(endless)
    with side.session() as session:
        response = session.get(server.url, stream=True)
        response.close()
        session.get(server.url, stream=True)  # dropped
        session.get(server.url, stream=True).raw.close()
        server.wait_until_closed()


def test_cookies_of_the_response(http: requests.Session, raw_server: StartRawServer) -> None:
    """Cookies come from `_original_response.msg`, which is there where a Set-Cookie is."""

    def baker(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(headers=[("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2")])
        conn.read_request()
        conn.respond()

    server = raw_server(baker)
    response = http.get(server.url)
    assert response.cookies.get_dict() == http.cookies.get_dict() == {"a": "1", "b": "2"}
    original: Any = response.raw._original_response
    assert original.msg.get_all("set-cookie") == ["a=1; Path=/", "b=2"]
    assert response.headers["set-cookie"] == "a=1; Path=/, b=2"
    assert http.get(server.url).raw._original_response is None
    assert server.requests[1].header("Cookie") == "a=1; b=2"


def _events(conn: RawConnection) -> None:
    conn.read_request()
    conn.send_head(headers=[("Transfer-Encoding", "chunked")])
    for event in (b'{"a": 1}', b'{"b": 2}'):
        conn.send_chunk(event)
    conn.stall()
    conn.send_chunk(b'{"c": 3}')
    conn.send_chunk(b"")


def test_the_body_below_raw(http: requests.Session, raw_server: StartRawServer) -> None:
    """A body says that it has chunks, and what can be read at once, as http.client's does.

    So docker's SDK takes events: a byte, and then what is left.
    """
    wire = raw_server(_events)
    raw: Any = http.get(wire.url, stream=True).raw
    assert raw._fp.chunked
    conn = wire.wait_until_stalled()
    taken = b""
    while len(taken) < 16:
        taken += raw.read(1)
        taken += raw.read(raw._fp.chunk_left)
    assert taken == b'{"a": 1}{"b": 2}'
    conn.proceed()
    assert raw.read(1) + raw.read(raw._fp.chunk_left or 0) + raw.read() == b'{"c": 3}'
    whole: Any = http.get(raw_server(_in_chunks_at_once).url).raw
    assert whole._fp.chunked


def _in_chunks_at_once(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")


def test_the_timeout_of_a_stream_may_be_changed(
    http: requests.Session, raw_server: StartRawServer
) -> None:
    """`settimeout` of the socket below holds for what comes: docker's SDK lifts it for logs."""

    def silent(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Transfer-Encoding", "chunked")])
        conn.send_chunk(b"first")
        conn.stall()
        conn.send_chunk(b"second")
        conn.send_chunk(b"")

    wire = raw_server(silent)
    raw: Any = http.get(wire.url, stream=True, timeout=30).raw
    assert raw.read(5) == b"first"
    raw._fp.fp.raw._sock.settimeout(0.05)
    fault = fault_of(raw.read)
    assert isinstance(fault, urllib3.exceptions.ReadTimeoutError)


def test_a_stream_ends_when_its_socket_is_shut_down(
    http: requests.Session, raw_server: StartRawServer
) -> None:
    """Another thread ends a stream that is read by the socket below it, as docker's SDK does."""
    wire = raw_server(_events)
    raw: Any = http.get(wire.url, stream=True).raw
    raw.read(16)
    faults: list[BaseException] = []
    reader = threading.Thread(target=lambda: faults.append(fault_of(lambda: raw.read(1))))
    reader.start()
    wire.wait_until_stalled()
    raw._fp.fp.raw._sock.shutdown(socket.SHUT_RDWR)
    reader.join(BOUND)
    assert isinstance(faults[0], urllib3.exceptions.ProtocolError)


def test_after_an_error_a_body_is_at_its_end(side: Side, raw_server: StartRawServer) -> None:
    """A body that was cut off is closed once that has been told, as by urllib3."""

    def cut(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhello")

    with side.session() as session:
        raw: Any = session.get(raw_server(cut).url, stream=True).raw
        assert isinstance(fault_of(raw.read), urllib3.exceptions.ProtocolError)
        assert (raw.closed, raw.read()) == (True, b"")
        raw = session.get(raw_server(cut).url, stream=True).raw
        raw.drain_conn()
        assert (raw.closed, raw.read()) == (True, b"")
