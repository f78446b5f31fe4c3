"""Any sequence of operations, overlapping on several threads, ends as it should.

Hypothesis makes up the sequence: which thread does what to which session, response,
socket or future. The threads work their queues off at their own pace, so operations
overlap; what an operation may then raise follows from what else was asked for.
"""

from __future__ import annotations

import contextlib
import gc
import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import syncclient
from tests.servers.content import pattern
from tests.servers.process import AppServer

#: Seconds after which an operation counts as hanging.
HANG = 20.0
#: More than the kernel takes: the handler is busy until the body is read or given up.
SIZE = 20_000_000

#: The same for everybody who runs it, and bounded.
SETTINGS = settings(
    derandomize=True,
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # to shrink takes minutes, where each example waits for something
    suppress_health_check=list(HealthCheck),
)

workers = st.integers(0, 2)
which = st.integers(0, 5)


@dataclass(eq=False)
class Owner:
    """A session, and what was asked of it."""

    session: syncclient.Session
    closing: bool = False
    #: Whether a close() has returned: from now on every operation is refused.
    closed: bool = False


@dataclass(eq=False)
class Thing:
    """A response, a socket or a future to be, and what was asked of it."""

    owner: Owner
    future: Future[Any]
    given_up: bool = False
    cancelled: bool = False


@dataclass(eq=False)
class Task:
    """One operation on its way, and what it may end in besides a result."""

    name: str
    owner: Owner
    thing: Thing | None
    future: Future[Any] = field(default_factory=Future)
    #: The session was closed before this was asked for: it must be refused.
    refused: bool = False

    def allowed(self, crowded: bool) -> tuple[type[BaseException], ...]:
        """The errors that this may end in, now that all is known that was asked for."""
        errors: list[type[BaseException]] = []
        if self.owner.closing:
            errors.append(syncclient.SessionClosedError)
            if self.thing is not None:  # a socket says so in its own way
                errors += [syncclient.ClientConnectionError, syncclient.ClientPayloadError]
        if self.thing is not None and self.thing.given_up:
            errors += [syncclient.ClientConnectionError, syncclient.SessionClosedError]
        if self.thing is not None and self.thing.cancelled:
            errors.append(CancelledError)
        if crowded:
            errors.append(RuntimeError)  # one reader at a time
        return tuple(errors)


class Worker:
    """A thread that works a queue off."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]
        self._queue = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def put(self, future: Future[Any], function: Callable[[], Any]) -> None:
        self._queue.put((future, function))

    def end(self) -> None:
        self._queue.put(None)
        self._thread.join(HANG)
        assert not self._thread.is_alive(), "a worker hangs"

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            future, function = job
            try:
                future.set_result(function())
            except BaseException as exc:
                future.set_exception(exc)
            del job, future, function


class Machine(RuleBasedStateMachine):
    """Sessions and what they open, used by three threads at once."""

    app: AppServer

    def __init__(self) -> None:
        super().__init__()
        self._open_before = self.app.stats().connections_open
        self._workers = [Worker() for _ in range(3)]
        self._tasks: list[Task] = []
        self._owners = [Owner(syncclient.Session(self.app.url))]
        self._responses: list[Thing] = []
        self._sockets: list[Thing] = []
        self._futures: list[Thing] = []

    # -- what is asked for -------------------------------------------------------------

    @rule(worker=workers, path=st.sampled_from(["/get", f"/bytes/{SIZE}", "/stream/50"]))
    def get(self, worker: int, path: str) -> None:
        owner = self._owners[-1]
        task = self._ask(worker, "get", owner, None, lambda: owner.session.get(path))
        self._responses.append(Thing(owner, task.future))

    @precondition(lambda self: self._responses)
    @rule(worker=workers, which=which, n=st.sampled_from([1, 1000, -1]))
    def read(self, worker: int, which: int, n: int) -> None:
        thing = self._pick(self._responses, which)

        def read() -> None:
            response = self._of(thing)
            if response is not None:
                data = response.read() if n < 0 else response.content.read(n)
                if response.url.path == f"/bytes/{SIZE}" and n < 0 and len(data) == SIZE:
                    assert data == pattern(SIZE)

        self._ask(worker, "read", thing.owner, thing, read)

    @precondition(lambda self: self._responses)
    @rule(worker=workers, which=which, how=st.sampled_from(["release", "close"]))
    def give_up(self, worker: int, which: int, how: str) -> None:
        thing = self._pick(self._responses, which)
        thing.given_up = True

        def give_up() -> None:
            if (response := self._of(thing)) is not None:
                getattr(response, how)()

        self._ask(worker, how, thing.owner, thing, give_up)

    @precondition(lambda self: self._responses)
    @rule(which=which)
    def drop(self, which: int) -> None:
        self._responses.pop(which % len(self._responses))
        gc.collect()

    @rule(worker=workers)
    def connect(self, worker: int) -> None:
        owner = self._owners[-1]
        task = self._ask(worker, "connect", owner, None, lambda: owner.session.ws_connect("/echo"))
        self._sockets.append(Thing(owner, task.future))

    @precondition(lambda self: self._sockets)
    @rule(worker=workers, which=which)
    def echo(self, worker: int, which: int) -> None:
        thing = self._pick(self._sockets, which)

        def echo() -> None:
            socket = self._of(thing)
            if socket is not None:
                socket.send_str("hello")
                message = socket.receive(HANG)
                assert message.data == "hello" or message.type in (
                    syncclient.WSMsgType.CLOSE,
                    syncclient.WSMsgType.CLOSED,
                    syncclient.WSMsgType.CLOSING,
                    syncclient.WSMsgType.ERROR,
                ), message

        self._ask(worker, "echo", thing.owner, thing, echo)

    @precondition(lambda self: self._sockets)
    @rule(worker=workers, which=which)
    def hang_up(self, worker: int, which: int) -> None:
        thing = self._pick(self._sockets, which)
        thing.given_up = True

        def hang_up() -> None:
            if (socket := self._of(thing)) is not None:
                socket.close()

        self._ask(worker, "hang up", thing.owner, thing, hang_up)

    @rule(path=st.sampled_from(["/get", "/delay/0.02", f"/bytes/{SIZE}"]))
    def submit(self, path: str) -> None:
        owner = self._owners[-1]
        thing = Thing(owner, Future())
        try:
            thing.future = owner.session.submit("GET", path)
        except syncclient.SessionClosedError:
            assert owner.closing
            return
        assert not owner.closed, "a closed session took a request"
        self._futures.append(thing)
        self._tasks.append(Task("submit", owner, thing, thing.future))

    @precondition(lambda self: self._futures)
    @rule(which=which)
    def cancel(self, which: int) -> None:
        thing = self._pick(self._futures, which)
        thing.cancelled = thing.future.cancel() or thing.cancelled

    @rule(worker=workers)
    def close(self, worker: int) -> None:
        owner = self._owners[-1]
        owner.closing = True

        def close() -> None:
            owner.session.close()
            owner.closed = True

        self._ask(worker, "close", owner, None, close, refusable=False)

    @precondition(lambda self: self._owners[-1].closing)
    @rule()
    def another_session(self) -> None:
        self._owners.append(Owner(syncclient.Session(self.app.url)))

    @rule()
    def settle(self) -> None:
        """Let everything come to its end, and look at how it did."""
        for task in self._tasks:
            crowded = sum(task.thing is not None and t.thing is task.thing for t in self._tasks) > 1
            assert not wait([task.future], HANG).not_done, f"{task.name} hangs"
            error = None if task.future.cancelled() else task.future.exception()
            if task.refused and task.thing is None:
                assert isinstance(error, syncclient.SessionClosedError), (task.name, error)
            elif error is not None and not isinstance(error, task.allowed(crowded)):
                raise AssertionError(f"{task.name} raised what nothing explains") from error
            elif task.future.cancelled():
                assert task.thing is not None and task.thing.cancelled, f"{task.name}: cancelled"
        self._tasks.clear()

    @invariant()
    def no_thread_hangs(self) -> None:
        assert all(worker._thread.is_alive() for worker in self._workers)

    def teardown(self) -> None:
        self.settle()
        for worker in self._workers:
            worker.end()
        self._responses.clear()
        self._sockets.clear()
        self._futures.clear()
        gc.collect()
        # While the sessions are open: closing them would end what has leaked as well.
        self.app.wait_until(lambda stats: not stats.in_flight)
        for owner in self._owners:
            owner.session.close()
        self.app.wait_until(lambda stats: stats.connections_open <= self._open_before)

    # -- inside ------------------------------------------------------------------------

    def _ask(
        self,
        worker: int,
        name: str,
        owner: Owner,
        thing: Thing | None,
        function: Callable[[], Any],
        *,
        refusable: bool = True,
    ) -> Task:
        task = Task(name, owner, thing, refused=owner.closed and refusable)
        self._tasks.append(task)
        self._workers[worker].put(task.future, function)
        return task

    def _pick(self, things: list[Thing], which: int) -> Thing:
        return things[which % len(things)]

    def _of(self, thing: Thing) -> Any:
        """Return what the thing is, once it is there; None if that failed."""
        with contextlib.suppress(BaseException):  # told by the task that opened it
            return thing.future.result(HANG)
        return None


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_any_sequence_of_operations_ends_rightly(app: AppServer) -> None:
    """Nothing hangs, errors are those that closing and giving up explain, no connection leaks."""
    Machine.app = app
    run_state_machine_as_test(Machine, settings=SETTINGS)
