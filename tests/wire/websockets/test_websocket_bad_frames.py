"""Peers that break the protocol: the engine's error or close code, a woken reader, nothing left."""

import struct
from collections.abc import Callable

import pytest
from aiohttp import WebSocketError, WSMessage, WSMsgType, WSServerHandshakeError

import syncclient
from tests.servers import ws_script as ws
from tests.servers.raw import RawConnection, RawServer

pytestmark = pytest.mark.timeout(30)

StartRaw = Callable[..., RawServer]

WAIT = 20.0


BIG = 4 * 1024 * 1024

# name -> (what the peer sends, the code we must close with)
BAD_FRAMES = {
    "invalid UTF-8": (ws.frame(ws.TEXT, b"\xc3\x28"), 1007),
    "invalid UTF-8 over two frames": (
        ws.frame(ws.TEXT, b"\xc3", fin=False) + ws.frame(0, b"\x28"),
        1007,
    ),
    "invalid UTF-8 in a close reason": (ws.close_frame(1000, b"\xff"), 1007),
    # Only as much of them as it takes: what is sent behind would meet a closed socket.
    "a message over the limit": (ws.frame(ws.BINARY, bytes(BIG + 1))[:100], 1009),
    "fragments over the limit": (
        ws.frame(ws.BINARY, bytes(BIG - 10), fin=False) + ws.frame(0, bytes(100))[:2],
        1009,
    ),
    "a length announced, beyond reason": (struct.pack("!BBQ", 0x82, 127, 2**63 - 1), 1009),
    "the second reserved bit": (ws.frame(ws.TEXT, b"x", rsv=2), 1002),
    "the third reserved bit": (ws.frame(ws.TEXT, b"x", rsv=1), 1002),
    "compressed without leave": (ws.frame(ws.TEXT, ws.deflated(b"x"), rsv=4), 1002),
    "an unknown data opcode": (ws.frame(3, b"x"), 1002),
    "an unknown control opcode": (ws.frame(11, b"x"), 1002),
    "a ping in pieces": (ws.frame(ws.PING, b"x", fin=False), 1002),
    "a ping too long": (ws.frame(ws.PING, bytes(126)), 1002),
    "a continuation of nothing": (ws.frame(0, b"x"), 1002),
    "a new message within another": (
        ws.frame(ws.TEXT, b"x", fin=False) + ws.frame(ws.TEXT, b"y"),
        1002,
    ),
    "half a close code": (ws.frame(ws.CLOSE, b"\x03"), 1002),
    "a close code that must not be sent": (ws.close_frame(1005), 1002),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_a_broken_rule_ends_the_connection(
    client: syncclient.Session, raw_server: StartRaw, name: str
) -> None:
    """The reader gets what came before, then the error; the peer gets the close code."""
    bad, code = BAD_FRAMES[name]
    codes: list[int] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"before"))
        conn.send(bad)
        codes.append(ws.read_until_close(conn).close_code)

    server = raw_server(script)
    with client.ws_connect(server.url) as socket:
        assert socket.receive_str(timeout=WAIT) == "before"
        message = socket.receive(timeout=WAIT)
        assert message.type is WSMsgType.ERROR
        assert isinstance(message.data, WebSocketError)
        assert message.data.code == code
        assert socket.close_code == code
        assert socket.closed
        assert socket.receive() == WSMessage(WSMsgType.CLOSED, None, None)
        with pytest.raises(syncclient.ClientConnectionResetError):
            socket.send_str("x")
        server.connections[0].wait_until_ended()
    assert codes == [code]


def test_a_bomb_is_not_unpacked(client: syncclient.Session, raw_server: StartRaw) -> None:
    """The limit is for what a compressed message unpacks to: 1009."""
    bomb = ws.deflated(bytes(2 * BIG))
    assert len(bomb) < 10_000

    def script(conn: RawConnection) -> None:
        ws.accept(conn, headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])
        conn.send(ws.frame(ws.BINARY, bomb, rsv=4))
        ws.read_until_close(conn)

    with client.ws_connect(raw_server(script).url, compress=15) as socket:
        message = socket.receive(timeout=WAIT)
        assert message.type is WSMsgType.ERROR
        assert socket.close_code == 1009


def test_max_msg_size_is_the_callers(client: syncclient.Session, raw_server: StartRaw) -> None:
    """A lower limit holds, and 0 is none."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.BINARY, bytes(BIG + 1)))
        ws.say_goodbye(conn)

    server = raw_server(script)
    with client.ws_connect(server.url, max_msg_size=1000) as socket:
        assert socket.receive(timeout=WAIT).type is WSMsgType.ERROR
    with client.ws_connect(server.url, max_msg_size=0) as socket:
        assert len(socket.receive_bytes(timeout=WAIT)) == BIG + 1


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
@pytest.mark.parametrize("when", ["between frames", "in a header", "in a payload"])
def test_a_peer_gone_without_a_word_is_1006(
    client: syncclient.Session, raw_server: StartRaw, how: str, when: str
) -> None:
    """Wherever the stream is cut, the reader wakes with CLOSED and the code is 1006."""
    cut = {
        "between frames": b"",
        "in a header": ws.frame(ws.TEXT, bytes(200))[:3],
        "in a payload": ws.frame(ws.TEXT, bytes(200))[:100],
    }[when]

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(cut)
        conn.stall()
        getattr(conn, how)()
        if how == "half_close":
            while conn.read_some():
                pass

    server = raw_server(script)
    with client.ws_connect(server.url) as socket:
        server.wait_until_stalled().proceed()
        assert socket.receive(timeout=WAIT).type is WSMsgType.CLOSED
        assert socket.close_code == 1006


def test_a_fragmented_message_is_one(client: syncclient.Session, raw_server: StartRaw) -> None:
    """Fragments, and a ping between them, are put together, even byte by byte."""
    frames = (
        ws.frame(ws.TEXT, b"gr\xc3", fin=False)
        + ws.frame(ws.PING, b"hello")
        + ws.frame(0, b"", fin=False)
        + ws.frame(0, b"\xbc\xc3\x9fe")
    )
    pongs: list[bytes] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        for byte in frames:
            conn.send(bytes([byte]))
        pongs.append(ws.read_frame(conn).data)
        ws.say_goodbye(conn)

    with client.ws_connect(raw_server(script).url) as socket:
        assert socket.receive_str(timeout=WAIT) == "grüße"
    assert pongs == [b"hello"]


def test_an_empty_close_frame_is_a_close(client: syncclient.Session, raw_server: StartRaw) -> None:
    """A close frame without a code ends the iteration like any other."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"one") + ws.frame(ws.CLOSE))
        ws.read_until_close(conn)

    with client.ws_connect(raw_server(script).url) as socket:
        assert [message.data for message in socket] == ["one"]
        assert socket.closed


# The handshake.


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_a_refused_handshake_tells_status_and_headers(
    client: syncclient.Session, raw_server: StartRaw, status: int
) -> None:
    """WSServerHandshakeError carries what the server answered."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.respond(b"no", status=f"{status} Because", headers=[("X-Reason", "mood")])

    with pytest.raises(WSServerHandshakeError) as caught:
        client.ws_connect(raw_server(script).url)
    assert caught.value.status == status
    assert caught.value.headers is not None
    assert caught.value.headers["X-Reason"] == "mood"


def test_a_wrong_accept_key_is_refused(client: syncclient.Session, raw_server: StartRaw) -> None:
    """A server that did not read our key is no WebSocket server."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.send_head(
            status="101 Switching Protocols",
            headers=[
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            ],
        )
        conn.stall()

    server = raw_server(script)
    with pytest.raises(WSServerHandshakeError, match="challenge"):
        client.ws_connect(server.url)
    server.wait_until_closed()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("upgraded", [False, True], ids=["before", "after"])
def test_a_server_gone_in_the_handshake_is_a_client_error(
    client: syncclient.Session, raw_server: StartRaw, how: str, upgraded: bool
) -> None:
    """Gone before its answer: an error. Gone right after: an error, or a socket that is closed."""

    def script(conn: RawConnection) -> None:
        if upgraded:
            ws.accept(conn)
        else:
            conn.read_head()
        getattr(conn, how)()

    try:
        socket = client.ws_connect(raw_server(script).url)
    except syncclient.ClientError:
        return
    assert upgraded
    assert socket.receive(timeout=WAIT).type is WSMsgType.CLOSED
    assert socket.close_code == 1006


def test_frames_that_come_with_the_handshake_are_received(
    client: syncclient.Session, raw_server: StartRaw
) -> None:
    """A server may greet in the same packet; it may say goodbye in it too."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn, greeting=ws.frame(ws.TEXT, b"welcome") + ws.close_frame(4000))
        ws.read_until_close(conn)

    with client.ws_connect(raw_server(script).url) as socket:
        assert [message.data for message in socket] == ["welcome"]
        assert socket.close_code == 4000
