"""Calls that nobody is blocked on: what their futures promise, on both event loops."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future

import pytest

import syncclient
from syncclient._boundary.lease import Remote
from syncclient._boundary.loop_thread import LoopThread
from syncclient._boundary.portal import Portal
from syncclient._boundary.submitted_call import Submission
from syncclient._caller import ReturningCaller, in_caller
from syncclient._exceptions import BlockingCallError, LoopThreadError, SessionClosedError
from tests.boundary.conftest import Resident, closed, in_thread
from tests.bounds import wait_until

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs

color: contextvars.ContextVar[str] = contextvars.ContextVar("color", default="none")


class Live:
    """Something open on the loop, of a kind that is never opened here."""

    done = True

    def abandon(self) -> None: ...


class Asked(Submission[object]):
    """A submission that notes what it is asked to do."""

    def __init__(self, *, lends: bool = False) -> None:
        self.lends = lends
        self.given_back: list[tuple[str, BaseException | None]] = []
        self.discarded: list[object] = []

    def give_back(self, error: BaseException | None) -> None:
        self.given_back.append((threading.current_thread().name, error))

    def discard(self, result: object) -> None:
        self.discarded.append(result)


async def as_it_is(value: object, remote: Remote[Live] | None) -> object:
    return value


def submit(
    portal: Portal[Resident],
    method: Callable[[Resident], Awaitable[object]],
    asked: Asked | None = None,
) -> Future[object]:
    """Submit ``method(resident)``."""

    async def ask(resident: Resident) -> tuple[object, Live | None]:
        return await method(resident), None

    return portal.submit(ask, as_it_is, asked or Asked())


async def forever(resident: Resident) -> None:
    """Wait until cancelled."""
    await asyncio.Event().wait()


async def loop_thread_name(resident: Resident) -> str:
    return threading.current_thread().name


# Outcomes.


def test_the_result_arrives(portal: Portal[Resident]) -> None:
    """The caller goes on at once, and the future has what the coroutine returned."""
    future = submit(portal, loop_thread_name)
    assert future.result(WITHIN) == "syncclient-loop"
    assert future.exception() is None
    assert portal.crossings == 1


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration(3), SystemExit(4)])
def test_the_error_arrives(portal: Portal[Resident], error: BaseException) -> None:
    """The future has the exception that the coroutine raised, and the loop continues."""

    async def fail(resident: Resident) -> None:
        await asyncio.sleep(0)
        raise error

    assert submit(portal, fail).exception(WITHIN) is error
    assert submit(portal, loop_thread_name).result(WITHIN)


def test_a_closed_portal_refuses(portal: Portal[Resident]) -> None:
    """Submitting to what is closed raises; there is no future that could fail later."""
    portal.close(closed)
    with pytest.raises(SessionClosedError):
        submit(portal, loop_thread_name)


def test_closing_fails_what_is_under_way(portal: Portal[Resident]) -> None:
    """Closing completes every future with the reason, and lets go of what was lent."""
    asked = Asked(lends=True)
    future = submit(portal, forever, asked)
    portal.close(closed)
    with pytest.raises(SessionClosedError):
        future.result(WITHIN)
    assert [type(error) for _, error in asked.given_back] == [SessionClosedError]


def test_a_dead_loop_thread_fails_what_is_under_way(loop_thread: LoopThread) -> None:
    """When the loop thread dies, futures do not wait for ever."""
    portal = Portal(loop_thread, Resident, Resident.aclose, name="the portal")

    async def die(resident: Resident) -> None:
        asyncio.get_running_loop().call_soon(_raise, SystemExit("the loop's end"))
        await forever(resident)

    with pytest.raises(LoopThreadError):
        submit(portal, die).result(WITHIN)
    portal.close(closed)


def _raise(error: BaseException) -> None:
    raise error


def test_a_deadline_around_the_submission_is_the_call_s(portal: Portal[Resident]) -> None:
    """A call submitted in a timeout() block ends with the block's time, wherever one waits."""
    with syncclient.timeout(0.05) as block:
        future = submit(portal, forever)
    assert isinstance(future.exception(WITHIN), syncclient.DeadlineError)
    assert block.expired()


def test_result_keeps_to_the_deadline_around_it(portal: Portal[Resident]) -> None:
    """result() in a timeout() block waits no longer than that, and the call goes on."""
    future = submit(portal, forever)
    with syncclient.timeout(0.05) as block:
        with pytest.raises(syncclient.DeadlineError, match="waiting for a submitted request"):
            future.result()
        with pytest.raises(syncclient.DeadlineError):
            future.exception(WITHIN)
    assert block.expired()
    assert not future.done()
    assert future.cancel()


def test_the_shorter_of_timeout_and_deadline_counts(portal: Portal[Resident]) -> None:
    """result(timeout) that ends before the block does raises what it always raises."""
    future = submit(portal, forever)
    with syncclient.timeout(60), pytest.raises(concurrent.futures.TimeoutError) as caught:
        future.result(0.01)
    assert not isinstance(caught.value, syncclient.DeadlineError)
    assert future.cancel()


def test_a_done_future_answers_after_the_deadline(portal: Portal[Resident]) -> None:
    """A result that is already there is returned even after the deadline of the block."""
    future = submit(portal, loop_thread_name)
    future.result(WITHIN)
    with syncclient.timeout(0):
        assert future.result()


def test_waiting_on_the_loop_thread_is_refused(portal: Portal[Resident]) -> None:
    """result() on the loop thread could only wait for itself: it says so."""
    waited = submit(portal, forever)

    async def wait_here(resident: Resident) -> None:
        waited.result()

    with pytest.raises(BlockingCallError, match="wrap_future"):
        submit(portal, wait_here).result(WITHIN)
    waited.cancel()


def test_a_future_can_be_awaited_in_another_loop(portal: Portal[Resident]) -> None:
    """asyncio.wrap_future() makes it awaitable, and cancels it with its awaiter."""
    future = submit(portal, forever)

    async def main() -> object:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(future), 0.01)
        return await asyncio.wrap_future(submit(portal, loop_thread_name))

    assert asyncio.run(main()) == "syncclient-loop"
    assert future.cancelled()


# Cancelling.


def test_cancelling_unwinds_the_call(portal: Portal[Resident]) -> None:
    """cancel() cancels the task, and wait() returns once that has unwound."""
    began, unwound = threading.Event(), threading.Event()

    async def unwind(resident: Resident) -> None:
        began.set()
        try:
            await forever(resident)
        finally:
            await asyncio.sleep(0)
            unwound.set()

    future = submit(portal, unwind)
    assert began.wait(WITHIN)
    assert future.cancel()
    assert future.cancel()  # again: still true
    assert concurrent.futures.wait([future], WITHIN).done == {future}
    assert unwound.is_set()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()


def test_a_call_not_yet_begun_can_be_cancelled(portal: Portal[Resident]) -> None:
    """A call cancelled before the loop came to it never runs."""
    blocked, go, ran = threading.Event(), threading.Event(), threading.Event()

    async def block(resident: Resident) -> None:
        blocked.set()
        go.wait(WITHIN)

    async def run(resident: Resident) -> None:
        ran.set()

    blocking = submit(portal, block)
    assert blocked.wait(WITHIN)
    late = submit(portal, run)
    assert late.cancel()
    go.set()
    assert concurrent.futures.wait([blocking, late], WITHIN).not_done == set()
    portal.call(forever_not)
    assert not ran.is_set()


async def forever_not(resident: Resident) -> None:
    """Come back at once."""


def test_a_result_that_comes_too_late_is_discarded(portal: Portal[Resident]) -> None:
    """The result of a cancelled call is released, not left to the garbage collector."""
    began = threading.Event()

    async def insist(resident: Resident) -> str:
        began.set()
        try:
            await forever(resident)
        except asyncio.CancelledError:
            pass
        return "too late"

    asked = Asked()
    future = submit(portal, insist, asked)
    assert began.wait(WITHIN)
    assert future.cancel()
    assert concurrent.futures.wait([future], WITHIN).done
    assert asked.discarded == ["too late"]


def test_a_done_future_cannot_be_cancelled(portal: Portal[Resident]) -> None:
    """cancel() after the end returns False and changes nothing."""
    future = submit(portal, loop_thread_name)
    future.result(WITHIN)
    assert not future.cancel()
    assert future.result()


# Callbacks of the future.


def test_callbacks_run_off_the_loop_thread(portal: Portal[Resident]) -> None:
    """A done callback may block, and may call again: it is on a thread of ours."""
    go: Future[object] = Future()
    said: Future[tuple[str, str]] = Future()

    async def wait(resident: Resident) -> object:
        return await asyncio.wrap_future(go)

    def call_back(future: Future[object]) -> None:
        said.set_result((threading.current_thread().name, portal.call(loop_thread_name)))

    submit(portal, wait).add_done_callback(call_back)
    go.set_result(None)
    name, again = said.result(WITHIN)
    assert name != "syncclient-loop"
    assert name != threading.current_thread().name
    assert again == "syncclient-loop"


@pytest.mark.parametrize("how", ["the loop", "a worker", "a thread of its own", "cancel"])
def test_a_callback_can_ask_for_the_result(portal: Portal[Resident], how: str) -> None:
    """The future is done when its callbacks run, in whichever thread they do."""
    got: Future[object] = Future()

    async def late(resident: Resident) -> str:
        await asyncio.to_thread(go.wait, WITHIN)
        return "the result"

    def ask(future: Future[object]) -> None:
        try:
            got.set_result(future.result(WITHIN))
        except concurrent.futures.CancelledError as exc:
            got.set_exception(exc)

    go = threading.Event()
    future = submit(portal, late, Asked(lends=how == "a thread of its own"))
    future.add_done_callback(ask)
    if how == "cancel":
        assert future.cancel()
        with pytest.raises(concurrent.futures.CancelledError):
            got.result(WITHIN)
        go.set()
        return
    if how == "a worker":
        waiting = in_thread(lambda: concurrent.futures.wait([future], WITHIN))
        wait_until(lambda: bool(future._waiters), "the waiter")
    go.set()
    assert got.result(WITHIN) == "the result"
    if how == "a worker":
        assert waiting.result(WITHIN).done == {future}


class Jammed:
    """What ``concurrent.futures.wait`` leaves with a future, the lock of its event acquired."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def add_result(self, future: Future[object]) -> None:
        self.released.wait(WITHIN)


@pytest.mark.parametrize("kept", ["the lock of the future", "the lock of a waiter"])
def test_a_lock_that_an_interrupt_has_kept(portal: Portal[Resident], kept: str) -> None:
    """Neither the loop thread waits for it, nor whoever asks for the result."""

    async def late(resident: Resident) -> str:
        await asyncio.to_thread(go.wait, WITHIN)
        return "the result"

    go, jammed = threading.Event(), Jammed()
    future = submit(portal, late)
    if kept == "the lock of the future":
        in_thread(future._condition.acquire).result(WITHIN)  # by a thread that has gone
    else:
        future._waiters.append(jammed)  # type: ignore[arg-type]  # as much of one as it takes
    go.set()
    assert future.result(WITHIN) == "the result"
    assert submit(portal, loop_thread_name).result(WITHIN) == "syncclient-loop"
    assert portal.call(loop_thread_name)
    jammed.released.set()


def test_a_callback_added_late_runs_at_once(portal: Portal[Resident]) -> None:
    """On a future that is done, the callback runs in the caller's thread, before it goes on."""
    future = submit(portal, loop_thread_name)
    future.result(WITHIN)
    seen: list[tuple[object, int]] = []
    future.add_done_callback(lambda done: seen.append((done, threading.get_ident())))
    assert seen == [(future, threading.get_ident())]


def test_a_callback_that_raises_is_logged(
    portal: Portal[Resident], caplog: pytest.LogCaptureFixture
) -> None:
    """No caller can catch its error, so it is logged, and the next callback runs."""
    go: Future[object] = Future()
    after = threading.Event()

    async def wait(resident: Resident) -> object:
        return await asyncio.wrap_future(go)

    future = submit(portal, wait)
    future.add_done_callback(lambda done: _raise(ValueError("in a callback")))
    future.add_done_callback(lambda done: after.set())
    with caplog.at_level(logging.ERROR):
        go.set_result(None)
        assert after.wait(WITHIN)
        portal.close(closed)  # joins the workers
    assert "in a callback" in caplog.text


# The user's code in a submitted call.


def test_code_of_the_user_s_has_one_thread(portal: Portal[Resident]) -> None:
    """All of a call's callbacks run in one thread of its own, in the submitter's context."""

    looks: list[tuple[str, int, str]] = []

    def look() -> None:
        looks.append((threading.current_thread().name, threading.get_ident(), color.get()))
        color.set("changed")

    async def ask_twice(resident: Resident) -> None:
        await in_caller(look)
        await in_caller(look)

    color.set("blue")
    asked = Asked(lends=True)
    submit(portal, ask_twice, asked).result(WITHIN)
    (name, ident, seen), second = looks
    assert (name, seen) == ("syncclient-submit", "blue")
    assert second == (name, ident, "changed")
    assert asked.given_back == [("syncclient-submit", None)]
    assert color.get() == "blue"


def test_nothing_lent_means_no_thread(portal: Portal[Resident]) -> None:
    """A call that has nothing of the user's to run starts no thread."""
    before = threading.active_count()
    asked = Asked()
    submit(portal, loop_thread_name, asked).result(WITHIN)
    assert asked.given_back == []
    assert threading.active_count() - before <= 1  # the loop thread


def test_the_future_is_done_after_all_is_given_back(portal: Portal[Resident]) -> None:
    """When the future is done, the generator is closed and the file is back at its position."""
    asked = Asked(lends=True)
    future = submit(portal, loop_thread_name, asked)
    future.result(WITHIN)
    assert len(asked.given_back) == 1


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(4), KeyboardInterrupt()])
def test_what_the_user_s_code_raises_is_in_the_future(
    portal: Portal[Resident], error: BaseException
) -> None:
    """The exception is unchanged. An interrupt raised there only cancels the call."""

    async def ask(resident: Resident) -> None:
        await in_caller(_raise, error)

    assert submit(portal, ask).exception(WITHIN) is error
    assert portal.call(loop_thread_name)


def test_code_that_blocks_does_not_hold_up_the_future(portal: Portal[Resident]) -> None:
    """A callback that hangs keeps its thread, but neither a deadline nor a close."""
    inside, go = threading.Event(), threading.Event()

    def hang() -> None:
        inside.set()
        go.wait(WITHIN)

    async def ask(resident: Resident) -> None:
        await in_caller(hang)

    asked = Asked(lends=True)
    future = submit(portal, ask, asked)
    assert inside.wait(WITHIN)
    portal.close(closed)
    assert isinstance(future.exception(WITHIN), SessionClosedError)
    assert asked.given_back == []
    go.set()  # and then it gives back, which no_leaks waits for


# Callbacks that wait for whichever call comes next.


def test_a_relay_brings_callbacks_to_the_next_call(portal: Portal[Resident]) -> None:
    """A task that outlives its call has its callbacks run by the caller that comes next."""
    caller = ReturningCaller()
    tasks: list[asyncio.Task[int]] = []

    async def begin(resident: Resident) -> None:
        tasks.append(asyncio.ensure_future(caller.execute(threading.get_ident)))

    async def come_again(resident: Resident) -> int:
        with caller:
            return await tasks[0]

    async def look(resident: Resident) -> int:
        return caller.waiting

    portal.call(begin)
    assert portal.call(look) == 1
    assert portal.call(come_again) == threading.get_ident()
    assert in_thread(lambda: portal.call(begin)).result(WITHIN) is None


def test_a_callback_may_end_after_its_call(portal: Portal[Resident]) -> None:
    """A callback still running when the call that took it ends has its answer delivered."""
    caller = ReturningCaller()
    tasks: list[asyncio.Task[str]] = []
    inside, go = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        go.wait(WITHIN)
        return "answered"

    async def take_it(resident: Resident) -> None:
        with caller:
            tasks.append(asyncio.ensure_future(caller.execute(slow)))
            while not inside.is_set():
                await asyncio.sleep(0)

    async def answer(resident: Resident) -> str:
        return await tasks[0]

    taking = in_thread(lambda: portal.call(take_it))
    assert inside.wait(WITHIN)
    go.set()
    taking.result(WITHIN)
    assert portal.call(answer) == "answered"
