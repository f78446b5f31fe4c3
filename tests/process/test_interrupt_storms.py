"""Interrupts that come at any moment, thousands of them: nothing hangs afterwards, nothing lingers.

What is called here runs code of the standard library that an interrupt leaves in disorder:
locks acquired, contexts entered, threads half started.
"""

from __future__ import annotations

import sys

import pytest

from tests.children import RunChild
from tests.servers.process import AppServer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")

PREAMBLE = """
import concurrent.futures, random, signal, sys, time, warnings
import syncclient

class Storm(Exception):
    pass

def interrupt(number, frame):
    raise Storm

def unraisable(args):
    # Python ignores what comes in a finaliser.
    if not issubclass(args.exc_type, Storm):
        sys.__unraisablehook__(args)

sys.unraisablehook = unraisable
warnings.simplefilter("ignore", ResourceWarning)  # of what is dropped before its with block
signal.signal(signal.SIGALRM, interrupt)
url = sys.argv[1] + "/get"
session = syncclient.Session()

def submit():
    for future in [session.submit("GET", url) for _ in range(3)]:
        future.result(30)

def wait():
    futures = [session.submit("GET", url) for _ in range(3)]
    assert not concurrent.futures.wait(futures, 30).not_done

def completed():
    futures = [session.submit("GET", url) for _ in range(3)]
    for future in concurrent.futures.as_completed(futures, 30):
        future.result(30)

def start_and_end():
    with syncclient.Session(loop_thread=syncclient.LoopThread()) as own:
        own.get(url)

def deadline():
    with syncclient.timeout(30):
        session.get(url)

def deadline_again():
    # Left in a loop of calls that take no time: so most interrupts hit the block itself.
    for _ in range(100):
        with syncclient.timeout(30):
            pass
"""


@pytest.mark.parametrize(
    "what", ["submit", "wait", "completed", "start_and_end", "deadline", "deadline_again"]
)
def test_a_storm_of_interrupts(run_child: RunChild, app: AppServer, what: str) -> None:
    """Each ends the call that it hits, and the next one works as ever."""
    child = run_child(
        PREAMBLE
        + f"""
began = time.monotonic()
for _ in range(5):
    {what}()
took = (time.monotonic() - began) / 5
hit, done, until = 0, 0, time.monotonic() + 15
while hit < 1000 and time.monotonic() < until:
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1.2 * took))
            {what}()
            done += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Storm:
        hit += 1
    except RuntimeError as exc:
        # Of threading.Event, in the standard library: it releases what it has not acquired.
        if "lock" not in str(exc):
            raise
        hit += 1
{what}()
print(hit > 50, done > 0)
with syncclient.timeout(0.5):
    try:
        session.get(sys.argv[1] + "/delay/30")
    except syncclient.DeadlineError as exc:
        print(exc.seconds)
assert syncclient._deadline.nearest() is None
session.close()
""",
        app.url,
        timeout=60,
        forked=True,
    )
    assert child.stderr == ""
    assert child.stdout == "True True\n0.5\n"
