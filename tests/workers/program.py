"""A program that goes on until it is told to stop: what it prints can be waited for."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import ROOT

#: Seconds for a program to say what it is waited for, or to end.
LIMIT = 20.0


class Program:
    """A running program. Any thread may wait for what it prints; stderr counts as printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._over = False
        self._reader = threading.Thread(target=self._read, name="program-reader")
        self._reader.start()

    @property
    def output(self) -> str:
        """All that was printed so far."""
        with self._changed:
            return "".join(self._lines)

    def wait_for(self, pattern: str, *, count: int = 1, timeout: float = LIMIT) -> re.Match[str]:
        """Block until the output has ``count`` matches of ``pattern``; return the last of them."""

        def found() -> list[re.Match[str]]:
            return list(re.finditer(pattern, "".join(self._lines), re.MULTILINE))

        with self._changed:
            self._changed.wait_for(lambda: self._over or len(found()) >= count, timeout)
            matches = found()
        assert len(matches) >= count, f"no {pattern!r} within {timeout:g} s:\n{self.output}"
        return matches[count - 1]

    def end(self, sign: int = signal.SIGTERM, timeout: float = LIMIT) -> str:
        """Send it ``sign``, wait for its end, and return all that was printed."""
        self.process.send_signal(sign)
        self.wait(timeout)
        return self.output

    def wait(self, timeout: float = LIMIT) -> int:
        """Block until it and all that inherited its output have ended; return its status."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {timeout:g} s:\n{self.output}") from None
        self._reader.join(timeout)
        assert not self._reader.is_alive(), f"a child of it lives on:\n{self.output}"
        return status

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as pipe:
            for line in pipe:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()


@contextmanager
def running(
    *command: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[Program]:
    """Run ``command`` until the block ends.

    Its first word is the program, or an option for this interpreter.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        **(env or {}),
    }
    process = subprocess.Popen(
        [sys.executable, *command] if command[0].startswith("-") else command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    program = Program(process)
    try:
        yield program
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        program.wait()


def is_alive(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(true: Callable[[], bool], what: str, timeout: float = LIMIT) -> None:
    """Block until ``true()``; looked at often, for things that nobody announces."""
    pause = threading.Event()
    for _ in range(int(timeout / 0.02)):
        if true():
            return
        pause.wait(0.02)
    raise AssertionError(f"{what}: not so after {timeout:g} s")
