"""AsyncWebSocket: receiving ahead, sending, and the closing handshake.

aiohttp makes the connection and writes the frames. Its ``ClientWebSocketResponse`` is not used:
it answers pings and notices closes only while a ``receive()`` is pending. Here, arriving
messages are read into the queue at once, as long as that has room.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Any, Protocol

import anyio
from aiohttp import (
    ClientResponse,
    ClientSession,
    ServerTimeoutError,
    WSCloseCode,
    WSMessage,
    WSMsgType,
)

from ..._caller import note_doing
from .frames import CLOSE, PING, parse_close
from .heartbeat import Heartbeat
from .receive_queue import CLOSED_MESSAGE, WAITING, ReceiveQueue
from .receiver import Receiver
from .sender import Sender
from .settings import GOING_AWAY_TIMEOUT, LINGER, SocketSettings

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from ..exchange.progress import Progress
    from .handshake import Agreed


class Host(Protocol):
    """The session that a WebSocket belongs to."""

    @property
    def http(self) -> ClientSession:
        """The open aiohttp session."""
        ...

    async def shake_hands(self, progress: Progress, options: dict[str, Any]) -> ClientResponse:
        """Return the answer to the request for a WebSocket, once redirects are followed."""
        ...

    def adopt(self, live: AsyncWebSocket, *, lasts: bool) -> None:
        """Note a socket that has to be closed with the session."""

    def forget(self, live: AsyncWebSocket) -> None:
        """Forget a socket that has been closed."""


#: A parser's answer to aiohttp's protocol: not at the end, and no bytes left over.
_FED = (False, b"")


class AsyncWebSocket:
    """One open WebSocket. Event loop only, except ``queue`` and ``window``.

    aiohttp's protocol uses it as its parser.

    Args:
        response: the response to the handshake, whose connection the socket takes over.
        handler, transport: of that connection.
        agreed: the result of the handshake.
        host: the session, which forgets the socket once it is closed.
    """

    def __init__(
        self,
        response: ClientResponse,
        handler: ResponseHandler,
        transport: asyncio.Transport,
        agreed: Agreed,
        settings: SocketSettings,
        host: Host | None = None,
    ) -> None:
        self._response = response
        self._handler = handler
        self._transport = transport
        self._settings = settings
        self._host = host
        self._loop = asyncio.get_running_loop()
        deflate = agreed.deflate
        self._sender = Sender(handler, transport, deflate)
        self.queue = ReceiveQueue(settings.buffer_messages, settings.buffer_bytes)
        self.window = self._sender.window
        self._receiver = Receiver(
            handler,
            self.queue,
            settings,
            deflate,
            control=self._control,
            fail=self._fail,
            finish=self._read_all,
        )
        #: Whether closing has begun on this side.
        self._closing = False
        self._close_code: int | None = None
        self._exception: BaseException | None = None
        #: Set once the peer's close frame has arrived, or can no longer arrive.
        self._answered = asyncio.Event()
        #: Whether the connection is gone.
        self._lost = False
        #: Set once the connection is gone and its last bytes have been read.
        self._closed = asyncio.Event()
        #: Tasks; asyncio itself holds them weakly.
        self._tasks: set[asyncio.Task[None]] = set()

        self._heartbeat: Heartbeat | None = None
        if settings.heartbeat is not None:
            self._heartbeat = Heartbeat(settings.heartbeat, self._sender.ping, self._give_up)
        if host is not None:
            host.adopt(self, lasts=True)
        # Feeds bytes that arrived with the handshake at once.
        handler.set_parser(self, None)

    async def __aenter__(self) -> AsyncWebSocket:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    # -- called by the protocol ------------------------------------------------------

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes that were received."""
        if self._heartbeat is not None:
            self._heartbeat.heard()
        self._receiver.feed(bytes(data))
        return _FED

    def feed_eof(self) -> None:
        """Note that the connection is gone."""
        if self._lost:
            return
        self._lost = self._sender.ended = True
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self._response.close()
        # In the next turn, when the socket is really closed.
        self._loop.call_soon(self._receiver.feed_eof)

    # -- receiving -------------------------------------------------------------------

    async def wait(self, timeout: float | None = None) -> None:
        """Wait until the queue has a message or has ended.

        After ``timeout`` seconds (None sets no limit) it raises ``asyncio.TimeoutError``. That,
        and cancelling the waiting task, leave the socket as it was. A second reader gets
        RuntimeError.
        """
        queue = self.queue
        if queue.first_waiter() is not None:
            queue.refuse_second()
        if not queue.ready:
            self.make_room()
        if not queue.ready:
            note_doing(WAITING)
            await queue.wait(timeout)
        if queue.ended and not queue.messages and not queue.over:
            # The peer has closed, and with autoclose=False the answer is still due. aiohttp, too,
            # answers when its user receives once more.
            await self.close()

    async def receive(self, timeout: float | None = None) -> WSMessage:
        """Return the next message; always a ``CLOSED`` one once the socket is closed.

        Raises as ``wait`` does.
        """
        queue = self.queue
        if not queue.messages:
            await self.wait(timeout)
        message = queue.messages.popleft() if queue.messages else CLOSED_MESSAGE
        if len(queue.messages) <= queue.low_water:
            self.make_room()
        return message

    def make_room(self) -> None:
        """Receive again: the reader has taken messages down to the low-water mark."""
        self._receiver.make_room()

    def _control(self, opcode: int, payload: bytes) -> None:
        """Handle a control frame."""
        if opcode == CLOSE:
            self._peer_closed(payload)
        elif self._closing:
            pass
        elif not self._settings.autoping:
            kind = WSMsgType.PING if opcode == PING else WSMsgType.PONG
            self.queue.put(WSMessage(kind, payload, ""), len(payload))
        elif opcode == PING:
            self._sender.pong(payload)

    def _peer_closed(self, payload: bytes) -> None:
        """Handle the peer's close frame, the last one that counts (RFC 6455, 5.5.1)."""
        code, reason = parse_close(payload)
        self._receiver.end()
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self._close_code = code
        if not self._closing:
            self.queue.put(WSMessage(WSMsgType.CLOSE, code, reason))
            if self._settings.autoclose:
                self._end(payload[:2])
            else:
                self._publish_end(over=False)
        self._answered.set()

    def _fail(self, error: BaseException, code: int) -> None:
        """Close because the peer breaks the protocol (RFC 6455, 7.1.7).

        Bytes that still arrive are read and dropped: closing with unread bytes would reset the
        connection, and the peer might never see the reason.
        """
        self._receiver.end()
        if self._closing:
            self._answered.set()
            return
        self._close_code, self._exception = code, error
        self.queue.put(WSMessage(WSMsgType.ERROR, error, None))
        self._answered.set()
        reason = str(error).encode()[:_REASON]
        self._end(struct.pack("!H", code) + reason)

    def _read_all(self) -> None:
        """Finish, once the connection is gone and its last bytes have been read."""
        if self._close_code is None:
            self._close_code = WSCloseCode.ABNORMAL_CLOSURE
        self._receiver.end()
        self._receiver.release()
        self._answered.set()
        self._publish_end()
        if not self._closed.is_set():
            self._closed.set()
            if self._host is not None:
                self._host.forget(self)

    # -- the heartbeat ---------------------------------------------------------------

    def _give_up(self, silent: float) -> bool:
        """Drop the connection, since no pong arrived; return False if this side has not read.

        While the queue is full, nothing is read, and no pong can arrive.
        """
        if self._receiver.rested_within(silent):
            return False
        error = ServerTimeoutError(f"No PONG received after {silent} seconds")
        self._close_code, self._exception = WSCloseCode.ABNORMAL_CLOSURE, error
        if not self._closing:
            self.queue.put(WSMessage(WSMsgType.ERROR, error, None))
            self._publish_end()
        self._drop()
        return True

    # -- sending ---------------------------------------------------------------------

    async def send(
        self,
        kind: WSMsgType,
        data: bytes,
        compress: int | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Send one frame: TEXT (already encoded), BINARY, PING or PONG. See ``Sender.send``."""
        await self._sender.send(kind, data, compress, timeout=timeout)

    def send_entrusted(self, kind: WSMsgType, data: bytes) -> None:
        """Send one posted frame, which its sender has entered in the window."""
        self._sender.send_entrusted(kind, data)

    # -- closing ---------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether the connection is gone and the reader has taken the last message."""
        return self._closed.is_set() and self.queue.closed

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes = b"", timeout: float | None = None
    ) -> bool:
        """Close the WebSocket with a closing handshake, then the connection. Drops unread messages.

        A waiting reader wakes at once. The handshake may take ``timeout`` seconds, or the socket's
        own close timeout if that is None. If the peer does not answer in time, or the closing task
        is cancelled, the connection is dropped, and the close code is 1006. Returns False if the
        socket was already closed. A second closer waits for the first.
        """
        if self._closing:
            await self._closed.wait()
            return False
        first = not self.queue.over
        self._stop_reading()
        try:
            with anyio.move_on_after(self._settings.close_timeout if timeout is None else timeout):
                if first:
                    await self._say_close(struct.pack("!H", code) + message)
                    await self._answered.wait()
                    await self._hang_up()
                else:
                    await self._closed.wait()
        finally:
            self._drop()
            # An aborted connection is gone within a turn of the loop.
            with anyio.move_on_after(LINGER, shield=True):
                await self._closed.wait()
        return first

    async def aclose(self) -> None:
        """Close with 1001 and a short timeout, because the session or the program ends."""
        limit = min(self._settings.close_timeout, GOING_AWAY_TIMEOUT)
        await self.close(code=WSCloseCode.GOING_AWAY, timeout=limit)

    def abandon(self) -> None:
        """Drop the connection without a closing handshake. Does not wait."""
        self._stop_reading()
        # In the next turn: uvloop writes at the end of this one what was sent in it.
        self._loop.call_soon(self._drop)

    def _stop_reading(self) -> None:
        """Drop the messages that the reader has not taken, and receive no more."""
        self._closing = True
        self._receiver.discard()
        self._publish_end()

    def _publish_end(self, *, over: bool = True) -> None:
        self.queue.end(closed=over, close_code=self._close_code, exception=self._exception)

    def _end(self, payload: bytes) -> None:
        """End the queue after its last message, then close the connection."""
        self._publish_end()
        task = self._loop.create_task(self._finish(payload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _say_close(self, payload: bytes) -> None:
        if self._heartbeat is not None:
            self._heartbeat.stop()
        await self._sender.say_close(payload)

    async def _finish(self, payload: bytes) -> None:
        """Send the close frame that the peer's close or error calls for; close the connection."""
        try:
            with anyio.move_on_after(self._settings.close_timeout):
                await self._say_close(payload)
                await self._hang_up()
        finally:
            self._drop()

    async def _hang_up(self) -> None:
        """Close the connection after its buffered bytes have been sent.

        After an error the peer gets a moment to close it, since it still has to read the reason.
        """
        if self._exception is None and not self._lost:
            self._transport.close()
        with anyio.move_on_after(LINGER):
            await self._closed.wait()

    def _drop(self) -> None:
        if not self._lost:
            self._receiver.end()
            self._transport.abort()


#: Maximum size of the reason of a close frame in bytes.
_REASON = 123


async def pause(host: Host, seconds: float) -> None:
    """Sleep. The closing of the session wakes a caller that is blocked on this."""
    await asyncio.sleep(seconds)
