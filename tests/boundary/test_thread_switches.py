"""No order in which the threads come is wrong: thousands of shaken runs find no lost wake-up.

Each scenario lets two things meet that may come in either order. Whatever the order, every
caller ends in bounded time with one of the outcomes named, and nothing is left over.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from syncclient._boundary.lease import Lease, Remote
from syncclient._boundary.loop_thread import LoopThread
from syncclient._boundary.portal import Portal
from syncclient._caller import in_caller
from syncclient._exceptions import LoopThreadError, SessionClosedError
from tests.boundary.conftest import Resident, closed, in_thread
from tests.boundary.shaker import MARKED, Shaker
from tests.boundary.test_submitted_call import submit

pytestmark = [
    pytest.mark.skipif(sys.gettrace() is not None, reason="another tracer is at work"),
    pytest.mark.slow,
]

#: Seconds after which a caller counts as never woken. All of them end within milliseconds.
HANG = 20.0
#: Runs of all scenarios together, on each of the two event loops.
ALL_RUNS = 1000


class Chance(Exception):
    """Raised by a callback now and then."""


async def short(resident: Resident) -> str:
    await asyncio.sleep(0)
    return "fine"


async def forever(resident: Resident) -> None:
    await asyncio.Event().wait()


def outcome(future: Future[Any], *allowed: type[BaseException]) -> Any:
    """Return the result, or the class of an error that is allowed. TimeoutError is a hang."""
    try:
        return future.result(HANG)
    except allowed as exc:
        return type(exc)


def calls_and_close(portal: Portal[Resident], dice: random.Random) -> None:
    """Calls of several threads, while another closes."""
    callers = [in_thread(lambda: portal.call(short)) for _ in range(3)]
    waiting = in_thread(lambda: portal.call(forever))
    closer = in_thread(lambda: portal.close(closed))
    for caller in callers:
        assert outcome(caller, SessionClosedError) in ("fine", SessionClosedError)
    assert outcome(waiting, SessionClosedError) is SessionClosedError
    closer.result(HANG)


def calls_and_death(portal: Portal[Resident], dice: random.Random) -> None:
    """Calls of several threads, while the loop dies of a callback; and one call after that."""

    def die() -> None:
        raise SystemExit

    async def plant(resident: Resident) -> None:
        asyncio.get_running_loop().call_soon(die)

    callers = [in_thread(lambda: portal.call(short)) for _ in range(3)]
    planter = in_thread(lambda: portal.call(plant))
    for caller in callers:
        assert outcome(caller, LoopThreadError) in ("fine", LoopThreadError)
    assert outcome(planter, LoopThreadError) in (None, LoopThreadError)
    while outcome(in_thread(lambda: portal.call(short)), LoopThreadError) != "fine":
        pass  # the old loop was still about to end


def jobs(portal: Portal[Resident], dice: random.Random) -> None:
    """Callbacks from several tasks of one call, one of which may raise."""
    chosen = dice.randrange(6)

    def job(number: int) -> int:
        if number == chosen:
            raise Chance
        return number

    async def ask(resident: Resident) -> list[object]:
        asks = [asyncio.ensure_future(in_caller(job, number)) for number in range(4)]
        results = await asyncio.gather(*asks, return_exceptions=True)
        return [type(one) if isinstance(one, Chance) else one for one in results]

    got = outcome(in_thread(lambda: portal.call(ask)))
    assert got == [Chance if number == chosen else number for number in range(4)]


def interrupts(portal: Portal[Resident], dice: random.Random) -> None:
    """A caller interrupted by its own callback while the call may be ending."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    async def ask(resident: Resident) -> None:
        task = asyncio.ensure_future(in_caller(interrupt))
        if dice.random() < 0.5:
            await task
        await asyncio.sleep(0)

    assert outcome(in_thread(lambda: portal.call(ask)), KeyboardInterrupt) in (
        None,
        KeyboardInterrupt,
    )


def cancelled_futures(portal: Portal[Resident], dice: random.Random) -> None:
    """Futures that are cancelled while they may be ending, or closed upon."""
    futures = [submit(portal, short) for _ in range(4)]
    canceller = in_thread(lambda: [future.cancel() for future in futures[:2]])
    closer = in_thread(lambda: portal.close(closed)) if dice.random() < 0.5 else None
    for number, future in enumerate(futures):
        allowed = (CancelledError, SessionClosedError) if number < 2 else (SessionClosedError,)
        assert outcome(future, *allowed) in ("fine", *allowed)
    canceller.result(HANG)
    if closer is not None:
        closer.result(HANG)


def finalisers(portal: Portal[Resident], dice: random.Random) -> None:
    """Things open on the loop, dropped by one thread while another uses them or closes."""

    class Pipe:
        done = False

        def abandon(self) -> None:
            self.done = True

        async def use(self) -> str:
            await asyncio.sleep(0)
            return "used"

    async def open_pipe(resident: Resident) -> tuple[None, Pipe]:
        return None, Pipe()

    def use(remote: Remote[Pipe]) -> str:
        return remote.call(Pipe.use)

    for _ in range(2):
        _, remote = portal.open(open_pipe)
        assert remote is not None
        user = in_thread(lambda remote=remote: use(remote))  # type: ignore[misc]  # the default
        remote.post(Pipe.abandon) if dice.random() < 0.5 else None
        del remote
        assert outcome(user, SessionClosedError) in ("used", SessionClosedError)


def leases(portal: Portal[Resident], dice: random.Random) -> None:
    """Portals of one loop thread that open and close while others do."""

    def live() -> str:
        other = Portal(portal.loop_thread, Resident, Resident.aclose, name="another")
        try:
            return other.call(short)
        finally:
            other.close(closed) if dice.random() < 0.7 else other.abandon(closed)

    for life in [in_thread(live) for _ in range(3)]:
        assert outcome(life) == "fine"


def forks(portal: Portal[Resident], dice: random.Random) -> None:
    """A fork among calls. The child makes one of its own, and the parent's go on."""
    callers = [in_thread(lambda: portal.call(short)) for _ in range(2)]
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            sys.settrace(None)
            threading.settrace(None)
            status = 0 if portal.call(short) == "fine" else 2
        finally:
            os._exit(status)
    for caller in callers:
        assert outcome(caller) == "fine"
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


_SCENARIOS: list[Callable[[Portal[Resident], random.Random], None]] = [
    calls_and_close,
    calls_and_death,
    jobs,
    interrupts,
    cancelled_futures,
    finalisers,
    leases,
]
if hasattr(os, "fork"):
    _SCENARIOS.append(forks)


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("scenario", _SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_no_order_of_the_threads_loses_a_wake_up(
    loop_thread: LoopThread, scenario: Callable[[Portal[Resident], random.Random], None]
) -> None:
    """Every caller ends correctly, in any order of the threads at the marked points."""
    for seed in range(-(-ALL_RUNS // len(_SCENARIOS))):
        portal = Portal(loop_thread, Resident, Resident.aclose, name="the portal")
        with Shaker(seed):
            try:
                scenario(portal, random.Random(seed))
                lease: Lease[Resident] | None = portal._lease
                portal.close(closed)
            except BaseException as exc:
                raise AssertionError(f"{scenario.__name__} went wrong with seed {seed}") from exc
        if lease is not None and lease.run is not None:
            lease.run.join(HANG)
            assert not lease.run.posted, f"calls left over with seed {seed}"
            assert not lease._calls, f"calls left over with seed {seed}"


def test_every_part_of_the_boundary_is_shaken() -> None:
    """The names of the marked points are those of the issue, and each has its functions."""
    assert {"gate", "post", "completion", "interrupt", "close", "fork", "death"} <= MARKED.keys()
    assert all(MARKED.values())
