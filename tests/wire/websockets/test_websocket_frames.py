"""The frames a server sends: each rule that RFC 6455 and RFC 7692 have a client enforce.

The names of the rows begin with the section that decides.
"""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from aiohttp import WebSocketError, WSMessage, WSMsgType

import syncclient
from tests.servers import ws_script as ws
from tests.servers.raw import RawConnection, StartRawServer

pytestmark = pytest.mark.timeout(30)

WAIT = 20.0
DEFLATE = [("Sec-WebSocket-Extensions", "permessage-deflate")]


def masked(opcode: int, data: bytes, *, fin: bool = True) -> bytes:
    """A frame with a mask of nothing: so its payload is as it was."""
    plain = ws.frame(opcode, data, fin=fin)
    return bytes([plain[0], plain[1] | 0x80]) + plain[2 : -len(data)] + bytes(4) + data


def stretched(opcode: int, data: bytes, width: int) -> bytes:
    """A frame whose length takes more bytes than it needs."""
    if width == 2:
        return struct.pack("!BBH", 0x80 | opcode, 126, len(data)) + data
    return struct.pack("!BBQ", 0x80 | opcode, 127, len(data)) + data


BEGUN = ws.frame(ws.TEXT, b"x", fin=False)
BEGUN_EMPTY = ws.frame(ws.TEXT, b"", fin=False)

BROKEN = {
    "5.1 a masked text": (masked(ws.TEXT, b"x"), 1002),
    "5.1 a masked ping": (masked(ws.PING, b"x"), 1002),
    "5.1 a masked close": (masked(ws.CLOSE, b"\x03\xe8"), 1002),
    "5.1 a masked continuation": (BEGUN + masked(0, b"x"), 1002),
    **{
        f"5.2 reserved bit {bit} of {name}": (prefix + ws.frame(opcode, b"x" * size, rsv=rsv), 1002)
        for bit, rsv in ((1, 4), (2, 2), (3, 1))
        for name, prefix, opcode, size in (
            ("a text", b"", ws.TEXT, 1),
            ("an empty text", b"", ws.TEXT, 0),
            ("a binary", b"", ws.BINARY, 200),
            ("a continuation", BEGUN, 0, 1),
            ("a ping", b"", ws.PING, 1),
            ("a pong", b"", ws.PONG, 0),
            ("a close", b"", ws.CLOSE, 0),
        )
    },
    **{f"5.2 opcode {n}": (ws.frame(n, b"x"), 1002) for n in (*range(3, 8), *range(11, 16))},
    "5.2 two bytes of length for 125": (stretched(ws.TEXT, bytes(125), 2), 1002),
    "5.2 two bytes of length for none": (stretched(ws.BINARY, b"", 2), 1002),
    "5.2 eight bytes of length for 125": (stretched(ws.TEXT, bytes(125), 8), 1002),
    "5.2 eight bytes of length for 65535": (stretched(ws.BINARY, bytes(65535), 8)[:10], 1002),
    "5.2 a length with the highest bit": (struct.pack("!BBQ", 0x82, 127, 2**63), 1002),
    "5.2 a length of ones": (struct.pack("!BBQ", 0x82, 127, 2**64 - 1), 1002),
    "5.4 a continuation of nothing": (ws.frame(0, b"x"), 1002),
    "5.4 an empty continuation of nothing": (ws.frame(0), 1002),
    "5.4 a continuation that begins": (ws.frame(0, b"x", fin=False), 1002),
    "5.4 a text within a message": (BEGUN + ws.frame(ws.TEXT, b"y"), 1002),
    "5.4 a text within an empty message": (BEGUN_EMPTY + ws.frame(ws.TEXT, b"y"), 1002),
    "5.4 a binary within an empty message": (BEGUN_EMPTY + ws.frame(ws.BINARY), 1002),
    "5.4 a fragment within an empty message": (BEGUN_EMPTY + BEGUN_EMPTY, 1002),
    "5.5 a ping in fragments": (ws.frame(ws.PING, fin=False), 1002),
    "5.5 a pong in fragments": (ws.frame(ws.PONG, b"x", fin=False), 1002),
    "5.5 a close in fragments": (ws.frame(ws.CLOSE, b"\x03\xe8", fin=False), 1002),
    "5.5 a ping of 126 bytes": (ws.frame(ws.PING, bytes(126)), 1002),
    "5.5 a pong of 70,000 bytes": (ws.frame(ws.PONG, bytes(70000))[:10], 1002),
    "5.5 a close of 126 bytes": (ws.frame(ws.CLOSE, b"\x03\xe8" + bytes(124)), 1002),
    "5.5 a long ping within a message": (BEGUN + ws.frame(ws.PING, bytes(126)), 1002),
    "5.5.1 a close of one byte": (ws.frame(ws.CLOSE, b"\x03"), 1002),
    "5.5.1 a reason that is not UTF-8": (ws.close_frame(1000, b"\xc3"), 1007),
    **{
        f"7.4 close code {code}": (ws.close_frame(code), 1002)
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535)
    },
    "8.1 a byte that cannot be": (ws.frame(ws.TEXT, b"a\xff"), 1007),
    "8.1 a character that is cut off": (ws.frame(ws.TEXT, b"\xe2\x82"), 1007),
    "8.1 a surrogate": (ws.frame(ws.TEXT, b"\xed\xa0\x80"), 1007),
    "8.1 an overlong slash": (ws.frame(ws.TEXT, b"\xc0\xaf"), 1007),
    "8.1 beyond Unicode": (ws.frame(ws.TEXT, b"\xf4\x90\x80\x80"), 1007),
    "8.1 in a long text": (ws.frame(ws.TEXT, b"a" * 70000 + b"\xff"), 1007),
    "8.1 cut off in the last fragment": (BEGUN + ws.frame(0, b"\xe2\x82"), 1007),
    # At once: what is to come of the message cannot mend it.
    "8.1 in the first of fragments": (ws.frame(ws.TEXT, b"\xff", fin=False), 1007),
    "8.1 in a middle fragment": (BEGUN + ws.frame(0, b"\xc3", fin=False) * 2, 1007),
    "8.1 in a frame that is not all here": (ws.frame(ws.TEXT, b"\xff" + bytes(999))[:200], 1007),
}

DEFLATED = {
    "RFC 7692 6.1 the bit on a ping": (ws.frame(ws.PING, b"x", rsv=4), 1002),
    "RFC 7692 6.1 the bit on a close": (ws.frame(ws.CLOSE, rsv=4), 1002),
    "RFC 7692 6.1 the bit on a continuation": (
        ws.frame(ws.TEXT, b"x", fin=False, rsv=4) + ws.frame(0, b"x", rsv=4),
        1002,
    ),
    "5.2 the second bit": (ws.frame(ws.TEXT, b"x", rsv=2), 1002),
    "5.2 the first bit and the third": (ws.frame(ws.TEXT, ws.deflated(b"x"), rsv=5), 1002),
    "RFC 7692 6.2 rubbish": (ws.frame(ws.TEXT, b"\xff\xff\xff\xff", rsv=4), 1002),
    "8.1 compressed": (ws.frame(ws.TEXT, ws.deflated(b"\xff"), rsv=4), 1007),
    "a bomb": (ws.frame(ws.BINARY, ws.deflated(bytes(4 * 2**20 + 1)), rsv=4), 1009),
    "a bomb of many streams": (ws.frame(ws.BINARY, b"\x03\x00" * 2**18, rsv=4), 1009),
}


@pytest.mark.parametrize("name", [*BROKEN, *DEFLATED])
def test_a_broken_rule_ends_the_connection(
    client: syncclient.Session, raw_server: StartRawServer, name: str
) -> None:
    """The reader gets what came before, then the error; the peer gets the close code."""
    bad, code = {**BROKEN, **DEFLATED}[name]
    answers: list[ws.Frame] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn, headers=DEFLATE if name in DEFLATED else [])
        # What comes behind it does not count.
        conn.send(ws.frame(ws.TEXT, b"before") + bad + ws.frame(ws.TEXT, b"behind") * 10)
        answers.append(ws.read_until_close(conn))

    server = raw_server(script)
    with client.ws_connect(server.url, compress=15 if name in DEFLATED else 0) as socket:
        assert socket.receive_str(timeout=WAIT) == "before"
        message = socket.receive(timeout=WAIT)
        assert message.type is WSMsgType.ERROR
        assert isinstance(message.data, WebSocketError)
        assert message.data.code == code
        assert socket.exception() is message.data
        assert socket.closed
        assert socket.close_code == code
        assert socket.receive() == WSMessage(WSMsgType.CLOSED, None, None)
        with pytest.raises(syncclient.ClientConnectionResetError):
            socket.send_str("x")
        server.connections[0].wait_until_ended()
    assert [answer.close_code for answer in answers] == [code]
    assert answers[0].data[2:].decode() == str(message.data)[:123]


RIGHT: dict[str, tuple[bytes, list[str | bytes]]] = {
    "5.2 the lengths at their limits": (
        b"".join(ws.frame(ws.BINARY, bytes(n)) for n in (0, 125, 126, 65535, 65536)),
        [bytes(n) for n in (0, 125, 126, 65535, 65536)],
    ),
    "5.4 one frame": (ws.frame(ws.TEXT, b"x"), ["x"]),
    "5.4 empty fragments": (
        BEGUN_EMPTY + ws.frame(0, b"", fin=False) * 3 + ws.frame(0, b""),
        [""],
    ),
    "5.4 fragments of a binary": (
        ws.frame(ws.BINARY, b"a", fin=False) + ws.frame(0, b"b"),
        [b"ab"],
    ),
    "5.4 control frames within": (
        BEGUN
        + ws.frame(ws.PONG)
        + ws.frame(0, b"y", fin=False)
        + ws.frame(ws.PONG, b"!" * 125)
        + ws.frame(0, b"z")
        + ws.frame(ws.TEXT, b"next"),
        ["xyz", "next"],
    ),
    "5.5.3 a pong nobody asked for": (ws.frame(ws.PONG, b"x") + ws.frame(ws.TEXT, b"y"), ["y"]),
    "8.1 a character over fragments": (
        ws.frame(ws.TEXT, b"\xe2", fin=False)
        + ws.frame(0, b"\x82", fin=False)
        + ws.frame(0, b"\xac"),
        ["\u20ac"],
    ),
    "8.1 a NUL, a BOM and what is no character": (
        ws.frame(ws.TEXT, "\x00\ufeff\uffff\U0010ffff".encode()),
        ["\x00\ufeff\uffff\U0010ffff"],
    ),
}


RANDOM = random.Random(1).randbytes(4 * 2**20)


def finished(data: bytes) -> bytes:
    """A stream of its own, which ends with the message (RFC 7692, 7.2.3.4)."""
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush() + b"\x00"


RIGHT_DEFLATED: dict[str, tuple[bytes, list[str | bytes]]] = {
    "RFC 7692 6 compressed and not, in turn": (
        ws.frame(ws.TEXT, ws.deflated(b"a"), rsv=4)
        + ws.frame(ws.TEXT, b"b")
        + ws.frame(ws.TEXT, ws.deflated(b"c"), rsv=4),
        ["a", "b", "c"],
    ),
    "RFC 7692 6.1 fragments": (
        ws.frame(ws.TEXT, ws.deflated(b"hello")[:3], fin=False, rsv=4)
        + ws.frame(ws.PONG)
        + ws.frame(0, ws.deflated(b"hello")[3:]),
        ["hello"],
    ),
    "RFC 7692 7.2.3.2 the dictionary of the message before": (
        ws.frame(ws.TEXT, bytes.fromhex("f248cdc9c90700"), rsv=4)
        + ws.frame(ws.TEXT, bytes.fromhex("f200110000"), rsv=4),
        ["Hello", "Hello"],
    ),
    "RFC 7692 7.2.3.3 a block without compression": (
        ws.frame(ws.TEXT, bytes.fromhex("000500faff48656c6c6f00"), rsv=4),
        ["Hello"],
    ),
    "RFC 7692 7.2.3.4 a final block": (
        ws.frame(ws.TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4)
        + ws.frame(ws.TEXT, finished(b"again"), rsv=4)
        + ws.frame(ws.TEXT, ws.deflated(b"plain"), rsv=4),
        ["Hello", "again", "plain"],
    ),
    "RFC 7692 7.2.3.5 two blocks": (
        ws.frame(ws.TEXT, bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", "")), rsv=4),
        ["Hello"],
    ),
    "RFC 7692 7.2.3.6 an empty message": (ws.frame(ws.TEXT, b"\x00", rsv=4), [""]),
    "as long as the limit, and random": (
        ws.frame(ws.BINARY, ws.deflated(RANDOM), rsv=4),
        [RANDOM],
    ),
    "as long as the limit": (
        ws.frame(ws.BINARY, ws.deflated(bytes(4 * 2**20)), rsv=4),
        [bytes(4 * 2**20)],
    ),
}


@pytest.mark.parametrize("pace", ["at once", "byte by byte"])
@pytest.mark.parametrize("name", [*RIGHT, *RIGHT_DEFLATED])
def test_what_the_rules_allow_is_received(
    client: syncclient.Session, raw_server: StartRawServer, name: str, pace: str
) -> None:
    """However it is cut into packets."""
    frames, messages = {**RIGHT, **RIGHT_DEFLATED}[name]
    step = len(frames) if pace == "at once" else max(1, len(frames) // 500)

    def script(conn: RawConnection) -> None:
        ws.accept(conn, headers=DEFLATE if name in RIGHT_DEFLATED else [])
        for at in range(0, len(frames), step):
            conn.send(frames[at : at + step])
        ws.say_goodbye(conn)

    deflate = 15 if name in RIGHT_DEFLATED else 0
    with client.ws_connect(raw_server(script).url, compress=deflate) as socket:
        assert [socket.receive(timeout=WAIT).data for _ in messages] == messages
    assert socket.close_code == 1000


@pytest.mark.parametrize("size", [0, 1, 100, 125, 126, 1000])
@pytest.mark.parametrize("cut", ["whole", "fragments", "compressed"])
def test_a_message_may_be_as_long_as_the_limit(
    client: syncclient.Session, raw_server: StartRawServer, size: int, cut: str
) -> None:
    """max_msg_size is the longest message that is taken; one byte more is 1009."""

    def message(data: bytes) -> bytes:
        if cut == "whole":
            return ws.frame(ws.BINARY, data)
        if cut == "compressed":
            return ws.frame(ws.BINARY, ws.deflated(data), rsv=4)
        half = len(data) // 2
        return ws.frame(ws.BINARY, data[:half], fin=False) + ws.frame(0, data[half:])

    def script(conn: RawConnection) -> None:
        ws.accept(conn, headers=DEFLATE)
        conn.send(message(bytes(size)) + message(bytes(size + 1)))
        ws.read_until_close(conn)

    url = raw_server(script).url
    limit = size or 1  # a limit of 0 is none
    with client.ws_connect(url, max_msg_size=limit, compress=15) as socket:
        assert socket.receive_bytes(timeout=WAIT) == bytes(size)
        if size:
            assert socket.receive(timeout=WAIT).data.code == 1009
        else:
            assert socket.receive_bytes(timeout=WAIT) == b"\x00"


def test_bytes_instead_of_text_are_not_checked(
    client: syncclient.Session, raw_server: StartRawServer
) -> None:
    """decode_text=False leaves the text, and its faults, to the caller."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"\xff") + ws.frame(ws.TEXT, b"\xff", fin=False))
        conn.send(ws.frame(0, b"\xfe"))
        ws.say_goodbye(conn)

    with client.ws_connect(raw_server(script).url, decode_text=False) as socket:
        assert [socket.receive(timeout=WAIT).data for _ in range(2)] == [b"\xff", b"\xff\xfe"]
