"""Downloads follow no link, take the place of no device, and keep a file's mode."""

import os
import stat
import sys
from pathlib import Path

import pytest

from syncclient import Session
from tests.servers.raw import RawConnection, Script, StartRawServer
from tests.wire.downloads.conftest import names

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and links as POSIX has them")


def serving(body: bytes = b"new", disposition: str = "", *, etag: str = "") -> Script:
    def script(conn: RawConnection) -> None:
        headers = [("Content-Disposition", disposition)] if disposition else []
        headers += [("ETag", etag)] if etag else []
        while True:
            conn.read_request()
            conn.respond(body, headers=headers)

    return script


# Links, pipes, devices.


@posix
@pytest.mark.parametrize("place", ["x.part", "x.part.json"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "pipe", "folder"])
def test_what_was_planted_is_not_followed(
    raw_server: StartRawServer, session: Session, tmp_path: Path, place: str, kind: str
) -> None:
    """The download fails, or goes its own way; it never writes elsewhere, and never hangs."""
    victim, folder = tmp_path / "victim", tmp_path / "folder"
    victim.write_bytes(b'{"validator": "\\"1\\"", "total": 3}')
    folder.mkdir()
    planted = folder / place
    if kind == "pipe":
        os.mkfifo(planted)
    elif kind == "folder":
        planted.mkdir()
    elif kind == "hard link":
        planted.hardlink_to(victim)
    else:
        planted.symlink_to(victim if kind == "link" else tmp_path / "nothing")
    before = victim.read_bytes()
    try:
        fetched = session.download(raw_server(serving(etag='"1"')).url, folder / "x", timeout=5)
    except OSError:
        assert kind != "hard link"
    else:
        assert fetched.read_bytes() == b"new"
        assert names(folder) == ["x"]
    assert victim.read_bytes() == before
    assert names(tmp_path) == ["folder", "victim"]


@posix
def test_a_link_at_the_path_is_replaced_itself(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """What it leads to stays as it is; so does the other name of a file that has two."""
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "soft").symlink_to(tmp_path / "victim")
    (tmp_path / "hard").hardlink_to(tmp_path / "victim")
    url = raw_server(serving()).url
    for name in ("soft", "hard"):
        assert session.download(url, tmp_path / name).read_bytes() == b"new"
        assert not (tmp_path / name).is_symlink()
    assert (tmp_path / "victim").read_bytes() == b"mine"


@posix
@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device", "folder"])
def test_what_is_no_file_is_not_replaced(session: Session, tmp_path: Path, kind: str) -> None:
    """A superuser's download does not take the place of a device. Nothing is sent."""
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        (tmp_path / "Makefile").mkdir()
        path = tmp_path
    elif kind == "device":
        path = Path("/dev/null")
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(OSError, match=r"device, pipe or socket|Connection refused by"):
        session.download("http://127.0.0.1:1/Makefile", path)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert not Path("/dev/null.part").exists()


def test_a_folder_under_the_name_asked_for_stays(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """The error comes before the body."""
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        session.download(f"{raw_server(serving()).url}/a", tmp_path)
    assert names(tmp_path) == ["a"]


def test_a_part_that_is_taken_away_meanwhile(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """Somebody else's file of that name is not given ours."""

    def swap(done: int, total: int | None) -> None:
        (tmp_path / "x.part").unlink(missing_ok=True)
        (tmp_path / "x.part").write_bytes(b"other")

    with pytest.raises(OSError, match=r"x\.part"):
        session.download(raw_server(serving()).url, tmp_path / "x", progress=swap)
    assert names(tmp_path) == ["x.part"]
    assert (tmp_path / "x.part").read_bytes() == b"other"


# Modes.


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o755, 0o400, 0o6755])
def test_a_file_keeps_its_mode(
    raw_server: StartRawServer, session: Session, tmp_path: Path, mode: int
) -> None:
    """But for what lends its owner's rights to those who run it. Its part has no wider one."""
    target = tmp_path / "x"
    target.write_bytes(b"old")
    target.chmod(mode)
    parts: list[int] = []

    def look(done: int, total: int | None) -> None:
        parts.append(stat.S_IMODE((tmp_path / "x.part").stat().st_mode))

    old = os.umask(0o022)
    try:
        session.download(raw_server(serving()).url, target, progress=look)
    finally:
        os.umask(old)
    assert stat.S_IMODE(target.stat().st_mode) == mode & 0o777
    assert set(parts) == {mode & 0o777 | 0o600}
    assert target.read_bytes() == b"new"


@posix
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_of_new_files(
    raw_server: StartRawServer, session: Session, tmp_path: Path, umask: int, mode: int
) -> None:
    """By the umask, under a name of the caller's and under one of the server's."""
    url = raw_server(serving(disposition="attachment; filename=b")).url
    old = os.umask(umask)
    try:
        fetched = [session.download(url, tmp_path / "a"), session.download(url, tmp_path)]
    finally:
        os.umask(old)
    assert {stat.S_IMODE(path.stat().st_mode) for path in fetched} == {mode}
