"""Calls whose coroutine begins without a task: what wakes, ends and cancels them."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import syncclient
from syncclient._boundary.loop_thread import LoopThread
from syncclient._boundary.portal import Portal
from syncclient._exceptions import LoopThreadError, SessionClosedError
from syncclient._taskless import Wait, on_task, taskless
from tests.boundary.conftest import Resident, closed, in_thread

TIMEOUT = 20


class Signal(Wait):
    """A wait that ends when the test says so."""

    def __init__(self) -> None:
        self.callback: Callable[[], object] | None = None
        self.awaited = threading.Event()

    def notify(self, callback: Callable[[], object] | None) -> None:
        self.callback = callback
        self.awaited.set()

    async def fire(self, resident: Resident) -> None:
        """End the wait in a callback of the loop; the method of a call."""
        asyncio.get_running_loop().call_soon(self.end)

    def end(self) -> None:
        """End the wait now."""
        callback, self.callback = self.callback, None
        assert callback is not None
        callback()


class Waiting:
    """A taskless method that waits, and notes how that ended."""

    def __init__(self, signal: Signal) -> None:
        self.outcome: list[object] = []
        self.unwinding = 0

        @taskless
        async def method(resident: Resident) -> str:
            try:
                await signal
            except BaseException as exc:
                self.outcome += [type(exc), asyncio.current_task() is not None]
                raise
            finally:
                self.unwinding += 1
                await on_task()
                await asyncio.sleep(0)  # unwinding may take a while
                self.outcome.append("unwound")
            return "done"

        self.method = method


def test_no_task_runs_it(portal: Portal[Resident]) -> None:
    """Up to its end, before and after its wait, and in one context."""
    signal, variable = Signal(), contextvars.ContextVar("variable", default=0)
    tasks: list[object] = []

    @taskless
    async def method(resident: Resident) -> int:
        tasks.append(asyncio.current_task())
        variable.set(7)
        await signal
        tasks.append(asyncio.current_task())
        return variable.get()

    future = in_thread(lambda: portal.call(method))
    assert signal.awaited.wait(TIMEOUT)
    portal.call(signal.fire)
    assert future.result(TIMEOUT) == 7
    assert tasks == [None, None]


def test_it_goes_on_in_a_task_where_it_needs_one(portal: Portal[Resident]) -> None:
    """For what it says, and for whatever else it waits for; in the same context."""
    variable = contextvars.ContextVar("variable", default=0)

    @taskless
    async def asking(resident: Resident) -> int:
        token = variable.set(0)
        await on_task()
        assert asyncio.current_task() is not None
        variable.reset(token)  # a ValueError in a copy of the context
        variable.set(1)
        await on_task()  # does nothing
        await asyncio.wait_for(asyncio.sleep(0), TIMEOUT)
        return variable.get()

    @taskless
    async def waiting(resident: Resident) -> int:
        variable.set(2)
        await asyncio.sleep(0)
        assert asyncio.current_task() is not None
        future = asyncio.get_running_loop().create_future()
        future.get_loop().call_soon(future.set_exception, OSError("of the future"))
        with pytest.raises(OSError, match="of the future"):
            await future
        return variable.get()

    assert portal.call(asking) == 1
    assert portal.call(waiting) == 2


@pytest.mark.parametrize("error", [ValueError, StopIteration, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("when", ["at once", "after a wait", "in a task"])
def test_its_errors_reach_the_caller(
    portal: Portal[Resident], error: type[BaseException], when: str
) -> None:
    """As themselves, as those of a task do; and the loop lives on."""
    signal = Signal()

    @taskless
    async def method(resident: Resident) -> None:
        if when == "after a wait":
            await signal
        elif when == "in a task":
            await on_task()
            await asyncio.sleep(0)
        if error is not StopIteration:
            raise error("of the method")

    future = in_thread(lambda: portal.call(method))
    if when == "after a wait":
        assert signal.awaited.wait(TIMEOUT)
        portal.call(signal.fire)
    if error is StopIteration:
        assert future.result(TIMEOUT) is None
    else:
        with pytest.raises(error, match="of the method"):
            future.result(TIMEOUT)
    assert not portal.closed


def test_closing_cancels_it(portal: Portal[Resident]) -> None:
    """A caller that waits gets the reason, after the coroutine has unwound in a task."""
    signal = Signal()
    waiting = Waiting(signal)
    future = in_thread(lambda: portal.call(waiting.method))
    assert signal.awaited.wait(TIMEOUT)
    portal.close(closed)
    with pytest.raises(SessionClosedError):
        future.result(TIMEOUT)
    assert waiting.outcome == [asyncio.CancelledError, True, "unwound"]


def test_a_deadline_cancels_it(portal: Portal[Resident]) -> None:
    """The caller gets the DeadlineError after the coroutine has unwound."""
    waiting = Waiting(Signal())
    with pytest.raises(syncclient.DeadlineError), syncclient.timeout(0.05):
        portal.call(waiting.method)
    assert waiting.outcome == [asyncio.CancelledError, True, "unwound"]


def test_an_interrupt_cancels_it(portal: Portal[Resident]) -> None:
    """KeyboardInterrupt goes up once the coroutine has unwound."""
    signal = Signal()
    waiting = Waiting(signal)

    def interrupt() -> None:
        assert signal.awaited.wait(TIMEOUT)
        _thread.interrupt_main()

    in_thread(interrupt)
    with pytest.raises(KeyboardInterrupt):
        portal.call(waiting.method)
    assert waiting.outcome == [asyncio.CancelledError, True, "unwound"]


def test_a_task_may_end_its_wait(portal: Portal[Resident]) -> None:
    """The coroutine then continues in its own task, and not as a part of that one."""
    signal = Signal()
    tasks: list[object] = []

    @taskless
    async def method(resident: Resident) -> None:
        await signal
        await on_task()
        tasks.append(asyncio.current_task())

    async def fire(resident: Resident) -> None:
        signal.end()
        tasks.append(asyncio.current_task())

    future = in_thread(lambda: portal.call(method))
    assert signal.awaited.wait(TIMEOUT)
    portal.call(fire)
    future.result(TIMEOUT)
    assert None not in tasks
    assert len(set(tasks)) == 2


@pytest.mark.parametrize("fired_first", [True, False])
def test_the_end_of_the_wait_and_a_cancellation_meet(
    portal: Portal[Resident], fired_first: bool
) -> None:
    """The coroutine unwinds once in either order, and its caller wakes."""
    signal = Signal()
    waiting = Waiting(signal)

    async def both(resident: Resident) -> None:
        assert portal._lease is not None
        (call,) = [each for each in portal._lease._calls if each._stepper is not None]
        steps = [signal.end, lambda: call.cancel(closed())]
        for step in steps if fired_first else reversed(steps):
            asyncio.get_running_loop().call_soon(step)

    future = in_thread(lambda: portal.call(waiting.method))
    assert signal.awaited.wait(TIMEOUT)
    portal.call(both)
    error = future.exception(TIMEOUT)  # whether there is one depends on which turn it unwinds in
    assert error is None or isinstance(error, SessionClosedError)
    assert waiting.unwinding == 1


def test_the_death_of_the_loop_wakes_its_caller(loop_thread: LoopThread) -> None:
    """The caller gets a LoopThreadError, and the coroutine unwinds."""
    portal = Portal(loop_thread, Resident, Resident.aclose, name="the portal")
    signal = Signal()
    waiting = Waiting(signal)
    future = in_thread(lambda: portal.call(waiting.method))
    assert signal.awaited.wait(TIMEOUT)

    def die() -> None:
        raise SystemExit("of a callback")

    async def kill(resident: Resident) -> None:
        asyncio.get_running_loop().call_soon(die)

    try:
        portal.call(kill)
    except LoopThreadError:
        pass  # its end may come first
    with pytest.raises(LoopThreadError):
        future.result(TIMEOUT)
    portal.close(closed)
    assert waiting.outcome == [asyncio.CancelledError, True, "unwound"]


def test_no_reference_cycle_keeps_its_error(portal: Portal[Resident]) -> None:
    """An error raised before, and one raised after a wait, is freed with its last reference."""

    class Witness(Exception):
        pass

    @taskless
    async def fail(resident: Resident, signal: Signal | None) -> None:
        if signal is not None:
            await signal
        raise Witness

    refs: list[Any] = []

    def ask(signal: Signal | None) -> None:
        try:
            portal.call(fail, signal)
        except Witness as exc:
            refs.append(weakref.ref(exc))

    gc.collect()
    gc.disable()
    try:
        ask(None)
        signal = Signal()
        future = in_thread(lambda: ask(signal))
        assert signal.awaited.wait(TIMEOUT)
        portal.call(signal.fire)
        future.result(TIMEOUT)
        assert [ref() for ref in refs] == [None, None]
    finally:
        gc.enable()
