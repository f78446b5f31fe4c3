"""primp: reqwest, compiled, with one client for all threads."""

from __future__ import annotations

import json
from collections.abc import Mapping

import primp

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
from benchmarks.works import CHUNK_BYTES


class PrimpClient:
    def __init__(self, threads: int = 0) -> None:
        # Its pool has no limit to be told.
        self._client = primp.Client()

    def works(self) -> Mapping[str, Doing]:
        how = "json.loads(client.get(url).content)"
        return {
            "get-1": Doing(lambda job: self.get_many(job.small, job.count), how),
            "get-32": Doing(lambda job: on_threads(self.get_many, job), "one Client, 32 threads"),
            "map-100": Doing(
                lambda job: map_on_threads(self._get_one, job), "ThreadPoolExecutor(32).map"
            ),
            "oneshot": Doing(self._oneshot, "primp.get(url)"),
            "download": Doing(self._download, "get(stream=True), iter_bytes(65536)"),
            "lines": Doing(self._lines, "iter_lines(), which decodes to str"),
            "import": cold_start("import sys; import primp; primp.get(sys.argv[1]).json()"),
            **threads_curve(PrimpClient),
            **busy_curve(self.get_many, how),
        }

    def _get_one(self, url: str) -> int:
        return int(json.loads(self._client.get(url).content)["n"])

    def get_many(self, url: str, count: int) -> int:
        return sum(self._get_one(url) for _ in range(count))

    def _oneshot(self, job: Job) -> int:
        return sum(int(json.loads(primp.get(job.small).content)["n"]) for _ in range(job.count))

    def _download(self, job: Job) -> int:
        resp = self._client.get(job.megabytes, stream=True)
        return sum(map(len, resp.iter_bytes(CHUNK_BYTES))) // MIB

    def _lines(self, job: Job) -> int:
        resp = self._client.get(job.lines, stream=True)
        return sum(1 for _line in resp.iter_lines())

    def close(self) -> None:
        """Nothing to do: its connections go with it."""


def open_client(loop: str | None) -> Client:
    return PrimpClient()
