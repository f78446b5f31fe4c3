"""Servers that never come to the point: everything but the body has a bound, and others go on."""

from __future__ import annotations

import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from syncclient import ClientError, ClientTimeout, Session, TotalTimeoutError
from tests.bounds import BOUND, others_have_their_turn
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, Script, StartRawServer

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BLOCK = 2**16

#: What is sent first, and what is sent without end then.
ENDLESS = {
    "100": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "102": (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "103": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"),
    "199": (b"", b"HTTP/1.1 199 X\r\nX: y\r\n\r\n"),
    "empty lines": (b"", b"\r\n"),
    "bare newlines": (b"", b"\n"),
    "newlines before rubbish": (b"", b"\n" * 500_000 + b"rubbish"),
    "tiny heads": (b"", b"HTTP/1.1 199 X\n\n"),
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "header name": (OK, b"X"),
    "header value": (OK + b"X: ", b"y"),
    "headers": (OK, b"X: y\r\n"),
    "long headers": (OK, b"X: " + b"y" * 50_000 + b"\r\n"),
    "folded header": (OK + b"X: y\r\n", b" y\r\n"),
    "chunk extension": (CHUNKED + b"5;", b"x=y;"),
    "chunk extensions": (CHUNKED, b"1;" + b"x" * 200 + b"\r\na\r\n"),
    "chunk size": (CHUNKED, b"0"),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\n", b"X: y\r\n"),
    "trailer value": (CHUNKED + b"5\r\nhello\r\n0\r\nX: ", b"y"),
}


def endless(start: bytes, more: bytes) -> Script:
    """A script that sends `more` until the client has had enough."""
    block = more * (1 + BLOCK // len(more))

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(start)
        while True:
            conn.send(block)

    return script


@pytest.fixture
def beside(app: AppServer) -> Iterator[None]:
    """Requests to an honest server, one after another, while the test runs: they are answered."""
    statuses: list[int] = []
    first, over = threading.Event(), threading.Event()

    def ask() -> None:
        with Session(app.url) as session:
            while not over.is_set():
                with session.get("/json") as response:
                    statuses.append(response.status)
                first.set()

    thread = threading.Thread(target=ask)
    thread.start()
    assert first.wait(BOUND)
    with others_have_their_turn():
        yield
    over.set()
    thread.join()
    assert set(statuses) == {200}


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_is_no_body_has_a_bound(raw_server: StartRawServer, beside: None, kind: str) -> None:
    """Without any timeout the request ends, the connection too, and others are not held up."""
    wire = raw_server(endless(*ENDLESS[kind]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Session(timeout=None) as session:
        with pytest.raises(ClientError), session.get(wire.url) as response:
            for _ in response.content.iter_chunked(1000):
                pass
        wire.connections[0].wait_until_ended()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


#: Endless too, but a body: it ends by the timeout, or by what the caller sets.
BODIES = {
    "tiny chunks": (CHUNKED, b"1\r\na\r\n"),
    "chunks": (CHUNKED, b"1000\r\n" + b"a" * 4096 + b"\r\n"),
    "until the end": (OK + b"\r\n", b"a"),
    "length": (OK + b"Content-Length: 99999999999\r\n\r\n", b"a"),
    "empty gzip members": (
        OK + b"Content-Encoding: gzip\r\n\r\n",
        bytes.fromhex("1f8b 0800 0000 0000 0003 0300 0000 0000 0000 0000"),
    ),
    "zeros behind gzip": (
        OK + b"Content-Encoding: gzip\r\n\r\n"
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\0",
    ),
}


READ: dict[str, Callable[[Session, str], object]] = {
    "whole": lambda session, url: session.get(url).read(),
    "pieces": lambda session, url: deque(session.get(url).content.iter_chunked(BLOCK), maxlen=0),
    "submit": lambda session, url: session.submit("GET", url).result().read(),
}


@pytest.mark.parametrize("kind", [*BODIES, *ENDLESS])
@pytest.mark.parametrize("read", READ)
def test_the_total_timeout_holds(
    raw_server: StartRawServer, beside: None, kind: str, read: str
) -> None:
    """However fast the server sends: the request ends, and so does the session's close()."""
    wire = raw_server(endless(*{**BODIES, **ENDLESS}[kind]))
    start = time.monotonic()
    with Session(timeout=0.5, max_body=2**40) as session:
        with pytest.raises((ClientError, TimeoutError)):
            READ[read](session, wire.url)
    assert time.monotonic() - start < BOUND


def slowly(data: bytes, step: int) -> Script:
    def script(conn: RawConnection) -> None:
        conn.read_request()
        for at in range(0, len(data), step):
            conn.send(data[at : at + step])
        conn.read_to_end()

    return script


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + OK + b"Content-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 20
        + CHUNKED
        + b"5\r\nhello\r\n0\r\n\r\n",
        b"\r\n" * 20 + OK + b"X: " + b"y" * 2000 + b"\r\nContent-Length: 5\r\n\r\nhello",
        CHUNKED + b"".join(b"1;x=y\r\n%c\r\n" % c for c in b"hello") + b"0\r\nX: y\r\n\r\n",
    ],
    ids=["100", "103", "lines", "chunks"],
)
def test_slow_and_wordy_servers_are_read(
    raw_server: StartRawServer, answer: bytes, step: int
) -> None:
    """The bounds are far from what honest servers send, a byte at a time or not."""
    wire = raw_server(slowly(answer, step))
    with Session(timeout=5) as session:
        assert session.get(wire.url).read() == b"hello"


@pytest.mark.parametrize("count", [1, 500, 1000])
def test_interim_responses_are_allowed(raw_server: StartRawServer, count: int) -> None:
    """Up to a thousand, as a server that works for long may send them."""
    interim = b"HTTP/1.1 102 Processing\r\n\r\n" * count
    wire = raw_server(slowly(interim + OK + b"Content-Length: 5\r\n\r\nhello", 4096))
    with Session(timeout=5) as session:
        assert session.get(wire.url).read() == b"hello"


def test_sock_read_holds_after_an_interim_response(raw_server: StartRawServer) -> None:
    """The engine takes it for the last head, and would stop the timer."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        conn.read_to_end()

    wire = raw_server(script)
    with Session(timeout=ClientTimeout(total=5, sock_read=0.2)) as session:
        with pytest.raises(TimeoutError) as caught:
            session.get(wire.url)
    assert not isinstance(caught.value, TotalTimeoutError)


@pytest.mark.parametrize("kind", ["100", "tiny chunks", "empty lines", "until the end"])
def test_closing_meanwhile_is_quick(raw_server: StartRawServer, kind: str) -> None:
    """A session closes while such a server sends."""
    wire = raw_server(endless(*{**BODIES, **ENDLESS}[kind]))
    session = Session(timeout=None)
    future = session.submit("GET", wire.url)
    wire.wait_until_connected()
    start = time.monotonic()
    session.close()
    assert time.monotonic() - start < BOUND
    with suppress(ClientError):
        future.result()
