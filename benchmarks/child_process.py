"""A process of ours that talks in lines of JSON: servers and measured clients alike."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

# http.client and friends look these up for every request and would leave loopback by them.
_PROXY_VARIABLES = frozenset({"http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"})
# requests takes the authorities they name in place of its session's own.
_AUTHORITY_VARIABLES = frozenset({"requests_ca_bundle", "curl_ca_bundle"})
# A cold start compiles what it finds no bytecode of, which would be a source tree only: every
# installed peer has been compiled by its installer.
_BYTECODE_VARIABLES = frozenset({"pythondontwritebytecode"})
_LEFT_OUT = _PROXY_VARIABLES | _AUTHORITY_VARIABLES | _BYTECODE_VARIABLES


class ChildError(Exception):
    """The child ended, said something that is no JSON object, or said nothing in time."""


def environment() -> dict[str, str]:
    """Return the environment variables that servers and measured clients get."""
    return {key: value for key, value in os.environ.items() if key.lower() not in _LEFT_OUT}


class ChildProcess:
    """Starts a child and exchanges lines of JSON with it.

    Used from one thread. A child that stops answering is killed by ``stop``; nothing waits without
    a bound.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            # Ctrl-C is for the parent, which then stops its children in good order.
            start_new_session=True,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        # A thread because a pipe cannot be read with a timeout on every platform.
        self._reading = threading.Thread(target=self._read_lines, daemon=True)
        self._reading.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def send(self, message: Mapping[str, object]) -> None:
        """Write one message. Raises ChildError if the child is gone."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError as exc:
            raise ChildError(f"{self.name} is gone") from exc

    def receive(self, timeout: float) -> dict[str, object]:
        """Wait for one message, ``timeout`` seconds at most. Raises ChildError if none comes."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise ChildError(f"{self.name} did not answer within {timeout:g} s") from None
        if not line:
            raise ChildError(f"{self.name} ended with status {self._process.wait()}")
        try:
            message: object = json.loads(line)
        except ValueError:
            raise ChildError(f"{self.name} said {line!r}") from None
        if not isinstance(message, dict):
            raise ChildError(f"{self.name} said {line!r}")
        return message

    def quiet_for(self, seconds: float) -> bool:
        """Return whether the child neither spoke nor ended for so long."""
        try:
            self._lines.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def cpu_seconds(self) -> float | None:
        """CPU time the child has used so far, or None where the system does not tell."""
        if not sys.platform.startswith("linux"):
            return None
        try:
            with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as stat:
                # The command name may hold spaces; what is after its closing bracket does not.
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, timeout: float = 3.0) -> None:
        """Close the child's stdin, which asks it to end; kill it after ``timeout`` seconds."""
        assert self._process.stdin is not None
        # It may be gone already, with something of ours unread.
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # A grandchild may have the pipe still; nothing waits for that.
        self._reading.join(timeout)
