"""Downloads whose caller receives the body by itself, on a loan of the socket, into the file."""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import trustme
from aiohttp import ClientPayloadError, ClientTimeout, ServerTimeoutError

import syncclient
from syncclient import Session, SessionClosedError
from syncclient._async.download_versions import Known
from syncclient._async.exchange import loan
from syncclient._async.exchange.body_buffer import BodyBuffer
from syncclient._async.exchange.loan import Loan, lend
from syncclient._client.download import _received
from syncclient._client.partial_file import PartialFile
from tests.bounds import BOUND
from tests.children import RunChild
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer
from tests.wire.downloads.conftest import names

pytestmark = pytest.mark.skipif(not loan.POSSIBLE, reason="no loans on this system")

SIZE = 3_000_000
BODY = pattern(SIZE)
ETAG = ("ETag", '"1"')


def head(conn: RawConnection, start: int = 0, length: int = SIZE) -> None:
    """Announce what is left of a file of ``length`` bytes."""
    fields = [ETAG, ("Content-Length", str(length - start))]
    if start:
        fields.append(("Content-Range", f"bytes {start}-{length - 1}/{length}"))
    conn.send_head(status="206 Partial Content" if start else "200 OK", headers=fields)


def endless(conn: RawConnection) -> None:
    """A script that sends without end."""
    conn.read_request()
    head(conn, length=10**15)
    while True:
        conn.send(bytes(2**16))


def test_a_file_comes_whole(
    app: AppServer, session: Session, tmp_path: Path, loans: list[int]
) -> None:
    """Progress is told up to its end, and the connection serves the next download."""
    told: list[tuple[int, int | None]] = []
    for number in range(2):
        target = tmp_path / str(number)
        session.download(f"{app.url}/bytes/{SIZE}", target, progress=lambda *of: told.append(of))
        assert target.read_bytes() == BODY
        assert told[-1] == (SIZE, SIZE)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        told.clear()
    assert len(loans) >= 2
    assert session.connector.snapshot().open == 1


@pytest.mark.parametrize(
    "what", ["tls", "chunked", "compressed", "short", "several connections", "no such end"]
)
def test_other_bodies_come_by_the_loop(
    what: str,
    session: Session,
    ca: trustme.CA,
    app: AppServer,
    tls_app: AppServer,
    raw_server: StartRawServer,
    tmp_path: Path,
    loans: list[int],
) -> None:
    """Where there is more to do than to receive, or the end is not sure."""
    target = tmp_path / "file"
    options: dict[str, Any] = {}
    url = f"{app.url}/bytes/{SIZE}"
    if what == "tls":
        context = ssl.create_default_context()
        ca.configure_trust(context)
        url, options = f"{tls_app.url}/bytes/{SIZE}", {"ssl": context}
    elif what == "chunked":
        url += "?chunked=1"
    elif what == "compressed":
        url = f"{app.url}/gzip?size={SIZE}"
    elif what == "short":
        url = f"{app.url}/bytes/100000"
    elif what == "several connections":
        url, options = f"{app.url}/range/{3 * SIZE}", {"connections": 2}
    elif what == "no such end":

        def script(conn: RawConnection) -> None:
            conn.read_request()
            fields = [ETAG, ("Content-Length", str(SIZE))]
            fields.append(("Content-Range", f"bytes 5-{SIZE - 1}/{SIZE}"))
            conn.send_head(status="206 Partial Content", headers=fields)
            conn.send(BODY)

        partial = PartialFile(target, "/")
        partial.restart(Known(0, ETAG[1], SIZE))
        partial.append(BODY[:5])
        partial.close()
        with pytest.raises(ClientPayloadError, match="continues after"):
            session.download(raw_server(script).url + "/", target, retries=0)
        assert not loans
        return
    session.download(url, target, **options)
    assert target.exists()
    assert not loans


def test_a_server_that_is_slow_between_pieces(
    raw_server: StartRawServer, session: Session, tmp_path: Path, loans: list[int]
) -> None:
    """The loan goes back when nothing comes, and is made anew when something does."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        head(conn)
        conn.send_slowly(BODY[start : start + SIZE // 10] for start in range(0, SIZE, SIZE // 10))

    wire = raw_server(script)
    target = tmp_path / "file"
    with ThreadPoolExecutor(1) as executor:
        downloading = executor.submit(session.download, wire.url, target)
        conn = wire.wait_until_connected()
        for _ in range(10):
            conn.wait_until_stalled()
            conn.proceed()
        downloading.result(BOUND)
    assert target.read_bytes() == BODY
    assert loans


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_connection_lost_in_the_midst_is_made_again(
    raw_server: StartRawServer, session: Session, tmp_path: Path, loans: list[int], how: str
) -> None:
    """From the very byte where the file ends: those received on the loan count."""
    target = tmp_path / "file"

    def script(conn: RawConnection) -> None:
        request = conn.read_request()
        start = int(request.header("Range", "bytes=0-")[6:-1])
        head(conn, start)
        if start:
            conn.send(BODY[start:])
            return
        conn.send(BODY[: SIZE // 2])
        conn.stall()  # until it is written
        if how == "reset":
            conn.reset()

    wire = raw_server(script, script)
    done: list[int] = []

    def written(so_far: int, _: int | None) -> None:
        if not done and so_far == SIZE // 2:
            done.append(so_far)
            wire.connections[0].proceed()

    session.download(wire.url, target, progress=written)
    assert target.read_bytes() == BODY
    assert wire.requests[1].header("Range") == f"bytes={SIZE // 2}-"
    assert len(loans) >= 2


def test_bytes_beyond_the_body_are_not_in_the_file(
    raw_server: StartRawServer, session: Session, tmp_path: Path, loans: list[int]
) -> None:
    """Nor does their connection serve another request."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        head(conn)
        conn.send(BODY + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        conn.read_to_end()

    wire = raw_server(script, script)
    for number in range(2):
        target = tmp_path / str(number)
        session.download(wire.url, target)
        assert target.read_bytes() == BODY
    assert loans
    assert len(wire.connections) == 2


def test_the_total_timeout_and_a_deadline(
    raw_server: StartRawServer, session: Session, tmp_path: Path, loans: list[int]
) -> None:
    """They end a body that keeps coming, and the part of the file is as long as its bytes."""
    wire, target = raw_server(endless), tmp_path / "file"
    with pytest.raises(syncclient.TotalTimeoutError):
        session.download(wire.url, target, timeout=ClientTimeout(total=0.5))
    with pytest.raises(syncclient.DeadlineError), syncclient.timeout(0.5):
        session.download(wire.url, target, resume=False)
    assert loans
    part = (tmp_path / "file.part").read_bytes()
    assert part == bytes(len(part))


def test_the_read_timeout_counts_from_the_last_byte(
    raw_server: StartRawServer, session: Session, tmp_path: Path, loans: list[int]
) -> None:
    """It is the loop's: a server that has stalled is waited for there."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        head(conn)
        conn.send(BODY[: SIZE // 2])
        conn.read_to_end()

    wire = raw_server(script)
    timeout = ClientTimeout(sock_read=0.3)
    with pytest.raises(ServerTimeoutError):
        session.download(wire.url, tmp_path / "file", timeout=timeout, retries=0)
    assert loans
    assert (tmp_path / "file.part").read_bytes() == BODY[: SIZE // 2]


def test_close_in_another_thread_ends_it(
    raw_server: StartRawServer, tmp_path: Path, loans: list[int]
) -> None:
    """Wherever the caller is just then: receiving, writing, or crossing."""
    wire = raw_server(endless)
    with ThreadPoolExecutor(1) as executor:
        for number in range(10):
            begun = threading.Event()
            with Session() as session:
                downloading = executor.submit(
                    session.download,
                    *(wire.url, tmp_path / str(number)),
                    progress=lambda done, _: begun.set() if done else None,  # noqa: B023
                )
                assert begun.wait(BOUND)
            with pytest.raises(SessionClosedError):
                downloading.result(BOUND)
            wire.connections[-1].wait_until_ended()
    assert loans


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_receives_nothing(run_child: RunChild, tmp_path: Path) -> None:
    """It gets LoopThreadError; the parent goes on to the end."""
    child = run_child(
        """
import os, sys
import syncclient
from tests.servers.content import pattern
from tests.servers.raw import RawServer

BODY = pattern(3_000_000)
target = sys.argv[1]

def script(conn):
    conn.read_request()
    conn.send_head(headers=[("Content-Length", str(len(BODY)))])
    conn.send(BODY)
    conn.read_to_end()

children = []

def fork(done, total):
    # While the loan stands: half of the file has been written on it.
    if done > 1_500_000 and not children:
        children.append(os.fork())

with RawServer(script) as server, syncclient.Session() as session:
    try:
        session.download(server.url, target, progress=fork)
    except syncclient.LoopThreadError:
        os._exit(0 if children == [0] else 1)
    except BaseException:
        os._exit(1)
    if children == [0]:
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
    with open(target, "rb") as file:
        print(file.read() == BODY)
""",
        str(tmp_path / "file"),
    )
    assert child.stdout == "0\nTrue\n", child.stderr


def test_a_download_that_was_interrupted_goes_on(
    raw_server: StartRawServer, session: Session, tmp_path: Path, loans: list[int]
) -> None:
    """The next one asks for what the file does not have, and it is the same file in the end."""

    def script(conn: RawConnection) -> None:
        request = conn.read_request()
        start = int(request.header("Range", "bytes=0-")[6:-1])
        head(conn, start)
        conn.send(BODY[start:])

    wire, target = raw_server(script, script), tmp_path / "file"

    def interrupt(done: int, _: int | None) -> None:
        if done > SIZE // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.download(wire.url, target, progress=interrupt)
    had = (tmp_path / "file.part").stat().st_size
    assert SIZE // 2 < had < SIZE
    session.download(wire.url, target)
    assert wire.requests[1].header("Range") == f"bytes={had}-"
    assert target.read_bytes() == BODY
    assert names(tmp_path) == ["file"]
    assert len(loans) >= 2


def test_a_full_disk_ends_it(
    raw_server: StartRawServer, session: Session, tmp_path: Path, loans: list[int]
) -> None:
    """The error names the part, which keeps what was written."""
    resource = pytest.importorskip("resource")
    wire, target = raw_server(endless), tmp_path / "file"
    signal = pytest.importorskip("signal")
    before, limits = (
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
        resource.getrlimit(resource.RLIMIT_FSIZE),
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, limits[1]))
    try:
        with pytest.raises(OSError, match=r"file\.part"):
            session.download(wire.url, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert (tmp_path / "file.part").stat().st_size == SIZE
    assert loans
    wire.connections[0].wait_until_ended()


@pytest.mark.skipif(sys.gettrace() is not None, reason="another tracer is at work")
def test_an_interrupt_at_any_instruction_leaves_the_first_bytes_of_the_file(
    tmp_path: Path,
) -> None:
    """None is written twice, and none is left out: what has not been written is asked for."""
    functions = {
        each.__code__ for each in (_received, Loan.receive_into, Loan._soon, BodyBuffer.pass_by)
    } | {PartialFile.append.__code__}
    data = pattern(300)
    n = 0
    while True:
        n += 1
        ours, theirs = socket.socketpair()
        partial = PartialFile(tmp_path / "file")
        partial.restart(partial.known())
        with ours, theirs:
            buffer = BodyBuffer()
            buffer.loan = lend(ours, len(data), buffer)
            theirs.sendall(data)
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
                for _ in _received(buffer, partial):
                    pass
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(None)
            written = (tmp_path / "file.part").read_bytes()
            assert written in (b"", data)
            partial.close()
        if left > 0:
            assert n > 20
            assert written == data
            return
