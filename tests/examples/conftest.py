"""The server that the examples talk to, and the examples as programs of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from syncclient import Session
from tests.servers.process import ROOT
from tests.workers.program import running


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    """docs/examples/server.py as a process of its own: its URL, with a slash at the end."""
    script = str(ROOT / "docs" / "examples" / "server.py")
    with running(sys.executable, script, "--port", "0") as server:
        yield server.wait_for(r"^http://\S+$")[0] + "/"


@pytest.fixture
def browser(site: str) -> Iterator[Session]:
    """A session for the site that the test's module serves."""
    with Session(site) as fresh:
        yield fresh
