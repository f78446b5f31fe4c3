"""Exchange and StreamReader on aiohttp's own reader, fed by hand: no timing, every order."""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import ClientPayloadError, ClientResponse
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import LineTooLong
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from syncclient._async.engine import lean_names
from syncclient._async.engine.decoded_reader import DecodedReader
from syncclient._async.exchange.body_buffer import ALL, BodyBuffer
from syncclient._async.exchange.exchange import Exchange
from syncclient._async.exchange.progress import Progress
from syncclient._bodies.stream import StreamReader
from syncclient._models import Head

LIMIT = 2**16


class Connected(BaseProtocol):
    """A protocol that takes pauses, and has a connection."""

    connected = True

    def pause_reading(self) -> None:
        self._reading_paused = True

    def resume_reading(self, resume_parser: bool = True) -> None:
        self._reading_paused = False


class FedResponse:
    """What an Exchange asks of aiohttp's response."""

    _traces = ()
    connection = None
    headers = CIMultiDict[str]()

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self.content = content
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    release = close


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def fed(
    loop: asyncio.AbstractEventLoop, chunks: Sequence[Sequence[bytes]] = (), *, eof: bool = True
) -> aiohttp.StreamReader:
    """aiohttp's reader with HTTP chunks in it, each of which came in pieces."""
    content = aiohttp.StreamReader(Connected(loop), LIMIT, loop=loop)
    for pieces in chunks:
        content.begin_http_chunk_receiving()
        for piece in pieces:
            content.feed_data(piece)
        content.end_http_chunk_receiving()
    if eof:
        content.feed_eof()
    return content


def opened(content: aiohttp.StreamReader, max_body: int | None = None) -> Exchange:
    response = cast(ClientResponse, FedResponse(content))
    return Exchange(response, Progress(), lambda _: None, max_body=max_body)


def reader(buffer: BodyBuffer) -> StreamReader:
    """Our reader over bytes that have all come over."""
    return StreamReader(buffer, None, cast(Head, None))


# The same reads as aiohttp's.

#: What a reader can be asked, and how aiohttp's is; each answer is a value or an error's class.
READS: dict[str, Callable[[Any, int], Any]] = {
    "read": lambda content, n: content.read(n),
    "read all": lambda content, n: content.read(),
    "readany": lambda content, n: content.readany(),
    "readexactly": lambda content, n: content.readexactly(n),
    "readline": lambda content, n: content.readline(),
    "readline, limited": lambda content, n: content.readline(max_line_length=n),
    "readuntil": lambda content, n: content.readuntil(b"ab"),
    "readuntil, limited": lambda content, n: content.readuntil(b"ba", max_size=n),
    "readuntil, nothing": lambda content, n: content.readuntil(b""),
    "readchunk": lambda content, n: content.readchunk(),
    "read_nowait": lambda content, n: content.read_nowait(n),
    "at_eof": lambda content, n: content.at_eof(),
}


def outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except asyncio.IncompleteReadError as exc:
        return exc.partial, exc.expected
    except LineTooLong:
        return LineTooLong
    except ValueError as exc:
        return str(exc)


@given(
    chunks=st.lists(
        st.lists(st.text("ab\n\r", min_size=1, max_size=12).map(str.encode), max_size=3),
        max_size=4,
    ),
    reads=st.lists(st.tuples(st.sampled_from(sorted(READS)), st.integers(1, 20)), max_size=12),
)
def test_every_read_answers_as_aiohttps_does(
    chunks: list[list[bytes]], reads: list[tuple[str, int]]
) -> None:
    """Whatever the chunks and whatever the order of reads, results and errors are the same."""
    loop = asyncio.new_event_loop()
    try:
        theirs, buffer = fed(loop, chunks), BodyBuffer()
        loop.run_until_complete(opened(fed(loop, chunks)).fill(buffer))
        ours = reader(buffer)
        for name, n in reads:
            ask = READS[name]

            def ask_theirs(ask: Callable[[Any, int], Any] = ask, n: int = n) -> Any:
                answer = ask(theirs, n)
                return loop.run_until_complete(answer) if asyncio.iscoroutine(answer) else answer

            expected = outcome(ask_theirs)
            actual = outcome(lambda ask=ask, n=n: ask(ours, n))  # type: ignore[misc]  # defaults bind the loop's variables
            assert actual == expected, (name, n)
            if expected is LineTooLong:
                return  # how much is dropped depends on the blocks, which are not the same
        assert ours.total_bytes == theirs.total_bytes
    finally:
        loop.close()


@given(
    blocks=st.lists(st.text("ab\n\r", min_size=1, max_size=9).map(str.encode), max_size=9),
    n=st.integers(1, 5),
)
def test_every_iteration_gives_the_whole_body(blocks: list[bytes], n: int) -> None:
    """Lines are cut at newlines alone; what a loop leaves is there for the next read."""
    body = b"".join(blocks)

    def content() -> StreamReader:
        buffer = BodyBuffer()
        for block in blocks:
            buffer.put(block)
        buffer.eof = True
        return reader(buffer)

    lines = io.BytesIO(body).readlines()
    assert list(content()) == lines
    assert content().readlines() == lines
    assert b"".join(content().iter_chunked(n)) == body
    assert b"".join(content().iter_any()) == body
    assert b"".join(data for data, _ in content().iter_chunks()) == body
    stopped = content()
    for index, line in enumerate(stopped):
        assert line == lines[index]
        assert stopped.read(1) == b"".join(lines[index + 1 :])[:1]
        break
    else:
        assert not lines
        return
    rest = b"".join(lines[1:])
    assert next(stopped, b"") == (io.BytesIO(rest[1:]).readline())


def test_lines_longer_than_the_limit_are_refused_at_their_place() -> None:
    """The lines before a long one come first, then LineTooLong, then the lines after it."""
    buffer = BodyBuffer(b"one\n" + b"x" * 30 + b"\ntwo\n")
    buffer.line_limit = 20
    content = reader(buffer)
    lines = iter(content)
    assert next(lines) == b"one\n"
    with pytest.raises(LineTooLong):
        next(lines)
    assert list(content) == [b"two\n"]


def test_readline_with_a_size_is_as_a_files() -> None:
    """At most ``size`` bytes of a line, and b"" for 0."""
    content = reader(BodyBuffer(b"one two\nthree"))
    expected = io.BytesIO(b"one two\nthree")
    for size in (3, 0, 2, 20, -1, 1):
        assert content.readline(size) == expected.readline(size)


# What a fill takes.


def test_a_fill_takes_all_that_is_held_and_says_that_it_ends(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """One fill brings every block, the ends of HTTP chunks, and the end of the body."""
    exchange, buffer = opened(fed(loop, [[b"a", b"b"], [b"c"]])), BodyBuffer()
    loop.run_until_complete(exchange.fill(buffer))
    assert (buffer.eof, exchange.done, list(buffer.ends)) == (True, True, [2, 3])
    assert buffer.cut(ALL) == b"abc"


def test_a_fill_that_may_not_wait_does_not(loop: asyncio.AbstractEventLoop) -> None:
    """With ``least=0`` it returns from an empty stream, which goes on afterwards."""
    content = fed(loop, eof=False)
    exchange, buffer = opened(content), BodyBuffer()
    loop.run_until_complete(asyncio.wait_for(exchange.fill(buffer, 0), 5))
    assert (buffer.total, buffer.eof) == (0, False)
    content.feed_data(b"x")
    loop.run_until_complete(exchange.fill(buffer, 0))
    assert buffer.cut(ALL) == b"x"


def test_a_cancelled_fill_loses_nothing(loop: asyncio.AbstractEventLoop) -> None:
    """Cancelled in the moment the bytes arrive, it leaves them to the next fill."""

    async def play() -> bytes:
        content = fed(loop, eof=False)
        exchange, buffer = opened(content), BodyBuffer()
        fill = asyncio.ensure_future(exchange.fill(buffer))
        await asyncio.sleep(0)
        content.feed_data(b"first")
        fill.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fill
        content.feed_data(b" second")
        await exchange.fill(buffer)
        return buffer.cut(ALL)

    assert loop.run_until_complete(play()) == b"first second"


def test_two_fills_at_a_time_are_refused(loop: asyncio.AbstractEventLoop) -> None:
    """The second raises at once, and the first goes on."""

    async def play() -> bytes:
        content = fed(loop, eof=False)
        exchange, buffer = opened(content), BodyBuffer()
        first = asyncio.ensure_future(exchange.fill(buffer))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one reader at a time"):
            await exchange.fill(buffer)
        content.feed_data(b"x")
        await first
        return buffer.cut(ALL)

    assert loop.run_until_complete(play()) == b"x"


def test_bytes_before_a_fault_come_before_the_fault(loop: asyncio.AbstractEventLoop) -> None:
    """aiohttp's reader gives the fault alone from then on; we get at what it had before."""
    content = fed(loop, [[b"some"]], eof=False)
    content.feed_data(b" more")
    content.set_exception(ClientPayloadError("cut short"))
    exchange, buffer = opened(content), BodyBuffer()
    loop.run_until_complete(exchange.fill(buffer))
    assert buffer.cut(ALL) == b"some more"
    assert not exchange.done
    with pytest.raises(ClientPayloadError, match="cut short"):
        loop.run_until_complete(exchange.fill(buffer))
    assert isinstance(buffer.error, ClientPayloadError)
    assert exchange.done


def test_the_lean_way_is_possible() -> None:
    """All private names of the engine that it needs are there."""
    assert lean_names.is_possible()


def test_the_fields_of_the_engine_that_we_read_are_there() -> None:
    """Private names of aiohttp's, each read with a fallback: should one go, look at its use."""
    loop = asyncio.new_event_loop()
    try:
        content = fed(loop, [[b"ab"]])
        assert list(content._buffer) == [b"ab"]
        assert content._buffer_offset == 0
    finally:
        loop.close()
    assert "_traces" in ClientResponse.__init__.__code__.co_names


def test_a_connection_that_is_gone_is_an_error_of_the_body(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """aiohttp's reader raises a bare RuntimeError where nobody has told it why."""
    content = fed(loop, eof=False)
    content._protocol.connected = False  # type: ignore[misc]  # ours, where it is no property
    exchange, buffer = opened(content), BodyBuffer()
    with pytest.raises(ClientPayloadError, match="the connection was lost"):
        loop.run_until_complete(exchange.fill(buffer))
    assert exchange.done


# The limit.


def test_a_body_of_just_max_body_passes(loop: asyncio.AbstractEventLoop) -> None:
    """As many bytes as are allowed are not too many."""
    exchange, buffer = opened(fed(loop, [[b"12345"]]), max_body=5), BodyBuffer()
    loop.run_until_complete(exchange.fill(buffer))
    assert buffer.cut(ALL) == b"12345"
    assert buffer.eof


def test_a_longer_body_is_cut_off_at_max_body(loop: asyncio.AbstractEventLoop) -> None:
    """The reader gets the allowed bytes, and then the error, again and again."""
    exchange, buffer = opened(fed(loop, [[b"123", b"456", b"789"]]), max_body=5), BodyBuffer()
    loop.run_until_complete(exchange.fill(buffer))
    assert buffer.cut(ALL) == b"12345"
    for _ in range(2):
        with pytest.raises(ClientPayloadError, match="max_body=5"):
            loop.run_until_complete(exchange.fill(buffer))
    assert exchange.done


def test_a_bomb_is_inflated_no_further_than_the_limit(loop: asyncio.AbstractEventLoop) -> None:
    """A bomb of 64 MiB in 64 KiB is inflated to little more than the limit of 1 MiB."""
    source = fed(loop, [[zlib.compress(bytes(2**26), 9)]])
    content = DecodedReader(source, ["deflate"], chunked=False, loop=loop)
    exchange = opened(content, max_body=2**20)
    with pytest.raises(ClientPayloadError, match="max_body"):
        loop.run_until_complete(exchange.read())
    assert content.total_bytes <= 2**20 + 3 * LIMIT
    assert exchange.done
