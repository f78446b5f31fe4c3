"""How a WebSocket ends: the close code is the same, whichever way it is asked (RFC 6455, 7)."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

import pytest
from aiohttp import ClientWSTimeout, ServerTimeoutError, WSMessage, WSMsgType

import syncclient
from syncclient import AioWebSocket, WebSocket
from tests.bounds import UNASKED
from tests.servers import ws_script as ws
from tests.servers.raw import RawConnection, StartRawServer

pytestmark = pytest.mark.timeout(30)

WAIT = 20.0


class Ending(NamedTuple):
    """What a reader gets to see, and when."""

    messages: list[WSMessage]
    closed: bool
    code: int | None
    fault: BaseException | None


def blocking(session: syncclient.Session, url: str, **options: float) -> Ending:
    """Read to the end with a WebSocket."""
    with session.ws_connect(url, **options) as socket:  # type: ignore[arg-type]  # as tests say
        return _read(socket)


def forever(session: syncclient.Session, url: str, **options: float) -> Ending:
    """Read to the end of the first socket of ws_connect_forever()."""
    sockets = session.ws_connect_forever(url, **options)  # type: ignore[arg-type]  # as tests say
    with next(sockets) as socket:
        return _read(socket)


def awaited(session: syncclient.Session, url: str, **options: float) -> Ending:
    """Read to the end with an AioWebSocket."""

    async def read() -> Ending:
        async with session.aio.ws_connect(url, **options) as socket:  # type: ignore[arg-type]
            messages = []
            while not socket.closed:
                messages.append(await socket.receive(timeout=WAIT))
            return Ending(messages, *_state(socket))

    return asyncio.run(read())


def _read(socket: WebSocket) -> Ending:
    messages = []
    while not socket.closed:
        messages.append(socket.receive(timeout=WAIT))
    return Ending(messages, *_state(socket))


def _state(socket: WebSocket | AioWebSocket) -> tuple[bool, int | None, BaseException | None]:
    return socket.closed, socket.close_code, socket.exception()


Face = Callable[..., Ending]
each_face = pytest.mark.parametrize("face", [blocking, awaited, forever])


CLOSED = WSMessage(WSMsgType.CLOSED, None, None)


@each_face
@pytest.mark.parametrize("leaves_open", [False, True], ids=["hangs up", "leaves TCP open"])
@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        (b"", 1005, ""),
        (b"\x03\xe8", 1000, ""),
        (b"\x03\xe9bye", 1001, "bye"),
        *((struct.pack("!H", code), code, "") for code in (1007, 1011, 1012, 1013, 1014)),
        (struct.pack("!H", 3000) + "gr\u00fc\u00dfe".encode(), 3000, "gr\u00fc\u00dfe"),
        (struct.pack("!H", 4999) + b"x" * 123, 4999, "x" * 123),
    ],
)
def test_the_peers_close_is_told_at_once(
    client: syncclient.Session,
    raw_server: StartRawServer,
    face: Face,
    payload: bytes,
    code: int,
    reason: str,
    leaves_open: bool,
) -> None:
    """5.5.1 and 7.1.5: with its code, 1005 where it has none, and echoed to the peer."""
    answers: list[bytes] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        # What comes behind a close frame does not count, be it right or wrong.
        conn.send(ws.frame(ws.CLOSE, payload) + ws.frame(ws.TEXT, b"late") + b"\xff\xff")
        answers.append(ws.read_frame(conn).data)
        if leaves_open:
            conn.stall()

    server = raw_server(script)
    started = time.monotonic()
    ending = face(client, server.url)
    assert ending == Ending([WSMessage(WSMsgType.CLOSE, code, reason)], True, code, None)
    server.wait_until_connected()
    server.connections[0].wait_until_closed() if leaves_open else None
    assert time.monotonic() - started < UNASKED
    server.connections[0].proceed() if leaves_open else None
    server.connections[0].wait_until_ended()
    assert answers == [payload[:2]]


@each_face
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    "last", [b"", ws.frame(ws.TEXT, b"cut")[:3], ws.frame(ws.TEXT, b"cut", fin=False)]
)
def test_a_connection_that_breaks_is_1006(
    client: syncclient.Session, raw_server: StartRawServer, face: Face, how: str, last: bytes
) -> None:
    """7.1.5: without a close frame, after all that came before was received."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"words"))
        ws.read_frame(conn)
        conn.send(last)
        getattr(conn, how)()

    def read() -> Ending:
        return face(client, raw_server(script).url, heartbeat=0.05)

    ending = read()
    assert ending == Ending([WSMessage(WSMsgType.TEXT, "words", ""), CLOSED], True, 1006, None)


@each_face
def test_a_heartbeat_without_a_pong_is_1006(
    client: syncclient.Session, raw_server: StartRawServer, face: Face
) -> None:
    """The reader gets the error, and the connection is gone."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.stall()

    server = raw_server(script)
    ending = face(client, server.url, heartbeat=0.1)
    assert [message.type for message in ending.messages] == [WSMsgType.ERROR]
    assert ending.code == 1006
    assert isinstance(ending.fault, ServerTimeoutError)
    assert ending.messages[0].data is ending.fault
    server.connections[0].wait_until_closed()


def test_a_close_that_is_left_to_the_caller_needs_no_pong(
    client: syncclient.Session, raw_server: StartRawServer
) -> None:
    """With autoclose=False the heartbeat ends with the peer's close frame, whose code stays."""
    got: list[ws.Frame] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.close_frame(4000))
        conn.sock.settimeout(0.5)  # ten heartbeats
        with pytest.raises(TimeoutError):
            conn.read_some()
        conn.stall()
        conn.sock.settimeout(WAIT)
        got.append(ws.read_frame(conn))

    server = raw_server(script)
    with client.ws_connect(server.url, autoclose=False, heartbeat=0.05) as socket:
        assert socket.receive(timeout=WAIT).type is WSMsgType.CLOSE
        server.wait_until_stalled().proceed()
        assert not socket.closed
        assert socket.close(code=4001)
        assert socket.close_code == 4000
        server.connections[0].wait_until_ended()
    assert [(frame.opcode, frame.close_code) for frame in got] == [(ws.CLOSE, 4001)]


@pytest.mark.parametrize(
    ("answer", "code"),
    [(b"", 1005), (b"\x03\xe8", 1000), (b"\x0f\xa1why", 4001), (b"\x03\xee", 1006), (None, 1006)],
    ids=["without a code", "the same", "another", "an invalid one", "none"],
)
def test_the_code_of_the_answer_counts(
    client: syncclient.Session, raw_server: StartRawServer, answer: bytes | None, code: int
) -> None:
    """7.1.5: where we close, too, it is what the peer's close frame says; 1006 without one."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        ws.read_until_close(conn)
        if answer is not None:
            conn.send(ws.frame(ws.TEXT, b"late") + ws.frame(ws.CLOSE, answer))

    with client.ws_connect(raw_server(script).url) as socket:
        assert socket.close(code=3001)
        assert (socket.closed, socket.close_code) == (True, code)
        assert not socket.close()


@pytest.mark.parametrize("faulty", [False, True], ids=["messages", "rubbish"])
def test_a_flood_behind_our_close_ends_with_the_close_timeout(
    client: syncclient.Session, raw_server: StartRawServer, faulty: bool
) -> None:
    """close() is bounded, whatever the peer sends instead of its answer."""
    data = ws.frame(ws.TEXT, b"\xff" if faulty else b"x") * 1000

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        ws.read_until_close(conn)
        while True:
            conn.send(data)

    limits = ClientWSTimeout(ws_receive=None, ws_close=0.3)
    with client.ws_connect(raw_server(script).url, timeout=limits) as socket:
        started = time.monotonic()
        assert socket.close()
        assert time.monotonic() - started < UNASKED
        assert socket.close_code == 1006


# What we send.

ALLOWED = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]
FORBIDDEN = [-1, 0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535, 2**40]


@pytest.mark.parametrize("code", ALLOWED)
def test_the_callers_code_and_reason_are_sent(
    client: syncclient.Session, raw_server: StartRawServer, code: int
) -> None:
    """7.4: every code that may be in a close frame, with up to 123 bytes of reason."""
    got: list[bytes] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        got.append(ws.say_goodbye(conn).data)

    server = raw_server(script)
    with client.ws_connect(server.url) as socket:
        socket.close(code=code, message=b"r" * 123)
        assert socket.close_code == code
    server.connections[0].wait_until_ended()  # what it got is noted after its answer
    assert got == [struct.pack("!H", code) + b"r" * 123]


@pytest.mark.parametrize("code", FORBIDDEN)
def test_a_code_that_must_not_be_sent_is_refused(
    client: syncclient.Session, raw_server: StartRawServer, code: int
) -> None:
    """7.4: ValueError, and the socket is as it was, in both faces and as a frame."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        assert ws.say_goodbye(conn).close_code == 1000

    async def awaited() -> None:
        async with client.aio.ws_connect(server.url) as socket:
            with pytest.raises(ValueError, match="code must be a close code"):
                await socket.close(code=code)
            assert not socket.closed

    server = raw_server(script)
    with client.ws_connect(server.url) as socket:
        with pytest.raises(ValueError, match="code must be a close code"):
            socket.close(code=code)
        if 0 <= code < 65536:
            with pytest.raises(ValueError, match="code must be a close code"):
                socket.send_frame(struct.pack("!H", code), WSMsgType.CLOSE)
        assert not socket.closed
    asyncio.run(awaited())


@pytest.mark.parametrize(
    ("send", "message"),
    [
        (lambda socket: socket.close(message=b"x" * 124), "message: a close frame"),
        (lambda socket: socket.close(message=b"\xff"), "message: .*UTF-8"),
        (lambda socket: socket.ping(bytes(126)), "message: a ping frame"),
        (lambda socket: socket.pong(bytes(126)), "message: a pong frame"),
        (lambda socket: socket.send_frame(bytes(126), WSMsgType.PING), "message: a ping frame"),
        (lambda socket: socket.send_frame(b"x", WSMsgType.CONTINUATION), "opcode must be"),
        (lambda socket: socket.send_frame(b"x", WSMsgType.CLOSED), "opcode must be"),
        (lambda socket: socket.send_frame(b"x", WSMsgType.CLOSE), "message: a close frame"),
        (lambda socket: socket.send_str("x", compress=15), "compress must be 0"),
        (lambda socket: socket.send_str("\ud800"), "surrogates"),
    ],
    ids=[
        "a long reason",
        "a reason that is not UTF-8",
        "a long ping",
        "a long pong",
        "a long frame",
        "a continuation",
        "what is no frame",
        "half a close code",
        "compressed without leave",
        "a surrogate",
    ],
)
def test_what_cannot_be_sent_is_refused(
    client: syncclient.Session,
    raw_server: StartRawServer,
    send: Callable[[WebSocket | AioWebSocket], object],
    message: str,
) -> None:
    """ValueError names the argument, and nothing is sent, in both faces."""
    got: list[ws.Frame] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        got.append(ws.read_frame(conn))
        conn.send(ws.close_frame())

    async def awaited() -> None:
        async with client.aio.ws_connect(server.url) as socket:
            with pytest.raises(ValueError, match=message):
                await send(socket)  # type: ignore[misc]  # of the methods, this one's are async

    server = raw_server(script)
    with client.ws_connect(server.url) as socket, pytest.raises(ValueError, match=message):
        send(socket)
    asyncio.run(awaited())
    assert [frame.opcode for frame in got] == [ws.CLOSE, ws.CLOSE]


@pytest.mark.parametrize("after", ["our close", "the peer's close", "a close frame of the caller"])
def test_nothing_is_sent_after_a_close_frame(
    client: syncclient.Session, raw_server: StartRawServer, after: str
) -> None:
    """5.5.1: every way to send raises ClientConnectionResetError."""
    got: list[int] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        if after == "the peer's close":
            conn.send(ws.close_frame())
        got.append(ws.read_frame(conn).opcode)
        conn.send(ws.close_frame())
        got.extend(conn.read_to_end())

    server = raw_server(script)
    with client.ws_connect(server.url) as socket:
        if after == "our close":
            socket.close()
        elif after == "the peer's close":
            assert socket.receive(timeout=WAIT).type is WSMsgType.CLOSE
        else:
            socket.send_frame(b"\x03\xe8", WSMsgType.CLOSE)
            assert socket.receive(timeout=WAIT).type is WSMsgType.CLOSE
        sends: list[Callable[[], None]] = [
            lambda: socket.send_str("x"),
            lambda: socket.send_bytes(b"x"),
            lambda: socket.send_json(1),
            socket.ping,
            socket.pong,
        ]
        for send in sends:
            with pytest.raises(syncclient.ClientConnectionResetError):
                send()
    server.connections[0].wait_until_ended()
    assert got == [ws.CLOSE]


def test_messages_compressed_by_themselves_do_not_spoil_the_others(
    client: syncclient.Session, raw_server: StartRawServer
) -> None:
    """compress= of one message: the peer can read that one, and those around it."""
    texts = ["hello hello hello " * 20, "other words, and hello " * 20] * 3
    got: list[bytes] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn, headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])
        stream = ws.Inflated()
        got.extend(stream.message(ws.read_frame(conn)) for _ in texts)
        ws.say_goodbye(conn)

    with client.ws_connect(raw_server(script).url, compress=15) as socket:
        for number, text in enumerate(texts):
            socket.send_str(text, compress=9 if number % 2 else None)
    assert [data.decode() for data in got] == texts
