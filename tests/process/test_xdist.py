"""pytest -n: tests in several processes that use one session of their module."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.process import AppServer
from tests.workers.program import running

pytest.importorskip("xdist", reason="pytest-xdist does not run here")

SUITE = """
import os
import pytest
import syncclient

session = syncclient.Session(os.environ["UPSTREAM"])

@pytest.mark.parametrize("number", range(20))
def test_ask(number):
    with session.post("/anything", data=str(number)) as response:
        assert response.json()["text"] == str(number)
"""


@pytest.mark.slow
def test_two_workers(app: AppServer, tmp_path: Path) -> None:
    """All tests pass, and the workers end by themselves, though nobody closes the session."""
    (tmp_path / "test_suite.py").write_text(SUITE, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = ("-m", "pytest", "-p", "xdist.plugin", "-n", "2", "-W", "error", "test_suite.py")
    # Without all else that is installed here, in three processes: that takes its time.
    env = {"UPSTREAM": app.url + "/", "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with running(*command, cwd=tmp_path, env=env) as program:
        assert program.wait() == 0, program.output
    assert "20 passed" in program.output
    assert "warning" not in program.output
