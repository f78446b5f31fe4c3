"""The words a scripted peer speaks: the upgrade, and single frames, correct ones or not."""

import base64
import hashlib
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from tests.servers.raw import TIMEOUT, RawConnection, RawRequest

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True)
class Frame:
    """A frame from the client, unmasked."""

    opcode: int
    data: bytes
    fin: bool
    rsv: int

    @property
    def close_code(self) -> int:
        code: int = struct.unpack("!H", self.data[:2])[0]
        return code


def accept(
    conn: RawConnection, *, headers: Iterable[tuple[str, str]] = (), greeting: bytes = b""
) -> RawRequest:
    """Read the client's handshake and agree to it, with `greeting` in the same packet."""
    request = conn.read_head()
    key = request.header("Sec-WebSocket-Key").encode()
    digest = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {digest}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    conn.send("\r\n".join([*lines, "", ""]).encode() + greeting)
    return request


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A frame from the server: unmasked. `rsv` is 4 for the first reserved bit, 1 for the last."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if len(data) < 126:
        return struct.pack("!BB", first, len(data)) + data
    if len(data) < 65536:
        return struct.pack("!BBH", first, 126, len(data)) + data
    return struct.pack("!BBQ", first, 127, len(data)) + data


def close_frame(code: int = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def read_frame(conn: RawConnection) -> Frame:
    """The client's next frame; it has to be masked."""
    first, second = conn.read_exactly(2)
    assert second & 0x80, "a client must mask its frames"
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", conn.read_exactly(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", conn.read_exactly(8))
    mask = conn.read_exactly(4)
    data = conn.read_exactly(length)
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    plain = (int.from_bytes(data, "big") ^ key).to_bytes(length, "big")
    return Frame(first & 0x0F, plain, bool(first & 0x80), first >> 4 & 7)


def read_until_close(conn: RawConnection) -> Frame:
    """The client's close frame; what comes before it is dropped."""
    while (got := read_frame(conn)).opcode != CLOSE:
        pass
    return got


def say_goodbye(conn: RawConnection) -> Frame:
    """Answer the client's closing handshake, and return its close frame."""
    got = read_until_close(conn)
    conn.send(frame(CLOSE, got.data))
    return got


def fill(conn: RawConnection, message: bytes, *, blocked_after: float = 0.3) -> tuple[int, bytes]:
    """Send `message` again and again until nothing goes out any more.

    Returns how many have begun to go out, and what is left to send of the last one.
    """
    count = 0
    conn.sock.settimeout(blocked_after)
    try:
        while True:
            count += 1
            rest = memoryview(message)
            while rest:
                try:
                    rest = rest[conn.sock.send(rest) :]
                except TimeoutError:  # the peer takes no more
                    return count, bytes(rest)
    finally:
        conn.sock.settimeout(TIMEOUT)


def deflated(data: bytes) -> bytes:
    """`data` as permessage-deflate sends it."""
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(data: bytes, bits: int = 15) -> bytes:
    """What permessage-deflate made `data` of, read with so many window bits."""
    return zlib.decompressobj(wbits=-bits).decompress(data + b"\x00\x00\xff\xff")


class Inflated:
    """The compressed messages of one client, which may refer to those before them."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=-15)

    def message(self, frame: Frame) -> bytes:
        """The message in `frame`."""
        assert frame.rsv == 4
        return self._stream.decompress(frame.data + b"\x00\x00\xff\xff")
