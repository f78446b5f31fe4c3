"""The core of the WebSocket, awaited as it stands: receiving, sending, and every way to end."""

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientConnectionResetError, ClientWSTimeout, WSMessage, WSMsgType
from aiohttp.client_proto import ResponseHandler

from syncclient._async.exchange.progress import Progress
from syncclient._async.websocket.connect import connect
from syncclient._async.websocket.websocket import AsyncWebSocket
from tests.bounds import BOUND, UNASKED
from tests.servers import ws_script as ws
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, RawServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

StartRaw = Callable[..., RawServer]


class Host:
    """A session as a WebSocket sees it."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.live: set[AsyncWebSocket] = set()

    async def shake_hands(
        self, progress: Progress, options: dict[str, Any]
    ) -> aiohttp.ClientResponse:
        return await self.http.request(progress.method, progress.url, **options)

    def adopt(self, live: AsyncWebSocket, *, lasts: bool) -> None:
        self.live.add(live)

    def forget(self, live: AsyncWebSocket) -> None:
        self.live.discard(live)


def client() -> aiohttp.ClientSession:
    # Where aiodns is installed, aiohttp's default resolver has threads and descriptors of its own.
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
    )


@asynccontextmanager
async def opened(
    url: str, *, close_timeout: float = 5.0, **options: object
) -> AsyncIterator[AsyncWebSocket]:
    """A socket that is really over when the block ends, or the test fails."""
    async with client() as http:
        host = Host(http)
        _, socket = await connect(
            host,
            url,
            timeout=ClientWSTimeout(ws_receive=None, ws_close=close_timeout),
            **options,  # type: ignore[arg-type]  # as the test says
        )
        assert host.live == {socket}
        yield socket
        await socket.close()
        assert not host.live
    running = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in running if "AsyncWebSocket" in repr(task)]


async def ended(conn: RawConnection) -> None:
    await asyncio.to_thread(conn.wait_until_ended)


async def stalled(server: RawServer) -> RawConnection:
    return await asyncio.to_thread(server.wait_until_stalled)


async def send(socket: AsyncWebSocket, text: str) -> None:
    await socket.send(WSMsgType.TEXT, text.encode())


# Receiving.


async def test_messages_come_back_in_order(app: AppServer) -> None:
    """What is sent to an echo comes back, in the order in which it was sent."""
    async with opened(f"{app.url}/echo") as socket:
        for number in range(100):
            await send(socket, str(number))
        assert [(await socket.receive()).data for _ in range(100)] == [str(n) for n in range(100)]


async def test_a_timed_out_receive_leaves_the_socket_whole(app: AppServer) -> None:
    """After a timeout there is no close code, and the next receive gets the next message."""
    async with opened(f"{app.url}/echo") as socket:
        with pytest.raises(asyncio.TimeoutError):
            await socket.receive(timeout=0.01)
        assert not socket.queue.closed
        assert socket.queue.close_code is None
        await send(socket, "still here")
        assert (await socket.receive()).data == "still here"
        assert await socket.close()
        assert socket.queue.close_code == 1000


async def test_a_timeout_of_zero_only_looks(app: AppServer) -> None:
    """Zero is zero: what is here is returned, and otherwise nobody waits."""
    async with opened(f"{app.url}/echo?burst=1") as socket:
        await socket.wait()
        assert (await socket.receive(timeout=0)).data == "0"
        with pytest.raises(asyncio.TimeoutError):
            await socket.receive(timeout=0)


async def test_a_cancelled_receive_loses_nothing(app: AppServer) -> None:
    """A cancelled reader leaves the message it waited for to the next."""
    async with opened(f"{app.url}/echo") as socket:
        reader = asyncio.create_task(socket.receive())
        await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await send(socket, "for the next")
        assert (await socket.receive()).data == "for the next"
        assert socket.queue.close_code is None


async def test_a_second_reader_is_refused(app: AppServer) -> None:
    """Two tasks cannot wait at once; the first is not disturbed."""
    async with opened(f"{app.url}/echo") as socket:
        reader = asyncio.create_task(socket.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="Concurrent"):
            await socket.receive()
        await send(socket, "for the first")
        assert (await reader).data == "for the first"


async def test_a_burst_comes_in_few_wakings(raw_server: StartRaw) -> None:
    """Ten thousand messages that arrive at once do not wake the reader ten thousand times."""
    count = 10_000

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(b"".join(ws.frame(ws.TEXT, b"%d" % n) for n in range(count)))
        ws.say_goodbye(conn)

    async with opened(raw_server(script).url) as socket:
        got: list[str] = []
        wakings = 0
        while len(got) < count:
            await socket.wait()
            wakings += 1
            while socket.queue.messages:
                got.append(socket.queue.messages.popleft().data)
        assert got == [str(n) for n in range(count)]
        assert wakings < 100


async def test_pings_are_answered_while_nobody_receives(raw_server: StartRaw) -> None:
    """Pings are answered, in order and with their payload, behind messages nobody reads."""
    pongs: list[bytes] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        for number in range(5):
            conn.send(ws.frame(ws.TEXT, b"unread") + ws.frame(ws.PING, b"%d" % number))
            pong = ws.read_frame(conn)
            assert pong.opcode == ws.PONG
            pongs.append(pong.data)
        conn.stall()
        ws.say_goodbye(conn)

    server = raw_server(script)
    async with opened(server.url) as socket:
        conn = await stalled(server)
        assert pongs == [b"0", b"1", b"2", b"3", b"4"]
        conn.proceed()
        assert (await socket.receive()).data == "unread"


async def test_above_the_mark_the_network_pushes_back(raw_server: StartRaw) -> None:
    """A flood nobody reads stops at the sender, and nothing of it is lost."""
    message = ws.frame(ws.BINARY, bytes(10_000))
    sent: list[int] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        count, rest = ws.fill(conn, message)
        sent.append(count)
        conn.stall()
        conn.send(rest + ws.frame(ws.TEXT, b"the end"))
        ws.say_goodbye(conn)

    server = raw_server(script)
    async with opened(server.url, buffer_messages=10) as socket:
        conn = await stalled(server)
        assert len(socket.queue.messages) == 10
        conn.proceed()
        for _ in range(sent[0]):
            assert len((await socket.receive()).data) == 10_000
        assert (await socket.receive()).data == "the end"


async def test_the_mark_in_bytes_counts_too(raw_server: StartRaw) -> None:
    """A few large messages fill the queue as many small ones do."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        _, rest = ws.fill(conn, ws.frame(ws.BINARY, bytes(10_000)))
        conn.stall()
        conn.send(rest)
        ws.say_goodbye(conn)

    server = raw_server(script)
    async with opened(server.url, buffer_bytes=50_000) as socket:
        conn = await stalled(server)
        assert len(socket.queue.messages) == 5
        conn.proceed()


async def test_a_heartbeat_does_not_end_what_we_do_not_read(raw_server: StartRaw) -> None:
    """A pong stuck behind a full queue is our doing: the peer is not given up for it."""
    pings: list[bytes] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        _, rest = ws.fill(conn, ws.frame(ws.BINARY, bytes(10_000)))
        while len(pings) < 3:  # the second could not come if the first had been fatal
            ping = ws.read_frame(conn)
            assert ping.opcode == ws.PING
            pings.append(ping.data)
        conn.stall()
        conn.send(rest + ws.frame(ws.PONG) + ws.frame(ws.TEXT, b"alive"))
        ws.say_goodbye(conn)

    server = raw_server(script)
    async with opened(server.url, buffer_messages=10, heartbeat=0.2) as socket:
        conn = await stalled(server)
        conn.proceed()
        while (message := await socket.receive()).type is WSMsgType.BINARY:
            pass
        assert message.data == "alive"


async def test_a_heartbeat_ends_a_silent_peer(raw_server: StartRaw) -> None:
    """Without a pong, and with room in the queue, the heartbeat gives the peer up: 1006."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.stall()

    async with opened(raw_server(script).url, heartbeat=0.1) as socket:
        message = await socket.receive()
        assert message.type is WSMsgType.ERROR
        assert isinstance(message.data, aiohttp.ServerTimeoutError)
        assert socket.queue.close_code == 1006
        assert (await socket.receive()).type is WSMsgType.CLOSED


async def test_pings_and_pongs_are_messages_without_autoping(raw_server: StartRaw) -> None:
    """With autoping=False the reader gets pings and pongs, and answers itself."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.PING, b"who") + ws.frame(ws.PONG, b"me"))
        assert ws.read_frame(conn) == ws.Frame(ws.PONG, b"you", fin=True, rsv=0)
        ws.say_goodbye(conn)

    async with opened(raw_server(script).url, autoping=False) as socket:
        assert await socket.receive() == WSMessage(WSMsgType.PING, b"who", "")
        assert await socket.receive() == WSMessage(WSMsgType.PONG, b"me", "")
        await socket.send(WSMsgType.PONG, b"you")


# Sending.


async def test_a_send_that_times_out_disturbs_no_other(raw_server: StartRaw) -> None:
    """One sender gives up, one is cancelled, one waits on; every frame arrives whole."""
    frames: list[ws.Frame] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.stall()
        while (got := ws.read_frame(conn)).opcode != ws.CLOSE:
            frames.append(got)
        conn.send(ws.frame(ws.CLOSE, got.data))

    server = raw_server(script)
    async with opened(server.url) as socket:
        conn = await stalled(server)
        # More than the system buffers for us, so that the first of them is in a jam already.
        data = bytes(20_000_000)
        with pytest.raises(asyncio.TimeoutError):
            await socket.send(WSMsgType.BINARY, data, timeout=0.1)
        patient = asyncio.create_task(socket.send(WSMsgType.BINARY, data))
        cancelled = asyncio.create_task(socket.send(WSMsgType.BINARY, data))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        conn.proceed()
        await patient
        await send(socket, "last")
        await socket.close()
        await ended(conn)
    assert [frame.data == data for frame in frames] == [True, True, True, False]
    assert frames[-1].data == b"last"


async def test_a_closed_socket_refuses_to_send(app: AppServer) -> None:
    """Sending after close() raises aiohttp's own error."""
    async with opened(f"{app.url}/echo") as socket:
        await socket.close()
        with pytest.raises(ClientConnectionResetError):
            await send(socket, "too late")


async def test_senders_in_a_jam_get_an_error_when_the_socket_closes(raw_server: StartRaw) -> None:
    """Whoever waits for a peer that does not read is woken by close(), with an error."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.stall()

    async with opened(raw_server(script).url, close_timeout=0.2) as socket:
        senders = [
            asyncio.create_task(socket.send(WSMsgType.BINARY, bytes(8_000_000))) for _ in range(3)
        ]
        done, _ = await asyncio.wait(senders, timeout=0.1)
        assert not done, "the test needs a larger message to fill the socket"
        await socket.close()
        for sender in senders:
            with pytest.raises((ClientConnectionResetError, ConnectionError)):
                await sender


# Ending.


async def test_the_peers_close_is_answered_while_nobody_receives(raw_server: StartRaw) -> None:
    """The peer has our close frame before we read; we still read all that came before its own."""
    answers: list[int] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"one") + ws.frame(ws.TEXT, b"two"))
        conn.send(ws.close_frame(4000, b"enough"))
        answers.append(ws.read_until_close(conn).close_code)

    server = raw_server(script)
    async with opened(server.url) as socket:
        await ended(await asyncio.to_thread(server.wait_until_connected))
        assert answers == [4000]
        assert not socket.queue.closed
        assert [(await socket.receive()).data for _ in range(2)] == ["one", "two"]
        before, message = socket.queue.close_code, await socket.receive()
        assert message == WSMessage(WSMsgType.CLOSE, 4000, "enough")
        assert (before, socket.queue.close_code) == (None, 4000)
        assert (await socket.receive()).type is WSMsgType.CLOSED
        assert not await socket.close()


async def test_without_autoclose_the_answer_is_ours_to_give(raw_server: StartRaw) -> None:
    """With autoclose=False the peer's close frame waits for close(), with a code of ours."""
    answers: list[int] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.close_frame(4000))
        answers.append(ws.read_until_close(conn).close_code)

    server = raw_server(script)
    async with opened(server.url, autoclose=False) as socket:
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert not socket.queue.closed
        assert not answers
        assert await socket.close(code=4001)
        await ended(server.connections[0])
    assert answers == [4001]


async def test_without_autoclose_the_next_receive_closes(raw_server: StartRaw) -> None:
    """As with aiohttp, to receive again after the peer's close frame answers it."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.close_frame(4000))
        ws.read_until_close(conn)

    server = raw_server(script)
    async with opened(server.url, autoclose=False) as socket:
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert (await socket.receive()).type is WSMsgType.CLOSED
        await ended(server.connections[0])
        assert socket.queue.closed


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_peer_that_vanishes_is_1006(raw_server: StartRaw, how: str) -> None:
    """Without a close frame the code is 1006, after all that had arrived was received."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"last words"))
        conn.stall()
        getattr(conn, how)()

    server = raw_server(script)
    async with opened(server.url) as socket:
        assert (await socket.receive()).data == "last words"
        (await stalled(server)).proceed()
        assert (await socket.receive()).type is WSMsgType.CLOSED
        assert socket.queue.closed
        assert socket.queue.close_code == 1006


async def test_last_words_above_the_mark_are_heard(raw_server: StartRaw) -> None:
    """A peer that is gone while nothing is read loses nothing that it sent."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(b"".join(ws.frame(ws.TEXT, b"%d" % n) for n in range(100)))

    server = raw_server(script)
    async with opened(server.url, buffer_messages=3) as socket:
        await ended(await asyncio.to_thread(server.wait_until_connected))
        assert [(await socket.receive()).data for _ in range(100)] == [str(n) for n in range(100)]
        assert (await socket.receive()).type is WSMsgType.CLOSED
        assert socket.queue.close_code == 1006


async def test_close_wakes_a_waiting_reader(app: AppServer) -> None:
    """A reader that waits gets CLOSED when another task closes."""
    async with opened(f"{app.url}/echo") as socket:
        reader = asyncio.create_task(socket.receive())
        await asyncio.sleep(0)
        assert await socket.close()
        assert (await reader).type is WSMsgType.CLOSED
        assert socket.queue.close_code == 1000


async def test_a_second_closer_waits_for_the_first(app: AppServer) -> None:
    """Both closers return when the socket is closed; one of them has closed it."""
    async with opened(f"{app.url}/echo") as socket:
        assert sorted(await asyncio.gather(socket.close(), socket.close())) == [False, True]
        assert socket.done


@pytest.mark.parametrize("deaf", [False, True], ids=["mute", "deaf"])
async def test_a_dead_peer_cannot_hold_close(raw_server: StartRaw, deaf: bool) -> None:
    """close() returns after its timeout: 1006, and the socket is gone, full send buffer or not."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.stall()

    server = raw_server(script)
    async with opened(server.url, close_timeout=0.2) as socket:
        if deaf:
            with pytest.raises(asyncio.TimeoutError):
                await socket.send(WSMsgType.BINARY, bytes(20_000_000), timeout=0.05)
        started = time.monotonic()
        assert await socket.close()
        assert 0.1 < time.monotonic() - started < UNASKED
        assert socket.queue.close_code == 1006
        # Our end is gone (and no_leaks looks). A deaf peer cannot see it: the system
        # tells it only after the data that it does not read.
        assert socket.done


async def test_a_flood_cannot_hold_close(raw_server: StartRaw) -> None:
    """The close timeout is for the whole handshake, not for each message that comes meanwhile."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        while True:
            conn.send(ws.frame(ws.TEXT, b"blah") * 100)

    async with opened(raw_server(script).url, close_timeout=0.3) as socket:
        await socket.receive()
        started = time.monotonic()
        await socket.close()
        assert time.monotonic() - started < UNASKED  # by each message's own it would never end
        assert socket.queue.close_code == 1006


async def test_a_cancelled_close_drops_the_connection(raw_server: StartRaw) -> None:
    """Whoever stops waiting for the handshake does not leave the socket half closed."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        ws.read_until_close(conn)
        conn.stall()

    server = raw_server(script)
    async with opened(server.url) as socket:
        closing = asyncio.create_task(socket.close())
        await stalled(server)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await asyncio.to_thread(server.wait_until_closed)


async def test_sockets_of_a_session_close_at_the_same_time(raw_server: StartRaw) -> None:
    """Ten peers that do not answer cost one close timeout, and each is told 1001."""
    codes: list[int] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        codes.append(ws.read_until_close(conn).close_code)
        conn.stall()

    server = raw_server(script)
    async with client() as http:
        host = Host(http)
        limits = ClientWSTimeout(ws_receive=None, ws_close=0.3)
        sockets = [(await connect(host, server.url, timeout=limits))[1] for _ in range(50)]
        started = time.monotonic()
        await asyncio.gather(*(live.aclose() for live in list(host.live)))
        assert time.monotonic() - started < BOUND
        assert all(socket.done for socket in sockets)
        assert not host.live
    assert codes == [1001] * 50


@pytest.mark.parametrize("full", [False, True], ids=["roomy", "full"])
async def test_abandon_drops_the_connection_at_once(raw_server: StartRaw, full: bool) -> None:
    """A plain call is enough to get rid of all: connection and buffers. No close frame."""
    seen: list[bytes] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        if full:
            ws.fill(conn, ws.frame(ws.BINARY, bytes(10_000)))
        conn.stall()

    server = raw_server(script)
    async with opened(server.url, buffer_messages=10) as socket:
        await stalled(server)
        socket.abandon()
        await asyncio.to_thread(server.wait_until_closed)
        assert (await socket.receive()).type is WSMsgType.CLOSED
        assert not await socket.close()
        assert socket.done
    assert not seen


async def test_errors_carry_no_frame_of_the_engine(raw_server: StartRaw) -> None:
    """An error handed out as a message has no traceback, which would hold aiohttp's objects."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"\xff"))
        ws.read_until_close(conn)

    async with opened(raw_server(script).url) as socket:
        message = await socket.receive()
        assert message.type is WSMsgType.ERROR
        assert message.data.__traceback__ is None
        assert message.data.__cause__.__traceback__ is None


@pytest.mark.parametrize("how", ["closed", "told goodbye", "failed", "lost"])
async def test_a_finished_socket_is_no_garbage_for_the_collector(
    raw_server: StartRaw, how: str
) -> None:
    """Reference counting alone frees it, on the loop: a collector may run on any thread."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"x") + ws.frame(ws.PING))
        if how == "told goodbye":
            conn.send(ws.close_frame())
        elif how == "failed":
            conn.send(ws.frame(ws.TEXT, b"\xff"))
        if how != "lost":
            ws.read_until_close(conn)

    gc.collect()
    gc.disable()
    try:
        async with opened(raw_server(script).url, heartbeat=5.0) as socket:
            assert (await socket.receive()).data == "x"
            if how != "closed":
                await socket.receive()
            await socket.close()
            gone = weakref.ref(socket)
        del socket
        for _ in range(3):  # turns of the loop, in which its last task comes to its end
            await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()


# The engine.


@pytest.mark.parametrize(
    "name", ["set_parser", "read_timeout", "writing_paused", "pause_reading", "resume_reading"]
)
def test_the_engine_still_has_what_we_borrow(name: str) -> None:
    """What takes a connection over has no underscore, but is in no documentation either."""
    assert hasattr(ResponseHandler, name)
