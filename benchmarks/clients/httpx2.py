"""httpx2's blocking client, as httpx's."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2

from benchmarks.clients.base import Client, Doing, Job
from benchmarks.clients.httpx import HttpxClient


class Httpx2Client(HttpxClient):
    library = httpx2
    clients = httpx2

    def works(self) -> Mapping[str, Doing]:
        return {**self.compared_works(), "sse": Doing(self._events, "client.sse(url)")}

    def _events(self, job: Job) -> int:
        with self._client.sse(job.events) as events:
            return sum(event.event == "delta" for event in events)


def open_client(loop: str | None) -> Client:
    return Httpx2Client()
