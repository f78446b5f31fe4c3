"""Names of fields and files in multipart bodies, as browsers and RFC 7578 have them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests

from syncclient import FormData, MultipartWriter, Session
from tests.servers.raw import RawConnection, StartRawServer


def echo(conn: RawConnection) -> None:
    while True:
        conn.respond(conn.read_request().body)


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


def dispositions(body: bytes) -> list[str]:
    lines = body.decode().split("\r\n")
    return [line[21:] for line in lines if line.startswith("Content-Disposition: ")]


#: A name, and what is between the quotation marks.
NAMES = {
    "a b": "a b",
    "a b.txt": "a b.txt",
    "résumé.pdf": "résumé.pdf",
    "ключ": "ключ",
    "漢字\U0001f600.png": "漢字\U0001f600.png",
    "100%.txt": "100%.txt",
    "100%20.txt": "100%20.txt",
    'a"b': "a%22b",
    "a'b": "a'b",
    "a\\b": "a\\b",
    "a;b=c, d": "a;b=c, d",
    "[](){}<>@,:?=&*": "[](){}<>@,:?=&*",
    "tab\there": "tab\there",
}
#: Names that aiohttp's FormData refuses.
CONTROLS = {
    "a\r\nb": "a%0D%0Ab",
    "a\nb": "a%0Ab",
    "a\rb": "a%0Db",
    "a\x00\x1b\x7f": "a%00%1B%7F",
}


@pytest.mark.parametrize("name", [*NAMES, *CONTROLS])
def test_a_dict_with_a_file(raw_server: StartRawServer, session: Session, name: str) -> None:
    """Both names are written in UTF-8, as httpx and requests write what is no oddity."""
    file = io.BytesIO(b"x")
    file.name = name
    written = (NAMES | CONTROLS)[name]
    url = raw_server(echo).url
    body = session.post(url, data={name: file, "plain": "1"}).read()
    assert dispositions(body) == [
        f'form-data; name="{written}"; filename="{written}"',
        'form-data; name="plain"',
    ]
    if name in NAMES and not set(r"\	") & set(name):
        by_requests = requests.post(url, files={name: (name, b"x")}, timeout=20).content
        by_httpx = httpx.post(url, files={name: (name, b"x")}).content
        for theirs in (by_requests, by_httpx):
            assert dispositions(theirs) == dispositions(body)[:1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value",
    ["text", b"bytes", io.BytesIO(b"file"), iter([b"chunk"])],
    ids=["str", "bytes", "file", "stream"],
)
def test_a_form_data(
    raw_server: StartRawServer, session: Session, name: str, value: object
) -> None:
    """FormData of any kind of values writes the same, be its length known or not."""
    form = FormData()
    if isinstance(value, Iterator) and not isinstance(value, io.IOBase):
        value = iter([b"chunk"])
    form.add_field(name, value, filename=name)
    body = session.post(raw_server(echo).url, data=form).read()
    assert dispositions(body) == [f'form-data; name="{NAMES[name]}"; filename="{NAMES[name]}"']


def test_quote_fields_false_is_the_engines(raw_server: StartRawServer, session: Session) -> None:
    """FormData(quote_fields=False) escapes quotation marks by backslashes, as in aiohttp."""
    form = FormData(quote_fields=False)
    form.add_field('a "b" é', "x", filename="é\\.txt")
    [line] = dispositions(session.post(raw_server(echo).url, data=form).read())
    assert line == 'form-data; name="a \\"b\\" é"; filename="é\\\\.txt"'


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("subtype", ["form-data", "mixed"])
def test_a_multipart_writer(
    raw_server: StartRawServer, session: Session, name: str, subtype: str
) -> None:
    """What set_content_disposition() of a part has written goes out as browsers write it."""
    with MultipartWriter(subtype) as writer:
        for value in ("text", b"bytes", io.BytesIO(b"file"), io.StringIO("text")):
            part = writer.append(value)
            part.set_content_disposition("form-data", name=name, filename=name)
    before = [part.headers["Content-Disposition"] for part, _, _ in writer]
    body = session.post(raw_server(echo).url, data=writer).read()
    assert dispositions(body) == [f'form-data; name="{NAMES[name]}"; filename="{NAMES[name]}"'] * 4
    assert [part.headers["Content-Disposition"] for part, _, _ in writer] == before


@pytest.mark.parametrize(
    "header",
    [
        "attachment",
        'form-data; name="a"',
        "attachment; filename=a%20b.txt",
        'attachment; filename="a\\"b%20.txt"',
        "form-data; name*=utf-8''%C3%A9; x=y",
        "nonsense;;;=",
        "inline; filename=\"a.txt\"; filename*=UTF-8''%e2%82%ac.txt",
    ],
)
def test_what_is_written_by_hand_stays(
    raw_server: StartRawServer, session: Session, header: str
) -> None:
    """A Content-Disposition that the engine would not write is the caller's own."""
    with MultipartWriter("mixed") as writer:
        writer.append("x", {"Content-Disposition": header})
    assert dispositions(session.post(raw_server(echo).url, data=writer).read()) == [header]


@pytest.mark.parametrize("as_bytes", [False, True])
def test_files_on_disk(
    raw_server: StartRawServer, session: Session, tmp_path: Path, as_bytes: bool
) -> None:
    """The last part of their path, also where the path is bytes or no UTF-8."""
    for name, written in [(b"a \xc3\xa9%.txt", "a é%.txt"), (b"\xff.txt", "\ufffd.txt")]:
        path = os.path.join(os.fsencode(tmp_path), name)
        with open(path, "wb") as file:
            file.write(b"x")
        with open(path if as_bytes else os.fsdecode(path), "rb") as file:
            body = session.post(raw_server(echo).url, data={"f": file}).read()
        assert dispositions(body) == [f'form-data; name="f"; filename="{written}"']
