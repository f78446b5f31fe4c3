"""A forked child starts fresh, and its parent notices nothing (rule 9)."""

from __future__ import annotations

import os

import pytest

from tests.children import RunChild
from tests.servers.process import AppServer

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

#: Forks again and again while four threads make requests, and once more in a child.
FORK = """
import asyncio, gc, os, sys, threading
import logging, warnings
logging.getLogger("asyncio").setLevel(logging.ERROR)  # that a callback took long: it may, here
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
import syncclient

url, end, loop = sys.argv[1:]
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
    while not stop.is_set():
        try:
            check(session)
            served += 1
        except BaseException as exc:
            errors.append(exc)
            return

threads = [threading.Thread(target=work) for _ in range(4)]
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
    if pid == 0:
        check(session)
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    gc.collect()

statuses = set()
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        try:
            child()
        except BaseException as exc:
            os.write(2, repr(exc).encode())
            os._exit(98)
        sys.stdout = None
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


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("sys.exit(7)", 7),
        ("os._exit(7)", 7),
        ("session.close(); sys.exit(7)", 7),
        ("del session, held; gc.collect(); sys.exit(7)", 7),
        ("sys.stderr = None; raise LookupError('in the child')", 1),
    ],
    ids=["exit", "_exit", "close", "collect", "exception"],
)
def test_children_come_and_go(
    run_child: RunChild, app: AppServer, end: str, status: int, loop: str
) -> None:
    """The child works on connections of its own, however it ends; the parent is undisturbed.

    The parent's threads go on with requests throughout, and a stream of its own that was
    open at the fork is read to its end afterwards.
    """
    child = run_child(FORK, app.url, end, loop, flags=("-X", "dev"), timeout=60)
    assert child.stdout.split("\n") == [
        f"{{{status}}} [] [False, False, False, False]",
        "20000000 1",
        "['MainThread']",
        "",
    ]
    assert child.stderr == ""
