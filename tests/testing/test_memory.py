"""The connection in memory: what its transports promise to the protocols at their ends."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from syncclient._async.connect.memory import MemoryTransport, join

pytestmark = pytest.mark.anyio


class End(asyncio.Protocol):
    """Records what its transport tells it."""

    def __init__(self, *, keeps_half_open: bool = False) -> None:
        self.data = b""
        self.events: list[str] = []
        self.lost: asyncio.Future[BaseException | None]
        self.lost = asyncio.get_running_loop().create_future()
        self._keeps_half_open = keeps_half_open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self._keeps_half_open

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, exc: BaseException | None) -> None:
        assert not self.lost.done(), "lost twice"
        self.lost.set_result(exc)


async def turns(count: int = 10) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_data_arrives_in_order_and_not_inside_write() -> None:
    """Bytes arrive in order in a later turn of the loop; a buffer given may be used again."""
    client, server = End(), End()
    ours, theirs = join(client, server)
    buffer = bytearray(b"one")
    ours.write(buffer)
    buffer[:] = b"xxx"
    ours.writelines([b" two", memoryview(b" three")])
    assert server.data == b""
    await turns()
    assert server.data == b"one two three"
    theirs.write(b"back")
    await turns()
    assert client.data == b"back"
    ours.close()
    assert await client.lost is None and await server.lost is None


async def test_a_writer_pauses_while_the_reader_does() -> None:
    """What is not read makes the writer pause at the high mark, and reading lets it go on."""
    client, server = End(), End()
    ours, theirs = join(client, server)
    theirs.pause_reading()
    assert not theirs.is_reading()
    ours.write(b"x" * (ours.get_write_buffer_limits()[1] + 1))
    await turns()
    assert client.events == ["made", "pause"]
    assert (server.data, ours.get_write_buffer_size()) == (b"", 2**16 + 1)
    theirs.resume_reading()
    await turns()
    assert client.events == ["made", "pause", "resume"]
    assert (len(server.data), ours.get_write_buffer_size()) == (2**16 + 1, 0)
    ours.abort()
    await server.lost


async def test_limits_can_be_set() -> None:
    """The marks are asyncio's by default, and follow each other when one is set."""
    ours, _ = join(End(), End())
    ours.set_write_buffer_limits(high=400)
    assert ours.get_write_buffer_limits() == (100, 400)
    ours.set_write_buffer_limits(low=10)
    assert ours.get_write_buffer_limits() == (10, 40)
    ours.abort()
    await turns()


async def test_close_delivers_what_was_written() -> None:
    """close() delivers what was written first, even to a reader that has paused."""
    client, server = End(), End()
    ours, theirs = join(client, server)
    theirs.pause_reading()
    ours.write(b"last")
    ours.close()
    ours.write(b"too late")
    await turns()
    assert ours.is_closing() and not client.lost.done()
    theirs.resume_reading()
    assert await server.lost is None and await client.lost is None
    assert server.data == b"last"


async def test_abort_delivers_nothing_more() -> None:
    """abort() ends both sides at once, and drops what was under way."""
    client, server = End(), End()
    ours, theirs = join(client, server)
    theirs.pause_reading()
    ours.write(b"dropped")
    ours.abort()
    assert await client.lost is None and await server.lost is None
    assert server.data == b""


async def test_fail_tells_the_other_side_why() -> None:
    """fail() delivers what was written, and then the reason, to the other side only."""
    client, server = End(), End()
    _, theirs = join(client, server)
    theirs.write(b"half")
    reason = ConnectionResetError("why")
    theirs.fail(reason)
    assert await client.lost is reason
    assert await server.lost is None
    assert client.data == b"half"


@pytest.mark.parametrize("keeps_half_open", [True, False])
async def test_write_eof_closes_one_direction(keeps_half_open: bool) -> None:
    """After write_eof() the other side may still answer, if it wants to; else it closes."""
    client, server = End(), End(keeps_half_open=keeps_half_open)
    ours, theirs = join(client, server)
    assert ours.can_write_eof()
    ours.write(b"question")
    ours.write_eof()
    await turns()
    assert (server.data, server.events) == (b"question", ["made", "eof"])
    assert server.lost.done() is not keeps_half_open
    if keeps_half_open:
        theirs.write(b"answer")
        theirs.close()
    await client.lost
    assert client.data == (b"answer" if keeps_half_open else b"")


async def test_a_protocol_that_fails_loses_its_connection() -> None:
    """An error in data_received() goes to the loop's handler and breaks the connection."""

    class Failing(End):
        def data_received(self, data: bytes) -> None:
            raise ZeroDivisionError("mine")

    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    client, server = End(), Failing()
    ours, _ = join(client, server)
    ours.write(b"x")
    lost = await client.lost
    assert isinstance(lost, ZeroDivisionError)
    assert told == [lost]
    loop.set_exception_handler(None)


async def test_the_protocol_can_be_changed() -> None:
    """set_protocol() has what comes from then on go elsewhere, as asyncio's transports do."""
    client, server, other = End(), End(), End()
    ours, theirs = join(client, server, server_info={"peername": ("a", 1)})
    assert theirs.get_protocol() is server
    assert theirs.get_extra_info("peername") == ("a", 1)
    theirs.set_protocol(other)
    ours.write(b"x")
    ours.close()
    await other.lost
    assert (server.data, other.data) == (b"", b"x")


Closer = Callable[[MemoryTransport], object]


@pytest.mark.parametrize("first", [MemoryTransport.close, MemoryTransport.abort])
@pytest.mark.parametrize("second", [MemoryTransport.close, MemoryTransport.abort])
async def test_both_sides_may_close(first: Closer, second: Closer) -> None:
    """Whoever closes, and however often: each side is told once."""
    client, server = End(), End()
    ours, theirs = join(client, server)
    for transport in (ours, theirs):
        first(transport)
        second(transport)
    losses: list[Awaitable[BaseException | None]] = [client.lost, server.lost]
    assert await asyncio.gather(*losses) == [None, None]
    await turns()
