"""Lease: an owner's claim on the loop thread. Remote: its hold on something open there.

The gate that admits or refuses a call is on the loop thread (``Lease.admit``): one thread both
looks at the state and enters the call, in one step. So a call is either before a close, which
ends it, or after it and refused.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from .._deadline import check_nearest, innermost, nearest
from .._exceptions import LoopThreadError, SessionClosedError, spare
from .awaited_call import AwaitedCall
from .call import UNWIND_LIMIT, Call
from .loop_run import LoopRun, Reason
from .queue_wait import Queue, Waits, wait_for
from .submitted_call import NOTHING

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")

#: Seconds the resident has to close its connections.
CLOSE_LIMIT = 5.0


class Live(Protocol):
    """Something open on the loop that a caller holds by a Remote: a response, a WebSocket."""

    @property
    def done(self) -> bool:
        """Whether nothing is open any more, and nothing has to be given back."""

    def abandon(self) -> None:
        """Give it up at once, without waiting."""


L = TypeVar("L", bound=Live)
M = TypeVar("M", bound=Live)


class Lease(Generic[T]):
    """One life of a portal on the loop thread, where all but ``explained`` and ``death`` runs."""

    #: Set by ``LoopThread.lease``, before all else.
    run: LoopRun

    def __init__(
        self,
        open_resident: Callable[[], T],
        close_resident: Callable[[T], Coroutine[Any, Any, None]],
        settle_resident: Callable[[T], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        #: The task that shuts this lease, if there is one.
        self.shutting: asyncio.Task[None] | None = None
        #: The number of calls admitted.
        self.crossings: int = 0
        self._open_resident = open_resident
        self._close_resident = close_resident
        self._settle_resident = settle_resident
        self._resident: T | None = None
        self._calls: set[Call[Any]] = set()
        self._refusal: Reason | None = None
        #: Whether calls of things that are open still pass, though nothing new may begin.
        self._lenient = False
        #: Callers that wait without making a call.
        self.waits: Waits = Waits()

    def explained(self, error: BaseException) -> BaseException:
        """Return the error to raise for ``error``, with which a call ended. Any thread.

        If the loop has ended because this lease was closed, by another thread just now or long
        ago, that is the reason.
        """
        refusal = self._refusal
        if not isinstance(error, LoopThreadError) or refusal is None:
            return error
        reason = refusal() if self.run.is_ours() else error
        return error if isinstance(reason, LoopThreadError) else reason

    def death(self) -> BaseException:
        """Return why the loop thread takes no more calls. Any thread."""
        return self.explained(self.run.death())

    def admit(self, call: Call[Any], *, of_open: bool = False) -> T:
        """Enter the call and return the resident, or raise why the call is refused.

        ``of_open``: whether it is a call of something open, and begins nothing new.
        """
        if self._refusal is not None and not (of_open and self._lenient):
            raise self._refusal()
        resident = self._resident
        if resident is None:
            resident = self._resident = self._open_resident()
        self.crossings += 1
        self._calls.add(call)  # what ``enter`` does, without the cost of a call
        return resident

    def refuse_wait(self) -> None:
        """Raise an error if a wait cannot be ended by the loop. Any thread; after it is entered."""
        if not self.run.usable():
            raise self.death()
        if self._refusal is not None and not self._lenient:
            raise self._refusal()

    def enter(self, call: Call[Any]) -> None:
        """Enter the call unconditionally."""
        self.crossings += 1
        self._calls.add(call)

    def leave(self, call: Call[Any]) -> None:
        """Note that the call has ended."""
        self._calls.discard(call)

    def hold(self, result: tuple[V, L | None]) -> tuple[V, Remote[L] | None]:
        """Keep the second item of ``result`` on the loop; a Remote to it crosses in its place."""
        value, live = result
        return value, None if live is None else Remote(self, live)

    def fail_calls(self, error: BaseException) -> None:
        """Wake every caller with ``error``; cancel the tasks, without waiting for them."""
        assert self.run.on_loop_thread()
        loop = self.run.loop
        for call in list(self._calls):
            task = call.task
            call.fail(error)
            if task is not None and not loop.is_closed():
                loop.call_soon(task.cancel)  # not at once: see ``Call.cancel``
        self.waits.fail(lambda: self.explained(spare(error)))

    async def shut(self, reason: Reason, grace: float = 0.0) -> None:
        """Refuse new calls, end those in flight with ``reason``, and close the resident.

        Calls in flight have ``grace`` seconds, and so has what they opened, if it will end.
        """
        assert self.run.on_loop_thread()
        self._lenient = grace > 0  # before the refusal, which other threads look at first
        self._refusal = self._refusal or reason
        if grace > 0:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._settled(), grace)
            self._lenient = False
        for call in list(self._calls):
            call.cancel(reason())
        self.waits.fail(reason)
        await self._unwound(UNWIND_LIMIT)
        for call in list(self._calls):  # its task swallowed the cancellation
            call.fail(reason())
        resident, self._resident = self._resident, None
        if resident is not None:
            await asyncio.wait_for(self._close_resident(resident), CLOSE_LIMIT)

    async def retire(self, reason: Reason) -> None:
        """Refuse new calls, and shut once nothing is under way or open any more."""
        self._lenient = True  # before the refusal, which other threads look at first
        self._refusal = self._refusal or reason
        await self._settled()
        await asyncio.shield(self.start_shutting(reason))

    def start_shutting(self, reason: Reason, grace: float = 0.0) -> asyncio.Task[None]:
        """Shut in a task of its own, which an interrupt of the waiting closer does not end."""
        if self.shutting is None:
            self.shutting = asyncio.ensure_future(self.shut(reason, grace))
        return self.shutting

    async def _settled(self) -> None:
        """Wait for the calls in flight, and for those that continue with what these opened."""
        while True:
            if self._resident is not None and self._settle_resident is not None:
                await self._settle_resident(self._resident)
            await self.waits.ended()
            if not self._calls:
                return
            await self._unwound(None)

    async def _unwound(self, limit: float | None) -> None:
        tasks = [call.task for call in self._calls if call.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=limit)


class Remote(Generic[L]):
    """A caller's hold on something open on the loop. Dropping the last hold gives it up.

    The live object never leaves the loop thread; even its last reference is dropped there. Any
    thread may hold and use a Remote.
    """

    __slots__ = ("__weakref__", "_lease", "_live", "run")

    def __init__(self, lease: Lease[Any], live: L) -> None:
        self._lease = lease
        self.run: LoopRun = lease.run
        self._live: L | None = live

    def call(
        self,
        method: Callable[Concatenate[L, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Await ``method(live, ...)`` on the loop and return its result. Blocks the caller."""
        self._check_caller()
        call: Call[R] = Call(self, method, args, kwargs, nearest() if innermost() else None)
        return call.complete()

    def wait_for(self, queue: Queue, limit: float | None, doing: str) -> bool:
        """Block until ``queue`` is ready; return False after ``limit`` seconds.

        Makes no call: the loop thread fills the queue by itself. See ``queue_wait``.
        """
        self._check_caller()
        lease = self._lease
        return wait_for(queue, lease.waits, lease.refuse_wait, self.run, limit, doing)

    async def acall(
        self,
        method: Callable[Concatenate[L, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Like ``call``, awaited by a task of any loop. Cancelling the task cancels the call."""
        self._check_run()
        call: AwaitedCall[R] = AwaitedCall(self, method, args, kwargs, NOTHING)
        return await call.awaited()

    def _check_caller(self) -> None:
        """Raise an error if this thread cannot wait for the loop thread."""
        if not self.run.serves_this_thread():
            self._check_run()
            self.run.refuse_loop_thread("a blocking read or write")

    def _check_run(self) -> None:
        if not self.run.usable():
            raise self._lease.death()

    def explained(self, error: BaseException) -> BaseException:
        """Return the error to raise for ``error``, with which a call ended. Any thread."""
        return self._lease.explained(error)

    def post(self, method: Callable[[L], object]) -> None:
        """Run the plain ``method(live)`` on the loop soon; do not wait."""
        self.run.post(self._run_method, method)

    def entrust(
        self, method: Callable[Concatenate[L, P], None], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Like ``post``, but raises if the method cannot be run. Passes no gate.

        Raises BlockingCallError on the loop thread, DeadlineError if the time of a block is
        over, and LoopThreadError or SessionClosedError if the loop thread has ended.
        """
        self._check_caller()
        check_nearest()
        if not self.run.post(self._run_method, lambda live: method(live, *args, **kwargs)):
            raise self._lease.death()

    @property
    def reachable(self) -> bool:
        """Whether the live object may still exist: the loop thread lives, in this process."""
        return self.run.usable()

    def __del__(self) -> None:
        try:
            if self._live is not None:
                # The bound method revives this object, so _live is cleared, and its referent
                # perhaps freed, on the loop thread. In a forked child nothing happens.
                self.run.post(self._abandon)
        except BaseException:  # an interrupt, which Python ignores here; the hold still has to go
            self.run.post(self._abandon)
            raise

    # -- the loop thread -------------------------------------------------------------

    def here(self) -> L | None:
        """Return the live object to code that runs on its loop thread; None on any other."""
        return self._live if self.run.on_loop_thread() else None

    def admit(self, call: Call[Any]) -> L:
        """Admit the call as the lease does, and return the live object."""
        self._lease.admit(call, of_open=True)
        live = self._live
        if live is None:
            self._lease.leave(call)
            raise SessionClosedError("this has already been released")
        return live

    def leave(self, call: Call[Any]) -> None:
        """Note that the call has ended, and drop the live object if that has ended too."""
        self._lease.leave(call)
        if self._live is not None and self._live.done:
            self._live = None

    def _run_method(self, method: Callable[[L], object]) -> None:
        if self._live is not None:
            method(self._live)
            if self._live.done:
                self._live = None

    def _abandon(self) -> None:
        assert self.run.on_loop_thread()
        live, self._live = self._live, None
        if live is not None:
            live.abandon()


class Errand(Remote[L]):
    """A hold on something that a running call has open, for the caller that waits for it.

    Calls through it are parts of that call. They pass the gate until it ends, even while a
    close gives it time to end.
    """

    __slots__ = ()

    def open(
        self,
        method: Callable[Concatenate[L, P], Awaitable[tuple[V, M | None]]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[V, Remote[M] | None]:
        """Like ``call``, for a method that leaves something open; see ``Portal.open``."""
        self._check_caller()
        call: Call[tuple[V, Remote[M] | None]] = Call(
            self, method, args, kwargs, nearest() if innermost() else None
        )
        call.hold = self._hold
        return call.complete()

    def end(self) -> None:
        """Drop the live object, which has ended. Loop thread only."""
        self._live = None

    def _hold(self, result: tuple[V, M | None]) -> tuple[V, Remote[M] | None]:
        value, live = result
        return value, None if live is None else Errand(self._lease, live)

    def admit(self, call: Call[Any]) -> L:
        """Enter the call, unless the live object has ended."""
        live = self._live
        if live is None or live.done:
            raise RuntimeError("the request that this call is part of has ended")
        self._lease.enter(call)
        return live
