"""Messages that nobody waits for: they cost no crossing, keep their order, and do not get lost."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp import ClientConnectionResetError, ClientWSTimeout, WSMsgType

import syncclient
from syncclient._async.websocket.sender import SMALL
from syncclient._async.websocket.websocket import AsyncWebSocket
from syncclient._client.websocket import WebSocket
from syncclient._deadline import DeadlineError, timeout
from tests.servers import ws_script as ws
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer
from tests.wire.requests.test_crossings import crossings

pytestmark = pytest.mark.timeout(30)

WAIT = 20.0  # seconds that anything here may take before the test fails


def test_a_small_message_costs_no_crossing(echo: WebSocket, session: syncclient.Session) -> None:
    """Nobody waits until it is sent; a long one, and one compressed by itself, cross once."""
    before = crossings(session)
    for _ in range(10):
        echo.send_str("hello")
    echo.ping()
    echo.send_bytes(bytes(SMALL))
    assert crossings(session) == before
    echo.send_bytes(bytes(SMALL + 1))
    assert crossings(session) == before + 1


def test_messages_keep_their_order(session: syncclient.Session, raw_server: StartRawServer) -> None:
    """Those that are waited for and those that are not, and the goodbye after them."""
    got: list[ws.Frame] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        while not got or got[-1].opcode != ws.CLOSE:
            got.append(ws.read_frame(conn))
        conn.send(ws.close_frame())

    with session.ws_connect(raw_server(script).url) as socket:
        sizes = [number % 50 * 1000 for number in range(500)]  # every third one is a long one
        for size in sizes:
            socket.send_bytes(bytes(size))
    assert [len(frame.data) for frame in got[:-1]] == sizes


def test_nothing_comes_after_the_close_frame(
    session: syncclient.Session, raw_server: StartRawServer
) -> None:
    """A large message that is still being compressed, and one behind it, go before the goodbye."""
    opcodes: list[int] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn, headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])
        while ws.CLOSE not in opcodes:
            opcodes.append(ws.read_frame(conn).opcode)
        conn.send(ws.close_frame())

    with ThreadPoolExecutor(1) as pool:
        with session.ws_connect(raw_server(script).url, compress=15) as socket:
            assert socket.compress
            sending = pool.submit(socket.send_bytes, random.Random(1).randbytes(10_000_000))
            while not socket._remote.call(_sending):
                assert not sending.done()
            socket.send_str("behind it")
        sending.result(WAIT)
    # The two come from two threads, whose order among themselves is open.
    assert sorted(opcodes[:2]) == [ws.TEXT, ws.BINARY]
    assert opcodes[2:] == [ws.CLOSE]


async def _sending(live: AsyncWebSocket) -> bool:
    return bool(live._sender._sends)


def test_each_thread_keeps_its_order(echo: WebSocket) -> None:
    """Many threads send at once: all arrives, and what one thread sent in its order."""
    threads, count = 8, 300

    def send(thread: int) -> None:
        for number in range(count):
            echo.send_json([thread, number])

    with ThreadPoolExecutor(threads) as pool:
        sending = [pool.submit(send, thread) for thread in range(threads)]
        got: dict[int, list[int]] = {thread: [] for thread in range(threads)}
        for _ in range(threads * count):
            thread, number = echo.receive_json(timeout=WAIT)
            got[thread].append(number)
        for each in sending:
            each.result(WAIT)
    assert got == {thread: list(range(count)) for thread in range(threads)}


def test_a_message_sent_last_arrives(
    session: syncclient.Session, raw_server: StartRawServer
) -> None:
    """Dropping the socket right behind a message does not drop the message."""
    got = threading.Event()

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        assert ws.read_frame(conn).data == b"the last word"
        got.set()

    socket = session.ws_connect(raw_server(script).url)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        socket.send_str("the last word")
        del socket
        gc.collect()
    assert got.wait(WAIT)


def test_a_fault_is_told_by_the_next_send(echo: WebSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that was not waited for and failed: whoever sends next hears of it, once."""
    with monkeypatch.context() as patch:

        async def fails(*args: object) -> None:
            raise ClientConnectionResetError("Cannot write to closing transport")

        patch.setattr("aiohttp.http.WebSocketWriter.send_frame", fails)
        echo.send_str("lost")
        echo._remote.call(_turn)
    with pytest.raises(ClientConnectionResetError, match="closing transport"):
        echo.send_str("refused")
    echo.send_str("the connection is well")
    assert echo.receive_str() == "the connection is well"


async def _turn(live: object) -> None:
    """Be behind what was posted before, and the first step of its task."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_senders_wait_for_a_peer_that_does_not_read(
    session: syncclient.Session, raw_server: StartRawServer
) -> None:
    """Only so much is under way; then a sender waits, and its deadline ends that."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.stall()

    server = raw_server(script)
    limits = ClientWSTimeout(ws_close=0.1)
    with session.ws_connect(server.url, timeout=limits) as socket:
        conn = server.wait_until_stalled()
        sent = 0

        def send_for_ever() -> None:
            nonlocal sent
            with timeout(1.0):
                while sent < 2**30:
                    socket.send_bytes(bytes(SMALL))
                    sent += SMALL

        with pytest.raises(DeadlineError, match="sending to a WebSocket"):
            send_for_ever()
        # What the two kernels take, and no more than that.
        assert sent < 2**27
    conn.proceed()


def test_nothing_is_sent_after_the_deadline(echo: WebSocket) -> None:
    """In a block whose time is over a send raises, though it would not have to wait."""
    with pytest.raises(DeadlineError, match="before this call"), timeout(0):
        echo.send_str("too late")
    echo.send_str("in time")
    assert echo.receive_str() == "in time"


def test_a_socket_that_was_closed_is_not_written_to(
    session: syncclient.Session, app: AppServer
) -> None:
    """The peer has closed, though the reader is not there yet: sending says so."""
    with session.ws_connect(f"{app.url}/echo?burst=3&close=1000") as socket:
        until = time.monotonic() + WAIT
        while not socket._queue.over:
            assert time.monotonic() < until, "the close frame did not come"
            time.sleep(0.001)
        assert not socket.closed
        with pytest.raises(ClientConnectionResetError):
            socket.send_str("anybody there?")
        assert [socket.receive().type for _ in range(4)] == [WSMsgType.TEXT] * 3 + [WSMsgType.CLOSE]
