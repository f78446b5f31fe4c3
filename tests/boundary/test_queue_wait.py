"""Waits without a call: whatever ends one does so at once, and nothing of it stays behind."""

from __future__ import annotations

import asyncio
import gc
import math
import sys
import threading
import time
from _thread import LockType
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from syncclient._boundary import queue_wait
from syncclient._boundary.lease import Remote
from syncclient._boundary.loop_run import LoopRun
from syncclient._boundary.portal import Portal
from syncclient._deadline import DeadlineError, timeout
from syncclient._exceptions import BlockingCallError, LoopThreadError, SessionClosedError
from tests.boundary.conftest import Resident, closed, in_thread
from tests.boundary.shaker import Shaker
from tests.boundary.test_interrupts_everywhere import (
    STEPS,
    InterruptAt,
    interrupted_everywhere,
)
from tests.children import RunChild

pytestmark = pytest.mark.timeout(60)

WAIT = 10.0  # seconds that anything here may take before the test fails


class Numbers:
    """A queue, and what fills it on the loop."""

    done = False

    def __init__(self) -> None:
        self.items: deque[int] = deque()
        self.waiters: list[Callable[[], Any]] = []

    @property
    def ready(self) -> bool:
        return bool(self.items)

    def first_waiter(self) -> object:
        for entry in tuple(self.waiters):
            if (waiter := entry()) is not None and not waiter.over:
                return waiter
        return None

    def refuse_second(self) -> None:
        raise RuntimeError("another one waits")

    def put(self, number: int = 0) -> None:
        self.items.append(number)
        for entry in tuple(self.waiters):
            if (waiter := entry()) is not None:
                waiter.wake()

    def abandon(self) -> None: ...


def opened(portal: Portal[Resident]) -> tuple[Numbers, Remote[Numbers]]:
    async def make(resident: Resident) -> tuple[Numbers, Numbers]:
        numbers = Numbers()
        return numbers, numbers

    numbers, remote = portal.open(make)
    assert remote is not None
    return numbers, remote


def waiting(numbers: Numbers, remote: Remote[Numbers], limit: float | None = None) -> Future[bool]:
    """Start a thread that waits, and return once it has entered."""
    waits = in_thread(lambda: remote.wait_for(numbers, limit, "waiting"))
    until = time.monotonic() + WAIT
    while not numbers.waiters:
        assert time.monotonic() < until
        time.sleep(0)
    return waits


def test_a_wait_costs_no_crossing(portal: Portal[Resident]) -> None:
    """An arriving message wakes the caller without a call to the loop."""
    numbers, remote = opened(portal)
    before = portal.crossings
    for _ in range(100):
        waits = waiting(numbers, remote)
        remote.post(Numbers.put)
        assert waits.result(WAIT)
        numbers.items.clear()
    assert portal.crossings == before
    assert numbers.waiters == []


def test_a_limit_ends_a_wait(portal: Portal[Resident]) -> None:
    """Within a slice and beyond one; with the limit over, what is here is still seen."""
    numbers, remote = opened(portal)
    for limit in (0.0, 0.01, 0.25):
        started = time.monotonic()
        assert not remote.wait_for(numbers, limit, "waiting")
        assert time.monotonic() - started >= limit
    numbers.items.append(1)
    assert remote.wait_for(numbers, 0.0, "waiting")


def test_a_deadline_ends_a_wait_and_may_be_moved(portal: Portal[Resident]) -> None:
    """The error says what was being done; a deadline that is moved meanwhile counts as it is."""
    numbers, remote = opened(portal)
    with pytest.raises(DeadlineError, match="waiting for numbers"), timeout(0.02):
        remote.wait_for(numbers, None, "waiting for numbers")
    lengths: list[float] = []
    block = queue_wait._block

    def moving(lock: LockType, run: LoopRun, seconds: float) -> bool:
        lengths.append(seconds)
        if len(lengths) > 1:
            remote.post(Numbers.put)
        limit.reschedule(None)
        return block(lock, run, seconds)

    with timeout(0.02) as limit, pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue_wait, "_block", moving)
        assert remote.wait_for(numbers, None, "waiting for numbers")
    assert lengths[0] <= 0.02
    assert lengths[1:] == [math.inf]


def test_a_second_waiter_is_refused_and_disturbs_nobody(portal: Portal[Resident]) -> None:
    """A second waiter gets an error at once; the first is woken as before."""
    numbers, remote = opened(portal)
    waits = waiting(numbers, remote)
    errors = []
    for _ in range(3):
        with pytest.raises(RuntimeError, match="another one waits") as error:
            remote.wait_for(numbers, None, "waiting")
        errors.append(error)  # with its traceback, and what its frames hold
    assert len(numbers.waiters) == 1
    remote.post(Numbers.put)
    assert waits.result(WAIT)


def test_a_wait_that_the_loop_still_holds_is_over(portal: Portal[Resident]) -> None:
    """The loop thread may be about to let go of the last one when the caller waits again."""
    numbers, remote = opened(portal)
    waits = waiting(numbers, remote)
    held = numbers.waiters[0]()
    remote.post(Numbers.put)
    assert waits.result(WAIT)
    assert held.over
    assert numbers.waiters
    assert remote.wait_for(numbers, WAIT, "waiting")
    del held
    assert numbers.waiters == []


def test_closing_ends_a_wait(portal: Portal[Resident]) -> None:
    """A closing ends a wait with its reason, and refuses later waits for the same reason."""
    numbers, remote = opened(portal)
    waits = waiting(numbers, remote)
    portal.close(closed)
    assert isinstance(waits.exception(WAIT), SessionClosedError)
    with pytest.raises(SessionClosedError):
        remote.wait_for(numbers, None, "waiting")


def test_a_grace_period_is_for_waits_too(portal: Portal[Resident]) -> None:
    """A closing with grace goes on once the wait has what it waited for."""
    numbers, remote = opened(portal)
    waits = waiting(numbers, remote)
    closer = in_thread(lambda: portal.close(closed, grace=30))
    until = time.monotonic() + WAIT
    while (lease := portal._lease) is None or lease.waits.left is None:
        assert time.monotonic() < until
        time.sleep(0)
    assert not waits.done()
    remote.post(Numbers.put)
    assert waits.result(WAIT)
    closer.result(WAIT)


def test_a_grace_period_ends(portal: Portal[Resident]) -> None:
    """Nothing comes within it: the wait is ended."""
    numbers, remote = opened(portal)
    waits = waiting(numbers, remote)
    portal.close(closed, grace=0.05)
    assert isinstance(waits.exception(WAIT), SessionClosedError)


def test_the_end_of_the_loop_ends_a_wait(portal: Portal[Resident]) -> None:
    """A callback that raises SystemExit ends the loop, and each that waits learns of it."""
    both = [opened(portal) for _ in range(2)]
    waits = [waiting(numbers, remote) for numbers, remote in both]

    async def die(resident: Resident) -> None:
        asyncio.get_running_loop().call_soon(_exit)

    def call_until_it_dies() -> None:
        portal.call(die)
        remote.wait_for(Numbers(), WAIT, "waiting")

    _, remote = both[0]
    with pytest.raises(LoopThreadError):
        call_until_it_dies()
    errors = [each.exception(WAIT) for each in waits]
    assert all(isinstance(error, LoopThreadError) for error in errors)
    assert errors[0] is not errors[1]


def _exit() -> None:
    raise SystemExit("the loop's end")


def test_the_loop_thread_is_refused(portal: Portal[Resident]) -> None:
    """On the loop thread, the wait would wait for itself."""
    numbers, remote = opened(portal)

    async def wait(resident: Resident) -> None:
        remote.wait_for(numbers, None, "waiting")

    with pytest.raises(BlockingCallError):
        portal.call(wait)


@pytest.mark.slow
@pytest.mark.skipif(sys.gettrace() is not None, reason="another tracer is at work")
@pytest.mark.parametrize("interrupt_at", STEPS)
def test_an_interrupt_anywhere_leaves_no_waiter(
    portal: Portal[Resident], interrupt_at: type[InterruptAt]
) -> None:
    """The queue is free for the next one, the lease knows of nobody, and no number is lost."""
    numbers, remote = opened(portal)
    lease = portal._lease
    assert lease is not None
    steps = 0

    def wait() -> None:
        remote.wait_for(numbers, None, "waiting")

    remote.post(Numbers.put)
    for step, tracer in interrupted_everywhere(wait, interrupt_at):
        steps = step
        assert numbers.waiters == [], tracer.where
        assert not lease.waits.entered, tracer.where
        assert remote.wait_for(numbers, WAIT, "waiting"), tracer.where
        assert len(numbers.items) == 1
        numbers.items.clear()
        remote.post(Numbers.put)
    assert steps > 20


def test_collections_of_the_garbage_collector_lose_nothing(portal: Portal[Resident]) -> None:
    """Waits are found and woken while other threads collect all the time."""
    numbers, remote = opened(portal)
    over = threading.Event()

    def collect() -> None:
        while not over.is_set():
            gc.collect(1)  # what is young; all that a run of tests has made takes a second

    collectors = [in_thread(collect) for _ in range(2)]
    try:
        for number in range(50):
            remote.entrust(Numbers.put, number)
            assert remote.wait_for(numbers, WAIT, "waiting")
            assert numbers.items.popleft() == number
    finally:
        over.set()
    for collector in collectors:
        collector.result(WAIT)


@pytest.mark.slow
@pytest.mark.skipif(sys.gettrace() is not None, reason="another tracer is at work")
@pytest.mark.parametrize("seed", range(20))
def test_no_switch_of_threads_loses_a_wake_up(portal: Portal[Resident], seed: int) -> None:
    """Wherever the two threads are switched: each number wakes the one who waits for it."""
    numbers, remote = opened(portal)
    with Shaker(seed):

        def read() -> list[int]:
            got: list[int] = []
            while len(got) < 30:
                assert remote.wait_for(numbers, WAIT, "waiting")
                got.append(numbers.items.popleft())
            return got

        reader = in_thread(read)
        for number in range(30):
            remote.entrust(Numbers.put, number)
        assert reader.result(WAIT) == list(range(30))
        waits = waiting(numbers, remote)
        portal.close(closed)
        assert isinstance(waits.exception(WAIT), SessionClosedError)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and signals")
def test_a_child_forked_within_a_wait_does_not_wait_for_ever(run_child: RunChild) -> None:
    """A signal handler forks: the child gets LoopThreadError, the parent its message."""
    code = """
import os, signal, sys, threading, warnings
import syncclient
from syncclient.testing import MockTransport
from syncclient._boundary.lease import Remote
from syncclient._boundary.loop_thread import LoopThread
from syncclient._boundary.loop_run import LoopRun
from syncclient._boundary.portal import Portal
from syncclient._exceptions import LoopThreadError
from tests.boundary.conftest import Resident
from tests.boundary.test_queue_wait import Numbers, opened

warnings.simplefilter("ignore", DeprecationWarning)
portal = Portal(LoopThread(), Resident, Resident.aclose, name="the portal")
numbers, remote = opened(portal)
child = []
signal.signal(signal.SIGUSR1, lambda *_: child.append(os.fork()))

def strike():
    while not numbers.waiters:
        pass
    os.kill(os.getpid(), signal.SIGUSR1)
    while not child:
        pass
    remote.post(Numbers.put)

threading.Thread(target=strike).start()
try:
    assert remote.wait_for(numbers, None, "waiting")
    _, status = os.waitpid(child[0], 0)
    print("the parent has it, the child ended with", os.waitstatus_to_exitcode(status), flush=True)
except LoopThreadError as error:
    os._exit(7 if "forked" in str(error) else 8)
"""
    assert run_child(code).stdout.strip() == "the parent has it, the child ended with 7"
