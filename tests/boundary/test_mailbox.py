"""The mailbox of the loop thread: in order, whole, and safe to close under its senders."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import weakref

import pytest

from syncclient._boundary.mailbox import Mailbox
from tests.boundary.conftest import in_thread

SENDERS = 8
LETTERS = 2000


@pytest.fixture(params=["asyncio", "uvloop", "proactor-like"])
def loop(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoop:
    """Each of the loops; the last cannot watch sockets, as on Windows."""
    if request.param == "uvloop":
        return pytest.importorskip("uvloop").new_event_loop()  # type: ignore[no-any-return]  # its only kind
    if request.param == "asyncio":
        return asyncio.new_event_loop()

    class NoReaders(asyncio.SelectorEventLoop):
        def add_reader(self, *args: object) -> None:
            raise NotImplementedError

    return NoReaders()


def test_letters_of_many_threads_arrive_whole_and_in_order(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Each thread's functions run in the order it put them, none is lost, none runs twice."""
    mailbox = Mailbox(loop)
    arrived: list[tuple[int, int]] = []

    def send(sender: int) -> None:
        for number in range(LETTERS):
            mailbox.put(arrived.append, ((sender, number),))
        mailbox.put(ended.release)

    ended = threading.Semaphore(0)

    def stop_when_all_ended() -> None:
        for _ in range(SENDERS):
            assert ended.acquire(timeout=30)
        loop.call_soon_threadsafe(loop.stop)

    senders = [in_thread(lambda n=n: send(n)) for n in range(SENDERS)]  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    stopper = in_thread(stop_when_all_ended)
    loop.run_forever()
    stopper.result(20)
    for sender in senders:
        sender.result(20)
    mailbox.close()
    loop.close()
    for number in range(SENDERS):
        assert [n for s, n in arrived if s == number] == list(range(LETTERS))


def test_a_function_runs_in_the_context_it_came_with(loop: asyncio.AbstractEventLoop) -> None:
    """A function runs in its sender's context; one that fails is reported, and the others run."""
    color: contextvars.ContextVar[str] = contextvars.ContextVar("color", default="none")
    mailbox, seen, reported = Mailbox(loop), [], []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))

    def look() -> None:
        seen.append(color.get())

    def fail() -> None:
        raise LookupError("a letter's")

    context = contextvars.copy_context()
    context.run(color.set, "blue")
    mailbox.put(context.run, (look,))
    mailbox.put(fail)
    mailbox.put(look)
    mailbox.put(loop.stop)
    loop.run_forever()
    mailbox.close()
    loop.close()
    assert seen == ["blue", "none"]
    assert [type(error) for error in reported] == [LookupError]


def test_closing_under_senders(loop: asyncio.AbstractEventLoop) -> None:
    """Senders in full flight get OSError or RuntimeError, at the latest, once it is closed."""
    mailbox = Mailbox(loop)
    began = threading.Semaphore(0)

    def send() -> str:
        began.release()
        while True:
            try:
                mailbox.put(int)
            except (OSError, RuntimeError):
                return "refused"

    # Few: many would keep a loop that is rung without a socket from its timer for a minute.
    senders = [in_thread(send) for _ in range(3)]
    for _ in senders:
        assert began.acquire(timeout=20)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    mailbox.close()
    loop.close()
    assert [sender.result(10) for sender in senders] == ["refused"] * 3


def test_senders_in_quick_succession_do_not_keep_the_loop_to_themselves(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """A function that puts itself in again and again leaves timers their turn."""
    mailbox = Mailbox(loop)
    turns = 0

    def again() -> None:
        nonlocal turns
        turns += 1
        if not stopped and turns < 200_000:
            mailbox.put(again)

    def stop() -> None:
        stopped.append(True)
        loop.stop()

    stopped: list[bool] = []
    loop.call_later(0.01, stop)
    mailbox.put(again)
    loop.run_forever()
    mailbox.close()
    loop.close()
    assert stopped
    assert turns < 200_000


def test_what_is_never_delivered_is_freed_by_the_closing(loop: asyncio.AbstractEventLoop) -> None:
    """A letter may hold the last reference to what belongs to the loop (rule 1)."""

    class Live:
        def method(self) -> None:
            """Never called."""

    live = Live()
    witness = weakref.ref(live)
    mailbox = Mailbox(loop)
    mailbox.put(live.method)
    del live
    assert witness() is not None
    mailbox.close()
    loop.close()
    assert witness() is None
