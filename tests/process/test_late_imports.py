"""A fork in the midst of an import that was left until it was needed (rule 12)."""

from __future__ import annotations

import os

import pytest

from tests.children import RunChild

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

#: Offers modules whose code is what ``code_of`` has for them.
MODULES = """
import importlib.abc, importlib.machinery, os, sys, threading, time, warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
from syncclient import _late

class Offer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name in code_of else None
    def exec_module(self, module):
        code_of[module.__name__]()

sys.meta_path.insert(0, Offer())

def child_that(act):
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(0)
    return pid

def check(pid):
    assert os.waitpid(pid, 0)[1] == 0
"""

WAITING = (
    MODULES
    + """
begun = threading.Event()
main = threading.get_ident()

def slow():
    begun.set()
    until = time.monotonic() + 10
    while sys._current_frames()[main].f_code.co_name != "__enter__":
        # The thread that forks does not wait: then it has forked by now.
        if forked.wait(0.001) or time.monotonic() > until:
            return

forked = threading.Event()
code_of = {"slow": slow}
thread = threading.Thread(target=_late.load, args=("slow",))
thread.start()
begun.wait()
pid = child_that(lambda: _late.load("slow"))
forked.set()
thread.join()
check(pid)
print("done")
"""
)


def test_a_fork_waits_for_the_import(run_child: RunChild) -> None:
    """The child has the module, whole, and not a lock that nobody releases."""
    child = run_child(WAITING, timeout=20)
    assert (child.stdout, child.stderr, child.status) == ("done\n", "", 0)


WITHIN = (
    MODULES
    + """
code_of = {"forking": lambda: check(child_that(lambda: _late.load("other"))), "other": int}
_late.load("forking")
thread = threading.Thread(target=_late.load, args=("other",))
_late.LIMIT = -1  # for ever, should the lock have been kept
thread.start()
thread.join()
print("other" in sys.modules)
"""
)


def test_a_fork_by_the_importing_thread(run_child: RunChild) -> None:
    """A signal handler forks in the midst of the import; neither process is left with the lock."""
    child = run_child(WITHIN, timeout=20)
    assert (child.stdout, child.stderr, child.status) == ("True\n", "", 0)


BOUNDED = (
    MODULES
    + """
_late.LIMIT = 0.01
begun, forked = threading.Event(), threading.Event()
code_of = {"waiting": lambda: (begun.set(), forked.wait()), "other": int}
thread = threading.Thread(target=_late.load, args=("waiting",))
thread.start()
begun.wait()

def in_child():
    _late.LIMIT = -1
    _late.load("other")

pid = child_that(in_child)
forked.set()
thread.join()
check(pid)
print("done")
"""
)


def test_a_fork_does_not_wait_for_ever(run_child: RunChild) -> None:
    """A module that waits for the fork itself: the fork gives up, and its child can import."""
    child = run_child(BOUNDED, timeout=20)
    assert (child.stdout, child.stderr, child.status) == ("done\n", "", 0)
