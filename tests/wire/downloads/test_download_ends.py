"""Downloads end: whatever a server sends, within what `retries`, `timeout` and `max_body` allow."""

import itertools
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientPayloadError, ClientTimeout

import syncclient
from syncclient import DeadlineError, Session, TotalTimeoutError
from syncclient._async import download as core
from syncclient._async import download_ranges as ranges
from tests.bounds import BOUND
from tests.servers.content import pattern
from tests.servers.raw import RawConnection, RawRequest, Script, StartRawServer
from tests.wire.downloads.conftest import names

BODY = pattern(1000)


def begin(request: RawRequest) -> int:
    """Where the range begins that is asked for."""
    return int(request.header("Range", "bytes=0-")[6:].partition("-")[0])


# A server that never lets it be whole.


def changing(conn: RawConnection, number: int) -> None:
    conn.read_request()
    headers = [("ETag", f'"{number}"'), ("Content-Length", "10")]
    conn.send_head(headers=headers)
    conn.send(b"12345")


def growing(conn: RawConnection, number: int) -> None:
    conn.read_request()
    headers = [("ETag", f'"{number}"'), ("Content-Length", "900")]
    conn.send_head(headers=headers)
    conn.send(BODY[: number + 1])


def unnamed(conn: RawConnection, number: int) -> None:
    conn.read_request()
    conn.send_head(headers=[("Content-Length", "900")])
    conn.send(BODY[: number + 1])


def lying(conn: RawConnection, number: int) -> None:
    """Another range than was asked for, each second time."""
    request = conn.read_request()
    headers = [("ETag", '"1"'), ("Content-Length", "900")]
    if begin(request):
        headers.append(("Content-Range", "bytes 1-900/1000"))
    conn.send_head(status="206 X" if begin(request) else "200 OK", headers=headers)
    conn.send(BODY[: number + 1])


def refusing(conn: RawConnection, number: int) -> None:
    request = conn.read_request()
    if begin(request):
        conn.respond(status="416 X", headers=[("Content-Range", "bytes */7")])
        return
    conn.send_head(headers=[("ETag", f'"{number}"'), ("Content-Length", "900")])
    conn.send(BODY[: number + 1])


def silent(conn: RawConnection, number: int) -> None:
    conn.read_request()
    if number == 0:
        conn.send_head(headers=[("ETag", '"1"'), ("Content-Length", "900")])
        conn.send(b"12345")


def busy(conn: RawConnection, number: int) -> None:
    conn.read_request()
    if number == 0:
        conn.send_head(headers=[("ETag", '"1"'), ("Content-Length", "900")])
        conn.send(b"12345")
    else:
        conn.respond(status="503 Busy")


def empty_ranges(conn: RawConnection, number: int) -> None:
    request = conn.read_request()
    if start := begin(request):
        told = [("ETag", '"1"'), ("Content-Range", f"bytes {start}-899/900")]
        conn.send_head(status="206 X", headers=[*told, ("Content-Length", "890")])
    else:
        conn.send_head(headers=[("ETag", '"1"'), ("Content-Length", "900")])
        conn.send(b"12345")


@pytest.mark.parametrize("retries", [0, 1, 4])
@pytest.mark.parametrize(
    "server", [changing, growing, unnamed, lying, refusing, silent, busy, empty_ranges]
)
def test_a_server_that_never_lets_it_be_whole(
    raw_server: StartRawServer, session: Session, tmp_path: Path, server: object, retries: int
) -> None:
    """The error comes after the retries that are allowed, however many bytes came in between."""
    numbers = itertools.count()
    wire = raw_server(lambda conn: server(conn, next(numbers)))  # type: ignore[operator]  # one of those
    with pytest.raises(ClientError):
        session.download(wire.url, tmp_path / "f", retries=retries)
    assert retries < len(wire.requests) <= 2 * retries + 3
    assert "f" not in names(tmp_path)


@pytest.mark.parametrize("retries", [0, 2])
def test_ranges_of_ever_new_versions(
    raw_server: StartRawServer,
    session: Session,
    tmp_path: Path,
    retries: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With several connections too."""
    monkeypatch.setattr(core, "SEGMENT", 100)
    monkeypatch.setattr(ranges, "SEGMENT", 100)
    numbers = itertools.count()

    def script(conn: RawConnection) -> None:
        while True:
            start = begin(conn.read_request())
            told = [("ETag", f'"{next(numbers)}"')]
            told.append(("Content-Range", f"bytes {start}-{start + 99}/1000"))
            conn.respond(BODY[start : start + 100], status="206 X", headers=told)

    wire = raw_server(script)
    with pytest.raises(ClientPayloadError, match="the server changed it"):
        session.download(wire.url, tmp_path / "f", connections=2, retries=retries)
    assert sum(begin(request) == 0 for request in wire.requests) == retries + 2
    assert "f" not in names(tmp_path)


def test_progress_does_not_use_up_retries(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """A connection that gets further than all before it begins the count anew."""

    def script(conn: RawConnection) -> None:
        start = begin(conn.read_request())
        headers = [("ETag", '"1"'), ("Content-Length", str(1000 - start))]
        if start:
            headers.append(("Content-Range", f"bytes {start}-999/1000"))
        conn.send_head(status="206 X" if start else "200 OK", headers=headers)
        conn.send(BODY[start : start + 50])

    wire = raw_server(script)
    assert session.download(wire.url, tmp_path / "f", retries=1).read_bytes() == BODY
    assert len(wire.requests) == 20


# The time.


def dripping(conn: RawConnection) -> None:
    """Ten bytes of an answer, and the connection breaks."""
    start = begin(conn.read_request())
    headers = [("ETag", '"1"'), ("Content-Length", str(10**9 - start))]
    if start:
        headers.append(("Content-Range", f"bytes {start}-{10**9 - 1}/{10**9}"))
    conn.send_head(status="206 X" if start else "200 OK", headers=headers)
    conn.send(b"1234567890")


def stalling(conn: RawConnection) -> None:
    """Some bytes, and then none."""
    start = begin(conn.read_request())
    headers = [("ETag", '"1"'), ("Content-Length", str(1000 - start))]
    if start:
        headers.append(("Content-Range", f"bytes {start}-999/1000"))
    conn.send_head(status="206 X" if start else "200 OK", headers=headers)
    conn.send(b"1234567890")
    conn.read_to_end()


def unwilling(conn: RawConnection) -> None:
    """A first part, and from then on no more connections worth the name."""
    if begin(conn.read_request()) == 0:
        conn.send_head(headers=[("ETag", '"1"'), ("Content-Length", "1000")])
        conn.send(b"1234567890")


def one_by_one(conn: RawConnection) -> None:
    """A range at a time, without an end."""
    while True:
        start = begin(conn.read_request())
        stop = start + ranges.SEGMENT
        told = [("ETag", '"1"'), ("Content-Range", f"bytes {start}-{stop - 1}/{10**15}")]
        conn.respond(bytes(stop - start), status="206 X", headers=told)


@pytest.mark.parametrize("where", ["call", "session", "with_options", "ClientTimeout", "block"])
@pytest.mark.parametrize(
    ("script", "connections"),
    [(dripping, 1), (stalling, 1), (unwilling, 1), (one_by_one, 2), (stalling, 2)],
)
def test_the_time_is_for_the_whole(
    raw_server: StartRawServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: Script,
    connections: int,
    where: str,
) -> None:
    """All attempts, ranges and pauses together take no longer, wherever the limit was set."""
    monkeypatch.setattr(core, "SEGMENT", 100)
    monkeypatch.setattr(ranges, "SEGMENT", 100)
    monkeypatch.setattr(core, "_DELAY", 0.05)
    url = raw_server(script).url
    options: Any = {"connections": connections, "retries": 10**6}
    if where in ("call", "ClientTimeout"):
        options["timeout"] = 0.5 if where == "call" else ClientTimeout(total=0.5)
    block = syncclient.timeout(0.5) if where == "block" else nullcontext()
    began = time.monotonic()
    with Session(timeout=0.5) if where == "session" else Session() as session:
        asked = session.with_options(timeout=0.5) if where == "with_options" else session
        with block, pytest.raises(TimeoutError) as caught:
            asked.download(url, tmp_path / "f", **options)
    took = time.monotonic() - began
    assert type(caught.value) is (DeadlineError if where == "block" else TotalTimeoutError)
    assert 0.4 < took < BOUND
    if isinstance(caught.value, TotalTimeoutError):
        assert caught.value.limit == 0.5
        assert 0.4 < caught.value.elapsed < BOUND
        assert "0.5 s" in str(caught.value)
    assert "f" not in names(tmp_path)


def halt_half_way(conn: RawConnection) -> None:
    """Send half of the body, and the rest when told to proceed."""
    conn.read_request()
    conn.send_head(headers=[("Content-Length", "1000")])
    conn.send(BODY[:500])
    conn.stall()
    conn.send(BODY[500:])


def test_time_spent_in_the_hook_counts(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """The limit holds although all bytes may be here already."""
    wire = raw_server(halt_half_way)

    def slow(done: int, total: int | None) -> None:
        if done == 500:
            time.sleep(0.3)  # what is measured
            wire.connections[0].proceed()

    with pytest.raises(TotalTimeoutError):
        session.download(wire.url, tmp_path / "f", progress=slow, timeout=0.2)


def test_without_a_timeout_the_whole_has_no_limit(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """A session's default of five minutes is not for downloads; None never is one."""
    wire = raw_server(halt_half_way)

    def progress(done: int, total: int | None) -> None:
        if done == 500:
            wire.connections[-1].proceed()

    unlimited: list[Any] = [{}, {"timeout": None}, {"timeout": 0}]
    for limits in unlimited:
        session.download(wire.url, tmp_path / "f", progress=progress, **limits)
        assert (tmp_path / "f").read_bytes() == BODY


# The size.


def whole(conn: RawConnection) -> None:
    conn.read_request()
    conn.respond(bytes(1_000_000))


def whole_in_one(conn: RawConnection) -> None:
    conn.read_request()
    conn.respond(bytes(1001))


def chunked(conn: RawConnection) -> None:
    conn.read_request()
    conn.send_head(headers=[("Transfer-Encoding", "chunked")])
    for _ in range(100):
        conn.send_chunk(bytes(100))
    conn.send_chunk(b"")


def by_ranges(conn: RawConnection) -> None:
    while True:
        first, _, last = conn.read_request().header("Range")[6:].partition("-")
        told = [("ETag", '"1"'), ("Content-Range", f"bytes {first}-{last}/2000")]
        body = bytes(int(last) - int(first) + 1)
        conn.respond(body, status="206 X", headers=told)


@pytest.mark.parametrize("where", ["call", "session"])
@pytest.mark.parametrize(
    ("script", "connections"), [(whole, 1), (whole_in_one, 1), (chunked, 1), (by_ranges, 2)]
)
def test_max_body_is_for_the_whole(
    raw_server: StartRawServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: Script,
    connections: int,
    where: str,
) -> None:
    """One error, no further attempt, and nothing left, as nothing can go on from there."""
    monkeypatch.setattr(core, "SEGMENT", 100)
    monkeypatch.setattr(ranges, "SEGMENT", 100)
    wire = raw_server(script)
    options: Any = {"max_body": 1000} if where == "call" else {}
    with Session(max_body=None if options else 1000) as session:
        with pytest.raises(ClientPayloadError, match="more than max_body=1000 bytes"):
            session.download(wire.url, tmp_path / "f", connections=connections, **options)
    assert len(wire.requests) == 1
    assert names(tmp_path) == []


def test_max_body_counts_what_was_there_already(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """Not the rest only that is fetched; what is there stays for a call that allows for more."""

    def first(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("ETag", '"1"'), ("Content-Length", "1000")])
        conn.send(BODY[:900])

    def rest(conn: RawConnection) -> None:
        conn.read_request()
        told = [("ETag", '"1"'), ("Content-Range", "bytes 900-999/1000")]
        conn.respond(BODY[900:], status="206 X", headers=told)

    wire = raw_server(first, rest, rest)
    with pytest.raises(ClientPayloadError, match="900 of 1000"):
        session.download(wire.url, tmp_path / "f", retries=0)
    with pytest.raises(ClientPayloadError, match="max_body=950"):
        session.download(wire.url, tmp_path / "f", max_body=950)
    assert session.download(wire.url, tmp_path / "f", max_body=1000).read_bytes() == BODY
