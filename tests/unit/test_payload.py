"""What may be a body, told before anything is sent; and how chunks are cut."""

import io
import pathlib
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import FormData
from aiohttp.payload import Payload
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from syncclient import Session, streamer
from syncclient._async.exchange.body import Body, pieces
from syncclient._bodies.payload import outgoing
from tests.ids import steady


def generator() -> Iterator[bytes]:
    yield b"x"


async def agenerator() -> AsyncIterator[bytes]:
    yield b"x"


def closed_file() -> io.BytesIO:
    file = io.BytesIO(b"x")
    file.close()
    return file


def form_with(value: object) -> FormData:
    form = FormData()
    form.add_field("name", value, filename="f")
    return form


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (5, "data must be bytes, str.* not int"),
        (object(), "not object; for JSON write json="),
        (pathlib.Path("x"), r"data is a path: write open\(path, 'rb'\)"),
        ([b"x"], "data: a list is a form .* not bytes"),
        ([(None, "x")], "data: the name of a field must be a str, not NoneType"),
        ({"a": {"b": 1}}, "data: the field 'a' is a dict, .* for JSON write json="),
        ([("a", [{"b": 1}])], "data: the field 'a' is a dict, .* for JSON write json="),
        ({"a": MultiDict(b="1")}, "data: the field 'a' is a MultiDict, .* write json="),
        (
            {"a": ("n", io.BytesIO())},
            r"data: the field 'a' is a tuple .*add_field\('a', ",
        ),
        ({"a": agenerator()}, r"data: the field 'a' .*add_field\('a', value, filename=...\)"),
        (
            {"a": streamer(generator)()},
            r"data: the field 'a' .*add_field\('a', value, filename=...\)",
        ),
        (form_with(5), "the field 'name' of data must be bytes"),
    ],
    ids=steady,
)
def test_what_cannot_be_sent_is_refused_at_once(data: object, message: str) -> None:
    """A wrong body is a TypeError that names ``data`` and says what to write."""
    session = Session()
    with pytest.raises(TypeError, match=message):
        session.post("http://127.0.0.1:1/", data=data)
    assert session._portal.crossings == 0


def test_unreadable_files_are_refused_at_once() -> None:
    """A closed file, and one open for writing only, are refused before anything is sent."""
    with pytest.raises(ValueError, match="data is a closed file"):
        outgoing(closed_file())
    with tempfile.NamedTemporaryFile("wb") as file:
        with pytest.raises(ValueError, match="not open for reading"):
            outgoing(file.file)


def test_a_response_is_refused_with_its_content_named() -> None:
    """Who gives a response is told to give its content."""

    class Response:
        content = b""

        def json(self) -> None: ...

    with pytest.raises(TypeError, match=r"write response\.content"):
        outgoing(Response())


def size_of(data: object) -> int | None:
    value = outgoing(data).value
    return value.size if isinstance(value, Payload) else len(value)


def test_sizes_are_what_is_left() -> None:
    """The size of a file counts from its position, and position and content stay as they are."""
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    assert size_of(file) == 6
    assert file.tell() == 4
    file.seek(20)
    assert size_of(file) == 0
    assert size_of(generator()) is None
    assert size_of(bytearray(10)) == 10
    assert size_of(memoryview(bytes(2**20))) == 2**20
    with tempfile.TemporaryFile() as real:
        real.write(bytes(100))
        real.seek(30)
        assert size_of(real) == 70
        assert real.tell() == 30


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_files_made_up_by_the_kernel_have_no_size() -> None:
    """A file whose size reads 0, but which is not empty, is of unknown size."""
    with open("/proc/self/status", "rb") as file:
        assert size_of(file) is None
        assert file.tell() == 0


def test_small_bytes_cross_as_they_are() -> None:
    """The common case costs nothing: no payload is made of small bytes."""
    data = b"small"
    assert outgoing(data).value is data


@pytest.mark.parametrize("data", [bytes(2**21), bytearray(2**21), "x" * 2**21, generator()])
def test_bodies_are_true(data: object) -> None:
    """A body is never taken for an empty one: aiohttp asks for its truth before it compresses."""
    body = outgoing(data).value
    assert isinstance(body, Body)
    assert bool(body)


@given(st.lists(st.integers(0, 700_000).map(bytes), max_size=12))
def test_pieces_keep_every_byte(chunks: list[bytes]) -> None:
    """Joining and cutting changes the sizes of chunks, and nothing else."""
    cut = list(pieces(chunks))
    assert b"".join(cut) == b"".join(chunks)
    assert all(0 < len(piece) <= 2**18 for piece in cut)


def test_small_chunks_are_joined() -> None:
    """A thousand lines become a few pieces."""
    assert len(list(pieces([b"a line of text\n"] * 1000))) == 1
