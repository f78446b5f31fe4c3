"""An interrupted caller cleans up after itself (rule 6): real signals, in child processes."""

from __future__ import annotations

import sys

import pytest

from tests.children import Child, RunChild

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")

#: A raw server in the child itself, which interrupts the main thread when a request has
#: come just so far. ``how`` is what it does to interrupt.
PREAMBLE = """
import ctypes, os, signal, sys, threading, time
import syncclient
from syncclient._boundary import call, lease, portal
from tests.servers import raw
from tests.servers.raw import RawServer

# Nothing but the interrupt ends a wait before this child counts as hung: no limit of ours, and
# no server that has had enough.
raw.TIMEOUT = call.UNWIND_LIMIT = lease.UNWIND_LIMIT = lease.CLOSE_LIMIT = 100.0
portal._CLOSING_LIMIT = 100.0

def interrupt(how=lambda: os.kill(os.getpid(), signal.SIGINT)):
    how()

def head_then_nothing(conn):
    conn.read_request()
    interrupt()
    conn.read_to_end()

def body_then_nothing(conn):
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 1000\\r\\n\\r\\nsome")
    go.wait(10)
    interrupt()
    conn.read_to_end()

def answer(conn):
    while conn.read_request():
        conn.respond(b"fine")

go = threading.Event()
"""


def run(run_child: RunChild, code: str) -> Child:
    """Run ``code`` after the preamble; anything on its stderr is an error of its own."""
    # Not -X dev: asyncio's debug mode would print what a busy machine is slow at.
    child = run_child(PREAMBLE + code, flags=("-W", "error"), forked=True)
    assert child.stderr == ""
    assert child.status == 0
    return child


@pytest.mark.parametrize(
    ("script", "act"),
    [
        ("head_then_nothing", "session.get(server.url)"),
        ("head_then_nothing", "syncclient.get(server.url)"),
        ("body_then_nothing", "r = session.get(server.url); go.set(); r.read()"),
        ("body_then_nothing", "r = session.get(server.url); go.set(); r.text()"),
    ],
    ids=["head", "one-shot", "read", "text"],
)
def test_ctrl_c(run_child: RunChild, script: str, act: str) -> None:
    """Ctrl-C raises at once, the server sees the connection end, and the session still works."""
    child = run(
        run_child,
        f"""
with RawServer({script}, answer) as server, syncclient.Session() as session:
    try:
        {act}
    except KeyboardInterrupt:
        print("interrupted")
    server.connections[0].wait_until_closed()
    print(session.get(server.url).text())
""",
    )
    assert child.stdout.split("\n") == ["interrupted", "fine", ""]


def test_a_signal_handler_that_raises(run_child: RunChild) -> None:
    """SIGALRM with an exception of the user's ends the wait with that exception."""
    child = run(
        run_child,
        """
class TooLong(Exception):
    pass

def ring(number, frame):
    raise TooLong

signal.signal(signal.SIGALRM, ring)

def script(conn):
    conn.read_request()
    interrupt(lambda: os.kill(os.getpid(), signal.SIGALRM))
    conn.read_to_end()

with RawServer(script, answer) as server, syncclient.Session() as session:
    try:
        session.get(server.url)
    except TooLong:
        print("interrupted")
    server.connections[0].wait_until_closed()
    print(session.get(server.url).text())
""",
    )
    assert child.stdout.split("\n") == ["interrupted", "fine", ""]


def test_a_signal_handler_that_makes_a_request(run_child: RunChild) -> None:
    """A handler may use the session in the middle of a request of the same thread."""
    child = run(
        run_child,
        """
answered = threading.Event()

def handler(number, frame):
    print("in the handler:", session.get(server.url).text())
    answered.set()

signal.signal(signal.SIGUSR1, handler)

def script(conn):
    conn.read_request()
    interrupt(lambda: os.kill(os.getpid(), signal.SIGUSR1))
    answered.wait(10)
    conn.respond(b"late but fine")

with RawServer(script, answer) as server, syncclient.Session() as session:
    print(session.get(server.url).text())
""",
    )
    assert child.stdout.split("\n") == ["in the handler: fine", "late but fine", ""]


def test_a_second_interrupt_leaves_at_once(run_child: RunChild) -> None:
    """While a task that swallows its cancellation is waited for, Ctrl-C again ends the wait."""
    child = run(
        run_child,
        """
import asyncio

left = threading.Event()

async def stubborn(session, context, params):
    interrupt()
    interrupts = 1
    while not left.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            if interrupts == 1:
                interrupts = 2
                interrupt()

config = syncclient.TraceConfig()
config.on_request_start.append(stubborn)
with RawServer(answer) as server:
    session = syncclient.Session(trace_configs=[config])
    try:
        session.get(server.url)
    except KeyboardInterrupt:
        print("interrupted")
    left.set()
    session.close()
""",
    )
    assert child.stdout.split("\n") == ["interrupted", ""]


#: How an exception gets into the thread that closes, and which arrives.
MEANS = {
    "KeyboardInterrupt": "os.kill(os.getpid(), signal.SIGINT)",
    "SystemExit": "os.kill(os.getpid(), signal.SIGTERM)",
    "TooLong": "os.kill(os.getpid(), signal.SIGALRM)",
    "Stopped": "set_on_thread(closer, Stopped)",
}


@pytest.mark.parametrize("error", MEANS)
@pytest.mark.parametrize(
    ("close", "answer"), [("close()", "closed"), ("close(grace=60)", "fine")], ids=["now", "grace"]
)
def test_an_interrupt_while_closing(
    run_child: RunChild, close: str, answer: str, error: str
) -> None:
    """The wait ends, and the closing goes on without it: nothing is left open.

    By every means. What had a grace period keeps it, and ends within it.
    """
    code = f"""
import asyncio
from tests.bounds import wait_until
from tests.places import sleepers

class TooLong(Exception):
    pass

class Stopped(BaseException):
    pass

def ring(number, frame):
    raise TooLong

def set_on_thread(ident, error):
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(error))

signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(5))
signal.signal(signal.SIGALRM, ring)
began, cancelled, interrupted = threading.Event(), threading.Event(), threading.Event()
ended = []
closer = None

async def slow(session, context, params):
    began.set()
    while not interrupted.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            cancelled.set()
    if cancelled.is_set():
        raise asyncio.CancelledError

def ask():
    try:
        ended.append(session.get(server.url).text())
    except syncclient.SessionClosedError:
        ended.append("closed")

def close():
    global closer
    closer = threading.get_ident()
    try:
        session.{close}
    except {error}:
        print("interrupted")
    print(session.closed, ended)
    interrupted.set()

def interrupt_the_closer():
    # What has a grace period is not cancelled. Then only the portal tells that close() waits.
    wait_until(lambda: cancelled.is_set() or closer in sleepers(session), "a thread that closes")
    interrupt(lambda: {MEANS[error]})

config = syncclient.TraceConfig()
config.on_request_start.append(slow)
with RawServer(answer) as server:
    session = syncclient.Session(trace_configs=[config])
    asking = threading.Thread(target=ask)
    asking.start()
    began.wait(10)
    interrupting = threading.Thread(target=interrupt_the_closer)
    interrupting.start()
    if {error == "Stopped"}:
        closing = threading.Thread(target=close)
        closing.start()
        closing.join(10)
    else:
        close()
    interrupting.join(10)
    asking.join(10)
    for thread in threading.enumerate():
        if thread.name == "syncclient-loop":
            thread.join(10)
    print(ended, [thread.name for thread in threading.enumerate() if "sync" in thread.name])
"""
    said = run(run_child, code).stdout.splitlines()
    assert said == ["interrupted", "True []", f"['{answer}'] []"]


def test_a_signal_handler_that_closes_the_session(run_child: RunChild) -> None:
    """The call it interrupts gets SessionClosedError; when the handler returns all is closed."""
    child = run(
        run_child,
        """
def handler(number, frame):
    session.close()
    print([t.name for t in threading.enumerate() if t.name == "syncclient-loop"])

signal.signal(signal.SIGUSR1, handler)

def script(conn):
    conn.read_request()
    interrupt(lambda: os.kill(os.getpid(), signal.SIGUSR1))
    conn.read_to_end()

with RawServer(script) as server:
    session = syncclient.Session()
    try:
        session.get(server.url)
    except syncclient.SessionClosedError:
        print("interrupted")
    server.connections[0].wait_until_closed()
""",
    )
    assert child.stdout.split("\n") == ["[]", "interrupted", ""]


@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_handler_that_closes_what_is_being_closed(
    run_child: RunChild, signals: int
) -> None:
    """A handler that calls close() within its own thread's close() returns at once."""
    child = run(
        run_child,
        f"""
import asyncio

began, left = threading.Event(), threading.Event()
handled = []

def handler(number, frame):
    session.close()
    handled.append(number)
    if len(handled) == {signals}:
        left.set()

signal.signal(signal.SIGUSR1, handler)

async def slow(session, context, params):
    began.set()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        for number in range({signals}):
            while len(handled) < number:
                await asyncio.sleep(0.001)
            interrupt(lambda: os.kill(os.getpid(), signal.SIGUSR1))
        while not left.is_set():
            await asyncio.sleep(0.001)
        raise

config = syncclient.TraceConfig()
config.on_request_start.append(slow)

woken = []

def other_thread():
    try:
        session.get(server.url)
    except syncclient.SessionClosedError:
        woken.append("woken")

with RawServer(answer) as server:
    session = syncclient.Session(trace_configs=[config])
    thread = threading.Thread(target=other_thread)
    thread.start()
    began.wait(10)
    session.close()
    print("interrupted")
    thread.join(10)
    print(*woken)
    print([t.name for t in threading.enumerate() if t.name == "syncclient-loop"])
""",
    )
    assert sorted(child.stdout.split()) == sorted(["interrupted", "woken", "[]"])


def test_ctrl_c_twice_while_closing(run_child: RunChild) -> None:
    """The second ends even the wait for the unwinding, and the closing goes on without it."""
    child = run(
        run_child,
        """
import asyncio

began, left = threading.Event(), threading.Event()
arrived = []

def handler(number, frame):
    arrived.append(number)
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, handler)

async def stubborn(session, context, params):
    began.set()
    while not left.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            interrupt()
            while len(arrived) < 1:
                await asyncio.sleep(0.001)
            interrupt()
    raise asyncio.CancelledError

config = syncclient.TraceConfig()
config.on_request_start.append(stubborn)

woken = []

def other_thread():
    try:
        session.get(server.url)
    except syncclient.SessionClosedError:
        woken.append("woken")

with RawServer(answer) as server:
    session = syncclient.Session(trace_configs=[config])
    thread = threading.Thread(target=other_thread)
    thread.start()
    began.wait(10)
    try:
        try:
            session.close()
        except KeyboardInterrupt:
            pass
        while len(arrived) < 2:
            time.sleep(0.001)
    except KeyboardInterrupt:
        pass
    print("interrupted")
    left.set()
    thread.join(10)
    print(*woken)
    for thread in threading.enumerate():
        if thread.name == "syncclient-loop":
            thread.join(10)
    print([t.name for t in threading.enumerate() if t.name == "syncclient-loop"])
""",
    )
    assert sorted(child.stdout.split()) == sorted(["interrupted", "woken", "[]"])
