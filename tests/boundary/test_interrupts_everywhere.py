"""An interrupt at every line, and every instruction, of a caller's way across the boundary.

A trace function raises KeyboardInterrupt at the n-th step that the thread takes in the
boundary's files, for n = 1, 2, ... until the operation ends before its n-th step. That
is more than real interrupts do, which come at some of the instructions only; but for
``with``, whose own instructions Python does not interrupt.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import linecache
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import TYPE_CHECKING, Any

import pytest

import syncclient
from syncclient._boundary import (
    call as _call,
)
from syncclient._boundary import (
    lease as _lease,
)
from syncclient._boundary import (
    loop_run as _loop_run,
)
from syncclient._boundary import (
    loop_thread as _loop_thread,
)
from syncclient._boundary import (
    mailbox as _mailbox,
)
from syncclient._boundary import (
    portal as _portal,
)
from syncclient._boundary import (
    queue_wait as _queue_wait,
)
from syncclient._boundary import (
    submitted_call as _future,
)
from syncclient._boundary.lease import Lease
from syncclient._boundary.loop_thread import LoopThread
from syncclient._boundary.portal import Portal
from syncclient._caller import in_caller
from tests.boundary.conftest import Resident, closed
from tests.boundary.test_submitted_call import submit
from tests.bounds import wait_until
from tests.servers.process import AppServer

if TYPE_CHECKING:
    from typing_extensions import Self

pytestmark = [
    pytest.mark.skipif(
        sys.gettrace() is not None, reason="another tracer, of coverage or a debugger, is at work"
    ),
    # What comes in a finaliser, Python swallows, and pytest reports.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.slow,
]

#: The files in whose code the interrupts come.
_MODULES = (_call, _future, _mailbox, _lease, _loop_run, _loop_thread, _portal, _queue_wait)
_FILES = frozenset(str(module.__file__) for module in _MODULES)

#: The number under which Python knows who monitors it.
_TOOL = 4

#: More steps than any of the operations takes: each must have come to its end before.
_MANY = 5000
#: Seconds that things have to come to rest after an interrupt.
_REST = 5.0


@pytest.fixture
def loop_thread() -> LoopThread:
    """One event loop will do: a caller's way is the same with each."""
    return LoopThread()


class InterruptAt:
    """Raises KeyboardInterrupt in this thread at the n-th line in the boundary."""

    def __init__(self, step: int) -> None:
        self._left = step
        self.where = ""

    def __enter__(self) -> Self:
        sys.settrace(self._enter_frame)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.settrace(None)

    def _enter_frame(self, frame: FrameType, event: str, arg: object) -> Any:
        return self._step if frame.f_code.co_filename in _FILES else None

    def _step(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            self._count(frame.f_code, frame.f_lineno)
        return self._step

    def _count(self, code: CodeType, line: int) -> None:
        if linecache.getline(code.co_filename, line).lstrip().startswith("with "):
            return  # up to 3.13 Python looks for no signal between __exit__ and the block
        self._left -= 1
        if self._left == 0:
            self.where = f"{Path(code.co_filename).name}:{line} in {code.co_name}"
            raise KeyboardInterrupt


class InterruptAtInstruction(InterruptAt):
    """Raises it at the n-th instruction. Python 3.12 and later."""

    if sys.version_info >= (3, 12):

        def __enter__(self) -> Self:
            self._thread = threading.get_ident()
            monitoring = sys.monitoring
            monitoring.use_tool_id(_TOOL, "interrupts")
            monitoring.register_callback(_TOOL, monitoring.events.INSTRUCTION, self._instruction)
            for code in _CODES:
                monitoring.set_local_events(_TOOL, code, monitoring.events.INSTRUCTION)
            return self

        def __exit__(self, *exc_info: object) -> None:
            self._left = -1
            for code in _CODES:
                sys.monitoring.set_local_events(_TOOL, code, 0)
            sys.monitoring.free_tool_id(_TOOL)

        def _instruction(self, code: CodeType, offset: int) -> None:
            if threading.get_ident() == self._thread:
                self._count(code, _line_of(code, offset))


@functools.cache
def _line_of(code: CodeType, offset: int) -> int:
    return next(line or 0 for start, end, line in code.co_lines() if start <= offset < end)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _functions(owner: object) -> Iterator[FunctionType]:
    for thing in vars(owner).values():
        function = thing.fget if isinstance(thing, property) else thing
        if isinstance(function, FunctionType):
            yield function
        elif isinstance(thing, type) and thing.__module__.startswith("syncclient."):
            yield from _functions(thing)


_CODES = {
    code
    for module in _MODULES
    for function in _functions(module)
    if function.__code__.co_filename in _FILES
    for code in _codes(function.__code__)
}

#: The finest steps that this Python can tell apart.
STEPS = [InterruptAt] + ([InterruptAtInstruction] if sys.version_info >= (3, 12) else [])


class Pipe:
    """Something open on the loop, which counts its kind."""

    def __init__(self, opened: set[Pipe]) -> None:
        self.done = False
        self._opened = opened
        opened.add(self)

    def abandon(self) -> None:
        self.done = True
        self._opened.discard(self)

    async def use(self) -> int:
        await asyncio.sleep(0)
        return 1

    async def finish(self) -> None:
        self.abandon()


Operation = Callable[[Portal[Resident], "set[Pipe]"], None]


async def _plain(resident: Resident) -> str:
    await asyncio.sleep(0)
    return "fine"


def call(portal: Portal[Resident], opened: set[Pipe]) -> None:
    """A call that suspends once."""
    assert portal.call(_plain) == "fine"


def call_with_a_job(portal: Portal[Resident], opened: set[Pipe]) -> None:
    """A call that has its caller run something."""

    async def ask(resident: Resident) -> int:
        return await in_caller(int, "7")

    assert portal.call(ask) == 7


def open_use_finish(portal: Portal[Resident], opened: set[Pipe]) -> None:
    """Something opened on the loop, used, and finished."""

    async def open_pipe(resident: Resident) -> tuple[None, Pipe]:
        return None, Pipe(opened)

    _, remote = portal.open(open_pipe)
    assert remote is not None
    assert remote.call(Pipe.use) == 1
    remote.call(Pipe.finish)


def open_and_drop(portal: Portal[Resident], opened: set[Pipe]) -> None:
    """Something opened on the loop, and given up by a post."""

    async def open_pipe(resident: Resident) -> tuple[None, Pipe]:
        await asyncio.sleep(0)
        return None, Pipe(opened)

    _, remote = portal.open(open_pipe)
    assert remote is not None
    remote.post(Pipe.abandon)


def future(portal: Portal[Resident], opened: set[Pipe]) -> None:
    """A submitted call whose result is waited for."""
    assert submit(portal, _plain).result(_REST) == "fine"


def future_cancelled(portal: Portal[Resident], opened: set[Pipe]) -> None:
    """A submitted call that is cancelled."""

    async def slow(resident: Resident) -> str:
        await asyncio.sleep(0.1)  # its end, where the interrupt comes after submit() has returned
        return "too late"

    assert submit(portal, slow).cancel()


_OPERATIONS = [call, call_with_a_job, open_use_finish, open_and_drop, future, future_cancelled]


def interrupted_everywhere(
    operation: Callable[[], object], interrupt_at: type[InterruptAt]
) -> Iterator[tuple[int, InterruptAt]]:
    """Run ``operation`` again and again, interrupted one step later each time."""
    for step in range(1, _MANY):
        with interrupt_at(step) as tracer:
            try:
                operation()
            except KeyboardInterrupt:
                pass
            if not tracer.where:
                return
        yield step, tracer
    raise AssertionError("the operation does not come to its end")


def at_rest(portal: Portal[Resident], opened: set[Pipe]) -> bool:
    """Tell whether nothing is pending, and nothing open. Looks on the loop thread."""
    lease: Lease[Resident] | None = portal._lease
    assert lease is not None
    run = lease.run
    assert run is not None

    async def look(resident: Resident) -> bool:
        mine = asyncio.current_task()
        # This call is among the calls, and on its way until its first suspension.
        posted = [call for call in run.posted if call not in lease._calls]
        return not (opened or posted or len(lease._calls) > 1 or asyncio.all_tasks() - {mine})

    return portal.call(look)


@pytest.fixture(autouse=True)
def small_heap() -> Iterator[None]:
    """Keep what other tests have left out of the collections, hundreds of which are made here."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("interrupt_at", STEPS)
@pytest.mark.parametrize("operation", _OPERATIONS, ids=lambda operation: operation.__name__)
def test_an_interrupt_anywhere_leaves_nothing_behind(
    portal: Portal[Resident], operation: Operation, interrupt_at: type[InterruptAt]
) -> None:
    """Afterwards the portal works, no call is pending, and nothing is open on the loop."""
    opened: set[Pipe] = set()
    portal.call(_plain)
    steps = 0
    for step, tracer in interrupted_everywhere(lambda: operation(portal, opened), interrupt_at):
        steps = step
        until = time.monotonic() + _REST
        while not at_rest(portal, opened):
            assert time.monotonic() < until, f"not at rest after step {step}: {tracer.where}"
            gc.collect()
    assert steps > 20


def _wait_for_start(thread: threading.Thread) -> None:
    """Wait for the thread that starts this one, which may still be about to."""
    wait_until(lambda: thread.ident is not None, "the start of a thread")


@pytest.mark.parametrize("interrupt_at", STEPS)
def test_an_interrupt_anywhere_in_the_first_call_starts_no_stray_thread(
    loop_thread: LoopThread, interrupt_at: type[InterruptAt]
) -> None:
    """Interrupted while the loop thread starts, a call works, and close() ends all threads."""
    others = set(threading.enumerate())

    def first_call() -> None:
        portal.call(_plain)

    portal = Portal(loop_thread, Resident, Resident.aclose, name="the portal")
    for step, tracer in interrupted_everywhere(first_call, interrupt_at):
        assert portal.call(_plain) == "fine", f"step {step}: {tracer.where}"
        portal.close(closed)
        for thread in set(threading.enumerate()) - others:
            _wait_for_start(thread)
            thread.join(_REST)
            assert not thread.is_alive(), f"step {step}, {tracer.where}: {thread.name} is left"
        portal = Portal(loop_thread, Resident, Resident.aclose, name="the portal")
    portal.close(closed)


@pytest.mark.parametrize("interrupt_at", STEPS)
def test_an_interrupt_anywhere_in_close_leaves_no_thread(
    loop_thread: LoopThread, interrupt_at: type[InterruptAt]
) -> None:
    """Interrupted anywhere, close() goes on without its caller, or can be called again."""
    others = set(threading.enumerate())
    portal = Portal(loop_thread, Resident, Resident.aclose, name="the portal")
    portal.call(_plain)

    def closing() -> None:
        portal.close(closed)

    for step, tracer in interrupted_everywhere(closing, interrupt_at):
        portal.close(closed)
        for thread in set(threading.enumerate()) - others:
            thread.join(_REST)
            assert not thread.is_alive(), f"step {step}, {tracer.where}: {thread.name} is left"
        portal = Portal(loop_thread, Resident, Resident.aclose, name="the portal")
        portal.call(_plain)


def test_an_interrupt_as_the_response_arrives_gives_its_connection_back(
    app: AppServer, session: syncclient.Session
) -> None:
    """A response that nobody takes any more is not kept by the context of its connection."""
    session.get("/get").read()
    path = "/bytes/20000000"  # more than the kernel takes: it stays in flight until it is given up
    for _, tracer in interrupted_everywhere(lambda: session.get(path).close(), InterruptAt):
        try:
            app.wait_until(lambda stats: path not in stats.in_flight, _REST)
        except TimeoutError:
            pytest.fail(f"a response is left open after an interrupt at {tracer.where}")
