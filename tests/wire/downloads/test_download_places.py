"""Where downloads go: no server chooses which file is replaced, and nothing follows a link."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiohttp import ClientPayloadError

from syncclient import Session
from syncclient._client.download import download
from tests.children import RunChild
from tests.servers.raw import RawConnection, Script, StartRawServer
from tests.wire.downloads.conftest import names

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and links as POSIX has them")


def numbering(session: Session, url: str, path: Path) -> Path:
    """What the command line does."""
    return download(session._place, url, path, {}, number=True)


def serving(body: bytes = b"new", disposition: str = "", *, etag: str = "") -> Script:
    def script(conn: RawConnection) -> None:
        headers = [("Content-Disposition", disposition)] if disposition else []
        headers += [("ETag", etag)] if etag else []
        while True:
            if conn.read_request().target == "/moved":
                conn.respond(status="302 Found", headers=[("Location", "/Makefile")])
            else:
                conn.respond(body, headers=headers)

    return script


def broken_off(conn: RawConnection) -> None:
    conn.read_request()
    conn.send_head(headers=[("ETag", '"1"'), ("Content-Length", "100")])
    conn.send(b"12345")


# Names.


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link", "pipe"])
def test_what_is_there_is_not_replaced_under_a_name_of_the_servers(
    raw_server: StartRawServer, session: Session, tmp_path: Path, kind: str
) -> None:
    """The call refuses, before the body comes; the command line takes the next number."""
    (tmp_path / "victim").write_bytes(b"mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    there = folder / "setup.py"
    if kind == "file":
        there.write_bytes(b"mine")
    elif kind == "folder":
        there.mkdir()
    elif kind == "pipe":
        os.mkfifo(there)
    else:
        there.symlink_to(tmp_path / ("victim" if kind == "link" else "nothing"))
    before = there.lstat()
    url = raw_server(serving(b"evil", 'attachment; filename="setup.py"')).url
    with pytest.raises(FileExistsError, match=r"setup\.py"):
        session.download(f"{url}/harmless.bin", folder)
    assert names(folder) == ["setup.py"]
    assert numbering(session, f"{url}/harmless.bin", folder) == folder / "setup.py.1"
    assert numbering(session, f"{url}/harmless.bin", folder) == folder / "setup.py.2"
    assert names(folder) == ["setup.py", "setup.py.1", "setup.py.2"]
    assert there.lstat() == before
    assert (tmp_path / "victim").read_bytes() == b"mine"
    assert names(tmp_path) == ["folder", "victim"]


def test_the_name_is_that_of_the_url_asked_for(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """As with wget: where a redirect leads is the server's to say."""
    (tmp_path / "Makefile").write_bytes(b"mine")
    url = raw_server(serving()).url
    assert session.download(f"{url}/moved", tmp_path) == tmp_path / "moved"
    assert numbering(session, f"{url}/moved", tmp_path) == tmp_path / "moved.1"
    assert (tmp_path / "Makefile").read_bytes() == b"mine"


@pytest.mark.parametrize("disposition", ["", "attachment; filename=a.txt", "attachment; filename"])
def test_a_name_that_was_asked_for_is_replaced(
    raw_server: StartRawServer, session: Session, tmp_path: Path, disposition: str
) -> None:
    """By the call, as by curl -O. The command line replaces nothing in a folder, as wget."""
    (tmp_path / "a.txt").write_bytes(b"old")
    url = raw_server(serving(disposition=disposition)).url
    assert session.download(f"{url}/dir/a.txt?x=y", tmp_path) == tmp_path / "a.txt"
    assert (tmp_path / "a.txt").read_bytes() == b"new"
    assert numbering(session, f"{url}/dir/a.txt", tmp_path) == tmp_path / "a.txt.1"


@pytest.mark.parametrize("disposition", ["", "attachment; filename=download"])
def test_a_url_without_a_name_asks_for_none(
    raw_server: StartRawServer, session: Session, tmp_path: Path, disposition: str
) -> None:
    """So a file of the name that is used instead is not replaced."""
    url = raw_server(serving(disposition=disposition)).url
    assert session.download(url, tmp_path) == tmp_path / "download"
    with pytest.raises(FileExistsError):
        session.download(f"{url}/dir/?x=y", tmp_path)


def test_a_path_of_the_callers_is_replaced(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """Whatever the server calls it, and by the command line too."""
    (tmp_path / "a.txt").write_bytes(b"old")
    url = raw_server(serving(disposition="attachment; filename=b.txt")).url
    assert session.download(url, tmp_path / "a.txt") == tmp_path / "a.txt"
    assert numbering(session, url, tmp_path / "a.txt") == tmp_path / "a.txt"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("name", ["big.iso.part", "big.iso.part.json", "BIG.ISO.PART"])
def test_the_state_of_another_download_is_not_touched(
    raw_server: StartRawServer, session: Session, tmp_path: Path, name: str
) -> None:
    """What a server calls like a part is not called so."""
    with pytest.raises(ClientPayloadError):
        session.download(raw_server(broken_off).url, tmp_path / "big.iso", retries=0)
    before = {each: (tmp_path / each).read_bytes() for each in names(tmp_path)}
    assert before.keys() == {"big.iso.part", "big.iso.part.json"}
    url = raw_server(serving(disposition=f"attachment; filename={name}")).url
    for fetched in (session.download(url, tmp_path), numbering(session, url, tmp_path)):
        assert fetched.read_bytes() == b"new"
    for each, body in before.items():
        assert (tmp_path / each).read_bytes() == body


@pytest.mark.parametrize("number", [False, True])
def test_a_file_that_appears_meanwhile_is_not_replaced(
    raw_server: StartRawServer, session: Session, tmp_path: Path, number: bool
) -> None:
    """Not even one that was not there when the download began."""
    url = raw_server(serving(disposition="attachment; filename=a.txt", etag='"1"')).url

    def appear(done: int, total: int | None) -> None:
        (tmp_path / "a.txt").write_bytes(b"mine")

    def fetch() -> Path:
        return download(session._place, url, tmp_path, {}, number=number, progress=appear)

    if number:
        assert fetch() == tmp_path / "a.txt.1"
        assert (tmp_path / "a.txt.1").read_bytes() == b"new"
    else:
        with pytest.raises(FileExistsError, match=r"a\.txt"):
            fetch()
        assert (tmp_path / "a.txt.part").read_bytes() == b"new"
    assert (tmp_path / "a.txt").read_bytes() == b"mine"


def test_where_there_are_no_hard_links(
    raw_server: StartRawServer, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On some file systems the name is taken another way, and as surely."""

    def link(*args: object, **kwargs: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    url = raw_server(serving(disposition="attachment; filename=a.txt")).url
    assert session.download(url, tmp_path).read_bytes() == b"new"
    assert numbering(session, url, tmp_path).read_bytes() == b"new"
    assert names(tmp_path) == ["a.txt", "a.txt.1"]


# Several at once.


def counting() -> Script:
    """A server that gives a different body to each, all under the same name."""
    lock, numbers = threading.Lock(), iter(range(1000))

    def script(conn: RawConnection) -> None:
        conn.read_request()
        with lock:
            body = b"%04d" % next(numbers) * 10_000
        conn.respond(body, headers=[("Content-Disposition", "attachment; filename=a.txt")])

    return script


def assert_each_is_whole(folder: Path, count: int) -> None:
    bodies = [path.read_bytes() for path in folder.iterdir()]
    assert len(set(bodies)) == len(bodies) == count
    for body in bodies:
        assert body == body[:4] * 10_000


def test_many_threads_into_one_directory(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """Each has a file of its own, whole, and none is lost."""
    url = raw_server(counting()).url
    with ThreadPoolExecutor(12) as threads:
        paths = list(threads.map(lambda _: numbering(session, url, tmp_path), range(36)))
    assert len(set(paths)) == 36
    assert_each_is_whole(tmp_path, 36)


def test_many_processes_into_one_directory(
    raw_server: StartRawServer, run_child: RunChild, tmp_path: Path
) -> None:
    """The same."""
    url = raw_server(counting()).url
    program = """
import sys
from pathlib import Path
import syncclient
from syncclient._client.download import download

with syncclient.Session() as session:
    place, path = session._place, Path(sys.argv[2])
    for _ in range(8):
        download(place, sys.argv[1], path, {}, number=True)
"""
    with ThreadPoolExecutor(3) as threads:
        children = [threads.submit(run_child, program, url, str(tmp_path)) for _ in range(3)]
        assert [child.result().stderr for child in children] == [""] * 3
    assert_each_is_whole(tmp_path, 24)


@posix
def test_a_forked_child_holds_no_path(run_child: RunChild, tmp_path: Path) -> None:
    """It has the part open as well, and with it the lock, for as long as it lives."""
    child = run_child(
        """
import os, sys
from pathlib import Path
from syncclient._client.partial_file import PartialFile

partial = PartialFile(Path(sys.argv[1]))
reading, writing = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(writing)
    os.read(reading, 1)
    os._exit(0)
try:
    PartialFile(Path(sys.argv[1]))
except BlockingIOError:
    print("busy")
partial.close()
PartialFile(Path(sys.argv[1])).close()
os.close(writing)
os.waitpid(pid, 0)
""",
        str(tmp_path / "x"),
    )
    assert (child.stdout, child.stderr) == ("busy\n", "")
    assert names(tmp_path) == []


def test_many_threads_by_the_call(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """One gets the name; each other is refused, and nothing of theirs is left."""
    url = raw_server(counting()).url

    def fetch(_: int) -> Path | None:
        try:
            return session.download(url, tmp_path)
        except (FileExistsError, BlockingIOError):
            return None

    with ThreadPoolExecutor(12) as threads:
        paths = list(threads.map(fetch, range(36)))
    assert len(set(paths) - {None}) == 1
    assert paths.count(None) == 35
    assert_each_is_whole(tmp_path, 1)


# Paths.


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("", ValueError),
        (None, TypeError),
        (b"x", TypeError),
        (3, TypeError),
        ("a\0b", ValueError),
        ("missing/", FileNotFoundError),
        ("missing/x", FileNotFoundError),
        ("file/", NotADirectoryError),
        ("file/x", NotADirectoryError),
    ],
)
def test_a_path_that_cannot_be_used(
    session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: object,
    error: type[Exception],
) -> None:
    """The error comes before anything is sent."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(error):
        session.download("http://127.0.0.1:1/", path)  # type: ignore[arg-type]  # wrong on purpose
    assert names(tmp_path) == ["file"]


def test_a_long_name_of_the_callers(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """As long as the file system takes it; its part is kept under a shorter one."""
    target = tmp_path / ("x" * 255)
    wire = raw_server(broken_off, serving())
    with pytest.raises(ClientPayloadError):
        session.download(wire.url, target, retries=0)
    assert len(names(tmp_path)) == 2
    assert session.download(wire.url, target).read_bytes() == b"new"
    assert names(tmp_path) == [target.name]


def test_what_cannot_be_gone_on_from_is_not_kept(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """Without a version that the server names, a part is of no use."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "100")])
        conn.send(b"12345")

    with pytest.raises(ClientPayloadError):
        session.download(raw_server(script).url, tmp_path / "x", retries=0)
    assert names(tmp_path) == []


def test_a_note_puts_nothing_into_the_request(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """One that somebody else has written counts only if it has a validator."""
    (tmp_path / "x.part").write_bytes(b"1")
    (tmp_path / "x.part.json").write_text('{"validator": "\\"1\\"\\r\\nX: y", "total": 3}')
    wire = raw_server(serving())
    assert session.download(wire.url, tmp_path / "x").read_bytes() == b"new"
    assert wire.requests[0].header("If-Range") == wire.requests[0].header("X") == ""
