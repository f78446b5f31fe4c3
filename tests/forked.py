"""Processes that need not import syncclient: `tests/workers/forkserver.py` forks them.

For tests that start many programs. Not for what concerns imports, memory or the interpreter's
start; nor on Windows, where each is started in the usual way.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tests.servers.process import ROOT
from tests.workers.forkserver import HEAD, START, Request

#: The flags that a server is started with. -W is up to each process.
KINDS: tuple[tuple[str, ...], ...] = ((), ("-X", "dev"))
_servers: dict[tuple[str, ...], socket.socket] = {}


@contextmanager
def forkservers() -> Iterator[None]:
    """Run a server of each kind until the block ends."""
    with ExitStack() as stack:
        for flags in KINDS if hasattr(os, "fork") else ():
            control, theirs = socket.socketpair()
            # In a session of its own: a Ctrl-C for pytest is none for the programs.
            process = subprocess.Popen(
                [sys.executable, *flags, "-c", START, str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
            theirs.close()
            stack.callback(process.wait)
            stack.callback(control.close)  # which ends it
            _servers[flags] = control
        try:
            yield
        finally:
            _servers.clear()


def can_fork() -> bool:
    """Return whether the servers run, which `forkservers` starts."""
    return bool(_servers)


class Forked:
    """A process that was forked; what it has is named and does as in `subprocess.Popen`.

    It leads a session of its own. One thread at a time may use this.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        flags: Sequence[str] = (),
        env: Mapping[str, str],
        cwd: str | Path | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        terminal: bool = False,
    ) -> None:
        """Start it: `flags` and `argv` as for Python. With `terminal` it controls `stdin`."""
        at_start, actions = _parted(flags)
        request: Request = {
            "argv": list(argv),
            "warnings": actions,
            "env": dict(env),
            "cwd": os.fspath(cwd or Path.cwd()),
            "terminal": terminal,
        }
        theirs: list[int] = []
        status, write_status = os.pipe()
        theirs.append(write_status)
        self.stdin: IO[bytes] | None = None
        if stdin == subprocess.PIPE:
            source, ours = os.pipe()
            self.stdin = open(ours, "wb")  # noqa: SIM115  # closed by __exit__, as all three are
        else:
            source = os.open(os.devnull, os.O_RDONLY) if stdin == subprocess.DEVNULL else stdin
        theirs.append(source)
        self.stdout = self._reader(stdout, theirs)
        self.stderr = self._reader(stderr, theirs)
        control = _servers[at_start]
        document = json.dumps(request).encode()
        socket.send_fds(control, [len(document).to_bytes(HEAD, "big")], theirs)
        control.sendall(document)
        for given, descriptor in zip((None, stdin, stdout, stderr), theirs, strict=True):
            if given != descriptor:  # what the caller gave is the caller's to close
                os.close(descriptor)
        self._status = open(status, "rb", buffering=0)  # noqa: SIM115
        self.pid = int(self._status.readline())
        self.returncode: int | None = None
        self._got: list[tuple[threading.Thread, list[bytes]]] = []

    @staticmethod
    def _reader(given: int, theirs: list[int]) -> IO[bytes] | None:
        if given != subprocess.PIPE:
            theirs.append(given)
            return None
        ours, writer = os.pipe()
        theirs.append(writer)
        return open(ours, "rb")

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
            self.returncode = int(self._status.readline())
        return self.returncode

    def communicate(
        self, input: bytes | None = None, timeout: float | None = None
    ) -> tuple[bytes, bytes]:
        if not self._got:
            for stream in (self.stdout, self.stderr):
                got: list[bytes] = []
                thread = threading.Thread(target=_read, args=(stream, got), daemon=True)
                thread.start()
                self._got.append((thread, got))
            if self.stdin is not None:
                with suppress(BrokenPipeError), self.stdin:
                    self.stdin.write(input or b"")
        self.wait(timeout)
        for thread, _ in self._got:
            thread.join(timeout)
            if thread.is_alive():
                raise subprocess.TimeoutExpired("what has its pipes", timeout or 0.0)
        stdout, stderr = (b"".join(got) for _, got in self._got)
        return stdout, stderr

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> "Forked":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for stream in (self.stdout, self.stderr, self.stdin):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self.wait()
        self._status.close()


def _read(stream: IO[Any] | None, got: list[bytes]) -> None:
    if stream is not None:
        got.append(stream.read())


def _parted(flags: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """What a server was started with, and the actions of the -W among `flags`."""
    at_start: list[str] = []
    actions: list[str] = []
    for flag, value in zip(flags[::2], flags[1::2], strict=True):
        if flag == "-W":
            actions.append(value)
        else:
            at_start += [flag, value]
    return tuple(at_start), actions
