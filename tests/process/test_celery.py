"""Celery's prefork pool: workers forked after their parent used the session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.children import RunChild
from tests.servers.process import AppServer
from tests.workers.program import running

pytest.importorskip("celery", reason="Celery does not run here")


@pytest.mark.slow
def test_prefork(run_child: RunChild, app: AppServer, tmp_path: Path) -> None:
    """Every task is answered, while workers are replaced; then all end at once when told to."""
    (tmp_path / "control").mkdir()
    env = {"UPSTREAM": app.url + "/", "BROKER_FOLDER": str(tmp_path)}
    command = (
        *("-m", "celery", "-A", "tests.workers.tasks", "worker", "--pool", "prefork"),
        *("--concurrency", "2", "--max-tasks-per-child", "5", "--loglevel", "INFO"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )
    send = """
from tests.workers.tasks import ask, session
results = [ask.delay(f"question {n}") for n in range(16)]
answers = [result.get(timeout=20, interval=0.02) for result in results]
assert [text for _, text in answers] == [f"question {n}" for n in range(16)], answers
print(len({pid for pid, _ in answers}) >= 3)
session.close()
"""
    with running(*command, env=env, cwd=tmp_path) as program:
        program.wait_for("ready")
        child = run_child(send, env=env, flags=())
        assert (child.stdout, child.stderr) == ("True\n", ""), program.output
        output = program.end()
    assert program.process.returncode == 0, output
    for bad in ("Traceback", "WorkerLostError", "SIGSEGV", "exited with"):
        assert bad not in output, output


IN_MEMORY = """
import os, sys, warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
import celery
from celery.contrib.testing.worker import start_worker
import syncclient

url, folder = sys.argv[1:]
session = syncclient.Session(url)
session.get("/json").raise_for_status()
# The parent takes tasks from the broker; results come from the children, by way of files.
app = celery.Celery("tasks", broker="memory://", backend=f"file://{folder}")

@app.task
def ask(question):
    with session.post("/anything", data=question) as response:
        return os.getpid(), response.json()["text"]

options = {"pool": "prefork", "concurrency": 2, "max_tasks_per_child": 3, "loglevel": "ERROR"}
with start_worker(app, perform_ping_check=False, shutdown_timeout=20, **options):
    results = [ask.delay(f"question {n}") for n in range(12)]
    session.get("/json").raise_for_status()
    answers = [result.get(timeout=20, interval=0.02) for result in results]
assert [text for _, text in answers] == [f"question {n}" for n in range(12)], answers
pids = {pid for pid, _ in answers}
print(len(pids) >= 3, os.getpid() in pids, session.get("/json").status)
session.close()
"""


@pytest.mark.slow
def test_prefork_with_a_broker_in_memory(
    run_child: RunChild, app: AppServer, tmp_path: Path
) -> None:
    """The parent, in which broker and session live, asks while its children do; all end."""
    child = run_child(IN_MEMORY, app.url + "/", str(tmp_path), flags=(), timeout=50)
    assert (child.stdout, child.stderr, child.status) == ("True False 200\n", "", 0)
