"""Readers that wait for a message: what it costs, and what may happen between wake-up and take."""

from __future__ import annotations

import gc
import threading
import time
from _thread import LockType
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from aiohttp import WSMsgType

import syncclient
from syncclient._async.websocket.websocket import AsyncWebSocket
from syncclient._boundary import queue_wait
from syncclient._boundary.loop_run import LoopRun
from syncclient._client.websocket import WebSocket
from tests.servers import ws_script as ws
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer
from tests.wire.requests.test_crossings import crossings

pytestmark = pytest.mark.timeout(30)

WAIT = 10.0  # seconds that anything here may take before the test fails


def test_waiting_for_a_message_costs_no_crossing(
    echo: WebSocket, session: syncclient.Session
) -> None:
    """Neither does the message: it wakes its reader, and is taken from this side."""
    before = crossings(session)
    for number in range(20):
        echo.send_str(str(number))
        assert echo.receive_str(timeout=WAIT) == str(number)
    with pytest.raises(TimeoutError, match="no message came"):
        echo.receive(timeout=0.01)
    assert crossings(session) == before


@contextmanager
def woken(
    echo: WebSocket, patch: pytest.MonkeyPatch, text: str, then: Callable[[], object]
) -> Iterator[None]:
    """Send ``text`` once a reader waits, and call ``then`` when it has been woken by that."""
    block = queue_wait._block

    def blocked(lock: LockType, run: LoopRun, seconds: float) -> bool:
        patch.setattr(queue_wait, "_block", block)
        echo.send_str(text)
        assert block(lock, run, seconds)
        then()
        return True

    patch.setattr(queue_wait, "_block", blocked)
    yield
    assert queue_wait._block is block, "no reader has waited"


def test_an_interrupt_between_wake_up_and_take_loses_nothing(
    echo: WebSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message stays where it is, and the next receive has it."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    with woken(echo, monkeypatch, "hello", interrupt), pytest.raises(KeyboardInterrupt):
        echo.receive(timeout=WAIT)
    assert echo.receive_str(timeout=WAIT) == "hello"


def test_a_message_taken_by_another_between_wake_up_and_take(
    echo: WebSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The woken reader waits on, for the next one, and its limit counts from the start."""
    stolen: list[object] = []

    def steal() -> None:
        stolen.append(echo._queue.messages.popleft().data)

    def steal_and_send() -> None:
        steal()
        echo.send_str("second")

    with woken(echo, monkeypatch, "first", steal_and_send):
        assert echo.receive_str(timeout=WAIT) == "second"
    with woken(echo, monkeypatch, "third", steal), pytest.raises(TimeoutError):
        echo.receive(timeout=1.0)
    assert stolen == ["first", "third"]


def test_a_close_between_wake_up_and_take(echo: WebSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message goes with the socket, as all that was not read, and the reader is told."""
    with woken(echo, monkeypatch, "hello", echo.close):
        assert echo.receive(timeout=WAIT).type is WSMsgType.CLOSED
    assert echo.close_code == 1000


def test_one_of_many_readers_gets_each_message(echo: WebSocket) -> None:
    """Threads that are refused try again: each message is received by one, once."""
    threads, count = 8, 400
    got: list[str] = []
    over = threading.Event()

    def receive() -> None:
        while not over.is_set():
            try:
                got.append(echo.receive_str(timeout=0.05))
            except (RuntimeError, TimeoutError):
                pass

    with ThreadPoolExecutor(threads) as pool:
        readers = [pool.submit(receive) for _ in range(threads)]
        for number in range(count):
            echo.send_str(str(number))
        until = time.monotonic() + WAIT
        while len(got) < count and time.monotonic() < until:
            echo.ping()
        over.set()
        for reader in readers:
            reader.result(WAIT)
    assert sorted(got, key=int) == [str(number) for number in range(count)]


def test_an_interrupt_before_the_loop_is_told_of_room(
    session: syncclient.Session, raw_server: StartRawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader that then has to wait says so in its place: no message stays on the wire."""
    count = 50

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"x") * count)
        ws.say_goodbye(conn)

    with session.ws_connect(raw_server(script).url, buffer_messages=10) as socket:
        with monkeypatch.context() as patch:
            patch.setattr(socket._remote.__class__, "post", lambda *args: None)
            for _ in range(10):
                assert socket.receive_str(timeout=WAIT) == "x"
            assert socket._queue.resting
            assert not socket._queue.messages
        for _ in range(count - 10):
            assert socket.receive_str(timeout=WAIT) == "x"


def test_a_reader_whose_socket_nobody_else_holds(app: AppServer) -> None:
    """The garbage collector leaves it alone: the thread that waits holds it."""

    def read(sockets: list[WebSocket]) -> str:
        with sockets.pop() as socket:
            return socket.receive_str(timeout=WAIT)

    with syncclient.Session() as session, ThreadPoolExecutor(1) as pool:
        sockets = [session.ws_connect(f"{app.url}/echo")]
        queue, remote = sockets[0]._queue, sockets[0]._remote
        reading: Future[str] = pool.submit(read, sockets)
        until = time.monotonic() + WAIT
        while not queue.waiters:
            assert time.monotonic() < until
        gc.collect()
        assert not reading.done()
        remote.entrust(AsyncWebSocket.send_entrusted, WSMsgType.TEXT, b"hello")
        assert reading.result(WAIT) == "hello"
