"""What both kinds of WebSocket are: the state, and what may be sent or was received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import ClientConnectionResetError, WSMessage, WSMessageTypeError, WSMsgType

from ._async.websocket import AsyncWebSocket, Opened
from ._unclosed import call_site, complain, watch

if TYPE_CHECKING:
    from ._lease import Remote

#: What can be sent as bytes.
Buffer = bytes | bytearray | memoryview

#: What the payload of a control frame may have (RFC 6455, 5.5).
_CONTROL_LIMIT = 125

#: With what the messages end.
ENDS = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED)


#: Names that sockets of websocket-client and websockets have, and what to write here.
_TWINS = {
    "close_reason": "close_code",
    "connected": "not socket.closed",
    "recv": "receive().data, receive_str() or receive_bytes()",
    "recv_data": "receive()",
    "recv_streaming": "receive(): messages come whole",
    "run_forever": "session.ws_connect_forever(), to iterate over",
    "send": "send_str() or send_bytes()",
    "send_binary": "send_bytes()",
    "send_text": "send_str()",
    "settimeout": "receive(timeout=...), or timeout=ClientWSTimeout(ws_receive=...) of ws_connect",
    "subprotocol": "protocol",
}

#: Keywords of theirs for a connection, and what to write here.
CONNECT_TWINS = {
    "additional_headers": "headers=",
    "cookie": "headers={'Cookie': ...}, or the session's cookie_jar",
    "header": "headers=",
    "max_size": "max_msg_size=",
    "open_timeout": "a block: with syncclient.timeout(seconds):",
    "ping_interval": "heartbeat=",
    "sslopt": "ssl=",
    "subprotocols": "protocols=",
}


class SocketBase:
    """An open WebSocket. Any thread may look at it; none of it blocks."""

    __slots__ = (
        "__weakref__",
        "_inbox",
        "_opened",
        "_opened_at",
        "_popleft",
        "_receive_timeout",
        "_remote",
    )

    def __init__(
        self, opened: Opened, remote: Remote[AsyncWebSocket], receive_timeout: float | None
    ) -> None:
        self._opened = opened
        self._remote = remote
        self._receive_timeout = receive_timeout
        self._inbox = opened.inbox
        self._popleft = opened.inbox.messages.popleft
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
        # Where __init__ did not come to its end something is missing.
        if not hasattr(self, "_opened_at") or self._inbox.closed or not self._remote.reachable:
            return None
        return (
            f"unclosed {self!r}; it was opened at {self._opened_at}: "
            "use it in a with block, or call close()"
        )

    # -- state -----------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called, or the end of the connection was received.

        While messages are left to receive, this is False: sending may fail nevertheless.
        """
        return self._inbox.closed

    @property
    def close_code(self) -> int | None:
        """The code the peer closed with, 1006 if the connection broke; None while it is open."""
        return self._inbox.close_code

    @property
    def protocol(self) -> str | None:
        """The subprotocol agreed on, if any."""
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
        """Return what broke the connection, once that was received; None otherwise."""
        return self._inbox.exception

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the transport said of itself when the socket was opened.

        ``name`` is "peername", "sockname", "cipher", "compression" or "peercert". All
        else, "socket" among it, belongs to the loop thread: for that you get ``default``.
        """
        value = self._opened.extra.get(name)
        return default if value is None else value

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            hint = f"; here it is {_TWINS[name]}" if name in _TWINS else ""
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}{hint}", name=name, obj=self
            )

    def _refuse_closed(self) -> None:
        if self._inbox.over:
            raise ClientConnectionResetError("Cannot write to closing transport")
        outbox = self._opened.outbox
        fault = outbox.fault
        if fault is not None:
            # Told once: if the connection is gone, the above tells it from then on.
            outbox.fault = None
            raise fault


def text_of(message: WSMessage) -> str:
    """Return the text of a message; raise WSMessageTypeError if it is none."""
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


def text_to_send(data: str) -> bytes:
    """Return ``data`` encoded; raise TypeError if it is no str."""
    if not isinstance(data, str):
        raise TypeError(f"data argument must be str ({type(data)!r})")
    return data.encode("utf-8")


def frame_to_send(message: Buffer, opcode: WSMsgType) -> bytes:
    """Return the payload of a frame; raise ValueError if it cannot be sent as one."""
    data = data_to_send(message)
    if opcode > WSMsgType.PONG:
        raise ValueError(f"opcode must be one of the protocol's, such as TEXT, not {opcode!r}")
    if opcode >= WSMsgType.CLOSE:
        _check_control(data)
    return data


def reason_to_send(code: int, message: Buffer) -> bytes:
    """Return the reason of a close frame; raise ValueError if it, or ``code``, cannot be sent."""
    data = data_to_send(message)
    if not 1000 <= code < 5000:
        raise ValueError(f"a close code is between 1000 and 4999, not {code}")
    _check_control(data, room=_CONTROL_LIMIT - 2)
    return data


def data_to_send(data: object) -> bytes:
    """Return ``data`` as bytes of our own; raise TypeError if it is no buffer."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, (bytearray, memoryview)):
        # A copy, at once: the caller may change it after we return, which can be before
        # a compressor thread has read it.
        return bytes(data)
    raise TypeError(f"data argument must be byte-ish ({type(data)!r})")


def _check_control(data: bytes, room: int = _CONTROL_LIMIT) -> None:
    if len(data) > room:
        raise ValueError(f"a control frame has room for {room} bytes here, not {len(data)}")
