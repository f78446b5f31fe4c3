"""Peers that send without end, or take without end: bounds, turns for others, flat memory."""

from __future__ import annotations

import asyncio
import socket as sockets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from aiohttp import ClientWSTimeout, WSMsgType

import syncclient
from syncclient._async.websocket.websocket import AsyncWebSocket
from syncclient._client.websocket_base import WebSocketBase
from tests.bounds import UNASKED, others_have_their_turn
from tests.servers import ws_script as ws
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

pytestmark = pytest.mark.timeout(60)

WAIT = 30.0
#: Seconds that a limit may be late by, on the busiest of machines: without it nothing would end.
LATE = UNASKED

DEFLATE = [("Sec-WebSocket-Extensions", "permessage-deflate")]
EMPTY_FRAGMENT = ws.frame(0, b"", fin=False)


def endless(first: bytes, repeated: bytes) -> Callable[[RawConnection], None]:
    """A script: `first`, and `repeated` until the client is gone. Its pongs are read."""
    data = repeated * (2**17 // len(repeated))

    def script(conn: RawConnection) -> None:
        ws.accept(conn, headers=DEFLATE)
        conn.send(first)
        conn.sock.settimeout(None)
        reader = threading.Thread(target=_read_all, args=(conn.sock,))
        reader.start()
        try:
            while True:
                conn.send(data)
        finally:
            reader.join(WAIT)

    return script


def _read_all(sock: sockets.socket) -> None:
    try:
        while sock.recv(2**16):
            pass
    except OSError:
        pass


# Frames that bring no message: the connection is closed.

NO_MESSAGE = {
    "pings": (b"", ws.frame(ws.PING)),
    "pings with a payload": (b"", ws.frame(ws.PING, bytes(125))),
    "pongs": (b"", ws.frame(ws.PONG)),
    "pings and pongs": (b"", ws.frame(ws.PING) + ws.frame(ws.PONG, b"x")),
    "empty fragments": (ws.frame(ws.TEXT, b"x", fin=False), EMPTY_FRAGMENT),
    "empty fragments of nothing": (ws.frame(ws.BINARY, fin=False), EMPTY_FRAGMENT),
    "compressed ones": (ws.frame(ws.TEXT, b"\xf2", fin=False, rsv=4), EMPTY_FRAGMENT),
    "pings among fragments": (
        ws.frame(ws.TEXT, b"x", fin=False),
        ws.frame(ws.PING) + EMPTY_FRAGMENT,
    ),
}


@pytest.mark.parametrize("name", NO_MESSAGE)
def test_frames_without_a_message_have_a_bound(
    client: syncclient.Session, raw_server: StartRawServer, app: AppServer, name: str
) -> None:
    """1008 after ten thousand in ten seconds; meanwhile requests have their turn."""
    first, repeated = NO_MESSAGE[name]
    server = raw_server(endless(first, repeated))
    with others_have_their_turn(), client.ws_connect(server.url, compress=15) as socket:
        client.get(f"{app.url}/get").close()
        message = socket.receive(timeout=WAIT)
        assert message.type is WSMsgType.ERROR
        assert socket.close_code == 1008
        assert "10000 frames" in str(socket.exception())


def test_pings_at_a_pace_are_no_flood(
    client: syncclient.Session, raw_server: StartRawServer
) -> None:
    """Pings that messages come between, or time, are answered without a bound."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        for number in range(30):
            conn.send(ws.frame(ws.PING) * 1000 + ws.frame(ws.TEXT, b"%d" % number))
            for _ in range(1000):
                assert ws.read_frame(conn).opcode == ws.PONG
        ws.say_goodbye(conn)

    with client.ws_connect(raw_server(script).url) as socket:
        assert [socket.receive_str(timeout=WAIT) for _ in range(30)] == [str(n) for n in range(30)]
    assert socket.close_code == 1000


# Messages without end: they go to the reader, and as long as nobody reads the peer waits.

MESSAGES = {
    "empty texts": ws.frame(ws.TEXT),
    "binaries of a byte": ws.frame(ws.BINARY, b"x"),
    "empty ones in empty fragments": ws.frame(ws.TEXT, fin=False) + EMPTY_FRAGMENT + ws.frame(0),
    "compressed empty ones": ws.frame(ws.TEXT, b"\x00", rsv=4),
    "texts and pings": ws.frame(ws.TEXT, b"x") + ws.frame(ws.PING),
    # 64 KiB of zeros, in 100 bytes.
    "bombs": ws.frame(ws.BINARY, ws.deflated(bytes(2**16)), rsv=4),
}


@contextmanager
def requesting(app: AppServer) -> Iterator[list[int]]:
    """GETs in another thread and session, one after the other; yields their statuses."""
    statuses: list[int] = []
    over = threading.Event()

    def work() -> None:
        with syncclient.Session() as session:
            while not over.is_set():
                with session.get(f"{app.url}/get") as response:
                    statuses.append(response.status)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join(WAIT)


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_without_end_leave_others_their_turn(
    client: syncclient.Session, raw_server: StartRawServer, app: AppServer, name: str
) -> None:
    """As long as a reader receives, requests are answered; then its close() is bounded."""
    limits = ClientWSTimeout(ws_receive=None, ws_close=0.3)
    server = raw_server(endless(b"", MESSAGES[name]))
    with client.ws_connect(server.url, compress=15, timeout=limits) as socket:
        with requesting(app) as statuses, others_have_their_turn():
            received = 0
            while received < 1000 or len(statuses) < 5:
                assert socket.receive(timeout=WAIT).type in (WSMsgType.TEXT, WSMsgType.BINARY)
                received += 1
        assert set(statuses) == {200}
        started = time.monotonic()
        socket.close()
        assert time.monotonic() - started < 0.3 + LATE


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_nobody_reads_take_no_more_than_the_buffer(
    client: syncclient.Session, raw_server: StartRawServer, app: AppServer, name: str
) -> None:
    """The queue ends at its mark, and what is in front of it where the system's buffers do."""
    server = raw_server(endless(b"", MESSAGES[name]))
    limits = ClientWSTimeout(ws_receive=None, ws_close=0.3)
    with client.ws_connect(server.url, compress=15, timeout=limits) as socket:
        socket.receive(timeout=WAIT)
        for _ in range(20):  # requests give the flood its turns
            client.get(f"{app.url}/get").close()
        queue = socket._queue
        assert len(queue.messages) <= 8192
        assert queue.bytes < 2**20 + 2**16
        assert socket._remote.call(_fed) <= 2**18 + 2**17


async def _fed(live: AsyncWebSocket) -> int:
    return len(live._receiver._frames._data)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_message_that_never_ends_is_1009(
    client: syncclient.Session, raw_server: StartRawServer, compressed: bool
) -> None:
    """Its fragments count together, and the peer reads why."""
    codes: list[int] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn, headers=DEFLATE)
        conn.send(ws.frame(ws.BINARY, b"", fin=False, rsv=4 if compressed else 0))
        conn.sock.settimeout(WAIT)
        for _ in range(600):  # of which 400 are too many
            conn.send(ws.frame(0, bytes(1000), fin=False))
        codes.append(ws.read_until_close(conn).close_code)

    server = raw_server(script)
    with client.ws_connect(server.url, compress=15, max_msg_size=200_000) as socket:
        assert socket.receive(timeout=WAIT).data.code == 1009
        server.connections[0].wait_until_ended()
    assert codes == [1009]


@pytest.mark.parametrize(
    "piece",
    [ws.frame(0, b"x", fin=False), ws.frame(ws.PONG), b"\x81\x7d" + bytes(125)],
    ids=["a message that grows", "pongs", "messages"],
)
def test_a_limit_holds_however_busy_the_peer_is(
    client: syncclient.Session, raw_server: StartRawServer, piece: bytes
) -> None:
    """receive(timeout=) and timeout() end a wait for a message that is not complete."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"x", fin=False))
        if piece[0] == 0x81:
            conn.stall()
        while True:
            conn.send(piece)
            conn.sock.settimeout(0.005)
            try:
                conn.read_some()
            except TimeoutError:
                pass

    limits = ClientWSTimeout(ws_receive=None, ws_close=0.2)
    with client.ws_connect(raw_server(script).url, timeout=limits) as socket:
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            socket.receive(timeout=0.3)
        with pytest.raises(TimeoutError), syncclient.timeout(0.3):
            socket.receive()
        assert time.monotonic() - started < 0.6 + LATE


def test_a_flood_of_closes_is_one(client: syncclient.Session, raw_server: StartRawServer) -> None:
    """The first counts, and is answered once."""
    got: list[bytes] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.close_frame(4000) + ws.close_frame(4001) * 10_000)
        got.append(conn.read_to_end())

    server = raw_server(script)
    with client.ws_connect(server.url) as socket:
        assert socket.receive(timeout=WAIT).data == 4000
        assert socket.receive(timeout=WAIT).type is WSMsgType.CLOSED
        server.connections[0].wait_until_ended()
    assert socket.close_code == 4000
    assert len(got[0]) == 2 + 4 + 2


def test_pongs_for_a_peer_that_does_not_read_are_not_heaped_up(
    client: syncclient.Session, raw_server: StartRawServer
) -> None:
    """Only the latest ping is owed an answer (RFC 6455, 5.5.3); it comes when the peer reads."""
    pongs: list[bytes] = []
    rounds = 400

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        ping = ws.frame(ws.PING, bytes(125))
        for _ in range(rounds):
            conn.send(ping * 100 + ws.frame(ws.TEXT, b"x"))
        conn.send(ws.frame(ws.PING, b"last") + ws.frame(ws.TEXT, b"end"))
        conn.stall()
        while not pongs or pongs[-1] != b"last":
            pongs.append(ws.read_frame(conn).data)
        conn.stall()
        ws.say_goodbye(conn)

    server = raw_server(script)
    server._listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 2**12)
    with client.ws_connect(server.url) as socket:
        for _ in range(rounds + 1):
            socket.receive(timeout=WAIT)
        assert socket._remote.call(_unsent) < 2**18
        for _ in range(2):
            server.wait_until_stalled().proceed()
    assert len(pongs) < rounds * 100


async def _unsent(live: AsyncWebSocket) -> int:
    return live._transport.get_write_buffer_size()


# The low-water mark.

MARK = 100


def burst(pongs: list[bytes]) -> Callable[[RawConnection], None]:
    """A script: more than the buffer takes, and then a ping that has to be answered."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"x") * MARK * 3)
        conn.send(ws.frame(ws.PING, b"one"))
        pongs.append(ws.read_frame(conn).data)
        conn.send(ws.frame(ws.PING, b"two"))
        pongs.append(ws.read_frame(conn).data)
        conn.stall()
        ws.say_goodbye(conn)

    return script


def test_a_reader_that_has_drained_all_and_is_busy_answers_pings(
    client: syncclient.Session, raw_server: StartRawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the buffer taken is enough to receive again, and is told once for each half."""
    pongs: list[bytes] = []
    told = 0
    make_room = WebSocketBase._make_room

    def counted(socket: WebSocketBase) -> None:
        nonlocal told
        told += 1
        make_room(socket)

    monkeypatch.setattr(WebSocketBase, "_make_room", counted)
    server = raw_server(burst(pongs))
    with client.ws_connect(server.url, buffer_messages=MARK) as socket:
        for _ in range(MARK * 3):
            assert socket.receive_str(timeout=WAIT) == "x"
        conn = server.wait_until_stalled()  # without a receive() in the meantime
        assert pongs == [b"one", b"two"]
        assert 1 <= told <= 6
        conn.proceed()


def test_so_it_is_awaited(client: syncclient.Session, raw_server: StartRawServer) -> None:
    """The same for `session.aio`, in a program whose task does something else."""
    pongs: list[bytes] = []
    server = raw_server(burst(pongs))

    async def read() -> None:
        async with client.aio.ws_connect(server.url, buffer_messages=MARK) as socket:
            for _ in range(MARK * 3):
                assert await socket.receive_str(timeout=WAIT) == "x"
            conn = server.wait_until_stalled()  # blocks this loop, and not ours
            assert pongs == [b"one", b"two"]
            conn.proceed()

    asyncio.run(read())


def test_bytes_have_a_low_water_mark_too(
    client: syncclient.Session, raw_server: StartRawServer
) -> None:
    """A few large messages, taken, make room as many small ones do."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        for _ in range(10):
            conn.send(ws.frame(ws.BINARY, bytes(300_000)))
        conn.send(ws.frame(ws.PING))
        assert ws.read_frame(conn).opcode == ws.PONG
        conn.stall()
        ws.say_goodbye(conn)

    server = raw_server(script)
    with client.ws_connect(server.url) as socket:
        for _ in range(9):
            assert len(socket.receive_bytes(timeout=WAIT)) == 300_000
        server.wait_until_stalled().proceed()
        assert len(socket.receive_bytes(timeout=WAIT)) == 300_000
