"""Session.retire(): no new requests, and the end with the last response."""

import gc
import threading
import warnings
import weakref

import pytest

from syncclient import ClientConnectionError, LoopThread, Session, SessionClosedError
from tests.bounds import wait_until
from tests.servers.raw import RawConnection, StartRawServer


def hello_on_demand(conn: RawConnection) -> None:
    """Answer with a head, and with the body once the test says so."""
    conn.read_request()
    conn.send_head(headers=[("Content-Length", "5")])
    conn.stall()
    conn.send(b"hello")
    conn.read_to_end()


def hello(conn: RawConnection) -> None:
    conn.read_request()
    conn.respond(b"hello")
    conn.read_to_end()


def test_live_responses_end_and_then_all_is_closed(raw_server: StartRawServer) -> None:
    """After retire() a request is refused, an open response can be read; then all is closed."""
    wire = raw_server(hello_on_demand)
    thread = LoopThread()
    session = Session(loop_thread=thread)
    response = session.get(wire.url)
    session.retire()
    assert session.closed
    with pytest.raises(SessionClosedError):
        session.get(wire.url)
    assert "leases" in repr(thread)
    wire.wait_until_stalled().proceed()
    assert response.read() == b"hello"
    wait_until(lambda: "idle" in repr(thread), "the end of the lease")


def test_idle_connections_are_closed_at_once(raw_server: StartRawServer) -> None:
    """retire() closes the connections that nothing uses, though a response is open still."""
    idle, busy = raw_server(hello), raw_server(hello_on_demand)
    with Session() as session:
        session.get(idle.url).read()
        response = session.get(busy.url)
        session.retire()
        idle.wait_until_closed()
        busy.wait_until_stalled().proceed()
        assert response.read() == b"hello"


def test_a_call_under_way_ends(raw_server: StartRawServer) -> None:
    """A request of another thread gets its response after retire(), and can read it."""

    def late(conn: RawConnection) -> None:
        conn.read_request()
        conn.stall()
        hello_rest(conn)

    def hello_rest(conn: RawConnection) -> None:
        conn.send_head(headers=[("Content-Length", "5")])
        conn.send(b"hello")
        conn.read_to_end()

    wire = raw_server(late)
    session = Session()
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(session.get(wire.url).read()))
    thread.start()
    conn = wire.wait_until_stalled()
    session.retire()
    conn.proceed()
    thread.join(10)
    assert got == [b"hello"]


def test_close_ends_what_retire_left(raw_server: StartRawServer) -> None:
    """close() after retire() does not wait for open responses: their readers are woken."""
    wire = raw_server(hello_on_demand)
    session = Session()
    response = session.get(wire.url)
    session.retire()
    session.close()
    with pytest.raises((SessionClosedError, ClientConnectionError)):
        response.read()
    wire.wait_until_closed()


def test_retire_before_any_request_costs_nothing() -> None:
    """A session that was never used is closed by retire() alone; it may be called twice."""
    session = Session()
    session.retire()
    session.retire()
    session.close()
    assert session.closed


def test_a_derived_session_retires_alone(raw_server: StartRawServer) -> None:
    """retire() of a session from with_options() leaves the others as they are."""
    wire = raw_server(hello)
    with Session() as session:
        derived = session.with_options()
        derived.retire()
        with pytest.raises(SessionClosedError):
            derived.get(wire.url)
        assert session.get(wire.url).read() == b"hello"


def test_a_session_that_may_be_dropped(raw_server: StartRawServer) -> None:
    """A session whose maker says so is dropped without a warning, and retires then."""
    wire = raw_server(hello_on_demand)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session = Session(loop_thread=(thread := LoopThread()))
        session._opened_at = None
        response = session.get(wire.url)
        gone = weakref.ref(session)
        del session
        gc.collect()
        assert gone() is None
        wire.wait_until_stalled().proceed()
        assert response.read() == b"hello"
        wait_until(lambda: "idle" in repr(thread), "the end of the lease")
