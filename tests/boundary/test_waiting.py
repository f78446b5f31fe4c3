"""Waits in slices: short enough to notice what is raised, long enough to cost nothing."""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable

import pytest

from syncclient._boundary.portal import Portal
from syncclient._boundary.waiting import MAIN_SLICE, SLICE, Sleepers, in_slices
from tests.boundary.conftest import Resident, in_thread
from tests.bounds import wait_until

#: Seconds in which an exception that is set on a waiting thread is to arrive.
PROMISED = 0.2


def waits(slices: int, sleepers: Sleepers, limit: float | None = None) -> tuple[list[float], bool]:
    """The seconds of each wait of a thread which is told that often that there is nothing yet."""
    asked: list[float] = []

    def wait(seconds: float) -> bool:
        asked.append(seconds)
        return len(asked) > slices

    outcome = in_thread(lambda: in_slices(wait, sleepers, limit)).result(10)
    return asked, outcome


def test_slices_are_short_while_few_threads_wait() -> None:
    """Up to three hundred threads are woken every 0.15 s; the main thread every 0.1 s."""
    assert waits(3, Sleepers()) == ([SLICE] * 4, True)
    assert waits(1, Sleepers(range(1, 280))) == ([SLICE] * 2, True)
    assert max(SLICE, MAIN_SLICE) < PROMISED


def test_slices_grow_with_the_number_of_waiting_threads() -> None:
    """A thousand are woken two thousand times a second together, and so on."""
    asked, _ = waits(1, Sleepers(range(1, 1000)))
    assert asked == pytest.approx([0.5, 0.5], abs=0.01)


def test_a_limit_is_kept() -> None:
    """The last slice is cut to what is left."""
    asked, outcome = waits(10**6, Sleepers(), limit=0.0)
    assert (asked, outcome) == ([0.0], False)
    began = time.monotonic()
    gate = threading.Event()
    assert not in_slices(gate.wait, Sleepers(), 0.25)
    assert time.monotonic() - began >= 0.25


def test_who_has_waited_is_no_sleeper_any_more() -> None:
    """A thread is no longer counted, whether its wait ends or is interrupted."""
    sleepers = Sleepers()
    waits(2, sleepers)

    def interrupted(seconds: float) -> bool:
        assert sleepers == {threading.get_ident()}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_slices(interrupted, sleepers)
    assert sleepers == set()


class StoppedError(BaseException):
    """Set on a thread."""


def lateness(wait: Callable[[], object], asleep: Callable[[], object]) -> float:
    """Set an exception on a thread that waits; return after how long it has arrived there."""
    began: list[int] = []

    def work() -> float:
        began.append(threading.get_ident())
        try:
            wait()
        except StoppedError:
            return time.monotonic()
        raise AssertionError("it was not stopped")

    outcome = in_thread(work)
    wait_until(asleep, "the wait")
    set_at = time.monotonic()
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(began[0]), ctypes.py_object(StoppedError)
    )
    return outcome.result(10) - set_at


def test_an_exception_set_on_a_waiting_thread_arrives_in_time(portal: Portal[Resident]) -> None:
    """Within 0.2 s, though nothing wakes the thread: once, at least, on a machine that is busy."""

    async def forever(resident: Resident) -> None:
        await asyncio.get_running_loop().create_future()

    portal.call(Resident.aclose)
    lease = portal._lease
    assert lease is not None
    assert lease.run is not None
    sleepers = lease.run.sleepers
    late = [PROMISED]
    while late[-1] >= PROMISED and len(late) < 20:
        late.append(lateness(lambda: portal.call(forever), lambda: sleepers))
    assert late[-1] < PROMISED, late
