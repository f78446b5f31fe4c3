"""multiprocessing and ProcessPoolExecutor, by each way to start a process."""

from __future__ import annotations

import multiprocessing
import sys

import pytest

from tests.children import RunChild
from tests.servers.process import AppServer

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the child's stdout is read as POSIX's"),
    pytest.mark.slow,
    pytest.mark.parametrize("method", multiprocessing.get_all_start_methods()),
]

#: A thread reads a stream, and another makes requests, for as long as processes come and go.
PREAMBLE = """
import collections, concurrent.futures, contextlib, logging, multiprocessing, os, sys
import threading, warnings
logging.getLogger("asyncio").setLevel(logging.ERROR)  # that a callback took long: it may, here
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
from tests.workers.pool_tasks import ask, ask_and_end, session

context = multiprocessing.get_context(sys.argv[1])
if sys.argv[1] == "forkserver":
    context.set_forkserver_preload(["tests.workers.pool_tasks"])  # which uses the session there

@contextlib.contextmanager
def traffic():
    stop = threading.Event()
    errors = []
    turns = collections.Counter()

    def go_on(act):
        try:
            while not stop.wait(0.02):  # a core is to be left for the processes
                act()
                turns[act] += 1
        except BaseException as exc:
            errors.append(exc)

    def stream():
        with session.get("/bytes/2000000") as response:
            assert sum(map(len, response.content.iter_any())) == 2_000_000

    acts = (stream, lambda: ask(0))

    def goes_on():
        # The second of the turns that end from now on has begun after now.
        enough = {act: turns[act] + 2 for act in acts}
        pause = threading.Event()
        for _ in range(2000):
            if errors or all(turns[act] >= enough[act] for act in acts):
                break
            pause.wait(0.01)
        else:
            raise AssertionError("the parent's requests or its streams stand still")

    threads = [threading.Thread(target=go_on, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    try:
        yield goes_on
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
    assert errors == [], errors
    session.get("/json").raise_for_status()
    session.close()
"""


def test_processes(run_child: RunChild, app: AppServer, method: str) -> None:
    """Each process asks through the session and ends its own way; the parent goes on meanwhile."""
    code = """
with traffic() as goes_on:
    for how in ("return", "exit", "_exit", "error"):
        asked, may_end = context.Event(), context.Event()
        process = context.Process(target=ask_and_end, args=(how, asked, may_end))
        process.start()
        assert asked.wait(20)
        goes_on()
        may_end.set()
        process.join(20)
        goes_on()
        print(how, process.exitcode)
"""
    env = {"UPSTREAM": app.url + "/"}
    child = run_child(PREAMBLE + code, method, env=env, flags=(), timeout=110)
    assert child.stdout.splitlines() == ["return 0", "exit 3", "_exit 3", "error 1"]
    assert (child.stderr, child.status) == ("", 0)


def test_pools(run_child: RunChild, app: AppServer, method: str) -> None:
    """A Pool and a ProcessPoolExecutor answer all, and end with their block."""
    code = """
with traffic() as goes_on:
    with context.Pool(2, maxtasksperchild=6) as pool:
        answers = pool.map(ask, range(12), chunksize=1)
        assert [answer for _, answer in answers] == list(range(12)), answers
        goes_on()
        pool.close()
        pool.join()
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        answers = list(pool.map(ask, range(12)))
        assert [answer for _, answer in answers] == list(range(12)), answers
        goes_on()
    goes_on()
    assert os.getpid() not in {pid for pid, _ in answers}
    print("answered")
"""
    env = {"UPSTREAM": app.url + "/"}
    child = run_child(PREAMBLE + code, method, env=env, flags=(), timeout=110)
    assert (child.stdout, child.stderr, child.status) == ("answered\n", "", 0)
