"""anyio's blocking portal, on asyncio's loop or on uvloop."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from anyio.from_thread import start_blocking_portal

from benchmarks.clients.base import Client, Doing, Job


async def _noop() -> None:
    pass


class AnyioPortalClient:
    def __init__(self, *, use_uvloop: bool) -> None:
        self._stack = ExitStack()
        self._portal = self._stack.enter_context(
            start_blocking_portal(backend_options={"use_uvloop": use_uvloop})
        )

    def works(self) -> Mapping[str, Doing]:
        return {"crossing": Doing(self._cross, "portal.call(noop)")}

    def _cross(self, job: Job) -> int:
        for _ in range(job.count):
            self._portal.call(_noop)
        return job.count

    def close(self) -> None:
        self._stack.close()


def open_client(loop: str | None) -> Client:
    if loop == "uvloop":
        import uvloop  # noqa: F401  (its absence is told here, where it makes this client absent)
    return AnyioPortalClient(use_uvloop=loop == "uvloop")
