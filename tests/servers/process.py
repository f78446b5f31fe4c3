"""Starts the application in a process of its own, and asks it what it saw. Needs no aiohttp."""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .journal import Stats

if TYPE_CHECKING:
    import trustme  # only for its name: the demo and the benchmarks do without it

ROOT = Path(__file__).parents[2]
_STARTED_WITHIN = 20.0
_STOPPED_WITHIN = 5.0


class AppServer:
    """A running application. Any thread may ask it; each question is one short blocking call."""

    def __init__(self, url: str, port: int | None, control_port: int, pid: int) -> None:
        # Without a trailing slash. On a unix socket the host part only fills the Host header.
        self.url = url
        self.port = port
        self.pid = pid
        self.control_port = control_port

    def stats(self) -> Stats:
        """The counts now. Asking opens no connection to the application itself."""
        return self._ask("/stats", 5.0)

    def wait_until(self, predicate: Callable[[Stats], bool], timeout: float = 5.0) -> Stats:
        """Block until `predicate` holds of the counts; TimeoutError after `timeout` seconds.

        The server answers when a count changes, so there is no polling and no event is missed.
        """
        until = time.monotonic() + timeout
        stats = self.stats()
        while not predicate(stats):
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"still not so after {timeout} s: {stats}")
            stats = self._ask(f"/stats?newer_than={stats.version}&timeout={left}", left + 5.0)
        return stats

    def _ask(self, target: str, timeout: float) -> Stats:
        connection = http.client.HTTPConnection("127.0.0.1", self.control_port, timeout=timeout)
        try:
            connection.request("GET", target)
            return Stats(**json.loads(connection.getresponse().read()))
        finally:
            connection.close()


@contextmanager
def app_server(
    *, host: str = "127.0.0.1", unix: Path | None = None, ca: "trustme.CA | None" = None
) -> Iterator[AppServer]:
    """Run the application until the block ends, on a port of the system's choice.

    With `ca` it serves TLS as 127.0.0.1, ::1 and localhost; with `unix` it listens on that path.
    The process ends with the block, and with this process however that dies.
    """
    with ExitStack() as stack:
        command = [sys.executable, "-m", "tests.servers", "--host", host]
        if unix is not None:
            command += ["--unix", str(unix)]
        if ca is not None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            identity = ca.issue_cert("127.0.0.1", "::1", "localhost")
            identity.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
            command += ["--cert", str(folder / "server.pem"), "--key", str(folder / "server.pem")]
        process = _started(command, stack)
        ready = _first_line(process)
        scheme = "http" if ca is None else "https"
        literal = f"[{host}]" if ":" in host else host
        authority = "localhost" if unix is not None else f"{literal}:{ready['port']}"
        yield AppServer(
            f"{scheme}://{authority}", ready["port"], int(ready["control_port"] or 0), process.pid
        )


def _started(command: list[str], stack: ExitStack) -> "subprocess.Popen[bytes]":
    # -m finds this package through the working directory; safe-path mode would hide it.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    stack.callback(_stop, process)
    return process


def _first_line(process: "subprocess.Popen[bytes]") -> dict[str, int | None]:
    """The ports the child reports; RuntimeError if it dies, or says nothing for too long."""
    assert process.stdout is not None
    watchdog = threading.Timer(_STARTED_WITHIN, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
        watchdog.join()
    if not line:
        raise RuntimeError(f"the test server ended with {process.wait()} before it was ready")
    ready: dict[str, int | None] = json.loads(line)
    return ready


def _stop(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(_STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
