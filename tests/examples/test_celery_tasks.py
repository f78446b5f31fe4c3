"""docs/examples/celery_tasks.py: a worker with forked children, and a program that sends tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.children import RunChild
from tests.servers.process import ROOT
from tests.workers.program import running

pytest.importorskip("celery", reason="Celery does not run here")

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "docs" / "examples"


def test_tasks(run_child: RunChild, upstream: str, tmp_path: Path) -> None:
    """Tasks return what the API says; one that waits too long is stopped by Celery's time limit."""
    env = {"UPSTREAM": upstream, "FOLDER": str(tmp_path)}
    command = (
        *("-m", "celery", "--workdir", str(EXAMPLES), "-A", "celery_tasks", "worker"),
        *(
            "--concurrency",
            "2",
            "--loglevel",
            "INFO",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
        ),
    )
    with running(*command, env=env, cwd=tmp_path) as worker:
        worker.wait_for("ready")
        child = run_child(EXAMPLES / "celery_tasks.py", env=env, flags=())
        assert child.status == 0, child.stderr + worker.output
        assert child.stdout.splitlines() == [
            "['Ada', 'Grace', 'Edsger']",
            "['Edsger', 'Grace', 'Ada']",
            "gave up",
        ]
        output = worker.end()
        assert worker.process.returncode == 0, output
        assert "Traceback" not in output, output
