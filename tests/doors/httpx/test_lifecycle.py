"""The life of clients through syncclient.httpx and syncclient.httpx2: closing, forks, leaving.

Interrupts, the interpreter's exit and closing under many threads are tested in every place where
a thread can be blocked, and three of those are behind this door: see tests/places.py.
"""

import gc
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest

import syncclient
from tests.bounds import BOUND, wait_until
from tests.children import RunChild
from tests.places import sleepers
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

from .conftest import Door, stalled_body


def test_close_wakes_a_reader(door: Door, raw_server: StartRawServer) -> None:
    """Closing the client in another thread ends a read that waits with a ReadError."""
    wire = raw_server(stalled_body)
    client = door.ours.Client(timeout=None)
    begun = threading.Event()
    caught: list[BaseException] = []

    def read() -> None:
        try:
            with client.stream("GET", wire.url) as response:
                for _ in response.iter_raw():
                    begun.set()
        except Exception as exc:
            caught.append(exc)

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(10)
    client.close()
    thread.join(10)
    assert [type(exc) for exc in caught] == [door.library.ReadError]
    with pytest.raises(RuntimeError, match="closed"):
        client.get(wire.url)


def test_a_dropped_client_lets_its_stream_end(door: Door, raw_server: StartRawServer) -> None:
    """A client may be dropped without close(): a response that is open is read to its end."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "5")])
        conn.stall()
        conn.send(b"hello")

    wire = raw_server(script)
    client = door.ours.Client()
    response = client.send(client.build_request("GET", wire.url), stream=True)
    del client
    wire.wait_until_stalled().proceed()
    assert response.read() == b"hello"


def test_a_dropped_response_gives_no_warning(door: Door, raw_server: StartRawServer) -> None:
    """A response that is dropped unread closes its connection, silently, as the library's does."""
    wire = raw_server(stalled_body)
    with door.ours.Client() as client:
        response = client.send(client.build_request("GET", wire.url), stream=True)
        del response
        gc.collect()  # httpx's response is part of a cycle
        wire.wait_until_closed()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_fork(raw_server: StartRawServer, name: str) -> None:
    """A client made before a fork works in the child, and in the parent afterwards."""
    pytest.importorskip(name)

    def answer(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            conn.respond(b"hello")

    wire = raw_server(answer)
    code = f"""
import os, sys
import syncclient.{name} as door
client = door.Client()
assert client.get(sys.argv[1]).content == b"hello"
pid = os.fork()
if not pid:
    os._exit(client.get(sys.argv[1]).content != b"hello")
assert os.waitpid(pid, 0)[1] == 0
assert client.get(sys.argv[1]).content == b"hello"
client.close()
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, wire.url]
    done = subprocess.run(command, timeout=50, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


FORK = """
import os, sys
import syncclient.{name} as door
url = sys.argv[1]
client = door.Client()
with client.stream("GET", url + "/stream") as response:
    chunks = response.iter_raw()
    got = next(chunks)
    pid = os.fork()
    if not pid:
        # Nor does leaving the block touch the connection, which is the parent's.
        assert client.get(url).content == b"hello"
        response.close()
        client.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert client.get(url).content == b"hello"
    print("forked", flush=True)
    for chunk in chunks:
        got += chunk
assert got == bytes(2_000_000), len(got)
client.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_fork_while_a_stream_is_read(raw_server: StartRawServer, name: str) -> None:
    """The child makes requests and drops the stream; the parent reads it to its end."""
    pytest.importorskip(name)

    def script(conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            if b"/stream" not in request.head:
                conn.respond(b"hello")
                continue
            conn.send_head(headers=[("Content-Length", "2000000")])
            conn.send(bytes(1_000_000))
            conn.send(bytes(1_000_000))

    wire = raw_server(script)
    flags = ("-W", "ignore::DeprecationWarning")
    command = [sys.executable, *flags, "-c", FORK.format(name=name), wire.url]
    done = subprocess.run(command, timeout=50, capture_output=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"forked\n")


def refusing() -> socket.socket:
    """A socket whose port refuses connections, as nobody listens there."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken


@pytest.fixture
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an attempt to connect come ten minutes after the second has failed."""
    monkeypatch.setattr("syncclient._httpx.transport._PAUSES", 600.0)


@pytest.mark.usefixtures("long_pauses")
def test_close_ends_the_pause_between_attempts(door: Door) -> None:
    """A thread that waits to connect again wakes when another closes the client."""
    caught: list[BaseException] = []
    with refusing() as taken:
        url = "http://{}:{}".format(*taken.getsockname())
        transport = door.ours.Transport(retries=5)
        client = door.ours.Client(transport=transport)

        def get() -> None:
            try:
                client.get(url)
            except Exception as exc:
                caught.append(exc)

        thread = threading.Thread(target=get)
        thread.start()
        session = transport._way.session
        wait_until(lambda: {thread.ident} <= sleepers(session), "the pause")
        client.close()
        thread.join(BOUND)
    assert [type(exc) for exc in caught] == [door.library.ReadError]
    assert isinstance(caught[0].__cause__, syncclient.SessionClosedError)


@pytest.mark.usefixtures("long_pauses")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_close_ends_the_pause_of_a_task(door: Door, backend: str) -> None:
    """close() ends the pause of a task, on any event loop."""
    caught: list[BaseException] = []

    async def main(url: str) -> None:
        transport = door.ours.AsyncTransport(retries=5)
        client = door.ours.AsyncClient(transport=transport)

        async def get() -> None:
            try:
                await client.get(url)
            except Exception as exc:
                caught.append(exc)

        session = transport._way.session
        async with anyio.create_task_group() as group:
            group.start_soon(get)
            with anyio.fail_after(BOUND):
                while session._portal.crossings < 4:  # two attempts, and a pause after each
                    await anyio.sleep(0.01)
                await client.aclose()

    with refusing() as taken:
        anyio.run(main, "http://{}:{}".format(*taken.getsockname()), backend=backend)
    assert [type(exc) for exc in caught] == [door.library.ReadError]


@pytest.mark.usefixtures("long_pauses")
def test_a_deadline_ends_the_pause_between_attempts(door: Door) -> None:
    """A deadline also ends the pause between two attempts."""
    with refusing() as taken, door.ours.Client(transport=door.ours.Transport(retries=5)) as client:
        with syncclient.timeout(0.2), pytest.raises(syncclient.DeadlineError):
            client.get("http://{}:{}".format(*taken.getsockname()))


def test_both_doors_differ_in_names_only() -> None:
    """What is said of the one library is said of the other."""
    texts = [
        Path(syncclient.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        for name in ("httpx", "httpx2")
    ]
    assert texts[0] == texts[1].replace("httpx2", "httpx")


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_our_transports_in_the_place_of_the_librarys_names(
    run_child: RunChild, app: AppServer, name: str
) -> None:
    """A program may put them there for code that makes its own clients, and it is no mock."""
    pytest.importorskip(name)
    child = run_child(
        f"""
import asyncio, {name} as library, syncclient.{name} as door
library.HTTPTransport, library.AsyncHTTPTransport = door.Transport, door.AsyncTransport

async def main():
    async with door.AsyncClient() as client:
        return await client.get("{app.url}/get")

with door.Client() as client:
    print(client.get("{app.url}/get").status_code, asyncio.run(main()).status_code)
"""
    )
    assert (child.stdout, child.stderr) == ("200 200\n", "")
