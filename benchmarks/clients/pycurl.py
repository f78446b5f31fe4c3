"""pycurl: one easy handle for each thread, reused, with a header and a body callback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from io import BytesIO
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
)

_COLD = """import sys; import io, json, pycurl
body, curl = io.BytesIO(), pycurl.Curl()
curl.setopt(pycurl.URL, sys.argv[1])
curl.setopt(pycurl.WRITEDATA, body)
curl.perform()
json.loads(body.getvalue())"""


class Curl(Protocol):
    def setopt(self, option: int, value: object) -> None: ...
    def perform(self) -> None: ...


class PycurlModule(Protocol):
    """What is used of pycurl, which has no types of its own."""

    URL: int
    WRITEFUNCTION: int
    HEADERFUNCTION: int
    NOSIGNAL: int

    Curl: Callable[[], Curl]


class PycurlClient:
    def __init__(self, pycurl: PycurlModule) -> None:
        self._pycurl = pycurl
        self._local = threading.local()

    def works(self) -> Mapping[str, Doing]:
        return {
            "get-1": Doing(
                lambda job: self.get_many(job.small, job.count),
                "reused handle; perform(), json.loads",
            ),
            "get-32": Doing(
                lambda job: on_threads(self.get_many, job), "a handle for each of 32 threads"
            ),
            "map-100": Doing(
                lambda job: map_on_threads(self._get_one, job), "ThreadPoolExecutor(32).map"
            ),
            "oneshot": Doing(self._oneshot, "a new handle for each request"),
            "download": Doing(self._download, "WRITEFUNCTION; curl cuts the chunks (16 KiB)"),
            "import": Doing(cold_start(_COLD).run, "import pycurl; one GET"),
            **busy_curve(self.get_many, "reused handle; perform(), json.loads"),
        }

    def _handle(self) -> Curl:
        handle: Curl | None = getattr(self._local, "handle", None)
        if handle is None:
            self._local.handle = handle = self._new_handle()
        return handle

    def _new_handle(self) -> Curl:
        handle = self._pycurl.Curl()
        # Threads need it, and signals are of no use to the others.
        handle.setopt(self._pycurl.NOSIGNAL, 1)
        return handle

    def _fetch(self, handle: Curl, url: str) -> int:
        # The others hand over the headers too: collect them, so that the work is the same.
        headers: list[bytes] = []
        body = BytesIO()
        handle.setopt(self._pycurl.URL, url)
        handle.setopt(self._pycurl.HEADERFUNCTION, headers.append)
        handle.setopt(self._pycurl.WRITEFUNCTION, body.write)
        handle.perform()
        return int(json.loads(body.getvalue())["n"])

    def _get_one(self, url: str) -> int:
        return self._fetch(self._handle(), url)

    def get_many(self, url: str, count: int) -> int:
        handle = self._handle()
        return sum(self._fetch(handle, url) for _ in range(count))

    def _oneshot(self, job: Job) -> int:
        return sum(self._fetch(self._new_handle(), job.small) for _ in range(job.count))

    def _download(self, job: Job) -> int:
        size = 0

        def take(chunk: bytes) -> None:
            nonlocal size
            size += len(chunk)

        handle = self._handle()
        handle.setopt(self._pycurl.URL, job.megabytes)
        handle.setopt(self._pycurl.WRITEFUNCTION, take)
        handle.perform()
        return size // MIB

    def close(self) -> None:
        """Leave the handles to the process's end: they belong to other threads."""


def open_client(loop: str | None) -> Client:
    return PycurlClient(cast(PycurlModule, import_module("pycurl")))
