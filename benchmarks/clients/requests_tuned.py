"""requests where its defaults make it an easy opponent.

That is lines, which it cuts from 512 bytes at a time unless told otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.clients.base import Client, Doing
from benchmarks.clients.requests import RequestsClient


class TunedRequestsClient(RequestsClient):
    def works(self) -> Mapping[str, Doing]:
        return self.tuned_works()


def open_client(loop: str | None) -> Client:
    return TunedRequestsClient()
