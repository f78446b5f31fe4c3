"""niquests, with its defaults but for a pool that holds a connection for each thread.

It is measured in an environment of its own, as it replaces urllib3, and so it cannot be imported
where this file is type-checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Protocol, cast

from benchmarks.clients.base import (
    MIB,
    Client,
    Doing,
    Job,
    busy_curve,
    cold_start,
    map_on_threads,
    on_threads,
    threads_curve,
)
from benchmarks.works import CHUNK_BYTES, THREADS


class Response(AbstractContextManager["Response", None], Protocol):
    def json(self) -> Mapping[str, int]: ...
    def iter_content(self, chunk_size: int) -> Iterator[bytes]: ...
    def iter_lines(self, chunk_size: int = ...) -> Iterator[bytes]: ...


class Session(Protocol):
    def get(self, url: str, *, stream: bool = ...) -> Response: ...
    def post(self, url: str, *, data: Iterable[bytes]) -> Response: ...
    def close(self) -> None: ...


class Module(Protocol):
    """What is used of niquests."""

    Session: Callable[..., Session]

    def get(self, url: str) -> Response: ...


class NiquestsClient:
    def __init__(self, module: Module, threads: int = THREADS) -> None:
        self._module = module
        self._session = module.Session(pool_maxsize=threads)

    def works(self) -> Mapping[str, Doing]:
        return {
            "get-1": Doing(
                lambda job: self.get_many(job.small, job.count), "session.get(url).json()"
            ),
            "get-32": Doing(lambda job: on_threads(self.get_many, job), "one Session, 32 threads"),
            "map-100": Doing(
                lambda job: map_on_threads(self._get_one, job), "ThreadPoolExecutor(32).map"
            ),
            "oneshot": Doing(self._oneshot, "niquests.get(url).json()"),
            "download": Doing(self._download, "iter_content(65536)"),
            "lines": Doing(self._lines, "iter_lines()"),
            "upload": Doing(self._upload, "post(data=generator)"),
            "import": cold_start("import sys; import niquests; niquests.get(sys.argv[1]).json()"),
            **threads_curve(lambda threads: NiquestsClient(self._module, threads)),
            **busy_curve(self.get_many, "session.get(url).json()"),
        }

    def _get_one(self, url: str) -> int:
        return self.get_many(url, 1)

    def get_many(self, url: str, count: int) -> int:
        return sum(self._session.get(url).json()["n"] for _ in range(count))

    def _oneshot(self, job: Job) -> int:
        return sum(self._module.get(job.small).json()["n"] for _ in range(job.count))

    def _download(self, job: Job) -> int:
        resp = self._session.get(job.megabytes, stream=True)
        return sum(map(len, resp.iter_content(CHUNK_BYTES))) // MIB

    def _lines(self, job: Job) -> int:
        return sum(1 for _line in self._session.get(job.lines, stream=True).iter_lines())

    def _upload(self, job: Job) -> int:
        return self._session.post(job.upload, data=job.blocks()).json()["n"] // MIB

    def close(self) -> None:
        self._session.close()


def open_client(loop: str | None) -> Client:
    return NiquestsClient(cast(Module, import_module("niquests")))
