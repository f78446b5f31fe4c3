"""Where threads are greenlets, a session refuses to be made, and says what to do (rule 12)."""

from __future__ import annotations

import pytest

from tests.children import RunChild
from tests.servers.process import AppServer

FIRST = pytest.mark.parametrize(
    "first", ["import syncclient", ""], ids=["after import", "before import"]
)


@FIRST
@pytest.mark.parametrize(
    ("library", "patch"),
    [("gevent.monkey", "patch_all()"), ("eventlet", "monkey_patch()")],
    ids=["gevent", "eventlet"],
)
def test_patched(run_child: RunChild, first: str, library: str, patch: str) -> None:
    """The real gevent and eventlet: no session is made once threads are patched."""
    code = f"""
{first}
import {library}
{library}.{patch}
import syncclient
try:
    syncclient.Session()
except syncclient.LoopThreadError as exc:
    print("refused:", "{library}.{patch[:-1]}thread=False)" in str(exc))
"""
    child = run_child(code, flags=("-W", "ignore"))  # eventlet says that it is deprecated
    assert (child.status, child.stdout) == (0, "refused: True\n")
    assert "Traceback" not in child.stderr, child.stderr


@FIRST
def test_gevent_without_threads(run_child: RunChild, app: AppServer, first: str) -> None:
    """Requests work if gevent patches everything but threads.

    A plain call holds up the other greenlets; from the pool of threads they run on.
    """
    code = f"""
{first}
import gevent.monkey
gevent.monkey.patch_all(thread=False)
import gevent
asked_from = gevent.get_hub().threadpool.apply
spawn, pause = gevent.spawn, gevent.sleep
"""
    assert_greenlets_run_on(run_child, app, code)


@FIRST
def test_eventlet_without_threads(run_child: RunChild, app: AppServer, first: str) -> None:
    """The same with eventlet."""
    code = f"""
{first}
import eventlet
eventlet.monkey_patch(thread=False)
from eventlet import tpool
spawn, pause = eventlet.spawn, eventlet.sleep

def asked_from(function, arguments):
    return tpool.execute(function, *arguments)
"""
    assert_greenlets_run_on(run_child, app, code)


def assert_greenlets_run_on(run_child: RunChild, app: AppServer, code: str) -> None:
    code += """
import sys, syncclient
seen = []

def tick():
    while True:
        seen.append(1)
        pause(0.01)

url = sys.argv[1]
with syncclient.Session() as session:
    print(session.get(url + "/json").status)
    spawn(tick)
    pause(0)
    before = len(seen)
    print(session.get(url + "/delay/0.3").status)
    print(len(seen) - before)
    print(asked_from(session.get, (url + "/delay/0.3",)).status)
    print(len(seen) - before > 5)
"""
    child = run_child(code, app.url, flags=("-W", "ignore"))
    assert (child.status, child.stdout, child.stderr) == (0, "200\n200\n0\n200\nTrue\n", "")
