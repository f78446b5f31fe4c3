"""What a measured client is, and what clients share.

Standard library only: some run in environments of their own.
"""

from __future__ import annotations

import atexit
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from benchmarks.servers.routes import (
    BURST_TEXT,
    BYTES_PATH,
    COOKIES_PATH,
    EVENTS_PATH,
    HOLD_PATH,
    JSON_PATH,
    SECURE_PATH,
    UPLOAD_PATH,
    WS_PATH,
)
from benchmarks.works import BLOCKED, BUSY, CHUNK_BYTES, LINE_BYTES, THREADS

MIB = 1024 * 1024
ECHO_TEXT = "hello from the bench"

DOCUMENT = {
    "items": [
        {"id": number, "sku": f"c0ffee-{number:04}", "tags": ["alpha", "beta"], "price": 12.5}
        for number in range(14)
    ]
}
"""What is posted: 1 KB of JSON."""
_LEAST_POSTED = 850  # by who writes no spaces

_BLOCK = bytes(range(256)) * (CHUNK_BYTES // 256)


@dataclass(frozen=True)
class Job:
    """One turn of one client: where the server is, and how many units to do."""

    url: str
    count: int

    @property
    def small(self) -> str:
        """URL of the small JSON reply."""
        return self.url + JSON_PATH

    def held(self, together: int) -> str:
        """URL of the small JSON reply that comes once ``together`` requests wait for it."""
        return f"{self.url}{HOLD_PATH}{together}"

    @property
    def megabytes(self) -> str:
        """URL of a body of ``count`` MiB."""
        return f"{self.url}{BYTES_PATH}{self.count * MIB}"

    @property
    def lines(self) -> str:
        """URL of a body of ``count`` lines."""
        return f"{self.url}{BYTES_PATH}{self.count * LINE_BYTES}"

    @property
    def cookies(self) -> str:
        """URL of the small JSON reply to who has cookies, and of cookies."""
        return self.url + COOKIES_PATH

    @property
    def events(self) -> str:
        """URL of ``count`` server-sent events."""
        return f"{self.url}{EVENTS_PATH}{self.count}"

    @property
    def secure(self) -> str:
        """URL of the small JSON reply over TLS."""
        return f"https://127.0.0.1:{_secure(self.url)[0]}{JSON_PATH}"

    @property
    def authority(self) -> Path:
        """The PEM file of who vouches for the server."""
        return _secure(self.url)[1]

    @property
    def upload(self) -> str:
        return self.url + UPLOAD_PATH

    @property
    def websocket(self) -> str:
        return "ws" + self.url.removeprefix("http") + WS_PATH

    def blocks(self) -> Iterator[bytes]:
        """Generate ``count`` MiB in blocks of 64 KiB."""
        for _ in range(self.count * MIB // CHUNK_BYTES):
            yield _BLOCK

    @property
    def target(self) -> Path:
        """A file to save a body to."""
        return _folder() / "target"

    def saved(self) -> int:
        """Return how many MiB were saved there."""
        return self.target.stat().st_size // MIB

    @property
    def source(self) -> Path:
        """A file of ``count`` MiB to upload."""
        path = _folder() / f"source-{self.count}"
        if not path.exists():
            path.write_bytes(_BLOCK * (self.count * MIB // CHUNK_BYTES))
        return path

    def shares(self, among: int = THREADS) -> list[int]:
        """Split ``count`` among the threads."""
        share, rest = divmod(self.count, among)
        return [share + (index < rest) for index in range(among)]


@dataclass(frozen=True)
class Doing:
    """How a client does a work.

    ``run`` does ``job.count`` units and returns how many the answers prove done: the sum of the
    replies' ``n``, the bytes or lines that came. A shortfall makes the turn a failure. ``how`` is
    shown in the table. ``after`` clears up what a turn leaves, outside of the measured time.
    """

    run: Callable[[Job], int]
    how: str
    after: Callable[[], None] = lambda: None


class Client(Protocol):
    """A client under measurement, made once in its process; its sessions stay open."""

    def works(self) -> Mapping[str, Doing]:
        """Return the works this client can do, by name."""
        ...

    def close(self) -> None: ...


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="benchmarks-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@cache
def _secure(url: str) -> tuple[int, Path]:
    """Ask a server for its port for TLS, and for the certificate to trust."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("GET", SECURE_PATH)
        told = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    path = _folder() / f"authority-{told['port']}.pem"
    path.write_text(told["ca"], encoding="ascii")
    return int(told["port"]), path


def posted(length: int) -> int:
    """Return how many documents a body of ``length`` bytes, as the server counted it, was."""
    return int(length >= _LEAST_POSTED)


@cache
def threads() -> ThreadPoolExecutor:
    """Return this process's caller threads, which stay between turns as a web server's do."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="caller")


def on_threads(get_many: Callable[[str, int], int], job: Job, among: int = THREADS) -> int:
    """Run ``get_many(url, share)`` on so many threads at once and return the sum."""
    shares = job.shares(among)
    return sum(threads().map(get_many, [job.small] * len(shares), shares))


def map_on_threads(get_one: Callable[[str], int], job: Job) -> int:
    """Run ``get_one(url)`` once for each request, on the threads, and return the sum."""
    return sum(threads().map(get_one, [job.small] * job.count))


class Getter(Protocol):
    """A blocking client that threads share."""

    def get_many(self, url: str, count: int) -> int:
        """Get the small reply ``count`` times and return the sum of the ``n``."""
        ...

    def close(self) -> None: ...


class _Crowd:
    """A point of the curve ``threads``: a session and threads of its own, gone after the turn."""

    def __init__(self, open_getter: Callable[[int], Getter], size: int) -> None:
        self._open_getter = open_getter
        self._size = size
        self._opened: tuple[Getter, ThreadPoolExecutor] | None = None

    def run(self, job: Job) -> int:
        if self._opened is None:
            self._opened = self._open_getter(self._size), ThreadPoolExecutor(self._size)
        getter, pool = self._opened
        urls = [job.held(self._size)] * self._size
        return sum(pool.map(getter.get_many, urls, job.shares(self._size)))

    def after(self) -> None:
        if self._opened is not None:
            getter, pool = self._opened
            self._opened = None
            getter.close()
            pool.shutdown()


def threads_curve(open_getter: Callable[[int], Getter]) -> dict[str, Doing]:
    """Return the works ``threads-N``. ``open_getter(N)`` makes a client for N threads."""
    crowds = {size: _Crowd(open_getter, size) for size in BLOCKED}
    return {
        f"threads-{size}": Doing(crowd.run, f"one session, {size:,} threads", crowd.after)
        for size, crowd in crowds.items()
    }


class _OfItsOwn:
    """A work on a session of its own, opened by the first run and gone after the turn."""

    def __init__(self, open_getter: Callable[[Job], Getter], url: Callable[[Job], str]) -> None:
        self._open_getter = open_getter
        self._url = url
        self._opened: Getter | None = None

    def run(self, job: Job) -> int:
        if self._opened is None:
            self._opened = self._open_getter(job)
        return self._opened.get_many(self._url(job), job.count)

    def after(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def over_tls(open_getter: Callable[[Path], Getter], how: str) -> dict[str, Doing]:
    """Return the work ``tls-1``. ``open_getter`` makes a client that trusts the PEM file."""
    work = _OfItsOwn(lambda job: open_getter(job.authority), lambda job: job.secure)
    return {"tls-1": Doing(work.run, how, work.after)}


def with_cookies(open_getter: Callable[[], Getter], how: str) -> dict[str, Doing]:
    """Return the work ``cookies-1``. ``open_getter`` makes a client with a jar of its own."""

    def opened(job: Job) -> Getter:
        getter = open_getter()
        getter.get_many(job.cookies, 1)  # brings the cookies
        return getter

    work = _OfItsOwn(opened, lambda job: job.cookies)
    return {"cookies-1": Doing(work.run, how, work.after)}


@contextmanager
def busy_threads(count: int) -> Iterator[None]:
    """Have ``count`` threads compute in Python meanwhile, never waiting for anything."""
    ended = False

    def compute() -> None:
        while not ended:
            sum(range(1_000))

    computing = [threading.Thread(target=compute) for _ in range(count)]
    for thread in computing:
        thread.start()
    try:
        yield
    finally:
        ended = True
        for thread in computing:
            thread.join()


def busy_curve(get_many: Callable[[str, int], int], how: str) -> dict[str, Doing]:
    """Return the works ``busy-N``: those of ``get-1`` with N threads that compute beside it."""

    def beside(count: int) -> Callable[[Job], int]:
        def run(job: Job) -> int:
            with busy_threads(count):
                return get_many(job.small, job.count)

        return run

    return {f"busy-{count}": Doing(beside(count), how) for count in BUSY}


def is_tick(text: object) -> bool:
    return text == BURST_TEXT


def cold_start(script: str) -> Doing:
    """Return the work ``import``: the script in new processes, with the URL as ``sys.argv[1]``."""

    def run(job: Job) -> int:
        for _ in range(job.count):
            subprocess.run(
                [sys.executable, "-c", script, job.small], check=True, stdin=subprocess.DEVNULL
            )
        return job.count

    return Doing(run, script.partition("; ")[2])


class OpenClient(Protocol):
    """The function of every client's module: makes it for "uvloop", "asyncio" or no loop."""

    def __call__(self, loop: str | None) -> Client: ...
