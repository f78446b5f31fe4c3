"""The WebSocket: a pump that receives ahead, sending, and the closing handshake.

aiohttp answers pings, and notices pongs and closes, only while a ``receive()`` is
pending. So one always is: a task, the pump, receives into the inbox for as long as
there is room in it, whether or not anybody reads.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypedDict, cast

import anyio
from aiohttp import (
    ClientConnectionResetError,
    ClientError,
    ClientSession,
    ClientWSTimeout,
    ServerDisconnectedError,
    WSCloseCode,
    WSMessage,
    WSMsgType,
)
from yarl import URL

from .._deadline import activity
from . import phase
from .carried import CarriedError
from .errors import cause, explained
from .tcp import unix_socket
from .tracing import fault_in
from .ws_engine import (
    bare,
    excuse_silence,
    lift_close_timeout,
    lost_of,
    start,
    stop_excusing,
    transport_of,
)
from .ws_inbox import CLOSED_MESSAGE, Inbox
from .ws_outbox import Outbox

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp import Fingerprint
    from aiohttp.typedefs import LooseHeaders, StrOrURL
    from typing_extensions import Unpack

    from .ws_engine import Engine

#: Messages and bytes received ahead of the reader, each a high-water mark: the message
#: that reaches it is still taken in. Above, the pump pauses; aiohttp's own queue (128
#: KiB) fills, then TCP pushes back.
BUFFER_MESSAGES = 8192
BUFFER_BYTES = 1024 * 1024

#: Seconds for the closing handshake where ``ClientWSTimeout`` gives none. aiohttp's
#: default is the same; but ``ClientWSTimeout(ws_receive=5)`` means "no limit" there,
#: and a peer that is gone would hold ``close()`` for ever.
CLOSE_TIMEOUT = 10.0
#: The same when a whole session closes: it has other things to close after us.
GOING_AWAY_TIMEOUT = 2.0
#: Seconds a connection has to get rid of what was written to it, once the handshake is over.
LINGER = 1.0


class ConnectOptions(TypedDict, total=False):
    """What ``ClientSession.ws_connect`` takes, made ready; but for the URL and the timeouts."""

    method: str
    protocols: Iterable[str]
    autoclose: bool
    autoping: bool
    heartbeat: float | None
    origin: str | None
    headers: LooseHeaders | None
    proxy: StrOrURL | None
    ssl: SSLContext | bool | Fingerprint
    server_hostname: str | None
    proxy_headers: LooseHeaders | None
    compress: int
    max_msg_size: int
    decode_text: bool


class Host(Protocol):
    """What a WebSocket needs of the session it belongs to."""

    @property
    def http(self) -> ClientSession:
        """The open aiohttp session."""
        ...

    def adopt(self, live: AsyncWebSocket, *, lasts: bool) -> None:
        """Enter a socket that has to be closed with the session."""

    def forget(self, live: AsyncWebSocket) -> None:
        """The socket is closed."""


@dataclass(frozen=True)
class Opened:
    """What the handshake has settled."""

    protocol: str | None
    compress: int
    client_notakeover: bool
    inbox: Inbox
    outbox: Outbox
    #: What the transport tells about itself: peername, sockname, cipher ...
    extra: Mapping[str, object]


#: No more messages come after one of these.
_LAST = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)

#: The names under which transports keep plain values. "socket" and "ssl_object" are none.
EXTRA_INFO = ("peername", "sockname", "cipher", "compression", "peercert")


async def connect(
    host: Host,
    url: StrOrURL,
    *,
    timeout: ClientWSTimeout,
    buffer_messages: int = BUFFER_MESSAGES,
    buffer_bytes: int = BUFFER_BYTES,
    over: str | None = None,
    **options: Unpack[ConnectOptions],
) -> tuple[Opened, AsyncWebSocket]:
    """Open a WebSocket in the session of ``host``, which closes it when it closes itself.

    ``timeout.ws_receive`` has no say here: it is a limit for readers, and to aiohttp
    it would be one for the pump. ``over`` is the path of a Unix socket to go over.
    """
    limit = timeout.ws_close or CLOSE_TIMEOUT
    progress = phase.Progress(options.get("method", "GET"), URL(url), host.http.timeout)
    phase.begin(progress)
    if over is not None:
        unix_socket.set(over)
    fault = None
    try:
        ws = await host.http.ws_connect(
            url, timeout=ClientWSTimeout(ws_receive=None, ws_close=limit), **options
        )
    except AssertionError as exc:
        # How aiohttp finds the connection gone which has just been upgraded.
        raise explained(ServerDisconnectedError(), progress) from exc
    except Exception as exc:
        fault = exc.error if isinstance(exc, CarriedError) else fault_in(exc, progress)
        if fault is None:
            error = explained(exc, progress)
            raise error from cause(error, exc)
    if fault is not None:
        raise fault  # as it was, with its own context
    socket = AsyncWebSocket(
        ws,
        host,
        close_timeout=limit,
        heartbeat=options.get("heartbeat"),
        buffer_messages=buffer_messages,
        buffer_bytes=buffer_bytes,
    )
    extra = {name: ws.get_extra_info(name) for name in EXTRA_INFO}
    opened = Opened(
        ws.protocol, ws.compress, ws.client_notakeover, socket.inbox, socket.outbox, extra
    )
    return opened, socket


class AsyncWebSocket:
    """One open WebSocket. All of it on the event loop; only ``inbox`` may be read elsewhere.

    Args:
        ws: an open WebSocket of aiohttp. It must have no receive timeout of its own.
        host: the session to leave once closed.
        close_timeout: seconds that the closing handshake may take, all in all.
        heartbeat: as given to ``ws_connect``.
        buffer_messages, buffer_bytes: how far the pump may run ahead of the reader.
    """

    def __init__(
        self,
        ws: Engine,
        host: Host | None = None,
        *,
        close_timeout: float = CLOSE_TIMEOUT,
        heartbeat: float | None = None,
        buffer_messages: int = BUFFER_MESSAGES,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self._ws = ws
        self._host = host
        self._close_timeout = close_timeout
        self._heartbeat = heartbeat
        self._buffer_messages = buffer_messages
        self._buffer_bytes = buffer_bytes
        self._loop = asyncio.get_running_loop()
        self._transport = transport_of(ws)
        self._lost = lost_of(ws)

        self.inbox = Inbox()
        self.outbox = Outbox()
        #: Bytes put into the inbox since it was last seen empty: what the reader has
        #: taken meanwhile it does not report. So the mark may be reached early, never late.
        self._bytes = 0
        #: What the reader waits on, and what the pump waits on above the mark.
        self._reader: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._room_since = 0.0

        self._closing = False
        #: Tasks that outlive the call which started them. asyncio itself would let go of them.
        self._sends: set[asyncio.Task[None]] = set()
        #: Those that nobody waits for, and that the connection has not taken at once.
        self._stuck: set[asyncio.Task[None]] = set()
        self._last: set[asyncio.Task[bool]] = set()
        self._closed = asyncio.Event()
        if heartbeat is not None:
            excuse_silence(ws, self._not_reading)
        if host is not None:
            host.adopt(self, lasts=True)
        self._pump = self._loop.create_task(self._run())
        self._pump.add_done_callback(self._check_closed)
        if self._lost is not None:
            self._lost.add_done_callback(self._check_closed)

    async def __aenter__(self) -> AsyncWebSocket:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    # -- receiving -------------------------------------------------------------------

    async def wait(self, timeout: float | None = None) -> None:
        """Wait until there is a message in the inbox, or there will be none any more.

        ``timeout`` is in seconds; None waits for as long as it takes. When it
        runs out, ``asyncio.TimeoutError`` is raised and the socket is as before. So it
        is when the waiting task is cancelled. A second reader is refused with RuntimeError.
        """
        if self._reader is not None:
            raise RuntimeError("Concurrent call to receive() is not allowed")
        inbox = self.inbox
        if inbox.messages:
            return
        if inbox.ended:
            if not self._ws.closed and not self._closing:
                # The peer has closed, and autoclose=False left it to us to answer. aiohttp
                # does so, too, when its user comes to receive once more.
                await self.close()
            return
        self._make_room()
        _note("waiting for a WebSocket message")
        self._reader = reader = self._loop.create_future()
        # A bare timer: with a cancel scope for every message, the scopes would cost
        # more than the messages.
        timer = None if timeout is None else self._loop.call_later(timeout, _time_out, reader)
        try:
            await reader
        finally:
            self._reader = None
            if timer is not None:
                timer.cancel()

    async def receive(self, timeout: float | None = None) -> WSMessage:
        """Return the next message; ``CLOSED`` ones for ever once the socket is closed.

        Raises as ``wait`` does.
        """
        messages = self.inbox.messages
        if not messages:
            await self.wait(timeout)
        return messages.popleft() if messages else CLOSED_MESSAGE

    async def _run(self) -> None:
        """The pump. Ends with the connection."""
        try:
            await self._receive_ahead()
        except asyncio.CancelledError:
            self._drop()
            raise
        except Exception as fault:
            self._put(WSMessage(WSMsgType.ERROR, bare(fault), None), 0)
            self._drop()
        finally:
            self._publish_end()
        if self._ws.closed and not self._closing:
            await self._hang_up()

    async def _receive_ahead(self) -> None:
        receive = self._ws.receive
        while True:
            try:
                # Does not suspend while aiohttp has messages queued: a burst costs one
                # turn of the loop, not one for each message.
                message = cast("WSMessage", await receive())
            except (ClientError, OSError):
                # A ping could not be answered, for the peer is gone. What it said before
                # is still to be read, and then how it went.
                continue
            kind = message.type
            if kind is not WSMsgType.TEXT and kind is not WSMsgType.BINARY and kind in _LAST:
                if kind is WSMsgType.ERROR:
                    bare(message.data)
                self._put(message, 0)
                return
            self._put(message, len(message.data))
            if self._room is not None:
                await self._room

    def _put(self, message: WSMessage, size: int) -> None:
        if self._closing:
            return  # as aiohttp has it: after close() there is nothing more to receive
        messages = self.inbox.messages
        if not messages:
            self._bytes = 0
        messages.append(message)
        self._bytes += size
        if self._reader is not None:
            self._wake_reader()
        if len(messages) >= self._buffer_messages or self._bytes >= self._buffer_bytes:
            self._room = self._loop.create_future()

    def _wake_reader(self) -> None:
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            self._bytes = 0
            self._room_since = self._loop.time()
            room.set_result(None)

    def _not_reading(self) -> bool:
        """Tell whether a pong may be missing because we did not read."""
        if self._room is not None:
            return True
        assert self._heartbeat is not None
        return self._loop.time() - self._room_since < self._heartbeat / 2

    # -- sending ---------------------------------------------------------------------

    async def send(
        self,
        kind: WSMsgType,
        data: bytes,
        compress: int | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Send one frame: TEXT (encoded already), BINARY, PING, PONG.

        Waits only while more is written than the connection takes, and for
        ``timeout`` seconds at most (None: as long as it takes); then raises
        ``asyncio.TimeoutError``. The frame may have gone out by then, or go out later; it
        goes whole or not at all. Raises ``ClientConnectionResetError`` once the socket is closed.
        """
        sending = start(self._ws.send_frame(data, kind, compress))
        if not sending.done():
            # Never cancelled, even if we are: aiohttp has all senders wait on one
            # future, and to cancel one of them would cancel the others.
            _note("sending to a WebSocket")
            self._sends.add(sending)
            sending.add_done_callback(self._sent)
            await asyncio.wait([sending], timeout=timeout)
            if not sending.done():
                raise asyncio.TimeoutError("the peer does not take what is sent")
        if sending.cancelled():
            raise ClientConnectionResetError("the connection was closed while sending")
        sending.result()

    def send_entrusted(self, kind: WSMsgType, data: bytes) -> None:
        """Send one frame that nobody waits for, and that was entered in the outbox."""
        sending = start(self._ws.send_frame(data, kind))
        if sending.done():
            self._note_fault(sending)
        else:
            self._sends.add(sending)
            sending.add_done_callback(self._sent_at_last)
            # After its first step, which before Python 3.12 is still to come.
            self._loop.call_soon(self._look_at, sending)
        if self.outbox.under_way:
            self.outbox.under_way.popleft()

    def _look_at(self, sending: asyncio.Task[None]) -> None:
        if not sending.done():
            self._stuck.add(sending)
            self.outbox.congested = True

    def _sent_at_last(self, sending: asyncio.Task[None]) -> None:
        self._sends.discard(sending)
        self._stuck.discard(sending)
        self.outbox.congested = bool(self._stuck)
        self._note_fault(sending)

    def _note_fault(self, sending: asyncio.Task[None]) -> None:
        fault: BaseException | None
        if sending.cancelled():
            fault = ClientConnectionResetError("the connection was closed while sending")
        else:
            fault = sending.exception()
        if fault is not None:
            self.outbox.fault = bare(fault)

    def _sent(self, sending: asyncio.Task[None]) -> None:
        self._sends.discard(sending)
        if not sending.cancelled():
            sending.exception()  # nobody may be left to read it, and asyncio would log that

    # -- closing ---------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether the connection is gone and the reader has had everything."""
        return self._closed.is_set() and self.inbox.closed

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes = b"", timeout: float | None = None
    ) -> bool:
        """Say goodbye to the peer, then drop the connection. What was not yet read is lost.

        A waiting reader wakes at once. The handshake has ``timeout`` seconds, and the
        socket's own close timeout where that is None; a peer that does not answer in time is
        dropped, and the close code is 1006. So it is if the closing task is cancelled.
        Returns False if the socket was closed already. A second closer waits for the first.
        """
        if self._closing:
            await self._closed.wait()
            return False
        first = not self._ws.closed
        self._stop_reading()
        lift_close_timeout(self._ws)
        try:
            with anyio.move_on_after(self._close_timeout if timeout is None else timeout):
                if self._ws.compress and self._sends:
                    # aiohttp compresses large messages on a thread. The others wait for
                    # that; a close frame would not, and nothing may come after one.
                    await asyncio.wait(self._sends)
                await self._ws.close(code=code, message=message)
                await asyncio.wait([self._pump])
            await self._hang_up()
            # Both may have ended just now, and their callbacks not have run yet.
            self._check_closed()
        finally:
            if not self._closed.is_set():
                self._drop()
            self._publish_end()
        return first

    async def aclose(self) -> None:
        """Close because the session does: with 1001, and without much patience."""
        await self.close(
            code=WSCloseCode.GOING_AWAY, timeout=min(self._close_timeout, GOING_AWAY_TIMEOUT)
        )

    def abandon(self) -> None:
        """Drop the connection, without a word to the peer. Does not wait.

        The pump sees it lost and ends by itself.
        """
        self._stop_reading()
        # uvloop writes at the end of a turn: what was sent in this one goes out before.
        self._loop.call_soon(self._drop)

    def _stop_reading(self) -> None:
        self._closing = True
        self.inbox.messages.clear()
        self._publish_end()
        self._make_room()
        self._wake_reader()

    def _publish_end(self) -> None:
        ws = self._ws
        fault = ws.exception()
        self.inbox.end(
            closed=ws.closed or self._closing,
            close_code=ws.close_code,
            exception=None if fault is None else bare(fault),
        )
        self._wake_reader()

    async def _hang_up(self) -> None:
        """Wait until the socket is really closed, and see to it that it is."""
        lost = self._lost
        if lost is None:
            return
        if self._ws.close_code != WSCloseCode.ABNORMAL_CLOSURE:
            await asyncio.wait([lost], timeout=LINGER)
        if not lost.done():
            self._drop()
            await asyncio.wait([lost], timeout=LINGER)

    def _drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        elif not self._ws.closed:
            self._pump.cancel()
            # Politely, then: there is no other way. Bounded by the engine's own timeout.
            closing = self._loop.create_task(self._ws.close())
            self._last.add(closing)
            closing.add_done_callback(self._last.discard)

    def _check_closed(self, _: object = None) -> None:
        """Runs when the pump ends, and when the connection is lost. After both, all is over."""
        if (
            not self._closed.is_set()
            and self._pump.done()
            and (self._lost is None or self._lost.done())
        ):
            stop_excusing(self._ws)
            self._closed.set()
            if self._host is not None:
                self._host.forget(self)


async def pause(host: Host, seconds: float) -> None:
    """Wait. A caller blocked on this wakes, too, when the session is closed."""
    await asyncio.sleep(seconds)


if sys.version_info >= (3, 11):
    NoMessageError = TimeoutError
else:

    class NoMessageError(asyncio.TimeoutError, TimeoutError):
        """Before Python 3.11 there are two TimeoutErrors: aiohttp's users know the one,
        those who write blocking code the other."""


def _time_out(reader: asyncio.Future[None]) -> None:
    if not reader.done():
        reader.set_exception(NoMessageError("no message came within the timeout"))


def _note(doing: str) -> None:
    """Say what the call is doing, for the error of a deadline that cuts it short."""
    current = activity.get()
    if current is not None:
        current.doing = doing
