"""HTTPCache beside the rules: bodies, who shares what, bounds, broken files, closing, forks."""

import contextlib
import gzip
import logging
import os
import pickle
import sqlite3
import stat
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

import syncclient
from syncclient import ClientPayloadError, HTTPCache, Session
from syncclient._async.middleware.cache import file as cache_file
from tests.bounds import BOUND, others_have_their_turn, wait_until
from tests.children import RunChild
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

FRESH = ("Cache-Control", "max-age=3600")


class Counting:
    """Answers every request with its number, and with the headers given."""

    def __init__(self, *headers: tuple[str, str], body: bytes | None = None) -> None:
        self.headers = headers or (FRESH,)
        self.body = body
        self.count = 0

    def __call__(self, conn: RawConnection) -> None:
        while True:
            conn.read_request()
            self.count += 1
            body = b"%d" % self.count if self.body is None else self.body
            conn.respond(body, headers=self.headers)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "cache.db"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process, so to speak, writes to the file."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


# -- bodies --------------------------------------------------------------------------


def in_two_parts(conn: RawConnection) -> None:
    """Send half of a body, and the other when the test says so."""
    while True:
        conn.read_request()
        conn.send_head(headers=[FRESH, ("Transfer-Encoding", "chunked")])
        conn.send_chunk(b"one ")
        conn.stall()
        conn.send_chunk(b"two")
        conn.send_chunk(b"")


def test_a_body_passes_by_as_it_comes(raw_server: StartRawServer, path: Path) -> None:
    """The reader has the first chunk before the server has sent the last; then it is stored."""
    wire = raw_server(in_two_parts)
    with Session(middlewares=[HTTPCache(path)]) as session:
        response = session.get(wire.url)
        assert response.content.readany() == b"one "
        wire.connections[0].proceed()
        assert response.content.read() == b"two"
        again = session.get(wire.url)
        assert (again.read(), again.from_cache) == (b"one two", True)
        assert "Transfer-Encoding" not in again.headers


def test_chunks_are_told_apart(raw_server: StartRawServer, path: Path) -> None:
    """A body that is copied still tells where its HTTP chunks end."""
    wire = raw_server(in_two_parts)
    with Session(middlewares=[HTTPCache(path)]) as session, session.get(wire.url) as response:
        chunks = response.content.iter_chunks()
        assert next(chunks) == (b"one ", True)
        wire.connections[0].proceed()
        assert next(chunks) == (b"two", True)


def test_a_long_body_is_not_held(raw_server: StartRawServer, path: Path) -> None:
    """Of a body beyond max_body nothing is kept, neither in memory nor in the file."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[FRESH, ("Transfer-Encoding", "chunked")])
        for _ in range(64):
            conn.send_chunk(b"x" * 2**16)
        conn.send_chunk(b"")

    cache = HTTPCache(path, max_body=2**18)
    with Session(middlewares=[cache]) as session, session.get(raw_server(script).url) as response:
        assert sum(map(len, response.content.iter_any())) == 2**22
    assert cache.size[0] == 0


def test_a_long_body_of_known_length_is_stored(raw_server: StartRawServer, path: Path) -> None:
    """A body that would be received past the parser is copied as well."""
    server = Counting(body=bytes(range(256)) * 2**12)
    with Session(middlewares=[HTTPCache(path)]) as session:
        url = raw_server(server).url
        first, second = session.get(url).read(), session.get(url)
        assert second.from_cache
        assert second.read() == first == server.body


@pytest.mark.parametrize("broken", [True, False], ids=["cut off", "unread"])
def test_half_a_body_is_not_stored(raw_server: StartRawServer, path: Path, broken: bool) -> None:
    """Only what was read to its end is stored."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[FRESH, ("Content-Length", "8")])
        conn.send(b"half")
        if not broken:
            conn.stall()

    cache = HTTPCache(path)
    with Session(middlewares=[cache]) as session:
        response = session.get(raw_server(script).url)
        if broken:
            with pytest.raises(ClientPayloadError):
                response.read()
        response.release()
        assert cache.size == (0, 0)


def test_a_compressed_body_is_stored_decoded(raw_server: StartRawServer, path: Path) -> None:
    """Also sessions that do not decompress get what the headers of a stored response say."""
    text = b"a text " * 1000
    server = Counting(FRESH, ("Content-Encoding", "gzip"), body=gzip.compress(text))
    url = raw_server(server).url
    cache = HTTPCache(path)
    with Session(middlewares=[cache]) as session:
        assert session.get(url).read() == text
    with Session(middlewares=[cache], auto_decompress=False) as session:
        response = session.get(url)
        assert (response.from_cache, response.read()) == (True, text)
        assert "Content-Encoding" not in response.headers
        assert response.content_length == len(text)
    assert server.count == 1


def test_what_is_not_decompressed_is_not_stored(raw_server: StartRawServer, path: Path) -> None:
    """A session that leaves bodies compressed stores none of them for those who do not."""
    server = Counting(FRESH, ("Content-Encoding", "gzip"), body=gzip.compress(b"text"))
    url = raw_server(server).url
    cache = HTTPCache(path)
    with Session(middlewares=[cache], auto_decompress=False) as session:
        assert session.get(url).read() == server.body
    with Session(middlewares=[cache]) as session:
        assert session.get(url).read() == b"text"
    assert server.count == 2


# -- who shares what -----------------------------------------------------------------


def test_threads_and_sessions_share_it(raw_server: StartRawServer, path: Path) -> None:
    """What one session has stored serves another one's threads, and a cache made anew."""
    server = Counting()
    url = raw_server(server).url
    with Session(middlewares=[HTTPCache(path)]) as session:
        assert session.get(url).read() == b"1"
    with Session(middlewares=[HTTPCache(path)]) as session, ThreadPoolExecutor(8) as pool:
        bodies = {response.read() for response in pool.map(session.get, [url] * 64)}
    assert (bodies, server.count) == ({b"1"}, 1)


def test_processes_share_it(raw_server: StartRawServer, path: Path, run_child: RunChild) -> None:
    """Four processes at once write and read one file, and each gets right answers only."""

    def echo(conn: RawConnection) -> None:
        while True:
            target = conn.read_request().target
            conn.respond(target.encode() * 100, headers=[FRESH])

    code = """
import sys, os
from syncclient import HTTPCache, Session
url, path = sys.argv[1:]
hits = 0
with Session(url, middlewares=[HTTPCache(path)]) as session:
    for _ in range(3):
        for number in range(20):
            response = session.get(f"/{number}")
            assert response.read() == f"/{number}".encode() * 100
            hits += response.from_cache
print(hits >= 40)
"""
    url = raw_server(echo).url
    HTTPCache(path)
    with ThreadPoolExecutor(4) as pool:
        children = list(pool.map(lambda _: run_child(code, url, str(path)), range(4)))
    assert [(each.status, each.stdout, each.stderr) for each in children] == [(0, "True\n", "")] * 4


def test_partitions_are_apart(raw_server: StartRawServer, path: Path) -> None:
    """A cache sees nothing of another partition, and an unsafe request there changes nothing."""
    server = Counting()
    url = raw_server(server).url
    with Session(middlewares=[HTTPCache(path, partition="a")]) as one:
        with Session(middlewares=[HTTPCache(path, partition="b")]) as two:
            assert (one.get(url).read(), two.get(url).read()) == (b"1", b"2")
            two.post(url).read()
            assert (one.get(url).read(), two.get(url).read()) == (b"1", b"4")


def test_credentials_added_behind_it_are_not_shared(raw_server: StartRawServer, path: Path) -> None:
    """What a middleware behind the cache authorises is not stored for those in front of it."""

    server = Counting()
    url = raw_server(server).url

    def sign(
        request: syncclient.MiddlewareRequest, handler: syncclient.HandlerType
    ) -> syncclient.Response:
        request.headers["Authorization"] = "Bearer secret"
        return handler(request)

    cache = HTTPCache(path)
    with Session(middlewares=[cache, sign]) as session:
        assert [session.get(url).read() for _ in range(2)] == [b"1", b"2"]
    assert cache.size[0] == 0
    with Session(middlewares=[sign, cache]) as session:
        assert [session.get(url).read() for _ in range(2)] == [b"3", b"3"]


def test_a_jar_is_not_set_back(raw_server: StartRawServer, path: Path) -> None:
    """A stored response sets no cookies again; those of a 304 are set."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        headers = [("Cache-Control", "no-cache, public"), ("ETag", '"x"')]
        conn.respond(b"body", headers=[*headers, ("Set-Cookie", "a=1")])
        conn.read_request()
        conn.respond(status="304 Not Modified", headers=[*headers, ("Set-Cookie", "a=2")])

    with Session(middlewares=[HTTPCache(path)]) as session:
        url = raw_server(script).url
        session.get(url).read()
        assert session.get(url).from_cache
        (cookie,) = session.cookie_jar
        assert cookie.value == "2"


# -- bounds --------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["a\x01", "\x7f", "caf\xe9", "\x1b[2J"])
def test_a_validator_that_cannot_be_sent_counts_for_nothing(
    raw_server: StartRawServer, path: Path, said: str
) -> None:
    """The page can be had again, and a validator beside it that can be sent is."""
    headers = [("ETag", f'"{said}"'), ("Last-Modified", said), ("Cache-Control", "no-cache")]
    wire = raw_server(Counting(*headers))
    usable = raw_server(Counting(("ETag", '"1"'), *headers[1:]))
    with Session(middlewares=[HTTPCache(path)], timeout=8) as session:
        for server in (wire, usable):
            assert [session.get(server.url).text() for _ in range(2)] == ["1", "2"]
    asked = [request.header("If-None-Match") for request in (*wire.requests, *usable.requests)]
    assert asked == ["", "", "", '"1"']
    assert not any(request.header("If-Modified-Since") for request in wire.requests)


def test_the_size_is_bounded(raw_server: StartRawServer, path: Path) -> None:
    """No more than max_size is stored; what was used last stays."""
    server = Counting(body=b"x" * 10_000)
    url = raw_server(server).url
    cache = HTTPCache(path, max_size=100_000)
    clock = 2_000_000_000.0
    cache._now = lambda: clock
    with Session(middlewares=[cache]) as session:
        for number in range(30):
            session.get(f"{url}/{number}").read()
            clock += 61
            assert session.get(f"{url}/0").from_cache
            count, size = cache.size
            assert size <= 100_000
        assert count >= 8
    assert path.stat().st_size < 300_000


def test_the_age_is_bounded(raw_server: StartRawServer, path: Path) -> None:
    """After max_age a response is not served, fresh or not, and goes with the next store."""
    server = Counting(("Cache-Control", "max-age=999999"))
    url = raw_server(server).url
    cache = HTTPCache(path, max_age=100)
    clock = 2_000_000_000.0
    cache._now = lambda: clock
    with Session(middlewares=[cache]) as session:
        session.get(url + "/old").read()
        clock += 101
        assert session.get(url + "/old").read() == b"2"
        session.get(url + "/new").read()
    assert cache.size[0] == 2
    cache.clear()
    assert cache.size == (0, 0)


# -- files ---------------------------------------------------------------------------


def test_the_file_is_for_its_user_only(path: Path) -> None:
    """The file is made with its folder, and nobody else reads it."""
    HTTPCache(path)
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_something_else_is_left_alone(tmp_path: Path) -> None:
    """Another database, or no database at all, is refused and not touched."""
    text, database = tmp_path / "text", tmp_path / "database"
    text.write_text("no database " * 100)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE mine (a)")
    before = text.read_bytes(), database.read_bytes()
    with pytest.raises(ValueError, match="no cache, or a broken one"):
        HTTPCache(text)
    with pytest.raises(ValueError, match="a database of something else"):
        HTTPCache(database)
    with pytest.raises(OSError, match="tmp"):
        HTTPCache(tmp_path)
    assert (text.read_bytes(), database.read_bytes()) == before


def test_a_locked_file_holds_nobody_up(
    raw_server: StartRawServer, path: Path, app: AppServer
) -> None:
    """While another process writes, the loop goes on, and the request waits for its turn."""
    server = Counting()
    url = raw_server(server).url
    with Session(middlewares=[HTTPCache(path)]) as session, Session() as other:
        with locked(path), others_have_their_turn():
            future = session.submit("GET", url)
            for _ in range(5):
                assert other.get(app.url + "/get").ok
            assert not future.done()
        assert future.result(BOUND).read() == b"1"


def test_a_file_that_cannot_be_used_fails_no_request(
    raw_server: StartRawServer,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where the file stays locked, or breaks, requests go to the server, and one line is logged."""
    monkeypatch.setattr(cache_file, "_PATIENCE", 0.01)
    server = Counting()
    url = raw_server(server).url
    with Session(middlewares=[HTTPCache(path)]) as session:
        with locked(path), caplog.at_level(logging.WARNING, "syncclient"):
            assert [session.get(url).read() for _ in range(3)] == [b"1", b"2", b"3"]
            (record,) = caplog.records
            assert "is not used for some requests: database is locked" in record.getMessage()
        path.write_bytes(b"broken " * 1000)
        assert session.get(url).read() == b"4"


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"max_size": 0}, ValueError),
        ({"max_size": 1.5}, TypeError),
        ({"max_body": True}, TypeError),
        ({"max_age": -1}, ValueError),
        ({"max_age": "1"}, TypeError),
        ({"stale_if_error": None}, TypeError),
        ({"partition": 1}, TypeError),
    ],
    ids=str,
)
def test_bad_arguments(path: Path, keywords: dict[str, object], error: type[Exception]) -> None:
    """A wrong argument is named, and no file is made."""
    with pytest.raises(error, match=next(iter(keywords))):
        HTTPCache(path, **keywords)  # type: ignore[arg-type]  # wrong on purpose
    assert not path.exists()


# -- around it -----------------------------------------------------------------------


def test_a_pickled_session_uses_the_same_file(raw_server: StartRawServer, path: Path) -> None:
    """A session goes to a worker with its cache."""
    server = Counting()
    url = raw_server(server).url
    with Session(middlewares=[HTTPCache(path, partition="p", max_age=9)]) as session:
        session.get(url).read()
        with pickle.loads(pickle.dumps(session)) as other:
            assert other.get(url).from_cache
    twin = pickle.loads(pickle.dumps(HTTPCache(path, stale_if_error=3)))
    assert twin._keywords == HTTPCache(path, stale_if_error=3)._keywords


def test_every_face_is_served(raw_server: StartRawServer, path: Path) -> None:
    """submit, map and aio get stored responses too."""
    server = Counting()
    url = raw_server(server).url
    with Session(middlewares=[HTTPCache(path)]) as session:
        session.get(url).read()
        assert session.submit("GET", url).result(BOUND).from_cache
        assert [response.from_cache for response in session.map([url] * 3)] == [True] * 3

        async def awaited() -> bool:
            response = await session.aio.get(url)
            return response.from_cache and await response.read() == b"1"

        assert anyio.run(awaited)
    assert server.count == 1


def test_redirects_are_stored(raw_server: StartRawServer, path: Path) -> None:
    """A permanent redirect and what it leads to are both answered from the cache."""
    count = 0

    def script(conn: RawConnection) -> None:
        nonlocal count
        while True:
            request = conn.read_request()
            count += 1
            if request.target == "/old":
                headers = [FRESH, ("Location", "/new")]
                conn.respond(status="301 Moved Permanently", headers=headers)
            else:
                conn.respond(b"new", headers=[FRESH])

    with Session(middlewares=[HTTPCache(path)]) as session:
        url = raw_server(script).url
        for cached in (False, True):
            response = session.get(url + "/old")
            assert (response.read(), response.from_cache) == (b"new", cached)
            assert response.history[0].from_cache is cached
    assert count == 2


def test_websockets_go_past(app: AppServer, path: Path) -> None:
    """The handshake of a WebSocket is none of its business."""
    cache = HTTPCache(path)
    with Session(app.url, middlewares=[cache]) as session:
        for _ in range(2):
            with session.ws_connect("/echo") as ws:
                ws.send_str("hello")
                assert ws.receive_str(timeout=BOUND)
    assert cache.size[0] == 0


def test_errors_allowed_by_the_user(raw_server: StartRawServer, path: Path) -> None:
    """stale_if_error serves what is stale where the server is gone."""
    wire = raw_server(Counting(("Cache-Control", "max-age=1")))
    cache = HTTPCache(path, stale_if_error=60)
    clock = 2_000_000_000.0
    cache._now = lambda: clock
    with Session(middlewares=[cache]) as session:
        session.get(wire.url).read()
        wire.close()
        clock += 30
        assert session.get(wire.url).read() == b"1"
        clock += 60
        with pytest.raises(syncclient.ClientConnectionError):
            session.get(wire.url)


def test_one_validation_at_a_time(raw_server: StartRawServer, path: Path) -> None:
    """However many get a stale response, its server is asked once; closing ends that."""
    asked = threading.Event()
    count = 0

    def script(conn: RawConnection) -> None:
        nonlocal count
        conn.read_request()
        conn.respond(b"1", headers=[("Cache-Control", "max-age=1, stale-while-revalidate=60")])
        conn.read_request()
        count += 1
        asked.set()
        conn.stall()

    cache = HTTPCache(path)
    clock = 2_000_000_000.0
    cache._now = lambda: clock
    wire = raw_server(script)
    with Session(middlewares=[cache]) as session:
        session.get(wire.url).read()
        clock += 30
        assert all(session.get(wire.url).from_cache for _ in range(5))
        assert asked.wait(BOUND)
        (here,) = cache._loops.every()
        assert len(here.validating) == 1
    wait_until(lambda: not here.validating, "nothing is being validated")
    assert count == 1


# -- interrupts, closing, forks ------------------------------------------------------


def test_a_caller_is_not_held_by_the_store(raw_server: StartRawServer, path: Path) -> None:
    """A deadline ends the wait for the file; what was begun there ends by itself, as a whole."""
    wire = raw_server(in_two_parts)
    cache = HTTPCache(path)
    with Session(middlewares=[cache]) as session:
        response = session.get(wire.url)
        with locked(path):
            wire.connections[0].proceed()
            with pytest.raises(TimeoutError), syncclient.timeout(0.3):
                response.read()
    wait_until(lambda: not cache_file._running, "the file is at rest")
    assert cache.size[0] in (0, 1)


def test_closing_in_the_middle_of_a_store(raw_server: StartRawServer, path: Path) -> None:
    """close() waits for no file, and its blocked reader gets SessionClosedError."""
    wire = raw_server(in_two_parts)
    session = Session(middlewares=[HTTPCache(path)])
    response = session.get(wire.url)
    with ThreadPoolExecutor(1) as pool:
        with locked(path):
            reading = pool.submit(response.read)
            wire.connections[0].proceed()
            wait_until(lambda: cache_file._running, "it is stored")
            session.close()
            assert isinstance(reading.exception(BOUND), syncclient.SessionClosedError)
    wait_until(lambda: not cache_file._running, "the file is at rest")


def test_a_killed_process_leaves_a_whole_file(
    raw_server: StartRawServer, path: Path, run_child: RunChild
) -> None:
    """A process that is killed while it stores leaves the file as it was before, or after."""
    code = """
import os, sys, threading
from syncclient import HTTPCache, Session
url, path = sys.argv[1:]
with Session(url, middlewares=[HTTPCache(path)]) as session:
    for number in range(10_000):
        session.get(f"/{number}").read()
        if number == 20:
            threading.Timer(0.05, os.kill, (os.getpid(), 9)).start()
"""
    url = raw_server(Counting(body=b"x" * 50_000)).url
    child = run_child(code, url, str(path))
    assert child.status == -9
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        heads, bodies = (
            {each for (each,) in connection.execute(f"SELECT id FROM {table}")}
            for table in ("heads", "bodies")
        )
    assert heads == bodies
    with Session(url, middlewares=[HTTPCache(path)]) as session:
        assert session.get("/0").from_cache


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_children_of_a_fork_go_on(
    raw_server: StartRawServer, path: Path, run_child: RunChild
) -> None:
    """A child uses the cache of its parent; if SQLite was at work at the fork, it does without."""
    code = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from syncclient import HTTPCache, Session
from syncclient._async.middleware.cache import file
url, path = sys.argv[1:]
with Session(url, middlewares=[HTTPCache(path)]) as session:
    session.get("/").read()
    for busy in (False, True):
        if busy:
            file._running.add("a call in another thread")
        pid = os.fork()
        if not pid:
            with session.get("/") as response:
                print(busy, response.from_cache, response.read(), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
    file._running.clear()
    print(session.get("/").from_cache)
"""
    child = run_child(code, raw_server(Counting()).url, str(path), flags=())
    assert child.stdout == "False True b'1'\nTrue False b'2'\nTrue\n", child.stderr
    assert "forked while SQLite was at work" in child.stderr


def test_what_does_not_wait_sees_the_end(raw_server: StartRawServer, path: Path) -> None:
    """Who polls with read_nowait() gets all of a body that is copied, and its end."""
    wire = raw_server(in_two_parts)
    cache = HTTPCache(path)
    with Session(middlewares=[cache]) as session, session.get(wire.url) as response:
        wire.connections[0].proceed()
        data = b""

        def at_end() -> bool:
            nonlocal data
            data += response.content.read_nowait()
            return response.content.at_eof()

        wait_until(at_end, "the end of the body")
        assert data == b"one two"
    wait_until(lambda: cache.size[0] == 1, "it is stored")


def test_a_hit_is_one_crossing(raw_server: StartRawServer, path: Path) -> None:
    """What comes from the cache crosses once, body and all."""
    url = raw_server(Counting()).url
    with Session(middlewares=[HTTPCache(path)]) as session:
        session.get(url).read()
        before = session._portal.crossings
        assert session.get(url).read() == b"1"
        assert session._portal.crossings == before + 1
