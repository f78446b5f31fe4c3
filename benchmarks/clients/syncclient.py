"""syncclient itself, on uvloop or on asyncio's loop.

Works appear as the parts of the interface they need do; those parts are written down here as
protocols.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from benchmarks.clients.base import (
    DOCUMENT,
    ECHO_TEXT,
    MIB,
    Client,
    Doing,
    Getter,
    Job,
    busy_curve,
    cold_start,
    is_tick,
    on_threads,
    over_tls,
    posted,
    threads_curve,
    with_cookies,
)
from benchmarks.works import CHUNK_BYTES, CONCURRENCY, FEWER_THREADS, IN_FLIGHT, THREADS


class Content(Protocol):
    def iter_chunked(self, n: int, /) -> Iterator[bytes]: ...
    def __iter__(self) -> Iterator[bytes]: ...


class Response(AbstractContextManager["Response", None], Protocol):
    @property
    def content(self) -> Content: ...
    def json(self) -> Mapping[str, int]: ...


class Event(Protocol):
    @property
    def event(self) -> str: ...


class Events(AbstractContextManager["Events", None], Protocol):
    def __iter__(self) -> Iterator[Event]: ...


class WebSocket(Protocol):
    def send_str(self, data: str, /) -> None: ...
    def receive_str(self) -> str: ...
    def close(self) -> object: ...


class Portal(Protocol):
    def call(self, func: Callable[[object], Awaitable[None]], /) -> None: ...


class Session(Protocol):
    _portal: Portal

    def get(self, url: str, /) -> Response: ...
    def post(self, url: str, /, *, data: Iterable[bytes] = ..., json: object = ...) -> Response: ...
    def sse(self, url: str, /, *, reconnects: int) -> Events: ...
    def download(self, url: str, path: Path, /) -> Path: ...
    def map(self, urls: Iterable[str], /, *, concurrency: int) -> Iterator[Response]: ...
    def ws_connect(self, url: str, /) -> WebSocket: ...
    def close(self) -> None: ...


class Module(Protocol):
    """The package's namespace, as far as it is used here."""

    Session: Callable[..., Session]
    LoopThread: Callable[..., object]
    TCPConnector: Callable[..., object]

    def get(self, url: str, /) -> Response: ...


async def _noop(resident: object) -> None:
    """Do nothing on the loop; ``resident`` is the core object that lives there."""


class Shared:
    """A session, seen by the threads that share it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_many(self, url: str, count: int) -> int:
        done = 0
        for _ in range(count):
            with self._session.get(url) as resp:
                done += resp.json()["n"]
        return done

    def close(self) -> None:
        self._session.close()


class SyncclientClient:
    def __init__(self, module: Module, loop: str | None) -> None:
        self._module = module
        self._default_loop = loop != "asyncio"
        # What users get is uvloop, whose presence open_client has made sure of.
        self._options = (
            {}
            if self._default_loop
            else {"loop_thread": module.LoopThread(loop_factory=asyncio.new_event_loop)}
        )
        self._session = module.Session(**self._options)
        self._ws: WebSocket | None = None

    def works(self) -> Mapping[str, Doing]:
        works = {
            "get-1": Doing(
                lambda job: self.get_many(job.small, job.count), "session.get(url).json()"
            ),
            "get-32": Doing(
                lambda job: on_threads(self.get_many, job), f"one Session, {THREADS} threads"
            ),
            "get-16": Doing(
                lambda job: on_threads(self.get_many, job, FEWER_THREADS),
                f"one Session, {FEWER_THREADS} threads",
            ),
            "post-1": Doing(self._post, "session.post(url, json=document).json()"),
            **over_tls(self._trusting, "TCPConnector(ssl=context)"),
            **with_cookies(
                lambda: Shared(self._module.Session(**self._options)), "session.get(url).json()"
            ),
            "sse": Doing(self._events, "session.sse(url)"),
        }
        if hasattr(self._session, "_portal"):
            works["crossing"] = Doing(self._cross, "session._portal.call(noop)")
        if hasattr(self._session, "map"):
            works["map-100"] = Doing(self._map, f"session.map(urls, concurrency={CONCURRENCY})")
            for size in IN_FLIGHT:
                works[f"scale-{size}"] = self._crowd(size)
        reader = getattr(self._module, "StreamReader", None)
        if hasattr(reader, "iter_chunked"):
            works["download"] = Doing(self._download, "content.iter_chunked(65536)")
        if hasattr(reader, "__iter__"):
            works["lines"] = Doing(self._lines, "for line in content")
        # Generators as bodies come with the payload pump, and BodyWriter with both.
        if hasattr(self._module, "BodyWriter"):
            works["upload"] = Doing(self._upload, "post(data=generator)")
            works["file-up"] = Doing(self._send, "post(data=file)")
        if hasattr(self._session, "download"):
            works["file-down"] = Doing(self._save, "session.download(url, path), with its fsync")
        if hasattr(self._session, "ws_connect"):
            works["ws-echo"] = Doing(self._echo, "send_str, receive_str")
            works["ws-burst"] = Doing(self._burst, "receive_str")
        # The one-shot functions and a cold process run on the default loop only.
        if self._default_loop and hasattr(self._module, "get"):
            works["oneshot"] = Doing(self._oneshot, "syncclient.get(url).json()")
            works["import"] = cold_start(
                "import sys; import syncclient; syncclient.get(sys.argv[1]).json()"
            )
        works.update(threads_curve(self._unlimited))
        works.update(busy_curve(self.get_many, "session.get(url).json()"))
        return works

    def _unlimited(self, size: int) -> Getter:
        """Return a session of its own, without the limit of 100 connections."""
        return Shared(
            self._module.Session(connector=self._module.TCPConnector(limit=0), **self._options)
        )

    def _trusting(self, authority: Path) -> Getter:
        """Return a session of its own that trusts whom the file names."""
        context = ssl.create_default_context(cafile=authority)
        return Shared(
            self._module.Session(connector=self._module.TCPConnector(ssl=context), **self._options)
        )

    def _post(self, job: Job) -> int:
        done = 0
        for _ in range(job.count):
            with self._session.post(job.upload, json=DOCUMENT) as resp:
                done += posted(resp.json()["n"])
        return done

    def _events(self, job: Job) -> int:
        with self._session.sse(job.events, reconnects=0) as events:
            return sum(event.event == "delta" for event in events)

    def _crowd(self, size: int) -> Doing:
        """Return a work on a session of its own, whose connections are gone after the turn."""
        opened: list[Session] = []

        def run(job: Job) -> int:
            if not opened:
                connector = self._module.TCPConnector(limit=0)
                opened.append(self._module.Session(connector=connector, **self._options))
            urls = (job.held(size) for _ in range(job.count))
            return sum(resp.json()["n"] for resp in opened[0].map(urls, concurrency=size))

        def close() -> None:
            while opened:
                opened.pop().close()

        return Doing(run, f"session.map(urls, concurrency={size:,})", close)

    def get_many(self, url: str, count: int) -> int:
        return Shared(self._session).get_many(url, count)

    def _map(self, job: Job) -> int:
        urls = (job.small for _ in range(job.count))
        return sum(resp.json()["n"] for resp in self._session.map(urls, concurrency=CONCURRENCY))

    def _oneshot(self, job: Job) -> int:
        return sum(self._module.get(job.small).json()["n"] for _ in range(job.count))

    def _cross(self, job: Job) -> int:
        portal = self._session._portal
        for _ in range(job.count):
            portal.call(_noop)
        return job.count

    def _download(self, job: Job) -> int:
        size = 0
        with self._session.get(job.megabytes) as resp:
            for chunk in resp.content.iter_chunked(CHUNK_BYTES):
                size += len(chunk)
        return size // MIB

    def _lines(self, job: Job) -> int:
        done = 0
        with self._session.get(job.lines) as resp:
            for _line in resp.content:
                done += 1
        return done

    def _upload(self, job: Job) -> int:
        with self._session.post(job.upload, data=job.blocks()) as resp:
            return resp.json()["n"] // MIB

    def _save(self, job: Job) -> int:
        self._session.download(job.megabytes, job.target)
        return job.saved()

    def _send(self, job: Job) -> int:
        with job.source.open("rb") as file, self._session.post(job.upload, data=file) as resp:
            return resp.json()["n"] // MIB

    def _websocket(self, job: Job) -> WebSocket:
        if self._ws is None:
            self._ws = self._session.ws_connect(job.websocket)
        return self._ws

    def _echo(self, job: Job) -> int:
        ws = self._websocket(job)
        done = 0
        for _ in range(job.count):
            ws.send_str(ECHO_TEXT)
            done += ws.receive_str() == ECHO_TEXT
        return done

    def _burst(self, job: Job) -> int:
        ws = self._websocket(job)
        ws.send_str(f"burst {job.count}")
        done = 0
        for _ in range(job.count):
            done += is_tick(ws.receive_str())
        return done

    def close(self) -> None:
        if self._ws is not None:
            self._ws.close()
        self._session.close()


def open_client(loop: str | None) -> Client:
    if loop == "uvloop":
        import uvloop  # noqa: F401  (without it the Session would run on asyncio's loop under uvloop's name)
    return SyncclientClient(cast(Module, import_module("syncclient")), loop)
