"""Ctrl-C at a terminal, in every place of waiting: the program dies of it, as a shell expects.

A shell that runs a loop of programs stops at one that died of SIGINT, and goes on after one that
ended with status 1, which is what an exit handler can turn the one into.
"""

import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.forked import Forked
from tests.places import PLACES
from tests.process.terminals import WITHIN, in_terminal
from tests.servers.process import ROOT, AppServer

pexpect = pytest.importorskip("pexpect")

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals"),
    pytest.mark.slow,
    pytest.mark.usefixtures("can_fork_children"),
]

CTRL_C = "\x03"
SCRIPT = Path(__file__).with_name("waiting.py")

#: A program that imports nothing but syncclient, and blocks in a WebSocket left open.
RECEIVE = """
import syncclient, sys
session = syncclient.Session()
socket = session.ws_connect(sys.argv[1])
socket.send_str("hello")
print(socket.receive_str(), flush=True)
socket.receive()
"""


def ended_by(process: Forked, screen: Any) -> int:
    """Block until the program has ended; return the signal that it died of."""
    screen.expect(pexpect.EOF)
    assert "KeyboardInterrupt" in screen.before
    return -process.wait(WITHIN)


@pytest.mark.parametrize("presses", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("name", PLACES)
def test_ctrl_c_ends_the_program_by_its_signal(name: str, presses: int) -> None:
    """Pressed once, or again while the program cleans up, it ends by SIGINT: 130 in a shell."""
    with in_terminal([str(SCRIPT), name], env=os.environ) as (process, screen):
        screen.expect_exact("blocked")
        for _ in range(presses):
            screen.send(CTRL_C)
        assert ended_by(process, screen) == signal.SIGINT


def test_ctrl_c_in_a_program_that_imports_nothing_else(app: AppServer) -> None:
    """Importing syncclient also imports everything needed to close a WebSocket at exit."""
    child = pexpect.spawn(
        sys.executable,
        ["-c", RECEIVE, f"{app.url}/echo"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=WITHIN,
        encoding="utf-8",
    )
    with closing(child):
        child.expect_exact("hello")
        child.sendintr()
        child.expect(pexpect.EOF)
        assert "KeyboardInterrupt" in child.before
    assert child.signalstatus == signal.SIGINT
