"""A forked child lets go of its parent's sockets: servers see the parent's closes at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme

from tests.children import Child, RunChild
from tests.servers.process import AppServer

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork"),
    pytest.mark.parametrize("loop", ["uvloop", "asyncio"]),
]

#: ``live_on()`` forks a child, and in it a grandchild, that live until ``end()``.
PREAMBLE = """
import asyncio, logging, os, sys, threading, warnings
logging.getLogger("asyncio").setLevel(logging.ERROR)  # that a callback took long: it may, here
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
import syncclient
from tests.servers.process import AppServer
from tests.servers.raw import RawServer

factory = asyncio.new_event_loop if sys.argv[1] == "asyncio" else None
loop_thread = syncclient.LoopThread(loop_factory=factory)
ready, say_ready = os.pipe()
ended, end = os.pipe()

def live_on(act=lambda: None):
    if os.fork() == 0:
        act()
        if os.fork() == 0:
            act()
        os.close(end)
        os.write(say_ready, b"x")
        os.read(ended, 1)  # b"" when the parent has closed its end
        os._exit(0)
    for _ in range(2):
        os.read(ready, 1)

def end_children():
    os.close(end)
    os.wait()
"""

EVERY_KIND = """
url, control, unix = sys.argv[2:]
server = AppServer(url, None, int(control), 0)
before = server.stats().connections_open
connector = syncclient.UnixConnector(unix) if unix else None
session = syncclient.Session(loop_thread=loop_thread, connector=connector)
held = session.get(url + "/bytes/20000000")
socket = session.ws_connect(url + "/echo")
session.get(url + "/json").read()  # kept alive
print(server.stats().connections_open - before, flush=True)

def act():
    print(session.get(url + "/json", headers={"Connection": "close"}).status, flush=True)

live_on(act)
socket.send_str("still here")
print(socket.receive_str())
session.close()
server.wait_until(lambda stats: stats.connections_open <= before, 3)
print("closed")
end_children()
"""


def assert_all_closed(child: Child) -> None:
    assert child.stderr == ""
    assert child.stdout.split() == ["3", "200", "200", "still", "here", "closed"]


def test_plain(run_child: RunChild, app: AppServer, loop: str) -> None:
    """A stream, a WebSocket and an idle connection end when the parent closes its session."""
    child = run_child(PREAMBLE + EVERY_KIND, loop, app.url, str(app.control_port), "")
    assert_all_closed(child)


def test_tls(
    run_child: RunChild, tls_app: AppServer, ca: trustme.CA, tmp_path: Path, loop: str
) -> None:
    """Connections over TLS end as well when the parent closes its session."""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    arguments = (loop, tls_app.url, str(tls_app.control_port), "")
    env = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
    assert_all_closed(run_child(PREAMBLE + EVERY_KIND, *arguments, env=env))


def test_unix(run_child: RunChild, unix_app: tuple[AppServer, Path], loop: str) -> None:
    """Connections over a Unix socket, which the event loop makes for itself, end as well."""
    server, path = unix_app
    arguments = (loop, server.url, str(server.control_port), str(path))
    assert_all_closed(run_child(PREAMBLE + EVERY_KIND, *arguments))


def test_a_handshake_that_is_given_up(run_child: RunChild, loop: str) -> None:
    """A connection that is not made yet, for the server does not answer, ends as well."""
    code = """
def silent(conn):
    conn.read_some()
    came.set()
    conn.read_to_end()

came = threading.Event()
with RawServer(silent) as server:
    session = syncclient.Session(loop_thread=loop_thread, timeout=None)
    future = session.submit("GET", server.url.replace("http:", "https:"))
    came.wait(20)
    live_on()
    session.close()
    server.wait_until_closed(3)
    print(type(future.exception()).__name__)
    end_children()
"""
    child = run_child(PREAMBLE + code, loop)
    assert (child.stdout, child.stderr) == ("SessionClosedError\n", "")


def test_a_number_that_was_given_to_another_file(run_child: RunChild, loop: str) -> None:
    """If the at-fork hooks did not run, only the parent's own sockets are closed."""
    code = """
from syncclient import _sockets

def answer(conn):
    while conn.read_request():
        conn.respond(b"fine")

with RawServer(answer) as server:
    session = syncclient.Session(loop_thread=loop_thread)
    session.get(server.url).read()
    [fd] = [sock.fileno() for ref in _sockets._sockets if (sock := ref()) is not None]
    _sockets._pid = -1  # as if this were a child of a C program's fork
    os.dup2(os.open(sys.executable, os.O_RDONLY), fd)
    _sockets.let_go()
    print(os.path.samestat(os.fstat(fd), os.stat(sys.executable)), flush=True)
    os._exit(0)
"""
    child = run_child(PREAMBLE + code, loop)
    assert (child.stdout, child.stderr) == ("True\n", "")
