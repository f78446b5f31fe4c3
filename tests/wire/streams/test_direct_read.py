"""Long bodies that go past the engine's parser: as right as those that go through it."""

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest
import trustme
from aiohttp import ClientPayloadError, ClientResponse
from aiohttp.http_exceptions import LineTooLong

import syncclient
from syncclient import LoopThread, ReadTimeoutError, Session, SessionClosedError, TotalTimeoutError
from syncclient._async.engine.direct_read import DirectRead, read_directly
from syncclient._async.exchange import direct_body
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, Script, StartRawServer

SIZE = 3_000_000
CHUNK = 2**16


@pytest.fixture(autouse=True)
def ways(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each body that takes the short way."""
    found: list[bool] = []

    def watched(response: ClientResponse) -> DirectRead | None:
        way = read_directly(response)
        if way is not None:
            found.append(True)
        return way

    monkeypatch.setattr(direct_body, "read_directly", watched)
    return found


def answering(
    *pieces: bytes, length: int = SIZE, then: Callable[[RawConnection], object] | None = None
) -> Script:
    """A script that announces ``length`` bytes, and sends each piece when the test says so."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", str(length))])
        conn.send_slowly(pieces)
        if then is not None:
            then(conn)

    return script


@pytest.fixture(params=["uvloop", "asyncio"])
def loop_thread(request: pytest.FixtureRequest) -> LoopThread | None:
    """The usual loop thread, and one on asyncio's own loop."""
    if request.param == "uvloop":
        return None
    return LoopThread(loop_factory=asyncio.new_event_loop)


@pytest.fixture(params=["plain", "tls"])
def url(request: pytest.FixtureRequest, app: AppServer, tls_app: AppServer) -> str:
    return app.url if request.param == "plain" else tls_app.url


@pytest.fixture
def trusting(loop_thread: LoopThread | None, client_context: ssl.SSLContext) -> Iterator[Session]:
    connector = syncclient.TCPConnector(ssl=client_context)
    with Session(connector=connector, loop_thread=loop_thread) as session:
        yield session


@pytest.fixture
def client_context(ca: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.mark.parametrize(
    "read",
    [
        lambda content: b"".join(content.iter_chunked(CHUNK)),
        lambda content: b"".join(content),
        lambda content: content.read(100) + content.read(),
    ],
    ids=["chunks", "lines", "rest"],
)
def test_the_body_is_whole_and_its_connection_is_used_again(
    trusting: Session,
    url: str,
    ways: list[bool],
    read: Callable[[syncclient.StreamReader], bytes],
) -> None:
    """The body is whole on both loops, over TCP and TLS, however it is read."""
    numbers = set()
    for _ in range(3):
        with trusting.get(f"{url}/bytes/{SIZE}") as response:
            assert read(response.content) == pattern(SIZE)
            assert response.content.total_bytes == SIZE
        numbers.add(trusting.get(f"{url}/connections").json()["this"])
    assert len(numbers) == 1
    assert ways == [True] * 3


@pytest.mark.parametrize("path", ["/bytes/100000", "/gzip?size=3000000", "/stream/30"])
def test_other_bodies_go_through_the_parser(session: Session, ways: list[bool], path: str) -> None:
    """Those that are short, compressed, or of a length that nobody knows."""
    with session.get(path) as response:
        for _ in response.content.iter_chunked(CHUNK):
            pass
    assert not ways


def test_a_line_may_be_as_long_as_ever(raw_server: StartRawServer, ways: list[bool]) -> None:
    """The same limit as that of other bodies."""
    wire = raw_server(answering(b"a" * 600_000, b"\n" + b"b" * (SIZE - 600_001)))
    with Session() as session, session.get(wire.url) as response:
        wire.wait_until_connected().proceed(2)
        with pytest.raises(LineTooLong):
            response.content.readline()
    assert ways == [True]


def test_bytes_after_the_end_close_the_connection(
    raw_server: StartRawServer, ways: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes after the end of a body close the connection; the next request opens another."""
    wire = raw_server(
        answering(bytes(10), bytes(SIZE - 10) + b"more", then=RawConnection.read_to_end)
    )
    with caplog.at_level(logging.WARNING), Session() as session:
        for number in (1, 2):
            with session.get(wire.url) as response:
                conn = wire.wait_until_connected(number)
                conn.proceed()
                assert response.content.read(10) == bytes(10)
                conn.proceed()
                assert sum(map(len, response.content.iter_chunked(CHUNK))) == SIZE - 10
            conn.wait_until_closed()
    assert ways == [True, True]
    assert not caplog.records


def test_bytes_that_come_later_close_the_connection(
    raw_server: StartRawServer, ways: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes that come to an idle connection close it when the next request takes it."""
    sent = threading.Event()

    def spoil(conn: RawConnection) -> None:
        conn.stall()
        conn.send(b"more")
        sent.set()
        conn.read_to_end()

    wire = raw_server(answering(bytes(SIZE), then=spoil))
    with caplog.at_level(logging.WARNING), Session() as session:
        for number in (1, 2):
            with session.get(wire.url) as response:
                conn = wire.wait_until_connected(number)
                conn.proceed()
                assert sum(map(len, response.content.iter_chunked(CHUNK))) == SIZE
            conn.proceed()
            assert sent.wait(10)
            session._portal.call(_few_rounds)
            sent.clear()
    assert len(wire.connections) == 2
    assert ways == [True, True]
    assert not caplog.records


async def _few_rounds(_resident: object) -> None:
    """Let the loop see what has arrived; a send on loopback has, when it returns."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_body_cut_short_gives_its_bytes_and_then_the_error(
    raw_server: StartRawServer, ways: list[bool]
) -> None:
    """The same error as from the parser."""
    wire = raw_server(answering(bytes(SIZE - 1)))
    with Session() as session, session.get(wire.url) as response:
        wire.wait_until_connected().proceed()
        assert response.content.readexactly(SIZE - 1) == bytes(SIZE - 1)
        with pytest.raises(ClientPayloadError, match=r"GET http://.* while reading the body"):
            response.content.read(1)
    assert ways == [True]


def test_a_reset_is_an_error(raw_server: StartRawServer, ways: list[bool]) -> None:
    """Not the end of the body."""

    def reset(conn: RawConnection) -> None:
        conn.stall()
        conn.reset()

    wire = raw_server(answering(bytes(CHUNK), then=reset))
    with Session() as session, session.get(wire.url) as response:
        conn = wire.wait_until_connected()
        conn.proceed()
        response.content.readexactly(CHUNK)
        conn.proceed()
        with pytest.raises(ClientPayloadError, match=r"GET http://.* while reading the body"):
            response.content.read()
    assert ways == [True]


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(1.0, TotalTimeoutError), (syncclient.ClientTimeout(sock_read=0.3), ReadTimeoutError)],
    ids=["total", "sock_read"],
)
def test_a_stalled_body_times_out(
    raw_server: StartRawServer,
    ways: list[bool],
    timeout: float | syncclient.ClientTimeout,
    error: type[Exception],
) -> None:
    """A stalled body that is read directly times out by the same limits."""
    wire = raw_server(answering(bytes(CHUNK), b"never"))
    with Session() as session, session.get(wire.url, timeout=timeout) as response:
        conn = wire.wait_until_connected()
        conn.proceed()
        assert response.content.readexactly(CHUNK) == bytes(CHUNK)
        with pytest.raises(error, match="reading the body"):
            response.content.read(1)
        conn.wait_until_closed()
    assert ways == [True]


def test_a_reader_may_take_its_time(raw_server: StartRawServer, ways: list[bool]) -> None:
    """``sock_read`` measures the server, and not who reads, while the transport rests."""
    limit = 0.3
    wire = raw_server(answering(bytes(SIZE), then=RawConnection.read_to_end))
    timeout = syncclient.ClientTimeout(sock_read=limit)
    with Session() as session, session.get(wire.url, timeout=timeout) as response:
        wire.wait_until_connected().proceed()
        got = len(response.content.read(CHUNK))
        assert not threading.Event().wait(3 * limit)  # this is what is tested: time goes by
        got += sum(map(len, response.content.iter_chunked(CHUNK)))
    assert got == SIZE
    assert ways == [True]


@pytest.mark.parametrize("how", ["leave", "close the session"])
def test_a_body_left_closes_its_connection(
    raw_server: StartRawServer, ways: list[bool], how: str
) -> None:
    """While the transport rests, too."""
    wire = raw_server(answering(bytes(CHUNK), then=RawConnection.read_to_end))
    session = Session()
    response = session.get(wire.url)
    conn = wire.wait_until_connected()
    conn.proceed()
    assert response.content.readexactly(CHUNK) == bytes(CHUNK)
    if how == "leave":
        response.release()
        conn.wait_until_closed()
        session.close()
    else:
        session.close()
        conn.wait_until_closed()
        with pytest.raises(SessionClosedError):
            response.content.read()
    assert ways == [True]
