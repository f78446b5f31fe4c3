"""Tests in a process of their own: signals, forks, exits, and whatever must not print a warning."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.servers.process import ROOT


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
    ) -> Child: ...


def run_in_child(
    code: str | Path,
    *args: str,
    timeout: float = 30.0,
    env: Mapping[str, str] | None = None,
    flags: Sequence[str] = ("-X", "dev"),
) -> Child:
    """Block until the child ends; after `timeout` seconds kill it and fail with what it said.

    A `str` is code, a `Path` a script. `env` adds to the environment. The child imports
    `syncclient` and `tests` from this checkout, and dumps its stacks before it is killed.
    """
    what = [str(code)] if isinstance(code, Path) else ["-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1", **(env or {})}
    started = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, *flags, *what, *args],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,  # so that its own children can be killed with it
    )
    with child:
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
        pytest.fail(f"the child hung for {timeout} s\nstdout:\n{stdout}\nstderr:\n{stderr}")
    return Child(child.returncode, stdout, stderr, time.monotonic() - started)


def _killed(child: "subprocess.Popen[str]") -> tuple[str, str]:
    """Abort the child and its children: faulthandler shows where they hang. Then kill them."""
    os.killpg(child.pid, signal.SIGABRT)
    try:
        return child.communicate(timeout=5.0)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return child.communicate()
