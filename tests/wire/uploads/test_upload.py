"""Bodies of requests: what may be given, who reads it where, and how it ends."""

import asyncio
import contextvars
import gzip
import hashlib
import io
import mmap
import os
import signal
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import syncclient
from tests.children import RunChild
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

LARGE = 3 * 2**20 + 17


class UserError(Exception):
    """What code of the user's raises."""


def uploaded(session: syncclient.Session, data: object, **options: Any) -> dict[str, Any]:
    """What the server says about the body it got."""
    with session.post("/upload", data=data, timeout=20, **options) as response:
        assert response.status == 200
        view: dict[str, Any] = response.json()
        return view


def assert_arrived(view: dict[str, Any], body: bytes, *, chunked: bool) -> None:
    assert view["sha256"] == hashlib.sha256(body).hexdigest()
    assert view["content_length"] == (None if chunked else str(len(body)))
    assert view["transfer_encoding"] == ("chunked" if chunked else None)


def blocks(body: bytes, size: int = 65536) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


# What may be given.


@pytest.mark.parametrize("length", [0, 10, 2**20, LARGE])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_bytes_in_every_shape_are_sent_whole_and_with_their_length(
    session: syncclient.Session, kind: Callable[[bytes], object], length: int
) -> None:
    """Bytes-like bodies of any size arrive with a Content-Length, and without a warning."""
    body = pattern(length)
    assert_arrived(uploaded(session, kind(body)), body, chunked=False)


def test_a_memoryview_with_gaps_is_sent(session: syncclient.Session) -> None:
    """A view that is not contiguous is sent as the bytes it shows."""
    body = pattern(LARGE)
    assert_arrived(uploaded(session, memoryview(body)[::2]), body[::2], chunked=False)


def test_a_mapped_file_is_sent(session: syncclient.Session, tmp_path: Path) -> None:
    """An mmap is sent like a file: from where it stands."""
    path = tmp_path / "mapped"
    path.write_bytes(pattern(LARGE))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        mapped.seek(5)
        assert_arrived(uploaded(session, mapped), pattern(LARGE)[5:], chunked=False)


@pytest.mark.parametrize("repeat", [1, 2**20])
def test_text_is_sent_as_utf_8(session: syncclient.Session, repeat: int) -> None:
    """A str is encoded as UTF-8, and says so, whatever its size."""
    view = uploaded(session, "Grüße" * repeat)
    assert_arrived(view, ("Grüße" * repeat).encode(), chunked=False)
    assert view["content_type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    "form", [{"a": "1", "b": ["x", "ü"]}, [("a", "1"), ("b", "x"), ("b", "ü")]]
)
def test_a_dict_or_pairs_are_a_form(session: syncclient.Session, form: object) -> None:
    """A dict and a list of pairs are sent URL-encoded."""
    with session.post("/post", data=form) as response:
        assert response.json()["form"] == [["a", "1"], ["b", "x"], ["b", "ü"]]


def test_a_large_form_is_sent(session: syncclient.Session) -> None:
    """A form of megabytes is sent, without a warning."""
    view = uploaded(session, {"a": "x" * LARGE})
    assert view["length"] == LARGE + 2
    assert view["content_type"] == "application/x-www-form-urlencoded"


def test_an_iterator_is_sent_in_chunks(session: syncclient.Session) -> None:
    """An iterator may yield bytes, bytearrays and memoryviews, empty ones too."""
    parts = [b"one", b"", bytearray(b"two"), memoryview(b"three"), b"x" * 300_000]
    view = uploaded(session, iter(parts))
    assert_arrived(view, b"onetwothree" + b"x" * 300_000, chunked=True)
    assert view["content_type"] == "application/octet-stream"


def test_a_chunk_may_be_reused_by_its_generator(session: syncclient.Session) -> None:
    """A generator may yield the same buffer again and again, filled anew each time."""
    buffer = bytearray(1000)

    def refilled() -> Iterator[bytearray]:
        for number in range(200):
            buffer[:] = bytes([number]) * 1000
            yield buffer

    expected = b"".join(bytes([number]) * 1000 for number in range(200))
    assert_arrived(uploaded(session, refilled()), expected, chunked=True)


def test_an_iterator_with_a_content_length_is_not_chunked(session: syncclient.Session) -> None:
    """With a Content-Length header an iterator is sent under that length."""
    view = uploaded(session, iter([b"abc", b"de"]), headers={"Content-Length": "5"})
    assert_arrived(view, b"abcde", chunked=False)


@pytest.mark.parametrize("length", ["4", "6"])
def test_an_iterator_that_breaks_its_content_length_fails(
    session: syncclient.Session, length: str
) -> None:
    """Neither a truncated nor a short body is passed off as the announced one."""
    with pytest.raises(syncclient.ClientPayloadError, match=r"Content-Length|ended after 5 of 6"):
        uploaded(session, iter([b"abc", b"de"]), headers={"Content-Length": length})


def test_an_async_iterator_runs_on_the_loop(session: syncclient.Session) -> None:
    """An asynchronous generator runs on the loop thread, in the caller's context, and is closed."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("the caller's")
    seen: list[str] = []
    closed = threading.Event()

    async def chunks() -> AsyncIterator[bytes]:
        try:
            for number in range(5):
                await asyncio.sleep(0)
                seen.append(threading.current_thread().name + variable.get())
                yield b"%d" % number
        finally:
            closed.set()

    assert_arrived(uploaded(session, chunks()), b"01234", chunked=True)
    assert set(seen) == {"syncclient-loopthe caller's"}
    assert closed.wait(20)


def test_compressed_data_keeps_its_encoding(session: syncclient.Session) -> None:
    """Data that is compressed already goes out as it is, under its Content-Encoding."""
    with session.post(
        "/post", data=gzip.compress(b"text"), headers={"Content-Encoding": "gzip"}
    ) as response:
        assert response.json()["text"] == "text"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_generator_is_compressed_on_the_way(session: syncclient.Session, coding: str) -> None:
    """``compress=`` works for bodies that are pulled."""
    body = pattern(LARGE)
    assert_arrived(uploaded(session, blocks(body), compress=coding), body, chunked=True)


def test_a_body_waits_for_100_continue(raw_server: StartRawServer) -> None:
    """With ``expect100`` nothing is pulled before the server asks for the body."""
    pulled = threading.Event()

    def script(conn: RawConnection) -> None:
        request = conn.read_head()
        assert not pulled.is_set()
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.read_body(request)
        conn.respond(b"ok")

    def chunks() -> Iterator[bytes]:
        pulled.set()
        yield b"body"

    server = raw_server(script)
    with syncclient.Session() as session:
        with session.post(server.url, data=chunks(), expect100=True) as response:
            assert response.read() == b"ok"
    assert server.requests[0].body == b"body"


def test_a_refused_100_continue_sends_nothing(raw_server: StartRawServer) -> None:
    """A server that refuses instead of asking for the body gets none of it."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.respond(b"no", status="417 Expectation Failed")
        assert conn.read_to_end() == b""

    def chunks() -> Iterator[bytes]:
        yield pytest.fail("pulled")

    with syncclient.Session() as session:
        with session.post(raw_server(script).url, data=chunks(), expect100=True) as response:
            assert (response.status, response.read()) == (417, b"no")


# Files.


def test_a_file_is_sent_from_where_it_stands(session: syncclient.Session, tmp_path: Path) -> None:
    """What is left of a file is sent, with its length; the file stays open, at its end."""
    path = tmp_path / "file.txt"
    path.write_bytes(pattern(LARGE))
    with path.open("rb") as file:
        file.seek(100)
        view = uploaded(session, file)
        assert not file.closed
        assert file.tell() == LARGE
    assert_arrived(view, pattern(LARGE)[100:], chunked=False)
    assert view["content_type"] == "text/plain"


def test_an_empty_file_has_a_length(session: syncclient.Session) -> None:
    """An empty file is an empty body with a Content-Length of 0."""
    with tempfile.TemporaryFile() as file:
        assert_arrived(uploaded(session, file), b"", chunked=False)


def test_wrapped_and_decompressed_files_are_sent(session: syncclient.Session) -> None:
    """Files that are no io.IOBase, and those that do not know their size, are sent too."""
    with tempfile.NamedTemporaryFile() as named:
        named.write(b"named")
        named.seek(0)
        assert_arrived(uploaded(session, named), b"named", chunked=False)
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(b"spooled")
        spooled.seek(2)
        assert_arrived(uploaded(session, spooled), b"ooled", chunked=False)
    with gzip.open(io.BytesIO(gzip.compress(b"unzipped"))) as unzipped:
        assert_arrived(uploaded(session, unzipped), b"unzipped", chunked=True)


def test_a_pipe_is_sent_as_it_comes(raw_server: StartRawServer) -> None:
    """What comes out of a pipe goes out at once, not when a block is full."""
    read_end, write_end = os.pipe()

    def script(conn: RawConnection) -> None:
        conn.read_head()
        assert conn.read_until(b"first\r\n")
        os.write(write_end, b"second")
        os.close(write_end)
        assert conn.read_until(b"0\r\n\r\n").startswith(b"6\r\nsecond")
        conn.respond()

    os.write(write_end, b"first")
    with open(read_end, "rb") as pipe, syncclient.Session() as session:
        with session.post(raw_server(script).url, data=pipe, timeout=10) as response:
            assert response.status == 200


def test_a_file_is_read_in_the_callers_thread(session: syncclient.Session) -> None:
    """Each method of a file object is called in the thread of the caller only."""
    threads: set[str] = set()

    class Watched(io.BytesIO):
        def __getattribute__(self, name: str) -> Any:
            threads.add(threading.current_thread().name)
            return super().__getattribute__(name)

    assert_arrived(uploaded(session, Watched(pattern(LARGE))), pattern(LARGE), chunked=False)
    assert threads == {threading.current_thread().name}


def test_a_file_that_is_cut_meanwhile_fails(session: syncclient.Session, tmp_path: Path) -> None:
    """A file that has become shorter than announced is an error, and not a wait."""
    path = tmp_path / "file"
    path.write_bytes(pattern(LARGE))

    class Cut(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            os.truncate(path, LARGE - 1)
            return super().read(-1 if size is None else size) or b""

    with Cut(path) as file:
        with pytest.raises(syncclient.ClientPayloadError, match=f"of {LARGE} bytes"):
            uploaded(session, file)


def test_the_error_of_a_file_is_the_callers(session: syncclient.Session) -> None:
    """An OSError of the file is neither wrapped nor taken for a fault to be retried."""
    reads: list[int] = []

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            reads.append(1)
            raise OSError(5, "the disk is gone")

    with pytest.raises(OSError, match="the disk is gone") as caught:
        session.put("/upload", data=Broken(b"x"))
    assert type(caught.value) is OSError
    assert len(reads) == 1


# Generators: whose thread, whose context, whose errors.


def test_a_generator_runs_in_the_callers_thread_and_context(session: syncclient.Session) -> None:
    """Thread-locals and context variables of the caller are there in a generator."""
    local = threading.local()
    local.value = "local"
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("context")

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield (local.value + variable.get()).encode() * 1000
        variable.set("changed")

    assert_arrived(uploaded(session, chunks()), b"localcontext" * 100_000, chunked=True)
    assert variable.get() == "changed"


def test_a_generator_may_call_the_session(session: syncclient.Session) -> None:
    """A generator may itself make requests, and stream the body of one."""

    def chunks() -> Iterator[bytes]:
        for length in (10, 200_000):
            with session.get(f"/bytes/{length}") as response:
                yield from response.content.iter_chunked(50_000)

    assert_arrived(uploaded(session, chunks()), pattern(10) + pattern(200_000), chunked=True)


def test_a_slow_generator_is_sent_as_it_yields(raw_server: StartRawServer) -> None:
    """A chunk is on the wire while the generator has not yielded the next one."""
    arrived = threading.Event()

    def script(conn: RawConnection) -> None:
        conn.read_head()
        for chunk in (b"first\r\n", b"second\r\n", b"third\r\n"):
            conn.read_until(chunk)
            arrived.set()
        conn.read_until(b"0\r\n\r\n")
        conn.respond()

    def chunks() -> Iterator[bytes]:
        for chunk in (b"first", b"second", b"third"):
            arrived.clear()
            yield chunk
            assert arrived.wait(20)

    with syncclient.Session() as session:
        with session.post(raw_server(script).url, data=chunks(), timeout=10) as response:
            assert response.status == 200


@pytest.mark.parametrize("after", [0, 1, 50])
@pytest.mark.parametrize("error", [UserError("mine"), ValueError(), ConnectionResetError("mine")])
def test_the_error_of_a_generator_reaches_the_caller(
    raw_server: StartRawServer, error: Exception, after: int
) -> None:
    """It arrives as itself, with the generator in its traceback; the connection is closed."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        assert not conn.read_to_end().endswith(b"0\r\n\r\n")

    def chunks() -> Iterator[bytes]:
        for _ in range(after):
            yield b"x" * 65536
        raise error

    server = raw_server(script)
    with syncclient.Session() as session:
        with pytest.raises(type(error)) as caught:
            session.put(server.url, data=chunks(), timeout=10)
        server.wait_until_connected().wait_until_closed()
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert caught.traceback[-1].name == "chunks"


def test_the_error_of_an_async_generator_reaches_the_caller(session: syncclient.Session) -> None:
    """What an asynchronous generator raises arrives as itself, too."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"
        raise UserError("mine")

    with pytest.raises(UserError, match="mine"):
        session.post("/upload", data=chunks())


def test_an_interrupt_in_a_generator_goes_up(session: syncclient.Session) -> None:
    """KeyboardInterrupt in a generator reaches the caller, and the session goes on."""

    def chunks() -> Iterator[bytes]:
        yield b"x"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.post("/upload", data=chunks())
    assert_arrived(uploaded(session, b"after"), b"after", chunked=False)


@pytest.mark.parametrize(
    ("chunk", "message"),
    [("text", "not str: encode it"), (5, "not int"), (None, "NoneType"), (("a", "b"), "a form is")],
)
def test_a_wrong_chunk_is_named(session: syncclient.Session, chunk: object, message: str) -> None:
    """A chunk that is no bytes raises a TypeError that says what to write."""
    with pytest.raises(TypeError, match=f"data: the iterator must give bytes.*{message}"):
        session.post("/upload", data=iter([b"fine", chunk]))


@pytest.mark.parametrize("ending", ["whole", "refused", "failed"])
def test_a_generator_is_closed_in_the_callers_thread(
    session: syncclient.Session, raw_server: StartRawServer, ending: str
) -> None:
    """However the request ends, the generator is closed before the call returns."""
    closed_in: list[threading.Thread] = []

    def chunks() -> Iterator[bytes]:
        try:
            for _ in range(10 if ending == "whole" else 100_000):
                yield b"x" * 65536
        finally:
            closed_in.append(threading.current_thread())

    def script(conn: RawConnection) -> None:
        conn.read_exactly(100_000)
        if ending == "failed":
            conn.reset()
        else:
            conn.respond(status="413 Content Too Large")

    generator = chunks()
    url = "/upload" if ending == "whole" else raw_server(script).url
    if ending == "failed":
        with pytest.raises(syncclient.ClientConnectionError):
            session.post(url, data=generator, timeout=10)
    else:
        session.post(url, data=generator, timeout=10).close()
    assert closed_in == [threading.current_thread()]


def test_an_upload_of_any_size_is_one_crossing(session: syncclient.Session) -> None:
    """The chunks of a generator come to the loop without further calls."""
    session.get("/get").close()
    before = session._portal.crossings
    uploaded(session, blocks(pattern(LARGE)))
    assert session._portal.crossings - before == 1


# Early replies.


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("kind", ["generator", "bytes"])
def test_an_early_refusal_wins(raw_server: StartRawServer, kind: str, loop: str) -> None:
    """A server that answers, and closes without reading on, is heard each time."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.read_exactly(1000)
        conn.respond(b"too large", status="413 Content Too Large")

    body = pattern(2**24)
    thread = syncclient.LoopThread(loop_factory=asyncio.new_event_loop)
    with syncclient.Session(loop_thread=thread if loop == "asyncio" else None) as session:
        server = raw_server(script)
        for _ in range(20):
            data = body if kind == "bytes" else blocks(body)
            with session.post(server.url, data=data, timeout=10) as response:
                assert (response.status, response.read()) == (413, b"too large")


def test_a_refusal_that_streams_on_ends_the_upload(raw_server: StartRawServer) -> None:
    """A refusal is the answer as soon as its head is here; its body can be read at leisure."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.send_head(status="401 Unauthorized", headers=[("Content-Length", "6")])
        conn.send(b"who")
        conn.stall()
        conn.send(b"are")
        conn.read_to_end()

    with syncclient.Session() as session:
        server = raw_server(script)
        endless = iter(lambda: b"x" * 65536, b"")
        with session.post(server.url, data=endless, timeout=10) as response:
            assert response.status == 401
            server.wait_until_stalled().proceed()
            assert response.read() == b"whoare"
        server.wait_until_closed()


def test_an_early_success_lets_the_upload_end(raw_server: StartRawServer) -> None:
    """A server may answer 200 and go on reading: the body is sent to its end."""

    def script(conn: RawConnection) -> None:
        request = conn.read_head()
        conn.send_head(headers=[("Content-Length", "2")])
        conn.read_body(request)
        conn.send(b"ok")

    server = raw_server(script)
    with syncclient.Session() as session:
        with session.post(server.url, data=blocks(pattern(LARGE)), timeout=10) as response:
            assert response.read() == b"ok"
    assert server.requests[0].body == pattern(LARGE)


def test_a_file_stands_behind_the_bytes_sent(raw_server: StartRawServer) -> None:
    """After a refusal the file is where sending stopped, not where reading ahead had got."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.respond(status="413 Content Too Large")
        conn.read_to_end()

    file = io.BytesIO(pattern(2**26))
    with syncclient.Session() as session:
        with session.post(raw_server(script).url, data=file, timeout=10) as response:
            assert response.status == 413
    assert not file.closed
    assert file.tell() < 2**25


# Redirects and retries.


def test_a_redirect_sends_the_body_again(session: syncclient.Session) -> None:
    """A 307 repeats bytes, forms and files, each from where it began."""
    file = io.BytesIO(b"skipped" + pattern(LARGE))
    file.seek(7)
    for data in (pattern(LARGE), bytearray(pattern(LARGE)), file):
        with session.post("/redirect-to?url=/upload&status_code=307", data=data) as response:
            assert_arrived(response.json(), pattern(LARGE), chunked=False)
    assert file.tell() == LARGE + 7


def test_a_redirect_of_a_generator_is_refused(session: syncclient.Session) -> None:
    """A 307 cannot repeat a generator, and the error says what can be repeated."""
    with pytest.raises(syncclient.ClientPayloadError, match="seekable file"):
        session.post("/redirect-to?url=/upload&status_code=307", data=blocks(b"abc"))


def test_a_redirect_to_get_drops_the_body(session: syncclient.Session) -> None:
    """A 303 goes on without the body, and a generator is no hindrance."""
    with session.post("/redirect-to?url=/get&status_code=303", data=blocks(b"abc")) as response:
        assert (response.status, response.method) == (200, "GET")


def test_a_stale_connection_replays_a_file(raw_server: StartRawServer) -> None:
    """A PUT that meets a connection the server has just closed repeats the file from its start."""

    def stale(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond()
        conn.read_head()
        conn.read_some()

    def fresh(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"ok")

    server = raw_server(stale, fresh)
    with syncclient.Session() as session:
        session.get(server.url).read()
        with session.put(server.url, data=io.BytesIO(pattern(LARGE)), timeout=10) as response:
            assert response.read() == b"ok"
    assert server.requests[-1].body == pattern(LARGE)


def test_digest_authentication_asks_twice_for_a_generator(session: syncclient.Session) -> None:
    """A body that is used up when credentials are asked for is a clear error."""

    async def twice(req: Any, handler: Any) -> Any:
        (await handler(req)).release()
        return await handler(req)

    with pytest.raises(syncclient.ClientPayloadError, match="used up"):
        session.post("/upload", data=blocks(b"abc"), middlewares=[twice])
    with session.post("/upload", data=io.BytesIO(b"abc"), middlewares=[twice]) as response:
        assert_arrived(response.json(), b"abc", chunked=False)


# Time, and what ends a wait.


def test_the_total_timeout_covers_the_upload(raw_server: StartRawServer) -> None:
    """A server that stops reading runs into the total timeout, which names the phase."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.stall()

    with syncclient.Session() as session:
        with pytest.raises(syncclient.TotalTimeoutError, match="sending the body"):
            session.post(raw_server(script).url, data=iter(lambda: b"x" * 65536, b""), timeout=0.3)


def test_the_total_timeout_covers_what_follows_an_early_head(raw_server: StartRawServer) -> None:
    """Once the head is here, the rest of the upload is still under the total timeout."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.send_head(headers=[("Content-Length", "2")])
        conn.stall()

    with syncclient.Session() as session:
        with pytest.raises(syncclient.TotalTimeoutError, match="sending the body"):
            session.post(raw_server(script).url, data=iter(lambda: b"x" * 65536, b""), timeout=0.3)


def test_closing_the_session_frees_an_uploader(raw_server: StartRawServer) -> None:
    """A caller whose upload stalls gets SessionClosedError, and its generator is closed."""
    closed = threading.Event()
    errors: list[BaseException] = []

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.read_exactly(1)  # of a chunk: the generator has been started
        conn.stall()

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
        finally:
            closed.set()

    server = raw_server(script)
    session = syncclient.Session()

    def upload() -> None:
        try:
            session.post(server.url, data=chunks())
        except BaseException as exc:
            errors.append(exc)

    thread = threading.Thread(target=upload)
    thread.start()
    server.wait_until_stalled()
    session.close()
    thread.join(10)
    assert not thread.is_alive()
    assert [type(error) for error in errors] == [syncclient.SessionClosedError]
    assert closed.is_set()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no timer to interrupt with")
def test_an_interrupt_ends_a_stalled_upload(run_child: RunChild) -> None:
    """Ctrl-C while the server does not read: the generator is closed, and nothing is left."""
    child = run_child(
        """
import signal, socket, threading, syncclient
listener = socket.create_server(("127.0.0.1", 0))
closed = []
def chunks():
    try:
        while True:
            yield bytes(65536)
    finally:
        closed.append(threading.current_thread() is threading.main_thread())
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.3)
with syncclient.Session() as session:
    try:
        session.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", data=chunks())
    except KeyboardInterrupt:
        print("interrupted", closed)
listener.close()
print(threading.active_count())
"""
    )
    assert (child.stdout, child.stderr) == ("interrupted [True]\n1\n", "")


# The body of a response as a body.


def test_content_is_piped_without_crossings(app: AppServer, session: syncclient.Session) -> None:
    """Another response's content goes from socket to socket: one crossing, and its length."""
    length = 5 * 2**20
    with session.get(f"/bytes/{length}") as source:
        before = session._portal.crossings
        view = uploaded(session, source.content)
        assert session._portal.crossings - before == 1
        assert source.closed
        assert source.content.read() == b""
    assert_arrived(view, pattern(length), chunked=False)


def test_content_of_unknown_length_is_piped(session: syncclient.Session) -> None:
    """Content that has been read in part is piped from there; without a length, in chunks."""
    length = 5 * 2**20
    with session.get(f"/bytes/{length}?chunked=1") as source:
        head = source.content.readexactly(1001)
        assert_arrived(uploaded(session, source.content), pattern(length)[1001:], chunked=True)
    assert head == pattern(1001)


def test_content_of_another_loop_is_sent_too(app: AppServer, session: syncclient.Session) -> None:
    """A response that came over another loop thread is read by the caller instead."""
    length = 5 * 2**20
    with syncclient.Session(app.url, loop_thread=syncclient.LoopThread()) as other:
        with other.get(f"/bytes/{length}") as source:
            assert_arrived(uploaded(session, source.content), pattern(length), chunked=False)


def test_broken_content_fails_the_upload(
    session: syncclient.Session, raw_server: StartRawServer
) -> None:
    """A source that breaks off is the error of the request that pipes it."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.send_head(headers=[("Content-Length", str(LARGE))])
        conn.send(pattern(LARGE // 2))

    with session.get(raw_server(script).url) as source:
        with pytest.raises(syncclient.ClientPayloadError, match="GET"):
            uploaded(session, source.content)


def test_released_content_is_refused(session: syncclient.Session) -> None:
    """The content of a released response is refused before anything is sent."""
    with session.get("/bytes/5000000") as source:
        pass
    with pytest.raises(ValueError, match="released"):
        uploaded(session, source.content)


# Memory.


@pytest.mark.slow
def test_an_upload_needs_little_memory(app: AppServer, run_child: RunChild) -> None:
    """A generator, a file, or a stalled socket hold a few megabytes, whatever the size."""
    child = run_child(
        """
import resource, sys, tempfile, syncclient
block = bytes(65536)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with syncclient.Session(sys.argv[1]) as session, tempfile.TemporaryFile() as file:
    for _ in range(1024):
        file.write(block)
    file.seek(0)
    session.post("/upload", data=iter([block] * 64)).read()
    before = peak()
    session.post("/upload", data=(bytes(65536) for _ in range(3000))).read()
    session.post("/upload", data=file).read()
    print(peak() - before)
""",
        app.url,
        flags=(),
    )
    assert child.status == 0, child.stderr
    assert int(child.stdout) < 12 * 1024  # KiB
