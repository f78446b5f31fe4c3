"""Programs in pseudo-terminals, and what is to be seen there."""

import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.forked import Forked

WITHIN = 30.0  # seconds for what is waited for to appear


@contextmanager
def in_terminal(
    argv: Sequence[str],
    *,
    flags: Sequence[str] = (),
    env: Mapping[str, str],
    cwd: Path | None = None,
    columns: int = 100,
) -> Iterator[tuple[Forked, Any]]:
    """Run Python in a terminal: gives the process, and pexpect's view of it.

    At the end of the block what still runs is killed.
    """
    from pexpect.fdpexpect import fdspawn

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with Forked(
        argv,
        flags=flags,
        env=env,
        cwd=cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        terminal=True,
    ) as process:
        os.close(theirs)
        screen = fdspawn(ours, timeout=WITHIN, encoding="utf-8")
        try:
            yield process, screen
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            screen.close()
