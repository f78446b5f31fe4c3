"""Text files, and objects with some of a file's methods, as bodies."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
import requests

from syncclient import ClientPayloadError, FormData, MultipartWriter, Session
from tests.servers.raw import RawConnection, StartRawServer

TEXT = "Grüße, 漢字\n" * 10


def echo(conn: RawConnection) -> None:
    """Answer each request with its own body, and its framing and type in headers."""
    while True:
        request = conn.read_request()
        names = ("Content-Length", "Transfer-Encoding", "Content-Type")
        conn.respond(
            request.body, headers=[(f"X-{name}", request.header(name, "none")) for name in names]
        )


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


def string_io(path: Path) -> Any:
    return io.StringIO(path.read_text("utf-8"))


def opened(path: Path) -> Any:
    return path.open(encoding="utf-8")


def opened_in_latin(path: Path) -> Any:
    (path.parent / "latin").write_text(path.read_text("utf-8").replace("漢字", "x"), "latin-1")
    return (path.parent / "latin").open(encoding="latin-1")


def temporary(path: Path) -> Any:
    file = tempfile.NamedTemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
    file.write(path.read_text("utf-8"))
    file.seek(0)
    return file


def spooled(path: Path) -> Any:
    file = tempfile.SpooledTemporaryFile(mode="w+", encoding="utf-8")  # noqa: SIM115
    file.write(path.read_text("utf-8"))
    file.seek(0)
    return file


def wrapped_crlf(path: Path) -> Any:
    return io.TextIOWrapper(io.BytesIO(path.read_bytes().replace(b"\n", b"\r\n")), "utf-8")


TEXT_FILES: list[Callable[[Path], Any]] = [
    *(string_io, opened, opened_in_latin, temporary, spooled, wrapped_crlf)
]


@pytest.mark.parametrize("make", TEXT_FILES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("times", [1, 30_000])
def test_text_files_are_bodies(
    raw_server: StartRawServer,
    session: Session,
    tmp_path: Path,
    make: Callable[[Path], Any],
    times: int,
) -> None:
    """What they read from where they stand, in UTF-8, whatever they are stored in."""
    path = tmp_path / "text.csv"
    path.write_text("skipped\n" + TEXT * times, "utf-8")
    url = raw_server(echo).url
    with make(path) as file:
        assert file.readline() == "skipped\n"
        expected = TEXT.replace("漢字", "x") if make is opened_in_latin else TEXT
        response = session.post(url, data=file)
        assert response.read() == (expected * times).encode()
        assert response.headers["X-Content-Type"] == "text/plain; charset=utf-8"
        if times == 1:
            assert response.headers["X-Content-Length"] == str(len(expected.encode()))
        assert not file.closed


def test_text_files_in_forms(raw_server: StartRawServer, session: Session, tmp_path: Path) -> None:
    """In a dict, a FormData and a MultipartWriter, in the encoding that their type names."""
    path = tmp_path / "a b.csv"
    path.write_text("é" * 100_000, "utf-8")
    url = raw_server(echo).url
    with path.open(encoding="utf-8") as file:
        body = session.post(url, data={"f": file}).read()
        assert b'filename="a b.csv"' in body
        assert ("é" * 100_000).encode() in body
    with path.open(encoding="utf-8") as file:
        form = FormData()
        form.add_field("f", file, content_type="text/csv; charset=latin-1")
        body = session.post(url, data=form).read()
        assert b"Content-Type: text/csv; charset=latin-1" in body
        assert b"\xe9" * 100_000 in body
    with path.open(encoding="utf-8") as file:
        writer = MultipartWriter("mixed")
        writer.append(file)
        assert ("é" * 100_000).encode() in session.post(url, data=writer).read()


def test_a_text_file_is_sent_again(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """After a redirect, from where it stood."""
    path = tmp_path / "text"
    path.write_text("skipped\n" + "é" * 100_000, "utf-8")

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(status="307 Temporary Redirect", headers=[("Location", "/there")])
        conn.respond(conn.read_request().body)

    with path.open(encoding="utf-8") as file:
        file.readline()
        body = session.post(raw_server(script).url, data=file).read()
    assert body == ("é" * 100_000).encode()


DATA = bytes(range(256)) * 2000


class Minimal:
    """Has a read() and nothing else."""

    def __init__(self, data: bytes = DATA) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


class Short(Minimal):
    """Gives less than it is asked for."""

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, 1000))


class WithLen(Minimal):
    len = len(DATA)


class WithDunderLen(Minimal):
    def __len__(self) -> int:
        return len(DATA)


class Positioned(WithDunderLen):
    """Stands behind its tenth byte, and cannot seek."""

    def __init__(self) -> None:
        super().__init__()
        self._file.read(10)

    def tell(self) -> int:
        return self._file.tell()


class Seeking(Minimal):
    """Knows its position, but has no seekable()."""

    def __init__(self) -> None:
        super().__init__()
        self._file.read(10)

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)


class SeekingFromStart(Seeking):
    """Takes no second argument, and returns nothing."""

    def seek(self, position: int) -> None:  # type: ignore[override]  # as some do
        self._file.seek(position)


class SeekingWithLen(SeekingFromStart):
    def __len__(self) -> int:
        return len(DATA)


class NoTell(Minimal):
    error: type[Exception] = OSError

    def tell(self) -> int:
        raise self.error

    def seek(self, position: int, whence: int = 0) -> int:
        raise self.error


class NoTellButLen(NoTell):
    len = len(DATA)


class NotImplementedTell(NoTell):
    error = NotImplementedError


class OddLen(Minimal):
    len = "many"


class NegativeLen(Minimal):
    len = -1


class LenMethod(Minimal):
    def len(self) -> int:
        return len(DATA)


class SeekableInNameOnly(Minimal):
    """Has methods that the file behind it lacks, such as a member of a tar archive in a stream."""

    error: type[Exception] = AttributeError

    def seekable(self) -> bool:
        raise self.error

    def tell(self) -> int:
        raise self.error

    seek = tell


class Unsupported(SeekableInNameOnly):
    error = io.UnsupportedOperation


class TellsButCannotSeek(Minimal):
    """Counts what it has read, as a wrapper of a pipe does."""

    def tell(self) -> int:
        return 10

    def seek(self, position: int, whence: int = 0) -> int:
        raise io.UnsupportedOperation("seek")


def tar_member() -> Any:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("f")
        member.size = len(DATA)
        tar.addfile(member, io.BytesIO(DATA))
    archive.seek(0)
    stream = tarfile.open(fileobj=archive, mode="r|")  # noqa: SIM115
    return stream.extractfile(stream.next() or member)


class Unreliable(Minimal):
    def __len__(self) -> int:
        raise NotImplementedError


class ReadsText(Minimal):
    """Returns str, as no binary file does."""

    def read(self, size: int = -1) -> str:  # type: ignore[override]
        return self._file.read(size).decode("latin-1")


@pytest.mark.parametrize(
    ("make", "expected", "length"),
    [
        (Minimal, DATA, None),
        (Short, DATA, None),
        (WithLen, DATA, len(DATA)),
        (WithDunderLen, DATA, len(DATA)),
        (Positioned, DATA[10:], len(DATA) - 10),
        (Seeking, DATA[10:], len(DATA) - 10),
        (SeekingFromStart, DATA[10:], None),
        (SeekingWithLen, DATA[10:], len(DATA) - 10),
        (NoTell, DATA, None),
        (NotImplementedTell, DATA, None),
        (NoTellButLen, DATA, None),
        (OddLen, DATA, None),
        (NegativeLen, DATA, None),
        (LenMethod, DATA, None),
        (Unreliable, DATA, None),
        (SeekableInNameOnly, DATA, None),
        (Unsupported, DATA, None),
        (TellsButCannotSeek, DATA, None),
        (tar_member, DATA, None),
        (ReadsText, DATA.decode("latin-1").encode(), None),
    ],
)
def test_file_likes_are_bodies(
    raw_server: StartRawServer,
    session: Session,
    make: Callable[[], Any],
    expected: bytes,
    length: int | None,
) -> None:
    """With a Content-Length where they tell it, as requests asks for it; else in chunks."""
    url = raw_server(echo).url
    response = session.post(url, data=make())
    assert response.read() == expected
    assert response.headers["X-Content-Length"] == ("none" if length is None else str(length))
    assert (response.headers["X-Transfer-Encoding"] == "chunked") is (length is None)
    if length is not None:
        theirs = requests.post(url, data=_Iterable(make()), timeout=20)
        assert theirs.headers["X-Content-Length"] == str(length)
    body = session.post(url, data={"a": "1", "f": make()}).read()
    assert expected in body


class _Iterable:
    """A file-like that requests takes for a stream: it must have an __iter__."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __len__(self) -> int:
        return len(DATA)

    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError


@pytest.mark.parametrize(("told", "outcome"), [(len(DATA) - 1, "cut"), (len(DATA) + 1, "error")])
def test_a_length_that_is_wrong(
    raw_server: StartRawServer, session: Session, told: int, outcome: str
) -> None:
    """More than was told is not sent, and less is an error: the framing holds."""

    class Wrong(Minimal):
        len = told

    url = raw_server(echo).url
    if outcome == "cut":
        assert session.post(url, data=Wrong()).read() == DATA[:-1]
    else:
        with pytest.raises(ClientPayloadError, match=f"ended after {len(DATA)} of {told} bytes"):
            session.post(url, data=Wrong())


class AsyncFile:
    def __init__(self) -> None:
        self._file = io.BytesIO(DATA)

    async def read(self, size: int = -1) -> bytes:
        await anyio.sleep(0)
        return self._file.read(size)


class AsyncTextFile(AsyncFile):
    async def read(self, size: int = -1) -> str:  # type: ignore[override]
        return (await super().read(size)).decode("latin-1")


class AsyncLines(AsyncFile):
    """Iterates over lines as well, as aiofiles and anyio have it."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError


@pytest.mark.parametrize("make", [AsyncFile, AsyncTextFile, AsyncLines])
def test_async_file_likes_are_bodies(
    raw_server: StartRawServer, session: Session, make: Callable[[], Any]
) -> None:
    """read() is awaited, in blocks; in forms too, and for the async twin."""
    expected = DATA.decode("latin-1").encode() if make is AsyncTextFile else DATA
    url = raw_server(echo).url
    assert session.post(url, data=make()).read() == expected
    assert expected in session.post(url, data={"a": "1", "f": make()}).read()

    async def twin() -> bytes:
        async with session.aio.post(url, data=make()) as response:
            return await response.read()

    assert anyio.run(twin) == expected
    assert anyio.run(twin, backend="trio") == expected
