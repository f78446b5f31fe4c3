"""What session.aio sends: whose code runs where, and what becomes of it."""

from __future__ import annotations

import asyncio
import base64
import io
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

import syncclient
from syncclient import FormData, Session
from tests.servers.content import pattern, pattern_chunks
from tests.servers.raw import RawConnection, StartRawServer
from tests.servers.scripts import take_all

WITHIN = 20.0


async def received(session: Session, data: object) -> bytes:
    async with session.aio.post("/anything", data=data) as response:
        body: str = (await response.json())["body"]
    return body.encode("latin-1") if body else b""


class Chunks:
    """An asynchronous iterator that notes where it runs, and whether it was closed."""

    def __init__(self, *chunks: bytes, error: BaseException | None = None) -> None:
        self.chunks = chunks
        self.error = error
        self.threads: set[int] = set()
        self.tasks: set[int] = set()
        self.closed = False

    async def generator(self) -> AsyncIterator[bytes]:
        try:
            for chunk in self.chunks:
                await anyio.sleep(0.001)  # of this loop: it would fail in any other
                self.threads.add(threading.get_ident())
                self.tasks.add(anyio.get_current_task().id)
                yield chunk
            if self.error is not None:
                raise self.error
        finally:
            await anyio.lowlevel.checkpoint()
            self.tasks.add(anyio.get_current_task().id)
            self.closed = True


def answer_at_once(conn: RawConnection) -> None:
    """Refuse as soon as the body has begun."""
    conn.read_head()
    conn.read_until(b"first")
    conn.respond(b"", status="413 Payload Too Large", headers=[("Connection", "close")])
    conn.stall()


@pytest.mark.anyio
async def test_an_async_generator_runs_in_the_callers_loop(
    session: Session, raw_server: StartRawServer
) -> None:
    """An async generator runs in the caller's thread, from first chunk to cleanup in one task."""
    body = Chunks(*pattern_chunks(1_000_000))
    async with session.aio.post(raw_server(take_all).url, data=body.generator()) as response:
        assert await response.text() == "1000000"
    assert body.threads == {threading.get_ident()}
    assert len(body.tasks) == 1
    assert body.closed


@pytest.mark.anyio
async def test_a_generator_may_hold_a_cancel_scope(
    session: Session, raw_server: StartRawServer
) -> None:
    """A timeout that the generator has open over its yields stays in its task."""

    async def body() -> AsyncIterator[bytes]:
        with anyio.fail_after(WITHIN):
            for _ in range(5):
                await anyio.sleep(0.03)  # longer than a batch lasts
                yield bytes(100_000)

    async with session.aio.post(raw_server(take_all).url, data=body()) as response:
        assert await response.text() == "500000"


def test_objects_of_the_callers_loop_work(session: Session, raw_server: StartRawServer) -> None:
    """A queue of asyncio's, fed by another task, is a body."""
    wire = raw_server(take_all)

    async def main() -> str:
        queue: asyncio.Queue[bytes] = asyncio.Queue(1)

        async def drain() -> AsyncIterator[bytes]:
            while chunk := await queue.get():
                yield chunk

        request = asyncio.create_task(session.aio.post(wire.url, data=drain()))
        for _ in range(50):
            await queue.put(b"12345")
        await queue.put(b"")
        return await (await request).text()

    assert asyncio.run(main()) == "250"


@pytest.mark.anyio
async def test_what_a_generator_raises_comes_out(
    session: Session, raw_server: StartRawServer
) -> None:
    """An error of a generator reaches the caller in no group, and the connection is closed."""
    wire = raw_server(take_all)
    body = Chunks(b"some", error=LookupError("of the body"))
    with pytest.raises(LookupError, match="of the body"):
        await session.aio.post(wire.url, data=body.generator())
    assert body.closed
    await anyio.to_thread.run_sync(wire.wait_until_closed)


@pytest.mark.anyio
async def test_a_wrong_chunk_is_told(session: Session) -> None:
    """A chunk that is not bytes raises a TypeError that says so."""

    async def body() -> AsyncIterator[object]:
        yield "text"

    with pytest.raises(TypeError, match="must give bytes, not str"):
        await session.aio.post("/anything", data=body())


@pytest.mark.anyio
async def test_an_early_reply_ends_the_body(session: Session, raw_server: StartRawServer) -> None:
    """A refusal wins over a generator that waits, which is closed."""
    wire = raw_server(answer_at_once)
    ended = []

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    with anyio.fail_after(WITHIN):
        async with session.aio.post(wire.url, data=body()) as response:
            assert response.status == 413
    assert ended == [True]


@pytest.mark.anyio
async def test_no_connection_no_generator(session: Session) -> None:
    """A generator is not begun before there is a connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        body = Chunks(b"never")
        with pytest.raises(syncclient.ClientConnectorError):
            await session.aio.post(
                f"http://127.0.0.1:{taken.getsockname()[1]}/", data=body.generator()
            )
    assert not body.threads


@pytest.mark.anyio
async def test_cancelling_closes_the_generator(
    session: Session, raw_server: StartRawServer
) -> None:
    """The cancelled task's generator is closed, and the connection too."""
    wire = raw_server(take_all)
    sent = anyio.Event()
    ended = []

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            sent.set()
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    async def ask() -> None:
        await session.aio.post(wire.url, data=body())

    with anyio.fail_after(WITHIN):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await sent.wait()
            tasks.cancel_scope.cancel()
        await anyio.to_thread.run_sync(wire.wait_until_closed)
    assert ended == [True]


@pytest.mark.anyio
async def test_blocking_bodies_run_off_the_callers_loop(
    session: Session, raw_server: StartRawServer, tmp_path: Path
) -> None:
    """A generator and a file are read on a thread of the request's, and given back."""
    threads = []

    def body() -> Iterator[bytes]:
        for chunk in pattern_chunks(300_000):
            threads.append(threading.current_thread().name)
            yield chunk

    wire = raw_server(take_all)
    async with session.aio.post(wire.url, data=body()) as response:
        assert await response.text() == "300000"
    assert set(threads) == {"syncclient-submit"}
    path = tmp_path / "body"
    await anyio.Path(path).write_bytes(pattern(300_000))
    wire = raw_server(take_all)  # the first one closes its connection after an answer
    with path.open("rb") as file:
        async with session.aio.post(wire.url, data=file) as response:
            assert await response.text() == "300000"
        assert not file.closed
        assert file.tell() == 300_000


@pytest.mark.anyio
async def test_forms_take_every_kind_of_part(session: Session) -> None:
    """Text, a file and an asynchronous iterator, in one multipart body."""

    async def part() -> AsyncIterator[bytes]:
        await anyio.sleep(0)
        yield b"asynchronous"

    form = FormData()
    form.add_field("text", "plain")
    form.add_field("file", io.BytesIO(b"of a file"), filename="a.txt")
    form.add_field("part", part(), filename="b.txt")
    async with session.aio.post("/anything", data=form) as response:
        body = await response.json()
    assert body["form"] == [["text", "plain"]]
    sent = [base64.b64decode(file["body"]) for file in body["files"]]
    assert sent == [b"of a file", b"asynchronous"]


@pytest.mark.anyio
async def test_a_response_is_a_body(session: Session, raw_server: StartRawServer) -> None:
    """The content of an awaited response goes to another server without leaving the loop."""
    wire = raw_server(take_all)
    async with session.aio.get("/bytes/700000") as source:
        async with session.aio.post(wire.url, data=source.content) as response:
            assert await response.text() == "700000"
        assert await source.content.read() == b""
        assert session._portal.crossings <= 4


@pytest.mark.anyio
async def test_progress_is_told(session: Session, raw_server: StartRawServer) -> None:
    """upload_progress is called off the caller's loop, up to the last byte."""
    told = []

    def report(sent: int, total: int | None) -> None:
        told.append((sent, total, threading.get_ident()))

    wire = raw_server(take_all)
    async with session.aio.post(wire.url, data=pattern(300_000), upload_progress=report):
        pass
    assert told[-1][:2] == (300_000, 300_000)
    assert threading.get_ident() not in {ident for *_, ident in told}


@pytest.mark.anyio
async def test_a_request_that_is_refused_takes_no_body(
    session: Session, raw_server: StartRawServer
) -> None:
    """A body refused by a closed session can be sent by another session."""
    wire = raw_server(take_all)
    closed = Session()
    closed.close()
    writer = syncclient.BodyWriter()
    with pytest.raises(syncclient.SessionClosedError):
        await closed.aio.post(wire.url, data=writer)
    writer.write(b"12345")
    writer.close()
    async with session.aio.post(wire.url, data=writer) as response:
        assert await response.text() == "5"
