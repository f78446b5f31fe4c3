"""What an owner has on the loop thread: its lease, and what is open there on its behalf.

The gate, where a call is admitted or refused, stands on the loop thread
(``Lease.admit``): one thread both looks at the state and enters the call, in one
step. So a call is wholly before a close, and ended by it, or wholly after, and refused.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, Generic, NoReturn, ParamSpec, Protocol, TypeVar

from ._awaited import NOTHING, AwaitedCall
from ._call import UNWIND_LIMIT, Call
from ._deadline import check_nearest, nearest
from ._exceptions import LoopThreadError, SessionClosedError
from ._loop_run import LoopRun, Reason

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")

#: Seconds the resident has to close its connections.
CLOSE_LIMIT = 5.0


class Live(Protocol):
    """Something open on the loop that a caller holds from afar: a response, a WebSocket."""

    @property
    def done(self) -> bool:
        """Tell whether nothing is open any more, so that nobody need give it back."""

    def abandon(self) -> None:
        """Give up what is open, now, without waiting."""


L = TypeVar("L", bound=Live)
M = TypeVar("M", bound=Live)


class Lease(Generic[T]):
    """One life of a portal on the loop thread, where all but ``completed`` runs."""

    def __init__(
        self,
        open_resident: Callable[[], T],
        close_resident: Callable[[T], Coroutine[Any, Any, None]],
        settle_resident: Callable[[T], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.run: LoopRun | None = None
        #: The task that shuts this lease, once there is one.
        self.shutting: asyncio.Task[None] | None = None
        #: Calls admitted so far.
        self.crossings: int = 0
        self._open_resident = open_resident
        self._close_resident = close_resident
        self._settle_resident = settle_resident
        self._resident: T | None = None
        self._calls: set[Call[Any]] = set()
        self._refusal: Reason | None = None
        #: Whether what is open may be called still, though nothing new begins.
        self._lenient = False

    def completed(self, call: Call[R]) -> R:
        """Make ``call`` and return its result. Blocks the caller, in whose thread it runs."""
        try:
            return call.complete()
        except LoopThreadError as exc:
            self.raise_explained(exc)

    def raise_explained(self, error: LoopThreadError) -> NoReturn:
        """Raise why a call failed with ``error``. Any thread."""
        reason = self.explained(error)
        try:
            if reason is error:
                raise error
            raise reason from None
        finally:
            del error, reason  # their tracebacks hold this frame

    def explained(self, error: BaseException) -> BaseException:
        """Return why a call failed with ``error``. Any thread.

        If the loop has ended because this was closed, by another thread, between the look
        at the portal's state and the call, or long ago, then that is the reason.
        """
        refusal = self._refusal
        if not isinstance(error, LoopThreadError) or refusal is None:
            return error
        reason = refusal() if self.run is not None and self.run.is_ours() else error
        return error if isinstance(reason, LoopThreadError) else reason

    def admit(self, call: Call[Any], *, of_open: bool = False) -> T:
        """The gate: enter the call and return the resident, or raise why not.

        ``of_open`` says that it is a call of something open, and begins nothing new.
        """
        if self._refusal is not None and not (of_open and self._lenient):
            raise self._refusal()
        resident = self._resident
        if resident is None:
            resident = self._resident = self._open_resident()
        self.enter(call)
        return resident

    def enter(self, call: Call[Any]) -> None:
        """Enter the call, whatever the gate says."""
        self.crossings += 1
        self._calls.add(call)

    def leave(self, call: Call[Any]) -> None:
        """The call has ended."""
        self._calls.discard(call)

    def hold(self, result: tuple[V, L | None]) -> tuple[V, Remote[L] | None]:
        """Keep what ``result`` names second on this side; a Remote to it crosses."""
        value, live = result
        assert self.run is not None
        return value, None if live is None else Remote(self, self.run, live)

    def fail_calls(self, error: BaseException) -> None:
        """Wake every caller with ``error``; cancel the tasks, without waiting for them."""
        assert self.run is not None and self.run.on_loop_thread()
        loop = self.run.loop
        for call in list(self._calls):
            task = call.task
            call.fail(error)
            if task is not None and not loop.is_closed():
                loop.call_soon(task.cancel)  # not at once: see ``Call.cancel``

    async def shut(self, reason: Reason, grace: float = 0.0) -> None:
        """Refuse new calls, end those in flight with ``reason``, close the resident.

        Calls in flight, and what they have open that will end, have ``grace`` seconds.
        """
        assert self.run is not None and self.run.on_loop_thread()
        self._refusal = self._refusal or reason
        if grace > 0:
            self._lenient = True
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._settled(), grace)
            self._lenient = False
        for call in list(self._calls):
            call.cancel(reason())
        await self._unwound(UNWIND_LIMIT)
        for call in list(self._calls):  # its task swallowed the cancellation
            call.fail(reason())
        resident, self._resident = self._resident, None
        if resident is not None:
            await asyncio.wait_for(self._close_resident(resident), CLOSE_LIMIT)

    def start_shutting(self, reason: Reason, grace: float = 0.0) -> asyncio.Task[None]:
        """Shut in a task of its own, which goes on when the closer that waits is interrupted."""
        if self.shutting is None:
            self.shutting = asyncio.ensure_future(self.shut(reason, grace))
        return self.shutting

    async def _settled(self) -> None:
        """Wait for the calls in flight, and for those that go on with what these opened."""
        while True:
            await self._unwound(None)
            if self._resident is not None and self._settle_resident is not None:
                await self._settle_resident(self._resident)
            if not self._calls:
                return

    async def _unwound(self, limit: float | None) -> None:
        tasks = [call.task for call in self._calls if call.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=limit)


class Remote(Generic[L]):
    """A caller's hold on something open on the loop. The last hold dropped gives it up.

    The live object never leaves the loop thread; even its last reference is dropped
    there. Any thread may hold and use a Remote.
    """

    __slots__ = ("__weakref__", "_lease", "_live", "_run")

    def __init__(self, lease: Lease[Any], run: LoopRun, live: L) -> None:
        self._lease = lease
        self._run = run
        self._live: L | None = live

    def call(
        self,
        method: Callable[Concatenate[L, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Await ``method(live, ...)`` on the loop and return its result. Blocks the caller."""
        run = self._ready()
        call: Call[R] = Call(run, self, method, args, kwargs, nearest())
        return self._lease.completed(call)

    async def acall(
        self,
        method: Callable[Concatenate[L, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Like ``call``, awaited by a task of any loop. Cancelling the task cancels the call."""
        call: AwaitedCall[R] = AwaitedCall(
            self._usable_run(),
            self,
            lambda live: method(live, *args, **kwargs),
            NOTHING,
            self._lease.explained,
        )
        return await call.awaited()

    def _ready(self) -> LoopRun:
        run = self._usable_run()
        run.refuse_loop_thread("a blocking read or write")
        return run

    def _usable_run(self) -> LoopRun:
        run = self._run
        if not run.usable():
            raise self._lease.explained(run.death())
        return run

    def post(self, method: Callable[[L], object]) -> None:
        """Run the plain ``method(live)`` on the loop soon; do not wait."""
        self._run.post(self._run_method, method)

    def entrust(
        self, method: Callable[Concatenate[L, P], None], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Like ``post``, for a caller who must know that it will be done. It passes no gate.

        Raises BlockingCallError on the loop thread, DeadlineError where the block's time is
        over, and LoopThreadError or SessionClosedError where the loop thread has ended.
        """
        run = self._ready()
        check_nearest()
        if not run.post(self._run_method, lambda live: method(live, *args, **kwargs)):
            raise self._lease.explained(run.death())

    @property
    def reachable(self) -> bool:
        """Whether what it holds can be there still: the loop thread lives, in this process."""
        return self._run.usable()

    def __del__(self) -> None:
        try:
            if self._live is not None:
                # The bound method revives this object, so that _live is cleared, and its
                # referent perhaps freed, over there. In a forked child nothing happens.
                self._run.post(self._abandon)
        except BaseException:  # an interrupt, which Python swallows here: it must not cost more
            self._run.post(self._abandon)
            raise

    # -- the loop thread -------------------------------------------------------------

    def here(self) -> L | None:
        """Return the live object to code that runs on its loop thread; None on any other."""
        return self._live if self._run.on_loop_thread() else None

    def admit(self, call: Call[Any]) -> L:
        """The gate, as the lease keeps it."""
        self._lease.admit(call, of_open=True)
        live = self._live
        if live is None:
            self._lease.leave(call)
            raise SessionClosedError("this has been released already")
        return live

    def leave(self, call: Call[Any]) -> None:
        """The call has ended; if it ended what is open, then let go of that."""
        self._lease.leave(call)
        if self._live is not None and self._live.done:
            self._live = None

    def _run_method(self, method: Callable[[L], object]) -> None:
        if self._live is not None:
            method(self._live)
            if self._live.done:
                self._live = None

    def _abandon(self) -> None:
        assert self._run.on_loop_thread()
        live, self._live = self._live, None
        if live is not None:
            live.abandon()


class Errand(Remote[L]):
    """A hold on something that a call under way has open, for the caller who waits for it.

    Calls through it are parts of that one. They pass the gate as long as it lives, also
    while a close gives it time to end.
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
        run = self._ready()
        call: Call[tuple[V, Remote[M] | None]] = Call(run, self, method, args, kwargs, nearest())
        call.hold = self._hold
        return self._lease.completed(call)

    def end(self) -> None:
        """Let go: what this holds has ended. Loop thread only."""
        self._live = None

    def _hold(self, result: tuple[V, M | None]) -> tuple[V, Remote[M] | None]:
        value, live = result
        return value, None if live is None else Errand(self._lease, self._run, live)

    def admit(self, call: Call[Any]) -> L:
        """Enter the call, unless what this holds has ended."""
        live = self._live
        if live is None or live.done:
            raise RuntimeError("what this call is a part of has ended")
        self._lease.enter(call)
        return live
