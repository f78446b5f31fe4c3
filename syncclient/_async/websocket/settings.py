"""The settings of a WebSocket, its limits, and the result of its handshake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .receive_queue import ReceiveQueue
from .sender import SendWindow

#: High-water marks, in messages and bytes received ahead of the reader: the message that reaches
#: one is still received, and then none until the reader has taken half of the messages. TCP
#: pushes back.
BUFFER_MESSAGES = 8192
BUFFER_BYTES = 1024 * 1024

#: aiohttp's default for the maximum size of a message.
MAX_MSG_SIZE = 4 * 1024 * 1024

#: Seconds for the closing handshake if ``ClientWSTimeout`` gives none, as in aiohttp. But with
#: ``ClientWSTimeout(ws_receive=5)`` aiohttp has no limit, and ``close()`` would never return if
#: the peer is gone.
CLOSE_TIMEOUT = 10.0
#: The same when the session closes, which has other things to close afterwards.
GOING_AWAY_TIMEOUT = 2.0
#: Seconds that a connection has to send its buffered bytes after the closing handshake.
LINGER = 1.0


@dataclass(frozen=True)
class Opened:
    """The result of the handshake, for the face."""

    protocol: str | None
    compress: int
    client_notakeover: bool
    queue: ReceiveQueue
    window: SendWindow
    #: The transport's own information: peername, sockname, cipher ...
    extra: Mapping[str, object]


@dataclass(frozen=True)
class SocketSettings:
    """The keywords of ``ws_connect`` that do not concern the handshake.

    Args:
        close_timeout: seconds that the whole closing handshake may take.
        buffer_messages, buffer_bytes: how far the socket may receive ahead of the reader.
    """

    close_timeout: float = CLOSE_TIMEOUT
    buffer_messages: int = BUFFER_MESSAGES
    buffer_bytes: int = BUFFER_BYTES
    autoclose: bool = True
    autoping: bool = True
    heartbeat: float | None = None
    max_msg_size: int = MAX_MSG_SIZE
    decode_text: bool = True
