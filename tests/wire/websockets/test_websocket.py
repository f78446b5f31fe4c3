"""The blocking WebSocket: what threads may do with it, and what crosses when they do."""

import gc
import inspect
import json
import os
import signal
import threading
import time
import warnings
from _thread import LockType
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
from aiohttp import ClientConnectionResetError, ClientWSTimeout, WSMessage, WSMsgType

import syncclient
from syncclient._boundary import queue_wait
from syncclient._boundary.loop_run import LoopRun
from syncclient._client.websocket import WebSocket
from syncclient._deadline import DeadlineError, timeout
from tests.bounds import BOUND, UNASKED
from tests.children import RunChild
from tests.servers import ws_script as ws
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer
from tests.wire.requests.test_crossings import crossings

pytestmark = pytest.mark.timeout(30)

WAIT = 20.0  # seconds that anything here may take before the test fails


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as threads:
        yield threads


@pytest.fixture
def reader_waits(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when a reader is entered and about to wait."""
    waits = threading.Event()
    block = queue_wait._block

    def noted(lock: LockType, run: LoopRun, seconds: float) -> bool:
        waits.set()
        return block(lock, run, seconds)

    monkeypatch.setattr(queue_wait, "_block", noted)
    return waits


def wait_until_asleep(thread: threading.Thread) -> None:
    """Block until the system has put `thread` to sleep.

    A signal that comes while Python is about to wait for a lock, and no longer looks for
    signals, wakes nobody. A user's finger never hits that gap, but an event set by the very
    call that is about to wait does, one time in four.
    """
    state = Path(f"/proc/self/task/{thread.native_id}/stat")
    until = time.monotonic() + WAIT
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "S":
        assert time.monotonic() < until, "the thread does not wait"


# What aiohttp's has, minus await.


def test_every_kind_of_message_there_and_back(echo: WebSocket) -> None:
    """Text, bytes and JSON come back as they went."""
    echo.send_str("grüße")
    assert echo.receive_str() == "grüße"
    echo.send_bytes(b"\x00\xff")
    assert echo.receive_bytes() == b"\x00\xff"
    echo.send_bytes(bytearray(b"array"))
    assert echo.receive_bytes() == b"array"
    echo.send_bytes(memoryview(b"a view of it")[::2])
    assert echo.receive_bytes() == b"ave fi"
    echo.send_json({"n": [1, 2]})
    assert echo.receive_json() == {"n": [1, 2]}
    echo.send_json([1], dumps=lambda data: json.dumps(data, indent=1))
    assert echo.receive_json(loads=len) == 6
    echo.send_json_bytes([1], dumps=lambda data: json.dumps(data).encode())
    assert echo.receive() == WSMessage(WSMsgType.BINARY, b"[1]", "")
    echo.send_frame(b"framed", WSMsgType.TEXT)
    assert echo.receive() == WSMessage(WSMsgType.TEXT, "framed", "")
    echo.ping(b"still there?")
    echo.pong()
    assert not echo.closed


def test_a_socket_tells_what_was_agreed(session: syncclient.Session, app: AppServer) -> None:
    """protocol, compress, close_code, exception and extra info are there before and after."""
    url = f"{app.url}/echo?protocol=chat"
    with session.ws_connect(url, protocols=["talk", "chat"], compress=15) as socket:
        assert socket.protocol == "chat"
        assert socket.compress == 15
        assert not socket.client_notakeover
        assert socket.exception() is None
        assert socket.get_extra_info("peername") == ("127.0.0.1", app.port)
        assert socket.get_extra_info("socket", "stays on the loop") == "stays on the loop"
        assert repr(socket) == "<WebSocket open>"
    assert socket.closed
    assert socket.close_code == 1000
    assert socket.get_extra_info("peername") == ("127.0.0.1", app.port)
    assert repr(socket) == "<WebSocket closed (1000)>"


def test_iteration_ends_with_the_close_frame(session: syncclient.Session, app: AppServer) -> None:
    """A for loop gets every message, and stops when the peer closes."""
    with session.ws_connect(f"{app.url}/echo?burst=3&close=4000") as socket:
        assert [message.data for message in socket] == ["0", "1", "2"]
        assert socket.closed
        assert socket.close_code == 4000
        assert list(socket) == []
        assert socket.receive() == WSMessage(WSMsgType.CLOSED, None, None)


def test_the_wrong_type_is_refused_in_the_caller(
    echo: WebSocket, session: syncclient.Session
) -> None:
    """TypeError and ValueError come from here, before anything crosses."""
    before = crossings(session)
    for wrong in (b"bytes", 1, None):
        with pytest.raises(TypeError, match="must be str"):
            echo.send_str(wrong)  # type: ignore[arg-type]  # the point of the test
    for send in (echo.send_bytes, echo.ping, echo.pong):
        with pytest.raises(TypeError, match="byte-ish"):
            send("text")  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(TypeError):
        echo.send_json(object())
    with pytest.raises(TypeError):
        echo.close(message="text")  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ValueError, match="125"):
        echo.ping(bytes(126))
    with pytest.raises(ValueError, match="123"):
        echo.close(message=bytes(124))
    with pytest.raises(ValueError, match="close code"):
        echo.close(code=5)
    assert crossings(session) == before


def test_typed_receives_refuse_other_messages(echo: WebSocket) -> None:
    """receive_str of a binary message raises aiohttp's own error, and so the other way round."""
    echo.send_bytes(b"binary")
    with pytest.raises(aiohttp.WSMessageTypeError, match=r"not WSMsgType\.TEXT"):
        echo.receive_str()
    echo.send_str("text")
    with pytest.raises(aiohttp.WSMessageTypeError, match=r"not WSMsgType\.BINARY"):
        echo.receive_bytes()
    echo.send_bytes(b"binary")
    with pytest.raises(aiohttp.WSMessageTypeError):
        echo.receive_json()


def test_decode_text_false_gives_bytes(session: syncclient.Session, app: AppServer) -> None:
    """Where aiohttp has decode_text, so have we."""
    if "decode_text" not in inspect.signature(aiohttp.ClientSession._ws_connect).parameters:
        pytest.skip("this aiohttp has no decode_text")
    with session.ws_connect(f"{app.url}/echo?burst=1", decode_text=False) as socket:
        assert socket.receive().data == b"0"


def test_names_and_parameters_are_aiohttps() -> None:
    """Every public method of ClientWebSocketResponse is here with the same parameters."""
    for name, theirs in vars(aiohttp.ClientWebSocketResponse).items():
        if name.startswith("_"):
            continue
        ours = getattr(WebSocket, name)
        if isinstance(theirs, property):
            assert isinstance(ours, property), name
            continue
        expected = inspect.signature(theirs).parameters.values()
        actual = inspect.signature(ours).parameters.values()
        assert [(p.name, p.kind) for p in actual] == [(p.name, p.kind) for p in expected], name
        assert [p.default for p in actual] == [p.default for p in expected], name


# What crosses.


def test_a_burst_costs_as_many_crossings_as_wakings(
    session: syncclient.Session, raw_server: StartRawServer
) -> None:
    """A thousand messages that arrive in one piece take one crossing, or a few if it was cut."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(b"".join(ws.frame(ws.TEXT, b"%d" % n) for n in range(1000)))
        ws.say_goodbye(conn)

    with session.ws_connect(raw_server(script).url) as socket:
        before = crossings(session)
        assert [socket.receive_str() for _ in range(1000)] == [str(n) for n in range(1000)]
        assert crossings(session) - before < 20


def test_what_is_here_costs_no_crossing(
    session: syncclient.Session, raw_server: StartRawServer
) -> None:
    """Messages that came while the caller was busy are taken without a trip to the loop."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.send(ws.frame(ws.TEXT, b"first") + ws.frame(ws.TEXT, b"second") + ws.frame(ws.PING))
        assert ws.read_frame(conn).opcode == ws.PONG  # so the loop has had what came before
        conn.stall()
        ws.say_goodbye(conn)

    server = raw_server(script)
    with session.ws_connect(server.url) as socket:
        conn = server.wait_until_stalled()
        before = crossings(session)
        assert socket.receive_str() == "first"
        assert socket.receive_str(timeout=0) == "second"
        assert crossings(session) == before
        conn.proceed()


def test_a_closed_socket_costs_no_crossing(session: syncclient.Session, app: AppServer) -> None:
    """Once the end was received there is nothing to ask the loop."""
    with session.ws_connect(f"{app.url}/echo?close=1000") as socket:
        assert socket.receive().type is WSMsgType.CLOSE
        before = crossings(session)
        assert socket.receive().type is WSMsgType.CLOSED
        with pytest.raises(ClientConnectionResetError):
            socket.send_str("too late")
        assert socket.closed
        assert crossings(session) == before


# Waiting, and being woken.


def test_a_timed_out_receive_leaves_the_socket_whole(echo: WebSocket) -> None:
    """After a timeout there is no close code; the next receive gets the next message."""
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        echo.receive(timeout=0.05)
    assert 0.04 < time.monotonic() - started < BOUND
    assert not echo.closed
    assert echo.close_code is None
    echo.send_str("next")
    assert echo.receive_str() == "next"
    assert echo.close()
    assert echo.close_code == 1000


def test_ws_receive_is_the_default_timeout(session: syncclient.Session, app: AppServer) -> None:
    """ClientWSTimeout.ws_receive limits each receive that has no timeout of its own."""
    limits = ClientWSTimeout(ws_receive=0.05)
    with session.ws_connect(f"{app.url}/echo", timeout=limits) as socket:
        with pytest.raises(TimeoutError):
            socket.receive()
        with pytest.raises(TimeoutError):
            next(socket)
        socket.send_str("hello")
        assert socket.receive_str(timeout=WAIT) == "hello"


def test_pings_are_answered_while_the_thread_is_busy(
    session: syncclient.Session, raw_server: StartRawServer
) -> None:
    """A server that pings and drops silent clients keeps one whose thread does something else."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        for number in range(20):
            conn.send(ws.frame(ws.PING, b"%d" % number))
            assert ws.read_frame(conn) == ws.Frame(ws.PONG, b"%d" % number, fin=True, rsv=0)
        conn.stall()
        conn.send(ws.frame(ws.TEXT, b"well done"))
        ws.say_goodbye(conn)

    server = raw_server(script)
    with session.ws_connect(server.url) as socket:
        conn = server.wait_until_stalled()  # this thread does nothing for the socket
        conn.proceed()
        assert socket.receive_str() == "well done"


def test_a_second_reader_is_refused_at_once(
    echo: WebSocket, pool: ThreadPoolExecutor, reader_waits: threading.Event
) -> None:
    """While one thread waits in receive, another gets an error, and the first its message."""
    first = pool.submit(echo.receive_str)
    assert reader_waits.wait(WAIT)
    with pytest.raises(RuntimeError, match="Concurrent"):
        echo.receive()
    echo.send_str("for the first")
    assert first.result(WAIT) == "for the first"


@pytest.mark.slow
@pytest.mark.timeout(180)  # with -X dev each of the calls leaves a record of its stack
def test_many_senders_and_one_reader(session: syncclient.Session, app: AppServer) -> None:
    """32 threads send 100,000 messages on one socket: none is lost, mixed or out of its order."""
    senders, each = 32, 3125
    with session.ws_connect(f"{app.url}/echo") as socket, ThreadPoolExecutor(senders) as threads:

        def send(sender: int) -> None:
            for number in range(each):
                socket.send_str(f"{sender}:{number}")

        sending = [threads.submit(send, sender) for sender in range(senders)]
        seen = [0] * senders
        for _ in range(senders * each):
            sender, number = map(int, socket.receive_str(timeout=WAIT).split(":"))
            assert number == seen[sender]
            seen[sender] += 1
        for sent in sending:
            sent.result(WAIT)
        assert seen == [each] * senders
        with pytest.raises(TimeoutError):
            socket.receive(timeout=0)


def test_close_from_another_thread_wakes_the_reader(
    echo: WebSocket, pool: ThreadPoolExecutor, reader_waits: threading.Event
) -> None:
    """A blocked reader gets CLOSED when another thread closes the socket."""
    reader = pool.submit(echo.receive)
    assert reader_waits.wait(WAIT)
    assert echo.close()
    assert reader.result(WAIT).type is WSMsgType.CLOSED
    assert not echo.close()


def test_a_dead_peer_cannot_hold_close(
    session: syncclient.Session, raw_server: StartRawServer
) -> None:
    """close() takes no longer than ws_close, and the close code is 1006."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.stall()

    limits = ClientWSTimeout(ws_close=0.2)
    socket = session.ws_connect(raw_server(script).url, timeout=limits)
    started = time.monotonic()
    assert socket.close()
    assert time.monotonic() - started < UNASKED
    assert socket.close_code == 1006


def test_closing_the_session_closes_its_sockets_with_1001(
    app: AppServer, raw_server: StartRawServer
) -> None:
    """Each peer gets its close frame, all at once: fifty mute ones cost no more than one."""
    codes: list[int] = []

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        codes.append(ws.read_until_close(conn).close_code)
        conn.stall()

    server = raw_server(script)
    session = syncclient.Session()
    sockets = [
        session.ws_connect(server.url, timeout=ClientWSTimeout(ws_close=0.3)) for _ in range(50)
    ]
    started = time.monotonic()
    session.close()
    assert time.monotonic() - started < BOUND
    assert codes == [1001] * 50
    for socket in sockets:
        assert socket.closed
        assert socket.receive().type is WSMsgType.CLOSED
        assert not socket.close()
        with pytest.raises(ClientConnectionResetError):
            socket.send_str("too late")


def test_closing_the_session_frees_a_blocked_reader(
    app: AppServer, pool: ThreadPoolExecutor, reader_waits: threading.Event
) -> None:
    """A reader blocked in receive gets SessionClosedError when the session is closed."""
    session = syncclient.Session()
    reader: Future[WSMessage] = pool.submit(session.ws_connect(f"{app.url}/echo").receive)
    assert reader_waits.wait(WAIT)
    session.close()
    assert isinstance(reader.exception(WAIT), syncclient.SessionClosedError)


@pytest.mark.skipif(os.name == "nt", reason="sends itself a signal")
def test_ctrl_c_leaves_the_socket_usable(echo: WebSocket, reader_waits: threading.Event) -> None:
    """KeyboardInterrupt in receive comes at once, and no message is lost by it."""

    def interrupt() -> None:
        assert reader_waits.wait(WAIT)
        wait_until_asleep(threading.main_thread())
        # To this thread, as a terminal's goes; a signal to the process may go to any.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        echo.receive()
    assert time.monotonic() - started < BOUND
    interrupter.join(WAIT)
    echo.send_str("as before")
    assert echo.receive_str(timeout=WAIT) == "as before"


def test_senders_in_a_jam_are_woken_by_close(
    session: syncclient.Session, pool: ThreadPoolExecutor, raw_server: StartRawServer
) -> None:
    """Threads blocked on a peer that does not read get an error when the socket is closed."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.stall()

    server = raw_server(script)
    socket = session.ws_connect(server.url, timeout=ClientWSTimeout(ws_close=0.2))
    senders = [pool.submit(socket.send_bytes, bytes(20_000_000)) for _ in range(4)]
    server.wait_until_stalled()
    socket.close()
    for sender in senders:
        assert isinstance(sender.exception(WAIT), ConnectionError)


def test_a_deadline_that_is_over_does_not_keep_a_socket_open(
    session: syncclient.Session, app: AppServer
) -> None:
    """Who leaves the socket's block for that reason gets the error, and the connection is gone."""
    with pytest.raises(DeadlineError), timeout(0.05):
        with session.ws_connect(f"{app.url}/echo") as socket:
            socket.receive()
    assert socket.receive(timeout=WAIT).type is WSMsgType.CLOSED
    assert socket.closed
    app.wait_until(lambda stats: not stats.connections_open)


def test_a_deadline_covers_receives(echo: WebSocket) -> None:
    """timeout() ends a receive in its block, says what it was doing, and spares the socket."""
    with pytest.raises(DeadlineError, match="waiting for a WebSocket message"):
        with timeout(0.05):
            echo.receive()
    echo.send_str("next")
    assert echo.receive_str() == "next"


# Let go, forked, and gone.


def test_a_dropped_socket_is_closed_and_warned_about(
    session: syncclient.Session, raw_server: StartRawServer
) -> None:
    """The finaliser drops the connection without waiting, and says that it had to."""

    def script(conn: RawConnection) -> None:
        ws.accept(conn)
        conn.stall()

    server = raw_server(script)
    held = [session.ws_connect(server.url)]
    server.wait_until_stalled()
    with pytest.warns(ResourceWarning, match="unclosed <WebSocket open>"):
        held.clear()
    server.wait_until_closed()


def test_a_socket_that_ended_is_dropped_in_silence(
    session: syncclient.Session, app: AppServer
) -> None:
    """Whoever read to the end, or closed, owes nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = session.ws_connect(f"{app.url}/echo?close=1000")
        assert list(read) == []
        closed = session.ws_connect(f"{app.url}/echo")
        closed.close()
        del read, closed
        gc.collect()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_parents_socket_alone(
    app: AppServer, run_child: RunChild
) -> None:
    """A child cannot use the socket, may drop it and exit, and the parent goes on with it."""
    child = run_child(
        """
import os, sys, warnings
import syncclient
warnings.simplefilter("ignore", DeprecationWarning)  # that threads and fork do not mix
session = syncclient.Session()
socket = session.ws_connect(sys.argv[1])
socket.send_str("before")
assert socket.receive_str() == "before"
pid = os.fork()
if pid == 0:
    try:
        socket.send_str("from the child")
    except syncclient.LoopThreadError:
        assert not socket.close()
        with syncclient.Session() as own, own.ws_connect(sys.argv[1]) as another:
            another.send_str("mine")
            assert another.receive_str() == "mine"
        sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
socket.send_str("after")
assert socket.receive_str() == "after"
socket.close()
session.close()
print("well")
""",
        f"{app.url}/echo",
    )
    assert (child.status, child.stdout) == (0, "well\n"), child.stderr


def test_an_open_socket_does_not_hold_up_the_exit(app: AppServer, run_child: RunChild) -> None:
    """The interpreter exits at once and in silence, with sockets open and threads in receive."""
    child = run_child(
        """
import sys, threading
import syncclient
session = syncclient.Session()
socket = session.ws_connect(sys.argv[1])
busy = session.ws_connect(sys.argv[1])
socket.send_str("hello")
assert socket.receive_str() == "hello"
threading.Thread(target=busy.receive, daemon=True).start()
print("bye")
""",
        f"{app.url}/echo",
        flags=(),  # in development mode it names the two sockets, and the session
    )
    assert (child.status, child.stdout, child.stderr) == (0, "bye\n", "")
    assert child.seconds < 20


# Arguments.


def test_old_ways_to_say_a_timeout_are_warned_about(
    session: syncclient.Session, app: AppServer
) -> None:
    """A float timeout, and receive_timeout, work as aiohttp's; the warning names this file."""
    with pytest.warns(DeprecationWarning, match="timeout=<float>") as caught:
        session.ws_connect(f"{app.url}/echo", timeout=5.0).close()
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="receive_timeout") as caught:
        socket = session.ws_connect(f"{app.url}/echo", receive_timeout=0.05)
    assert caught[0].filename == __file__
    with pytest.raises(TimeoutError):
        socket.receive()
    socket.close()


def test_a_buffer_needs_room_for_one(session: syncclient.Session, app: AppServer) -> None:
    """A buffer of nothing could receive nothing: ValueError, and nothing is opened."""
    before = crossings(session)
    with pytest.raises(ValueError, match="at least 1"):
        session.ws_connect(f"{app.url}/echo", buffer_messages=0)
    assert crossings(session) == before
