"""uWSGI: a session used before its workers are forked, by C code that runs no at-fork hook."""

from __future__ import annotations

import http.client
import json
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.servers.process import AppServer
from tests.workers.program import running

UWSGI = Path(sys.executable).with_name("uwsgi")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not UWSGI.exists(), reason="uWSGI was not built for this interpreter"),
]


# uWSGI runs threads by itself by now; an older one without the option, in which the loop
# thread never reports, is played by test_a_thread_that_never_reports_is_an_error.
@pytest.mark.parametrize(
    "options",
    [(), ("--enable-threads",), ("--threads", "4"), ("--py-call-uwsgi-fork-hooks",)],
    ids=lambda options: options[0] if options else "plain",
)
def test_a_session_of_before_the_fork(app: AppServer, options: tuple[str, ...]) -> None:
    """Every worker answers through the session, on connections of its own, and ends when told."""
    before = app.stats().connections_open
    command = (
        *(str(UWSGI), "--http-socket", "127.0.0.1:0", "--master", "--processes", "2"),
        *("--module", "tests.workers.flask_app:app", "--die-on-term", "--need-app"),
    )
    with running(*command, *options, env={"UPSTREAM": app.url + "/"}) as program:
        port = int(program.wait_for(r"bound to TCP address 127\.0\.0\.1:(\d+)")[1])
        program.wait_for(r"spawned uWSGI worker 2")
        for number in range(20):
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                connection.request("GET", f"/?q={number}")
                response = connection.getresponse()
                text = response.read().decode()
            assert response.status == 200, text
            assert json.loads(text)["answer"] == str(number)
        output = program.end()
    assert program.process.returncode == 0, output
    assert "Traceback" not in output
    assert "segmentation fault" not in output.lower()
    app.wait_until(lambda stats: stats.connections_open <= before)
