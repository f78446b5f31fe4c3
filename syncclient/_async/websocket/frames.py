"""The frames a server sends: RFC 6455, section 5, and RFC 7692 for compressed messages.

aiohttp's parser accepts what the RFCs tell a client to refuse: masked frames, lengths in more
bytes than they need, reserved bits of control frames, a new message inside an empty fragmented
one, close codes that must not be sent. This parser refuses them. It puts messages straight into
the receive queue, without another queue in between, so it is no slower.
"""

from __future__ import annotations

import codecs
import time
import zlib
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from aiohttp import WebSocketError, WSCloseCode, WSMessage, WSMsgType
from aiohttp.http import WSMessageTextBytes

# Opcodes, as plain numbers: comparing members of an enum takes longer.
CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

#: The codes below 3000 that may be in a close frame (RFC 6455, 7.4, and IANA's registry).
_REGISTERED = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
#: Stands for a close frame without a code. It is never sent.
NO_CODE = 1005

#: A peer that sends more frames without a message (pings, pongs, empty fragments) in so many
#: seconds, and no message, is closed with 1008.
FLOOD_FRAMES = 10_000
FLOOD_SECONDS = 10.0

#: Units of work of a frame that is not a short whole message: a pong may be due, or much data to
#: decompress. 2 ** 12 bytes of payload count as one more.
_FRAME = 4
_WORK = 12

#: Streams that one compressed message may consist of. Two are usual where a peer ends its
#: stream with the message (RFC 7692, 7.2.3.4); each costs a decompressor.
_STREAMS = 16

_new = tuple.__new__


def may_close_with(code: int) -> bool:
    """Return whether ``code`` may be in a close frame, from either side."""
    return code in _REGISTERED or 3000 <= code < 5000


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return the code and the reason of a close frame; raise WebSocketError if it is invalid."""
    if not payload:
        return NO_CODE, ""
    if len(payload) == 1:
        raise _broken("a close frame with half a code")
    code = payload[0] << 8 | payload[1]
    if not may_close_with(code):
        raise _broken(f"a close frame with the code {code}, which must not be sent")
    try:
        return code, str(payload[2:], "utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8("a close reason") from error


class Inflater:
    """Decompresses messages.

    Args:
        keeps_context: whether a message may refer to those before it.
    """

    def __init__(self, *, keeps_context: bool = True) -> None:
        self._keeps_context = keeps_context
        self._stream = zlib.decompressobj(wbits=-15)

    def inflate(self, data: bytes | bytearray, limit: int) -> bytes:
        """Return the message that was compressed to ``data``.

        Raises WebSocketError if it is invalid, or longer than ``limit``, unless that is 0.
        """
        rest: bytes = bytes(data) + b"\x00\x00\xff\xff"
        pieces: list[bytes] = []
        size = 0
        try:
            for _ in range(_STREAMS):
                piece = self._stream.decompress(rest, limit - size + 1 if limit else 0)
                pieces.append(piece)
                size += len(piece)
                if limit and size > limit:
                    raise _too_big(f"a message decompresses to more than {limit} bytes")
                rest = self._stream.unused_data
                if not self._stream.eof:
                    break
                self._stream = zlib.decompressobj(wbits=-15)
                if not rest:
                    break
            else:
                raise _too_big(f"a compressed message consists of more than {_STREAMS} streams")
        except zlib.error as error:
            raise _broken(f"a compressed message that is invalid ({error})") from error
        if not self._keeps_context:
            self._stream = zlib.decompressobj(wbits=-15)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class FrameReader:
    """Cuts the bytes from a server into messages.

    Args:
        messages, sizes: appended to for each message: the message, and its size.
        control: called with the opcode and the payload of each control frame, in order.
        max_msg_size: maximum size of a message in bytes, decompressed; 0 sets no limit.
        inflater: decompresses messages, if compression was agreed on.
        decode_text: whether text messages are str, not bytes.
    """

    def __init__(
        self,
        messages: deque[WSMessage],
        sizes: deque[int],
        control: Callable[[int, bytes], None],
        *,
        max_msg_size: int,
        inflater: Inflater | None = None,
        decode_text: bool = True,
    ) -> None:
        self._messages = messages
        self._sizes = sizes
        self._control = control
        self._max_msg_size = max_msg_size
        self._short = min(125, max_msg_size or 125)
        self._inflater = inflater
        self._decode_text = decode_text
        self._data = b""
        self._pos = 0
        #: Missing bytes of the current frame's payload, and whether the message ends with it.
        self._left = 0
        self._final = True
        #: The opcode of the message that is being put together; 0 between messages.
        self._kind = CONTINUATION
        self._compressed = False
        #: Its payload so far, and the size that its frames have announced.
        self._payload: bytes | bytearray = bytearray()
        self._size = 0
        #: Checks text that arrives in pieces.
        self._utf8: codecs.IncrementalDecoder | None = None
        #: Frames since the last message, and when the first of them arrived.
        self._idle = 0
        self._idle_since = 0.0
        #: Bytes of the messages appended since this was last set to 0, by the code that counts.
        self.put_out = 0
        self._discards = False
        #: Whether no more frames are read: the close frame was the last one that counts.
        self.ended = False

    def feed(self, data: bytes) -> None:
        """Take bytes that were received."""
        if self._pos < len(self._data):
            data = self._data[self._pos :] + data
        self._data, self._pos = data, 0

    def discard(self) -> None:
        """Drop messages from now on: there is no reader any more."""
        self._discards = True
        self._messages, self._sizes = deque(maxlen=0), deque(maxlen=0)

    def end(self) -> None:
        """Read no more frames, and drop the buffered bytes."""
        self.ended = True
        self._control = _nothing  # breaks a cycle, which the collector might free on any thread
        self._data, self._pos = b"", 0
        self._payload, self._utf8 = bytearray(), None

    def parse(self, count: int, size: int, work: int) -> bool:
        """Read frames, up to ``count`` messages, ``size`` bytes or ``work`` units of work.

        Returns True if it stopped at one of these limits, False if it needs more data. Raises
        WebSocketError if the server breaks the protocol.
        """
        messages, sizes = self._messages, self._sizes
        data, pos, end = self._data, self._pos, len(self._data)
        short, decode = self._short, self._decode_text
        text, binary = WSMsgType.TEXT, WSMsgType.BINARY
        at_start = count, size
        try:
            while True:
                if not self._kind:
                    # Most frames: a whole message, short and not compressed.
                    while count > 0 and size > 0 and end - pos >= 2:
                        first, length = data[pos], data[pos + 1]
                        stop = pos + 2 + length
                        if length > short or stop > end:
                            break
                        if first == 0x81:
                            if decode:
                                said = str(data[pos + 2 : stop], "utf-8")
                                whole = _new(WSMessage, (text, said, ""))
                            else:
                                whole = _text_as_bytes(data[pos + 2 : stop])
                        elif first == 0x82:
                            whole = _new(WSMessage, (binary, data[pos + 2 : stop], ""))
                        else:
                            break
                        messages.append(whole)
                        sizes.append(length)
                        count -= 1
                        size -= length
                        pos = stop
                if pos >= end:
                    return False
                if count <= 0 or size <= 0 or work <= 0:
                    return True
                begin, before = pos, len(sizes)
                if self._left:
                    pos = self._continue(data, pos, end)
                else:
                    pos = self._begin(data, pos, end)
                    if pos < 0:  # the header is not complete
                        pos = begin
                        return False
                if self.ended:
                    return False
                work -= _FRAME + (pos - begin >> _WORK)
                if self._final and self._kind and not self._left:
                    work -= self._finish() >> _WORK
                if len(sizes) > before:
                    count -= 1
                    size -= sizes[-1]
        except UnicodeDecodeError as error:
            raise _not_utf8("a text message") from error
        finally:
            if count != at_start[0]:
                self._idle = 0
                if not self._discards:
                    self.put_out += at_start[1] - size
            if not self.ended:
                self._pos = pos

    def _begin(self, data: bytes, pos: int, end: int) -> int:
        """Read the header of a frame, or a whole control frame; return -1 if it is incomplete."""
        if end - pos < 2:
            return -1
        first, length = data[pos], data[pos + 1]
        opcode, final, reserved = first & 15, bool(first & 128), first & 0x70
        if opcode not in _OPCODES:
            raise _broken(f"a frame with the unknown opcode {opcode}")
        if length & 128:
            raise _broken("a frame that is masked")
        if opcode >= CLOSE:
            return self._begin_control(data, pos, end)
        if opcode == CONTINUATION and not self._kind:
            raise _broken("the continuation of a message that was not begun")
        if opcode != CONTINUATION and self._kind:
            raise _broken("a new message before the last one was complete")
        compressed = bool(reserved == 0x40 and opcode != CONTINUATION and self._inflater)
        if reserved and not compressed:
            raise _broken("a frame with reserved bits set")
        pos += 2
        if length > 125:
            width = 2 if length == 126 else 8
            if end - pos < width:
                return -1
            length = int.from_bytes(data[pos : pos + width], "big")
            pos += width
            if length >= 2**63:
                raise _broken("a length whose first bit is set")
            if length < (126 if width == 2 else 65536):
                raise _broken("a length in more bytes than it needs")
        if opcode != CONTINUATION:
            self._kind, self._compressed = opcode, compressed
        self._size += length
        limit = self._max_msg_size
        if self._compressed:
            limit += (limit >> 10) + 64  # incompressible data gets a little longer
        if self._max_msg_size and self._size > limit:
            raise _too_big(
                f"a message of {self._size} bytes or more; max_msg_size is {self._max_msg_size}"
            )
        self._final, self._left = final, length
        if not (length or final):
            self._count()
        return pos

    def _begin_control(self, data: bytes, pos: int, end: int) -> int:
        first, length = data[pos], data[pos + 1]
        if not first & 128:
            raise _broken("a control frame in fragments")
        if first & 0x70:
            raise _broken("a control frame with reserved bits set")
        if length > 125:
            raise _broken("a control frame with more than 125 bytes")
        stop = pos + 2 + length
        if stop > end:
            return -1
        self._count()
        self._control(first & 15, data[pos + 2 : stop])
        return stop

    def _continue(self, data: bytes, pos: int, end: int) -> int:
        """Take the buffered bytes of a payload."""
        stop = min(end, pos + self._left)
        self._left -= stop - pos
        piece = data[pos:stop]
        if self._final and not (self._left or self._payload):
            self._payload = piece  # the whole payload at once: the usual case
            return stop
        self._payload += piece
        if self._kind == TEXT and self._decode_text and not self._compressed:
            if self._utf8 is None:
                self._utf8 = _utf8()
            self._utf8.decode(piece)
        return stop

    def _finish(self) -> int:
        """Append the complete message; return its size."""
        kind, payload = self._kind, self._payload
        self._kind, self._payload, self._size, self._utf8 = CONTINUATION, bytearray(), 0, None
        if self._discards:
            return 0
        if self._compressed:
            assert self._inflater is not None
            payload = self._inflater.inflate(payload, self._max_msg_size)
        if kind == BINARY:
            message = _new(WSMessage, (WSMsgType.BINARY, bytes(payload), ""))
        elif self._decode_text:
            message = _new(WSMessage, (WSMsgType.TEXT, str(payload, "utf-8"), ""))
        else:
            message = _text_as_bytes(bytes(payload))
        self._messages.append(message)
        self._sizes.append(len(payload))
        return len(payload)

    def _count(self) -> None:
        """Count a frame that adds nothing to a message."""
        self._idle += 1
        if self._idle == 1:
            self._idle_since = time.monotonic()
        elif self._idle > FLOOD_FRAMES:
            if time.monotonic() - self._idle_since < FLOOD_SECONDS:
                raise WebSocketError(
                    WSCloseCode.POLICY_VIOLATION,
                    f"the server sent {FLOOD_FRAMES} frames within {FLOOD_SECONDS:g} s "
                    "and no message",
                )
            self._idle = 0


def _text_as_bytes(data: bytes) -> WSMessage:
    return cast("WSMessage", WSMessageTextBytes(WSMsgType.TEXT, data, ""))


def _nothing(opcode: int, payload: bytes) -> None:
    pass


_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_utf8 = codecs.getincrementaldecoder("utf-8")


def _broken(what: str) -> WebSocketError:
    return WebSocketError(WSCloseCode.PROTOCOL_ERROR, f"the server sent {what}")


def _too_big(what: str) -> WebSocketError:
    return WebSocketError(WSCloseCode.MESSAGE_TOO_BIG, what)


def _not_utf8(what: str) -> WebSocketError:
    return WebSocketError(WSCloseCode.INVALID_TEXT, f"the server sent {what} that is not UTF-8")
