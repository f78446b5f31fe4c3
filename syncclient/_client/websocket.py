"""WebSocket: aiohttp's ClientWebSocketResponse, minus ``await``."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from aiohttp import WSCloseCode, WSMessage, WSMsgType

from .._async.websocket import connect as ws_connect
from .._async.websocket.receive_queue import WAITING, no_message
from .._async.websocket.websocket import AsyncWebSocket
from .._coroutines import blocking
from .._deadline import check_nearest, innermost
from .websocket_base import (
    ENDS,
    Buffer,
    WebSocketBase,
    data_of,
    data_to_send,
    frame_to_send,
    json_of,
    text_of,
    text_to_send,
)
from .websocket_options import Limits, WebSocketOptions, arrange

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .._types import StrOrURL
    from .place import Place

P = ParamSpec("P")
R = TypeVar("R")


def connect(
    place: Place,
    url: StrOrURL,
    options: WebSocketOptions,
    **limits: Unpack[Limits],
) -> WebSocket:
    """Open a WebSocket: the implementation of ``Session.ws_connect``. Blocks for the handshake."""
    arranged = arrange(place, url, options, **limits)
    opened, remote = place.portal.open(
        place.here(ws_connect.connect), arranged.url, **arranged.keywords
    )
    assert remote is not None
    return WebSocket(opened, remote, arranged.receive_timeout)


class WebSocket(WebSocketBase):
    """An open WebSocket. Created by ``Session.ws_connect``.

    Any number of threads may send, one at a time may receive. The loop thread receives ahead, so
    it answers pings and notices closes even if your code is busy for minutes. At a limit
    (``buffer_messages`` and ``buffer_bytes`` of ``ws_connect``) it stops receiving, and flow
    control slows the server down. Beyond that limit pings are not answered either, so an
    impatient server may drop the connection.

    Any thread but the loop thread may call every method. A blocked method ends with
    KeyboardInterrupt, ``close()`` in another thread, the closing of the session
    (SessionClosedError), or the end of the loop thread (LoopThreadError).
    """

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close, as ``close()`` does; with a short timeout if the program is ending."""
        if exc_type is not None and issubclass(exc_type, (KeyboardInterrupt, SystemExit)):
            blocking(self._go_away)
        else:
            self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> WSMessage:
        """Return the next message; stop at the close frame, or the end of the connection."""
        message = self.receive()
        if message.type in ENDS:
            raise StopIteration
        return message

    # -- receiving -------------------------------------------------------------------

    def receive(self, timeout: float | None = None) -> WSMessage:
        """Return the next message. Blocks until there is one.

        Args:
            timeout: seconds to wait; 0 does not wait. None takes ``ws_receive`` of the
                socket's ``ClientWSTimeout``, and sets no limit if that is not set.

        Once the socket is closed, each call returns a message of type CLOSED at once.

        Raises:
            TimeoutError: no message arrived in time. The socket can still be used.
            DeadlineError: the time of a ``timeout()`` block is over.
            RuntimeError: another thread is already waiting in ``receive``.
        """
        if innermost() is not None:
            check_nearest()
        message = self._take()
        return blocking(self._next, timeout) if message is None else message

    def receive_str(self, *, timeout: float | None = None) -> str:
        """Return the text of the next message (bytes if opened with ``decode_text=False``).

        Raises as ``receive`` does, and WSMessageTypeError if the message is not text.
        """
        return text_of(self.receive(timeout))

    def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """Return the data of the next message.

        Raises as ``receive`` does, and WSMessageTypeError if the message is not binary.
        """
        return data_of(self.receive(timeout))

    def receive_json(
        self, *, loads: Callable[[str], Any] = json.loads, timeout: float | None = None
    ) -> Any:
        """Return the next message, which must be text, as parsed by ``loads`` in this thread."""
        return json_of(self.receive(timeout), loads)

    # -- sending ---------------------------------------------------------------------

    def send_str(self, data: str, compress: int | None = None) -> None:
        """Send ``data`` as a text message. Any thread; messages of one thread keep their order.

        A message of up to 16 KiB is posted to the loop thread, and this returns immediately. It
        blocks until the message is written if it is longer, if 64 posted messages are still
        waiting, or if the connection is congested because the peer reads slowly. If a posted
        message cannot be written, the next send raises the error; ``close()`` does not. To be
        sure that a message has arrived, wait for a response.

        ``compress`` (window bits, 9 to 15) compresses only this message; the peer must have
        agreed to that.

        Raises:
            TypeError: ``data`` is not a str.
            ClientConnectionResetError: the socket is closed, or the connection was lost before
                the last message was written.
        """
        self._send(WSMsgType.TEXT, text_to_send(data), compress)

    def send_bytes(self, data: Buffer, compress: int | None = None) -> None:
        """Send ``data`` as a binary message. Otherwise like ``send_str``."""
        self._send(WSMsgType.BINARY, data_to_send(data), compress)

    def send_json(
        self, data: Any, compress: int | None = None, *, dumps: Callable[[Any], str] = json.dumps
    ) -> None:
        """Send ``data`` as a text message, serialised by ``dumps`` in this thread."""
        self.send_str(dumps(data), compress=compress)

    def send_json_bytes(
        self, data: Any, compress: int | None = None, *, dumps: Callable[[Any], bytes]
    ) -> None:
        """Send ``data`` as a binary message: for encoders like orjson, which return bytes."""
        self.send_bytes(dumps(data), compress=compress)

    def send_frame(self, message: Buffer, opcode: WSMsgType, compress: int | None = None) -> None:
        """Send ``message`` in one frame with ``opcode``. Otherwise like ``send_str``."""
        self._send(WSMsgType(opcode), frame_to_send(message, opcode), compress)

    def ping(self, message: Buffer = b"") -> None:
        """Send a ping of up to 125 bytes. Does not wait for the pong."""
        self.send_frame(message, WSMsgType.PING)

    def pong(self, message: Buffer = b"") -> None:
        """Send a pong of up to 125 bytes. Needed only with ``autoping=False``."""
        self.send_frame(message, WSMsgType.PONG)

    def _send(self, kind: WSMsgType, data: bytes, compress: int | None) -> None:
        bits = self._bits(compress)
        if not self._entrust(kind, data, bits):
            self._remote.call(AsyncWebSocket.send, kind, data, bits)

    # -- closing ---------------------------------------------------------------------

    def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"") -> bool:
        """Close the socket, with ``code`` and up to 123 bytes of ``message`` for the peer.

        Blocks until the peer has responded, for at most ``ws_close`` seconds of the socket's
        ``ClientWSTimeout``; then the connection is dropped, and the close code is 1006. A reader
        blocked in another thread gets a CLOSED message. Messages that have been received but not
        read are lost. Returns False if the socket was already closed.
        """
        return blocking(self._close, code, message)

    # -- inside ----------------------------------------------------------------------

    async def _call(
        self,
        method: Callable[Concatenate[AsyncWebSocket, P], Awaitable[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        return self._remote.call(method, *args, **kwargs)

    async def _wait(self, limit: float | None) -> None:
        queue = self._queue
        if queue.ended or (limit is not None and limit <= 0):
            # Answers the peer's close frame, or checks for messages without waiting.
            await super()._wait(limit)
            return
        if queue.resting:  # an interrupt came before the loop knew that there is room
            self._make_room()
        if not self._remote.wait_for(queue, limit, WAITING):
            raise no_message()
