"""A pickled session arrives in another process with its settings and cookies, and works there."""

from __future__ import annotations

import importlib.util
import multiprocessing
from pathlib import Path

import pytest

from tests.children import Child, RunChild
from tests.servers.process import AppServer

#: What is sent to the workers, and what they answer. A script, which their processes import.
SESSION = """
import logging, os, sys, threading, warnings
import syncclient
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
logging.getLogger("asyncio").setLevel(logging.ERROR)  # that a callback took long: it may, here

def serialized(value):
    return "[7]"

class Api(syncclient.Session):
    def __init__(self, url, token):
        super().__init__(
            url,
            headers={"X-Token": token},
            cookie_jar=syncclient.CookieJar(unsafe=True),
            json_serialize=serialized,
            retry=syncclient.Retry(2),
            timeout=45,
            connector=syncclient.TCPConnector(limit=7),
        )
        self.token = token

def visit(session):
    with session:
        inherited = session.connector.snapshot().open
        told = session.post("/anything", json={}).json()
        return (
            told["cookies"],
            [value for name, value in told["headers"] if name == "X-Token"],
            told["json"],
            session.token,
            session.connector.snapshot().limit,
            inherited,
            os.getpid(),
        )

#: Answers it in the parent and in workers alike.
EXPECTED = ({"flavour": "oat"}, ["t"], [7], "t", 7, 0)

def made(url):
    session = Api(url, "t")
    session.cookie_jar.update_cookies({"flavour": "oat"})
    held = session.get("/bytes/20000000")  # live, and of no interest to the pickle
    return session, held

def busy(session):
    stop = threading.Event()
    def work():
        turn = 0
        while not stop.is_set():
            turn += 1
            session.headers["X-Turn"] = str(turn)
            session.get("/json").read()
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    def end():
        stop.set()
        for thread in threads:
            thread.join(10)
    return end

def check(answers):
    assert answers, "nothing came back"
    for *answer, pid in answers:
        assert tuple(answer) == EXPECTED, answer
        assert pid != os.getpid()
    print(len(answers))
"""

POOL = """
def main():
    import concurrent.futures, multiprocessing
    url, method = sys.argv[1:]
    session, held = made(url)
    end = busy(session)
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        check(list(pool.map(visit, [session] * 6)))
    with context.Pool(1) as pool:
        check(pool.map(visit, [session] * 2))
    end()
    assert len(held.read()) == 20_000_000
    session.close()
    print([thread.name for thread in threading.enumerate() if "syncclient" in thread.name])

if __name__ == "__main__":
    main()
"""

DASK = """
def main():
    import dask, distributed
    dask.config.set({"distributed.admin.log-format": "%(message)s"})
    url = sys.argv[1]
    session, held = made(url)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, host="127.0.0.1",
        dashboard_address=None, silence_logs=50,
    ) as cluster, distributed.Client(cluster) as client:
        check(client.gather(client.map(visit, [session] * 4, pure=False)))
        # A function without a name of its own goes as code.
        odd = session.with_options(json_serialize=lambda value: "[7]")
        check(client.gather([client.submit(visit, odd)]))
        check([dask.compute(dask.delayed(visit)(session))[0]])
    assert len(held.read()) == 20_000_000
    session.close()

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The path for a script. The processes that it spawns import it from there."""
    return tmp_path / "script.py"


def run(run_child: RunChild, script: Path, code: str, *args: str, warnings: bool = True) -> Child:
    script.write_text(SESSION + code, encoding="utf-8")
    flags = ("-X", "dev", "-W", "error::ResourceWarning") if warnings else ()
    return run_child(script, *args, flags=flags, timeout=50)


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_worker_processes(run_child: RunChild, app: AppServer, script: Path, method: str) -> None:
    """Settings, cookies and a subclass's attributes arrive; connections are made anew.

    In the parent, threads use the session all the while, and a body stays open. A pool pickles
    what it hands to its workers, forked ones too.
    """
    child = run(run_child, script, POOL, app.url, method)
    assert (child.stdout, child.stderr, child.status) == ("6\n2\n[]\n", "", 0)


@pytest.mark.slow
@pytest.mark.skipif(
    not importlib.util.find_spec("distributed"), reason="distributed is not installed"
)
def test_dask_workers(run_child: RunChild, app: AppServer, script: Path) -> None:
    """A session goes to the workers of a cluster as an argument, functions of its own included."""
    child = run(run_child, script, DASK, app.url, warnings=False)
    assert (child.stdout, child.status) == ("4\n1\n1\n", 0), child.stderr
    assert "Traceback" not in child.stderr, child.stderr
