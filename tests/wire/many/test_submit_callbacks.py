"""Done callbacks of submitted requests: on threads of their own, as many as it takes."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait

import pytest

import syncclient
from syncclient import Session, TCPConnector
from syncclient._boundary import workers
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

#: More than look-ups run at once.
MANY = 60


@pytest.mark.parametrize("resolver", ["system", "custom"])
def test_callbacks_that_make_requests_starve_no_look_up(
    app: AppServer, raw_server: StartRawServer, resolver: str
) -> None:
    """All of them wait for each other, and then for a name each, which nobody has looked up."""
    barrier = threading.Barrier(MANY)
    registered = threading.Event()

    def script(conn: RawConnection) -> None:
        conn.read_request()
        registered.wait(20)  # once a future is done, the thread that adds a callback runs it
        conn.respond()

    held = raw_server(script).url
    statuses: list[int] = []

    class Names:
        def resolve(self, host: str, port: int, family: int) -> str:
            return "127.0.0.1"

    connector = TCPConnector(
        use_dns_cache=False, limit=0, resolver=Names() if resolver == "custom" else None
    )
    over = threading.Semaphore(0)
    with Session(connector=connector) as session:

        def call_back(future: object) -> None:
            barrier.wait(20)
            url = f"http://localhost:{app.port}/get"
            statuses.append(session.get(url, timeout=20).status)
            over.release()

        for _ in range(MANY):
            session.submit("GET", held).add_done_callback(call_back)
        registered.set()
        assert all(over.acquire(timeout=20) for _ in range(MANY))
    assert statuses == [200] * MANY


def test_a_resolver_may_ask_the_session_in_turn(app: AppServer) -> None:
    """Look-ups of a resolver's in code of the user's wait for look-ups, and all come to an end."""
    barrier = threading.Barrier(MANY)

    class Outward:
        """Looks names up at a server, which has to be looked up as well."""

        def resolve(self, host: str, port: int, family: int) -> str:
            if host != "localhost":
                barrier.wait(20)
                syncclient.get(f"http://localhost:{app.port}/get", timeout=20)
            return "127.0.0.1"

    connector = TCPConnector(resolver=Outward(), limit=0)
    with Session(connector=connector) as session:
        urls = [f"http://host{number}.test:{app.port}/get" for number in range(MANY)]
        got = list(session.map(urls, concurrency=MANY, timeout=20))
    assert [response.status for response in got] == [200] * MANY


def test_callbacks_of_one_future_keep_their_order(session: Session) -> None:
    """Also where one raises, whatever it raises."""
    order: list[int] = []
    over = threading.Event()
    future = session.submit("GET", "/delay/0.1")
    for number in range(20):
        future.add_done_callback(lambda _, number=number: order.append(number))  # type: ignore[misc]
    future.add_done_callback(lambda _: [][1])
    future.add_done_callback(lambda _: exec("raise SystemExit"))
    future.add_done_callback(lambda _: over.set())
    assert over.wait(10)
    assert order == list(range(20))


def test_a_callback_that_blocks_holds_up_no_other(session: Session) -> None:
    """Nor does the request of another future wait for it."""
    free, reached = threading.Event(), threading.Barrier(MANY + 1)
    futures = [session.submit("GET", "/get") for _ in range(MANY)]

    def block(future: object) -> None:
        reached.wait(20)
        free.wait(20)

    for future in futures:
        future.add_done_callback(block)
    reached.wait(20)
    assert session.get("/get").status == 200
    free.set()
    wait(futures, 5)


def test_idle_threads_end(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a burst of callbacks needed is not kept."""
    monkeypatch.setattr(workers, "_IDLE", 0.05)
    barrier = threading.Barrier(20)
    for _ in range(20):
        session.submit("GET", "/get").add_done_callback(lambda _: barrier.wait(20))

    def left() -> int:
        return sum(thread.name == "syncclient-worker" for thread in threading.enumerate())

    until = time.monotonic() + 10
    while barrier.n_waiting or left() > 1:
        assert time.monotonic() < until, left()
        session.get("/get")
