"""httpx's blocking client, with its defaults but for a pool that fits the threads."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

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
    with_cookies,
)
from benchmarks.works import CHUNK_BYTES, FEWER_THREADS, THREADS


class HttpxClient:
    #: The library, and whose client is measured. httpx2 has the same names, and types of its own.
    library: Any = httpx
    clients: Any = httpx

    def __init__(self, threads: int = THREADS, authority: Path | None = None) -> None:
        verify = True if authority is None else ssl.create_default_context(cafile=authority)
        self._client = self.clients.Client(
            limits=self.library.Limits(
                max_connections=max(100, threads), max_keepalive_connections=threads
            ),
            # A crowd of a thousand threads takes longer than the default's 5 s to gather.
            timeout=60.0,
            verify=verify,
        )

    def compared_works(self) -> Mapping[str, Doing]:
        """Return works that httpx2 does on our engine as it does on its own."""
        own = type(self)
        return {
            "get-1": Doing(
                lambda job: self.get_many(job.small, job.count), "client.get(url).json()"
            ),
            "post-1": Doing(self._post, "client.post(url, json=document).json()"),
            **over_tls(lambda authority: own(authority=authority), "Client(verify=context)"),
            **with_cookies(own, "client.get(url).json()"),
            "get-16": Doing(
                lambda job: on_threads(self.get_many, job, FEWER_THREADS), "one Client, 16 threads"
            ),
        }

    def works(self) -> Mapping[str, Doing]:
        return {
            **self.compared_works(),
            "sse": Doing(self._events, "iter_lines()"),
            "get-32": Doing(lambda job: on_threads(self.get_many, job), "one Client, 32 threads"),
            "map-100": Doing(
                lambda job: map_on_threads(self._get_one, job), "ThreadPoolExecutor(32).map"
            ),
            "oneshot": Doing(self._oneshot, "httpx.get(url).json()"),
            "download": Doing(self._download, "iter_bytes(65536)"),
            "lines": Doing(self._lines, "iter_lines(), which decodes to str"),
            "upload": Doing(self._upload, "post(content=generator)"),
            "file-down": Doing(self._save, "iter_bytes(65536), file.write"),
            "file-up": Doing(self._send, "post(content=file)"),
            "import": cold_start("import sys; import httpx; httpx.get(sys.argv[1]).json()"),
            **threads_curve(HttpxClient),
            **busy_curve(self.get_many, "client.get(url).json()"),
        }

    def _post(self, job: Job) -> int:
        done = 0
        for _ in range(job.count):
            done += posted(self._client.post(job.upload, json=DOCUMENT).json()["n"])
        return done

    def _events(self, job: Job) -> int:
        with self._client.stream("GET", job.events) as resp:
            return sum(line.startswith("data:") for line in resp.iter_lines())

    def _get_one(self, url: str) -> int:
        return int(self._client.get(url).json()["n"])

    def get_many(self, url: str, count: int) -> int:
        done = 0
        for _ in range(count):
            done += self._client.get(url).json()["n"]
        return done

    def _oneshot(self, job: Job) -> int:
        return sum(int(httpx.get(job.small).json()["n"]) for _ in range(job.count))

    def _download(self, job: Job) -> int:
        size = 0
        with self._client.stream("GET", job.megabytes) as resp:
            for chunk in resp.iter_bytes(CHUNK_BYTES):
                size += len(chunk)
        return size // MIB

    def _lines(self, job: Job) -> int:
        done = 0
        with self._client.stream("GET", job.lines) as resp:
            for _line in resp.iter_lines():
                done += 1
        return done

    def _upload(self, job: Job) -> int:
        return int(self._client.post(job.upload, content=job.blocks()).json()["n"]) // MIB

    def _save(self, job: Job) -> int:
        with self._client.stream("GET", job.megabytes) as resp, job.target.open("wb") as file:
            for chunk in resp.iter_bytes(CHUNK_BYTES):
                file.write(chunk)
        return job.saved()

    def _send(self, job: Job) -> int:
        with job.source.open("rb") as file:
            return int(self._client.post(job.upload, content=file).json()["n"]) // MIB

    def close(self) -> None:
        self._client.close()


def open_client(loop: str | None) -> Client:
    return HttpxClient()
