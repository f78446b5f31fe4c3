"""AioWebSocket: aiohttp's ClientWebSocketResponse, for tasks of any event loop."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from aiohttp import WSCloseCode, WSMessage, WSMsgType

from .._async.websocket import connect as ws_connect
from .._async.websocket.websocket import AsyncWebSocket
from .._boundary.submitted_call import NOTHING
from .._client.websocket_base import (
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
from .._client.websocket_options import Limits, WebSocketOptions, arrange
from .._deadline import check_nearest, innermost

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .._client.place import Place
    from .._types import StrOrURL

P = ParamSpec("P")
R = TypeVar("R")


async def connect(
    place: Place,
    url: StrOrURL,
    options: WebSocketOptions,
    **limits: Unpack[Limits],
) -> AioWebSocket:
    """Open a WebSocket: the implementation of ``AioSession.ws_connect``."""
    arranged = arrange(place, url, options, surroundings=await place.surroundings(), **limits)
    opened, remote = await place.portal.aopen(
        place.here(ws_connect.connect), NOTHING, None, arranged.url, **arranged.keywords
    )
    assert remote is not None
    return AioWebSocket(opened, remote, arranged.receive_timeout)


class AioWebSocket(WebSocketBase):
    """An open WebSocket for async code. Created by ``AioSession.ws_connect``.

    Any number of tasks, in any loops, may send; one at a time may receive. The loop thread
    receives ahead, as for ``WebSocket``. A message that has already arrived is returned without
    suspending; under trio, this is not a checkpoint.

    Cancelling a waiting ``receive()`` loses no message. Source:
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
            timeout: seconds to wait; 0 does not wait. None takes ``ws_receive`` of the
                socket's ``ClientWSTimeout``, and sets no limit if that is not set.

        Once the socket is closed, each call returns a message of type CLOSED at once.

        Raises:
            TimeoutError: no message arrived in time. The socket can still be used.
            DeadlineError: the time of a ``timeout()`` block is over.
            RuntimeError: another task, or thread, is already waiting in ``receive``.
        """
        if innermost() is not None:
            check_nearest()
        message = self._take()
        return await self._next(timeout) if message is None else message

    async def receive_str(self, *, timeout: float | None = None) -> str:
        """Return the text of the next message (bytes if opened with ``decode_text=False``).

        Raises as ``receive`` does, and WSMessageTypeError if the message is not text.
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
        return json_of(await self.receive(timeout), loads)

    # -- sending ---------------------------------------------------------------------

    async def send_str(self, data: str, compress: int | None = None) -> None:
        """Send ``data`` as a text message.

        A message of up to 16 KiB is posted to the loop thread, and this does not suspend. It
        waits until the message is written if it is longer, if 64 posted messages are still
        waiting, or if the connection is congested. If a posted message cannot be written, the
        next send raises the error.

        ``compress`` (window bits, 9 to 15) compresses only this message; the peer must have
        agreed to that.

        Raises:
            TypeError: ``data`` is not a str.
            ClientConnectionResetError: the socket is closed, or the connection was lost before
                the last message was written.
        """
        await self._send(WSMsgType.TEXT, text_to_send(data), compress)

    async def send_bytes(self, data: Buffer, compress: int | None = None) -> None:
        """Send ``data`` as a binary message. Otherwise like ``send_str``."""
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
        """Send ``message`` in one frame with ``opcode``. Otherwise like ``send_str``."""
        await self._send(WSMsgType(opcode), frame_to_send(message, opcode), compress)

    async def ping(self, message: Buffer = b"") -> None:
        """Send a ping of up to 125 bytes. Does not wait for the pong."""
        await self.send_frame(message, WSMsgType.PING)

    async def pong(self, message: Buffer = b"") -> None:
        """Send a pong of up to 125 bytes. Needed only with ``autoping=False``."""
        await self.send_frame(message, WSMsgType.PONG)

    async def _send(self, kind: WSMsgType, data: bytes, compress: int | None) -> None:
        bits = self._bits(compress)
        if not self._entrust(kind, data, bits):
            await self._remote.acall(AsyncWebSocket.send, kind, data, bits)

    # -- closing ---------------------------------------------------------------------

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"") -> bool:
        """Close the socket, with ``code`` and up to 123 bytes of ``message`` for the peer.

        Waits until the peer has responded, for at most ``ws_close`` seconds of the socket's
        ``ClientWSTimeout``; then the connection is dropped, and the close code is 1006. A task
        that waits in ``receive()`` gets a CLOSED message. Messages that have been received but
        not read are lost. Returns False if the socket was already closed.
        """
        return await self._close(code, message)

    # -- inside ----------------------------------------------------------------------

    async def _call(
        self,
        method: Callable[Concatenate[AsyncWebSocket, P], Awaitable[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        return await self._remote.acall(method, *args, **kwargs)
