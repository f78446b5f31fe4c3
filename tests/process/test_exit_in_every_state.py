"""The interpreter's exit, whatever is under way: in time, with the right status, in silence.

The exit counts from the script's last line to the end of the process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import pytest

from tests.children import Child, RunChild
from tests.servers.process import AppServer

#: Seconds that an exit may take: at most, and where nothing is pending.
AT_MOST = 2.0
NOTHING_PENDING = 0.5
TRIES = 10

PREAMBLE = """
import asyncio, atexit, os, signal, sys, threading, time
import syncclient

url = sys.argv[1] + "/get"

# Past sys.stdout, once that is empty. A thread that prints while the interpreter exits may be
# stopped inside a write, and its lock on the stream would keep the exit a second and abort it.
def leave(monotonic=time.monotonic, write=os.write):
    print(end="", flush=True)
    write(1, b"%r\\n" % monotonic())
"""

#: The exit of the interpreter alone, with as many modules to clear.
IDLE = """
atexit.unregister(syncclient._boundary.process_hooks._at_exit)
leave()
"""

#: A thread in every place there is, and objects left open.
EVERYTHING = """
from contextlib import ExitStack
from tests.places import PLACES, Body, Receive, session_for

stack = ExitStack()
places = [place(stack) for place in PLACES.values()]
session = stack.enter_context(session_for(*places, limit_per_host=3))
threads = []
for place in places:
    place.prepare(session, 1)
    thread = threading.Thread(target=place.block, args=(session,), daemon=True)
    thread.start()
    threads.append(thread.ident)
for place, ident in zip(places, threads):
    place.wait_until_blocked(session, {ident}, 1)
by_type = {type(place): place for place in places}
response = session.get(by_type[Body].server.url)
socket = session.ws_connect(by_type[Receive].server.url)
"""


def exits(
    run_child: RunChild, app: AppServer, code: str, limit: float, *, flags: Sequence[str] = ()
) -> Child:
    """Run the child, and see to it that its exit takes no longer than `limit`.

    A busy machine can only lengthen it, so one prompt exit of some shows what there is to
    show; and what the exit of an idle interpreter takes at that moment does not count.
    """
    took = []
    for _ in range(TRIES):
        child, seconds = _exit_of(run_child, app, code, flags)
        if seconds >= limit:
            seconds -= _exit_of(run_child, app, IDLE, flags)[1]
        took.append(seconds)
        if seconds < limit:
            return child
    pytest.fail(f"the exit took {took} s")


def _exit_of(
    run_child: RunChild, app: AppServer, code: str, flags: Sequence[str]
) -> tuple[Child, float]:
    child = run_child(PREAMBLE + code, app.url, flags=flags, forked=True)
    ended = time.monotonic()
    assert child.stdout, child.stderr
    return child, ended - float(child.stdout.splitlines()[-1])


ENDS = pytest.mark.parametrize(
    ("end", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('said')", 1),
        ("raise SystemExit", 0),
        ("raise LookupError('the user')", 1),
        ("os._exit(4)", 4),
    ],
)


def assert_ended_by(end: str, status: int, child: Child) -> None:
    assert child.status == status
    if "raise LookupError" in end:
        assert child.stderr.count("Traceback") == 1
        assert child.stderr.endswith("LookupError: the user\n")
    else:
        assert child.stderr == ("said\n" if "said" in end else "")


@ENDS
def test_nothing_is_pending(run_child: RunChild, app: AppServer, end: str, status: int) -> None:
    """A session that is never closed, with a connection kept alive, costs no time."""
    code = """
session = syncclient.Session()
session.get(url)
syncclient.get(url)
leave()
"""
    assert_ended_by(end, status, exits(run_child, app, code + end, NOTHING_PENDING))


@ENDS
def test_everything_is_pending(run_child: RunChild, app: AppServer, end: str, status: int) -> None:
    """A daemon thread in every place (in a hung look-up, too), a stream and a socket open."""
    child = exits(run_child, app, EVERYTHING + "leave()\n" + end, AT_MOST)
    assert_ended_by(end, status, child)


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_a_hung_look_up_of_the_system(run_child: RunChild, app: AppServer) -> None:
    """Ctrl-C ends the wait for getaddrinfo() at once; a look-up that hangs holds up no exit."""
    code = """
import socket

asked = threading.Semaphore(0)
sent = []

def hang(*args, **options):
    asked.release()
    threading.Event().wait()

def interrupt():
    asked.acquire()
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

socket.getaddrinfo = hang
session = syncclient.Session()
threading.Thread(target=interrupt).start()
try:
    session.get("http://hung.test/")
except KeyboardInterrupt:
    late = time.monotonic() - sent[0]
    print("in time" if late < 1 else f"after {late} s")
threading.Thread(target=session.get, args=("http://as-well.test/",), daemon=True).start()
asked.acquire(timeout=10)
leave()
"""
    child = exits(run_child, app, code, AT_MOST)
    assert child.stdout.splitlines()[:-1] == ["in time"]
    assert (child.stderr, child.status) == ("", 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "task",
    [
        "await asyncio.sleep(60)",
        "await asyncio.sleep(60)\n        await asyncio.sleep(60)",
        "while True: await asyncio.sleep(60)",
        "time.sleep(60)",
    ],
    ids=["ends late", "swallows one", "swallows all", "holds up the loop"],
)
def test_a_task_that_swallows_cancellation(run_child: RunChild, app: AppServer, task: str) -> None:
    """An async middleware that will not be cancelled does not hold up the exit."""
    lines = task.splitlines()
    body = "\n".join(
        f"    try:\n        {line.strip()}\n    except asyncio.CancelledError: pass"
        if "while" not in line
        else "    while True:\n        try: await asyncio.sleep(60)\n"
        "        except asyncio.CancelledError: pass"
        for line in lines
    )
    code = f"""
began = threading.Event()

async def stubborn(request, handler):
    began.set()
{body}
    return await handler(request)

session = syncclient.Session(middlewares=[stubborn])
threading.Thread(target=session.get, args=(url,), daemon=True).start()
began.wait(10)
leave()
"""
    child = exits(run_child, app, code, AT_MOST)
    # time.sleep() in a coroutine gets the warning that it deserves.
    said = [line for line in child.stderr.splitlines() if "blocked the event loop" not in line]
    assert (said, child.status) == ([], 0)


@pytest.mark.slow
def test_several_loop_threads_share_the_time(run_child: RunChild, app: AppServer) -> None:
    """Many loops, each with a task that swallows its cancellation, take no longer than one."""
    code = """
async def stubborn(request, handler):
    began.release()
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

began = threading.Semaphore(0)
sessions = []
for _ in range(4):
    session = syncclient.Session(middlewares=[stubborn], loop_thread=syncclient.LoopThread())
    sessions.append(session)
    threading.Thread(target=session.get, args=(url,), daemon=True).start()
for _ in sessions:
    began.acquire(timeout=10)
leave()
"""
    child = exits(run_child, app, code, AT_MOST)
    assert (child.stderr, child.status) == ("", 0)


def test_requests_of_atexit_functions(run_child: RunChild, app: AppServer) -> None:
    """Requests of atexit functions work. One registered before the import needs a new loop thread.

    Where Python starts no more threads at that time (3.12.0 and 3.12.1) it is told so at once.
    """
    code = """
def early():
    try:
        print(syncclient.get(url).status)
    except syncclient.LoopThreadError as exc:
        print("too late:", "make one earlier" in str(exc))
    leave()

atexit._clear()
atexit.register(early)
atexit.register(syncclient._boundary.process_hooks._at_exit)
session = syncclient.Session()
session.get(url)
atexit.register(lambda: print(session.get(url).status))
atexit.register(lambda: print(syncclient.get(url).status))
"""
    child = exits(run_child, app, code, NOTHING_PENDING)
    said = child.stdout.splitlines()[:-1]
    assert said[:2] == ["200", "200"]
    assert said[2] == "200" or (said[2] == "too late: True" and sys.version_info[:2] == (3, 12))
    assert (child.stderr, child.status) == ("", 0)


def test_an_atexit_function_waits_for_a_request_that_the_exit_cut_short(
    run_child: RunChild, app: AppServer
) -> None:
    """One registered before the import runs after the sessions are closed: it gets an error."""
    code = """
def early():
    try:
        future.result()
    except syncclient.SessionClosedError as exc:
        print(exc)
    leave()

atexit._clear()
atexit.register(early)
atexit.register(syncclient._boundary.process_hooks._at_exit)
session = syncclient.Session()
future = session.submit("GET", sys.argv[1] + "/delay/60")
session.get(url)
"""
    child = exits(run_child, app, code, AT_MOST)
    assert child.stdout.splitlines()[:-1] == ["the interpreter is exiting"]
    assert (child.stderr, child.status) == ("", 0)


def test_an_atexit_function_comes_while_the_loop_still_winds_up(
    run_child: RunChild, app: AppServer
) -> None:
    """One registered before the import is neither left asleep nor held up by what lingers."""
    code = """
entered = threading.Event()
over = False

async def stubborn(request, handler):
    entered.set()
    while not over:
        try:
            await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            pass
    return await handler(request)

def early():
    global over
    session.close()
    print(session.closed)
    try:
        print(syncclient.get(url).status)
    except syncclient.LoopThreadError as exc:
        print("too late:", "make one earlier" in str(exc))
    over = True
    leave()

def ask():
    try:
        session.get(url)
    except syncclient.SessionClosedError:
        pass

atexit._clear()
atexit.register(early)
atexit.register(syncclient._boundary.process_hooks._at_exit)
session = syncclient.Session(middlewares=[stubborn])
threading.Thread(target=ask, daemon=True).start()
assert entered.wait(20)
syncclient.get(url)
"""
    child = exits(run_child, app, code, AT_MOST)
    said = child.stdout.splitlines()[:-1]
    assert said[0] == "True"
    assert said[1] == "200" or (said[1] == "too late: True" and sys.version_info[:2] == (3, 12))
    assert (child.stderr, child.status) == ("", 0)


def test_the_first_request_of_a_daemon_thread(run_child: RunChild, app: AppServer) -> None:
    """The interpreter exits while the loop thread is starting: without a word."""
    code = """
from syncclient._boundary.loop_thread import default_loop_thread
session = syncclient.Session()

def ask():
    try:
        session.get(url)
    except (syncclient.LoopThreadError, syncclient.SessionClosedError):
        pass  # too late

threading.Thread(target=ask, daemon=True).start()
while default_loop_thread._run is None:
    time.sleep(0)
leave()
"""
    child = exits(run_child, app, code, AT_MOST)
    assert (child.stderr, child.status) == ("", 0)


@pytest.mark.parametrize("used", ["", "session.get(url)"], ids=["never used", "used"])
def test_requests_of_finalisers(run_child: RunChild, app: AppServer, used: str) -> None:
    """`__del__` works until the exit; at the end of the interpreter it gets an error at once."""
    code = f"""
class Goodbye:
    def __init__(self):
        self.get = session.get

    # What a finaliser needs at the very end must not be looked up in the module's names.
    def __del__(self, url=url, error=syncclient.LoopThreadError, leave=leave):
        try:
            print(self.get(url).status)
        except error as exc:
            print("too late:", "exit" in str(exc))
        leave()

session = syncclient.Session()
goodbye = Goodbye()
del goodbye
{used}
goodbye = Goodbye()
"""
    child = exits(run_child, app, code, NOTHING_PENDING)
    assert child.stdout.split("\n")[0] == "200"
    assert child.stdout.split("\n")[2] == "too late: True"
    assert (child.stderr, child.status) == ("", 0)


def test_what_is_left_open_is_named_in_development_mode(
    run_child: RunChild, app: AppServer
) -> None:
    """A ResourceWarning for each object that was left open, at the line that opened it."""
    code = """
from tests.places import Body, Events, Receive, session_for
from contextlib import ExitStack
stack = ExitStack()
body, receive, stream = Body(stack), Receive(stack), Events(stack)
closed = syncclient.Session(); closed.get(url); closed.close()
unused = syncclient.Session()
syncclient.get(url)
names = ["session", "response", "socket", "events"]
session = syncclient.Session()  # session
response = session.get(body.server.url)  # response
socket = session.ws_connect(receive.server.url)  # socket
events = session.sse(stream.server.url)  # events
leave()
"""
    child = exits(run_child, app, code, AT_MOST, flags=("-X", "dev"))
    lines = (PREAMBLE + code).splitlines()
    expected = [
        number
        for name in ("session", "response", "socket", "events")
        for number, line in enumerate(lines, 1)
        if line.endswith(f"# {name}")
    ]
    # The others are lines of the source, and a hint at tracemalloc.
    warned = [line for line in child.stderr.splitlines() if line.startswith("<string>")]
    assert len(warned) == len(expected)
    for line, number in zip(warned, expected, strict=True):
        assert line.startswith(f"<string>:{number}: ResourceWarning: un")
        assert f"at <string>:{number}: use it in a with block" in line
    assert child.status == 0


def test_where_warnings_are_errors_all_the_rest_is_closed(
    run_child: RunChild, app: AppServer
) -> None:
    """-W error makes of the warning a message of Python's, and the exit is as prompt."""
    code = """
session = syncclient.Session()
session.get(url)
leave()
"""
    child = exits(run_child, app, code, NOTHING_PENDING, flags=("-W", "error"))
    assert child.stderr.count("ResourceWarning: unclosed <Session>") == 1
    assert child.status == 0


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize(
    ("signal", "times"),
    [("SIGINT", 1), ("SIGINT", 2), ("SIGTERM", 1), ("SIGTERM", 2), ("SIGALRM", 1)],
)
def test_a_signal_while_the_interpreter_exits(
    run_child: RunChild, app: AppServer, signal: str, times: int
) -> None:
    """Ctrl-C, or SIGTERM whose handler leaves, ends the wait for what is open; silently.

    An exception of the user's, by the handler of SIGALRM, ends it too, and is not hidden:
    Python prints it.
    """
    code = f"""
class TooLong(Exception):
    pass

def ring(number, frame):
    raise TooLong("the user")

signal.signal(signal.SIGALRM, ring)
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(5))

async def stubborn(request, handler):
    began.set()
    for number in range(1000):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            for _ in range({times}):
                leave()
                os.kill(os.getpid(), signal.{signal})

began = threading.Event()
session = syncclient.Session(middlewares=[stubborn])
threading.Thread(target=session.get, args=(url,), daemon=True).start()
began.wait(10)
"""
    child = exits(run_child, app, code, NOTHING_PENDING)
    assert child.status == 0
    if signal == "SIGALRM":
        assert child.stderr.count("Traceback") == 1
        assert child.stderr.endswith("TooLong: the user\n")
    else:
        assert child.stderr == ""
