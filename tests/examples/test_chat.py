"""docs/examples/chat.py: a server and two clients, each a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.servers.process import ROOT
from tests.workers.program import Program, running

pytestmark = pytest.mark.slow

CHAT = str(ROOT / "docs" / "examples" / "chat.py")


class Member:
    """A client whose keyboard is a pipe."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.screen = Program(process)

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def leave(self) -> int:
        """Press Ctrl-D; return the status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.screen.wait()


@contextmanager
def joined(port: str, name: str) -> Iterator[Member]:
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", CHAT, "--port", port, "join", name],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    member = Member(process)
    try:
        yield member
    finally:
        process.kill()
        member.screen.wait()
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def server() -> Iterator[tuple[Program, str]]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = str(free.getsockname()[1])
    with running(sys.executable, CHAT, "--port", port, "serve") as program:
        program.wait_for("the chat is open")
        yield program, port


def test_two_talk(server: tuple[Program, str]) -> None:
    """Each sees what the other says, and who comes and goes; leaving is quiet."""
    _, port = server
    with joined(port, "ada") as ada:
        ada.screen.wait_for(r"^\*: ada is here, 1 in all$")
        with joined(port, "grace") as grace:
            ada.screen.wait_for(r"^\*: grace is here, 2 in all$")
            grace.type("hello, is anybody there?")
            ada.screen.wait_for(r"^grace: hello, is anybody there\?$")
            ada.type("yes, and naïve questions are welcome")
            grace.screen.wait_for(r"^ada: yes, and naïve questions are welcome$")
            assert grace.leave() == 0
            assert grace.screen.output.endswith("[the chat is over]\n")
        ada.screen.wait_for(r"^\*: grace has left$")
        assert ada.leave() == 0
        assert ada.screen.output.count("ada:") == 0


def test_the_server_goes(server: tuple[Program, str]) -> None:
    """A client is told, and ends with the next line that it cannot send."""
    program, port = server
    with joined(port, "ada") as ada:
        ada.screen.wait_for("ada is here")
        program.end()
        ada.screen.wait_for(r"the chat is over")
        ada.type("anybody?")
        assert ada.screen.wait() == 0
        assert "[the server has gone]" in ada.screen.output
