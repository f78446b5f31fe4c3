"""Whatever answers a download gets: it ends, with the right file or a documented error."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import syncclient
from syncclient._async import download as core
from syncclient._async import download_ranges as ranges
from tests.fuzz.pace import fuzzed
from tests.fuzz.peer import Peer

BODY = random.Random(1).randbytes(120)

numbers = st.integers(0, 130).map(str) | st.sampled_from(
    ["*", "", "-1", "9" * 19, "9" * 5000, "1e3", "0x10", "\u0663", " 5 "]
)
told = st.builds("bytes {}-{}/{}".format, numbers, numbers, numbers) | st.sampled_from(
    ["", "bytes", "bytes */120", "bytes */0", "bytes=0-119/120", "lines 0-1/2", "\udcff"]
)
validators = st.sampled_from(
    [
        '"1"',
        '"2"',
        'W/"1"',
        "1",
        '"',
        "",
        "Mon, 01 Jan 2024 00:00:00 GMT",
        "never",
        "\udcff",
        '"\u20ac"',
    ]
)
lines = st.fixed_dictionaries(
    {},
    optional={
        "Content-Range": told,
        "ETag": validators,
        "Last-Modified": validators,
        "Content-Encoding": st.sampled_from(["identity", "gzip", "x", "IDENTITY", ""]),
        "Content-Length": numbers,
        "Date": validators,
        "Location": st.sampled_from(["/", "/other", "http://[", "http://a..b/"]),
    },
)
statuses = st.sampled_from([200, 200, 203, 204, 206, 206, 206, 301, 304, 404, 416, 429, 500, 503])
answers = st.lists(
    st.tuples(statuses, lines, st.integers(0, 130), st.booleans()), min_size=1, max_size=8
)


def message(status: int, headers: dict[str, str], body: bytes) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode("utf-8", "surrogateescape") + body


def asked(head: bytes) -> tuple[int, int]:
    """The range that a request asks for."""
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"range: bytes="):
            first, _, last = line[13:].partition(b"-")
            return int(first), min(int(last) + 1, len(BODY)) if last else len(BODY)
    return 0, len(BODY)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_DELAY", 0.0)
    monkeypatch.setattr(core, "SEGMENT", 30)
    monkeypatch.setattr(ranges, "SEGMENT", 30)


@given(
    script=answers,
    connections=st.integers(1, 3),
    retries=st.integers(0, 3),
    max_body=st.none() | st.integers(0, 130),
)
@fuzzed
def test_any_answers(
    peer: Peer,
    session: syncclient.Session,
    tmp_path_factory: pytest.TempPathFactory,
    script: list[tuple[int, dict[str, str], int, bool]],
    connections: int,
    retries: int,
    max_body: int | None,
) -> None:
    """A documented error and no file, or a file no longer than is allowed."""
    folder = tmp_path_factory.mktemp("folder", numbered=True)
    left = list(script)

    def answer(head: bytes) -> bytes:
        status, headers, size, honest = left.pop(0) if len(left) > 1 else left[0]
        start, stop = asked(head)
        if honest and status == 206:
            headers = {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(BODY)}"}
        return message(status, headers, BODY[start : min(stop, start + size)])

    peer.answer = answer
    options = {"connections": connections, "retries": retries, "max_body": max_body, "timeout": 20}
    try:
        session.download(f"{peer.url}/x", folder / "x", **options)  # type: ignore[arg-type]  # numbers
    except syncclient.TotalTimeoutError:
        raise
    except syncclient.ClientError:
        assert not (folder / "x").exists()
    else:
        assert [path.name for path in folder.iterdir()] == ["x"]
        assert max_body is None or (folder / "x").stat().st_size <= max_body


@given(
    cuts=st.lists(st.integers(1, 119), max_size=6),
    connections=st.integers(1, 3),
    etag=st.sampled_from(['"1"', "", 'W/"1"']),
    ranges_given=st.booleans(),
    before=st.integers(0, 120),
)
@fuzzed
def test_an_honest_server_whose_connections_break(
    peer: Peer,
    session: syncclient.Session,
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[int],
    connections: int,
    etag: str,
    ranges_given: bool,
    before: int,
) -> None:
    """The file is whole and right, from wherever it had to go on."""
    target: Path = tmp_path_factory.mktemp("folder", numbered=True) / "x"
    target.with_name("x.part").write_bytes(BODY[:before])
    target.with_name("x.part.json").write_text('{"validator": "\\"1\\"", "total": 120}')
    left = list(cuts)

    def answer(head: bytes) -> bytes:
        start, stop = asked(head)
        headers = {"ETag": etag} if etag else {}
        if start >= len(BODY):
            return message(416, {**headers, "Content-Range": "bytes */120"}, b"")
        status = 200
        if ranges_given and b"\r\nrange:" in head.lower() and etag == '"1"':
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(BODY)}"
            status = 206
        else:
            start, stop = 0, len(BODY)
        headers["Content-Length"] = str(stop - start)
        cut = left.pop(0) if left else len(BODY)
        return message(status, headers, BODY[start : min(stop, start + cut)])

    peer.answer = answer
    assert session.download(peer.url, target, connections=connections, retries=8) == target
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["x"]
