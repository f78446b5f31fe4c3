"""WebSocket: aiohttp's ClientWebSocketResponse, minus ``await``.

What has been received is in the inbox, which the pump on the loop fills: to take from
it is no crossing. ``receive`` crosses only to wait, so a burst of messages costs as many
crossings as it has pauses.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, cast

from aiohttp import ClientWSTimeout, WSCloseCode, WSMessage, WSMsgType, hdrs
from multidict import CIMultiDict
from yarl import URL

from ._async import websocket as core
from ._async.websocket import AsyncWebSocket
from ._async.ws_inbox import CLOSED_MESSAGE
from ._deadline import DeadlineError
from ._exceptions import LoopThreadError, SessionClosedError
from ._request import RequestOptions
from ._websocket_base import (
    CONNECT_TWINS,
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
    from ssl import SSLContext

    from aiohttp.typedefs import Query
    from typing_extensions import Self, Unpack

    from ._async.session import AsyncSession
    from ._portal import Portal
    from ._request import Auth, Defaults
    from ._tls import SSLArgument
    from ._types import LooseHeaders, StrOrURL


class WebSocketOptions(TypedDict, total=False):
    """The keywords of ``Session.ws_connect``, which says what each one means."""

    method: str
    protocols: Iterable[str]
    autoclose: bool
    autoping: bool
    heartbeat: float | None
    auth: Auth
    origin: str | None
    params: Query
    headers: LooseHeaders | None
    proxy: StrOrURL | None
    proxy_auth: Auth
    ssl: SSLArgument
    verify_ssl: bool | None
    fingerprint: bytes | None
    ssl_context: SSLContext | None
    server_hostname: str | None
    proxy_headers: LooseHeaders | None
    compress: int
    max_msg_size: int
    decode_text: bool


#: Those of them that a request has as well, and that are made ready in the same way.
_OF_A_REQUEST = frozenset(WebSocketOptions.__annotations__) & frozenset(
    RequestOptions.__annotations__
) - {"compress"}


class Limits(TypedDict, total=False):
    """The keywords of ``Session.ws_connect`` that do not concern the handshake."""

    timeout: ClientWSTimeout | float | None
    receive_timeout: float | None
    buffer_messages: int
    buffer_bytes: int


def connect(
    portal: Portal[AsyncSession],
    defaults: Defaults,
    url: StrOrURL,
    options: WebSocketOptions,
    **limits: Unpack[Limits],
) -> WebSocket:
    """Open a WebSocket: the inside of ``Session.ws_connect``. Blocks through the handshake."""
    arranged = arrange(defaults, url, options, **limits)
    opened, remote = portal.open(core.connect, arranged.url, **arranged.keywords)
    assert remote is not None
    return WebSocket(opened, remote, arranged.receive_timeout)


class Arranged(NamedTuple):
    """A handshake that has been checked."""

    url: URL
    #: What ``core.connect`` takes.
    keywords: dict[str, Any]
    receive_timeout: float | None


def arrange(
    defaults: Defaults,
    url: StrOrURL,
    options: WebSocketOptions,
    *,
    timeout: ClientWSTimeout | float | None = None,
    receive_timeout: float | None = None,
    buffer_messages: int = core.BUFFER_MESSAGES,
    buffer_bytes: int = core.BUFFER_BYTES,
) -> Arranged:
    """Check the arguments of a handshake.

    ``timeout`` None stands for aiohttp's default. An option that is not given is left to
    aiohttp.
    """
    given: dict[str, Any] = dict(options)
    for name in given:
        if name not in WebSocketOptions.__annotations__:
            hint = f"; write {CONNECT_TWINS[name]}" if name in CONNECT_TWINS else ""
            raise TypeError(f"ws_connect takes no keyword {name!r}{hint}")
    common = {name: given.pop(name) for name in _OF_A_REQUEST & given.keys()}
    prepared = defaults.prepare(given.get("method", "GET"), url, cast(RequestOptions, common))
    _, target, _, engine = prepared.crossing
    if (authorization := engine.pop("authorization", None)) is not None:
        engine.setdefault("headers", CIMultiDict())[hdrs.AUTHORIZATION] = authorization
    if buffer_messages < 1 or buffer_bytes < 1:
        raise ValueError("buffer_messages and buffer_bytes must be at least 1")
    limits = _limits(timeout, receive_timeout)
    keywords = {
        "timeout": limits,
        "buffer_messages": buffer_messages,
        "buffer_bytes": buffer_bytes,
        "over": engine.pop("unix_socket", None),
        **engine,
        **given,
    }
    # To aiohttp, too, a receive timeout of 0 is none.
    return Arranged(target, keywords, limits.ws_receive or None)


def _limits(timeout: ClientWSTimeout | float | None, receive: float | None) -> ClientWSTimeout:
    """Merge the two arguments as aiohttp does, warnings included: here they name the caller."""
    if timeout is None:
        limits = ClientWSTimeout(ws_receive=None, ws_close=core.CLOSE_TIMEOUT)
    elif isinstance(timeout, ClientWSTimeout):
        limits = timeout
    else:
        _deprecated("timeout=<float>", "timeout=ClientWSTimeout(ws_close=...)")
        limits = ClientWSTimeout(ws_receive=None, ws_close=timeout)
    if receive is not None:
        _deprecated("receive_timeout", "timeout=ClientWSTimeout(ws_receive=...)")
        limits = ClientWSTimeout(ws_receive=receive, ws_close=limits.ws_close)
    return limits


def _deprecated(old: str, new: str) -> None:
    # _deprecated, _limits, arrange, connect, Session.ws_connect, and then its caller
    warnings.warn(f"{old} is deprecated, use {new}", DeprecationWarning, stacklevel=6)


class WebSocket(SocketBase):
    """An open WebSocket. Made by ``Session.ws_connect``.

    Any number of threads may send, one at a time may receive. While none does, a task on
    the loop thread receives ahead, so that pings are answered and closes noticed
    even if your code is busy for minutes. It stops at a limit (``buffer_messages`` and
    ``buffer_bytes`` of ``ws_connect``) and lets the network push back. Behind that limit pings
    wait, like all else: a reader that falls so far behind may lose an impatient server.

    Every method may be called from any thread but the loop thread, and those that block
    are woken by KeyboardInterrupt, by ``close()`` in another thread, by the session's
    closing (SessionClosedError), and by the end of the loop thread (LoopThreadError).
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
        """Close, as ``close()`` does."""
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
            timeout: seconds to wait, 0 to look only. None takes ``ws_receive`` of the
                socket's ``ClientWSTimeout``, and waits for ever where that is not set.

        Once the socket is closed, each call returns a message of type CLOSED at once.

        Raises:
            TimeoutError: no message came in time. The socket is as good as before.
            RuntimeError: another thread is waiting in ``receive`` already.
        """
        inbox = self._inbox
        if not inbox.messages and not inbox.closed:
            self._wait(timeout)
        try:
            return self._popleft()
        except IndexError:
            return CLOSED_MESSAGE

    def _wait(self, timeout: float | None) -> None:
        """Cross, to wait for a message or the end."""
        limit = self._receive_timeout if timeout is None else timeout
        until = None if limit is None else time.monotonic() + limit
        inbox = self._inbox
        while not inbox.messages and not inbox.closed:
            # Seldom more than once: only a reader we were not told of, who takes
            # the message in the moment we wake, sends us back.
            self._remote.call(AsyncWebSocket.wait, limit)
            if until is not None:
                limit = max(0.0, until - time.monotonic())

    def receive_str(self, *, timeout: float | None = None) -> str:
        """Return the text of the next message (bytes if opened with ``decode_text=False``).

        Raises as ``receive`` does, and WSMessageTypeError if the message is no text.
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
        return loads(self.receive_str(timeout=timeout))

    # -- sending ---------------------------------------------------------------------

    def send_str(self, data: str, compress: int | None = None) -> None:
        """Send ``data`` as a text message. Any thread; messages of one thread keep their order.

        Blocks only while more is written than the connection takes, and for a message of more
        than 16 KiB until it is written. A shorter one is on its way when this returns: if it
        then cannot be written, the next send raises, and ``close()`` does not. If you must know
        that a message has arrived, wait for an answer. ``compress`` (window bits, 9 to 15)
        compresses this message alone; the peer must have agreed to that.

        Raises:
            TypeError: ``data`` is not a str.
            ClientConnectionResetError: the socket is closed, or the connection was lost before
                the last message was written.
        """
        self._send(WSMsgType.TEXT, text_to_send(data), compress)

    def send_bytes(self, data: Buffer, compress: int | None = None) -> None:
        """Send ``data`` as a binary message. Else as ``send_str``."""
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
        """Send ``message`` in one frame with ``opcode``. Else as ``send_str``."""
        self._send(WSMsgType(opcode), frame_to_send(message, opcode), compress)

    def ping(self, message: Buffer = b"") -> None:
        """Send a ping of up to 125 bytes. Does not wait for the pong."""
        self.send_frame(message, WSMsgType.PING)

    def pong(self, message: Buffer = b"") -> None:
        """Send a pong of up to 125 bytes. Needed only with ``autoping=False``."""
        self.send_frame(message, WSMsgType.PONG)

    def _send(self, kind: WSMsgType, data: bytes, compress: int | None) -> None:
        self._refuse_closed()
        outbox = self._opened.outbox
        if compress is None and outbox.has_room(len(data)):
            outbox.under_way.append(None)
            try:
                self._remote.entrust(AsyncWebSocket.send_entrusted, kind, data)
            except Exception:
                outbox.withdraw()
                raise
        else:
            self._remote.call(AsyncWebSocket.send, kind, data, compress)

    # -- closing ---------------------------------------------------------------------

    def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"") -> bool:
        """Close the socket, with ``code`` and up to 123 bytes of ``message`` for the peer.

        Blocks until the peer has answered, for ``ws_close`` seconds of the socket's
        ``ClientWSTimeout`` at most; then the connection is dropped, and the close code
        is 1006. A reader blocked in another thread gets a CLOSED message. What was received
        and not yet read is lost. Returns False if the socket was closed already.
        """
        data = reason_to_send(code, message)
        try:
            return self._remote.call(AsyncWebSocket.close, code=code, message=data)
        except (SessionClosedError, LoopThreadError):
            return False  # nothing is left of it that could be closed
        except DeadlineError:
            # Before the call or in it: too late to wait for the peer, and yet it must not stay.
            self._remote.post(AsyncWebSocket.abandon)
            raise
