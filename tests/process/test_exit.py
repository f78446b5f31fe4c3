"""At interpreter exit sessions close by themselves: right status, in time, quietly (rule 10)."""

from __future__ import annotations

from tests.children import RunChild
from tests.servers.process import AppServer


def test_a_non_daemon_thread_completes(run_child: RunChild, app: AppServer) -> None:
    """The interpreter waits for such threads, and the loop serves them until they end."""
    code = """
import sys, threading, syncclient
url = sys.argv[1]
session = syncclient.Session()

def work():
    print(session.get(url + "/delay/0.3").status)

session.get(url + "/json")
threading.Thread(target=work).start()
"""
    child = run_child(code, app.url, flags=())
    assert (child.stdout, child.stderr, child.status) == ("200\n", "", 0)


def test_requests_in_atexit_functions(run_child: RunChild, app: AppServer) -> None:
    """Requests in atexit functions work, with a used session and with one-shot functions."""
    code = """
import atexit, sys, syncclient
url = sys.argv[1].replace("127.0.0.1", "localhost")
session = syncclient.Session()
session.get(url + "/json")
atexit.register(lambda: print(session.get(url + "/json").status))
atexit.register(lambda: print(syncclient.get(url + "/json").status))
"""
    child = run_child(code, app.url, flags=())
    assert (child.stdout, child.stderr, child.status) == ("200\n200\n", "", 0)


def test_in_development_mode_what_is_left_open_is_named(
    run_child: RunChild, app: AppServer
) -> None:
    """A ResourceWarning says which line opened the response that was dropped unread."""
    code = """
import sys, syncclient
with syncclient.Session() as session:
    session.get(sys.argv[1] + "/bytes/20000000")
"""
    child = run_child(code, app.url, flags=("-X", "dev"))
    assert child.status == 0
    assert "ResourceWarning: unread response to GET" in child.stderr
    assert "opened at <string>:4" in child.stderr


def test_two_hundred_sessions_leave_nothing(run_child: RunChild, app: AppServer) -> None:
    """No descriptor, thread or task is left of sessions opened, used and closed (-W error)."""
    code = """
import asyncio, gc, os, sys, threading, syncclient
url = sys.argv[1]

def use():
    with syncclient.Session() as session:
        assert session.get(url + "/json").json()
        session.get(url + "/bytes/3000000").release()
        with session.get(url + "/bytes/3000000"):
            pass

def descriptors():
    return sorted(os.listdir("/proc/self/fd"))

use()
before = descriptors()
for _ in range(200):
    use()
gc.collect()
print(descriptors() == before, [t.name for t in threading.enumerate()])
print(sum(isinstance(o, asyncio.Task) for o in gc.get_objects()))
"""
    child = run_child(code, app.url, flags=("-X", "dev", "-W", "error"), timeout=60)
    assert (child.stdout, child.stderr, child.status) == ("True ['MainThread']\n0\n", "", 0)
