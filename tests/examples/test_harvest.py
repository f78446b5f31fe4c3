"""Harvests on real clusters of processes, some of which are killed.

docs/examples/harvest.py with syncclient.dask, and docs/examples/harvest_ray.py.
2,000 addresses on 40 hosts. `SYNCCLIENT_HARVEST=20000` in the environment makes it 20,000.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.servers.process import ROOT

pd = pytest.importorskip("pandas")
psutil = pytest.importorskip("psutil")
pytest.importorskip("pyarrow")

HOSTS = 40
ADDRESSES = int(os.environ.get("SYNCCLIENT_HARVEST", "2000"))
#: Requests a second for each host: three seconds for them all, however many there are.
LIMIT = max(10, ADDRESSES // HOSTS // 3)
ROWS, TASKS = max(20, ADDRESSES // 100), 8

#: Seconds for a part of the run, on a busy machine.
PATIENCE = 90.0 + ADDRESSES / 100

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(4 * PATIENCE),
    pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 and its like are Linux's"),
]


class Seen(NamedTuple):
    """One request, as the servers saw it."""

    when: float
    host: str
    path: str


class Site:
    """A server on all hosts of 127.0.0.0/24, which notes every request."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.seen.append(Seen(time.monotonic(), self.headers["Host"], self.path))
                robots = self.path == "/robots.txt"
                body = (
                    b"User-agent: *\nDisallow: /private\n" if robots else b"<title>A page</title>"
                )
                self.send_response(404 if self.path == "/gone" else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024  # 5 by default: fewer than come at a time

        self._server = Server(("0.0.0.0", 0), Handler)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def pages(self) -> list[Seen]:
        return [each for each in list(self.seen) if each.path != "/robots.txt"]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


def wait_for(true: Callable[[], object], program: "subprocess.Popen[str]", log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not true():
        assert program.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.01)


class Cluster(NamedTuple):
    """The library that runs an example, and how to tell its workers."""

    library: str
    program: str
    #: A part of the name or the command of each worker.
    worker: str


DASK = Cluster("distributed", "harvest.py", "spawn_main")
RAY = Cluster("ray", "harvest_ray.py", "ray::visit")


def kill(program: "subprocess.Popen[str]") -> None:
    """Kill a program and its whole cluster."""
    processes = [*psutil.Process(program.pid).children(recursive=True), psutil.Process(program.pid)]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    program.wait(PATIENCE)
    psutil.wait_procs(processes, PATIENCE)


@pytest.fixture
def folder_of_ray() -> Iterator[str]:
    """Not tmp_path: the names of Unix sockets are short."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        yield folder


@pytest.mark.leaks("connections of workers that were killed, until the server's threads see it")
@pytest.mark.parametrize("cluster", [DASK, RAY], ids=lambda cluster: str(cluster.library))
def test_a_harvest_whose_processes_are_killed(
    site: Site, tmp_path: Path, folder_of_ray: str, cluster: Cluster
) -> None:
    """A run is killed and run again, and then one of its workers: every address has its row, none
    is lost, few are asked for twice, failures are rows, and each host has its rate."""
    pytest.importorskip(cluster.library)
    paths = [*(f"/page/{n}" for n in range(ADDRESSES // HOSTS - 2)), "/private/1", "/gone"]
    hosts = [f"127.0.0.{number}:{site.port}" for number in range(1, HOSTS + 1)]
    wanted = [f"http://{host}{path}" for host in hosts for path in paths]
    bad = ["http://127.0.0.1:1/refused", "not a URL", "http://[broken/"]
    addresses, into, log = tmp_path / "in.parquet", tmp_path / "out", tmp_path / "log"
    pd.DataFrame({"url": [*wanted, *bad, wanted[0]]}).to_parquet(addresses)
    command = [sys.executable, str(ROOT / "docs" / "examples" / cluster.program)]
    command += [str(addresses), str(into), f"--per-host={LIMIT}", f"--tasks={TASKS}"]
    command += [f"--rows={ROWS}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_TMPDIR": folder_of_ray}
    environment |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}

    def start() -> "subprocess.Popen[str]":
        with log.open("a") as file:
            return subprocess.Popen(
                command, text=True, stdout=file, stderr=file, env=environment,
                start_new_session=True,
            )  # fmt: skip

    with start() as program:
        try:
            wait_for(lambda: len(site.pages) > ADDRESSES // 4, program, log)
        finally:
            kill(program)
    written = set(into.glob("results/*/*.parquet"))
    with start() as program:
        try:
            before = len(site.pages)
            wait_for(lambda: len(site.pages) > before + ADDRESSES // 4, program, log)
            worker = next(
                child
                for child in psutil.Process(program.pid).children(recursive=True)
                if any(cluster.worker in word for word in child.cmdline())
            )
            worker.kill()
            assert program.wait(PATIENCE) == 0, log.read_text()
        finally:
            if program.poll() is None:
                kill(program)
    assert f"{len(wanted) + len(bad)} addresses" in log.read_text()

    rows = pd.read_parquet(into / "results")
    assert sorted(rows.url) == sorted([*wanted, *bad])
    outcome = {row.url: row for row in rows.itertuples()}
    for host in hosts:
        page, gone = outcome[f"http://{host}/page/0"], outcome[f"http://{host}/gone"]
        assert (page.status, page.title, page.attempts) == (200, "A page", 1)
        assert (gone.status, outcome[f"http://{host}/private/1"].error) == (404, "not allowed")
    errors = [outcome[url].error for url in bad]
    assert "Connection refused" in errors[0] or "not allowed" in errors[0]
    assert all(errors)

    failed = rows[rows.error.notna() & ~rows.url.isin(bad) & ~rows.url.str.contains("/private/")]
    assert failed.empty, failed.error.value_counts()
    asked = Counter((each.host, each.path) for each in site.pages)
    allowed = {(host, path) for host in hosts for path in paths if path != "/private/1"}
    assert set(asked) == allowed
    # Each of the tasks that was killed had up to that many rows that were not written.
    twice = sum(asked.values()) - len(asked)
    assert twice <= 2 * TASKS * ROWS
    assert written <= set(into.glob("results/*/*.parquet"))
    times = defaultdict(list)
    for each in site.pages:
        times[each.host].append(each.when)
    for host, when in times.items():
        # What began in one second may arrive in half a one, but no more than that.
        crowded = [a for a, b in zip(when, when[LIMIT + 1 :], strict=False) if b - a < 0.5]
        assert not crowded, f"{host} got more than {LIMIT} requests in half a second"
