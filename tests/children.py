"""Tests in a process of their own: signals, forks, exits, and whatever must not print a warning."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.forked import Forked, can_fork
from tests.servers.process import ROOT

#: What asyncio says in development mode of a turn of the loop that took over a tenth of a second.
#: That tells how busy the machine is; what may hold the loop is measured by `tests/bounds.py`.
_SLOW_TURN = re.compile(r"^Executing <.*> took [0-9.]+ seconds\n", re.MULTILINE)


@dataclass(frozen=True)
class Child:
    """How a child process ended, and what it said."""

    status: int
    stdout: str
    stderr: str
    seconds: float


class RunChild(Protocol):
    """The type of the fixture `run_child`."""

    def __call__(
        self,
        code: str | Path,
        *args: str,
        timeout: float = 30.0,
        env: Mapping[str, str] | None = None,
        flags: Sequence[str] = ("-X", "dev"),
        forked: bool = False,
    ) -> Child: ...


def run_in_child(
    code: str | Path,
    *args: str,
    timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
    flags: Sequence[str] = ("-X", "dev"),
    forked: bool = False,
) -> Child:
    """Block until the child ends; after `timeout` seconds kill it and fail with what it said.

    A `str` is code, a `Path` a script. `env` adds to the environment. The child imports
    `syncclient` and `tests` from this checkout, and dumps its stacks before it is killed.
    `stderr` is without what asyncio says of slow turns of its loop.
    With `forked` it has imported them already: see `tests/forked.py`.
    """
    what = [str(code)] if isinstance(code, Path) else ["-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1", **(env or {})}
    started = time.monotonic()
    with start([*what, *args], env=environment, flags=flags, forked=forked) as child:
        hung = False
        try:
            stdout, stderr = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            hung = True
            stdout, stderr = _killed(child)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    if hung:
        pytest.fail(
            f"the child hung for {timeout} s\nstdout:\n{_text(stdout)}\nstderr:\n{_text(stderr)}"
        )
    assert child.returncode is not None
    seconds = time.monotonic() - started
    return Child(child.returncode, _text(stdout), _SLOW_TURN.sub("", _text(stderr)), seconds)


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    flags: Sequence[str] = (),
    forked: bool = False,
    cwd: Path | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
) -> "subprocess.Popen[bytes] | Forked":
    """Start Python with these arguments.

    It leads a session of its own: what it starts in turn can be killed with it. `forked` holds
    where the servers run, and where they do not it starts in the usual way.
    """
    if forked and can_fork():
        return Forked(argv, flags=flags, env=env, cwd=cwd, stdin=stdin, stdout=stdout)
    return subprocess.Popen(
        [sys.executable, *flags, *argv],
        env=env,
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _text(said: bytes) -> str:
    return said.decode().replace("\r\n", "\n")


def _killed(child: "subprocess.Popen[bytes] | Forked") -> tuple[bytes, bytes]:
    """Abort the child and its children: faulthandler shows where they hang. Then kill them."""
    os.killpg(child.pid, signal.SIGABRT)
    try:
        return child.communicate(timeout=5.0)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return child.communicate()
