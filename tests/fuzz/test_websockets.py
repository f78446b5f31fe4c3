"""WebSocket handshakes and frames: as `websockets` reads them, and as documented."""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from aiohttp import WebSocketError, WSMessage, WSMsgType
from aiohttp.http import WS_KEY
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import Protocol, Side

import syncclient
from syncclient._async.websocket.frames import CLOSE, FrameReader, Inflater, parse_close
from tests.fuzz.pace import fuzzed
from tests.fuzz.peer import Peer

#: What a caller has to expect, whatever comes.
EXPECTED = (syncclient.ClientError, TimeoutError)

LIMIT = 3000
ANY = -1


class Read(NamedTuple):
    """What became of a stream: the messages, and how it ended."""

    messages: list[str | bytes]
    #: The peer's close code, or the one we must close with; None while it is open.
    code: int | None


def ours(pieces: list[bytes], *, deflate: bool) -> Read:
    """Read the stream with our parser."""
    messages: deque[WSMessage] = deque()
    codes: list[int] = []

    def control(opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            codes.append(parse_close(payload)[0])
            reader.end()

    reader = FrameReader(
        messages,
        deque(),
        control,
        max_msg_size=LIMIT,
        inflater=Inflater() if deflate else None,
    )
    try:
        for piece in pieces:
            if not reader.ended:
                reader.feed(piece)
                while reader.parse(3, 1000, 5):
                    pass
    except WebSocketError as error:
        codes.append(error.code)
    return Read([message.data for message in messages], codes[0] if codes else None)


def theirs(pieces: list[bytes], *, deflate: bool) -> Read:
    """Read the stream with websockets' protocol, and put its messages together."""
    protocol = Protocol(Side.CLIENT, max_size=LIMIT)
    if deflate:
        protocol.extensions = [PerMessageDeflate(False, False, 15, 15)]
    for piece in pieces:
        protocol.receive_data(piece)
    messages: list[str | bytes] = []
    kind, parts = Opcode.CONT, b""
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode is Opcode.CLOSE:
            return Read(messages, Close.parse(event.data).code)
        if event.opcode not in (Opcode.CONT, Opcode.TEXT, Opcode.BINARY):
            continue
        if event.opcode is not Opcode.CONT:
            kind, parts = event.opcode, b""
        parts += event.data
        if event.fin:
            try:
                messages.append(parts.decode() if kind is Opcode.TEXT else bytes(parts))
            except UnicodeDecodeError:
                return Read(messages, 1007)
    error = protocol.parser_exc
    if isinstance(error, PayloadTooBig):
        return Read(messages, 1009)
    if isinstance(error, UnicodeDecodeError):
        return Read(messages, 1007)
    if "incomplete fragmented message" in str(error):
        return Read(messages, ANY)  # the RFC allows a close frame within a message
    return Read(messages, 1002 if isinstance(error, ProtocolError) else None)


def frame(first: int, data: bytes, mask: bool = False) -> bytes:
    """A frame with its length as short as it can be."""
    bit = 0x80 if mask else 0
    if len(data) < 126:
        head = struct.pack("!BB", first, bit | len(data))
    else:
        head = struct.pack("!BBH", first, bit | 126, len(data))
    return head + (bytes(4) if mask else b"") + data


def packed(data: bytes) -> bytes:
    """A compressed message that refers to none before it."""
    stream = zlib.compressobj(wbits=-15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


TEXTS = st.text(max_size=40).map(str.encode) | st.binary(max_size=200)
CLOSES = st.builds(
    lambda code, reason: struct.pack("!H", code) + reason,
    st.sampled_from([1000, 1005, 1006, 1012, 1015, 2999, 3000, 4999, 5000]) | st.integers(0, 65535),
    st.text(max_size=5).map(str.encode) | st.binary(max_size=5),
)
#: Mostly right, so that it goes on for a while.
RIGHT = st.one_of(
    st.builds(frame, st.sampled_from([0x81, 0x82]), TEXTS),
    st.builds(frame, st.sampled_from([0x01, 0x02, 0x00, 0x00, 0x80]), TEXTS),
    st.builds(frame, st.sampled_from([0x89, 0x8A]), st.binary(max_size=125)),
    st.builds(frame, st.just(0xC1), TEXTS.map(packed)),
    st.builds(frame, st.just(0x88), CLOSES | st.just(b"")),
)
WRONG = st.builds(
    frame, st.integers(0, 255), st.binary(max_size=130), st.sampled_from([False, True])
)
BIG = st.builds(frame, st.sampled_from([0x82, 0x02, 0x80]), st.integers(900, 1200).map(bytes))
FRAMES = st.lists(RIGHT | RIGHT | RIGHT | BIG | WRONG, max_size=12).map(b"".join)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """`data` in pieces of these sizes, over and over."""
    pieces = []
    turn = 0
    while data:
        size = sizes[turn % len(sizes)]
        pieces.append(data[:size])
        data = data[size:]
        turn += 1
    return pieces


@given(
    data=FRAMES, sizes=st.lists(st.integers(1, 300), min_size=1, max_size=5), deflate=st.booleans()
)
@fuzzed
def test_frames_are_read_as_by_websockets(data: bytes, sizes: list[int], deflate: bool) -> None:
    """The same messages, and the same end, however the stream is cut."""
    pieces = cut(data, sizes)
    got, expected = ours(pieces, deflate=deflate), theirs([data], deflate=deflate)
    assert got == ours([data], deflate=deflate), "the cuts made a difference"
    assert got.messages == expected.messages
    if got.code != expected.code != ANY:
        # We find text that is not UTF-8 while its message is still under way. And where two
        # rules are broken, either may be found first.
        assert got.code in (1002, 1007, 1009)
        assert expected.code in (None, 1002, 1007, 1009)


@given(
    sizes=st.lists(st.integers(0, 300), max_size=10),
    texts=st.lists(st.text(max_size=300), max_size=10),
    chunk=st.integers(1, 100),
)
@fuzzed
def test_compressed_messages_that_refer_to_others(
    sizes: list[int], texts: list[str], chunk: int
) -> None:
    """A stream with one window, as servers send it, is read as it was written."""
    stream = zlib.compressobj(wbits=-15)
    sent: list[str | bytes] = [*(bytes(size) for size in sizes), *texts]
    data = b""
    for message in sent:
        plain = message.encode() if isinstance(message, str) else message
        compressed = (stream.compress(plain) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
        data += frame(0xC1 if isinstance(message, str) else 0xC2, compressed)
    assert ours(cut(data, [chunk]), deflate=True) == Read(sent, None)


def accepting(*lines: bytes, frames: bytes = b"") -> Callable[[bytes], bytes]:
    """The answer to a handshake, with these lines after those it needs."""

    def answer(head: bytes) -> bytes:
        key = head.lower().index(b"sec-websocket-key: ") + 19
        digest = hashlib.sha1(head[key : key + 24] + WS_KEY).digest()
        return b"\r\n".join(
            [
                b"HTTP/1.1 101 Switching Protocols",
                b"Upgrade: websocket",
                b"Connection: Upgrade",
                b"Sec-WebSocket-Accept: " + base64.b64encode(digest),
                *lines,
                b"",
                frames,
            ]
        )

    return answer


WORDS = st.sampled_from(
    [
        b"permessage-deflate",
        b"server_max_window_bits",
        b"client_max_window_bits",
        b"client_no_context_takeover",
        *(b";", b",", b"=", b'"', b" ", b"\t", b"\\", b"10", b"15", b"8", b"chat", b"x", b"\xe9"),
    ]
)
NAMES = st.sampled_from(
    [
        b"Sec-WebSocket-Extensions",
        b"Sec-WebSocket-Protocol",
        b"Sec-WebSocket-Accept",
        b"Upgrade",
        b"Connection",
    ]
)
LINES = st.builds(
    lambda name, words: name + b": " + b"".join(words), NAMES, st.lists(WORDS, max_size=8)
)


@given(lines=st.lists(LINES, max_size=3), frames=FRAMES)
@fuzzed
def test_whatever_a_server_answers_to_a_handshake(
    session: syncclient.Session, peer: Peer, lines: list[bytes], frames: bytes
) -> None:
    """A documented error, or a socket whose messages end."""
    peer.answer = accepting(*lines, frames=frames)
    try:
        socket = session.ws_connect(peer.url, compress=15, protocols=["chat"], max_msg_size=LIMIT)
    except EXPECTED:
        return
    with socket:
        assert socket.protocol in (None, "chat")
        while not socket.closed:
            message = socket.receive(timeout=5)
            assert (message.type is WSMsgType.ERROR) is isinstance(message.data, WebSocketError)
        assert socket.close_code is not None
