"""AioWebSocket: WebSockets awaited from any loop."""

from __future__ import annotations

import threading

import anyio
import anyio.to_thread
import pytest

import syncclient
from syncclient import AioWebSocket, Session, WSMsgType

WITHIN = 20.0


def _state(socket: AioWebSocket) -> tuple[bool, int | None]:
    return socket.closed, socket.close_code


@pytest.mark.anyio
async def test_a_conversation(session: Session) -> None:
    """Text, bytes and JSON go there and back; the close codes are aiohttp's."""
    async with session.aio.ws_connect("/echo", protocols=["a", "b"]) as socket:
        assert isinstance(socket, AioWebSocket)
        await socket.send_str("text")
        assert await socket.receive_str() == "text"
        await socket.send_bytes(bytearray(b"bytes"))
        assert await socket.receive_bytes() == b"bytes"
        await socket.send_json({"a": 1})
        assert await socket.receive_json() == {"a": 1}
        await socket.ping(b"alive?")
        await socket.send_frame(b"framed", WSMsgType.BINARY)
        assert (await socket.receive()).data == b"framed"
        assert _state(socket) == (False, None)
    assert _state(socket) == (True, 1000)
    assert (await socket.receive()).type is WSMsgType.CLOSED
    with pytest.raises(syncclient.ClientConnectionResetError):
        await socket.send_str("too late")
    assert not await socket.close()


@pytest.mark.anyio
async def test_iteration_ends_with_the_connection(session: Session) -> None:
    """`async for` yields every message, and stops at the server's close."""
    async with session.aio.ws_connect("/echo?burst=1000&close=4000&reason=done") as socket:
        messages = [message.data async for message in socket]
        assert messages == [str(number) for number in range(1000)]
        assert socket.close_code == 4000


@pytest.mark.anyio
async def test_a_burst_crosses_once(session: Session) -> None:
    """Messages that were received ahead need no crossing."""
    async with session.aio.ws_connect("/echo?burst=5000") as socket:
        for number in range(5000):
            assert (await socket.receive()).data == str(number)
        assert session._portal.crossings < 500


@pytest.mark.anyio
async def test_a_receive_that_times_out_or_is_cancelled_loses_nothing(session: Session) -> None:
    """After a timeout and after a cancellation the socket is as good as before."""
    async with session.aio.ws_connect("/echo") as socket:
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.02)
        with anyio.move_on_after(0.02) as scope:
            await socket.receive()
        assert scope.cancelled_caught
        await socket.send_str("still here")
        with anyio.fail_after(WITHIN):
            assert await socket.receive_str() == "still here"


@pytest.mark.anyio
async def test_one_receives_while_others_send(session: Session) -> None:
    """Tasks send as they like while one receives; a second receiver is refused."""
    got = []
    async with session.aio.ws_connect("/echo") as socket:

        async def receive() -> None:
            got.extend([await socket.receive_str() for _ in range(20)])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RuntimeError, match="Concurrent call to receive"):
                await socket.receive()
            for number in range(20):
                tasks.start_soon(socket.send_str, str(number))
    assert sorted(got, key=int) == [str(number) for number in range(20)]


@pytest.mark.anyio
async def test_closing_the_session_ends_a_receive(session: Session) -> None:
    """A task that waits for a message wakes when another thread closes the session."""
    async with session.aio.ws_connect("/echo") as socket:
        closer = threading.Thread(target=session.close)
        ended = []

        async def receive() -> None:
            try:
                ended.append((await socket.receive()).type)
            except syncclient.SessionClosedError:
                ended.append(WSMsgType.CLOSED)

        with anyio.fail_after(WITHIN):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(receive)
                await anyio.wait_all_tasks_blocked()
                closer.start()
        await anyio.to_thread.run_sync(closer.join, WITHIN)
    assert len(ended) == 1
    assert ended[0] in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.CLOSE)


@pytest.mark.anyio
async def test_wrong_arguments_are_told(session: Session) -> None:
    """A wrong argument raises an error that says why."""
    with pytest.raises(TypeError, match="no keyword 'stall'"):
        await session.aio.ws_connect("/echo", stall=1)  # type: ignore[call-arg]  # the point
    with pytest.raises(syncclient.WSServerHandshakeError):
        await session.aio.ws_connect("/get")
    async with session.aio.ws_connect("/echo") as socket:
        with pytest.raises(TypeError, match="must be str"):
            await socket.send_str(b"bytes")  # type: ignore[arg-type]  # the point
        with pytest.raises(ValueError, match="125 bytes"):
            await socket.ping(bytes(126))
        with pytest.raises(ValueError, match="close code"):
            await socket.close(code=5)
        await socket.send_str("text")
        with pytest.raises(syncclient.WSMessageTypeError):
            await socket.receive_bytes()
