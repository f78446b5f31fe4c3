"""urllib3, with its defaults but for a pool that holds a connection for each thread."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import urllib3

from benchmarks.clients.base import (
    DOCUMENT,
    MIB,
    Client,
    Doing,
    Job,
    busy_curve,
    cold_start,
    map_on_threads,
    on_threads,
    over_tls,
    posted,
    threads_curve,
)
from benchmarks.works import CHUNK_BYTES, THREADS


class Urllib3Client:
    def __init__(self, threads: int = THREADS, authority: Path | None = None) -> None:
        trusted = None if authority is None else str(authority)
        self._pool = urllib3.PoolManager(maxsize=threads, ca_certs=trusted)

    def works(self) -> Mapping[str, Doing]:
        return {
            "get-1": Doing(
                lambda job: self.get_many(job.small, job.count), 'pool.request("GET", url).json()'
            ),
            "post-1": Doing(self._post, 'pool.request("POST", url, json=document).json()'),
            **over_tls(
                lambda authority: Urllib3Client(authority=authority), "PoolManager(ca_certs=path)"
            ),
            "get-32": Doing(
                lambda job: on_threads(self.get_many, job), "one PoolManager, 32 threads"
            ),
            "map-100": Doing(
                lambda job: map_on_threads(self._get_one, job), "ThreadPoolExecutor(32).map"
            ),
            "oneshot": Doing(self._oneshot, 'urllib3.request("GET", url), which keeps connections'),
            "download": Doing(self._download, "stream(65536)"),
            "lines": Doing(self._lines, "for line in response"),
            "upload": Doing(self._upload, "request(body=generator)"),
            "import": cold_start(
                'import sys; import urllib3; urllib3.request("GET", sys.argv[1]).json()'
            ),
            **threads_curve(Urllib3Client),
            **busy_curve(self.get_many, 'pool.request("GET", url).json()'),
        }

    def _post(self, job: Job) -> int:
        done = 0
        for _ in range(job.count):
            done += posted(self._pool.request("POST", job.upload, json=DOCUMENT).json()["n"])
        return done

    def _get_one(self, url: str) -> int:
        return int(self._pool.request("GET", url).json()["n"])

    def get_many(self, url: str, count: int) -> int:
        done = 0
        for _ in range(count):
            done += self._pool.request("GET", url).json()["n"]
        return done

    def _oneshot(self, job: Job) -> int:
        return sum(int(urllib3.request("GET", job.small).json()["n"]) for _ in range(job.count))

    def _download(self, job: Job) -> int:
        size = 0
        resp = self._pool.request("GET", job.megabytes, preload_content=False)
        for chunk in resp.stream(CHUNK_BYTES):
            size += len(chunk)
        resp.release_conn()
        return size // MIB

    def _lines(self, job: Job) -> int:
        done = 0
        resp = self._pool.request("GET", job.lines, preload_content=False)
        for _line in resp:
            done += 1
        resp.release_conn()
        return done

    def _upload(self, job: Job) -> int:
        return int(self._pool.request("POST", job.upload, body=job.blocks()).json()["n"]) // MIB

    def close(self) -> None:
        self._pool.clear()


def open_client(loop: str | None) -> Client:
    return Urllib3Client()
