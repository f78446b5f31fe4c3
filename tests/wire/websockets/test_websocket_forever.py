"""A socket that comes back: which failures are waited out, which are not, and how long."""

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

import syncclient
from syncclient._async.websocket import websocket as core
from syncclient._client.websocket import WebSocket
from syncclient._client.websocket_forever import Forever
from tests.servers import ws_script as ws
from tests.servers.raw import RawConnection, RawServer

pytestmark = pytest.mark.timeout(30)

StartRaw = Callable[..., RawServer]

WAIT = 20.0


@pytest.fixture
def pauses() -> list[float]:
    """The pauses asked for; none is made."""
    return []


def forever(client: syncclient.Session, url: str, pauses: list[float]) -> Forever[WebSocket]:
    return Forever(partial(client.ws_connect, url), pauses.append)


def refuse(status: str) -> Callable[[RawConnection], None]:
    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.respond(status=status)

    return script


def greet(text: bytes, code: int = 1012) -> Callable[[RawConnection], None]:
    def script(conn: RawConnection) -> None:
        ws.accept(conn, greeting=ws.frame(ws.TEXT, text) + ws.close_frame(code))
        ws.read_until_close(conn)

    return script


def vanish(conn: RawConnection) -> None:
    conn.read_head()
    conn.reset()


def test_it_comes_back_after_every_kind_of_loss(raw_server: StartRaw, pauses: list[float]) -> None:
    """A server that restarts, refuses for a while and vanishes is found again each time."""
    server = raw_server(
        refuse("503 Service Unavailable"),
        greet(b"one"),
        vanish,
        refuse("429 Too Many Requests"),
        greet(b"two"),
    )
    got: list[str] = []
    with syncclient.Session() as client:
        for socket in forever(client, server.url, pauses):
            got += [message.data for message in socket]
            if len(got) == 2:
                break
        socket.close()
    assert got == ["one", "two"]
    assert len(server.connections) == 5


def test_pauses_grow_to_the_limit(raw_server: StartRaw) -> None:
    """The first attempt is made at once; then each pause is longer, up to max_delay."""
    pauses: list[float] = []

    class Enough(Exception):
        pass

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 12:
            raise Enough

    server = raw_server(refuse("500 Oops"))
    with syncclient.Session() as client:
        connect = partial(client.ws_connect, server.url)
        with pytest.raises(Enough):
            next(Forever(connect, pause, min_delay=1.0, max_delay=20.0))
    assert len(server.connections) == 12
    assert 0.5 <= pauses[0] <= 1.0
    assert all(10.0 <= pause <= 20.0 for pause in pauses[7:])


def test_a_server_that_drops_us_at_once_is_not_hammered(
    raw_server: StartRaw, pauses: list[float]
) -> None:
    """To be accepted is no success yet: who is dropped at once waits before the next attempt."""
    with syncclient.Session() as client:
        sockets = forever(client, raw_server(greet(b"hi")).url, pauses)
        for _ in range(4):
            assert [message.data for message in next(sockets)] == ["hi"]
        next(sockets).close()
    assert len(pauses) == 4


@pytest.mark.parametrize("status", ["401 Unauthorized", "404 Not Found"])
def test_a_final_refusal_is_raised(raw_server: StartRaw, pauses: list[float], status: str) -> None:
    """What will not pass with time is not waited for."""
    server = raw_server(refuse(status))
    with syncclient.Session() as client, pytest.raises(syncclient.WSServerHandshakeError):
        next(forever(client, server.url, pauses))
    assert pauses == []
    assert len(server.connections) == 1


def test_a_bad_url_is_raised(pauses: list[float]) -> None:
    """No amount of waiting helps against a typing error."""
    with syncclient.Session() as client, pytest.raises(syncclient.InvalidURL):
        next(forever(client, "http://", pauses))
    assert pauses == []


def test_the_last_socket_is_closed_by_the_next_step(raw_server: StartRaw) -> None:
    """A loop that goes on with `continue` leaves no socket open behind it."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        ws.say_goodbye(conn)

    server = raw_server(script)
    with syncclient.Session() as client:
        sockets = forever(client, server.url, [])
        first = next(sockets)
        second = next(sockets)
        assert (first.closed, second.closed) == (True, False)
        second.close()


def test_closing_the_session_ends_a_pause(raw_server: StartRaw) -> None:
    """A thread that waits for the next attempt gets SessionClosedError when the session closes."""
    client = syncclient.Session()
    pausing = threading.Event()

    def pause(seconds: float) -> None:
        pausing.set()
        client._portal.call(core.pause, 60.0)

    def close() -> None:
        assert pausing.wait(WAIT)
        client.close()

    closer = threading.Thread(target=close)
    closer.start()
    started = time.monotonic()
    connect = partial(client.ws_connect, raw_server(refuse("503 Later")).url)
    with pytest.raises(syncclient.SessionClosedError):
        next(Forever(connect, pause))
    assert time.monotonic() - started < WAIT
    closer.join(WAIT)
