"""Downloads by several connections at a time: the same file, and the same promises."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientPayloadError

from syncclient import HandlerType, MiddlewareRequest, Response, Session
from syncclient._async import download as core
from syncclient._async import download_ranges as ranges
from tests.servers.content import pattern
from tests.servers.raw import RawConnection, RawRequest, Script, StartRawServer

#: Small ranges for small files.
SEGMENT = 10_000
BODY = pattern(95_000)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_DELAY", 0.001)
    monkeypatch.setattr(core, "SEGMENT", SEGMENT)
    monkeypatch.setattr(ranges, "SEGMENT", SEGMENT)


class Server:
    """A server of one file that gives ranges; a test may have it do otherwise."""

    def __init__(self) -> None:
        self.body = BODY
        self.etag = '"1"'
        self.asked: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.lock = threading.Lock()

    def before(self, request: RawRequest, conn: RawConnection) -> bool:
        """Return False to break the connection off instead of answering."""
        return True

    def script(self, conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            with self.lock:
                self.asked.append(request.header("Range"))
                self.at_once += 1
                self.most_at_once = max(self.at_once, self.most_at_once)
            try:
                if not self.before(request, conn):
                    return
                self.answer(request, conn)
            finally:
                with self.lock:
                    self.at_once -= 1

    def answer(self, request: RawRequest, conn: RawConnection) -> None:
        asked = request.header("Range")
        if not asked or request.header("If-Range", self.etag) != self.etag:
            conn.respond(self.body, headers=[("ETag", self.etag)])
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last or 10**9) + 1, len(self.body))
        if start >= len(self.body):
            headers = [("Content-Range", f"bytes */{len(self.body)}")]
            conn.respond(status="416 Range Not Satisfiable", headers=headers)
            return
        headers = [("Content-Range", f"bytes {start}-{stop - 1}/{len(self.body)}")]
        if self.etag:
            headers.append(("ETag", self.etag))
        conn.respond(self.body[start:stop], status="206 Partial Content", headers=headers)


def span(number: int) -> str:
    """The Range header of the n-th segment."""
    stop = min((number + 1) * SEGMENT, len(BODY))
    return f"bytes={number * SEGMENT}-{stop - 1}"


def test_ranges_come_at_a_time_and_land_in_order(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """Each range once, as many at a time as asked for, told of in the order of the file."""

    class Together(Server):
        gate = threading.Barrier(3)

        def before(self, request: RawRequest, conn: RawConnection) -> bool:
            if request.header("Range") in (span(1), span(2), span(3)):
                self.gate.wait(10)  # passes only if three of them are asked for at a time
            return True

    server = Together()
    wire = raw_server(server.script)
    told: list[tuple[int, int | None]] = []
    target = session.download(
        wire.url,
        tmp_path / "x",
        connections=4,
        digest=f"sha256:{hashlib.sha256(BODY).hexdigest()}",
        progress=lambda done, total: told.append((done, total)),
    )
    assert target.read_bytes() == BODY
    assert sorted(server.asked) == sorted(map(span, range(10)))
    assert server.most_at_once <= 4
    assert told == sorted(told)
    assert told[-1] == (len(BODY), len(BODY))
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("size", [0, 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT])
def test_files_of_any_size(
    raw_server: StartRawServer, session: Session, tmp_path: Path, size: int
) -> None:
    """An empty one, too, of which no range can be had."""
    server = Server()
    server.body = pattern(size)
    wire = raw_server(server.script)
    assert session.download(wire.url, tmp_path / "x", connections=3).read_bytes() == server.body


@pytest.mark.parametrize("why", ["no ranges", "no validator", "weak validator", "wrong range"])
def test_without_ranges_one_connection_serves(
    raw_server: StartRawServer, session: Session, tmp_path: Path, why: str
) -> None:
    """Where the server has none, or does not say of which version they are."""
    server = Server()
    plain = server.answer
    if why == "no ranges":
        server.answer = lambda request, conn: conn.respond(BODY)  # type: ignore[method-assign]  # this one's
    elif why == "wrong range":

        def wrong(request: RawRequest, conn: RawConnection) -> None:
            if request.header("Range"):
                headers = [("ETag", '"1"'), ("Content-Range", f"bytes 5-9/{len(BODY)}")]
                conn.respond(BODY[5:10], status="206 Partial Content", headers=headers)
            else:
                plain(request, conn)

        server.answer = wrong  # type: ignore[method-assign]  # this one's
    else:
        server.etag = "" if why == "no validator" else 'W/"1"'
    wire = raw_server(server.script)
    assert session.download(wire.url, tmp_path / "x", connections=3).read_bytes() == BODY
    assert server.asked[1:] in ([], [""])


def test_a_lost_range_is_fetched_again(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """And nothing but that range."""

    class Flaky(Server):
        broken = frozenset({span(0), span(2), span(5)})

        def before(self, request: RawRequest, conn: RawConnection) -> bool:
            asked = request.header("Range")
            if asked in self.broken and asked in self.asked[:-1]:
                return True
            if asked == span(2):
                conn.respond(status="503 Service Unavailable")
                return False
            if asked in self.broken:
                headers = [
                    ("ETag", self.etag),
                    ("Content-Range", f"bytes {asked[6:]}/{len(BODY)}"),
                    ("Content-Length", str(SEGMENT)),
                ]
                conn.send_head(status="206 Partial Content", headers=headers)
                return False
            return True

    server = Flaky()
    wire = raw_server(server.script)
    assert session.download(wire.url, tmp_path / "x", connections=3).read_bytes() == BODY
    assert sorted(server.asked) == sorted([*map(span, range(10)), *server.broken])


def test_a_range_that_stays_lost_ends_the_download(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """With its error; what came before it is kept, and the next download goes on from there."""

    class Broken(Server):
        mended = False

        def before(self, request: RawRequest, conn: RawConnection) -> bool:
            return self.mended or request.header("Range") != span(4)

    server = Broken()
    wire = raw_server(server.script)
    with pytest.raises(Exception, match="GET http") as caught:
        session.download(wire.url, tmp_path / "x", connections=3, retries=1)
    assert type(caught.value).__name__ == "ServerDisconnectedError"
    assert (tmp_path / "x.part").read_bytes() == BODY[: 4 * SEGMENT]
    server.mended = True
    server.asked.clear()
    assert session.download(wire.url, tmp_path / "x", connections=3).read_bytes() == BODY
    assert sorted(server.asked) == sorted(map(span, range(4, 10)))


def test_a_version_that_changes_in_between_starts_over(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """Never a file of two versions."""

    class Changing(Server):
        def before(self, request: RawRequest, conn: RawConnection) -> bool:
            if request.header("Range") == span(6):
                self.etag, self.body = '"2"', BODY[::-1]
            return True

    server = Changing()
    wire = raw_server(server.script)
    assert session.download(wire.url, tmp_path / "x", connections=3).read_bytes() == BODY[::-1]


def test_an_aborted_download_leaves_no_request_behind(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """The connections of the ranges ahead are closed with it."""
    stalled = threading.Barrier(3)

    class Stalling(Server):
        def before(self, request: RawRequest, conn: RawConnection) -> bool:
            if request.header("Range") in (span(1), span(2)):
                stalled.wait(10)
                conn.read_to_end()
                return False
            return True

    def give_up(done: int, total: int | None) -> None:
        if done == SEGMENT:
            stalled.wait(10)
            raise LookupError

    server = Stalling()
    wire = raw_server(server.script)
    with pytest.raises(LookupError):
        session.download(wire.url, tmp_path / "x", connections=3, progress=give_up)
    for conn in wire.connections[1:]:
        conn.wait_until_ended()
    assert (tmp_path / "x.part").read_bytes() == BODY[:SEGMENT]


def test_blocking_middlewares_see_every_range(raw_server: StartRawServer, tmp_path: Path) -> None:
    """Each range passes through them in the caller's thread, also those that are fetched ahead.

    They may call the session; what one of them raises is the download's error.
    """
    threads: list[int] = []

    def signed(request: MiddlewareRequest, handler: HandlerType) -> Response:
        threads.append(threading.get_ident())
        if request.url.path == "/":
            with signing.get(request.url / "token") as token:
                request.headers["X-Token"] = token.headers["ETag"]
        return handler(request)

    def refuse_the_last(request: MiddlewareRequest, handler: HandlerType) -> Response:
        if request.headers.get("Range") == span(9):
            raise LookupError("the last range")
        return handler(request)

    server = Server()
    wire = raw_server(server.script)
    with Session(middlewares=[signed]) as signing:
        target = signing.download(wire.url, tmp_path / "x", connections=4)
        assert target.read_bytes() == BODY
        assert server.asked.count("") == 10
        assert threads == [threading.get_ident()] * 20
        with pytest.raises(LookupError, match="the last range"):
            signing.download(wire.url, tmp_path / "y", connections=4, middlewares=[refuse_the_last])
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize("name", ["data", "json", "upload_progress"])
def test_a_download_has_no_body(session: Session, tmp_path: Path, name: str) -> None:
    """It is a GET; the error names what was given."""
    wrong: Any = {name: True}
    with pytest.raises(TypeError, match=f"does not accept {name}="):
        session.download("http://127.0.0.1/x", tmp_path / "x", **wrong)


def test_connections_must_be_a_number_from_one(session: Session, tmp_path: Path) -> None:
    """The error names the argument."""
    with pytest.raises(ValueError, match="connections must be"):
        session.download("http://127.0.0.1/x", tmp_path / "x", connections=0)


@pytest.mark.parametrize("number", [0, 1])
def test_too_long_a_range_is_not_kept(
    raw_server: StartRawServer, session: Session, tmp_path: Path, number: int
) -> None:
    """A server that sends more than it told does not get it into the file, nor into memory."""

    class Long(Server):
        def answer(self, request: RawRequest, conn: RawConnection) -> None:
            if request.header("Range") != span(number):
                super().answer(request, conn)
                return
            headers = [
                ("ETag", self.etag),
                ("Content-Range", f"bytes {span(number)[6:]}/{len(BODY)}"),
                ("Transfer-Encoding", "chunked"),
            ]
            conn.send_head(status="206 Partial Content", headers=headers)
            conn.send_chunk(BODY)
            conn.read_to_end()

    server: Server = Long()
    script: Script = server.script
    wire = raw_server(script)
    with pytest.raises(ClientPayloadError):
        session.download(wire.url, tmp_path / "x", connections=2, retries=1)
    part = tmp_path / "x.part"
    assert (part.read_bytes() if part.exists() else b"") == BODY[: number * SEGMENT]
