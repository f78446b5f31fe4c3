"""Response.content as a binary file: the libraries people give files to, the real ones."""

import csv
import gzip
import io
import json
import pickle
import random
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncclient import Response, Session
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

ROWS = [[str(number), f"na,me {number}\nand more", "ü"] for number in range(20_000)]


def table() -> bytes:
    """A CSV file of a megabyte or so, with newlines and commas within its fields."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["id", "name", "letter"], *ROWS])
    return text.getvalue().encode()


class Serving:
    """Answers with one body, in HTTP chunks of odd sizes."""

    def __init__(self, start: StartRawServer, session: Session) -> None:
        self._start = start
        self._session = session

    def __call__(self, body: bytes) -> Response:
        sizes = random.Random(len(body))

        def script(conn: RawConnection) -> None:
            conn.read_request()
            conn.send_head(headers=[("Transfer-Encoding", "chunked")])
            at, size = 0, 1000
            while at < len(body):
                conn.send_chunk(body[at : at + size])
                at += size
                size = sizes.choice([1, 7, 1000, 65536, 100_001])
            conn.send_chunk(b"")
            conn.read_to_end()

        return self._session.get(self._start(script).url)


@pytest.fixture
def serving(raw_server: StartRawServer) -> Iterator[Serving]:
    with Session() as session:
        yield Serving(raw_server, session)


def test_csv(serving: Serving) -> None:
    """Through a TextIOWrapper, whose newlines are the csv module's affair."""
    with serving(table()) as response:
        text = io.TextIOWrapper(response.content, encoding="utf-8", newline="")
        assert list(csv.reader(text))[1:] == ROWS


def test_text_lines(serving: Serving) -> None:
    """A TextIOWrapper decodes and cuts lines as it does for any file; it closes what it wraps."""
    lines = [f"Zeile {number}: äöü€\r\n" for number in range(50_000)]
    response = serving("".join(lines).encode("utf-16"))
    with io.TextIOWrapper(response.content, encoding="utf-16") as text:
        assert list(text) == [line.replace("\r\n", "\n") for line in lines]
    assert response.content.closed
    assert response.closed


def test_gzip(serving: Serving) -> None:
    """A .gz file that is the body itself, and no Content-Encoding."""
    body = pattern(3_000_000)
    with serving(gzip.compress(body)) as response, gzip.open(response.content) as file:
        assert file.read(10) == body[:10]
        assert file.read() == body[10:]


@pytest.mark.parametrize("mode", ["r|", "r|gz", "r|*"])
def test_tarfile(serving: Serving, mode: str) -> None:
    """A stream of an archive, taken member by member. (For ``*`` it wants 512 bytes at first.)"""
    members = {f"dir/{number}.bin": pattern(number * 777, number) for number in range(200)}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:" if mode == "r|" else "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    found = {}
    with serving(archive.getvalue()) as response:
        with tarfile.open(fileobj=response.content, mode=mode) as tar:  # type: ignore[call-overload]  # a str, not a literal
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                found[member.name] = file.read()
    assert found == members


def test_copyfileobj(session: Session, tmp_path: Path) -> None:
    """copyfileobj() copies from the wire into a file."""
    target = tmp_path / "body"
    with session.get("/bytes/5000001") as response, target.open("wb") as file:
        shutil.copyfileobj(response.content, file)
    assert target.read_bytes() == pattern(5_000_001)


def test_json(serving: Serving) -> None:
    """json.load reads what json.loads would."""
    document = {"rows": ROWS[:5000]}
    with serving(json.dumps(document).encode()) as response:
        assert json.load(response.content) == document


def test_pickle(serving: Serving) -> None:
    """Several objects one after another; pickle wants a file that reads no less than it asks."""
    objects = [{"n": number, "data": pattern(number * 1000)} for number in range(50)]
    with serving(b"".join(pickle.dumps(each, protocol=5) for each in objects)) as response:
        file = io.BufferedReader(response.content)
        assert [pickle.load(file) for _ in objects] == objects


def in_memory(size: int) -> io.BytesIO:
    return io.BytesIO()


def test_zipfile_through_a_spooled_copy(serving: Serving) -> None:
    """An archive whose table of contents is at its end needs a copy that can seek."""
    # Before Python 3.11 a SpooledTemporaryFile does not say that it can.
    spooled = tempfile.SpooledTemporaryFile if sys.version_info >= (3, 11) else in_memory
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.bin", pattern(500_000))
    with serving(archive.getvalue()) as response, spooled(2**16) as copy:
        shutil.copyfileobj(response.content, copy)
        copy.seek(0)
        with zipfile.ZipFile(copy) as unpacked:
            assert unpacked.read("a.bin") == pattern(500_000)


def test_buffered_reader(serving: Serving) -> None:
    """The standard buffer, for whoever wants peek()."""
    with serving(pattern(300_000)) as response:
        file = io.BufferedReader(response.content)
        assert file.peek(5)[:5] == pattern(5)
        assert file.read(100_000) == pattern(100_000)
        assert file.readline() + file.read() == pattern(200_000, 100_000)


@pytest.mark.parametrize("chunksize", [None, 999])
def test_pandas(serving: Serving, chunksize: int | None) -> None:
    """read_csv, at once and in chunks."""
    pandas = pytest.importorskip("pandas")
    with serving(table()) as response:
        frame = pandas.read_csv(response.content, chunksize=chunksize, dtype=str)
        if chunksize is not None:
            frame = pandas.concat(frame)
        assert frame.to_numpy().tolist() == ROWS


def test_ijson(serving: Serving) -> None:
    """The items of a large document, one by one."""
    ijson = pytest.importorskip("ijson")
    with serving(json.dumps({"rows": ROWS}).encode()) as response:
        assert list(ijson.items(response.content, "rows.item")) == ROWS


def test_the_protocol_of_a_file(session: Session) -> None:
    """What a raw binary file promises, it does."""
    body = pattern(300_000)
    response = session.get("/bytes/300000")
    with response.content as file:
        assert isinstance(file, io.RawIOBase)
        assert (file.readable(), file.writable(), file.seekable()) == (True, False, False)
        assert (file.closed, file.isatty()) == (False, False)
        buffer = bytearray(1000)
        assert file.readinto(buffer) == 1000
        assert buffer == body[:1000]
        assert file.readinto(bytearray()) == 0
        assert file.read(0) == file.read1(0) == b""
        assert file.read1(5) == body[1000:1005]
        assert file.name == str(response.url)
        for refused in (file.fileno, file.tell, lambda: file.seek(0), lambda: file.write(b"")):
            with pytest.raises(io.UnsupportedOperation):
                refused()
        rest = file.read1()
        assert rest + file.readall() == body[1005:]
        assert file.readinto(buffer) == 0
        assert (file.closed, response.closed) == (False, True)
    assert (file.closed, response.content.closed) == (True, True)
    file.close()


def test_a_file_closed_early_closes_the_connection(app: AppServer) -> None:
    """A wrapper that closes its file releases the response."""
    with Session(app.url) as session:
        response = session.get("/bytes/100000000")
        with gzip.open(response.content):
            pass  # which leaves the file open, as gzip does with a file it was given
        states = [response.closed]
        io.TextIOWrapper(response.content).close()
        assert [*states, response.closed] == [False, True]
        app.wait_until(lambda stats: stats.total_in_flight == 0)
