"""Response.content: a body read as it comes, from real servers, well-behaved and not."""

import asyncio
import gc
import gzip
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError
from aiohttp.http_exceptions import LineTooLong

import syncclient
from syncclient import (
    LineTooLongError,
    ReadTimeoutError,
    Response,
    Session,
    SessionClosedError,
    TotalTimeoutError,
)
from syncclient._bodies.stream import StreamReader
from tests.servers.content import pattern, stream_line
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, RawServer, Script, StartRawServer
from tests.wire.requests.test_crossings import crossings

CHUNKED = [("Transfer-Encoding", "chunked")]

#: How much of a body one crossing brings, at the least, when the server is not the slower one.
BUFFER = 2**16


def sending(*pieces: bytes, length: int | None = None, headers: str = "") -> Script:
    """A script that answers with these pieces, each once the test says so, and then closes."""
    body_length = sum(map(len, pieces)) if length is None else length

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(f"HTTP/1.1 200 OK\r\n{headers}Content-Length: {body_length}\r\n\r\n".encode())
        conn.send_slowly(pieces)

    return script


def chunking(*pieces: bytes) -> Script:
    """The same, as the raw bytes of a chunked body."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=CHUNKED)
        conn.send_slowly(pieces)

    return script


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def waiting(pool: ThreadPoolExecutor, session: Session, read: Callable[[], Any]) -> "Future[Any]":
    """Have another thread call ``read``, and return when that waits on the loop thread."""
    before = crossings(session)
    future = pool.submit(read)
    until = time.monotonic() + 5
    while crossings(session) == before:
        assert time.monotonic() < until
        assert not future.done()
    return future


# Whole bodies.


@pytest.mark.parametrize("query", ["", "?chunked=1"], ids=["length", "chunked"])
def test_every_way_of_reading_gives_the_whole_body(session: Session, query: str) -> None:
    """Pieces, lines, chunks, all at once: the bytes are the server's, in order."""
    size = 3_000_017
    body, url = pattern(size), f"/bytes/{size}{query}"
    ways: list[Callable[[StreamReader], Any]] = [
        lambda content: content.read(),
        lambda content: content.readall(),
        lambda content: content.readexactly(size),
        lambda content: b"".join(content),
        lambda content: b"".join(content.iter_any()),
        lambda content: b"".join(content.iter_chunked(1000)),
        lambda content: b"".join(content.iter_chunked(2**20)),
        lambda content: b"".join(data for data, _ in content.iter_chunks()),
        lambda content: b"".join(iter(lambda: content.readline(77), b"")),
        lambda content: b"".join(iter(lambda: content.readuntil(b"\0\1"), b"")),
    ]
    for way in ways:
        with session.get(url) as response:
            assert way(response.content) == body
            # Who asked for no more than all its bytes may not know yet that it ends there.
            assert response.content.read() == response.content.readline() == b""
            assert response.content.at_eof()
            assert response.content.total_bytes == size
            assert response.closed
            assert not response.content.closed


@pytest.mark.parametrize("path", ["/gzip", "/deflate", "/brotli", "/zstd"])
def test_a_compressed_body_is_decompressed_as_it_comes(session: Session, path: str) -> None:
    """The bytes are the decompressed ones; what the server sent for them is counted apart."""
    size = 2_000_000
    with session.get(f"{path}?size={size}") as response:
        content = response.content
        assert b"".join(content.iter_chunked(5000)) == pattern(size)
        assert content.total_bytes == size
        assert content.total_raw_bytes == content.total_compressed_bytes == response.content_length


@pytest.mark.parametrize("path", ["/empty", "/status/304", "/bytes/0", "/bytes/0?chunked=1"])
def test_an_empty_body_is_a_stream_at_its_end(session: Session, path: str) -> None:
    """Every read says so, and none blocks."""
    with session.get(path) as response:
        content = response.content
        assert content.read() == content.readline() == content.readany() == content.read(5) == b""
        assert content.readchunk() == (b"", False)
        assert (list(content), content.at_eof(), content.is_eof()) == ([], True, True)
        with pytest.raises(asyncio.IncompleteReadError):
            content.readexactly(1)
        assert response.read() == b""


def test_the_reply_to_head_has_an_empty_stream(session: Session) -> None:
    """The stream of a reply to HEAD is empty, whatever its Content-Length says."""
    with session.head("/bytes/1000000") as response:
        assert response.content.read() == b""


def test_a_body_that_came_with_the_head_is_a_stream_too(session: Session) -> None:
    """Its bytes can be read in pieces, and reading the response afterwards gives the rest."""
    body = session.get("/json").read()
    before = crossings(session)
    with session.get("/json") as response:
        assert response.content.read(30) == body[:30]
        assert response.read() == body[30:]
        assert response.content.read() == b""
    with session.get("/json") as response:
        assert response.read() == body
        assert (response.content.read(), response.content.total_bytes) == (b"", len(body))
    assert crossings(session) - before == 2


# Crossings: what is here is not asked for again.


def test_a_million_lines_cost_a_crossing_for_each_buffer(
    raw_server: StartRawServer,
) -> None:
    """Lines are cut on this side."""
    lines = 1_000_000
    body = b"a line\n" * lines

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(body)

    with Session() as session, session.get(raw_server(script).url) as response:
        before = crossings(session)
        assert sum(1 for _ in response.content) == lines
        assert crossings(session) - before <= len(body) / BUFFER + 2


def test_single_bytes_of_64_kib_cost_a_handful_of_crossings(session: Session) -> None:
    """Small pieces are cut on this side."""
    with session.get("/bytes/65536") as response:
        before = crossings(session)
        assert sum(1 for _ in response.content.iter_chunked(1)) == 65536
        assert crossings(session) - before <= 5


def test_reads_of_many_pieces_are_one_crossing(session: Session) -> None:
    """The rest of a body, or a number of bytes, is waited for on the other side."""
    with session.get("/bytes/3000000") as response:
        before = crossings(session)
        response.content.readexactly(2_500_000)
        assert crossings(session) - before == 1
        response.content.read()
        assert crossings(session) - before <= 2


def test_a_body_in_tiny_http_chunks_is_read_by_the_buffer(raw_server: StartRawServer) -> None:
    """A line in a chunk of its own is still cut on this side."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=CHUNKED)
        conn.send(b"5\r\nline\n\r\n" * 20_000 + b"0\r\n\r\n")

    with Session() as session, session.get(raw_server(script).url) as response:
        before = crossings(session)
        assert list(response.content) == [b"line\n"] * 20_000
        assert crossings(session) - before < 30


# As it comes.


def test_a_read_returns_with_the_first_bytes(raw_server: StartRawServer) -> None:
    """A read returns with the first bytes, and does not wait for as many as were asked for."""
    wire = raw_server(sending(b"ab", b"cd"))
    with Session() as session, session.get(wire.url) as response:
        conn = wire.wait_until_stalled()
        assert response.content.read_nowait() == b""
        conn.proceed()
        assert response.content.read(1000) == b"ab"
        assert not response.content.at_eof()
        conn.proceed()
        assert response.content.readany() == b"cd"
        assert response.content.readany() == b""


def test_a_line_in_pieces_is_put_together(raw_server: StartRawServer) -> None:
    """A line is put together from pieces of any size; the last one needs no newline."""
    wire = raw_server(sending(b"on", b"e\ntw", b"o\nthree\nfo", b"ur"))
    with Session() as session, session.get(wire.url) as response:
        wire.wait_until_connected().proceed(4)
        assert list(response.content) == [b"one\n", b"two\n", b"three\n", b"four"]


def test_a_separator_in_pieces_is_found(raw_server: StartRawServer) -> None:
    """A separator is found even if its bytes come one by one."""
    pieces = [bytes([byte]) for byte in b"ab--c--=-d--=-"]
    wire = raw_server(sending(*pieces))
    with Session() as session, session.get(wire.url) as response:
        wire.wait_until_connected().proceed(len(pieces))
        assert response.content.readuntil(b"--=-") == b"ab--c--=-"
        assert response.content.readuntil(b"--=-") == b"d--=-"
        assert response.content.readuntil(b"--=-") == b""


def test_http_chunks_are_told_apart(raw_server: StartRawServer) -> None:
    """Chunks of odd sizes, with extensions and trailers, however they are cut on the wire."""
    body = b"3\r\nabc\r\n1;x=y\r\nd\r\n00a\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n"
    expected = [b"abc", b"d", b"0123456789"]
    for step in (1, 2, 7, len(body)):
        pieces = [body[at : at + step] for at in range(0, len(body), step)]
        wire = raw_server(chunking(*pieces))
        with Session() as session, session.get(wire.url) as response:
            wire.wait_until_connected().proceed(len(pieces))
            chunks, chunk = [], b""
            for data, at_end in response.content.iter_chunks():
                chunk += data
                if at_end:
                    chunks.append(chunk)
                    chunk = b""
            assert (chunks, chunk) == (expected, b"")


def test_the_end_of_an_http_chunk_is_told_before_more_comes(raw_server: StartRawServer) -> None:
    """It may come after the chunk's last byte, and a reader of chunks need not wait for more."""
    wire = raw_server(chunking(b"3\r\nabc", b"\r\n", b"0\r\n\r\n"))
    with Session() as session, session.get(wire.url) as response:
        conn = wire.wait_until_stalled()
        conn.proceed()
        assert response.content.readchunk() == (b"abc", False)
        conn.wait_until_stalled()
        conn.proceed()
        assert response.content.readchunk() == (b"", True)
        conn.wait_until_stalled()
        conn.proceed()
        assert response.content.readchunk() == (b"", False)


def test_too_long_a_line_is_refused(raw_server: StartRawServer) -> None:
    """The limit is twice the read buffer, as in aiohttp, or what the call says."""
    body = b"short\n" + b"x" * 5000 + b"\nlast\n"
    wire = raw_server(sending(body, length=len(body) + 1))
    with Session(read_bufsize=1024) as session, session.get(wire.url) as response:
        wire.wait_until_connected().proceed()
        lines = iter(response.content)
        assert next(lines) == b"short\n"
        # A ClientError as well: the server has decided how long the line is.
        with pytest.raises(LineTooLongError, match=r"2048 bytes: pass readline\(\) a larger"):
            next(lines)
    wire = raw_server(sending(body))
    with Session() as session, session.get(wire.url) as response:
        wire.wait_until_connected().proceed()
        with pytest.raises(LineTooLong):
            response.content.readline(max_line_length=3)
        assert len(response.content.readline()) == 5001


@pytest.mark.parametrize(("read_bufsize", "fits"), [(100_000, False), (400_000, True)])
def test_the_limit_of_a_line_holds_for_the_first_one(
    raw_server: StartRawServer, read_bufsize: int, fits: bool
) -> None:
    """Also where nothing of the body has come before the line is asked for."""
    wire = raw_server(sending(b"x" * 600_000))
    with Session(read_bufsize=read_bufsize) as session, session.get(wire.url) as response:
        wire.wait_until_connected().proceed()
        if fits:
            assert len(response.content.readline()) == 600_000
        else:
            with pytest.raises(LineTooLong, match="200000"):
                response.content.readline()


# Faults.


@pytest.mark.parametrize(
    "read",
    [lambda content: content.read(), lambda content: content.readexactly(10), list],
    ids=["read", "readexactly", "lines"],
)
def test_a_body_cut_short_gives_its_bytes_and_then_the_error(
    raw_server: StartRawServer, read: Callable[[StreamReader], object]
) -> None:
    """What came is not lost, and what is missing does not pass for the end."""
    wire = raw_server(sending(b"some", b" more", length=10))
    with Session() as session, session.get(wire.url) as response:
        conn, content = wire.wait_until_connected(), response.content
        conn.proceed(2)
        conn.wait_until_ended()
        with pytest.raises(ClientPayloadError, match=r"GET http://.* while reading the body"):
            read(content)
        assert content.read(100) == b"some more"
        for _ in range(2):
            with pytest.raises(ClientPayloadError):
                content.read(1)
        assert isinstance(content.exception(), ClientPayloadError)
        assert (content.at_eof(), content.is_eof(), response.closed) == (False, False, True)


@pytest.mark.parametrize(
    "script",
    [
        chunking(b"5\r\nhello\r\nnonsense\r\n"),
        chunking(b"5\r\nhello"),
        chunking(b"5\r\nhello\r\n5\r\nhell"),
        sending(
            gzip.compress(b"hello" * 1000)[:-20],
            length=100,
            headers="Content-Encoding: gzip\r\n",
        ),
        sending(b"no gzip at all", headers="Content-Encoding: gzip\r\n"),
    ],
    ids=["bad chunk size", "no chunk end", "cut in a chunk", "gzip cut off", "no gzip"],
)
def test_a_corrupt_body_is_an_error(raw_server: StartRawServer, script: Script) -> None:
    """Never a silent end."""
    wire = raw_server(script)
    with Session() as session:
        response = session.get(wire.url)
        with response:
            wire.wait_until_connected().proceed()
            with pytest.raises(ClientPayloadError, match=r"GET http://.* while reading the body"):
                for _ in response.content.iter_any():
                    pass
            assert response.closed


def test_a_body_that_goes_wrong_under_a_reader_wakes_it(
    raw_server: StartRawServer, pool: ThreadPoolExecutor
) -> None:
    """aiohttp's C parser closes the connection and does not tell the one who waits for more."""
    wire = raw_server(chunking(b"5\r\nhello\r\n", b"nonsense\r\n"))
    with Session() as session, session.get(wire.url) as response:
        conn = wire.wait_until_stalled()
        conn.proceed()
        assert response.content.read(5) == b"hello"
        conn.wait_until_stalled()
        reader = waiting(pool, session, lambda: response.content.read(5))
        conn.proceed()
        with pytest.raises(ClientPayloadError, match="malformed"):
            reader.result(20)


@pytest.mark.parametrize(
    ("timeout", "error", "limit"),
    [
        (0.3, TotalTimeoutError, "timeout.total is 0.3 s"),
        (syncclient.ClientTimeout(sock_read=0.3), ReadTimeoutError, "timeout.sock_read is 0.3 s"),
    ],
    ids=["total", "sock_read"],
)
def test_a_stalled_body_times_out(
    raw_server: StartRawServer,
    timeout: Any,
    error: type[Exception],
    limit: str,
) -> None:
    """A stalled body raises our timeout errors, which name the phase; the connection is closed."""
    wire = raw_server(sending(b"some", b"never"))
    with Session() as session, session.get(wire.url, timeout=timeout) as response:
        conn = wire.wait_until_stalled()
        conn.proceed()
        assert response.content.readexactly(4) == b"some"
        for _ in range(2):
            with pytest.raises(error, match=f"reading the body.*{limit}"):
                response.content.read(1)
        conn.wait_until_closed()


# One reader at a time.


@pytest.mark.parametrize(
    "second",
    [
        lambda r: r.content.read(1),
        lambda r: r.content.read(),
        lambda r: r.content.readline(),
        lambda r: next(iter(r.content)),
        lambda r: r.content.readchunk(),
        lambda r: r.content.readinto(bytearray(1)),
        lambda r: r.content.read_nowait(),
        lambda r: r.read(),
        lambda r: r.text(),
    ],
    ids=[
        "read",
        "read all",
        "readline",
        "lines",
        "readchunk",
        "readinto",
        "read_nowait",
        "response.read",
        "response.text",
    ],
)
def test_a_second_reader_is_refused_at_once(
    raw_server: StartRawServer, pool: ThreadPoolExecutor, second: Callable[[Response], object]
) -> None:
    """While the first waits, half of what it wants here already; the first then gets it all."""
    wire = raw_server(sending(b"half", b" and half\n"))
    with Session() as session, session.get(wire.url) as response:
        conn = wire.wait_until_stalled()
        conn.proceed()
        assert response.content.read(1) == b"h"
        conn.wait_until_stalled()
        first = waiting(pool, session, response.content.readline)
        with pytest.raises(RuntimeError, match="one reader at a time"):
            second(response)
        conn.proceed()
        assert first.result(20) == b"alf and half\n"


def test_readers_may_take_turns(session: Session, pool: ThreadPoolExecutor) -> None:
    """A stream belongs to no thread."""
    with session.get("/bytes/300000") as response:
        parts = [pool.submit(response.content.readexactly, 100_000).result(10) for _ in range(3)]
    assert b"".join(parts) == pattern(300_000)


# Endings: the connection is given back or closed, at once, and no reader waits for ever.


@pytest.mark.parametrize(
    "end",
    [Response.close, Response.release, lambda response: response.content.close()],
    ids=["close", "release", "content.close"],
)
def test_closing_wakes_the_reader(
    raw_server: StartRawServer, pool: ThreadPoolExecutor, end: Callable[[Response], None]
) -> None:
    """close() in another thread wakes the reader with an error; the server sees the end."""
    wire = raw_server(sending(b"some", b"never"))
    with Session() as session:
        response = session.get(wire.url)
        conn = wire.wait_until_stalled()
        reader = waiting(pool, session, response.content.read)
        end(response)
        with pytest.raises(ClientConnectionError):
            reader.result(20)
        conn.wait_until_closed()
        assert response.closed and response.content.closed


def test_the_sessions_end_wakes_the_reader(
    raw_server: StartRawServer, pool: ThreadPoolExecutor
) -> None:
    """The session's end raises SessionClosedError in the reader; what had arrived can be read."""
    wire = raw_server(sending(b"some", b"never"))
    session = Session()
    response = session.get(wire.url)
    conn = wire.wait_until_stalled()
    conn.proceed()
    assert response.content.read(1) == b"s"
    reader = waiting(pool, session, lambda: response.content.readexactly(10))
    session.close()
    with pytest.raises(SessionClosedError):
        reader.result(20)
    assert response.content.read(10) == b"ome"
    with pytest.raises((SessionClosedError, ClientConnectionError)):
        response.content.read(10)


@pytest.mark.parametrize("how", ["break", "raise", "drop", "drop the stream"])
def test_a_loop_left_early_leaks_no_connection(app: AppServer, how: str) -> None:
    """The server sees the unread response end, though nobody waits for that."""
    opened = app.stats().connections_open

    def take_one(session: Session) -> None:
        if how == "drop":
            for _ in session.get("/bytes/100000000").content:
                return
        if how == "drop the stream":
            content = session.get("/bytes/100000000").content
            assert content.read(10) == pattern(10)
            return
        with session.get("/bytes/100000000") as response:
            for _ in response.content.iter_chunked(1000):
                if how == "raise":
                    raise LookupError
                break

    with Session(app.url) as session:
        if how.startswith("drop"):
            with pytest.warns(ResourceWarning, match="unread response to GET .* dropped"):
                take_one(session)
        elif how == "raise":
            with pytest.raises(LookupError):
                take_one(session)
        else:
            take_one(session)
        app.wait_until(lambda stats: stats.total_in_flight == 0)
        assert session.get("/json").status == 200
    app.wait_until(lambda stats: stats.connections_open == opened)


def test_a_body_read_to_its_end_gives_the_connection_back(app: AppServer) -> None:
    """Without leaving a block or releasing: the next request goes out on it."""
    with Session(app.url) as session:
        numbers = set()
        for _ in range(3):
            for _chunk in session.get("/bytes/2000000").content.iter_chunked(65536):
                pass
            numbers.add(session.get("/connections").json()["this"])
        assert len(numbers) == 1


def test_the_stream_outlives_its_response(session: Session) -> None:
    """Who keeps ``content`` alone can read it to the end."""
    content = session.get("/bytes/2000000").content
    gc.collect()
    assert content.read() == pattern(2_000_000)


def test_a_released_stream_raises(session: Session) -> None:
    """Even of what was here, as in aiohttp; and an iteration that goes on notices it."""
    response = session.get("/bytes/2000000")
    lines = iter(response.content)
    next(lines)
    response.release()
    for read in (response.content.read, response.content.readline, lines.__next__, response.read):
        with pytest.raises(ClientConnectionError, match="released"):
            read()
    with session.get("/json") as response:
        pass
    with pytest.raises(ClientConnectionError, match="released"):
        response.content.read()


# What is left for read(), text() and json().


def test_reading_the_response_gives_what_the_stream_has_left(raw_server: StartRawServer) -> None:
    """read() of the response returns the rest of the stream, as aiohttp's does, and keeps it."""
    body = 'xyz{"a": "ü"}'.encode()

    def wired() -> RawServer:
        return raw_server(sending(body[:5], body[5:], headers="Content-Type: application/json\r\n"))

    for read, expected in (
        (Response.read, body[3:]),
        (Response.text, body[3:].decode()),
        (Response.json, {"a": "ü"}),
    ):
        wire = wired()
        with Session() as session, session.get(wire.url) as response:
            wire.wait_until_connected().proceed(2)
            assert response.content.readexactly(3) == body[:3]
            assert read(response) == expected
            assert read(response) == expected
            assert response.content.read() == b""


def test_tracers_are_told_of_a_body_read_whole(app: AppServer) -> None:
    """Tracers are told of the response's read(), and not of its stream's, as in aiohttp."""
    seen: list[bytes] = []

    async def note(session: object, context: object, params: Any) -> None:
        seen.append(params.chunk)

    config = syncclient.TraceConfig()
    config.on_response_chunk_received.append(note)
    with Session(app.url, trace_configs=[config]) as session:
        session.get("/bytes/2000000").content.read()
        assert seen == []
        assert session.get("/bytes/2000000").read() == pattern(2_000_000)
        assert seen == [pattern(2_000_000)]


# Backpressure.


def test_a_reader_that_takes_its_time_makes_the_server_wait(raw_server: StartRawServer) -> None:
    """The server cannot send on while nobody reads: its end of a large body is not reached."""
    sent = 0
    full = threading.Event()

    def script(conn: RawConnection) -> None:
        nonlocal sent
        conn.read_request()
        conn.send_head(headers=[("Content-Length", str(2**30))])
        conn.sock.settimeout(0.5)
        try:
            while sent < 2**30:
                sent += conn.sock.send(bytes(2**16))
        except TimeoutError:
            full.set()
        conn.read_to_end()

    wire = raw_server(script)
    with Session() as session, session.get(wire.url) as response:
        response.content.read(1)
        assert full.wait(10)
        # Ours is a megabyte or so of it, the rest are the socket buffers of the system.
        assert sent < 2**25


def test_a_bomb_is_read_in_small_pieces(raw_server: StartRawServer) -> None:
    """Who reads a chunk of 200 MiB has not inflated the rest for it."""
    compressor = zlib.compressobj(9, wbits=31)
    zeros = bytes(2**20)
    bomb = b"".join(compressor.compress(zeros) for _ in range(200)) + compressor.flush()
    wire = raw_server(sending(bomb, headers="Content-Encoding: gzip\r\n"))
    with Session() as session, session.get(wire.url) as response:
        wire.wait_until_connected().proceed()
        assert response.content.read(10) == bytes(10)
        assert response.content.total_bytes < 2**21


def test_lines_of_a_stream_come_one_by_one(session: Session) -> None:
    """A line is handed out when it is there, not when the buffer is full."""
    with session.get("/stream/5?delay=0.05") as response:
        lines = list(response.content)
    assert lines == [stream_line(number).encode() + b"\n" for number in range(5)]
