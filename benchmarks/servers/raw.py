"""A server that does as little as a server can: an asyncio protocol with prepared replies.

It knows just the routes, trusts its clients, and is no example of how to write a server.

``python -m benchmarks.servers.raw`` prints where it listens and serves until its stdin ends.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from email.utils import formatdate

from benchmarks.descriptors import raise_descriptor_limit
from benchmarks.servers.certificate import secured
from benchmarks.servers.process import serve_until_stdin_ends
from benchmarks.servers.routes import (
    BLOCK,
    BURST_TEXT,
    BYTES_PATH,
    COOKIES,
    COOKIES_PATH,
    EVENT,
    EVENTS_PATH,
    HELD_PATH,
    HOLD_PATH,
    JSON_BODY,
    JSON_PATH,
    SECURE_PATH,
    UPLOAD_PATH,
    WS_PATH,
)

HIGH_WATER = 4 * 1024 * 1024
WS_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_JSON_START = f"GET {JSON_PATH} ".encode()
_BURST_BLOCK_FRAMES = 1_000
_EVENTS_AT_A_TIME = 1_000


def _reply(body: bytes, *fields: str, length: int | None = None) -> bytes:
    """Return a reply with an ordinary server's headers; ``length`` if the body follows later."""
    return (
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: application/json; charset=utf-8\r\n"
        b"Content-Length: %d\r\n"
        b"Date: %s\r\n"
        b"Server: raw\r\n%s\r\n%s"
    ) % (
        len(body) if length is None else length,
        formatdate(usegmt=True).encode(),
        b"".join(b"%s\r\n" % field.encode() for field in fields),
        body,
    )


_JSON_REPLY = _reply(JSON_BODY)
_FIRST_COOKIES_REPLY = _reply(b'{"n": 0}', *(f"Set-Cookie: {each}" for each in COOKIES))
_COOKIES_REPLY = _reply(JSON_BODY, f"Set-Cookie: {COOKIES[0]}")
_EVENTS_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_EVENT_CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
_EVENTS_BLOCK = _EVENT_CHUNK * _EVENTS_AT_A_TIME
_HOLD_START = f"GET {HOLD_PATH}".encode()
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def _text_frame(payload: bytes) -> bytes:
    """Return one unmasked text frame; ``payload`` is shorter than 64 KiB."""
    if len(payload) < 126:
        return b"\x81%c%s" % (len(payload), payload)
    return b"\x81\x7e%s%s" % (len(payload).to_bytes(2, "big"), payload)


_BURST_FRAME = _text_frame(BURST_TEXT.encode())
_BURST_BLOCK = _BURST_FRAME * _BURST_BLOCK_FRAMES


#: Transports of the requests that wait for ``/hold``.
_held: set[asyncio.Transport] = set()


def _hold(transport: asyncio.Transport, wanted: int) -> None:
    _held.add(transport)
    if len(_held) >= wanted:
        # Cleared first: a reply may bring the next request at once.
        ready = list(_held)
        _held.clear()
        for each in ready:
            each.write(_JSON_REPLY)


class RawProtocol(asyncio.Protocol):
    """One connection: requests one after another, or a WebSocket once upgraded."""

    def __init__(self, secure_reply: bytes) -> None:
        self._secure_reply = secure_reply
        self._held = b""
        self._upload: _Upload | None = None
        self._is_websocket = False
        # What is still to be sent: (block, bytes left). Sent as far as the transport lets us.
        self._sending: tuple[bytes, int] | None = None
        self._last = b""  # what ends it
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports are no subclass of asyncio.Transport.
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._transport.set_write_buffer_limits(high=HIGH_WATER)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sending = None
        _held.discard(self._transport)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send_on()

    def data_received(self, data: bytes) -> None:
        if self._upload is not None:
            self._take_upload(data)
            return
        if self._held:
            data = self._held + data
            self._held = b""
        if self._is_websocket:
            self._held = self._take_frames(data)
        elif data.startswith(_JSON_START) and data.endswith(b"\r\n\r\n"):
            self._transport.write(_JSON_REPLY)
        elif data.startswith(_HOLD_START) and data.endswith(b"\r\n\r\n"):
            _hold(self._transport, int(data[len(_HOLD_START) : data.index(b" HTTP")]))
        else:
            self._take_head(data)

    def _take_head(self, data: bytes) -> None:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            self._held = data
            return
        start, *lines = head.split(b"\r\n")
        path = start.split(b" ")[1].decode()
        fields = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in lines)
        }
        if path == JSON_PATH:
            self._transport.write(_JSON_REPLY)
        elif path.startswith(HOLD_PATH):
            _hold(self._transport, int(path[len(HOLD_PATH) :]))
        elif path == HELD_PATH:
            self._transport.write(_reply(b'{"n": %d}' % len(_held)))
        elif path.startswith(BYTES_PATH):
            size = int(path[len(BYTES_PATH) :])
            self._transport.write(_reply(b"", length=size))
            self._send(BLOCK, size)
        elif path == COOKIES_PATH:
            self._transport.write(_COOKIES_REPLY if b"cookie" in fields else _FIRST_COOKIES_REPLY)
        elif path.startswith(EVENTS_PATH):
            self._transport.write(_EVENTS_HEAD)
            size = int(path[len(EVENTS_PATH) :]) * len(_EVENT_CHUNK)
            self._send(_EVENTS_BLOCK, size, b"0\r\n\r\n")
        elif path == SECURE_PATH:
            self._transport.write(self._secure_reply)
        elif path == UPLOAD_PATH:
            length = fields.get(b"content-length")
            self._upload = _Upload(None if length is None else int(length))
            if fields.get(b"expect"):
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._take_upload(rest)
        elif path == WS_PATH:
            accept = base64.b64encode(hashlib.sha1(fields[b"sec-websocket-key"] + WS_GUID).digest())
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: %s\r\n\r\n" % accept
            )
            self._is_websocket = True
        else:
            self._transport.write(_NOT_FOUND)

    def _take_upload(self, data: bytes) -> None:
        upload = self._upload
        assert upload is not None
        if upload.take(data):
            self._upload = None
            self._transport.write(_reply(b'{"n": %d}' % upload.received))

    def _take_frames(self, data: bytes) -> bytes:
        """Answer the whole frames in ``data``; return what is left of it."""
        at = 0
        while len(data) - at >= 6:
            opcode, length, head = data[at] & 0x0F, data[at + 1] & 0x7F, 2
            if length == 126:
                length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
            end = at + head + 4 + length
            if len(data) < end:
                break
            mask = data[at + head : at + head + 4]
            masked = int.from_bytes(data[at + head + 4 : end], "big")
            key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
            self._answer_frame(opcode, (masked ^ key).to_bytes(length, "big"))
            at = end
        return data[at:]

    def _answer_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == 0x8:
            self._transport.write(b"\x88%c%s" % (len(payload), payload))
            self._transport.close()
        elif opcode == 0x9:
            self._transport.write(b"\x8a%c%s" % (len(payload), payload))
        elif payload.startswith(b"burst "):
            self._send(_BURST_BLOCK, int(payload[6:]) * len(_BURST_FRAME))
        elif opcode == 0x1:
            self._transport.write(_text_frame(payload))

    def _send(self, block: bytes, size: int, last: bytes = b"") -> None:
        self._sending, self._last = (block, size), last
        self._send_on()

    def _send_on(self) -> None:
        while self._sending is not None and not self._paused:
            block, left = self._sending
            self._sending = (block, left - len(block)) if left > len(block) else None
            self._transport.write(block if left >= len(block) else memoryview(block)[:left])
            if self._sending is None and self._last:
                self._transport.write(self._last)


class _Upload:
    """Counts a request body, with a length or chunked, without keeping or copying it."""

    def __init__(self, length: int | None) -> None:
        self.received = 0
        self._chunked = length is None
        # Bytes until the present chunk (or the body) ends; while 0 a chunk's size line is awaited.
        self._left = length or 0
        self._held = b""

    def take(self, data: bytes) -> bool:
        """Count ``data``; return whether the body is complete."""
        if not self._chunked:
            self.received += len(data)
            self._left -= len(data)
            return self._left <= 0
        if self._held:
            data = self._held + data
            self._held = b""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            line_end = data.find(b"\r\n", at)
            if line_end < 0:
                self._held = data[at:]
                return False
            size = int(data[at:line_end].partition(b";")[0], 16)
            if size == 0:
                # Our clients send no trailers: what ends the body is this line and an empty one.
                if len(data) < line_end + 4:
                    self._held = data[at:]
                    return False
                return True
            self.received += size
            self._left = size + 2  # the chunk's own line end
            at = line_end + 2
        return False


async def main() -> None:
    raise_descriptor_limit()
    loop = asyncio.get_running_loop()
    context, authority = secured()
    secure = await loop.create_server(lambda: RawProtocol(b""), "127.0.0.1", 0, ssl=context)
    told = {"port": secure.sockets[0].getsockname()[1], "ca": authority}
    reply = _reply(json.dumps(told).encode())
    server = await loop.create_server(lambda: RawProtocol(reply), "127.0.0.1", 0, backlog=4096)
    await serve_until_stdin_ends("raw asyncio protocol", server.sockets[0].getsockname()[1])


if __name__ == "__main__":
    from benchmarks.servers.process import run

    run(main())
