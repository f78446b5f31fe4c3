"""Closes beside those who are at work: iterations end, closers wait for each other."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import syncclient
from syncclient import ClientConnectionError, DeadlineError, Session, TotalTimeoutError
from syncclient._boundary import portal
from tests.bounds import BOUND, wait_until
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

#: Rounds for what depends on the order of threads.
ROUNDS = 60


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


# Iterations.


def close_beside(pool: ThreadPoolExecutor, source: Any, number: int) -> list[Any]:
    """Close `source` while another thread iterates over it; return what that thread has got."""
    begun = threading.Event()

    def iterate() -> list[Any]:
        got = []
        for each in source:
            got.append(each)
            begun.set()
        return got

    iterating = pool.submit(iterate)
    assert begun.wait(BOUND)
    time.sleep(0.0005 * (number % 7))  # each time a little later in the iteration
    source.close()
    got = iterating.result(BOUND)
    assert got
    assert next(source, "the end") == "the end"
    return got


def events(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    while True:
        conn.send(b"data: x\n\n" * 5)


@pytest.mark.usefixtures("quick_switches")
def test_close_ends_the_iteration_over_events(
    raw_server: StartRawServer, pool: ThreadPoolExecutor
) -> None:
    """In another thread, whatever the iteration is at just then: it stops, without an error."""
    wire = raw_server(events)
    with Session() as session:
        for number in range(ROUNDS):
            close_beside(pool, session.sse(wire.url), number)


def test_close_ends_a_wait_for_events(raw_server: StartRawServer, pool: ThreadPoolExecutor) -> None:
    """An iteration that waits for the next event, or to connect again."""

    def silent(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n")
        conn.stall()

    wire = raw_server(silent)
    with Session() as session:
        source = session.sse(wire.url)
        next(source)
        before = session._portal.crossings
        waiting = pool.submit(next, source, "the end")
        wait_until(lambda: session._portal.crossings > before or waiting.done(), "a crossing")
        source.close()
        assert waiting.result(10) == "the end"


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize("ordered", [True, False])
def test_close_ends_the_iteration_of_map(
    app: AppServer, pool: ThreadPoolExecutor, ordered: bool
) -> None:
    """So it does here; and the bodies of all requests are given back, each once."""
    with Session(app.url) as session:
        for number in range(ROUNDS):
            ended: list[int] = []

            def body(index: int, ended: list[int] = ended) -> Iterator[bytes]:
                try:
                    yield b"x"
                finally:
                    ended.append(index)

            requests = ({"method": "POST", "url": "/post", "data": body(i)} for i in range(10_000))
            responses = session.map(requests, concurrency=4, ordered=ordered)
            assert {response.status for response in close_beside(pool, responses, number)} == {200}
            assert len(ended) == len(set(ended))
        assert session.get("/get").status == 200


# Closers.


def test_a_second_closer_waits_for_the_grace_of_the_first(
    raw_server: StartRawServer, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little it would have given itself, and though that takes longer than closing may."""
    monkeypatch.setattr(portal, "_CLOSING_LIMIT", 0.2)

    def late(conn: RawConnection) -> None:
        conn.read_request()
        conn.stall()
        conn.respond(b"late")

    wire = raw_server(late)
    session = Session()
    asking = pool.submit(lambda: session.get(wire.url).text())
    conn = wire.wait_until_stalled()
    first = pool.submit(session.close, grace=20)
    wait_until(lambda: session.closed, "a close")
    second = pool.submit(session.close)
    assert not second.done()
    time.sleep(0.5)
    assert not second.done()
    conn.proceed()
    assert asking.result(10) == "late"
    first.result(10)
    second.result(10)


# Blocks of timeout().


def in_block(seconds: float) -> Iterator[float | None]:
    with syncclient.timeout(seconds) as block:
        while True:
            yield block.when()


def test_a_block_may_be_closed_in_another_context(session: Session) -> None:
    """By a generator that is closed elsewhere: silently, and no deadline of it is left."""
    steps = in_block(0.0)
    next(steps)
    with pytest.raises(DeadlineError):
        session.get("/get")
    contextvars.Context().run(steps.close)  # type: ignore[attr-defined]  # a generator's
    assert session.get("/get").status == 200


def test_blocks_may_end_in_any_order(session: Session) -> None:
    """Of those that have ended, none counts; of the others, the nearest."""
    outer, inner = in_block(0.0), in_block(60.0)
    next(outer), next(inner)
    outer.close()  # type: ignore[attr-defined]
    assert session.get("/get").status == 200
    inner.close()  # type: ignore[attr-defined]
    with syncclient.timeout(0.0), pytest.raises(DeadlineError):
        session.get("/get")
    assert session.get("/get").status == 200


# Uploads of a response's content.


def half(conn: RawConnection) -> None:
    """A body of which the second half never comes."""
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    conn.send_chunk(b"half")
    conn.stall()
    conn.send_chunk(b" and half")
    conn.send_chunk(b"")


def swallow(conn: RawConnection) -> None:
    conn.read_head()
    conn.read_to_end()


def test_a_piped_upload_that_times_out_leaves_no_reader(raw_server: StartRawServer) -> None:
    """What it was waiting for can be read by others, at once and to the end."""
    source, target = raw_server(half), raw_server(swallow)
    with Session() as session, session.get(source.url) as response:
        conn = source.wait_until_stalled()
        for _ in range(3):
            with pytest.raises(TotalTimeoutError):
                session.post(target.url, data=response.content, timeout=0.1)
            assert response.content.read_nowait() == b""
        conn.proceed()
        assert response.content.read() == b" and half"


@pytest.mark.parametrize("end", ["close", "release"])
def test_a_piped_upload_whose_source_is_closed_fails(
    raw_server: StartRawServer, pool: ThreadPoolExecutor, end: str
) -> None:
    """It does not end as if it were complete: the server must not take half for the whole."""
    source, target = raw_server(half), raw_server(swallow)
    with Session() as session:
        response = session.get(source.url)
        source.wait_until_stalled()
        posting = pool.submit(session.post, target.url, data=response.content)
        target.wait_until_connected()
        wait_until(lambda: response.content._buffer.total > 0, "the first half")
        getattr(response, end)()
        with pytest.raises(ClientConnectionError):
            posting.result(10)
        target.wait_until_closed()
        assert all(b"0\r\n\r\n" not in each.body for each in target.requests)


# raise_for_status.


async def rule(response: object) -> None:
    raise AssertionError("never awaited")


class Rule:
    async def __call__(self, response: object) -> None:
        raise AssertionError("never awaited")


@pytest.mark.parametrize("given", [rule, Rule(), lambda response: rule(response)])
@pytest.mark.parametrize("way", ["get", "submit", "map", "session"])
def test_an_async_rule_is_refused(app: AppServer, way: str, given: Callable[[Any], Any]) -> None:
    """By each blocking request, which could not await it; where that is seen, before it is sent."""
    with Session(app.url) as session:
        ways: dict[str, Callable[[], object]] = {
            "get": lambda: session.get("/get", raise_for_status=given),
            "submit": lambda: session.submit("GET", "/get", raise_for_status=given).result(10),
            "map": lambda: list(session.map(["/get"], raise_for_status=given)),
            "session": lambda: session.with_options(raise_for_status=given).get("/get"),
        }
        before = session._portal.crossings
        with pytest.raises(TypeError, match=r"raise_for_status.*session\.aio"):
            ways[way]()
        if given is rule or isinstance(given, Rule):
            assert session._portal.crossings == before
        assert session.connector.snapshot().in_use == 0
