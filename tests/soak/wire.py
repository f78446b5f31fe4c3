"""The server's side of one connection of a soak."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import struct


class Wire:
    """One connection: what the faults are made of."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> None:
        self._reader = reader
        self._writer = writer
        lines = request.decode("latin-1").split("\r\n")
        #: What was asked for, such as "/fresh/7".
        self.target = lines[0].split(" ")[1]
        self._headers = {
            name.lower(): value for name, _, value in (s.partition(": ") for s in lines)
        }

    def header(self, name: str) -> str:
        """Return a header of the request, by its name in lower case; empty where it has none."""
        return self._headers.get(name, "")

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, length: int | None = None, *headers: str) -> None:
        coding = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        lines = ["HTTP/1.1 200 OK", coding, *headers, "", ""]
        await self.send("\r\n".join(lines).encode())

    async def request_body(self) -> None:
        """Read the body of the request, to its last byte."""
        if "transfer-encoding" not in self._headers:
            await self._reader.readexactly(int(self._headers.get("content-length", "0")))
            return
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            await self._reader.readexactly(size + 2)
        await self._reader.readexactly(2)

    async def upgrade(self) -> None:
        """Make a WebSocket of it."""
        key = self._headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        await self.send("\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept}", "", ""]).encode())

    async def some(self) -> None:
        """Wait for the client to send something."""
        await self._reader.read(65536)

    def reset(self) -> None:
        """End the connection with an RST."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def until_left(self) -> None:
        """Wait for the client to go, whatever it sends before."""
        while await self._reader.read(65536):
            pass
