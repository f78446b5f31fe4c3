"""The rules of the thread boundary, one by one, on both event loops."""

from __future__ import annotations

import asyncio
import builtins
import contextvars
import gc
import sys
import threading
import weakref
from typing import Any

import pytest

from syncclient._boundary import lease as _lease
from syncclient._boundary import loop_run as _loop_run
from syncclient._boundary.loop_thread import LoopThread
from syncclient._boundary.portal import Portal
from syncclient._caller import in_caller
from syncclient._exceptions import BlockingCallError, LoopThreadError, SessionClosedError
from tests.boundary.conftest import Resident, closed, in_thread

color: contextvars.ContextVar[str] = contextvars.ContextVar("color", default="none")


async def forever(resident: Resident, began: threading.Event | None = None) -> None:
    """Wait until cancelled."""
    if began is not None:
        began.set()
    await asyncio.Event().wait()


async def thread_ident(resident: object) -> int:
    return threading.get_ident()


# What a call does.


def test_a_call_returns_what_the_coroutine_returns(portal: Portal[Resident]) -> None:
    """Arguments go over as they are, and the result comes back."""

    async def add(resident: Resident, left: int, *, right: int) -> int:
        await asyncio.sleep(0)
        return left + right

    assert portal.call(add, 1, right=2) == 3


def test_the_resident_lives_on_the_loop_thread(portal: Portal[Resident]) -> None:
    """The resident is made there by the first call, and is the same for all calls."""

    async def look(resident: Resident) -> tuple[int, int]:
        return resident.born_on, id(resident)

    born_on, first = portal.call(look)
    assert born_on == portal.call(thread_ident) != threading.get_ident()
    assert portal.call(look)[1] == first


def test_a_call_is_one_crossing(portal: Portal[Resident]) -> None:
    """The counter counts calls, exactly."""
    assert portal.crossings == 0
    for expected in range(1, 6):
        portal.call(thread_ident)
        assert portal.crossings == expected


def test_a_call_that_never_suspends_costs_one_iteration_of_the_loop() -> None:
    """The task starts eagerly, and completes the call itself (Python 3.12 and later)."""

    class CountingLoop(asyncio.SelectorEventLoop):
        iterations = 0

        def _run_once(self) -> None:
            self.iterations += 1
            super()._run_once()  # type: ignore[misc]  # asyncio's own, not in the stubs

    loop = CountingLoop()
    portal = Portal(LoopThread(loop_factory=lambda: loop), Resident, Resident.aclose, name="p")

    async def iterations(resident: Resident) -> int:
        return loop.iterations

    before = portal.call(iterations)
    for _ in range(10):
        after = portal.call(iterations)
    # One iteration more for each call where tasks cannot start eagerly. The loop may
    # go round once more for the byte that woke it, so this is a bound, not a count.
    assert after - before <= (20 if sys.version_info >= (3, 12) else 30)
    portal.close(closed)


def test_the_callers_context_is_carried(portal: Portal[Resident]) -> None:
    """The coroutine sees the caller's context variables; what it sets stays there."""

    async def swap(resident: Resident) -> str:
        seen = color.get()
        color.set("changed on the loop")
        return seen

    token = color.set("the caller's")
    try:
        assert portal.call(swap) == "the caller's"
        assert color.get() == "the caller's"
    finally:
        color.reset(token)


def test_from_a_thread_that_runs_another_loop(portal: Portal[Resident]) -> None:
    """A notebook's thread runs a loop already; a blocking call in it works (rule 8)."""

    async def notebook() -> int:
        return portal.call(thread_ident)

    assert asyncio.run(notebook()) == portal.call(thread_ident)


# Errors.


@pytest.mark.parametrize(
    "error",
    [
        ValueError("plain"),
        asyncio.CancelledError("the user's own"),
        KeyboardInterrupt("on the loop"),
        SystemExit(3),
        GeneratorExit("odd"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_raised_on_the_loop_reaches_the_caller(
    portal: Portal[Resident], error: BaseException
) -> None:
    """The caller gets the very object that was raised on the loop, which runs on (rule 5)."""

    async def fail(resident: Resident) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        portal.call(fail)
    assert caught.value is error
    assert portal.call(thread_ident)


def test_a_stop_iteration_reaches_the_caller(portal: Portal[Resident]) -> None:
    """A StopIteration reaches the caller as itself, and not as None or a RuntimeError (rule 5)."""

    async def advance(resident: Resident) -> None:
        await in_caller(next, iter(()))

    with pytest.raises(StopIteration):
        portal.call(advance)


class Witness(Exception):
    """Something whose end can be seen: other exceptions take no weak reference."""


def test_no_reference_cycle_keeps_a_caught_error(portal: Portal[Resident]) -> None:
    """When the except block ends, the error is gone, and all its frames held."""
    refs: list[weakref.ref[Any]] = []

    async def fail(resident: Resident) -> None:
        witness = Witness()
        refs.append(weakref.ref(witness))
        raise Witness

    gc.collect()
    gc.disable()
    try:
        try:
            portal.call(fail)
        except Witness as exc:
            refs.append(weakref.ref(exc))
        assert [ref() for ref in refs] == [None, None]
    finally:
        gc.enable()


def test_no_reference_cycle_keeps_a_loop_thread_error(portal: Portal[Resident]) -> None:
    """The same where the caller's side looks for what an error is to be called."""

    async def fail(resident: Resident) -> None:
        raise LoopThreadError("the loop thread's")

    gc.collect()
    gc.disable()
    try:
        try:
            portal.call(fail)
        except LoopThreadError as exc:
            ref = weakref.ref(exc)
        assert ref() is None
    finally:
        gc.enable()


def test_the_errors_of_a_group_carry_nothing_of_the_engines(portal: Portal[Resident]) -> None:
    """The frames of the engine are emptied in the group's members too (rule 1)."""
    group = getattr(builtins, "ExceptionGroup", None)
    if group is None:
        pytest.skip("no exception groups before Python 3.11")
    freed_on: list[int] = []

    class Live:
        def __del__(self) -> None:
            freed_on.append(threading.get_ident())

    engine: dict[str, Any] = {"__name__": "aiohttp.made_up"}
    exec("def fail(make):\n    live = make()\n    raise LookupError('inside')", engine)

    async def fail(resident: Resident) -> None:
        errors = []
        try:
            engine["fail"](Live)
        except LookupError as exc:
            errors.append(exc)
        # Not in the except clause, which would make it the context of the group.
        raise group("a task group's", errors)

    with pytest.raises(group) as caught:
        portal.call(fail)
    assert freed_on == [portal.call(thread_ident)]
    assert isinstance(caught.value.exceptions[0], LookupError)


# The caller serves.


def test_callbacks_run_in_the_callers_thread_and_context(portal: Portal[Resident]) -> None:
    """Thread-locals and context variables are the caller's (rule 2)."""
    local = threading.local()
    local.name = "mine"
    token = color.set("caller")

    def callback(word: str) -> tuple[str, str, str]:
        return word, local.name, color.get()

    async def ask(resident: Resident) -> tuple[str, str, str]:
        return await in_caller(callback, "hello")

    try:
        assert portal.call(ask) == ("hello", "mine", "caller")
    finally:
        color.reset(token)


def test_a_callback_may_call_again(portal: Portal[Resident]) -> None:
    """A callback crosses by the same portal while its own call waits (rule 2)."""

    async def ask(resident: Resident) -> int:
        return await in_caller(portal.call, thread_ident)

    assert portal.call(ask) == portal.call(thread_ident)


def test_tasks_of_a_call_find_the_caller_too(portal: Portal[Resident]) -> None:
    """aiohttp writes bodies in a task of its own; callbacks there reach the caller as well."""

    async def ask(resident: Resident) -> int:
        return await asyncio.create_task(in_caller(threading.get_ident))

    assert portal.call(ask) == threading.get_ident()


def test_an_error_in_a_callback_goes_through_the_loop_unwrapped(
    portal: Portal[Resident],
) -> None:
    """The coroutine sees it, may clean up, and the caller gets the very same object."""
    error = LookupError("the user's own")
    seen: list[BaseException] = []

    def callback() -> None:
        raise error

    async def ask(resident: Resident) -> None:
        try:
            await in_caller(callback)
        except LookupError as exc:
            seen.append(exc)
            raise

    with pytest.raises(LookupError) as caught:
        portal.call(ask)
    assert caught.value is error is seen[0]


def test_an_interrupt_in_a_callback_cancels_the_call(portal: Portal[Resident]) -> None:
    """KeyboardInterrupt in the user's callback goes up, and the coroutine is unwound first."""
    unwound = threading.Event()

    def callback() -> None:
        raise KeyboardInterrupt

    async def ask(resident: Resident) -> None:
        try:
            await in_caller(callback)
        finally:
            unwound.set()

    with pytest.raises(KeyboardInterrupt):
        portal.call(ask)
    assert unwound.is_set()
    assert portal.call(thread_ident)


def test_a_callback_without_a_caller_says_so(portal: Portal[Resident]) -> None:
    """A task that outlives its call finds nobody who could run a callback."""
    outcome: list[BaseException] = []
    over = threading.Event()

    async def late() -> None:
        await asyncio.sleep(0)
        try:
            await in_caller(print)
        except LoopThreadError as exc:
            outcome.append(exc)
        over.set()

    tasks = []

    async def leave_a_task(resident: Resident) -> None:
        tasks.append(asyncio.create_task(late()))

    portal.call(leave_a_task)
    assert over.wait(20)
    assert "not waiting any more" in str(outcome[0])


# The wrong thread.


def test_a_blocking_call_on_the_loop_thread_raises_at_once(portal: Portal[Resident]) -> None:
    """Any blocking call on the loop thread raises: it could only wait for itself (rule 8)."""

    async def call_again(resident: Resident) -> None:
        portal.call(thread_ident)

    async def close(resident: Resident) -> None:
        portal.close(closed)

    for wrong in (call_again, close):
        with pytest.raises(BlockingCallError, match="loop thread"):
            portal.call(wrong)
    assert portal.call(thread_ident)


# Closing.


def test_close_wakes_blocked_callers(portal: Portal[Resident]) -> None:
    """Every caller gets an error of its own, and its coroutine has been unwound (rule 10)."""
    events = [threading.Event() for _ in range(20)]
    callers = [in_thread(lambda e=e: portal.call(forever, e)) for e in events]  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    for event in events:
        assert event.wait(20)
    portal.close(closed)
    errors = [caller.exception(20) for caller in callers]
    assert all(isinstance(error, SessionClosedError) for error in errors)
    assert len({id(error) for error in errors}) == len(errors)


def test_a_closed_portal_refuses_calls(portal: Portal[Resident]) -> None:
    """After close, before and after the thread is gone, and without starting a new one."""
    portal.call(thread_ident)
    portal.close(closed)
    with pytest.raises(SessionClosedError, match="the portal is closed"):
        portal.call(thread_ident)


def test_close_closes_the_resident_and_joins_the_thread(portal: Portal[Resident]) -> None:
    """When close returns, the resident is closed and no thread of ours runs (rule 10)."""
    residents: list[Resident] = []

    async def look(resident: Resident) -> None:
        residents.append(resident)

    portal.call(look)
    names = [thread.name for thread in threading.enumerate()]
    assert "syncclient-loop" in names
    portal.close(closed)
    assert residents[0].closed
    assert "syncclient-loop" not in [thread.name for thread in threading.enumerate()]


def test_close_with_grace_lets_calls_end(portal: Portal[Resident]) -> None:
    """A call in flight that ends within the grace period has its result."""
    began, go = threading.Event(), threading.Event()

    async def work(resident: Resident) -> str:
        began.set()
        await asyncio.get_running_loop().run_in_executor(None, go.wait)
        return "done"

    worker = in_thread(lambda: portal.call(work))
    assert began.wait(20)
    closer = in_thread(lambda: portal.close(closed, grace=30))
    while not portal.closed:
        threading.Event().wait(0.001)
    with pytest.raises(SessionClosedError):
        portal.call(thread_ident)
    go.set()
    assert worker.result(20) == "done"
    closer.result(20)


def test_closes_may_repeat_and_overlap(portal: Portal[Resident]) -> None:
    """Any number of threads may close; each returns when all is closed."""
    portal.call(thread_ident)
    closers = [in_thread(lambda: portal.close(closed)) for _ in range(10)]
    for closer in closers:
        closer.result(20)
    portal.close(closed)


def test_close_inside_a_callback(portal: Portal[Resident]) -> None:
    """A callback may close the portal its own call waits on; that call is then cut short."""

    async def ask(resident: Resident) -> None:
        await in_caller(portal.close, closed)
        await asyncio.Event().wait()

    with pytest.raises(SessionClosedError):
        portal.call(ask)


def test_close_is_not_held_by_a_task_that_swallows_cancellation(
    portal: Portal[Resident], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for calls to unwind is bounded, and their callers wake all the same (rule 5)."""
    assert vars(_lease)["UNWIND_LIMIT"] <= 2.0
    monkeypatch.setattr(_lease, "UNWIND_LIMIT", 0.1)
    began, stop = threading.Event(), threading.Event()

    async def stubborn(resident: Resident) -> None:
        began.set()
        while not stop.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    caller = in_thread(lambda: portal.call(stubborn))
    assert began.wait(20)
    closer = in_thread(lambda: portal.close(closed))
    assert isinstance(caller.exception(20), SessionClosedError)
    closer.result(10)
    stop.set()


# Leases.


def test_the_thread_starts_with_the_first_call_and_ends_with_the_last_close(
    loop_thread: LoopThread,
) -> None:
    """Portals of one loop thread share it; the last one closed stops it."""
    first = Portal(loop_thread, Resident, Resident.aclose, name="first")
    second = Portal(loop_thread, Resident, Resident.aclose, name="second")
    assert "idle" in repr(loop_thread)
    ident = first.call(thread_ident)
    assert second.call(thread_ident) == ident
    first.close(closed)
    assert second.call(thread_ident) == ident
    second.close(closed)
    assert "idle" in repr(loop_thread)


def test_a_portal_dropped_unclosed_gives_its_lease_back(loop_thread: LoopThread) -> None:
    """``abandon``, for finalisers, closes the resident and ends the thread without waiting."""
    portal = Portal(loop_thread, Resident, Resident.aclose, name="dropped")
    residents: list[Resident] = []

    async def look(resident: Resident) -> None:
        residents.append(resident)

    portal.call(look)
    (thread,) = [t for t in threading.enumerate() if t.name == "syncclient-loop"]
    portal.abandon(closed)
    thread.join(20)
    assert not thread.is_alive()
    assert residents[0].closed


def test_a_loop_that_cannot_be_made_is_an_error(loop_thread: LoopThread) -> None:
    """The caller gets LoopThreadError with the factory's own as its cause."""

    def broken() -> asyncio.AbstractEventLoop:
        raise OSError("no descriptors left")

    portal = Portal(LoopThread(loop_factory=broken), Resident, Resident.aclose, name="p")
    with pytest.raises(LoopThreadError, match="no descriptors left") as caught:
        portal.call(thread_ident)
    assert isinstance(caught.value.__cause__, OSError)


def test_a_loop_that_cannot_be_rung_is_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """If descriptors run out between the loop and its mailbox, none is left open."""
    loops: list[asyncio.AbstractEventLoop] = []

    def make() -> asyncio.AbstractEventLoop:
        loops.append(asyncio.new_event_loop())
        return loops[0]

    def broken(loop: asyncio.AbstractEventLoop) -> None:
        raise OSError("no descriptors left")

    monkeypatch.setattr(_loop_run, "Mailbox", broken)
    portal = Portal(LoopThread(loop_factory=make), Resident, Resident.aclose, name="p")
    with pytest.raises(LoopThreadError, match="no descriptors left"):
        portal.call(thread_ident)
    assert loops[0].is_closed()


def test_a_thread_that_never_reports_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """If threads cannot run, an error soon says so and names the remedy (rule 12)."""
    assert _loop_run.START_LIMIT <= 5.0
    monkeypatch.setattr(_loop_run, "START_LIMIT", 0.05)
    go = threading.Event()

    def slow() -> asyncio.AbstractEventLoop:
        go.wait(30)
        return asyncio.new_event_loop()

    portal = Portal(LoopThread(loop_factory=slow), Resident, Resident.aclose, name="p")
    with pytest.raises(LoopThreadError, match="--enable-threads"):
        portal.call(thread_ident)
    go.set()


# Death.


def test_the_loops_death_wakes_every_caller(portal: Portal[Resident]) -> None:
    """A callback that raises SystemExit ends the loop; all callers learn of it (rule 5)."""
    events = [threading.Event() for _ in range(10)]
    callers = [in_thread(lambda e=e: portal.call(forever, e)) for e in events]  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    for event in events:
        assert event.wait(20)

    def die() -> None:
        raise SystemExit("a user's callback")

    async def plant(resident: Resident) -> None:
        asyncio.get_running_loop().call_soon(die)

    portal.call(plant)
    for caller in callers:
        error = caller.exception(20)
        assert isinstance(error, LoopThreadError)
        assert "a user's callback" in str(error)
        assert isinstance(error.__cause__, SystemExit)


def test_after_the_loops_death_the_next_call_starts_a_new_one(portal: Portal[Resident]) -> None:
    """The portal goes on, with a new resident on a new thread."""
    dead = threading.Event()

    def die() -> None:
        dead.set()
        raise SystemExit

    async def plant(resident: Resident) -> None:
        asyncio.get_running_loop().call_soon(die)

    portal.call(plant)
    assert dead.wait(20)
    for thread in threading.enumerate():
        if thread.name == "syncclient-loop":
            thread.join(20)
    assert portal.call(thread_ident)


def test_the_loops_death_under_close_is_a_close(loop_thread: LoopThread) -> None:
    """A loop that dies while it closes has closed all there is: close() returns as ever."""

    async def die(resident: Resident) -> None:
        def raise_exit() -> None:
            raise SystemExit

        asyncio.get_running_loop().call_soon(raise_exit)
        await asyncio.sleep(1)

    portal = Portal(loop_thread, Resident, die, name="the portal")
    portal.call(thread_ident)
    portal.close(closed)
    assert portal.closed


# What a caller holds from afar.


class Pipe:
    """Something open on the loop."""

    def __init__(self) -> None:
        self.done = False
        self.abandoned_on: int | None = None
        self.freed_on: list[int] = []

    def abandon(self) -> None:
        self.abandoned_on = threading.get_ident()
        self.done = True

    async def use(self, how_much: int) -> int:
        return how_much * 2

    async def finish(self) -> str:
        self.done = True
        return "all of it"

    def __del__(self) -> None:
        self.freed_on.append(threading.get_ident())


async def open_pipe(resident: Resident) -> tuple[str, Pipe]:
    return "opened", Pipe()


def test_a_remote_is_called_and_finished(portal: Portal[Resident]) -> None:
    """Calls by a Remote reach the live object; once that is done, the Remote is empty."""
    value, remote = portal.open(open_pipe)
    assert value == "opened"
    assert remote is not None
    assert remote.call(Pipe.use, 21) == 42
    assert remote.call(Pipe.finish) == "all of it"
    with pytest.raises(SessionClosedError, match="released"):
        remote.call(Pipe.use, 1)
    assert portal.crossings == 4


def test_a_dropped_remote_abandons_and_frees_on_the_loop_thread(
    portal: Portal[Resident],
) -> None:
    """The last reference, too, is dropped on the loop thread (rules 1 and 7)."""
    freed: list[int] = []
    pipes: list[weakref.ref[Pipe]] = []

    async def open_watched(resident: Resident) -> tuple[None, Pipe]:
        pipe = Pipe()
        pipe.freed_on = freed
        pipes.append(weakref.ref(pipe))
        return None, pipe

    _, remote = portal.open(open_watched)
    del remote
    ident = portal.call(thread_ident)  # by now the loop has done what came before
    assert freed == [ident]
    assert pipes[0]() is None


def test_a_result_that_nobody_takes_is_abandoned(portal: Portal[Resident]) -> None:
    """An interrupted caller leaves nothing open behind, even if its call had succeeded."""
    opened: list[Pipe] = []
    began = threading.Event()

    async def open_late(resident: Resident) -> tuple[None, Pipe]:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass  # the response came just when its caller was interrupted
        opened.append(Pipe())
        return None, opened[0]

    def callback() -> None:
        raise KeyboardInterrupt

    async def interrupted(resident: Resident) -> tuple[None, Pipe]:
        task = asyncio.create_task(open_late(resident))
        await asyncio.sleep(0)
        try:
            await in_caller(callback)
        except asyncio.CancelledError:
            task.cancel()
            return await task
        raise AssertionError("the callback interrupts")

    with pytest.raises(KeyboardInterrupt):
        portal.open(interrupted)
    portal.call(thread_ident)
    gc.collect()
    ident = portal.call(thread_ident)
    assert opened[0].abandoned_on == ident


def test_the_fork_handler_takes_no_lock_of_the_parents(portal: Portal[Resident]) -> None:
    """A thread that is not in the child may have held any of them (rule 7)."""
    portal.close(closed)
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with portal._lock:
            held.set()
            go.wait(30)

    holder = in_thread(hold)
    assert held.wait(20)
    try:
        in_thread(portal.after_fork_in_child).result(20)
        in_thread(lambda: portal.close(closed)).result(20)
    finally:
        go.set()
    holder.result(20)
