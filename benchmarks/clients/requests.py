"""requests, with its defaults but for a pool that holds a connection for each thread."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter
from requests.models import ITER_CHUNK_SIZE

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


class RequestsClient:
    def __init__(self, threads: int = THREADS, authority: Path | None = None) -> None:
        self._session = self._made(threads)
        if authority is not None:
            self._session.verify = str(authority)

    def _made(self, threads: int) -> requests.Session:
        session = requests.Session()
        # The default keeps 10 and throws the other threads' connections away after each request.
        session.mount("http://", HTTPAdapter(pool_maxsize=threads))
        return session

    def works(self) -> Mapping[str, Doing]:
        return {
            "get-1": Doing(
                lambda job: self.get_many(job.small, job.count), "session.get(url).json()"
            ),
            **self.compared_works(),
            "get-32": Doing(lambda job: on_threads(self.get_many, job), "one Session, 32 threads"),
            "map-100": Doing(
                lambda job: map_on_threads(self._get_one, job), "ThreadPoolExecutor(32).map"
            ),
            "oneshot": Doing(self._oneshot, "requests.get(url).json()"),
            "download": Doing(self._download, "iter_content(65536)"),
            "lines": Doing(lambda job: self._lines(job, ITER_CHUNK_SIZE), "iter_lines()"),
            "upload": Doing(self._upload, "post(data=generator)"),
            "file-down": Doing(self._save, "iter_content(65536), file.write"),
            "file-up": Doing(self._send, "post(data=file)"),
            "import": cold_start("import sys; import requests; requests.get(sys.argv[1]).json()"),
            **threads_curve(RequestsClient),
            **busy_curve(self.get_many, "session.get(url).json()"),
        }

    def compared_works(self) -> Mapping[str, Doing]:
        """Return works that requests does on our engine as it does on its own."""
        own = type(self)
        return {
            "post-1": Doing(self._post, "session.post(url, json=document).json()"),
            **over_tls(lambda authority: own(authority=authority), "Session.verify = path"),
            **with_cookies(own, "session.get(url).json()"),
            "get-16": Doing(
                lambda job: on_threads(self.get_many, job, FEWER_THREADS), "one Session, 16 threads"
            ),
            "sse": Doing(self._events, "iter_lines()"),
        }

    def _post(self, job: Job) -> int:
        done = 0
        for _ in range(job.count):
            with self._session.post(job.upload, json=DOCUMENT) as resp:
                done += posted(resp.json()["n"])
        return done

    def _events(self, job: Job) -> int:
        with self._session.get(job.events, stream=True) as resp:
            return sum(line.startswith(b"data:") for line in resp.iter_lines())

    def _get_one(self, url: str) -> int:
        with self._session.get(url) as resp:
            return int(resp.json()["n"])

    def get_many(self, url: str, count: int) -> int:
        done = 0
        for _ in range(count):
            with self._session.get(url) as resp:
                done += resp.json()["n"]
        return done

    def _oneshot(self, job: Job) -> int:
        return sum(int(requests.get(job.small).json()["n"]) for _ in range(job.count))

    def _download(self, job: Job) -> int:
        size = 0
        with self._session.get(job.megabytes, stream=True) as resp:
            for chunk in resp.iter_content(CHUNK_BYTES):
                size += len(chunk)
        return size // MIB

    def tuned_works(self) -> Mapping[str, Doing]:
        """Return the works that go better with other parameters than the defaults."""
        return {"lines": Doing(lambda job: self._lines(job, CHUNK_BYTES), "iter_lines(65536)")}

    def _lines(self, job: Job, chunk_size: int) -> int:
        done = 0
        with self._session.get(job.lines, stream=True) as resp:
            for _line in resp.iter_lines(chunk_size):
                done += 1
        return done

    def _upload(self, job: Job) -> int:
        with self._session.post(job.upload, data=job.blocks()) as resp:
            return int(resp.json()["n"]) // MIB

    def _save(self, job: Job) -> int:
        with self._session.get(job.megabytes, stream=True) as resp, job.target.open("wb") as file:
            for chunk in resp.iter_content(CHUNK_BYTES):
                file.write(chunk)
        return job.saved()

    def _send(self, job: Job) -> int:
        with job.source.open("rb") as file, self._session.post(job.upload, data=file) as resp:
            return int(resp.json()["n"]) // MIB

    def close(self) -> None:
        self._session.close()


def open_client(loop: str | None) -> Client:
    return RequestsClient()
