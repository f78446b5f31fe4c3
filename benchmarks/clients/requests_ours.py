"""syncclient.requests: its Session, and its one-shot functions."""

from __future__ import annotations

import requests

from benchmarks.clients.base import Client, Job
from benchmarks.clients.requests_mounted import MountedClient
from syncclient import requests as ours


class OursClient(MountedClient):
    """Our Session of requests."""

    def _made(self, threads: int) -> requests.Session:
        return ours.Session()

    def _oneshot(self, job: Job) -> int:
        return sum(int(ours.get(job.small).json()["n"]) for _ in range(job.count))


def open_client(loop: str | None) -> Client:
    return OursClient()
