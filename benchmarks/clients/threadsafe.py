"""What the standard library offers: ``run_coroutine_threadsafe`` to a loop in its own thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

from benchmarks.clients.base import Client, Doing, Job
from benchmarks.clients.loops import new_loop


async def _noop() -> None:
    pass


class ThreadsafeClient:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever)
        self._thread.start()

    def works(self) -> Mapping[str, Doing]:
        return {"crossing": Doing(self._cross, "run_coroutine_threadsafe(noop(), loop).result()")}

    def _cross(self, job: Job) -> int:
        for _ in range(job.count):
            asyncio.run_coroutine_threadsafe(_noop(), self._loop).result()
        return job.count

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def open_client(loop: str | None) -> Client:
    return ThreadsafeClient(new_loop(loop))
