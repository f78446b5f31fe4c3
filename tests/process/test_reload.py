"""gunicorn and uWSGI are reloaded under load, while their app calls an SDK by the doors.

`SYNCCLIENT_RELOADS=20` in the environment makes it twenty reloads of each.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.workers.load import Load
from tests.workers.program import Program, is_alive, running, wait_until

RELOADS = int(os.environ.get("SYNCCLIENT_RELOADS", "3"))

#: Seconds for the workers of one reload to come, on a busy machine.
PATIENCE = 60.0

UWSGI = Path(sys.executable).with_name("uwsgi")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120 + RELOADS * PATIENCE),
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("openai", "httpx2", "flask"))),
        reason="needs openai's SDK, httpx2 and Flask",
    ),
]


class Upstream(BaseHTTPRequestHandler):
    """A model and an API that say what they are told."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"said": parse_qs(urlsplit(self.path).query)["q"][0]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = {"role": "assistant", "content": asked["messages"][0]["content"]}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        completion = {"id": "1", "object": "chat.completion", "created": 1, "model": "echo"}
        self._answer({**completion, "choices": [choice]})

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def upstream() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def is_over(load: Load, workers: set[int]) -> bool:
    return bool(load.failures) or not any(map(is_alive, workers))


def has_answered(load: Load, enough: int) -> bool:
    return bool(load.failures) or (load.answered >= enough and bool(load.workers))


def reload_under_load(program: Program, port: int, *, repeats: bool = False) -> None:
    """Reload again and again, each time until the old workers have gone and new ones answer."""
    with Load(port, ("/model", "/api"), repeats=repeats) as load:
        wait_until(lambda: load.answered > 20 or bool(load.failures), "it answers", PATIENCE)
        for _ in range(RELOADS):
            before = set(load.workers)
            os.kill(program.process.pid, signal.SIGHUP)
            wait_until(partial(is_over, load, before), "the old workers have gone", PATIENCE)
            load.workers -= before
            # Some time, for a uWSGI that has just started dies of a HUP.
            enough = load.answered + 50
            wait_until(partial(has_answered, load, enough), "new ones answer", PATIENCE)
        assert load.failures == []
        assert load.resets <= RELOADS


@pytest.mark.leaks("the threads of the upstream's last connections")
@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_gunicorn(upstream: str, tmp_path: Path, worker: str) -> None:
    """No request fails, and each worker ends by itself."""
    pytest.importorskip("gunicorn", reason="gunicorn does not run here")
    command = (
        *("-m", "gunicorn", "tests.workers.sdk_app:app", "--preload", "-k", worker, "-w", "2"),
        *("--threads", "1" if worker == "sync" else "4", "--bind", "127.0.0.1:0"),
        *("--graceful-timeout", "30"),
    )
    env = {"UPSTREAM": upstream, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with running(*command, env=env) as program:
        listening = r"Listening at: http://127.0.0.1:(\d+)"
        port = int(program.wait_for(listening, timeout=PATIENCE)[1])
        reload_under_load(program, port)
        output = program.end()
        assert program.process.returncode == 0, output
        assert not any(word in output for word in ("Traceback", "TIMEOUT", "SIGKILL")), output


@pytest.mark.leaks("the threads of the upstream's last connections")
@pytest.mark.skipif(not UWSGI.exists(), reason="uWSGI was not built for this interpreter")
def test_uwsgi(upstream: str) -> None:
    """No request fails. uWSGI starts itself anew, and keeps its socket.

    It resets a connection now and then when it kills a worker, without a session as well: one in
    sixty reloads of an app of five lines. A client asks again; so does ours here.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        # By its number: a uWSGI that starts itself anew would take another for port 0.
        port: int = free.getsockname()[1]
    command = (
        *(str(UWSGI), "--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "2"),
        *("--threads", "4", "--module", "tests.workers.sdk_app:app", "--die-on-term"),
        *("--need-app", "--worker-reload-mercy", "30"),
    )
    with running(*command, env={"UPSTREAM": upstream}) as program:
        program.wait_for(r"spawned uWSGI worker 2", timeout=PATIENCE)
        reload_under_load(program, port, repeats=True)
        output = program.end()
    assert program.process.returncode == 0, output
    assert "Traceback" not in output
    assert "segmentation fault" not in output.lower()
