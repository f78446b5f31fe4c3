"""Response.timings: where the time of a request went."""

from __future__ import annotations

import pickle
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trustme
from yarl import URL

import syncclient
from syncclient import Retry, Session, TCPConnector, Timings
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer
from tests.servers.scripts import never_answer

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs

#: What a server or a resolver takes its time for, in seconds.
PAUSE = 0.1


def timed(response: syncclient.Response) -> Timings:
    timings = response.timings
    assert timings is not None
    return timings


class SlowNames:
    """A resolver that takes its time, and then knows every name."""

    def resolve(self, host: str, port: int, family: int) -> str:
        threading.Event().wait(PAUSE)
        return "127.0.0.1"


def test_there_are_none_unless_asked_for(app: AppServer) -> None:
    """The session's setting holds for all requests that do not say otherwise."""
    with Session(app.url) as plain, Session(app.url, timings=True) as timing:
        assert plain.get("json").timings is None
        assert plain.get("json", timings=True).timings is not None
        assert timing.get("json").timings is not None
        assert timing.get("json", timings=False).timings is None
        assert timing.get("json", timings=None).timings is not None


def test_a_new_connection_and_then_the_same_again(app: AppServer) -> None:
    """What did not occur is None: a look-up of an address, TLS, a connection used again."""
    with Session(app.url, timings=True) as session:
        first, second = timed(session.get("json")), timed(session.get("json"))
    assert first.connect is not None
    assert first.connect > 0
    assert (first.pool, first.dns, first.tls, first.send) == (None, None, None, None)
    assert (second.pool, second.dns, second.connect, second.tls) == (None, None, None, None)
    for timings in (first, second):
        assert timings.wait is not None
        assert timings.body is not None
        spent = sum(part or 0.0 for part in timings[:-1])
        assert spent == pytest.approx(timings.total, abs=0.002)


def test_the_look_up(app: AppServer) -> None:
    """A slow look-up is counted as one, for the request that waits for it."""
    connector = TCPConnector(resolver=SlowNames())
    with Session(
        URL(app.url).with_host("named.test"), timings=True, connector=connector
    ) as session:
        timings = timed(session.get("json"))
    assert timings.dns is not None
    assert timings.connect is not None
    assert timings.dns >= PAUSE
    assert timings.connect < PAUSE <= timings.total


def test_tls_apart_from_tcp(raw_server: StartRawServer, ca: trustme.CA) -> None:
    """A peer that is slow to shake hands is seen as such, and not as slow to connect."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(trusting)

    def script(conn: RawConnection) -> None:
        threading.Event().wait(PAUSE)
        with context.wrap_socket(conn.sock.dup(), server_side=True) as sock:
            while not sock.recv(65536).endswith(b"\r\n\r\n"):
                pass
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    wire = raw_server(script)
    url = URL(wire.url).with_scheme("https")
    with Session(timings=True, connector=TCPConnector(ssl=trusting)) as session:
        timings = timed(session.get(url))
    assert timings.tls is not None
    assert timings.connect is not None
    assert timings.tls >= PAUSE
    assert timings.connect < PAUSE


def test_the_wait_for_a_slot(app: AppServer) -> None:
    """A request that waits until another gives its connection back says for how long."""
    with Session(app.url, timings=True, connector=TCPConnector(limit=1)) as session:
        holding = session.get("bytes/3000000")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(session.get, "json")
            until = time.monotonic() + WITHIN
            while not session.connector.snapshot().waiting:
                assert time.monotonic() < until
            began = time.monotonic()
            threading.Event().wait(PAUSE)
            holding.read()
            timings = timed(waiting.result(WITHIN))
            assert timings.pool is not None
            assert PAUSE <= timings.pool <= time.monotonic() - began + WITHIN
            assert timings.connect is None


def test_the_wait_for_the_first_byte(app: AppServer) -> None:
    """A server that thinks before it answers is waited for."""
    with Session(app.url, timings=True) as session:
        timings = timed(session.get(f"delay/{PAUSE}"))
    assert timings.wait is not None
    assert timings.wait >= PAUSE * 0.9


def test_the_sending_of_a_body(raw_server: StartRawServer) -> None:
    """A server that is slow to read makes the sending slow, and not the wait."""

    def script(conn: RawConnection) -> None:
        request = conn.read_head()
        threading.Event().wait(PAUSE)
        conn.read_body(request)
        conn.respond(b"ok")

    wire = raw_server(script)
    with Session(timings=True) as session:
        response = session.post(wire.url, data=pattern(20_000_000))
        assert response.read() == b"ok"
    timings = timed(response)
    assert timings.send is not None
    assert timings.send >= PAUSE * 0.9


def test_the_body_of_a_stream(raw_server: StartRawServer) -> None:
    """Until it has been read whole, a streamed body has no time, and the total ends at the head."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "4")])
        conn.send(b"he")
        conn.stall()
        conn.send(b"re")

    wire = raw_server(script)
    with Session(timings=True) as session, session.get(wire.url) as response:
        before = timed(response)
        assert before.body is None
        assert response.content.readexactly(2) == b"he"
        assert timed(response) == before
        threading.Event().wait(PAUSE)
        wire.connections[0].proceed()
        assert response.content.read() == b"re"
        after = timed(response)
    assert after.body is not None
    assert after.body >= PAUSE
    assert after[:6] == before[:6]
    assert after.total == pytest.approx(before.total + after.body)
    assert timed(response) == after


def test_redirects_add_up(app: AppServer) -> None:
    """The timings are those of all the requests that it took."""
    with Session(app.url, timings=True) as session:
        timings = timed(session.get("redirect/2"))
    assert timings.wait is not None
    assert sum(part or 0.0 for part in timings[:-1]) == pytest.approx(timings.total, abs=0.002)


def test_of_several_attempts_the_last_counts(raw_server: StartRawServer) -> None:
    """What the attempts before took is told by ``attempts``, and not mixed in."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        threading.Event().wait(PAUSE * 3)
        conn.respond(status="503 Busy")
        conn.read_request()
        conn.respond(b"ok")

    wire = raw_server(script)
    with Session(timings=True, retry=Retry(backoff=0)) as session:
        began = time.monotonic()
        response = session.get(wire.url)
        took = time.monotonic() - began
    timings = timed(response)
    assert response.attempts[0].seconds >= PAUSE * 3 * 0.9
    assert response.attempts[0].seconds + timings.total <= took
    assert timings.connect is None


def test_submit_and_map_have_them_too(app: AppServer) -> None:
    """Responses that are read on the loop come with all their timings."""
    with Session(app.url, timings=True) as session:
        submitted = session.submit("GET", "bytes/3000000").result(WITHIN)
        mapped = list(session.map(["bytes/3000000"] * 2))
    for response in (submitted, *mapped):
        assert timed(response).body is not None


def test_messages_of_errors_are_the_same(raw_server: StartRawServer) -> None:
    """A timeout says the same of its phase, with timings or without."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.stall()

    wire = raw_server(script, script)
    told: list[str] = []
    with Session() as session:
        for timings in (False, True):
            with pytest.raises(syncclient.TotalTimeoutError) as caught:
                session.get(wire.url, timings=timings, timeout=1)
            told.append(caught.value.phase)
    assert told == ["waiting for the response"] * 2


def test_a_deadline_tells_of_the_attempts(raw_server: StartRawServer) -> None:
    """A block whose time ends during a retried request has its attempts, as other errors do."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(status="503 Busy")
        conn.read_request()
        conn.stall()

    wire = raw_server(script, never_answer)
    with Session(retry=Retry(backoff=0)) as session:
        with pytest.raises(syncclient.DeadlineError) as caught, syncclient.timeout(0.3):
            session.get(wire.url)
        assert [attempt.status for attempt in caught.value.attempts] == [503, None]
        assert caught.value.attempts[1].error == "DeadlineError"
        assert caught.value.attempts[1].seconds > 0
        with pytest.raises(syncclient.DeadlineError) as caught, syncclient.timeout(0.05):
            session.get(wire.url, retry=None)
    assert caught.value.attempts == ()


def test_the_attempts_of_a_deadline_are_pickled_with_it() -> None:
    """A worker process may send the error, and its attempts, to its parent."""
    error = syncclient.DeadlineError(1.0, 1.0, "waiting")
    error.attempts = (syncclient.Attempt(1, 503, "", "", 0.1),)
    again = pickle.loads(pickle.dumps(error))
    assert again.attempts == error.attempts
    assert str(again) == str(error)


def test_the_time_in_middlewares(app: AppServer) -> None:
    """What a blocking middleware takes for itself is told apart from its handler's waits."""

    def middleware(request: Any, handler: Callable[[Any], syncclient.Response]) -> Any:
        threading.Event().wait(PAUSE)
        return handler(request)

    with Session(app.url, timings=True, middlewares=[middleware]) as session:
        timings = timed(session.get("json"))
        assert timed(session.get("json", middlewares=())).middleware is None
    assert timings.middleware is not None
    assert timings.wait is not None
    assert timings.middleware >= PAUSE
    assert timings.wait < PAUSE
