"""Starting the servers, and knowing which of them answers what."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Protocol

from benchmarks.child_process import ChildError, ChildProcess
from benchmarks.servers.routes import BLOCK, BYTES_PATH, JSON_BODY, JSON_PATH
from benchmarks.works import BUSY

START_SECONDS = 20.0


class Server(Protocol):
    """A running server: where it is, what it runs, what it has cost so far."""

    @property
    def url(self) -> str: ...
    @property
    def software(self) -> str: ...
    @property
    def works(self) -> frozenset[str] | None:
        """The works it can serve; None for all of them."""
        ...

    def prepare(self, size: int) -> None:
        """Have a body of ``size`` bytes ready. Raises ChildError if there is no room for it."""
        ...

    def cpu_seconds(self) -> float | None: ...
    def stop(self) -> None: ...


class PythonServer:
    """``raw`` or ``app``: one of the modules beside this one, answering every route."""

    works: frozenset[str] | None = None

    def __init__(self, module: str) -> None:
        self._child = ChildProcess(
            f"server {module}", [sys.executable, "-m", f"benchmarks.servers.{module}"]
        )
        try:
            hello = self._child.receive(START_SECONDS)
        except ChildError:
            self._child.stop()
            raise
        self.url = f"http://127.0.0.1:{hello['port']}"
        self.software = str(hello["software"])

    def prepare(self, size: int) -> None:
        """Nothing to do: bodies are made while they are sent."""

    def cpu_seconds(self) -> float | None:
        return self._child.cpu_seconds()

    def stop(self) -> None:
        self._child.stop()


_NGINX_CONFIG = """
daemon off;
master_process off;
error_log stderr crit;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    default_type application/json;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = {path} {{ return 200 '{body}'; }}
        location {bytes} {{ root {folder}; sendfile on; tcp_nopush on; }}
    }}
}}
"""


class NginxServer:
    """nginx from the search path, one process: the small JSON GET, and bodies out of files."""

    works: frozenset[str] | None = frozenset(
        {"get-1", "get-16", "get-32", "map-100", "oneshot", "import", "download", "lines"}
        | {f"busy-{count}" for count in BUSY}
    )

    def __init__(self) -> None:
        program = shutil.which("nginx")
        if program is None:
            raise ChildError("nginx is not installed")
        self._folder = tempfile.TemporaryDirectory(prefix="benchmarks-nginx-")
        folder = Path(self._folder.name)
        # nginx cannot report a port the system chose: one that was free a moment ago has to do.
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        config = folder / "nginx.conf"
        config.write_text(
            _NGINX_CONFIG.format(
                folder=folder,
                port=port,
                path=JSON_PATH,
                body=JSON_BODY.decode(),
                bytes=BYTES_PATH,
            ),
            encoding="utf-8",
        )
        self._bodies = folder / BYTES_PATH.strip("/")
        self._bodies.mkdir()
        version = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
        self.software = version.rpartition(" ")[2].strip()
        self._child = ChildProcess("nginx", [program, "-p", str(folder), "-c", str(config)])
        self.url = f"http://127.0.0.1:{port}"
        try:
            self._wait_until_it_listens(port)
        except ChildError:
            self.stop()
            raise

    def _wait_until_it_listens(self, port: int) -> None:
        # It says nothing until it ends: a short wait for that is the pause between attempts.
        for _ in range(int(START_SECONDS / 0.05)):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                if not self._child.quiet_for(0.05):
                    break
            else:
                return
        raise ChildError("nginx does not listen")

    def prepare(self, size: int) -> None:
        """Write the file, once."""
        path = self._bodies / str(size)
        if path.exists():
            return
        try:
            with path.open("wb") as body:
                for _ in range(size // len(BLOCK)):
                    body.write(BLOCK)
                body.write(BLOCK[: size % len(BLOCK)])
        except OSError as exc:
            raise ChildError(f"no room for a file of {size} bytes: {exc}") from exc

    def cpu_seconds(self) -> float | None:
        return self._child.cpu_seconds()

    def stop(self) -> None:
        # nginx does not read its stdin; it has nothing to lose.
        self._child.stop(timeout=0.0)
        self._folder.cleanup()


SERVERS = ("auto", "raw", "app", "nginx")
"""What ``start_server`` knows; ``auto`` is nginx where it is installed, else raw."""


def start_server(kind: str) -> Server:
    """Start one of ``SERVERS`` and wait until it listens. Raises ChildError if it does not."""
    if kind == "auto":
        kind = "raw" if shutil.which("nginx") is None else "nginx"
    return NginxServer() if kind == "nginx" else PythonServer(kind)
