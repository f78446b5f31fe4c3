"""Django's development server: a touched file starts it anew, with a session in use."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.servers.process import AppServer
from tests.workers import program
from tests.workers.program import is_alive, running, wait_until

pytest.importorskip("django", reason="Django does not run here")


@pytest.mark.slow
def test_a_touched_file(app: AppServer, tmp_path: Path) -> None:
    """The old process ends and a new one answers; Ctrl-C then ends both it and its parent."""
    site = tmp_path / "site.py"
    shutil.copy(Path(program.__file__).with_name("django_app.py"), site)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]

    def ask() -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", "/?q=hello")
            answer = json.loads(connection.getresponse().read())
            assert answer["answer"] == "hello"
            return int(answer["pid"])

    def answers() -> bool:
        try:
            return ask() > 0
        except OSError:
            return False

    command = (str(site), "runserver", f"127.0.0.1:{port}")
    env = {"UPSTREAM": app.url + "/", "DJANGO_SETTINGS_MODULE": ""}
    with running("-u", *command, env=env) as server:
        wait_until(answers, "it answers")
        old = ask()

        def touch() -> bool:
            # Again and again: what changes before the reloader's first look is nothing new to it.
            later = os.stat(site).st_mtime + 10
            os.utime(site, (later, later))
            return not is_alive(old)

        wait_until(touch, "the old process has ended")
        wait_until(answers, "it answers again")
        assert ask() != old
        os.killpg(server.process.pid, signal.SIGINT)  # as a terminal does
        server.wait()
        assert "Traceback" not in server.output, server.output
