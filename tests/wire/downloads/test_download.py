"""Downloads into files: complete or not there, resumed, started over, verified."""

import hashlib
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError, ClientResponseError

from syncclient import Session
from syncclient._client.download import download
from tests.children import RunChild
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, RawRequest, Script, StartRawServer
from tests.wire.downloads.conftest import names

BODY = pattern(300_000)


def fetch(session: Session, url: str, path: Path | str, **settings: Any) -> Path:
    """What ``Session.download`` does."""
    return download(session._place, url, path, settings.pop("options", {}), **settings)


def serving(
    body: bytes = BODY,
    *,
    headers: tuple[tuple[str, str], ...] = (("ETag", '"1"'),),
    stop: int | None = None,
    ranges: bool = True,
    honest: bool = True,
) -> Script:
    """A server of one file, which breaks off at byte ``stop``.

    Without ``ranges`` it ignores Range; not ``honest``, it ignores If-Range.
    """

    def script(conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            start = wanted(request)
            if not ranges or (honest and request.header("If-Range") not in ("", headers[0][1])):
                start = 0
            head = [*headers, ("Content-Length", str(len(body) - start))]
            if start:
                head.append(("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}"))
            conn.send_head(status="206 Partial Content" if start else "200 OK", headers=head)
            conn.send(body[start:stop])
            if stop is not None:
                return

    return script


def wanted(request: RawRequest) -> int:
    return int(request.header("Range", "bytes=0-")[6:-1])


# Whole files.


@pytest.mark.parametrize(
    "url", ["/bytes/300000", "/bytes/300000?chunked=1", "/range/300000", "/bytes/0"]
)
def test_a_file_is_downloaded(app: AppServer, session: Session, tmp_path: Path, url: str) -> None:
    """Under its name and nothing beside it, in place of what was there."""
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")
    assert fetch(session, app.url + url, target) == target
    assert target.read_bytes() == (b"" if url == "/bytes/0" else BODY)
    assert names(tmp_path) == ["file.bin"]


def test_a_compressed_body_is_the_decompressed_file(
    app: AppServer, session: Session, tmp_path: Path
) -> None:
    """Where a server compresses though it is asked not to."""
    target = fetch(session, f"{app.url}/gzip?size=300000", str(tmp_path / "x"))
    assert target.read_bytes() == BODY


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (None, "file.tar.gz"),
        ('attachment; filename="report.pdf"', "report.pdf"),
        ("attachment; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt", "naïve €.txt"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="/etc/passwd"', "passwd"),
        ("attachment; filename*=UTF-8''..%2F..%2Fx", "x"),
        (r'attachment; filename="..\\..\\x.exe"', "x.exe"),
        ('attachment; filename="C:\\\\x"', "x"),
        ('attachment; filename=".."', "file.tar.gz"),
        ('attachment; filename=".bashrc"', "bashrc"),
        ("attachment; filename*=UTF-8''a%00b%0Ac", "abc"),
        ('attachment; filename="' + "x" * 300 + '"', "file.tar.gz"),
        ("inline", "file.tar.gz"),
    ],
)
def test_in_a_directory_the_name_is_the_servers_but_the_place_is_ours(
    raw_server: StartRawServer,
    session: Session,
    tmp_path: Path,
    disposition: str | None,
    name: str,
) -> None:
    """Whatever the Content-Disposition says, the file is in the directory, and not hidden."""
    headers = [("ETag", '"1"')] + ([("Content-Disposition", disposition)] if disposition else [])
    wire = raw_server(serving(headers=tuple(headers)))
    folder = tmp_path / "downloads"
    folder.mkdir()
    target = fetch(session, f"{wire.url}/dir/file.tar.gz?x=/y", folder)
    assert target == folder / name
    assert target.read_bytes() == BODY
    assert names(tmp_path) == ["downloads"]
    assert names(folder) == [name]


@pytest.mark.parametrize("status", [404, 403, 503])
def test_what_is_no_file_is_an_error(
    app: AppServer, session: Session, tmp_path: Path, status: int
) -> None:
    """The page that says so is not what was asked for; what was there stays."""
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with pytest.raises(ClientResponseError) as info:
        fetch(session, f"{app.url}/status/{status}", target)
    assert info.value.status == status
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


# Broken connections.


def test_a_broken_connection_is_resumed(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """With the range that is missing, if it is still the same version."""
    wire = raw_server(serving(stop=100_000), serving(stop=250_000), serving())
    target = fetch(session, wire.url, tmp_path / "x")
    assert target.read_bytes() == BODY
    assert [wanted(request) for request in wire.requests] == [0, 100_000, 250_000]
    assert [request.header("If-Range") for request in wire.requests] == ["", '"1"', '"1"']
    assert {request.header("Accept-Encoding") for request in wire.requests} == {"identity"}
    assert names(tmp_path) == ["x"]


def test_an_aborted_download_is_resumed_by_the_next(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """What came is kept, and nothing is under the final name until it is complete."""
    wire = raw_server(serving(stop=100_000), serving())
    with pytest.raises(ClientPayloadError):
        fetch(session, wire.url, tmp_path / "x", retries=0)
    assert names(tmp_path) == ["x.part", "x.part.json"]
    assert (tmp_path / "x.part").read_bytes() == BODY[:100_000]
    fetch(session, wire.url, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == BODY
    assert [wanted(request) for request in wire.requests] == [0, 100_000]
    assert names(tmp_path) == ["x"]


def test_in_a_directory_too(raw_server: StartRawServer, session: Session, tmp_path: Path) -> None:
    """Though the name is known only from the first answer, which is then not used."""
    wire = raw_server(serving(stop=100_000), serving())
    with pytest.raises(ClientPayloadError):
        fetch(session, f"{wire.url}/x", tmp_path, retries=0)
    assert fetch(session, f"{wire.url}/x", tmp_path).read_bytes() == BODY
    assert [wanted(request) for request in wire.requests] == [0, 0, 100_000]


OTHER = pattern(300_000, 7)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (serving(OTHER, headers=(("ETag", '"2"'),)), OTHER),
        (serving(OTHER, headers=(("ETag", '"2"'),), honest=False), OTHER),
        (serving(ranges=False), BODY),
        (serving(BODY[:50_000], headers=(("ETag", '"2"'),)), BODY[:50_000]),
    ],
    ids=["changed", "changed, and If-Range ignored", "no ranges", "shorter"],
)
def test_what_cannot_be_resumed_starts_over(
    raw_server: StartRawServer,
    session: Session,
    tmp_path: Path,
    second: Script,
    expected: bytes,
) -> None:
    """In the same call, and in a later one; versions are never mixed."""
    wire = raw_server(serving(stop=100_000), second)
    assert fetch(session, wire.url, tmp_path / "x").read_bytes() == expected
    wire = raw_server(serving(stop=100_000), second)
    with pytest.raises(ClientPayloadError):
        fetch(session, wire.url, tmp_path / "y", retries=0)
    assert fetch(session, wire.url, tmp_path / "y").read_bytes() == expected
    assert names(tmp_path) == ["x", "y"]


@pytest.mark.parametrize(
    ("headers", "resumed"),
    [
        ((("ETag", '"1"'),), True),
        ((("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"),), True),
        ((("ETag", 'W/"1"'),), False),
        ((("X", "nothing"),), False),
    ],
    ids=["etag", "time", "weak etag", "nothing"],
)
def test_only_a_strong_validator_is_trusted(
    raw_server: StartRawServer,
    session: Session,
    tmp_path: Path,
    headers: tuple[tuple[str, str], ...],
    resumed: bool,
) -> None:
    """Without one there is no telling whether the rest is of the same version."""
    wire = raw_server(serving(headers=headers, stop=100_000), serving(headers=headers))
    assert fetch(session, wire.url, tmp_path / "x").read_bytes() == BODY
    assert [wanted(request) for request in wire.requests] == [0, 100_000 if resumed else 0]


def test_a_part_that_is_complete_needs_no_more_bytes(
    app: AppServer, session: Session, tmp_path: Path
) -> None:
    """The server says so by 416."""
    (tmp_path / "x.part").write_bytes(BODY)
    (tmp_path / "x.part.json").write_text('{"validator": "\\"pattern-300000\\"", "total": 300000}')
    assert fetch(session, f"{app.url}/range/300000", tmp_path / "x").read_bytes() == BODY
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize(
    "note",
    [
        None,
        b"",
        b"[]",
        b"{}",
        b'{"validator": 1, "total": null}',
        b'{"validator": "\\"1\\"", "total": 5}',
    ],
)
def test_a_part_without_a_sound_note_starts_over(
    raw_server: StartRawServer, session: Session, tmp_path: Path, note: bytes | None
) -> None:
    """Nobody knows what it is a part of."""
    (tmp_path / "x.part").write_bytes(b"something else")
    if note is not None:
        (tmp_path / "x.part.json").write_bytes(note)
    wire = raw_server(serving())
    assert fetch(session, wire.url, tmp_path / "x").read_bytes() == BODY
    assert wanted(wire.requests[0]) == 0


def test_resume_false_starts_over(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """Whatever is there."""
    wire = raw_server(serving(stop=100_000), serving())
    with pytest.raises(ClientPayloadError):
        fetch(session, wire.url, tmp_path / "x", retries=0)
    fetch(session, wire.url, tmp_path / "x", resume=False)
    assert [wanted(request) for request in wire.requests] == [0, 0]


def test_retries_are_counted_in_a_row(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """An attempt that brings bytes begins the count anew; passing errors count as well."""

    def busy(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(status="503 Busy")

    wire = raw_server(serving(stop=1000), busy, serving(stop=2000), busy)
    with pytest.raises(ClientResponseError, match="503"):
        fetch(session, wire.url, tmp_path / "x", retries=2)
    assert [wanted(request) for request in wire.requests] == [0, 1000, 1000, 2000, 2000]
    assert (tmp_path / "x.part").stat().st_size == 2000


def test_a_first_connection_that_fails_is_not_tried_again(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """What has never worked is the caller's to know at once; nothing is left behind."""
    with pytest.raises(ClientConnectionError):
        fetch(session, "http://127.0.0.1:1/", tmp_path / "x")
    assert names(tmp_path) == []


# Verification.


def test_a_digest_is_verified(app: AppServer, session: Session, tmp_path: Path) -> None:
    """What has another one does not get its name, and is not resumed."""
    url, digest = f"{app.url}/range/300000", hashlib.sha256(BODY).hexdigest()
    fetch(session, url, tmp_path / "x", digest=f"sha256:{digest.upper()}")
    with pytest.raises(ClientPayloadError, match=f"sha256:0{{64}} says: it has sha256:{digest}"):
        fetch(session, url, tmp_path / "y", digest=f"sha256:{64 * '0'}")
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize(
    "digest",
    [
        "",
        ":",
        "sha256",
        "sha256:",
        "sha256:00",
        f"sha256:{63 * '0'}",
        f"sha256:{65 * '0'}",
        f"sha256:{64 * 'g'}",
        f"sha256:{64 * chr(0x660)}",
        f"sha256-{64 * '0'}",
        f"sha255:{64 * '0'}",
        f"sha512:{64 * '0'}",
        64 * "0",
        "shake_128:00",
        f"shake_256:{64 * '0'}",
    ],
)
def test_what_can_be_no_digest_is_refused_before_anything_is_sent(
    session: Session, tmp_path: Path, digest: str
) -> None:
    """The error says what to write; no connection is made, and no file."""
    with pytest.raises(ValueError, match=r"digest must (be|use)"):
        fetch(session, "http://127.0.0.1:1/", tmp_path / "x", digest=digest)
    assert names(tmp_path) == []


def test_a_digest_covers_what_an_earlier_download_left(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """A part that was tampered with is found out."""
    wire = raw_server(serving())
    (tmp_path / "x.part").write_bytes(bytes(1000))
    (tmp_path / "x.part.json").write_text('{"validator": "\\"1\\"", "total": 300000}')
    with pytest.raises(ClientPayloadError):
        fetch(session, wire.url, tmp_path / "x", digest=f"md5:{hashlib.md5(BODY).hexdigest()}")
    assert wanted(wire.requests[0]) == 1000
    assert names(tmp_path) == []


# Files.


def test_progress_is_told_in_this_thread(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """Bytes there and bytes in all, from what was there already to the end."""
    wire = raw_server(serving(stop=100_000), serving())
    with pytest.raises(ClientPayloadError):
        fetch(session, wire.url, tmp_path / "x", retries=0)
    calls: list[tuple[int, int | None, int]] = []

    def progress(done: int, total: int | None) -> None:
        calls.append((done, total, threading.get_ident()))

    fetch(session, wire.url, tmp_path / "x", progress=progress)
    assert calls[0][:2] == (100_000, 300_000)
    assert calls[-1][:2] == (300_000, 300_000)
    assert sorted(calls) == calls
    assert {ident for _, _, ident in calls} == {threading.get_ident()}


def test_progress_true_draws_a_bar(
    app: AppServer, session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, where it does not mix with what the program prints."""
    pytest.importorskip("rich")
    fetch(session, f"{app.url}/bytes/300000", tmp_path / "big.iso", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "big.iso" in err


def test_an_error_of_the_hook_is_the_callers(
    app: AppServer, session: Session, tmp_path: Path
) -> None:
    """And ends the download, which can be resumed."""

    def progress(done: int, total: int | None) -> None:
        if done:
            raise LookupError

    with pytest.raises(LookupError):
        fetch(session, f"{app.url}/range/30000000", tmp_path / "x", progress=progress)
    app.wait_until(lambda stats: stats.total_in_flight == 0)
    assert names(tmp_path) == ["x.part", "x.part.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="there, no lock is needed")
def test_two_downloads_to_a_path_do_not_mix(
    app: AppServer, session: Session, tmp_path: Path
) -> None:
    """The second is refused."""

    def progress(done: int, total: int | None) -> None:
        with pytest.raises(BlockingIOError, match="another download"):
            fetch(session, f"{app.url}/range/1000", tmp_path / "x")

    fetch(session, f"{app.url}/range/300000", tmp_path / "x", progress=progress)
    assert (tmp_path / "x").read_bytes() == BODY


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="needs O_NOFOLLOW")
def test_a_planted_link_is_not_followed(app: AppServer, session: Session, tmp_path: Path) -> None:
    """The bytes do not go where somebody else would like them."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "x.part").symlink_to(victim)
    with pytest.raises(OSError, match=r"x\.part"):
        fetch(session, f"{app.url}/bytes/1000", tmp_path / "x")
    assert victim.read_bytes() == b"mine"


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_place_that_cannot_be_written_is_an_error_before_the_request(
    app: AppServer, session: Session, tmp_path: Path, folder: str
) -> None:
    """Nothing is downloaded for nothing."""
    (tmp_path / "file").write_bytes(b"")
    before = app.stats().requests
    with pytest.raises(OSError, match=r"x\.part"):
        fetch(session, f"{app.url}/bytes/1000", tmp_path / folder / "x")
    assert app.stats().requests == before


@pytest.mark.skipif(sys.platform == "win32", reason="limits a file's size by setrlimit")
def test_a_full_disk_keeps_the_part(app: AppServer, run_child: RunChild, tmp_path: Path) -> None:
    """The error names the file; once there is room, the download goes on."""
    child = run_child(
        """
import resource, signal, sys
from pathlib import Path
import syncclient
from syncclient._client.download import download

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
url, path = sys.argv[1], Path(sys.argv[2])
with syncclient.Session() as session:
    def fetch():
        return download(session._place, url, path, {})
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    try:
        fetch()
    except OSError as exc:
        print(exc.filename == str(path) + ".part", path.exists())
    print((path.parent / (path.name + ".part")).stat().st_size)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(fetch().stat().st_size)
""",
        f"{app.url}/range/3000000",
        str(tmp_path / "x"),
    )
    assert child.stderr == ""
    assert child.stdout == "True False\n1000000\n3000000\n"
    assert (tmp_path / "x").read_bytes() == pattern(3_000_000)
    assert names(tmp_path) == ["x"]
