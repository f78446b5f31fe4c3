"""WebSocketApp as websocket-client has it: callbacks, and ``run_forever``.

``Session.ws_connect`` and ``Session.ws_connect_forever`` say the same in a loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any

from aiohttp import ClientConnectionResetError, WSMessage, WSMsgType

from ._client.websocket import WebSocket
from ._client.websocket_app_options import header_pairs, origin_of, run_options
from ._client.websocket_base import ENDS
from ._client.websocket_forever import Forever
from ._deadline import DeadlineError
from ._deadline import timeout as within
from ._session import Session

__all__ = ["WebSocketApp", "WebSocketConnectionClosedException"]

Header = Mapping[str, str | None] | Iterable[str]
Closed = tuple[int | None, str | None]

#: Seconds between the looks of a loop that waits for messages at whether it should continue.
_LOOK = 1.0

_log = logging.getLogger(__name__)


class WebSocketConnectionClosedException(ClientConnectionResetError):
    """The connection is not open: closed by the peer, by us, or lost.

    Attributes:
        status_code: the code of the peer's close frame; None where there was none.
        reason: the text of that frame; None where there was none.
    """

    def __init__(
        self, message: str, status_code: int | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.reason = reason


class _Ended(Exception):
    """The app was told to end."""


class WebSocketApp:
    """A WebSocket whose messages come to callbacks.

    All callbacks are called in the thread of ``run_forever``, with the app as their first
    argument. An exception from one of them is logged, goes to ``on_error``, and ends nothing.
    ``send`` and ``close`` may be called by any thread, and by callbacks.

    Args:
        url: ``ws://`` or ``wss://``.
        header: a dict, "Name: value" strings, or a function that returns one of these, called
            before each handshake.
        on_open: ``(app)``, once connected.
        on_reconnect: ``(app)``, in place of ``on_open`` from the second connection on.
        on_message: ``(app, data)``: str of a text message, bytes of a binary one.
        on_error: ``(app, exception)``: a connection that could not be made, or has ended.
        on_close: ``(app, code, reason)``, at the end of ``run_forever``: those of the peer's
            close frame, None where there is none.
        on_ping, on_pong: ``(app, data)``. With one of these, pings are answered in the thread
            of ``run_forever``, and not while a callback is running.
        cookie: the Cookie header.
        subprotocols: those to offer, the preferred one first.
        on_data: ``(app, data, opcode, True)``, before ``on_message``.
        on_cont_message, get_mask_key, socket: refused with ValueError.
        keep_running: of no effect, as in websocket-client.
        session: the Session to connect by, which stays open. None opens one that takes proxies
            from the environment, and closes it at the end.

    Attributes:
        sock: the open ``syncclient.WebSocket``; None while there is none.
    """

    def __init__(
        self,
        url: str,
        header: Header | Callable[[], Header] | None = None,
        on_open: Callable[[WebSocketApp], object] | None = None,
        on_reconnect: Callable[[WebSocketApp], object] | None = None,
        on_message: Callable[[WebSocketApp, Any], object] | None = None,
        on_error: Callable[[WebSocketApp, Any], object] | None = None,
        on_close: Callable[[WebSocketApp, Any, Any], object] | None = None,
        on_ping: Callable[[WebSocketApp, bytes], object] | None = None,
        on_pong: Callable[[WebSocketApp, bytes], object] | None = None,
        on_cont_message: None = None,
        keep_running: bool = True,
        get_mask_key: None = None,
        cookie: str | None = None,
        subprotocols: list[str] | None = None,
        on_data: Callable[[WebSocketApp, Any, int, bool], object] | None = None,
        socket: None = None,
        *,
        session: Session | None = None,
    ) -> None:
        for name, value, instead in (
            ("on_cont_message", on_cont_message, "messages come whole, to on_message"),
            ("get_mask_key", get_mask_key, "the engine makes the keys"),
            ("socket", socket, "give the session a connector, such as UnixConnector(path)"),
        ):
            if value is not None:
                raise ValueError(f"{name} is not supported: {instead}")
        self.url = url
        self.header = header
        self.on_open = on_open
        self.on_reconnect = on_reconnect
        self.on_message = on_message
        self.on_error = on_error
        self.on_close = on_close
        self.on_ping = on_ping
        self.on_pong = on_pong
        self.on_data = on_data
        self.cookie = cookie
        self.subprotocols = subprotocols
        self.session = session
        self.sock: WebSocket | None = None
        #: Set while no ``run_forever`` may continue. Setting it wakes the pause between
        #: two attempts; a reader is woken by the closing of its socket.
        self._ended = threading.Event()
        self._ended.set()
        #: Held by the thread in ``run_forever``.
        self._running = threading.Lock()
        #: Held by the thread that closes the socket: the code is known when it is let go. It may be
        #: taken twice by a thread whose signal handler closes, too.
        self._closing = threading.RLock()
        #: The session of our own, in which an attempt to connect may be under way.
        self._own: Session | None = None
        #: The last error that ``on_error`` got.
        self._told: BaseException | None = None

    @property
    def keep_running(self) -> bool:
        """Whether ``run_forever`` runs; set it to False to end it within a second."""
        return not self._ended.is_set()

    @keep_running.setter
    def keep_running(self, value: bool) -> None:
        if value:
            self._ended.clear()
        else:
            self._ended.set()

    def ready(self) -> bool:
        """Return whether there is an open socket. Never blocks."""
        socket = self.sock
        return socket is not None and not socket.closed

    # -- sending and closing: any thread -----------------------------------------------

    def send(
        self, data: str | bytes | bytearray | memoryview, opcode: int = WSMsgType.TEXT
    ) -> None:
        """Send a message. Blocks only while the connection takes no more; see ``send_str``.

        Raises:
            WebSocketConnectionClosedException: there is no open socket.
        """
        frame = data.encode() if isinstance(data, str) else data
        socket = self.sock
        try:
            if socket is not None:
                socket.send_frame(frame, WSMsgType(opcode))
                return
        except ClientConnectionResetError:
            pass
        raise WebSocketConnectionClosedException("Connection is already closed.")

    def send_text(self, text_data: str) -> None:
        """Send a text message; see ``send``."""
        self.send(text_data)

    def send_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Send a binary message; see ``send``."""
        self.send(data, WSMsgType.BINARY)

    def close(self, status: int = 1000, reason: bytes = b"", timeout: float = 3.0) -> None:
        """Close the connection, and end ``run_forever``.

        Blocks until the peer has answered, for ``timeout`` seconds at most.
        """
        self._ended.set()
        socket, own = self.sock, self._own
        if socket is not None:
            with self._closing, suppress(DeadlineError), within(timeout):
                socket.close(code=status, message=reason)
        elif own is not None:
            own.close()  # which ends an attempt to connect

    # -- running: one thread -----------------------------------------------------------

    def run_forever(
        self,
        sockopt: None = None,
        sslopt: Mapping[str, Any] | None = None,
        ping_interval: float = 0,
        ping_timeout: float | None = None,
        ping_payload: str = "",
        http_proxy_host: str | None = None,
        http_proxy_port: int | str | None = None,
        http_no_proxy: None = None,
        http_proxy_auth: tuple[str, str] | None = None,
        http_proxy_timeout: None = None,
        skip_utf8_validation: bool = False,
        host: str | None = None,
        origin: str | None = None,
        dispatcher: None = None,
        suppress_origin: bool = False,
        suppress_host: bool = False,
        proxy_type: str | None = None,
        reconnect: float | None = None,
    ) -> bool:
        """Connect, and call the callbacks until the connection ends. Blocks.

        Woken by ``close()``, the end of the connection, or an interrupt, which closes the
        connection and is raised.

        Args:
            sslopt: ``context``, an SSLContext; or ``cert_reqs``, ``check_hostname``,
                ``ca_certs``, ``ca_cert_path``, ``certfile``, ``keyfile``, ``password``; and
                ``server_hostname``.
            ping_interval: seconds of silence after which to ping; 0 never pings. If no pong
                comes within half that time, the connection is given up.
            ping_timeout: seconds in which a pong must come, if that is less.
            http_proxy_host, http_proxy_port, http_proxy_auth: the proxy, and its credentials.
            proxy_type: "http", "socks4", "socks4a", "socks5" or "socks5h".
            skip_utf8_validation: True hands text messages out as bytes.
            host: the Host header.
            origin: the Origin header, by default that of the URL; ``suppress_origin`` sends none.
            reconnect: seconds between attempts to connect again; None or 0 connects once. After
                a connection that lasted, the first attempt is made at once.
            sockopt, ping_payload, http_no_proxy, http_proxy_timeout, dispatcher, suppress_host:
                refused with ValueError; it says what to write.

        Returns:
            Whether it ended by an error, and not by a close frame or ``close()``.

        Raises:
            RuntimeError: it is running already.
            ValueError: an argument is not supported.
        """
        options = run_options(
            refused={
                "sockopt": sockopt,
                "ping_payload": ping_payload,
                "http_no_proxy": http_no_proxy,
                "http_proxy_timeout": http_proxy_timeout,
                "dispatcher": dispatcher,
                "suppress_host": suppress_host,
            },
            pings=(ping_interval, ping_timeout),
            tls=sslopt,
            proxy=(proxy_type, http_proxy_host, http_proxy_port, http_proxy_auth),
        )
        options["decode_text"] = not skip_utf8_validation
        if self.on_ping is not None or self.on_pong is not None:
            options["autoping"] = False
        if not suppress_origin:
            options["origin"] = origin or origin_of(self.url)
        if reconnect is not None and reconnect < 0:
            raise ValueError("reconnect must be a number of seconds, 0 or more")
        if not self._running.acquire(blocking=False):
            raise RuntimeError("run_forever is running already: one app has one connection")
        errored = False
        closed: Closed = None, None
        try:
            self._ended.clear()
            errored, closed = self._run(options, host, reconnect or None)
        except _Ended:
            pass
        except BaseException as error:
            self._tell(error)
            if not isinstance(error, Exception):
                raise
            errored = True
        finally:
            self._ended.set()
            self.sock = self._own = self._told = None
            self._running.release()
            self._call(self.on_close, *closed)
        return errored

    def _run(
        self, options: dict[str, Any], host: str | None, reconnect: float | None
    ) -> tuple[bool, Closed]:
        """Serve one socket after another; return how the last one ended."""
        opened: AbstractContextManager[Session]
        if self.session is None:
            opened = self._own = Session(trust_env=True)
        else:
            opened = nullcontext(self.session)
        with opened as session:
            connect = partial(self._connect, session, host, options)
            if reconnect is None:
                return self._serve(connect(), self.on_open)
            greet = self.on_open
            sockets = Forever(connect, self._pause, min_delay=reconnect, max_delay=reconnect)
            while True:
                ended = self._serve(next(sockets), greet)
                if not self.keep_running:
                    return ended
                greet = self.on_reconnect or self.on_open

    def _connect(self, session: Session, host: str | None, options: dict[str, Any]) -> WebSocket:
        if not self.keep_running:
            raise _Ended
        try:
            return session.ws_connect(
                self.url,
                headers=header_pairs(self.header, self.cookie, host),
                protocols=self.subprotocols or (),
                **options,
            )
        except Exception as error:
            if not self.keep_running:
                raise _Ended from None  # close() has closed the session
            self._tell(error)
            raise

    def _pause(self, seconds: float) -> None:
        if self._ended.wait(seconds):
            raise _Ended

    def _serve(
        self, socket: WebSocket, greet: Callable[[WebSocketApp], object] | None
    ) -> tuple[bool, Closed]:
        """Call the callbacks until ``socket`` ends; return how it did, and close it."""
        with socket:
            self.sock = socket
            if self.keep_running:
                self._call(greet)
            last = WSMessage(WSMsgType.CLOSED, None, None)
            while self.keep_running:
                try:
                    message = socket.receive(_LOOK)
                except DeadlineError:
                    raise
                except (TimeoutError, asyncio.TimeoutError):  # two classes before Python 3.11
                    continue
                if message.type in ENDS:
                    last = message
                    break
                self._take(socket, message)
            self.sock = None
        if not self.keep_running:
            with self._closing:  # wait for the thread that closes it
                return False, _closed(socket.close_code, None)
        if last.type is WSMsgType.CLOSE:
            code, reason = closed = _closed(last.data, last.extra)
            how = f"{' normally' if code == 1000 else ''} (code {code})" if code else ""
            text = f"Connection closed{how}{': ' if reason else ''}{reason or ''}"
            self._tell(WebSocketConnectionClosedException(text, code, reason))
            return False, closed
        lost = WebSocketConnectionClosedException("Connection to remote host was lost.")
        self._tell(socket.exception() or lost)
        return True, (None, None)

    def _take(self, socket: WebSocket, message: WSMessage) -> None:
        if message.type is WSMsgType.PING:
            with suppress(ClientConnectionResetError):
                socket.pong(message.data)
            self._call(self.on_ping, message.data)
        elif message.type is WSMsgType.PONG:
            self._call(self.on_pong, message.data)
        else:
            self._call(self.on_data, message.data, int(message.type), True)
            self._call(self.on_message, message.data)

    def _tell(self, error: BaseException) -> None:
        """Give ``error`` to ``on_error``, unless it was the last one that went there."""
        if self._told is not error:
            self._told = error
            self._call(self.on_error, error)

    def _call(self, callback: Callable[..., object] | None, *args: object) -> None:
        if callback is None:
            return
        try:
            callback(self, *args)
        except Exception as error:
            _log.exception("error from callback %r", callback)
            if callback is not self.on_error and self.on_error is not None:
                self.on_error(self, error)


def _closed(code: int | None, reason: str | None) -> Closed:
    # 1005 and 1006 stand for no code.
    return (None if code in (1005, 1006) else code), reason or None
