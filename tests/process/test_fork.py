"""A forked child starts fresh, and its parent notices nothing (rule 9)."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
import trustme

from tests.children import Child, RunChild
from tests.servers.process import AppServer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

#: Forks again and again while two threads make requests and two read streams, and once
#: more in each child; child and grandchild end alike.
FORK = """
import asyncio, gc, os, sys, threading
import logging, warnings
logging.getLogger("asyncio").setLevel(logging.ERROR)  # that a callback took long: it may, here
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
import syncclient

url, end, status, loop = sys.argv[1:]
factory = asyncio.new_event_loop if loop == "asyncio" else None
loop_thread = syncclient.LoopThread(loop_factory=factory)
jar = syncclient.CookieJar(unsafe=True)
session = syncclient.Session(loop_thread=loop_thread, cookie_jar=jar)
session.headers["X-Kept"] = "yes"
session.cookie_jar.update_cookies({"flavour": "oat"})
held = session.get(url + "/bytes/20000000")

def check(session):
    echoed = session.get(url + "/anything").json()
    assert ["X-Kept", "yes"] in echoed["headers"], echoed
    assert echoed["cookies"] == {"flavour": "oat"}, echoed

stop = threading.Event()
errors = []
served = 0

def work():
    global served
    while not stop.wait(0.01):  # a core is to be left for the children
        try:
            check(session)
            served += 1
        except BaseException as exc:
            errors.append(exc)
            return

def read_streams():
    while not stop.wait(0.01):
        try:
            with session.get(url + "/bytes/3000000") as response:
                assert sum(map(len, response.content.iter_any())) == 3_000_000
        except BaseException as exc:
            errors.append(exc)
            return

threads = [threading.Thread(target=act) for act in (work, work, read_streams, read_streams)]
for thread in threads:
    thread.start()

def child():
    check(session)
    try:
        held.read()
    except syncclient.LoopThreadError as exc:
        assert "forked" in str(exc), exc
    else:
        os._exit(99)
    pid = os.fork()
    if pid != 0:
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert ended == int(status), ended
    check(session)
    gc.collect()

statuses = set()
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        try:
            child()
        except BaseException as exc:
            os.write(2, repr(exc).encode())
            os._exit(98)
        sys.stdout = None
        warnings.filterwarnings("ignore", "unclosed <Session>", ResourceWarning)  # it is, here
        exec(end)
        break
    statuses.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
else:
    before = served
    pause = threading.Event()
    while served < before + 50 and not errors:
        pause.wait(0.01)
    stop.set()
    for thread in threads:
        thread.join(10)
    print(statuses, errors, [t.is_alive() for t in threads])
    print(len(held.read()), len(session.cookie_jar))
    session.close()
    print([t.name for t in threading.enumerate()])
"""


#: How a child ends -> its status.
ENDS = {
    "exit": ("sys.exit(7)", 7),
    "_exit": ("os._exit(7)", 7),
    "close": ("session.close(); sys.exit(7)", 7),
    "collect": ("del session, held; gc.collect(); sys.exit(7)", 7),
    "exception": ("sys.excepthook = lambda *_: None; raise LookupError('in the child')", 1),
}


def ends_on(*loops: str) -> pytest.MarkDecorator:
    """Every end once, on the loops by turns.

    The plain tests have each end on one loop, those over TLS on the other: all pairs of an end, a
    loop and a transport are there, and no more.
    """
    cases = [
        pytest.param(end, status, loop, id=f"{name}-{loop}")
        for (name, (end, status)), loop in zip(ENDS.items(), itertools.cycle(loops))
    ]
    return pytest.mark.parametrize(("end", "status", "loop"), cases)


@pytest.mark.slow
@ends_on("uvloop", "asyncio")
def test_children_come_and_go(
    run_child: RunChild, app: AppServer, end: str, status: int, loop: str
) -> None:
    """The child works on connections of its own, however it ends; the parent is undisturbed.

    So does its own child. The parent's threads go on with requests and streams throughout, and
    a stream of its own that was open at the fork is read to its end afterwards.
    """
    assert_undisturbed(run_child(FORK, app.url, end, str(status), loop, timeout=60), status)


@pytest.mark.slow
@ends_on("asyncio", "uvloop")
def test_children_come_and_go_over_tls(
    run_child: RunChild,
    tls_app: AppServer,
    ca: trustme.CA,
    tmp_path: Path,
    end: str,
    status: int,
    loop: str,
) -> None:
    """Over TLS, nothing that the child sends, such as a goodbye, gets into the parent's streams."""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    env = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
    child = run_child(FORK, tls_app.url, end, str(status), loop, timeout=60, env=env)
    assert_undisturbed(child, status)


def assert_undisturbed(child: Child, status: int) -> None:
    assert child.stdout.split("\n") == [
        f"{{{status}}} [] [False, False, False, False]",
        "20000000 1",
        "['MainThread']",
        "",
    ]
    assert child.stderr == ""


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize(
    "leave",
    ["sys.exit(7)", "with session: sys.exit(7)", "collect(); sys.exit(7)"],
    ids=["exit", "close", "collect"],
)
def test_a_child_that_asks_nothing(
    run_child: RunChild, app: AppServer, leave: str, loop: str
) -> None:
    """A child that never uses the inherited session ends with its own status, and not by a signal.

    It leaves the session alone, closes it, or has it collected, and says nothing. uvloop's
    destructor used to wait there for threads that only the parent had.
    """
    code = """
import asyncio, gc, os, sys, warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
import syncclient

url, leave, loop = sys.argv[1:]

def collect():
    global session
    del session
    gc.collect()

factory = asyncio.new_event_loop if loop == "asyncio" else None
session = syncclient.Session(loop_thread=syncclient.LoopThread(loop_factory=factory))
for host in ("127.0.0.1", "localhost"):
    session.get(url.replace("127.0.0.1", host) + "/json").read()
pid = os.fork()
if pid == 0:
    exec(leave)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
session.close()
"""
    child = run_child(code, app.url, leave, loop)
    assert (child.stdout, child.stderr) == ("7\n", "")
