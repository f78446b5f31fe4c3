"""Long bodies that their reader receives by itself, on a loan of the socket."""

from __future__ import annotations

import gc
import os
import socket
import ssl
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import trustme

import syncclient
from syncclient import Session, TotalTimeoutError
from syncclient._async.exchange import body_buffer, loan
from syncclient._async.exchange.body_buffer import ALL, BodyBuffer
from syncclient._async.exchange.loan import Loan, lend
from tests.bounds import wait_until
from tests.children import RunChild
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, Script, StartRawServer

pytestmark = [
    pytest.mark.skipif(not loan.POSSIBLE, reason="no loans on this system"),
    pytest.mark.usefixtures("loans"),
]

SIZE = 3_000_000
CHUNK = 2**16


def sending(*pieces: bytes, length: int = SIZE) -> Script:
    """A script that announces ``length`` bytes, and sends each piece when the test says so."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", str(length))])
        conn.send_slowly(pieces)
        conn.read_to_end()

    return script


@pytest.mark.parametrize(
    "read",
    [
        lambda content: b"".join(content.iter_chunked(CHUNK)),
        lambda content: b"".join(content.iter_chunked(1000)),
        lambda content: b"".join(content.iter_any()),
        lambda content: b"".join(data for data, _ in content.iter_chunks()),
        lambda content: b"".join(content),
        lambda content: content.read(10) + content.readexactly(SIZE - 10),
        lambda content: content.read(10) + content.read_nowait() + content.read(),
        lambda content: content.readuntil(b"\x05") + content.readall(),
    ],
    ids=["chunks", "small chunks", "any", "http chunks", "lines", "exactly", "nowait", "until"],
)
def test_every_read_gets_the_whole_body(
    session: Session,
    app: AppServer,
    loans: list[int],
    read: Callable[[syncclient.StreamReader], bytes],
) -> None:
    """Also where the end is not asked for: the connection then serves the next request."""
    numbers = set()
    for _ in range(3):
        with session.get(f"{app.url}/bytes/{SIZE}") as response:
            assert read(response.content) == pattern(SIZE)
            assert response.content.total_bytes == SIZE
        numbers.add(session.get(f"{app.url}/connections").json()["this"])
    assert len(numbers) == 1
    assert loans


def test_read_gets_the_whole_body(session: Session, app: AppServer, loans: list[int]) -> None:
    """It receives all but the first bytes by itself; the connection serves the next request."""
    numbers = set()
    for _ in range(3):
        response = session.get(f"{app.url}/bytes/{SIZE}")
        assert response.read() == pattern(SIZE)
        assert response.read() is response.read()
        numbers.add(session.get(f"{app.url}/connections").json()["this"])
    assert len(numbers) == 1
    assert loans


def test_read_ends_what_stalls_and_what_is_cut_short(
    raw_server: StartRawServer, loans: list[int]
) -> None:
    """By the read timeout and by the end of the connection; the response is closed then."""

    def stall(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", str(SIZE))])
        conn.send(bytes(SIZE // 2))
        conn.read_to_end()

    def cut(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", str(SIZE))])
        conn.send(bytes(SIZE // 2))

    wire = raw_server(stall, cut)
    timeout = syncclient.ClientTimeout(sock_read=0.3)
    with Session(timeout=timeout) as session:
        for error in (syncclient.ServerTimeoutError, syncclient.ClientPayloadError):
            response = session.get(wire.url)
            with pytest.raises(error):
                response.read()
            with pytest.raises(syncclient.ClientError):
                response.read()
            wire.connections[-1].wait_until_ended()
        assert not session.connector.snapshot().in_use
    assert loans


def test_it_costs_few_crossings(raw_server: StartRawServer) -> None:
    """What is here already is received without the loop: one crossing tells it of the end."""
    wire = raw_server(sending(bytes(SIZE)))
    with Session() as session, session.get(wire.url) as response:
        wire.wait_until_connected().proceed()
        content = response.content
        content.read(1)
        before = session._portal.crossings
        reads = 0
        while content.total_bytes < SIZE:
            content.read(1000)
            reads += 1
        # How often the server was too slow for the reader is not ours to say.
        assert session._portal.crossings - before < reads / 10


@pytest.mark.parametrize("what", ["tls", "compressed", "chunked", "short", "limited", "traced"])
def test_other_bodies_are_not_lent(
    what: str,
    session: Session,
    ca: trustme.CA,
    app: AppServer,
    tls_app: AppServer,
    loans: list[int],
) -> None:
    """Where there is more to do than to receive, the loop does it."""
    url = f"{app.url}/bytes/{SIZE}"
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if what == "tls":
        url = f"{tls_app.url}/bytes/{SIZE}"
    elif what == "compressed":
        url = f"{app.url}/gzip?size={SIZE}"
    elif what == "chunked":
        url = f"{app.url}/stream/30"
    elif what == "short":
        url = f"{app.url}/bytes/100000"
    limit = SIZE if what == "limited" else None
    if what == "traced":
        told: list[bytes] = []

        async def note(session: object, context: object, params: Any) -> None:
            told.append(params.chunk)

        trace = syncclient.TraceConfig()
        trace.on_response_chunk_received.append(note)
        with Session(trace_configs=[trace]) as other:
            assert [other.get(url).read()] == told
    else:
        with session.get(url, ssl=context, max_body=limit) as response:
            for _ in response.content.iter_chunked(CHUNK):
                pass
        session.get(url, ssl=context, max_body=limit).read()
    assert not loans


def test_a_server_that_is_slow_between_pieces(raw_server: StartRawServer, loans: list[int]) -> None:
    """The loan goes back when nothing comes, and is made anew when something does."""
    pieces = [bytes([n]) * (SIZE // 10) for n in range(10)]
    wire = raw_server(sending(*pieces))
    got = bytearray()
    with Session() as session, session.get(wire.url) as response:
        conn = wire.wait_until_connected()
        with ThreadPoolExecutor(1) as executor:
            for piece in pieces:
                before = session._portal.crossings
                reading = executor.submit(response.content.readexactly, len(piece))
                # Until the reader has given the loan back, and waits by a crossing.
                until = time.monotonic() + 10
                while session._portal.crossings == before and time.monotonic() < until:
                    pass
                conn.proceed()
                got += reading.result(10)
        assert response.content.read() == b""
    assert got == b"".join(pieces)
    assert len(loans) > 3


def test_the_total_timeout_ends_a_body_that_keeps_coming(raw_server: StartRawServer) -> None:
    """The reader looks at the time itself, and leaves it to the loop to say what it was doing."""

    def endless(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", str(10**15))])
        while True:
            conn.send(bytes(CHUNK))

    timeout = syncclient.ClientTimeout(total=0.5)
    with Session() as session, session.get(raw_server(endless).url, timeout=timeout) as response:
        with pytest.raises(TotalTimeoutError, match="reading the body"):
            for _ in response.content.iter_chunked(CHUNK):
                pass
    with Session() as session, session.get(raw_server(endless).url) as response:
        with pytest.raises(syncclient.DeadlineError), syncclient.timeout(0.5):
            response.content.readexactly(10**14)


@pytest.mark.parametrize("how", ["release", "close", "session", "drop"])
@pytest.mark.filterwarnings("ignore:unread response:ResourceWarning")
def test_the_server_sees_a_body_that_is_given_up(
    raw_server: StartRawServer, loans: list[int], how: str
) -> None:
    """The server sees at once that a body is given up, although its socket was duplicated."""
    wire = raw_server(sending(bytes(CHUNK)))
    with Session() as session:
        response = session.get(wire.url)
        conn = wire.wait_until_connected()
        conn.proceed()
        content = response.content
        content.readexactly(CHUNK)
        assert loans
        if how == "drop":
            del content, response
            gc.collect()
        else:
            {"release": response.release, "close": content.close, "session": session.close}[how]()
        conn.wait_until_closed()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
@pytest.mark.parametrize("how", ["release", "session"])
def test_closing_leaves_no_descriptor(
    raw_server: StartRawServer, loans: list[int], how: str
) -> None:
    """Not the second one either, though the response, and with it the reader, is still held."""

    def holders(link: str) -> list[str]:
        found = []
        for entry in Path("/proc/self/fd").iterdir():
            with suppress(OSError):  # the listing's own
                found += [entry.name] if str(entry.readlink()) == link else []
        return found

    wire = raw_server(sending(bytes(CHUNK)))
    with Session() as session:
        response = session.get(wire.url)
        wire.wait_until_connected().proceed()
        response.content.readexactly(CHUNK)
        on_loan = response.content._buffer.loan
        assert on_loan is not None
        link = str(Path(f"/proc/self/fd/{on_loan.fileno()}").readlink())
        del on_loan
        assert len(holders(link)) == 2  # the transport's, and the reader's
        {"release": response.release, "session": session.close}[how]()
        wire.wait_until_closed()
        wait_until(lambda: not holders(link), "the end of both")
    assert response.content.total_bytes == CHUNK


def test_a_reader_in_another_thread_is_ended_with_its_session(raw_server: StartRawServer) -> None:
    """Wherever it is just then: receiving, polling, or crossing."""

    def endless(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", str(10**15))])
        while True:
            conn.send(bytes(CHUNK))

    wire = raw_server(endless)

    def read(content: syncclient.StreamReader, begun: threading.Event) -> None:
        while True:
            content.read(CHUNK)
            begun.set()

    with ThreadPoolExecutor(1) as executor:
        for _ in range(20):
            with Session() as session:
                begun = threading.Event()
                reading = executor.submit(read, session.get(wire.url).content, begun)
                assert begun.wait(10)
            with pytest.raises(syncclient.ClientError):
                reading.result(10)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
def test_a_forked_child_does_not_read_its_parents_body(run_child: RunChild) -> None:
    """A forked child gets LoopThreadError, and no byte of the body; the parent reads on."""
    child = run_child("""
import os
import syncclient
from tests.servers.raw import RawServer

def script(conn):
    conn.read_request()
    conn.send_head(headers=[("Content-Length", "3000000")])
    conn.send(bytes(3000000))
    conn.read_to_end()

with RawServer(script) as server, syncclient.Session() as session:
    with session.get(server.url) as response:
        content = response.content
        got = len(content.read(65536))
        assert content._buffer.loan is not None
        pid = os.fork()
        if not pid:
            status = 1
            try:
                while content.read(65536):
                    pass
            except syncclient.LoopThreadError:
                status = 0
            finally:
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        print(got + len(content.read()))
""")
    assert child.stdout == "0\n3000000\n", child.stderr


def test_a_loan_that_the_garbage_collector_frees_is_silent() -> None:
    """It closes its descriptor, and no ResourceWarning tells of a socket that nobody has seen."""
    ours, theirs = socket.socketpair()
    with ours, theirs, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        on_loan = lend(ours, 200, BodyBuffer())
        assert on_loan is not None
        descriptor = on_loan.fileno()
        os.fstat(descriptor)
        cycle: list[object] = [on_loan]
        cycle.append(cycle)
        del on_loan, cycle
        gc.collect()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    assert [str(warning.message) for warning in warned] == []


@pytest.mark.skipif(sys.gettrace() is not None, reason="another tracer is at work")
def test_an_interrupt_at_any_instruction_of_a_receive_loses_no_byte() -> None:
    """The bytes are in the kernel or in the buffer, and counted by the next receive."""
    functions = {Loan.receive.__code__, Loan._soon.__code__, BodyBuffer.receive.__code__}
    assert functions <= {
        code for module in (loan.Loan, body_buffer.BodyBuffer) for code in _codes(module)
    }
    data = pattern(300)
    n = 0
    while True:
        n += 1
        ours, theirs = socket.socketpair()
        with ours, theirs:
            buffer = BodyBuffer()
            buffer.put(data[:100])
            on_loan = lend(ours, 200, buffer)
            assert on_loan is not None
            theirs.sendall(data[100:])
            left = n

            def trace(frame: FrameType, event: str, _: object) -> Any:
                nonlocal left
                if frame.f_code not in functions:
                    return None
                frame.f_trace_opcodes = True
                if event == "opcode":
                    left -= 1
                    if not left:
                        raise KeyboardInterrupt
                return trace

            sys.settrace(trace)
            try:
                on_loan.receive(buffer, 50)
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(None)
            buffer.counted()
            while on_loan.left(buffer):
                assert on_loan.receive(buffer, 70)
            assert buffer.cut(ALL) == data
            if left > 0:
                assert n > 20
                return


def _codes(of: type) -> set[object]:
    return {each.__code__ for each in vars(of).values() if hasattr(each, "__code__")}
