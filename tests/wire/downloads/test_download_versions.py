"""Which answers go on with a download: never a file of two versions, never one of two codings."""

import gzip
import json
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientPayloadError, ClientResponseError

from syncclient import Session
from tests.servers.content import pattern
from tests.servers.raw import RawConnection, Script, StartRawServer

BODY = pattern(1000)
OTHER = pattern(1000, 7)
DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
LATER = "Mon, 01 Jan 2024 00:00:09 GMT"


def first(**headers: str) -> Script:
    """The first hundred bytes of the file."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[*named(headers), ("Content-Length", "1000")])
        conn.send(BODY[:100])

    return script


def named(headers: dict[str, str]) -> list[tuple[str, str]]:
    return [(name.replace("_", "-"), value) for name, value in headers.items()]


def rest(status: str, body: bytes, **headers: str) -> Script:
    """An answer to the request for the rest; the whole of another file to one for all of it."""

    def script(conn: RawConnection) -> None:
        while True:
            if conn.read_request().header("Range"):
                conn.respond(body, status=status, headers=named(headers))
            else:
                conn.respond(OTHER)

    return script


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        ({"ETag": '"1"'}, '"1"'),
        ({"ETag": '""'}, '""'),
        ({"ETag": '"1"', "Last_Modified": DATE}, '"1"'),
        ({"Last_Modified": DATE}, DATE),
        ({"Last_Modified": DATE, "Date": LATER}, DATE),
        ({"ETag": "1", "Last_Modified": DATE}, DATE),
        ({"ETag": "", "Last_Modified": DATE}, DATE),
        # Weak, or nothing that could be sent back.
        ({"Last_Modified": DATE, "Date": DATE}, ""),
        ({"ETag": 'W/"1"', "Last_Modified": DATE}, ""),
        ({"ETag": 'w/"1"'}, ""),
        ({"ETag": "1"}, ""),
        ({"ETag": '"1'}, ""),
        ({"ETag": '"\xe4"'}, ""),
        ({"ETag": '"1" "2"'}, ""),
        ({"Last_Modified": "0"}, ""),
        ({"Last_Modified": "yesterday"}, ""),
        ({"Last_Modified": "\xe4"}, ""),
        ({"ETag": '"1"', "Content_Encoding": "unknown"}, ""),
    ],
)
def test_what_names_a_version(
    raw_server: StartRawServer,
    session: Session,
    tmp_path: Path,
    sent: dict[str, str],
    asked: str,
) -> None:
    """A strong entity tag, or else a date that is not of this very second (RFC 9110, 13.1.5)."""
    wire = raw_server(first(**sent), rest("206 X", BODY[100:], Content_Range="bytes 100-999/1000"))
    fetched = session.download(wire.url, tmp_path / "x")
    assert fetched.read_bytes() == (BODY if asked else OTHER)
    assert wire.requests[1].header("If-Range") == asked
    assert wire.requests[1].header("Range") == ("bytes=100-" if asked else "")


RANGE = "bytes 100-999/1000"


@pytest.mark.parametrize(
    ("status", "body", "headers", "goes_on"),
    [
        ("206 X", BODY[100:], {"ETag": '"1"', "Content_Range": RANGE}, True),
        ("206 X", BODY[100:], {"Content_Range": RANGE}, True),
        ("206 X", BODY[100:], {"Content_Range": RANGE, "Content_Encoding": "identity"}, True),
        ("206 X", OTHER[100:], {"ETag": '"2"', "Content_Range": RANGE}, False),
        ("206 X", OTHER[100:], {"ETag": 'W/"1"', "Content_Range": RANGE}, False),
        ("206 X", OTHER[100:], {}, False),
        ("206 X", OTHER[99:], {"Content_Range": "bytes 99-999/1000"}, False),
        ("206 X", OTHER[100:], {"Content_Range": "bytes 100-999/1001"}, False),
        ("206 X", OTHER[100:200], {"Content_Range": "bytes 100-199/1000"}, False),
        ("206 X", OTHER[100:], {"Content_Range": "bytes 100-999/*"}, False),
        ("206 X", OTHER, {"Content_Type": "multipart/byteranges; boundary=x"}, False),
        (
            "206 X",
            gzip.compress(OTHER)[100:],
            {"ETag": '"1"', "Content_Range": RANGE, "Content_Encoding": "gzip"},
            False,
        ),
        ("416 X", b"no", {"Content_Range": "bytes */1000"}, False),
        ("416 X", b"no", {"Content_Range": "bytes */100"}, False),
        ("416 X", b"no", {}, False),
        ("200 OK", OTHER, {"ETag": '"2"'}, False),
        ("203 X", OTHER, {}, False),
    ],
)
def test_what_goes_on(
    raw_server: StartRawServer,
    session: Session,
    tmp_path: Path,
    status: str,
    body: bytes,
    headers: dict[str, str],
    goes_on: bool,
) -> None:
    """Just the bytes that are missing, of the same version. For all else it starts over."""
    wire = raw_server(first(ETag='"1"'), rest(status, body, **headers))
    fetched = session.download(wire.url, tmp_path / "x")
    assert fetched.read_bytes() == (BODY if goes_on else OTHER)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(("etag", "whole"), [('"1"', True), ("", True), ('"2"', False)])
def test_a_part_that_is_complete(
    raw_server: StartRawServer, session: Session, tmp_path: Path, etag: str, whole: bool
) -> None:
    """A server that refuses a range has no more, if it speaks of the same version."""
    (tmp_path / "x.part").write_bytes(BODY)
    (tmp_path / "x.part.json").write_text('{"validator": "\\"1\\"", "total": 1000}')
    headers = {"Content_Range": "bytes */1000", **({"ETag": etag} if etag else {})}
    wire = raw_server(rest("416 X", b"no", **headers))
    assert session.download(wire.url, tmp_path / "x").read_bytes() == (BODY if whole else OTHER)


def test_more_than_was_told(raw_server: StartRawServer, session: Session, tmp_path: Path) -> None:
    """What comes behind a complete body is none of the file."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(BODY, headers=[("ETag", '"1"')])
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        conn.read_to_end()

    for name in ("x", "y"):
        assert session.download(raw_server(script).url, tmp_path / name).read_bytes() == BODY


@pytest.mark.parametrize(
    "note",
    [
        "[" * 100_000,
        '{"validator": "\\"1\\"", "total": ' + "1" * 5000 + "}",
        '{"validator": "\\"1\\"", "total": 1e9}',
        '{"validator": "\\"1\\"", "total": -1}',
        '{"validator": "\\"1\\""}',
        '{"validator": ["\\"1\\""], "total": 1000}',
        '{"validator": "x", "total": 1000}',
        '{"validator": "\\"1\\"", "tot',
        json.dumps({"validator": '"1"', "total": 1000, "x": "y" * 300_000}),
    ],
)
def test_a_note_that_is_none(
    raw_server: StartRawServer, session: Session, tmp_path: Path, note: str
) -> None:
    """The download starts over, without an error."""
    (tmp_path / "x.part").write_bytes(BODY[:100])
    (tmp_path / "x.part.json").write_text(note)
    wire = raw_server(rest("206 X", BODY[100:], Content_Range=RANGE))
    assert session.download(wire.url, tmp_path / "x").read_bytes() == OTHER
    assert [request.header("Range") for request in wire.requests] == [""]


@pytest.mark.parametrize(
    ("path", "goes_on"),
    [("/a", True), ("/a?token=2", True), ("/b", False), ("/a/b", False), ("/a%2F", False)],
)
def test_a_part_of_another_resource(
    raw_server: StartRawServer, session: Session, tmp_path: Path, path: str, goes_on: bool
) -> None:
    """Its versions may have the same names: what it has is no part of the one asked for now."""
    headers = {"ETag": '"1"', "Content_Range": "bytes 100-999/1000"}
    wire = raw_server(first(ETag='"1"'), rest("206 X", BODY[100:], **headers))
    with pytest.raises(ClientPayloadError):
        session.download(f"{wire.url}/a?token=1", tmp_path / "x", retries=0)
    assert session.download(wire.url + path, tmp_path / "x").read_bytes() == (
        BODY if goes_on else OTHER
    )


# Absurd answers.


@pytest.mark.parametrize("connections", [1, 3])
@pytest.mark.parametrize(
    "told",
    [
        "bytes 0-4/" + "9" * 5000,
        "bytes 0-" + "9" * 5000 + "/5",
        "bytes " + "9" * 5000 + "-5/5",
        "bytes 0-4/9999999999999999999",
        "bytes 4-0/5",
        "bytes -1-4/5",
        "bytes 0-4/\N{ARABIC-INDIC DIGIT FIVE}",
        "bytes 0-4/5, bytes 5-9/10",
        "bytes 0-4/*",
        "bytes */5",
        "lines 0-4/5",
        "bytes",
        "",
    ],
)
def test_absurd_ranges(
    raw_server: StartRawServer, session: Session, tmp_path: Path, connections: int, told: str
) -> None:
    """A ClientError, and no file, for a range that says nothing that could be used."""

    def script(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            line = b"Content-Range: " + told.encode() + b"\r\n" if told else b""
            conn.send(b"HTTP/1.1 206 X\r\n%sContent-Length: 5\r\n\r\n12345" % line)

    with pytest.raises(ClientError):
        session.download(raw_server(script).url, tmp_path / "f", connections=connections, retries=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("told", ["bytes 2-4/5", "BYTES 2-4/5", "bytes=2-4/5", " bytes  2-4 / 5 "])
def test_ranges_as_servers_write_them(
    raw_server: StartRawServer, session: Session, tmp_path: Path, told: str
) -> None:
    """What can be understood is."""

    def first(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("ETag", '"1"'), ("Content-Length", "5")])
        conn.send(b"12")

    def rest(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"345", status="206 X", headers=[("ETag", '"1"'), ("Content-Range", told)])

    wire = raw_server(first, rest)
    assert session.download(wire.url, tmp_path / "f").read_bytes() == b"12345"
    assert len(wire.requests) == 2


@pytest.mark.parametrize("name", ["Range", "if-range"])
def test_ranges_are_ours_to_ask_for(session: Session, tmp_path: Path, name: str) -> None:
    """A header of the caller's would lead to another file than was meant."""
    with pytest.raises(ValueError, match="headers must not contain"):
        session.download("http://127.0.0.1:1/", tmp_path / "f", headers={name: "bytes=1-"})


def test_a_redirect_that_leads_nowhere_is_an_error(
    raw_server: StartRawServer, session: Session, tmp_path: Path
) -> None:
    """Its page is not the file."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"moved", status="302 Found")

    with pytest.raises(ClientResponseError, match="302"):
        session.download(raw_server(script).url, tmp_path / "f", allow_redirects=False)
    assert list(tmp_path.iterdir()) == []
