"""BodyWriter: bodies that other threads push while a request sends them."""

import csv
import gc
import gzip
import hashlib
import io
import shutil
import tarfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest

import syncclient
from syncclient import BodyWriter
from tests.servers.content import pattern
from tests.servers.raw import RawConnection, StartRawServer

LARGE = 5 * 2**20 + 3


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    """A pool of threads to make requests in, while the test writes."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


def posted(
    aside: ThreadPoolExecutor, session: syncclient.Session, url: str, body: BodyWriter
) -> "Future[syncclient.Response]":
    return aside.submit(session.post, url, data=body, timeout=20)


def assert_uploaded(response: syncclient.Response, body: bytes) -> None:
    view = response.json()
    assert view["sha256"] == hashlib.sha256(body).hexdigest()
    assert view["transfer_encoding"] == "chunked"


# Writing.


def test_what_is_written_is_sent(aside: ThreadPoolExecutor, session: syncclient.Session) -> None:
    """copyfileobj() into a BodyWriter uploads the file, however large."""
    body = BodyWriter()
    future = posted(aside, session, "/upload", body)
    shutil.copyfileobj(io.BytesIO(pattern(LARGE)), body)
    body.close()
    assert_uploaded(future.result(20), pattern(LARGE))
    assert body.closed
    assert body.tell() == LARGE


def test_submit_takes_a_body_writer(session: syncclient.Session) -> None:
    """One thread alone submits the request and then writes its body."""
    with BodyWriter() as body:
        future = session.submit("POST", "/upload", data=body)
        for _ in range(100):
            assert body.write(pattern(65536)) == 65536
    assert_uploaded(future.result(20), pattern(65536) * 100)


def test_many_threads_write(aside: ThreadPoolExecutor, session: syncclient.Session) -> None:
    """Any number of threads may write; each write arrives in one piece."""
    body = BodyWriter()
    future = posted(aside, session, "/post", body)

    def write(letter: bytes) -> None:
        for _ in range(200):
            body.write(letter * 50)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    with body:  # while the test's thread is in here, the writers may end
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    text = future.result(20).json()["text"]
    pieces = [text[at : at + 50] for at in range(0, len(text), 50)]
    assert sorted(pieces) == ["a" * 50] * 200 + ["b" * 50] * 200 + ["c" * 50] * 200


def _csv(body: BodyWriter) -> None:
    with io.TextIOWrapper(body, "utf-8", newline="") as text:
        csv.writer(text).writerows([["a", "ü"], ["c", "d"]])


def _gzip(body: BodyWriter) -> None:
    with gzip.open(body, "wb") as zipped:
        zipped.write(b"zipped")
    body.close()


def _tar(body: BodyWriter) -> None:
    with tarfile.open(fileobj=body, mode="w|") as tar:
        tar.addfile(tarfile.TarInfo("name"))
    body.close()


def _names_in(sent: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(sent)) as tar:
        return tar.getnames()


@pytest.mark.parametrize(
    ("push", "check"),
    [
        (_csv, lambda sent: sent == "a,ü\r\nc,d\r\n".encode()),
        (_gzip, lambda sent: gzip.decompress(sent) == b"zipped"),
        (_tar, lambda sent: _names_in(sent) == ["name"]),
    ],
)
def test_it_is_a_file_to_others(
    raw_server: StartRawServer,
    aside: ThreadPoolExecutor,
    push: Callable[[BodyWriter], None],
    check: Callable[[bytes], bool],
) -> None:
    """csv, gzip and tarfile write into it as into any binary file."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond()

    server = raw_server(script)
    with syncclient.Session() as session:
        body = BodyWriter()
        future = posted(aside, session, server.url, body)
        push(body)
        future.result(20).read()
    assert check(server.requests[0].body)


def test_each_write_is_on_the_wire_at_once(
    raw_server: StartRawServer, aside: ThreadPoolExecutor
) -> None:
    """What is written goes out before more is written."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.read_until(b"first\r\n")
        conn.stall()
        conn.read_until(b"0\r\n\r\n")
        conn.respond()

    server = raw_server(script)
    with syncclient.Session() as session, BodyWriter() as body:
        future = posted(aside, session, server.url, body)
        body.write(b"first")
        server.wait_until_stalled().proceed()
        body.close()
        assert future.result(20).status == 200


def test_the_response_can_be_read_while_writing(
    raw_server: StartRawServer, aside: ThreadPoolExecutor
) -> None:
    """A server that answers as it reads can be talked to in both directions."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.send_head(headers=[("Transfer-Encoding", "chunked")])
        for word in (b"one", b"two", b"three"):
            conn.read_until(word + b"\r\n")
            conn.send_chunk(word.upper() + b"\n")
        conn.read_until(b"0\r\n\r\n")
        conn.send_chunk(b"")

    with syncclient.Session() as session, BodyWriter() as body:
        with posted(aside, session, raw_server(script).url, body).result(20) as response:
            for word in (b"one", b"two", b"three"):
                body.write(word)
                assert response.content.readline() == word.upper() + b"\n"
            body.close()
            assert response.read() == b""


def test_a_writer_waits_for_a_slow_server(
    raw_server: StartRawServer, aside: ThreadPoolExecutor
) -> None:
    """While the server does not read, a writer is held up, with a few megabytes on the way."""
    written = threading.Event()

    def script(conn: RawConnection) -> None:
        request = conn.read_head()
        conn.stall()
        assert not written.is_set()
        conn.read_body(request)
        conn.respond()

    server = raw_server(script)
    with syncclient.Session() as session:
        body = BodyWriter()
        future = posted(aside, session, server.url, body)

        def write() -> None:
            for _ in range(32):
                body.write(bytes(2**20))
            written.set()
            body.close()

        writing = aside.submit(write)
        conn = server.wait_until_stalled()
        assert not written.wait(0.2)
        assert body.tell() < 16 * 2**20
        conn.proceed()
        writing.result(20)
        assert future.result(20).status == 200
    assert len(server.requests[0].body) == 32 * 2**20


# How it may end.


def test_an_abort_is_the_error_of_the_request(
    session: syncclient.Session, aside: ThreadPoolExecutor
) -> None:
    """The request fails with the very error that the writer aborts with."""
    body = BodyWriter()
    future = posted(aside, session, "/upload", body)
    body.write(b"some")
    error = LookupError("the source has gone")
    body.abort(error)
    assert future.exception(20) is error
    with pytest.raises(ValueError, match="closed"):
        body.write(b"more")


def test_leaving_the_block_by_an_error_aborts(
    session: syncclient.Session, aside: ThreadPoolExecutor
) -> None:
    """An error in the ``with`` block fails the request, with an equal error."""
    body = BodyWriter()
    future = posted(aside, session, "/upload", body)
    with suppress(LookupError), body:
        raise LookupError("here")
    assert isinstance(future.exception(20), LookupError)


def test_an_abort_after_the_head_is_the_readers_error(
    raw_server: StartRawServer, aside: ThreadPoolExecutor
) -> None:
    """Once the response is here, who reads it gets the error of the body."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.send_head(headers=[("Content-Length", "5")])
        conn.read_to_end()

    server = raw_server(script)
    with syncclient.Session() as session, BodyWriter() as body:
        with posted(aside, session, server.url, body).result(20) as response:
            body.abort(LookupError("the source has gone"))
            with pytest.raises(LookupError, match="the source has gone"):
                response.read()
        server.wait_until_closed()


def test_dropping_it_fails_the_request(session: syncclient.Session) -> None:
    """A BodyWriter that nobody holds any more can only be incomplete."""
    body = BodyWriter()
    body.write(b"some")
    future = session.submit("POST", "/upload", data=body)
    del body
    gc.collect()
    assert isinstance(future.exception(20), syncclient.ClientPayloadError)
    assert "dropped" in str(future.exception())


def test_the_end_of_its_thread_fails_the_request(
    session: syncclient.Session, aside: ThreadPoolExecutor
) -> None:
    """When the thread that wrote ends without close(), the request fails, and does not hang."""
    body = BodyWriter()
    future = posted(aside, session, "/upload", body)
    thread = threading.Thread(target=body.write, args=(b"some",))
    thread.start()
    thread.join()
    error = future.exception(20)
    assert isinstance(error, syncclient.ClientPayloadError)
    assert "ended without close()" in str(error)


@pytest.mark.parametrize("blocked", [True, False])
def test_the_error_of_the_request_is_raised_in_the_writer(
    raw_server: StartRawServer, aside: ThreadPoolExecutor, blocked: bool
) -> None:
    """A write, under way or the next one, raises what the request failed with."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.stall()
        conn.reset()

    server = raw_server(script)
    with syncclient.Session() as session:
        body = BodyWriter()
        future = posted(aside, session, server.url, body)

        def write() -> None:
            while True:
                body.write(bytes(2**16))

        body.write(b"some")
        conn = server.wait_until_stalled()
        writing = aside.submit(write) if blocked else None
        conn.proceed()
        error = future.exception(20)
        assert isinstance(error, syncclient.ClientConnectionError)
        if writing is None:
            writing = aside.submit(write)
        raised = writing.exception(20)
    assert type(raised) is type(error)
    assert str(raised) == str(error)
    assert raised is not error


def test_a_refusal_is_told_to_the_writer(
    session: syncclient.Session, aside: ThreadPoolExecutor
) -> None:
    """After an early reply the next write says which status it had."""
    body = BodyWriter()
    future = posted(aside, session, "/early-413", body)
    body.write(b"some")
    assert future.result(20).status == 413
    with pytest.raises(syncclient.ClientConnectionError, match="413"):
        body.write(b"more")


def test_a_request_that_is_never_made_frees_the_writer(aside: ThreadPoolExecutor) -> None:
    """Where the request fails before it is sent, a blocked writer gets that error."""
    body = BodyWriter()

    def write() -> None:
        while True:
            body.write(bytes(2**16))

    writing = aside.submit(write)
    session = syncclient.Session()
    session.close()
    with pytest.raises(syncclient.SessionClosedError):
        session.post("http://127.0.0.1:1/", data=body)
    assert isinstance(writing.exception(20), syncclient.SessionClosedError)


def test_closing_the_session_frees_the_writer(
    raw_server: StartRawServer, aside: ThreadPoolExecutor
) -> None:
    """A writer that waits for room gets the error its request gets when the session closes."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.stall()

    server = raw_server(script)
    session = syncclient.Session()
    body = BodyWriter()
    future = posted(aside, session, server.url, body)

    def write() -> None:
        while True:
            body.write(bytes(2**16))

    writing = aside.submit(write)
    server.wait_until_stalled()
    session.close()
    assert isinstance(future.exception(20), syncclient.SessionClosedError)
    assert isinstance(writing.exception(20), syncclient.SessionClosedError)


# What is refused.


def test_it_serves_one_request(session: syncclient.Session) -> None:
    """A second request cannot take from the same BodyWriter."""
    body = BodyWriter()
    body.close()
    session.post("/upload", data=body).read()
    with pytest.raises(ValueError, match="make a new one"):
        session.post("/upload", data=body)


def test_it_takes_bytes_only() -> None:
    """Text is refused, with a word on what to use."""
    with BodyWriter() as body:
        with pytest.raises(TypeError, match="TextIOWrapper"):
            body.write("text")  # type: ignore[arg-type]  # the point of the test


def test_an_unclaimed_writer_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread that writes first and asks later is told so, instead of waiting for itself."""
    monkeypatch.setattr("syncclient._bodies.writer._UNCLAIMED_LIMIT", 0.1)
    monkeypatch.setattr("syncclient._bodies.writer._SLICE", 0.05)
    body = BodyWriter()
    with pytest.raises(RuntimeError, match="no request took it"):
        body.write(bytes(2**21))
    body.close()
