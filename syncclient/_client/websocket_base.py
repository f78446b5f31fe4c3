"""WebSocketBase: the common part of the blocking and the awaited WebSocket."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from aiohttp import ClientConnectionResetError, WSMessage, WSMessageTypeError, WSMsgType

from .._async.websocket.frames import may_close_with
from .._async.websocket.receive_queue import CLOSED_MESSAGE
from .._async.websocket.settings import Opened
from .._async.websocket.websocket import AsyncWebSocket
from .._boundary.unclosed import call_site, complain, watch
from .._deadline import DeadlineError
from .._exceptions import LoopThreadError, SessionClosedError
from .._other_libraries import no_such_attribute

if TYPE_CHECKING:
    from .._boundary.lease import Remote

P = ParamSpec("P")
R = TypeVar("R")

#: The types that can be sent as bytes.
Buffer = bytes | bytearray | memoryview

#: Maximum payload of a control frame in bytes (RFC 6455, 5.5).
_CONTROL_LIMIT = 125

#: The frames that can be sent. A continuation would need a first frame.
_SENDABLE = frozenset(
    {WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CLOSE, WSMsgType.PING, WSMsgType.PONG}
)

#: The messages that end an iteration.
ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)


class WebSocketBase:
    """The state of a WebSocket, and the steps of both kinds. Any thread may read the state."""

    __slots__ = (
        "__weakref__",
        "_opened",
        "_opened_at",
        "_popleft",
        "_queue",
        "_receive_timeout",
        "_remote",
    )

    def __init__(
        self, opened: Opened, remote: Remote[AsyncWebSocket], receive_timeout: float | None
    ) -> None:
        self._opened = opened
        self._remote = remote
        self._receive_timeout = receive_timeout
        self._queue = opened.queue
        self._popleft = opened.queue.messages.popleft
        self._opened_at = call_site()
        watch(self)

    def __repr__(self) -> str:
        code = self.close_code
        state = "open" if not self.closed else "closed" if code is None else f"closed ({code})"
        return f"<{type(self).__name__} {state}>"

    def __del__(self) -> None:
        # Dropping the remote drops the connection, without waiting.
        complain(self)

    def _complaint(self) -> str | None:
        # If __init__ was interrupted, fields are missing.
        if not hasattr(self, "_opened_at") or self._queue.closed or not self._remote.reachable:
            return None
        return (
            f"unclosed {self!r}; it was opened at {self._opened_at}: "
            "use it in a with block, or call close()"
        )

    # -- state -----------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called, or the end of the connection was received.

        False while there are messages to receive; sending may fail nevertheless.
        """
        return self._queue.closed

    @property
    def close_code(self) -> int | None:
        """The code that the peer closed with; None while the socket is open.

        1005 if the close frame had no code, 1006 if the connection was lost, and the code sent to
        the peer if that broke the protocol.
        """
        return self._queue.close_code

    @property
    def protocol(self) -> str | None:
        """The negotiated subprotocol, if any."""
        return self._opened.protocol

    @property
    def compress(self) -> int:
        """The window bits of permessage-deflate; 0 if messages are not compressed."""
        return self._opened.compress

    @property
    def client_notakeover(self) -> bool:
        """Whether each message is compressed by itself."""
        return self._opened.client_notakeover

    def exception(self) -> BaseException | None:
        """Return the error that broke the connection, once it has been received, or None."""
        return self._queue.exception

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return information about the transport, as it was when the socket was opened.

        ``name`` is "peername", "sockname", "cipher", "compression" or "peercert". For anything
        else, such as "socket", which belongs to the loop thread, this returns ``default``.
        """
        value = self._opened.extra.get(name)
        return default if value is None else value

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            raise no_such_attribute("WebSocket", self, name)

    def _bits(self, compress: int | None) -> int | None:
        """Check the window bits for one message; raise ValueError if the peer did not agree."""
        if not compress:
            return None
        most = self._opened.compress
        if not 9 <= compress <= most:
            agreed = f"from 9 to {most}" if most >= 9 else "0: no compression was agreed on"
            raise ValueError(f"compress must be {agreed}, not {compress!r}")
        return compress

    # -- steps -----------------------------------------------------------------------

    async def _call(
        self,
        method: Callable[Concatenate[AsyncWebSocket, P], Awaitable[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Cross to the loop thread, and return the result of ``method``."""
        raise NotImplementedError

    async def _wait(self, limit: float | None) -> None:
        """Wait for a message or the end, for ``limit`` seconds at most. Raises TimeoutError."""
        await self._call(AsyncWebSocket.wait, limit)

    def _take(self) -> WSMessage | None:
        """Take the next message: a CLOSED one after the end, None if none has arrived."""
        queue = self._queue
        if not queue.messages:
            return CLOSED_MESSAGE if queue.closed else None
        try:
            message = self._popleft()
        except IndexError:  # another thread has taken it
            return None
        if len(queue.messages) <= queue.low_water:
            self._make_room()
        return message

    async def _next(self, timeout: float | None) -> WSMessage:
        """Wait for the next message, and take it."""
        limit = self._receive_timeout if timeout is None else timeout
        until = None if limit is None else time.monotonic() + limit
        while True:
            await self._wait(limit)
            # Rarely missed: another reader may take the message at the moment of the wake-up.
            if (message := self._take()) is not None:
                return message
            if until is not None:
                limit = max(0.0, until - time.monotonic())

    def _make_room(self) -> None:
        """Resume receiving on the loop: the queue is down to its low-water mark."""
        self._queue.low_water = -1  # so that this is done once
        self._remote.post(AsyncWebSocket.make_room)

    def _entrust(self, kind: WSMsgType, data: bytes, bits: int | None) -> bool:
        """Post a short message without waiting; return False if its sender has to wait.

        Raises ClientConnectionResetError if the socket is closed, or if the last posted message
        could not be sent.
        """
        if self._queue.over:
            raise ClientConnectionResetError("Cannot write to closing transport")
        window = self._opened.window
        fault = window.fault
        if fault is not None:
            # Raised once: if the connection is gone, the check above raises from then on.
            window.fault = None
            raise fault
        if bits is not None or not window.has_room(len(data)):
            return False
        window.under_way.append(None)
        try:
            self._remote.entrust(AsyncWebSocket.send_entrusted, kind, data)
        except Exception:
            window.withdraw()
            raise
        return True

    async def _close(self, code: int, message: bytes) -> bool:
        """Close with ``code``; return whether the socket was open."""
        data = reason_to_send(code, message)
        try:
            return await self._call(AsyncWebSocket.close, code=code, message=data)
        except (SessionClosedError, LoopThreadError):
            return False  # already closed, with its session or the loop
        except DeadlineError:
            # Too late to wait for the peer, but the connection has to be closed.
            self._remote.post(AsyncWebSocket.abandon)
            raise

    async def _go_away(self) -> None:
        """Close because the program is ending."""
        with contextlib.suppress(SessionClosedError, LoopThreadError):
            await self._call(AsyncWebSocket.aclose)


def text_of(message: WSMessage) -> str:
    """Return the text of a message; raise WSMessageTypeError if it is not text."""
    if message.type is not WSMsgType.TEXT:
        raise WSMessageTypeError(
            f"Received message {message.type}:{message.data!r} is not WSMsgType.TEXT"
        )
    text: str = message.data
    return text


def data_of(message: WSMessage) -> bytes:
    """Return the data of a message; raise WSMessageTypeError if it is not binary."""
    if message.type is not WSMsgType.BINARY:
        raise WSMessageTypeError(
            f"Received message {message.type}:{message.data!r} is not WSMsgType.BINARY"
        )
    data: bytes = message.data
    return data


def json_of(message: WSMessage, loads: Callable[[str], Any]) -> Any:
    """Return the text of a message, parsed by ``loads``."""
    try:
        return loads(text_of(message))
    except RecursionError as exc:
        raise ValueError("the message is JSON that is nested too deeply to parse") from exc


def text_to_send(data: str) -> bytes:
    """Return ``data`` encoded; raise TypeError if it is not a str."""
    if not isinstance(data, str):
        raise TypeError(f"data argument must be str ({type(data)!r})")
    return data.encode("utf-8")


def frame_to_send(message: Buffer, opcode: WSMsgType) -> bytes:
    """Return the payload of a frame; raise ValueError if it cannot be sent as one."""
    data = data_to_send(message)
    if opcode not in _SENDABLE:
        raise ValueError(f"opcode must be TEXT, BINARY, CLOSE, PING or PONG, not {opcode!r}")
    if opcode == WSMsgType.CLOSE and data:
        if len(data) == 1:
            raise ValueError("message: a close frame begins with a code of two bytes")
        reason_to_send(int.from_bytes(data[:2], "big"), data[2:])
    elif opcode in (WSMsgType.PING, WSMsgType.PONG):
        _check_room("ping" if opcode == WSMsgType.PING else "pong", data, _CONTROL_LIMIT)
    return data


def reason_to_send(code: int, message: Buffer) -> bytes:
    """Return the reason of a close frame; raise ValueError if it, or ``code``, cannot be sent."""
    data = data_to_send(message)
    if not isinstance(code, int):
        raise TypeError(f"code must be int, not {type(code)!r}")
    if not may_close_with(code):
        raise ValueError(
            "code must be a close code that may be sent, 1000 to 1003, 1007 to 1014 or "
            f"3000 to 4999, not {int(code)}"
        )
    _check_room("close", data, _CONTROL_LIMIT - 2)
    try:
        str(data, "utf-8")
    except UnicodeDecodeError:
        raise ValueError("message: the reason of a close frame must be UTF-8") from None
    return data


def data_to_send(data: object) -> bytes:
    """Return ``data`` as immutable bytes; raise TypeError if it is not a buffer."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        # A copy: the caller may change the buffer once this returns, perhaps before a compressor
        # thread has read it.
        return bytes(data)
    raise TypeError(f"data argument must be byte-ish ({type(data)!r})")


def _check_room(frame: str, data: bytes, room: int) -> None:
    if len(data) > room:
        raise ValueError(f"message: a {frame} frame has room for {room} bytes, not {len(data)}")
