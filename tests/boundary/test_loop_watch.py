"""The warning that a user's async code holds the loop: when it comes, and when it must not."""

import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from syncclient import Session
from syncclient._boundary import loop_watch
from syncclient._boundary.loop_watch import LoopWatch, users_frame
from tests.children import RunChild
from tests.servers.process import AppServer

#: Seconds for the warning to come: pauses of a busy machine make it begin anew.
WITHIN = 60.0


class Warned(logging.Handler):
    """Keeps the warnings, and lets one wait for them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self.come = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self.come.set()


@pytest.fixture
def warned() -> Iterator[Warned]:
    handler = Warned()
    logger = logging.getLogger("syncclient")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_a_middleware_that_blocks_is_named(app: AppServer, warned: Warned) -> None:
    """The caller that waits for it warns, with the name and the place of the function."""

    async def blocks(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        warned.come.wait(WITHIN)  # as time.sleep() or a database would
        return await handler(request)

    with Session(middlewares=[blocks]) as session:
        session.get(f"{app.url}/get").read()
        assert warned.come.is_set()
    (text,) = warned.texts
    assert "blocks" in text
    assert __file__ in text
    assert "to_thread" in text


def test_a_body_that_blocks_is_named(app: AppServer, warned: Warned) -> None:
    """The warning names the user's async generator, not the function that it calls."""

    async def pieces() -> AsyncIterator[bytes]:
        warned.come.wait(WITHIN)
        yield b"x"

    with Session() as session:
        session.post(f"{app.url}/post", data=pieces()).read()
    assert "pieces" in warned.texts[0]


def test_waiting_for_a_slow_server_is_no_matter(app: AppServer, warned: Warned) -> None:
    """A loop that has nothing to do answers, however long the caller waits."""
    with Session() as session:
        session.get(f"{app.url}/delay/2").read()
    assert warned.texts == []


# Without a loop, by a clock of the test's.


class Loop:
    """A loop that answers when it is told to, in the place of a LoopRun."""

    def __init__(self, ident: int) -> None:
        self.ident = ident
        self.questions: list[Callable[..., object]] = []

    def post(self, function: Callable[..., object], *args: Any) -> bool:
        self.questions.append(function)
        return True

    def turn(self) -> None:
        for question in self.questions:
            question()
        self.questions.clear()


@contextmanager
def busy(*, module: str) -> Iterator[int]:
    """A thread in which code of `module` calls a function of the user's, which waits."""
    gate, there = threading.Event(), threading.Event()

    def users() -> None:
        there.set()
        gate.wait(WITHIN)

    namespace: dict[str, Any] = {"__name__": module, "users": users}
    exec("def engine():\n    users()\n", namespace)
    thread = threading.Thread(target=namespace["engine"])
    thread.start()
    try:
        assert there.wait(WITHIN)
        assert thread.ident is not None
        yield thread.ident
    finally:
        gate.set()
        thread.join(WITHIN)


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, watch: LoopWatch) -> None:
        self._now = 1000.0
        self._watch = watch
        monkeypatch.setattr(loop_watch, "time", SimpleNamespace(monotonic=lambda: self._now))

    def looks(self, count: int, every: float = 0.125) -> None:
        """Let so many looks happen, a slice apart."""
        for _ in range(count):
            self._now += every
            self._watch.look()


@pytest.fixture
def in_user_code() -> Iterator[int]:
    with busy(module="aiohttp.client") as ident:
        yield ident


def test_it_is_told_once(
    in_user_code: int, warned: Warned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a second, and not before; and then no more for the same function."""
    loop = Loop(in_user_code)
    watch = LoopWatch(loop)
    clock = Clock(monkeypatch, watch)
    clock.looks(7)
    assert warned.texts == []
    clock.looks(5)
    assert len(warned.texts) == 1
    loop.turn()
    clock.looks(30)
    assert len(warned.texts) == 1
    assert len(loop.questions) == 1  # one at a time


def test_a_loop_that_answers_is_asked_now_and_then(
    in_user_code: int, warned: Warned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four questions a second at most, however many threads look."""
    loop = Loop(in_user_code)
    clock = Clock(monkeypatch, LoopWatch(loop))
    asked = 0
    for _ in range(1000):
        clock.looks(1, every=0.001953125)
        asked += len(loop.questions)
        loop.turn()
    assert 4 <= asked <= 9  # in two seconds
    assert warned.texts == []


def test_a_pause_of_all_threads_is_no_matter(
    in_user_code: int, warned: Warned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suspended machine, or a GIL that others hold, begins the second anew."""
    clock = Clock(monkeypatch, LoopWatch(Loop(in_user_code)))
    for _ in range(10):
        clock.looks(5)
        clock.looks(1, every=3600.0)
    assert warned.texts == []


def test_no_users_code_no_warning(warned: Warned, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's own code is never reported, since users cannot change it."""
    gate = threading.Event()
    namespace: dict[str, Any] = {"__name__": "aiohttp.client", "gate": gate}
    exec(f"def engine():\n    gate.wait({WITHIN})\n", namespace)
    thread = threading.Thread(target=namespace["engine"])
    thread.start()
    try:
        assert thread.ident is not None
        clock = Clock(monkeypatch, LoopWatch(Loop(thread.ident)))
        clock.looks(400)
        assert warned.texts == []
    finally:
        gate.set()
        thread.join(WITHIN)


def test_a_debugger_is_no_matter() -> None:
    """A breakpoint in the user's code holds the loop, and is meant to."""
    with busy(module="aiohttp.client") as ident:
        assert users_frame(ident) is not None
    gate, there = threading.Event(), threading.Event()

    def users() -> None:
        namespace["debugger"]()

    def prompt() -> None:
        there.set()
        gate.wait(WITHIN)

    namespace: dict[str, Any] = {"__name__": "pdb", "prompt": prompt}
    exec("def debugger():\n    prompt()\n", namespace)
    engine: dict[str, Any] = {"__name__": "aiohttp.client", "users": users}
    exec("def engine():\n    users()\n", engine)
    thread = threading.Thread(target=engine["engine"])
    thread.start()
    try:
        assert there.wait(WITHIN)
        assert thread.ident is not None
        assert users_frame(thread.ident) is None
    finally:
        gate.set()
        thread.join(WITHIN)


def test_calls_that_follow_each_other_are_told_apart(
    warned: Warned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that is slow, but turns from call to call, is not blamed on one of them."""
    with busy(module="aiohttp.client") as one, busy(module="aiohttp.client") as other:
        loop = Loop(one)
        clock = Clock(monkeypatch, LoopWatch(loop))
        for number in range(40):
            loop.ident = (one, other)[number % 2]
            clock.looks(3)
        assert warned.texts == []


LOOKING_AMONG_COLLECTIONS = """
import _thread, gc, threading
from syncclient._boundary.loop_watch import users_frame

gate = threading.Event()
threads = [threading.Thread(target=gate.wait) for _ in range(50)]
for thread in threads: thread.start()
# As a finaliser may. It takes the lock that sys._current_frames() holds.
gc.callbacks.append(lambda phase, info: _thread.start_new_thread(int, ()))
gc.set_threshold(1, 1, 1)
for _ in range(50): users_frame(threading.get_ident())
gc.set_threshold(700, 10, 10)
gate.set()
for thread in threads: thread.join()
print(gc.isenabled())
gc.disable()
users_frame(threading.get_ident())
print(gc.isenabled())
"""


def test_a_garbage_collection_does_not_stop_the_process(run_child: RunChild) -> None:
    """A thread looks at the loop's stack, and a collection begins. On Python 3.11, where it would
    begin in the middle, the process would hang. The collector stays as the user has set it."""
    assert run_child(LOOKING_AMONG_COLLECTIONS).stdout.split() == ["True", "False"]


LOOKING_AT_FRAMES_THAT_END = """
import gc, threading
from syncclient._boundary.loop_watch import users_frame

class Target:
    def __init__(self):
        self.there, self.gate, self.moved, self.end = (threading.Event() for _ in range(4))
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        self.there.wait()

    def run(self):
        self.descend(10)
        stay(self.moved, self.end)

    def descend(self, depth):
        if depth:
            self.descend(depth - 1)
        else:
            self.there.set()
            self.gate.wait()

# Its variables are where the frames of `descend` were.
exec(
    "def stay(moved, end):\\n"
    f"    {' = '.join(f'x{number}' for number in range(500))} = True\\n"
    "    moved.set()\\n"
    "    end.wait()\\n"
)

def collected(phase, info):
    global left
    left -= phase == "start"
    if left == 0:
        left = -1
        target.gate.set()
        target.moved.wait()  # releases the GIL, as a finaliser may

gc.callbacks.append(collected)
for number in range(1, 40):
    target, left = Target(), 0
    gc.collect()
    gc.set_threshold(1, 1, 1)
    left = number
    users_frame(target.thread.ident)
    gc.set_threshold(700, 10, 10)
    target.gate.set()
    target.end.set()
    target.thread.join()
print("done")
"""


def test_frames_that_end_in_a_garbage_collection(run_child: RunChild) -> None:
    """A thread looks at another's stack, and that moves on where a collection releases the GIL.
    On Python 3.11, `f_back` would return an object that is no frame."""
    child = run_child(LOOKING_AT_FRAMES_THAT_END)
    assert (child.stdout, child.status) == ("done\n", 0), child.stderr
