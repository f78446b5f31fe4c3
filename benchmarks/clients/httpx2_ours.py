"""httpx2's blocking client with syncclient's transport."""

from __future__ import annotations

from benchmarks.clients.base import Client
from benchmarks.clients.httpx2 import Httpx2Client
from syncclient import httpx2 as ours


class OursClient(Httpx2Client):
    """The Client of ``syncclient.httpx2``."""

    clients = ours


def open_client(loop: str | None) -> Client:
    return OursClient()
