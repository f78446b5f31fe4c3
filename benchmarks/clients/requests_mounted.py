"""requests with syncclient's adapter mounted."""

from __future__ import annotations

from collections.abc import Mapping

import requests

from benchmarks.clients.base import Client, Doing, Job, on_threads
from benchmarks.clients.requests import RequestsClient
from syncclient import requests as ours
from syncclient.requests.adapters import HTTPAdapter


class MountedClient(RequestsClient):
    """A Session of requests with our adapter."""

    def _made(self, threads: int) -> requests.Session:
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter())
        return session

    def works(self) -> Mapping[str, Doing]:
        return {
            "get-1": Doing(
                lambda job: self.get_many(job.small, job.count), "session.get(url).json()"
            ),
            **self.compared_works(),
            "get-32": Doing(lambda job: on_threads(self.get_many, job), "one Session, 32 threads"),
            "oneshot": Doing(self._oneshot, "requests.get(url).json(), installed"),
            "download": Doing(self._download, "iter_content(65536)"),
            "upload": Doing(self._upload, "post(data=generator)"),
        }

    def _oneshot(self, job: Job) -> int:
        with ours.install():
            return super()._oneshot(job)


def open_client(loop: str | None) -> Client:
    return MountedClient()
