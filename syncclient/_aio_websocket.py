"""AioWebSocket: aiohttp's ClientWebSocketResponse, for a task of any event loop."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType

from ._async import websocket as core
from ._async.websocket import AsyncWebSocket
from ._async.ws_inbox import CLOSED_MESSAGE
from ._awaited import NOTHING
from ._deadline import DeadlineError
from ._exceptions import LoopThreadError, SessionClosedError
from ._websocket import Limits, WebSocketOptions, arrange
from ._websocket_base import (
    ENDS,
    Buffer,
    SocketBase,
    data_of,
    data_to_send,
    frame_to_send,
    reason_to_send,
    text_of,
    text_to_send,
)

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._async.session import AsyncSession
    from ._portal import Portal
    from ._request import Defaults
    from ._types import StrOrURL


async def connect(
    portal: Portal[AsyncSession],
    defaults: Defaults,
    url: StrOrURL,
    options: WebSocketOptions,
    **limits: Unpack[Limits],
) -> AioWebSocket:
    """Open a WebSocket: the inside of ``AioSession.ws_connect``."""
    arranged = arrange(defaults, url, options, **limits)
    opened, remote = await portal.aopen(
        core.connect, NOTHING, None, arranged.url, **arranged.keywords
    )
    assert remote is not None
    return AioWebSocket(opened, remote, arranged.receive_timeout)


class AioWebSocket(SocketBase):
    """An open WebSocket, awaited. Made by ``AioSession.ws_connect``.

    Any number of tasks, of any loops, may send; one at a time may receive. While none does,
    a task on the loop thread receives ahead, as it does for ``WebSocket``. What is here
    already is received without suspending; under trio, that is no checkpoint.

    Cancelling a ``receive()`` that waits loses no message. Source:
    aiohttp.ClientWebSocketResponse.
    """

    __slots__ = ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close, as ``close()`` does."""
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WSMessage:
        """Return the next message; stop at the close frame, or the end of the connection."""
        message = await self.receive()
        if message.type in ENDS:
            raise StopAsyncIteration
        return message

    # -- receiving -------------------------------------------------------------------

    async def receive(self, timeout: float | None = None) -> WSMessage:
        """Return the next message, once there is one.

        Args:
            timeout: seconds to wait, 0 to look only. None takes ``ws_receive`` of the
                socket's ``ClientWSTimeout``, and waits for ever where that is not set.

        Once the socket is closed, each call returns a message of type CLOSED at once.

        Raises:
            TimeoutError: no message came in time. The socket is as good as before.
            RuntimeError: another task, or thread, is waiting in ``receive`` already.
        """
        inbox = self._inbox
        if not inbox.messages and not inbox.closed:
            await self._wait(timeout)
        try:
            return self._popleft()
        except IndexError:
            return CLOSED_MESSAGE

    async def _wait(self, timeout: float | None) -> None:
        """Cross, to wait for a message or the end."""
        limit = self._receive_timeout if timeout is None else timeout
        until = None if limit is None else time.monotonic() + limit
        inbox = self._inbox
        while not inbox.messages and not inbox.closed:
            # Seldom more than once; see ``WebSocket._wait``.
            await self._remote.acall(AsyncWebSocket.wait, limit)
            if until is not None:
                limit = max(0.0, until - time.monotonic())

    async def receive_str(self, *, timeout: float | None = None) -> str:
        """Return the text of the next message (bytes if opened with ``decode_text=False``).

        Raises as ``receive`` does, and WSMessageTypeError if the message is no text.
        """
        return text_of(await self.receive(timeout))

    async def receive_bytes(self, *, timeout: float | None = None) -> bytes:
        """Return the data of the next message.

        Raises as ``receive`` does, and WSMessageTypeError if the message is not binary.
        """
        return data_of(await self.receive(timeout))

    async def receive_json(
        self, *, loads: Callable[[str], Any] = json.loads, timeout: float | None = None
    ) -> Any:
        """Return the next message, which must be text, as parsed by ``loads`` in this thread."""
        return loads(await self.receive_str(timeout=timeout))

    # -- sending ---------------------------------------------------------------------

    async def send_str(self, data: str, compress: int | None = None) -> None:
        """Send ``data`` as a text message.

        Waits only while more is written than the connection takes. ``compress`` (window
        bits, 9 to 15) compresses this message alone; the peer must have agreed to that.

        Raises:
            TypeError: ``data`` is not a str.
            ClientConnectionResetError: the socket is closed.
        """
        await self._send(WSMsgType.TEXT, text_to_send(data), compress)

    async def send_bytes(self, data: Buffer, compress: int | None = None) -> None:
        """Send ``data`` as a binary message. Else as ``send_str``."""
        await self._send(WSMsgType.BINARY, data_to_send(data), compress)

    async def send_json(
        self, data: Any, compress: int | None = None, *, dumps: Callable[[Any], str] = json.dumps
    ) -> None:
        """Send ``data`` as a text message, serialised by ``dumps`` in this thread."""
        await self.send_str(dumps(data), compress=compress)

    async def send_json_bytes(
        self, data: Any, compress: int | None = None, *, dumps: Callable[[Any], bytes]
    ) -> None:
        """Send ``data`` as a binary message: for encoders like orjson, which return bytes."""
        await self.send_bytes(dumps(data), compress=compress)

    async def send_frame(
        self, message: Buffer, opcode: WSMsgType, compress: int | None = None
    ) -> None:
        """Send ``message`` in one frame with ``opcode``. Else as ``send_str``."""
        await self._send(WSMsgType(opcode), frame_to_send(message, opcode), compress)

    async def ping(self, message: Buffer = b"") -> None:
        """Send a ping of up to 125 bytes. Does not wait for the pong."""
        await self.send_frame(message, WSMsgType.PING)

    async def pong(self, message: Buffer = b"") -> None:
        """Send a pong of up to 125 bytes. Needed only with ``autoping=False``."""
        await self.send_frame(message, WSMsgType.PONG)

    async def _send(self, kind: WSMsgType, data: bytes, compress: int | None) -> None:
        self._refuse_closed()
        await self._remote.acall(AsyncWebSocket.send, kind, data, compress)

    # -- closing ---------------------------------------------------------------------

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"") -> bool:
        """Close the socket, with ``code`` and up to 123 bytes of ``message`` for the peer.

        Waits until the peer has answered, for ``ws_close`` seconds of the socket's
        ``ClientWSTimeout`` at most; then the connection is dropped, and the close code
        is 1006. A task that waits in ``receive()`` gets a CLOSED message. What was received
        and not yet read is lost. Returns False if the socket was closed already.
        """
        data = reason_to_send(code, message)
        try:
            return await self._remote.acall(AsyncWebSocket.close, code=code, message=data)
        except (SessionClosedError, LoopThreadError):
            return False  # nothing is left of it that could be closed
        except DeadlineError:
            # Before the call or in it: too late to wait for the peer, and yet it must not stay.
            self._remote.post(AsyncWebSocket.abandon)
            raise
