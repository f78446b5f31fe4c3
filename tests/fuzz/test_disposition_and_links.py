"""Whatever a Content-Disposition or a Link holds: no error, no warning, and an answer of sense."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

import syncclient
from syncclient._async.headers.content_disposition import content_disposition
from syncclient._async.headers.links import links
from syncclient._file_names import numbered, safe_name
from tests.fuzz.pace import fuzzed
from tests.fuzz.peer import Peer

PIECES = [
    *("attachment", "inline", "filename", "filename*", "filename*0", "filename*1*", "name", "size"),
    *(";", "=", '"', "\\", "'", ",", " ", "\t", "*", "%", "%20", "%C3%A4", "%E4", "%2F", "?", "=?"),
    *("UTF-8''", "iso-8859-1'en'", "hex''", "punycode''", "idna''", "=?UTF-8?B?YQ==?=", "?="),
    *("a", "a.txt", "My Report.pdf", "../", "..", ".", "/", "CON", ".part", ".part.json", ":"),
    *("\u00e4", "\u20ac", "\U0001f389", "\u202e", "\udce4", "\udcff", "\x01", "\x7f", "\xa0"),
    *("<", ">", "</next>", "<http://[", "<//", "rel", "REL", "title*", "next", "next prev", "url"),
]
values = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40).map("".join)
#: What a header can be: no lone surrogates but those of bytes, no line ends.
raws = st.lists(
    st.sampled_from([piece.encode("utf-8", "surrogateescape") for piece in PIECES])
    | st.binary(max_size=3),
    max_size=40,
).map(lambda pieces: b"".join(pieces).translate(None, b"\r\n\0"))


@given(value=values)
@fuzzed
def test_any_disposition(value: str) -> None:
    """Any Content-Disposition is parsed into text that can be printed and written."""
    found = content_disposition([value])
    assert found is not None
    assert found.filename != ""
    for text in (found.filename or "", *found.parameters.values()):
        text.encode()


@given(value=values)
@fuzzed
def test_any_links(value: str) -> None:
    """Each has a URL."""
    for link in links([value], URL("http://127.0.0.1/dir/page")).values():
        assert isinstance(link["url"], URL)
        str(link["url"]).encode()


@given(name=values | st.text(max_size=300))
@fuzzed
def test_any_name(name: str) -> None:
    """Any name is made into the name of one file in a directory."""
    safe = safe_name([name])
    assert safe == os.path.basename(safe) == safe.strip(" .") != ""
    assert safe.isprintable()
    assert len(os.fsencode(safe)) <= 200
    assert not safe.lower().endswith((".part", ".part.json"))
    assert safe_name([safe]) == safe
    assert next(numbered(safe)) == safe


@given(disposition=raws, link=raws, status=st.sampled_from([b"200 OK", b"404 No"]))
@fuzzed
def test_on_the_wire(
    peer: Peer, session: syncclient.Session, disposition: bytes, link: bytes, status: bytes
) -> None:
    """The head is refused as a whole, with a ClientError, or both headers have an answer."""
    peer.answer = (
        b"HTTP/1.1 " + status + b"\r\nContent-Disposition: " + disposition + b"\r\nLink: " + link
    ) + b"\r\nContent-Length: 1\r\n\r\nx"
    try:
        response = session.get(peer.url)
    except syncclient.ClientError:
        return
    assert response.content_disposition is not None
    assert all(isinstance(each["url"], URL) for each in response.links.values())


@given(disposition=raws)
@fuzzed
def test_any_download_into_a_directory(
    peer: Peer,
    session: syncclient.Session,
    tmp_path_factory: pytest.TempPathFactory,
    disposition: bytes,
) -> None:
    """There is one file, in the directory; what was there stays."""
    root = tmp_path_factory.mktemp("root", numbered=True)
    folder = root / "folder"
    folder.mkdir()
    taken = {folder / name for name in ("a", "a.txt", "a.txt.part", "My Report.pdf")}
    for path in taken:
        path.write_bytes(b"mine")
    head = b"HTTP/1.1 200 OK\r\nContent-Disposition: " + disposition
    peer.answer = head + b"\r\nContent-Length: 4\r\n\r\nbody"
    expected: set[Path] = set()
    try:
        fetched = session.download(f"{peer.url}/x", folder)
    except (syncclient.ClientError, FileExistsError):
        pass
    else:
        assert fetched.read_bytes() == b"body"
        expected = {fetched}
    assert set(folder.iterdir()) == taken | expected
    assert list(root.iterdir()) == [folder]
    assert all(path.read_bytes() == b"mine" for path in taken - expected)


@given(
    piece=st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join),
    first=st.sampled_from(["", 'attachment; filename="', "</a>; title=", "filename*0="]),
)
@fuzzed
def test_any_repetition_takes_little_time(piece: str, first: str) -> None:
    """Sixty kilobytes are parsed at once, whatever is repeated in them."""
    value = first + piece * (60_000 // len(piece))
    began = time.thread_time()
    content_disposition([value])
    links([value], URL("http://127.0.0.1/"))
    assert time.thread_time() - began < 5
