"""session.aio: how requests end that nobody waits for any more, and how waits are ended."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import anyio
import anyio.to_thread
import pytest

import syncclient
from syncclient import LoopThread, Session
from syncclient._boundary.foreign_loops import Bell
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, Script, StartRawServer
from tests.servers.scripts import never_answer, stall_in_body

WITHIN = 20.0


@pytest.mark.anyio
async def test_cancelling_the_task_cancels_on_the_wire(
    session: Session, raw_server: StartRawServer
) -> None:
    """A cancelled request closes its connection, and the session goes on."""
    wire = raw_server(never_answer)

    async def ask() -> None:
        await session.aio.get(wire.url)

    with anyio.fail_after(WITHIN):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.to_thread.run_sync(wire.wait_until_stalled)
            tasks.cancel_scope.cancel()
        await anyio.to_thread.run_sync(wire.wait_until_closed)
        assert (await session.aio.get("/get")).status == 200


def test_cancelling_a_task_of_asyncio(session: Session, raw_server: StartRawServer) -> None:
    """task.cancel() and asyncio.wait_for() are heard as well; the task ends cancelled."""
    wire = raw_server(never_answer)

    async def main() -> None:
        task = asyncio.create_task(session.aio.get(wire.url))
        await asyncio.to_thread(wire.wait_until_stalled)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        await asyncio.to_thread(wire.wait_until_closed)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.aio.get(wire.url), 0.1)

    asyncio.run(main())
    assert not session._portal._lease._calls  # type: ignore[union-attr]  # nothing is in flight


@pytest.mark.anyio
async def test_cancelling_a_read_of_the_whole_closes_the_response(
    session: Session, raw_server: StartRawServer
) -> None:
    """Cancelling read() closes the response, as in aiohttp's ClientResponse."""
    wire = raw_server(stall_in_body)
    async with session.aio.get(wire.url) as response:
        with anyio.move_on_after(0.05):
            await response.read()
        assert response.closed
    await anyio.to_thread.run_sync(wire.wait_until_closed)


@pytest.mark.anyio
@pytest.mark.parametrize("script", [never_answer, stall_in_body])
async def test_closing_the_session_wakes_the_tasks(
    raw_server: StartRawServer, script: Script
) -> None:
    """close() in another thread ends every wait with SessionClosedError, for a head or a body."""
    wire = raw_server(script)
    session = Session()
    closer = threading.Thread(target=session.close)
    errors: list[BaseException] = []

    async def ask() -> None:
        try:
            async with session.aio.get(wire.url) as response:
                await response.read()
        except syncclient.SessionClosedError as exc:
            errors.append(exc)

    with anyio.fail_after(WITHIN):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
            await anyio.to_thread.run_sync(wire.wait_until_connected, 3)
            await anyio.wait_all_tasks_blocked()
            closer.start()
    await anyio.to_thread.run_sync(closer.join, WITHIN)
    assert len(errors) == 3


@pytest.mark.anyio
async def test_the_death_of_the_loop_thread_wakes_the_tasks(raw_server: StartRawServer) -> None:
    """A loop that ends under a request is a LoopThreadError, and the next one starts anew."""
    wire = raw_server(never_answer)
    with Session(loop_thread=LoopThread()) as session:

        async def stop() -> None:
            await anyio.to_thread.run_sync(wire.wait_until_stalled)
            run = session._portal._usable_run()
            assert run is not None
            run.stop()

        with anyio.fail_after(WITHIN):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stop)
                with pytest.raises(syncclient.LoopThreadError):
                    await session.aio.get(wire.url)


def test_a_loop_that_is_gone_is_left_alone(session: Session, raw_server: StartRawServer) -> None:
    """Requests of a loop that is gone are withdrawn with their coroutines."""
    wire = raw_server(never_answer)
    session.get("/get")  # the loop thread runs: the first step of the task crosses
    loop = asyncio.new_event_loop()
    task = loop.create_task(session.aio.get(wire.url)._coroutine)
    loop.call_soon(loop.stop)
    loop.run_forever()
    wire.wait_until_stalled()
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio would log the obvious
    del task
    gc.collect()
    wire.wait_until_closed()
    assert session.get("/get").status == 200


def test_an_answer_for_a_closed_loop_is_dropped(
    session: Session, raw_server: StartRawServer
) -> None:
    """The loop thread does not stumble over a loop that closed while it worked for it."""

    def answer_later(conn: RawConnection) -> None:
        conn.read_request()
        conn.stall()
        conn.respond(b"late")

    wire = raw_server(answer_later)
    session.get("/get")  # the loop thread runs: the first step of the task crosses
    loop = asyncio.new_event_loop()
    task = loop.create_task(session.aio.get(wire.url)._coroutine)
    loop.call_soon(loop.stop)
    loop.run_forever()
    wire.wait_until_stalled()
    loop.close()
    wire.connections[0].proceed()
    wire.connections[0].wait_until_ended()
    for _ in range(3):
        assert session.get("/get").status == 200
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio would log the obvious


@pytest.mark.anyio
async def test_a_dropped_response_gives_its_connection_back(
    raw_server: StartRawServer,
) -> None:
    """Unread and forgotten, it warns with the line that opened it, and the connection closes."""
    wire = raw_server(stall_in_body)
    with Session() as session:
        response = await session.aio.get(wire.url)
        assert not response.closed
        with pytest.warns(ResourceWarning, match="test_ending.py"):
            del response
        await anyio.to_thread.run_sync(wire.wait_until_closed)


@pytest.mark.anyio
async def test_a_request_that_is_done_holds_nothing(session: Session) -> None:
    """A response is freed with its last reference, without the garbage collector."""
    response = await session.aio.get("/get")
    reference = weakref.ref(response)
    del response
    assert reference() is None


@pytest.mark.anyio
async def test_the_first_request_does_not_block_the_loop(app: AppServer) -> None:
    """Starting the loop thread is waited for on a worker: other tasks run meanwhile."""
    with Session(app.url, loop_thread=LoopThread()) as session:
        seen: list[str] = []
        lease = session._portal._renew

        def slow() -> object:
            threading_started.wait(WITHIN)
            return lease()

        threading_started = threading.Event()
        session._portal._renew = slow  # type: ignore[method-assign,assignment]  # to be slow

        async def ask() -> None:
            seen.append(str((await session.aio.get("/get")).status))

        with anyio.fail_after(WITHIN):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                seen.append("other task")
                threading_started.set()
    assert seen == ["other task", "200"]


@pytest.mark.anyio
async def test_closing_on_the_loop_thread_is_refused(app: AppServer) -> None:
    """An async middleware that closes its own session would wait for itself: it is told so."""

    async def close(request: Any, handler: Any) -> Any:
        await session.aio.close()
        raise AssertionError("not reached")

    with Session(app.url, middlewares=[close]) as session:
        with pytest.raises(syncclient.BlockingCallError, match="loop thread"):
            await session.aio.get("/get")


def test_answers_that_come_together_ring_once() -> None:
    """A loop that has been rung, and has not come yet, is not rung again."""
    loop = asyncio.new_event_loop()
    rings = []
    ring = loop.call_soon_threadsafe

    class Counting:
        def call_soon_threadsafe(self, function: object) -> None:
            rings.append(function)
            ring(function)  # type: ignore[arg-type]  # as asyncio has it

    counting = Counting()
    bell = Bell(counting)  # type: ignore[arg-type]  # all that it asks of a loop
    done: list[int] = []
    for number in range(10):
        bell.post(lambda number=number: done.append(number))  # type: ignore[misc]  # early binding
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert done == list(range(10))
    assert len(rings) == 1
    bell.post(lambda: done.append(10))
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert done[-1] == 10
    assert len(rings) == 2
    loop.close()
