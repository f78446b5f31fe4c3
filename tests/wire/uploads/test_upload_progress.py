"""`upload_progress=`: what is told of a body while it is sent, in which thread, and how it ends."""

import asyncio
import io
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import syncclient
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

LARGE = 5 * 2**20 + 17


def blocks(size: int = 65536) -> Iterator[bytes]:
    body = pattern(LARGE)
    return (body[at : at + size] for at in range(0, LARGE, size))


async def async_blocks() -> AsyncIterator[bytes]:
    for block in blocks(2**20):
        yield block


class Told:
    """A hook that keeps what it is told, and in which thread."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int | None]] = []
        self.threads: set[threading.Thread] = set()

    def __call__(self, sent: int, total: int | None) -> None:
        self.calls.append((sent, total))
        self.threads.add(threading.current_thread())


def uploaded(session: syncclient.Session, data: object, **options: Any) -> tuple[Told, int]:
    """What was told of a body, and how many bytes the server got."""
    told = Told()
    with session.post(
        "/upload", data=data, upload_progress=told, timeout=20, **options
    ) as response:
        return told, response.json()["length"]


def form_with_files() -> syncclient.FormData:
    form = syncclient.FormData({"name": "value"})
    form.add_field("first", io.BytesIO(pattern(LARGE)), filename="first")
    form.add_field("second", io.BytesIO(pattern(300_000)), filename="second")
    return form


@pytest.mark.parametrize(
    ("make", "known"),
    [
        pytest.param(lambda: io.BytesIO(pattern(LARGE)), True, id="file"),
        pytest.param(lambda: bytearray(pattern(LARGE)), True, id="buffer"),
        pytest.param(lambda: pattern(LARGE), True, id="bytes"),
        pytest.param(blocks, False, id="generator"),
        pytest.param(async_blocks, False, id="async generator"),
        pytest.param(form_with_files, True, id="form"),
    ],
)
def test_progress_is_told_in_this_thread(
    session: syncclient.Session, make: Callable[[], object], known: bool
) -> None:
    """Bytes rise from call to call, up to what the server got; the total is true, or None."""
    told, length = uploaded(session, make())
    sent = [done for done, _ in told.calls]
    assert sent == sorted(set(sent))
    assert len(sent) > 1
    assert sent[-1] == length
    assert {total for _, total in told.calls} == {length if known else None}
    assert told.threads == {threading.current_thread()}


@pytest.mark.parametrize("data", [b"short", {"a": "1"}, "text", io.BytesIO(b"file")])
def test_a_short_body_is_told_once(session: syncclient.Session, data: object) -> None:
    """Whatever is sent in one go is one call."""
    told, length = uploaded(session, data)
    assert told.calls == [(length, length)]


def test_json_is_told(session: syncclient.Session) -> None:
    """What `json=` becomes is a body like any other."""
    told = Told()
    session.post("/upload", json=[1, 2], upload_progress=told).close()
    assert told.calls == [(6, 6)]


@pytest.mark.parametrize("data", [None, b"", io.BytesIO(), iter(())])
def test_nothing_is_told_of_nothing(session: syncclient.Session, data: object) -> None:
    """A request without a body, or with an empty one, has no progress."""
    told, length = uploaded(session, data)
    assert (told.calls, length) == ([], 0)


def test_the_last_byte_is_told_even_if_the_server_is_quicker(
    session: syncclient.Session, raw_server: StartRawServer
) -> None:
    """A server that has all that was announced may answer before the iterator has ended."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond()
        conn.stall()

    server = raw_server(script)

    def chunks() -> Iterator[bytes]:
        yield b"abcde"
        server.wait_until_stalled().proceed()
        session.get("/get").close()  # on the same loop, which thus has seen the answer

    told = Told()
    headers = {"Content-Length": "5"}
    session.post(
        server.url, data=chunks(), headers=headers, upload_progress=told, timeout=10
    ).close()
    assert told.calls == [(5, 5)]


def test_the_request_returns_when_all_is_told(raw_server: StartRawServer) -> None:
    """Even where the server answers first, and the body needs no thread of the caller's."""

    def script(conn: RawConnection) -> None:
        request = conn.read_head()
        conn.send_head(headers=[("Content-Length", "2")])
        conn.read_body(request)
        conn.send(b"ok")

    told = Told()
    body = pattern(2**24)
    with syncclient.Session() as session:
        url = raw_server(script).url
        with session.post(url, data=body, upload_progress=told, timeout=10) as response:
            assert told.calls[-1] == (2**24, 2**24)
            assert response.read() == b"ok"


def test_no_more_calls_than_chunks(session: syncclient.Session) -> None:
    """However fast the loop is, a chunk is told at most once."""
    told, _ = uploaded(session, iter([b"x" * 1000] * 50))
    assert told.calls[-1] == (50_000, None)
    assert len(told.calls) <= 50


def test_progress_is_told_while_the_body_is_sent(raw_server: StartRawServer) -> None:
    """The first call comes while the server is still to read most of the body."""

    def script(conn: RawConnection) -> None:
        request = conn.read_head()
        conn.stall()
        conn.read_body(request)
        conn.respond()

    server = raw_server(script)
    calls: list[int] = []

    def hook(sent: int, total: int | None) -> None:
        if not calls:
            server.wait_until_stalled().proceed()
        calls.append(sent)

    file = io.BytesIO(pattern(2**24))
    with syncclient.Session() as session:
        session.post(server.url, data=file, upload_progress=hook, timeout=10).close()
    assert calls[0] <= 2**21
    assert calls[-1] == 2**24


def test_progress_costs_no_crossing(session: syncclient.Session) -> None:
    """The blocked caller is told while it waits in its one call."""
    session.get("/get").close()
    before = session._portal.crossings
    uploaded(session, blocks())
    assert session._portal.crossings - before == 1


def test_the_hook_may_call_the_session(session: syncclient.Session) -> None:
    """It runs where the caller's own code does."""
    statuses = []

    def hook(sent: int, total: int | None) -> None:
        statuses.append(session.get("/get").status)

    session.post("/upload", data=b"abc", upload_progress=hook, timeout=10).close()
    assert statuses == [200]


@pytest.mark.parametrize("make", [blocks, lambda: b"short"], ids=["generator", "bytes"])
@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt, ConnectionResetError])
def test_an_error_of_the_hook_is_the_callers(
    app: AppServer,
    session: syncclient.Session,
    make: Callable[[], object],
    error: type[BaseException],
) -> None:
    """It arrives as itself, and the request is over."""
    raised = error()

    def hook(sent: int, total: int | None) -> None:
        raise raised

    with pytest.raises(error) as caught:
        session.post("/upload", data=make(), upload_progress=hook, timeout=10)
    assert caught.value is raised
    app.wait_until(lambda stats: stats.total_in_flight == 0)


def test_an_error_about_the_last_byte_waits_for_no_response(raw_server: StartRawServer) -> None:
    """It ends a request that the server may never answer, and the engine does not ask again."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond()
        conn.read_request()
        conn.stall()

    calls: list[int] = []

    def hook(sent: int, total: int | None) -> None:
        calls.append(sent)
        raise LookupError

    server = raw_server(script)
    with syncclient.Session() as session:
        session.get(server.url).read()  # what fails on a connection used before may be repeated
        with pytest.raises(LookupError):
            session.put(server.url, data=b"abc", upload_progress=hook, timeout=10)
    assert calls == [3]


def test_bytes_are_counted_before_they_are_compressed(session: syncclient.Session) -> None:
    """What is counted is what the caller gave."""
    told, _ = uploaded(session, io.BytesIO(bytes(LARGE)), compress="gzip")
    assert told.calls[-1] == (LARGE, LARGE)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_an_early_refusal_wins(raw_server: StartRawServer, loop: str) -> None:
    """A refusal is heard, whatever has been told; and nothing is told after it."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.read_exactly(1000)
        conn.respond(b"too large", status="413 Content Too Large")

    thread = syncclient.LoopThread(loop_factory=asyncio.new_event_loop)
    server = raw_server(script)
    with syncclient.Session(loop_thread=thread if loop == "asyncio" else None) as session:
        for data in (pattern(2**24), iter(lambda: b"x" * 65536, b"")) * 10:
            told = Told()
            response = session.post(server.url, data=data, upload_progress=told, timeout=10)
            calls = len(told.calls)
            assert (response.status, response.read()) == (413, b"too large")
            assert len(told.calls) == calls


def test_a_redirect_counts_anew(session: syncclient.Session) -> None:
    """A body that is sent once more is told from the start, and never as more than it is."""
    told = Told()
    url = "/redirect-to?url=/upload&status_code=307"
    file = io.BytesIO(pattern(LARGE))
    session.post(url, data=file, upload_progress=told, timeout=10).close()
    assert told.calls[-1] == (LARGE, LARGE)
    assert all(sent <= LARGE for sent, _ in told.calls)


def test_a_submitted_request_tells_on_the_thread_that_serves_it(
    session: syncclient.Session,
) -> None:
    """As a generator of its would, and never on the loop thread."""
    told = Told()
    future = session.submit("POST", "/upload", data=blocks(), upload_progress=told)
    assert future.result(10).json()["length"] == LARGE
    assert told.calls[-1] == (LARGE, None)
    assert len(told.threads) == 1
    assert threading.current_thread() not in told.threads
    assert "loop" not in told.threads.pop().name


def test_true_draws_a_bar(session: syncclient.Session, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, as for downloads, and gone from there when the request is over."""
    pytest.importorskip("rich")
    session.post("/upload", data=blocks(), upload_progress=True, timeout=10).close()
    out, err = capsys.readouterr()
    assert out == ""
    assert "upload" in err
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("rich"):
            thread.join(20)
            assert not thread.is_alive()


def test_a_bar_needs_rich(session: syncclient.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the error names the extra, and nothing is sent."""
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(ImportError, match="upload_progress=True needs rich: pip install rich"):
        session.post("/upload", data=b"abc", upload_progress=True)
    assert session._portal.crossings == 0


def test_what_is_no_hook_is_refused(session: syncclient.Session) -> None:
    """Where it was given, by name."""
    with pytest.raises(TypeError, match="upload_progress must be a function"):
        session.post("/upload", data=b"abc", upload_progress="bar")  # type: ignore[arg-type]  # the point
