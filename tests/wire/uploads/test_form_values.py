"""Values of forms: what they mean in requests, they mean here."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from multidict import MultiDict

from syncclient import FormData, Session
from tests.servers.raw import RawConnection, StartRawServer


def echo(conn: RawConnection) -> None:
    """Answer each request with its own body, and its Content-Type in a header."""
    while True:
        request = conn.read_request()
        kind = request.header("Content-Type").partition(";")[0]
        conn.respond(request.body, headers=[("X-Type", kind)])


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


class Colour(enum.Enum):
    RED = "red"


#: As functions: some can be used once.
FORMS: dict[str, Callable[[], Any]] = {
    "text": lambda: {"a": "é ü&=+%", "b": ""},
    "numbers": lambda: {"a": 1, "b": -1.5, "c": True, "d": False, "e": decimal.Decimal("1.10")},
    "objects": lambda: {"a": dt.date(2026, 1, 2), "b": Colour.RED, "c": range(2)},
    "none": lambda: {"a": None, "b": "1", "c": [None, "2", None]},
    "only none": lambda: {"a": None},
    "bytes": lambda: {"a": b"\xff\x00 x", b"b": b""},
    "lists": lambda: {"a": ["1", 2, b"3"], "b": (), "c": ("x",), "d": []},
    "nested lists": lambda: {"a": [["1", "2"], ("3", 4)], "b": [[5]]},
    "generators": lambda: {"a": (str(n) for n in range(3)), "b": iter([b"x", b"y"])},
    "generators of pairs": lambda: {"a": ((k, v) for k, v in [("1", "2"), ("3", "4")])},
    "views": lambda: {"a": {"x": 1, "y": 2}.keys(), "b": {"x": 1}.values()},
    "sets": lambda: {"a": {"1"}, "b": frozenset({"2"})},
    "pairs": lambda: [("a", "1"), ("b", [2, 3]), ("a", None), ("a", b"4")],
    "pairs in lists": lambda: [["a", "1"], ("b", 2)],
    "tuple of pairs": lambda: (("a", "1"), ("a", "2")),
    "numbers for names": lambda: {1: "x", 2: ["y", 3]},
    "line breaks": lambda: {"a\r\nb": "c\nd", "": "x", 'q"uote': "'"},
}


@pytest.mark.parametrize("name", FORMS)
def test_values_mean_what_they_mean_in_requests(
    raw_server: StartRawServer, session: Session, name: str
) -> None:
    """Byte for byte: lists are repeated fields, and None is none."""
    url = raw_server(echo).url
    theirs = requests.post(url, data=FORMS[name](), timeout=20)
    ours = session.post(url, data=FORMS[name]())
    assert ours.read() == theirs.content
    assert ours.headers["X-Type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "data",
    [
        {"a": "1", "b": "2"}.items(),
        zip("ab", "12", strict=True),
        MultiDict([("a", "1"), ("b", 2)]),
        {"a": bytearray(b"1"), "b": memoryview(b"2")},
    ],
    ids=["items", "zip", "MultiDict", "buffers"],
)
def test_other_forms(raw_server: StartRawServer, session: Session, data: object) -> None:
    """What requests takes for a stream, or for a list of numbers, is a form as well."""
    assert session.post(raw_server(echo).url, data=data).read() == b"a=1&b=2"


def parts(body: bytes) -> list[tuple[bytes, bytes]]:
    """Disposition and content of each part."""
    boundary = body[: body.index(b"\r\n")]
    found = []
    for part in body.split(boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Disposition")]
        found.append((lines[0].removeprefix(b"Content-Disposition: form-data; "), content))
    return found


#: Forms that requests writes in another way, or not at all, beside a file.
UNLIKE_BESIDE_A_FILE = {"nested lists", "generators of pairs", "line breaks", "numbers for names"}


@pytest.mark.parametrize(
    "name",
    [name for name in FORMS if name not in UNLIKE_BESIDE_A_FILE],
)
def test_values_beside_a_file(raw_server: StartRawServer, session: Session, name: str) -> None:
    """They are the same in a multipart form, as plain fields without a file's name."""
    url = raw_server(echo).url
    data = FORMS[name]()
    theirs = requests.post(url, data=data, files={"f": ("n.txt", b"x")}, timeout=20).content
    data = FORMS[name]()
    file = io.BytesIO(b"x")
    file.name = "n.txt"
    pairs = [*(data.items() if isinstance(data, dict) else data), ("f", file)]
    ours = session.post(url, data=pairs).read()
    assert parts(ours) == parts(theirs)


def test_files_in_lists(raw_server: StartRawServer, session: Session) -> None:
    """Several files of one name are several fields."""
    files = [io.BytesIO(b"1"), io.StringIO("é"), None]
    body = session.post(raw_server(echo).url, data={"f": files, "n": 1}).read()
    assert parts(body) == [
        (b'name="f"; filename="f"', b"1"),
        (b'name="f"; filename="f"', "é".encode()),
        (b'name="n"', b"1"),
    ]
    body = session.post(raw_server(echo).url, data=[io.BytesIO(b"1"), ("a", "b")]).read()
    assert parts(body) == [(b'name="unknown"; filename="unknown"', b"1"), (b'name="a"', b"b")]


def test_a_form_data_is_the_engines(raw_server: StartRawServer, session: Session) -> None:
    """FormData keeps aiohttp's meaning."""
    url = raw_server(echo).url
    assert session.post(url, data=FormData({"a": [1, "2"], "b": "x y"})).read() == b"a=1&a=2&b=x+y"
    form = FormData({"a": "ü"}, charset="latin-1")
    assert session.post(url, data=form).read() == b"a=%FC"
