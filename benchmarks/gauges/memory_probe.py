"""The process in which memory is read: ``... memory_probe KIND COUNT URL HOW``.

Prints how many bytes each of COUNT things keeps. One more of it is made first and kept, so that
what only the first one costs (modules, the loop thread) does not count.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
import tracemalloc
import urllib.request
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from pathlib import Path

import aiohttp

import syncclient
from benchmarks.clients.loops import new_loop
from benchmarks.descriptors import raise_descriptor_limit
from benchmarks.servers.routes import HELD_PATH, HOLD_PATH, JSON_PATH

GATHER_SECONDS = 60.0


def resident() -> int:
    """Return the size of this process's resident set in bytes. Linux only."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


def traced() -> int:
    """Return the bytes that Python's allocators have lent out."""
    return tracemalloc.get_traced_memory()[0]


class Probe:
    """Makes things, and measures what they keep."""

    def __init__(self, url: str, size: Callable[[], int]) -> None:
        self.url = url
        self._size = size

    def settled(self) -> int:
        for _ in range(3):
            gc.collect()
        return self._size()

    def wait_until_held(self, count: int) -> None:
        """Return once ``count`` requests wait at the server. Raises TimeoutError."""
        until = time.monotonic() + GATHER_SECONDS
        while time.monotonic() < until:
            with urllib.request.urlopen(self.url + HELD_PATH) as reply:
                if json.load(reply)["n"] == count:
                    return
        raise TimeoutError(f"{count} requests did not gather")

    def sessions(self, count: int) -> float:
        kept = []

        def make() -> None:
            session = syncclient.Session()
            with session.get(self.url + JSON_PATH) as reply:
                reply.json()
            kept.append(session)

        make()
        before = self.settled()
        for _ in range(count):
            make()
        grown = self.settled() - before
        for session in kept:
            session.close()
        return grown / count

    def calls(self, count: int) -> float:
        with syncclient.Session(connector=syncclient.TCPConnector(limit=0)) as session:

            def call(together: int) -> None:
                with session.get(f"{self.url}{HOLD_PATH}{together}") as reply:
                    reply.json()

            # Two at first, one of which keeps waiting for one more than will come.
            return self._blocked(count, lambda: call(count + 2), lambda: call(count + 2))

    def threads(self, count: int) -> float:
        lock, started = threading.Lock(), threading.Semaphore(0)

        def wait() -> None:
            started.release()
            with lock:
                pass

        with lock:
            first = threading.Thread(target=wait)
            first.start()
            started.acquire()
            before = self.settled()
            waiting = [threading.Thread(target=wait) for _ in range(count)]
            for thread in waiting:
                thread.start()
            for _ in waiting:
                started.acquire()
            grown = self.settled() - before
        for thread in [first, *waiting]:
            thread.join()
        return grown / count

    def _blocked(self, count: int, call: Callable[[], None], release: Callable[[], None]) -> float:
        first = threading.Thread(target=call)
        first.start()
        self.wait_until_held(1)
        before = self.settled()
        waiting = [threading.Thread(target=call) for _ in range(count)]
        for thread in waiting:
            thread.start()
        self.wait_until_held(count + 1)
        grown = self.settled() - before
        release()
        for thread in [first, *waiting]:
            thread.join()
        return grown / count

    async def engine_sessions(self, count: int) -> float:
        kept = []

        async def make() -> None:
            session = aiohttp.ClientSession()
            async with session.get(self.url + JSON_PATH) as reply:
                await reply.json()
            kept.append(session)

        await make()
        before = self.settled()
        for _ in range(count):
            await make()
        grown = self.settled() - before
        for session in kept:
            await session.close()
        return grown / count

    async def engine_requests(self, count: int) -> float:
        url = f"{self.url}{HOLD_PATH}{count + 2}"
        connector = aiohttp.TCPConnector(limit=0)
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession(connector=connector) as session:

            async def call() -> None:
                async with session.get(url) as reply:
                    await reply.json()

            tasks = [asyncio.create_task(call())]
            await loop.run_in_executor(None, self.wait_until_held, 1)
            before = self.settled()
            tasks += [asyncio.create_task(call()) for _ in range(count)]
            await loop.run_in_executor(None, self.wait_until_held, count + 1)
            grown = self.settled() - before
            await call()
            await asyncio.gather(*tasks)
        return grown / count


def on_loop(main: Coroutine[None, None, float]) -> float:
    # The loop that a Session takes too.
    kind = "asyncio" if find_spec("uvloop") is None else "uvloop"
    return new_loop(kind).run_until_complete(main)


def main() -> None:
    kind, count, url, how = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    raise_descriptor_limit()
    if how != "resident":
        tracemalloc.start()
    probe = Probe(url, resident if how == "resident" else traced)
    kinds: dict[str, Callable[[], float]] = {
        "session": lambda: probe.sessions(count),
        "engine-session": lambda: on_loop(probe.engine_sessions(count)),
        "call": lambda: probe.calls(count),
        "engine-request": lambda: on_loop(probe.engine_requests(count)),
        "thread": lambda: probe.threads(count),
    }
    print(json.dumps(kinds[kind]()))


if __name__ == "__main__":
    main()
