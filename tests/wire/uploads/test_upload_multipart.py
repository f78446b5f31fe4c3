"""Multipart bodies: forms with files, generators and nested parts, and writers of all kinds."""

import base64
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import syncclient
from syncclient import FormData, MultipartWriter
from tests.children import RunChild
from tests.servers.content import pattern
from tests.servers.process import AppServer

LARGE = 3 * 2**20 + 17


def echoed(session: syncclient.Session, data: object, path: str = "/post") -> dict[str, Any]:
    with session.post(path, data=data, timeout=20) as response:
        view: dict[str, Any] = response.json()
        return view


def files_in(view: dict[str, Any]) -> list[tuple[str, str, str | None, bytes]]:
    return [
        (file["name"], file["filename"], file["content_type"], base64.b64decode(file["body"]))
        for file in view["files"]
    ]


def header(view: dict[str, Any], name: str) -> str | None:
    return next((v for n, v in view["headers"] if n.lower() == name.lower()), None)


def test_a_form_takes_every_kind_of_part(session: syncclient.Session, tmp_path: Path) -> None:
    """Text, bytes, files and generators go into one form, in their order."""
    path = tmp_path / "photo.png"
    path.write_bytes(pattern(LARGE))
    form = FormData()
    form.add_field("text", "Grüße")
    form.add_field("bytes", b"some", filename="some.bin")
    form.add_field("large", pattern(LARGE), filename="large.bin", content_type="image/x")
    form.add_field("generator", (b"%d" % n for n in range(5)), filename="numbers.txt")
    with path.open("rb") as file:
        file.seek(10)
        form.add_field("file", file)
        view = echoed(session, form)
        assert not file.closed
        assert file.tell() == LARGE
    assert view["form"] == [["text", "Grüße"]]
    assert files_in(view) == [
        ("bytes", "some.bin", "application/octet-stream", b"some"),
        ("large", "large.bin", "image/x", pattern(LARGE)),
        ("generator", "numbers.txt", "text/plain", b"01234"),
        ("file", "photo.png", "image/png", pattern(LARGE)[10:]),
    ]
    assert header(view, "Transfer-Encoding") == "chunked"


def test_a_form_of_known_size_has_a_length(session: syncclient.Session) -> None:
    """With nothing but files and data in it, a form has a Content-Length."""
    view = echoed(session, {"name": "value", "file": io.BytesIO(pattern(LARGE))})
    assert header(view, "Content-Length") == str(len(base64.b64decode(view["body"])))
    assert view["form"] == [["name", "value"]]
    assert files_in(view) == [("file", "file", "application/octet-stream", pattern(LARGE))]


def test_pairs_may_hold_wrapped_files(session: syncclient.Session) -> None:
    """A file-like object that is no io.IOBase makes a form multipart as well."""

    class Wrapped:
        name = "wrapped.txt"

        def __init__(self) -> None:
            self.read = io.BytesIO(b"inside").read

    view = echoed(session, [("file", Wrapped())])
    assert files_in(view) == [("file", "wrapped.txt", "text/plain", b"inside")]


def test_a_form_serves_again(session: syncclient.Session) -> None:
    """A form can be sent twice; its files then go on from where they stand."""
    form = FormData({"a": "1"})
    form.add_field("file", io.BytesIO(b"once"), filename="f")
    assert files_in(echoed(session, form))[0][-1] == b"once"
    again = echoed(session, form)
    assert again["form"] == [["a", "1"]]
    assert files_in(again)[0][-1] == b""


def test_a_form_is_sent_again_after_a_redirect(session: syncclient.Session) -> None:
    """A 307 repeats a form with files, each from where it stood."""
    file = io.BytesIO(b"skipped" + pattern(LARGE))
    file.seek(7)
    view = echoed(session, {"a": "1", "file": file}, "/redirect-to?url=/post&status_code=307")
    assert files_in(view)[0][-1] == pattern(LARGE)


def test_a_form_with_a_generator_is_not_sent_again(session: syncclient.Session) -> None:
    """A 307 cannot repeat a form with a generator in it."""
    form = FormData()
    form.add_field("file", iter([b"x"]), filename="f")
    with pytest.raises(syncclient.ClientPayloadError, match="seekable file"):
        session.post("/redirect-to?url=/post&status_code=307", data=form)


def test_multipart_is_nested(session: syncclient.Session) -> None:
    """A MultipartWriter is a part like any other, with files and text of its own."""
    with MultipartWriter("mixed", boundary="inner") as inner:
        inner.append("one")
        inner.append(io.BytesIO(b"two"))
    form = FormData()
    form.add_field("nested", inner, filename="all")
    [(name, _, content_type, body)] = files_in(echoed(session, form))
    assert (name, content_type) == ("nested", 'multipart/mixed; boundary="inner"')
    assert body == (
        b"--inner\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\r\none\r\n"
        b"--inner\r\nContent-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\ntwo\r\n"
        b"--inner--\r\n"
    )


def test_a_multipart_writer_is_sent(session: syncclient.Session, tmp_path: Path) -> None:
    """A MultipartWriter can be the whole body, with encodings; its files stay open."""
    path = tmp_path / "file.txt"
    path.write_bytes(b"in a file")
    with path.open("rb") as file:
        with MultipartWriter("related", boundary="b") as writer:
            writer.append_json({"a": 1})
            writer.append(file, {"Content-Transfer-Encoding": "base64"})
        view = echoed(session, writer)
        assert not file.closed
    assert header(view, "Content-Type") == "multipart/related; boundary=b"
    assert base64.b64encode(b"in a file").decode() in view["text"]


def test_parts_are_read_in_the_callers_thread(session: syncclient.Session) -> None:
    """Files and generators in a form are read where the request is made."""
    threads: set[threading.Thread] = set()

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            threads.add(threading.current_thread())
            return super().read(size)

    def chunks() -> Iterator[bytes]:
        threads.add(threading.current_thread())
        yield b"x"

    form = FormData()
    form.add_field("file", Watched(pattern(LARGE)), filename="f")
    form.add_field("generator", chunks(), filename="g")
    echoed(session, form)
    assert threads == {threading.current_thread()}


def test_the_error_of_a_part_reaches_the_caller(session: syncclient.Session) -> None:
    """What a generator within a form raises arrives as itself; the others are closed."""
    closed: list[str] = []

    def fine() -> Iterator[bytes]:
        try:
            yield b"x"
            yield b"y"
        finally:
            closed.append("fine")

    def broken() -> Iterator[bytes]:
        yield b"x"
        raise LookupError("mine")

    form = FormData()
    form.add_field("a", broken(), filename="a")
    form.add_field("b", fine(), filename="b")
    with pytest.raises(LookupError, match="mine"):
        session.post("/post", data=form)
    assert closed == []  # it was never started


def test_a_body_writer_is_a_part(session: syncclient.Session) -> None:
    """A part of a form may be pushed from elsewhere."""
    body = syncclient.BodyWriter()
    form = FormData({"a": "1"})
    form.add_field("file", body, filename="f")
    future = session.submit("POST", "/post", data=form)
    with body:
        body.write(pattern(LARGE))
    assert files_in(future.result(20).json())[0][-1] == pattern(LARGE)


@pytest.mark.slow
def test_many_files_need_little_memory(app: AppServer, run_child: RunChild, tmp_path: Path) -> None:
    """A form of two hundred files of a megabyte each is read piece by piece."""
    child = run_child(
        """
import contextlib, resource, sys, syncclient
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
url, folder = sys.argv[1:]
with syncclient.Session(url) as session, contextlib.ExitStack() as stack:
    with open(folder + "/file", "wb") as file:
        file.write(bytes(2**20))
    session.post("/upload", data={"f": stack.enter_context(open(folder + "/file", "rb"))}).read()
    form = syncclient.FormData()
    for number in range(200):
        form.add_field(f"f{number}", stack.enter_context(open(folder + "/file", "rb")))
    before = peak()
    assert session.post("/upload", data=form).json()["length"] > 200 * 2**20
    print(peak() - before)
""",
        app.url,
        str(tmp_path),
        flags=(),
    )
    assert child.status == 0, child.stderr
    assert int(child.stdout) < 12 * 1024  # KiB
