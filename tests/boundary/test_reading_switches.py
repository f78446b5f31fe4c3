"""Whoever closes or reads beside a reader, and whenever: the reader gets the body, or an error.

A body that seems to end before its end is the worst of errors, since nothing tells of it.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from syncclient import ClientConnectionError, Response, Session
from tests.boundary.conftest import in_thread
from tests.boundary.shaker import Shaker
from tests.servers.raw import RawConnection, RawServer

pytestmark = [
    pytest.mark.skipif(sys.gettrace() is not None, reason="another tracer is at work"),
    pytest.mark.slow,
]

#: Seconds after which a reader counts as never woken.
HANG = 20.0
#: Runs for each way of reading.
RUNS = 60

LINES = b'["' + b'",\n"'.join(b"%060d" % number for number in range(300)) + b'"]\n'
BODIES = {"/small": b'["%s"]\n' % (b"x" * 50), "/long": LINES}


def script(conn: RawConnection) -> None:
    """Answer each request: the body whole with the head, or in pieces that may be late."""
    while True:
        target = conn.read_request().target
        body = BODIES[target]
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        if target == "/small":
            conn.send(head % len(body) + body)
            continue
        conn.send(head % len(body))
        for start in range(0, len(body), 5000):
            conn.send(body[start : start + 5000])


def by_readinto(response: Response) -> bytes:
    buffer, got = bytearray(700), b""
    while count := response.content.readinto(buffer):
        got += buffer[:count]
    return got


def by_copying(response: Response) -> bytes:
    target = io.BytesIO()
    shutil.copyfileobj(response.content, target, 1000)
    return target.getvalue()


WAYS: dict[str, Callable[[Response], bytes]] = {
    "response.read": Response.read,
    "response.text": lambda r: r.text().encode(),
    "response.json": lambda r: b'["' + b'",\n"'.join(s.encode() for s in r.json()) + b'"]\n',
    "content.read": lambda r: r.content.read(),
    "read(n)": lambda r: b"".join(iter(lambda: r.content.read(777), b"")),
    "iter_chunked": lambda r: b"".join(r.content.iter_chunked(999)),
    "iter_any": lambda r: b"".join(r.content.iter_any()),
    "iter_chunks": lambda r: b"".join(data for data, _ in r.content.iter_chunks()),
    "readline": lambda r: b"".join(iter(r.content.readline, b"")),
    "readline(size)": lambda r: b"".join(iter(lambda: r.content.readline(40), b"")),
    "readuntil": lambda r: b"".join(iter(lambda: r.content.readuntil(b"]\n"), b"")),
    "lines": lambda r: b"".join(r.content),
    "readinto": by_readinto,
    "readexactly": lambda r: r.content.readexactly(len(BODIES[r.url.path])),
    "copyfileobj": by_copying,
}

ENDS: list[Callable[[Response], object]] = [
    Response.close,
    Response.release,
    lambda response: response.content.close(),
]


@pytest.fixture
def session() -> Iterator[Session]:
    with RawServer(script) as server, Session(server.url, timeout=HANG) as session:
        yield session


def outcome(reader: Future[Any], *allowed: type[BaseException]) -> Any:
    try:
        return reader.result(HANG)
    except allowed as exc:
        return next(one for one in allowed if isinstance(exc, one))


def waits_a_little(dice: random.Random) -> None:
    """Spend what a reader needs for a few steps, or for many."""
    threading.Event().wait(dice.choice((0, 0, 0.001, 0.004)) * dice.random())


@pytest.mark.parametrize("way", WAYS)
def test_a_close_in_another_thread_is_no_end_of_the_body(session: Session, way: str) -> None:
    """The reader gets all of the body or ClientConnectionError, however it reads."""
    for seed in range(RUNS):
        dice = random.Random(seed)
        path = dice.choice(["/small", "/long", "/long"])
        with Shaker(seed):
            response = session.get(path)
            reader = in_thread(lambda r=response: WAYS[way](r))  # type: ignore[misc]
            waits_a_little(dice)
            dice.choice(ENDS)(response)
            got = outcome(reader, ClientConnectionError)
        assert got in (BODIES[path], ClientConnectionError), f"seed {seed}: {got!r:.100}"


@pytest.mark.parametrize("ways", [("read", "read"), ("read", "text"), ("json", "read")])
def test_two_readers_of_a_response(session: Session, ways: tuple[str, str]) -> None:
    """Each gets the whole body or is refused; a refusal costs the other nothing."""
    for seed in range(RUNS):
        path = random.Random(seed).choice(["/small", "/long", "/long"])
        with Shaker(seed):
            response = session.get(path)
            readers = [
                in_thread(lambda r=response, w=way: WAYS[f"response.{w}"](r))  # type: ignore[misc]
                for way in ways
            ]
            got = [outcome(reader, RuntimeError) for reader in readers]
        assert BODIES[path] in got, f"seed {seed}: {got!r:.100}"
        assert {one for one in got if one != BODIES[path]} <= {RuntimeError}, f"seed {seed}"
        assert response.read() == BODIES[path]


def exactly_all(response: Response) -> bytes:
    try:
        return response.content.readexactly(len(LINES))
    except EOFError as exc:  # the other has had some of it
        partial: bytes = exc.partial  # type: ignore[attr-defined]  # asyncio's
        return partial


@pytest.mark.parametrize("second", ["read(n)", "lines", "iter_any"])
def test_each_byte_goes_to_one_of_two_readers(session: Session, second: str) -> None:
    """While one reads in steps, the other is refused; in between they may take turns."""
    for seed in range(RUNS):
        with Shaker(seed):
            response = session.get("/long")
            first = in_thread(lambda r=response: exactly_all(r))  # type: ignore[misc]
            other = in_thread(lambda r=response: WAYS[second](r))  # type: ignore[misc]
            got = [outcome(each, RuntimeError) for each in (first, other)]
        if RuntimeError not in got:
            assert sum(map(len, got)) == len(LINES), f"seed {seed}: {got!r:.200}"


def test_json_is_what_is_compared() -> None:
    """The bodies are JSON, and the way back from it is exact."""
    for body in BODIES.values():
        assert b'["' + b'",\n"'.join(s.encode() for s in json.loads(body)) + b'"]\n' == body
