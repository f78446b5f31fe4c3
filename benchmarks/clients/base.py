"""What a measured client is, and what clients share.

Standard library only: some run in environments of their own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from benchmarks.servers.routes import BURST_TEXT, BYTES_PATH, JSON_PATH, UPLOAD_PATH, WS_PATH
from benchmarks.works import CHUNK_BYTES, LINE_BYTES, THREADS

MIB = 1024 * 1024
ECHO_TEXT = "hello from the bench"

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

    @property
    def megabytes(self) -> str:
        """URL of a body of ``count`` MiB."""
        return f"{self.url}{BYTES_PATH}{self.count * MIB}"

    @property
    def lines(self) -> str:
        """URL of a body of ``count`` lines."""
        return f"{self.url}{BYTES_PATH}{self.count * LINE_BYTES}"

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

    def shares(self) -> list[int]:
        """Split ``count`` among the threads."""
        share, rest = divmod(self.count, THREADS)
        return [share + (index < rest) for index in range(THREADS)]


@dataclass(frozen=True)
class Doing:
    """How a client does a work.

    ``run`` does ``job.count`` units and returns how many the answers prove done: the sum of the
    replies' ``n``, the bytes or lines that came. A shortfall makes the turn a failure. ``how`` is
    shown in the table.
    """

    run: Callable[[Job], int]
    how: str


class Client(Protocol):
    """A client under measurement, made once in its process; its sessions stay open."""

    def works(self) -> Mapping[str, Doing]:
        """Return the works this client can do, by name."""
        ...

    def close(self) -> None: ...


@cache
def threads() -> ThreadPoolExecutor:
    """Return this process's caller threads, which stay between turns as a web server's do."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="caller")


def on_threads(get_many: Callable[[str, int], int], job: Job) -> int:
    """Run ``get_many(url, share)`` on every thread at once and return the sum."""
    shares = job.shares()
    return sum(threads().map(get_many, [job.small] * len(shares), shares))


def map_on_threads(get_one: Callable[[str], int], job: Job) -> int:
    """Run ``get_one(url)`` once for each request, on the threads, and return the sum."""
    return sum(threads().map(get_one, [job.small] * job.count))


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
