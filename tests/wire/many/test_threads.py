"""One session, many threads: nobody gets another one's answer."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from syncclient import Session, TCPConnector
from tests.servers.content import pattern
from tests.servers.process import AppServer


@pytest.mark.slow
def test_64_threads_with_100_requests_each(app: AppServer) -> None:
    """Every answer is its asker's own, of every kind of request, and the pool is bounded."""
    start = threading.Barrier(64)

    def work(thread: int) -> int:
        start.wait(30)
        for number in range(100):
            own = f"{thread}-{number}"
            kind = (thread + number) % 4
            if kind == 0:
                echo = session.get("/get", params={"id": own}).json()
                assert echo["args"] == [["id", own]]
            elif kind == 1:
                assert session.post("/post", json={"id": own}).json()["json"] == {"id": own}
            elif kind == 2:
                with session.get("/get", headers={"X-Id": own}, cookies={"id": own}) as response:
                    echo = response.json()
                assert ["X-Id", own] in echo["headers"]
                assert echo["cookies"] == {"id": own}
            else:
                size = 1000 + thread * 100 + number
                with session.get(f"/bytes/{size}") as response:
                    assert response.read() == pattern(size)
        return 100

    with Session(app.url) as session:
        with ThreadPoolExecutor(64) as pool:
            assert sum(pool.map(work, range(64))) == 6400
        assert app.stats().connections_open <= 100
    app.wait_until(lambda stats: not stats.connections_open)


def test_more_threads_than_connections_take_turns(app: AppServer) -> None:
    """A limit of the connector makes threads wait, and each of them gets its turn."""
    before = app.stats().connections_opened
    with Session(app.url, connector=TCPConnector(limit=2)) as session:

        def work(number: int) -> bool:
            echo = session.get("/delay/0.02", params={"n": number}).json()
            return bool(echo["args"] == [["n", str(number)]])

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(work, range(64)))
    assert app.stats().connections_opened - before == 2


def test_large_bodies_do_not_mix(session: Session) -> None:
    """Bodies read at the same time, in pieces larger than any buffer, are each whole."""

    def work(number: int) -> bool:
        size = 1_000_000 + number
        with session.get(f"/bytes/{size}") as response:
            return response.read() == pattern(size)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(16)))


def test_a_response_may_be_read_by_another_thread(session: Session) -> None:
    """The thread that asked and the one that reads need not be the same."""
    with session.get("/bytes/3000000") as response, ThreadPoolExecutor(1) as pool:
        assert pool.submit(response.read).result(30) == pattern(3_000_000)
        assert response.read() == pattern(3_000_000)


def test_one_threads_error_is_not_anothers(session: Session) -> None:
    """Failures and successes at the same time go each to its own caller, with its own message."""

    def work(number: int) -> str:
        if number % 2:
            with pytest.raises(TimeoutError) as caught:
                session.get(f"/delay/30?n={number}", timeout=0.2)
            return str(caught.value)
        return str(session.get("/get", params={"n": number}).url)

    with ThreadPoolExecutor(16) as pool:
        for number, text in enumerate(pool.map(work, range(32))):
            assert f"n={number}" in text
