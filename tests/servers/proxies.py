"""Real proxies from PyPI: proxy.py for HTTP and HTTPS, in a child process; tiny-proxy for SOCKS."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.abc
from anyio.from_thread import start_blocking_portal
from tiny_proxy import (  # type: ignore[import-untyped]  # ships no types
    Socks4ProxyHandler,
    Socks5ProxyHandler,
)

_WITHIN = 15.0  # seconds: for a proxy to start, or to log what it did


class HTTPProxy:
    """A running proxy.py, and what it has logged."""

    def __init__(self, process: "subprocess.Popen[str]", port_file: Path, scheme: str) -> None:
        self._process = process
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for_line("Loaded plugin")
        self.port = self._read_port(port_file)
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def wait_for_line(self, pattern: str) -> str:
        """Block until the proxy logs a matching line; it logs a request when that is over."""

        def found() -> str | None:
            return next((line for line in self._lines if re.search(pattern, line)), None)

        with self._changed:
            if not self._changed.wait_for(found, _WITHIN):
                raise TimeoutError(f"no line like {pattern!r} in {self._lines}")
            line = found()
            assert line is not None
            return line

    def stop(self) -> None:
        # Its acceptors are processes of their own; all of them are in one session.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_WITHIN)
        self._reader.join(_WITHIN)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()

    def _read_port(self, path: Path) -> int:
        # Written a moment after the line above, and there is no event for it: ask, bounded.
        pause = threading.Event()
        for _ in range(500):
            if path.exists() and (text := path.read_text().strip()):
                return int(text)
            pause.wait(0.02)
        raise TimeoutError(f"proxy.py wrote no port: {self._lines}")


@contextmanager
def http_proxy(
    folder: Path, *, basic_auth: str | None = None, pem: Path | None = None
) -> Iterator[HTTPProxy]:
    """Run proxy.py until the block ends; with `pem`, a key and a chain, it speaks TLS itself."""
    port_file = folder / "port"
    command = [sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0"]
    command += ["--port-file", str(port_file), "--data-dir", str(folder / "data")]
    command += ["--num-workers", "1", "--num-acceptors", "1", "--threaded"]
    if basic_auth is not None:
        command += ["--basic-auth", basic_auth]
    if pem is not None:
        command += ["--cert-file", str(pem), "--key-file", str(pem)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    proxy = HTTPProxy(process, port_file, "http" if pem is None else "https")
    try:
        yield proxy
    finally:
        proxy.stop()


class SocksProxy:
    """A running SOCKS server. `asked` is where it was told to connect to: name or address."""

    def __init__(self, port: int, asked: list[tuple[str, int]]) -> None:
        self.port = port
        self.asked = asked


@contextmanager
def socks_proxy(version: int, credentials: tuple[str, str] | None = None) -> Iterator[SocksProxy]:
    """Run a SOCKS server of that version, on an event loop in a thread, until the block ends."""
    asked: list[tuple[str, int]] = []
    kind = Socks5ProxyHandler if version == 5 else Socks4ProxyHandler
    user, password = credentials or (None, None)

    class Handler(kind):  # type: ignore[misc, valid-type]  # tiny-proxy has no types
        def create_proxy(self, stream: object) -> object:
            proxy = super().create_proxy(stream)
            negotiate = proxy.negotiate

            async def noted() -> tuple[str, int]:
                target: tuple[str, int] = await negotiate()
                asked.append(target)
                return target

            proxy.negotiate = noted
            return proxy

    handler = Handler(user, password) if version == 5 else Handler(user)

    async def serve(task_status: anyio.abc.TaskStatus[int]) -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        async with listener:
            task_status.started(listener.extra(anyio.abc.SocketAttribute.local_port))
            await listener.serve(handler.handle)

    with start_blocking_portal() as portal:
        task, port = portal.start_task(serve)
        try:
            yield SocksProxy(port, asked)
        finally:
            task.cancel()
