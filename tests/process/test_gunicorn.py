"""gunicorn --preload: a session used before the fork serves on in every worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.process import AppServer
from tests.workers.load import Load
from tests.workers.program import Program, is_alive, running, wait_until

pytest.importorskip("gunicorn", reason="gunicorn does not run here")

pytestmark = [
    pytest.mark.slow,
    # Not all four: a kind of worker and a framework meet in nothing that concerns a session.
    pytest.mark.parametrize(("framework", "worker"), [("flask", "gthread"), ("django", "sync")]),
]

#: What gunicorn says of a worker that had to be killed, crashed, or raised. SIGTERM is none
#: of these: a worker that leaves for max_requests may get it in its very last moment.
BAD = ("Traceback", "Exception", "Warning:", "TIMEOUT", "SIGKILL", "SIGSEGV", "SIGABRT", "[ERROR]")


@contextmanager
def gunicorn(
    framework: str, worker: str, upstream: str, home: Path, *options: str
) -> Iterator[Program]:
    """Run the app with two workers until the block ends; it must then end quietly by itself."""
    command = (
        *("-m", "gunicorn", f"tests.workers.{framework}_app:app", "--preload", "-k", worker),
        *("-w", "2", "--threads", "1" if worker == "sync" else "4", "--bind", "127.0.0.1:0"),
        *options,
    )
    # gunicorn puts a control socket there.
    env = {"UPSTREAM": upstream, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    with running(*command, env=env) as program:
        yield program
        output = program.end()
        assert program.process.returncode == 0, output
        assert not any(word in output for word in BAD), output


def port_of(program: Program) -> int:
    return int(program.wait_for(r"Listening at: http://127.0.0.1:(\d+)")[1])


def test_preload_reload_and_max_requests(
    app: AppServer, tmp_path: Path, framework: str, worker: str
) -> None:
    """No request fails while workers come and go, first by max_requests and then by a HUP.

    Each worker that is to go ends by itself, without a signal it cannot refuse.
    """
    url = app.url + "/"
    options = ("--max-requests", "40", "--max-requests-jitter", "10", "--graceful-timeout", "15")
    with gunicorn(framework, worker, url, tmp_path, *options) as program:
        with Load(port_of(program)) as load:
            program.wait_for(r"Autorestarting worker after current request", count=2)
            wait_until(lambda: len(load.workers) >= 4 or bool(load.failures), "four workers")
            before = set(load.workers)
            os.kill(program.process.pid, signal.SIGHUP)
            program.wait_for(r"Handling signal: hup")
            wait_until(lambda: not any(map(is_alive, before)), "the old workers have gone")
            wait_until(lambda: bool(load.workers - before or load.failures), "new ones answer")
        assert load.failures == []
