"""Deadlines: ``with syncclient.timeout(seconds)`` over any number of blocking calls."""

from __future__ import annotations

import asyncio
import contextvars
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import syncclient
from syncclient import DeadlineError, Session, TCPConnector
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer
from tests.servers.scripts import never_answer, stall_in_body

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs
SOON = 0.15  # seconds: what a deadline is given that is meant to end
LATE = 8.0  # seconds: what is later than that was no deadline of ours


def stall_with_each(conn: RawConnection) -> None:
    """Answer every request as soon as the test says so."""
    while True:
        conn.read_request()
        conn.stall()
        conn.respond(b"ok")


# What is cut short.


def test_a_request_is_cut_short(session: Session, raw_server: StartRawServer) -> None:
    """The call raises in time, and its connection is closed on the wire."""
    wire = raw_server(never_answer)
    began = time.monotonic()
    with syncclient.timeout(SOON) as block, pytest.raises(DeadlineError) as caught:
        session.get(wire.url)
    assert SOON <= time.monotonic() - began < LATE
    wire.wait_until_closed()
    assert block.expired()
    assert caught.value.seconds == pytest.approx(SOON)
    assert SOON <= caught.value.elapsed < LATE


def test_the_error_says_what_was_being_done(raw_server: StartRawServer) -> None:
    """Method, URL without its credentials, phase, and both times are in the message."""
    wire = raw_server(never_answer)
    secret = wire.url.replace("http://", "http://ada:secret@")
    with Session() as session, syncclient.timeout(0.2), pytest.raises(DeadlineError) as caught:
        session.post(secret, data=b"x")
    message = str(caught.value)
    assert message.startswith("the 0.2 s of timeout() were over after 0.2")
    assert message.endswith(f": POST {wire.url} while waiting for the response")
    assert "secret" not in message + repr(caught.value)


def test_the_error_is_a_timeout_by_every_name(session: Session, raw_server: StartRawServer) -> None:
    """The deadline's error is the built-in TimeoutError, asyncio's and aiohttp's."""
    wire = raw_server(never_answer)
    with syncclient.timeout(0.01), pytest.raises(TimeoutError) as caught:
        session.get(wire.url)
    for kind in (asyncio.TimeoutError, syncclient.ServerTimeoutError, syncclient.ClientError):
        assert isinstance(caught.value, kind)


def test_the_error_can_be_pickled() -> None:
    """The deadline's error passes through a process pool unchanged."""
    error = DeadlineError(1.0, 1.2, "GET http://x/ while connecting")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.doing) == (DeadlineError, str(error), error.doing)


def test_a_body_read_is_cut_short(session: Session, raw_server: StartRawServer) -> None:
    """Reading a stream counts as well, and the message says so."""
    wire = raw_server(stall_in_body)
    with syncclient.timeout(SOON), session.get(wire.url) as response:
        assert response.content.read(4) == b"half"
        with pytest.raises(DeadlineError, match=r"GET http://.* while reading the body"):
            response.content.read()
    wire.wait_until_closed()


def test_a_wait_for_the_pool_is_cut_short(raw_server: StartRawServer) -> None:
    """A deadline ends the wait for a free connection, and the message explains it."""
    wire = raw_server(stall_in_body)
    with Session(connector=TCPConnector(limit=1)) as session, session.get(wire.url):
        with syncclient.timeout(SOON):
            with pytest.raises(DeadlineError, match="waiting for a free connection"):
                session.get(wire.url)


def test_an_upload_is_cut_short(session: Session, raw_server: StartRawServer) -> None:
    """A request that is being sent is cut short, and its generator is closed."""

    def read_nothing(conn: RawConnection) -> None:
        conn.read_head()
        conn.stall()

    def blocks() -> Iterator[bytes]:
        while True:
            yield bytes(2**16)

    wire = raw_server(read_nothing)
    body = blocks()
    with syncclient.timeout(SOON):
        with pytest.raises(DeadlineError, match="while sending the body"):
            session.post(wire.url, data=body)
    assert body.gi_frame is None  # type: ignore[attr-defined]  # an Iterator to its annotation


def test_a_receive_is_cut_short_and_the_websocket_is_whole(session: Session) -> None:
    """A receive() that ends with the deadline loses no message and keeps the socket."""
    with session.ws_connect("/echo") as ws:
        with syncclient.timeout(SOON):
            with pytest.raises(DeadlineError, match="waiting for a WebSocket message"):
                ws.receive()
        ws.send_str("still here")
        assert ws.receive_str() == "still here"


def test_the_one_shot_functions_are_cut_short(raw_server: StartRawServer) -> None:
    """syncclient.get() keeps to the deadline like a session of one's own."""
    wire = raw_server(stall_in_body)
    with syncclient.timeout(SOON), pytest.raises(DeadlineError):
        syncclient.get(wire.url)


def test_what_is_here_already_can_be_read(session: Session) -> None:
    """After the end, data on this side is there, and releasing works: neither is a call."""
    with syncclient.timeout(WITHIN) as block:
        response = session.get("/get")
        block.reschedule(time.monotonic() - 1)
        assert response.json()["method"] == "GET"
        response.release()
    assert not block.expired()


def test_a_request_s_own_timeout_may_come_first(
    session: Session, raw_server: StartRawServer
) -> None:
    """timeout= of a request raises its own error where it is the shorter one."""
    wire = raw_server(never_answer)
    with syncclient.timeout(WITHIN) as block, pytest.raises(syncclient.TotalTimeoutError):
        session.get(wire.url, timeout=0.05)
    assert not block.expired()


def test_the_session_can_be_closed_after_the_end(app: AppServer) -> None:
    """Cleaning up is not subject to the deadline."""
    with syncclient.timeout(0):
        session = Session(app.url)
        with pytest.raises(DeadlineError):
            session.get("/get")
        session.close()
    assert session.closed


# How long it counts.


def test_calls_share_one_deadline(session: Session, raw_server: StartRawServer) -> None:
    """Many calls that are short enough by themselves are too long together."""
    wire = raw_server(stall_with_each)
    answered: list[bytes] = []
    began = time.monotonic()

    def answer_slowly() -> None:
        conn = wire.wait_until_connected()
        while not conn._ended.wait(0.05):
            conn.proceed()

    pacing = threading.Thread(target=answer_slowly)
    pacing.start()
    with syncclient.timeout(0.5), pytest.raises(DeadlineError):
        answered.extend(session.get(wire.url).read() for _ in range(1000))
    assert 0.5 <= time.monotonic() - began < 0.5 + LATE
    assert 1 <= len(answered) <= (time.monotonic() - began) / 0.05 + 1
    pacing.join(WITHIN)


def test_after_the_end_nothing_is_sent(session: Session, app: AppServer) -> None:
    """In a block whose time is over, every call raises at once, and the message says why."""
    session.get("/get").read()
    before = app.stats().requests
    with syncclient.timeout(0) as block:
        for _ in range(3):
            with pytest.raises(DeadlineError, match=r"were over before this call"):
                session.get("/get")
    assert block.expired()
    assert app.stats().requests == before
    assert session.get("/get").status == 200


def test_the_nearest_deadline_wins(session: Session, raw_server: StartRawServer) -> None:
    """Of nested blocks, the one that ends first raises, and it alone has expired."""
    wire = raw_server(never_answer)
    for outer_s, inner_s in ((WITHIN, SOON), (SOON, WITHIN), (SOON, None), (None, SOON)):
        with syncclient.timeout(outer_s) as outer, syncclient.timeout(inner_s) as inner:
            with pytest.raises(DeadlineError) as caught:
                session.get(wire.url)
        assert outer.expired() is (outer_s == SOON)
        assert inner.expired() is (inner_s == SOON)
        assert caught.value.seconds == pytest.approx(SOON)


def test_an_inner_block_ends_by_itself(session: Session, raw_server: StartRawServer) -> None:
    """After an inner block has expired, the outer one goes on with the time it has left."""
    wire = raw_server(never_answer)
    with syncclient.timeout(WITHIN) as outer:
        with pytest.raises(DeadlineError), syncclient.timeout(0.01):
            session.get(wire.url)
        assert session.get("/get").status == 200
        outer.reschedule(time.monotonic())
        with pytest.raises(DeadlineError):
            session.get("/get")


def test_reschedule(session: Session, raw_server: StartRawServer) -> None:
    """A deadline can be moved in either direction, and removed."""
    wire = raw_server(never_answer)
    with syncclient.timeout(0) as block:
        block.reschedule(time.monotonic() + WITHIN)
        assert session.get("/get").status == 200
        block.reschedule(None)
        assert block.when() is None
        assert session.get("/get").status == 200
        block.reschedule(soon := time.monotonic() + SOON)
        assert block.when() == soon
        assert not block.expired()
        with pytest.raises(DeadlineError):
            session.get(wire.url)
    assert block.expired()


def test_none_is_no_deadline(session: Session) -> None:
    """timeout(None) puts no limit on anything."""
    with syncclient.timeout(None) as block:
        assert block.when() is None
        assert session.get("/get").status == 200
    assert not block.expired()


# Whose it is.


def test_a_deadline_belongs_to_its_thread(session: Session) -> None:
    """Other threads go on without it, unless they run in a copy of the context."""
    with syncclient.timeout(0), ThreadPoolExecutor(2) as pool:
        assert pool.submit(session.get, "/get").result(WITHIN).status == 200
        context = contextvars.copy_context()
        with pytest.raises(DeadlineError):
            pool.submit(context.run, session.get, "/get").result(WITHIN)


def test_many_threads_each_with_its_own(session: Session, raw_server: StartRawServer) -> None:
    """Deadlines of threads that share a session do not meddle with each other."""
    wire = raw_server(never_answer)

    def try_for(seconds: float) -> float:
        began = time.monotonic()
        with syncclient.timeout(seconds), pytest.raises(DeadlineError) as caught:
            session.get(wire.url)
        assert caught.value.seconds == pytest.approx(seconds)
        return time.monotonic() - began

    limits = [0.1 * n for n in range(1, 6)] * 2
    with ThreadPoolExecutor(len(limits)) as pool:
        for limit, took in zip(limits, pool.map(try_for, limits), strict=True):
            assert limit <= took < limit + LATE


def test_code_that_a_request_calls_is_within(session: Session, raw_server: StartRawServer) -> None:
    """A generator that is a body, and makes calls of its own, is under the same deadline."""
    wire = raw_server(never_answer)

    def blocks() -> Iterator[bytes]:
        yield session.get(wire.url).read()

    with syncclient.timeout(SOON) as block, pytest.raises(DeadlineError):
        session.post("/anything", data=blocks())
    assert block.expired()


# Misuse.


@pytest.mark.parametrize(
    ("delay", "error"),
    [(-1, ValueError), (float("nan"), ValueError), ("5", TypeError), (True, TypeError)],
)
def test_a_wrong_delay_is_refused(delay: Any, error: type[Exception]) -> None:
    """A duration that cannot be meant is refused where it is given."""
    with pytest.raises(error, match="delay must be"):
        syncclient.timeout(delay)


def test_a_timeout_is_entered_once() -> None:
    """One object is one block: a second entry would forget the first."""
    block = syncclient.timeout(1)
    with block:
        with pytest.raises(RuntimeError, match="already entered"):
            block.__enter__()
    with pytest.raises(RuntimeError, match="already entered"):
        block.__enter__()
