"""aiohttp itself, awaited on a loop of the main thread: the engine without a boundary."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol, cast

import aiohttp

from benchmarks.clients.base import (
    DOCUMENT,
    ECHO_TEXT,
    MIB,
    Client,
    Doing,
    Job,
    cold_start,
    is_tick,
    over_tls,
    posted,
    with_cookies,
)
from benchmarks.clients.loops import new_loop
from benchmarks.works import CHUNK_BYTES, CONCURRENCY, IN_FLIGHT, THREADS

_COLD = """import sys; import asyncio, aiohttp
async def main():
    async with aiohttp.ClientSession() as session, session.get(sys.argv[1]) as resp:
        await resp.json()
asyncio.run(main())"""


class TextSocket(Protocol):
    """A WebSocket as it is used here.

    aiohttp's own class has other type parameters from one Python to the next.
    """

    async def send_str(self, data: str) -> None: ...
    async def receive_str(self) -> str: ...
    async def close(self) -> bool: ...


class AiohttpClient:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, cold: bool = False, authority: Path | None = None
    ) -> None:
        self._loop = loop
        self._cold = cold
        self._session = loop.run_until_complete(self._open(authority))
        self._ws: TextSocket | None = None

    async def _open(self, authority: Path | None) -> aiohttp.ClientSession:
        trusted = True if authority is None else ssl.create_default_context(cafile=authority)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusted),
            # Which takes the cookies of a host without a name, too.
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        )

    def works(self) -> Mapping[str, Doing]:
        works = {
            "get-1": self._doing(
                lambda job: self._get_many(job.small, job.count), "async with session.get(url)"
            ),
            "post-1": self._doing(self._post, "async with session.post(url, json=document)"),
            **over_tls(
                lambda authority: Blocking(AiohttpClient(self._loop, authority=authority)),
                "TCPConnector(ssl=context)",
            ),
            **with_cookies(lambda: Blocking(AiohttpClient(self._loop)), "CookieJar(unsafe=True)"),
            "sse": self._doing(self._events, "async for line in content"),
            "get-32": self._doing(self._get_32, f"one ClientSession, {THREADS} tasks, no threads"),
            "map-100": self._doing(self._map, "gather under a Semaphore(100)"),
            "oneshot": self._doing(self._oneshot, "async with aiohttp.request(...)"),
            "download": self._doing(self._download, "content.iter_chunked(65536)"),
            "lines": self._doing(self._lines, "async for line in content"),
            "upload": self._doing(self._upload, "post(data=async generator)"),
            "file-down": self._doing(self._save, "iter_chunked(65536), file.write"),
            "file-up": self._doing(self._send, "post(data=file)"),
            "ws-echo": self._doing(self._echo, "send_str, receive_str"),
            "ws-burst": self._doing(self._burst, "receive_str"),
        }
        for size in IN_FLIGHT:
            works[f"scale-{size}"] = self._crowd(size)
        if self._cold:
            works["import"] = Doing(cold_start(_COLD).run, "import aiohttp; asyncio.run(one GET)")
        return works

    def _doing(self, run: Callable[[Job], Awaitable[int]], how: str) -> Doing:
        async def main(job: Job) -> int:
            return await run(job)

        return Doing(lambda job: self._loop.run_until_complete(main(job)), how)

    async def _get_many(self, url: str, count: int) -> int:
        done = 0
        for _ in range(count):
            async with self._session.get(url) as resp:
                done += (await resp.json())["n"]
        return done

    async def _post(self, job: Job) -> int:
        done = 0
        for _ in range(job.count):
            async with self._session.post(job.upload, json=DOCUMENT) as resp:
                done += posted((await resp.json())["n"])
        return done

    async def _events(self, job: Job) -> int:
        done = 0
        async with self._session.get(job.events) as resp:
            async for line in resp.content:
                done += line.startswith(b"data:")
        return done

    async def _get_32(self, job: Job) -> int:
        return sum(
            await asyncio.gather(*(self._get_many(job.small, share) for share in job.shares()))
        )

    async def _map(self, job: Job) -> int:
        semaphore = asyncio.Semaphore(CONCURRENCY)

        async def get_one() -> int:
            async with semaphore:
                return await self._get_many(job.small, 1)

        return sum(await asyncio.gather(*(get_one() for _ in range(job.count))))

    def _crowd(self, size: int) -> Doing:
        """Return a work on a session of its own, whose connections are gone after the turn."""
        opened: list[aiohttp.ClientSession] = []

        async def run(job: Job) -> int:
            if not opened:
                opened.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
            session, semaphore = opened[0], asyncio.Semaphore(size)

            async def get_one() -> int:
                async with semaphore, session.get(job.held(size)) as resp:
                    return int((await resp.json())["n"])

            return sum(await asyncio.gather(*(get_one() for _ in range(job.count))))

        async def close() -> None:
            while opened:
                await opened.pop().close()

        return Doing(
            lambda job: self._loop.run_until_complete(run(job)),
            f"gather under a Semaphore({size:,})",
            lambda: self._loop.run_until_complete(close()),
        )

    async def _oneshot(self, job: Job) -> int:
        done = 0
        for _ in range(job.count):
            async with aiohttp.request("GET", job.small) as resp:
                done += (await resp.json())["n"]
        return done

    async def _download(self, job: Job) -> int:
        size = 0
        async with self._session.get(job.megabytes) as resp:
            async for chunk in resp.content.iter_chunked(CHUNK_BYTES):
                size += len(chunk)
        return size // MIB

    async def _lines(self, job: Job) -> int:
        done = 0
        async with self._session.get(job.lines) as resp:
            async for _line in resp.content:
                done += 1
        return done

    async def _save(self, job: Job) -> int:
        async with self._session.get(job.megabytes) as resp:
            with job.target.open("wb") as file:
                async for chunk in resp.content.iter_chunked(CHUNK_BYTES):
                    file.write(chunk)
        return job.saved()

    async def _send(self, job: Job) -> int:
        with job.source.open("rb") as file:
            async with self._session.post(job.upload, data=file) as resp:
                return int((await resp.json())["n"]) // MIB

    async def _upload(self, job: Job) -> int:
        async def blocks() -> AsyncIterator[bytes]:
            for block in job.blocks():
                yield block

        async with self._session.post(job.upload, data=blocks()) as resp:
            return int((await resp.json())["n"]) // MIB

    async def _websocket(self, job: Job) -> TextSocket:
        if self._ws is None:
            self._ws = cast(TextSocket, await self._session.ws_connect(job.websocket))
        return self._ws

    async def _echo(self, job: Job) -> int:
        ws = await self._websocket(job)
        done = 0
        for _ in range(job.count):
            await ws.send_str(ECHO_TEXT)
            done += await ws.receive_str() == ECHO_TEXT
        return done

    async def _burst(self, job: Job) -> int:
        ws = await self._websocket(job)
        await ws.send_str(f"burst {job.count}")
        done = 0
        for _ in range(job.count):
            done += is_tick(await ws.receive_str())
        return done

    def get_many(self, url: str, count: int) -> int:
        return self._loop.run_until_complete(self._get_many(url, count))

    def close_session(self) -> None:
        if self._ws is not None:
            self._loop.run_until_complete(self._ws.close())
        self._loop.run_until_complete(self._session.close())

    def close(self) -> None:
        self.close_session()
        self._loop.close()


class Blocking:
    """A session of its own, on the loop of the others."""

    def __init__(self, client: AiohttpClient) -> None:
        self.get_many = client.get_many
        self.close = client.close_session


def open_client(loop: str | None) -> Client:
    return AiohttpClient(new_loop(loop), cold=loop == "asyncio")
