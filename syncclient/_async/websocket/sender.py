"""Sending over a WebSocket: messages, pings and pongs, and the close frame."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from aiohttp import ClientConnectionResetError, WSMsgType
from aiohttp.http import WebSocketWriter

from ..._caller import note_doing
from ..._coroutines import start
from ..._tracebacks import bare

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from .handshake import Deflate


#: Maximum size in bytes of a message that is posted without waiting for it.
SMALL = 2**14
#: How many posted messages may be under way; each thread that sends may add one.
_UNDER_WAY = 64
#: Bytes that a frame may have beside its payload: its header, and overhead of the compression.
_OVERHEAD = 64


class SendWindow:
    """Counts the posted messages that are under way, and keeps the error of one that failed.

    Posting works as in TCP: a small message is sent in its turn, and if that fails, the next
    ``send`` raises the error. Senders wait while many messages are under way, or the connection
    takes no more.

    Senders, on any thread, append to ``under_way`` before they post a message. The loop removes
    an entry for each message that it has sent, and writes the other fields. A sender interrupted
    between the two leaves an entry behind, which makes the window smaller by one.
    """

    __slots__ = ("congested", "fault", "under_way")

    def __init__(self) -> None:
        self.under_way: deque[None] = deque()
        #: Whether the connection took no more when a message was last written.
        self.congested: bool = False
        #: Why a posted message was not sent, until a sender raises it.
        self.fault: BaseException | None = None

    def has_room(self, size: int) -> bool:
        """Return whether a message of ``size`` bytes can be posted without waiting."""
        return size <= SMALL and not self.congested and len(self.under_way) < _UNDER_WAY

    def withdraw(self) -> None:
        """Remove the entry of a message that will not be posted. Any thread."""
        if self.under_way:
            self.under_way.pop()


class Sender:
    """Sends frames, with aiohttp's writer. Event loop only.

    Args:
        handler, transport: of the connection.
        deflate: the agreed compression.
    """

    def __init__(
        self, handler: ResponseHandler, transport: asyncio.Transport, deflate: Deflate | None
    ) -> None:
        self._handler = handler
        self._transport = transport
        #: Window bits; 0 does not compress.
        self._bits = deflate.client_bits if deflate is not None and deflate.can_send else 0
        self._keeps_context = deflate is not None and not deflate.client_notakeover
        self._writer = WebSocketWriter(
            handler,
            transport,
            use_mask=True,
            compress=self._bits,
            notakeover=not self._keeps_context,
        )
        self.window = SendWindow()
        #: Whether nothing more can be sent: a close frame was sent, or the connection is gone.
        self.ended = False
        #: Tasks that outlive the call that started them; asyncio itself holds them weakly.
        self._sends: set[asyncio.Task[None]] = set()
        #: The latest unanswered ping, and the task that answers it.
        self._owed: bytes | None = None
        self._ponging: asyncio.Task[None] | None = None

    async def send(
        self,
        kind: WSMsgType,
        data: bytes,
        compress: int | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Send one frame: TEXT (already encoded), BINARY, PING or PONG.

        Waits only while the connection takes no more, and for ``timeout`` seconds at most (None
        sets no limit); then raises ``asyncio.TimeoutError``. By then the frame may have been
        sent, or may be sent later; it is sent whole or not at all. Raises
        ``ClientConnectionResetError`` once the socket is closed.
        """
        sending = start(self._send_frame(data, kind, compress))
        if not sending.done():
            # Never cancelled, even if this task is: in aiohttp all senders wait for one future,
            # and cancelling one would cancel the others.
            note_doing("sending to a WebSocket")
            self._sends.add(sending)
            sending.add_done_callback(self._sent)
            await asyncio.wait([sending], timeout=timeout)
            if not sending.done():
                raise asyncio.TimeoutError("the peer does not read the data sent to it")
        if sending.cancelled():
            raise ClientConnectionResetError("the connection was closed while sending")
        sending.result()
        self.window.congested = self._handler.writing_paused

    async def _send_frame(self, data: bytes, kind: WSMsgType, compress: int | None = None) -> None:
        if self.ended:
            raise ClientConnectionResetError("Cannot write to closing transport")
        if kind is WSMsgType.CLOSE:
            self.ended = True
        # If messages may refer to earlier ones, they share one compressor.
        await self._writer.send_frame(data, kind, None if self._keeps_context else compress)

    def send_entrusted(self, kind: WSMsgType, data: bytes) -> None:
        """Send one posted frame, which its sender has entered in the window."""
        window = self.window
        if self._goes_at_once(data):
            try:
                self._write(data, kind)
            except Exception as error:
                window.fault = bare(error)
        else:
            sending = start(self._send_frame(data, kind))
            self._sends.add(sending)
            sending.add_done_callback(self._sent_at_last)
        window.congested = self._handler.writing_paused
        if window.under_way:
            window.under_way.popleft()

    def _sent_at_last(self, sending: asyncio.Task[None]) -> None:
        self._sends.discard(sending)
        fault: BaseException | None
        if sending.cancelled():
            fault = ClientConnectionResetError("the connection was closed while sending")
        else:
            fault = sending.exception()
        if fault is not None:
            self.window.fault = bare(fault)
        self.window.congested = self._handler.writing_paused

    def _sent(self, sending: asyncio.Task[None]) -> None:
        self._sends.discard(sending)
        if not sending.cancelled():
            sending.exception()  # retrieved, so that asyncio does not log it

    async def say_close(self, payload: bytes) -> None:
        """Send a close frame, unless one was sent. It is the last frame (RFC 6455, 5.5.1)."""
        if self.ended:
            return
        self.ended = True
        if self._bits and self._sends:
            # aiohttp compresses large messages on a thread: they have to be sent first.
            await asyncio.wait(self._sends)
        try:
            await self._writer.send_frame(payload, WSMsgType.CLOSE)
        except (ClientConnectionResetError, OSError):
            pass  # the connection is gone; the protocol will report it

    # -- pings and pongs -------------------------------------------------------------

    def ping(self) -> None:
        """Send a ping."""
        if self._goes_at_once(b""):
            self._write_control(b"", WSMsgType.PING)
        else:
            pinging = start(self._send_frame(b"", WSMsgType.PING))
            self._sends.add(pinging)
            pinging.add_done_callback(self._sent)

    def pong(self, payload: bytes) -> None:
        """Answer a ping; only the latest, if the peer does not read the answers (5.5.3)."""
        if self.ended:
            return
        if self._goes_at_once(payload):
            self._write_control(payload, WSMsgType.PONG)
            return
        self._owed = payload
        if self._ponging is None or self._ponging.done():
            self._ponging = ponging = start(self._answer_owed())
            ponging.add_done_callback(self._sent)

    async def _answer_owed(self) -> None:
        while self._owed is not None and not self.ended:
            payload, self._owed = self._owed, None
            await self._writer.send_frame(payload, WSMsgType.PONG)

    def _write_control(self, payload: bytes, kind: WSMsgType) -> None:
        try:
            self._write(payload, kind)
        except (ClientConnectionResetError, OSError):
            pass  # the connection is gone; the protocol will report it

    def _goes_at_once(self, payload: bytes) -> bool:
        """Return whether a frame can be written without waiting.

        A wait would be for the connection to take more or, with compression, for a large message
        that is being compressed on a thread.
        """
        if self._sends and self._bits:
            return False
        transport = self._transport
        size = transport.get_write_buffer_size() + len(payload) + _OVERHEAD
        return size <= transport.get_write_buffer_limits()[1] and not self._handler.writing_paused

    def _write(self, payload: bytes, kind: WSMsgType) -> None:
        """Send a frame without waiting, and without a task: a turn may have thousands of them."""
        try:
            self._send_frame(payload, kind).send(None)
        except StopIteration:
            return
        raise RuntimeError("aiohttp waits although there is room")
