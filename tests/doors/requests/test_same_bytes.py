"""What goes over the wire: the same bytes as requests sends."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from urllib3.util import SKIP_HEADER

from tests.doors.requests.sides import Side
from tests.servers.raw import RawConnection, RawRequest, StartRawServer


def _answer(conn: RawConnection) -> None:
    while True:
        conn.read_request()
        conn.respond(b"ok")


Make = Callable[[str], requests.Request]


def _request(method: str, path: str = "/", **options: Any) -> Make:
    """A request made anew for each side, as bodies can be read once; callables make a body."""

    def make(url: str) -> requests.Request:
        made = {name: value() if callable(value) else value for name, value in options.items()}
        return requests.Request(method, url + path, **made)

    return make


def _generator() -> Iterator[bytes]:
    yield b"some "
    yield b""
    yield b"pieces"


class _Unsized:
    """A readable thing of which nothing else is known."""

    def __init__(self) -> None:
        self._left = b"read only"

    def read(self, size: int = -1) -> bytes:
        data, self._left = self._left, b""
        return data

    def __iter__(self) -> Iterator[bytes]:
        return iter((self.read(),))


CASES = {
    "get": _request("GET"),
    "head": _request("HEAD"),
    "options": _request("OPTIONS"),
    "delete": _request("DELETE"),
    "post of nothing": _request("POST"),
    "odd method": _request("PURGE"),
    "dots": _request("GET", "/a/../b/./c//d"),
    "quoting": _request("GET", "/%7e%2f%zz a'()[]|^`{}\"<>é?q=%7E&r= é|#fragment"),
    "empty query": _request("GET", "/?"),
    "semicolons": _request("GET", "/a;b=c?d;e"),
    "params": _request("GET", "/?a=b", params={"c": ["d e", "f"], "g": None}),
    "bytes": _request("POST", data=b"\x00\xff"),
    "text": _request("POST", data="text é"),
    "form": _request("POST", data={"a": "b c", "d": ["e", "f"]}),
    "json": _request("PUT", json={"a": "é"}),
    "files": _request("POST", files={"f": ("name.txt", b"content")}, headers={"X": "y"}),
    "file": _request("POST", data=lambda: io.BytesIO(b"a file" * 20_000)),
    "file from its middle": _request("POST", data=lambda: _at(io.BytesIO(b"a file"), 2)),
    "text file": _request("POST", data=lambda: io.StringIO("a text")),
    "generator": _request("POST", data=_generator),
    "unsized": _request("POST", data=_Unsized),
    "bytearray": _request("POST", data=lambda: bytearray(b"bytes")),
    "auth": _request("GET", auth=("user", "passwörd")),
    "cookies": _request("GET", cookies={"a": "b", "c": '"d"'}),
    "bytes header": _request("GET", headers={"X": b"y"}),
    "latin header": _request("GET", headers={"X": "ü".encode("latin-1")}),
    "without agent": _request("GET", headers={"User-Agent": None}),
    "without accept-encoding": _request("GET", headers={"Accept-Encoding": None}),
    "skipped": _request("GET", headers={"User-Agent": SKIP_HEADER}),
    "connection": _request("GET", headers={"Connection": "close", "x-LOWER": "1"}),
    "get with a body": _request("GET", data=b"body"),
}


def _at(file: io.BytesIO, position: int) -> io.BytesIO:
    file.seek(position)
    return file


def _sent(side: Side, make: Make, url: str) -> None:
    with side.session() as session:
        response = session.request(**_arguments(make(url)), allow_redirects=False)
        assert response.status_code == 200


def _arguments(request: requests.Request) -> dict[str, Any]:
    names = "method", "url", "headers", "files", "data", "json", "params", "auth", "cookies"
    return {name: getattr(request, name) for name in names}


@pytest.mark.parametrize("case", CASES)
def test_the_same_head_and_body(case: str, side: Side, raw_server: StartRawServer) -> None:
    """Request line, headers with their case, order and bytes, and body are as requests sends."""
    server = raw_server(_answer)
    _sent(Side.THEIRS, CASES[case], server.url)
    _sent(side, CASES[case], server.url)
    theirs, ours = server.requests
    assert _whole(ours) == _whole(theirs)


def test_a_host_of_ones_own_goes_first(side: Side, raw_server: StartRawServer) -> None:
    """The one difference: a Host header that is given stands where the others' stands."""
    server = raw_server(_answer)
    case = _request("GET", headers={"HOST": "other.example"})
    _sent(Side.THEIRS, case, server.url)
    _sent(side, case, server.url)
    theirs, ours = server.requests
    assert ours.headers[0] == theirs.headers[-1] == ("HOST", "other.example")
    assert ours.headers[1:] == theirs.headers[:-1]


def _whole(request: RawRequest) -> tuple[bytes, bytes]:
    # A body in chunks may be cut elsewhere. A multipart one has a boundary by chance.
    boundary = request.header("Content-Type").rpartition("boundary=")[2].encode() or b"\0none"
    head = request.head.replace(boundary, b"boundary") if boundary != b"\0none" else request.head
    return head, request.body.replace(boundary, b"boundary")


def test_redirects_are_of_requests(side: Side, raw_server: StartRawServer) -> None:
    """Each hop of a redirect has the bytes that requests sends: its method, cookies, headers."""

    def redirect(conn: RawConnection) -> None:
        while True:
            if conn.read_request().target == "/":
                cookies = [("Set-Cookie", "a=b; path=/"), ("Location", "/way%20to|x")]
                conn.respond(b"moved", status="302 Found", headers=cookies)
            else:
                conn.respond(b"ok")

    server = raw_server(redirect)
    for each in (Side.THEIRS, side):
        with each.session() as session:
            response = session.post(server.url, data=b"body", auth=("u", "p"))
            assert [hop.content for hop in response.history] == [b"moved"]
            assert response.content == b"ok"
            assert session.cookies.get_dict() == {"a": "b"}
    heads = [request.head for request in server.requests]
    assert heads[2:] == heads[:2]
