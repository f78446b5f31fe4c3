"""The door between the threads: one owner's way to what it has on the loop.

A ``Portal`` belongs to one owner, such as a Session. It holds a lease on the loop
thread and, on the loop, the *resident*: the async object the owner is the face of.
``Portal.call`` and ``Remote.call`` are the only ways across, so one search for them
finds every crossing; ``submit`` and ``post`` are for those who must not wait.

The gate, where a call is admitted or refused, stands on the loop thread
(``Lease.admit``): one thread both looks at the state and enters the call, in one
step. So a call is wholly before a close, and ended by it, or wholly after, and
refused. The check in ``Portal._lease_now`` merely saves a trip.
"""

from __future__ import annotations

import asyncio
import enum
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from ._call import Call
from ._deadline import nearest
from ._exceptions import BlockingCallError, LoopThreadError, SessionClosedError
from ._future import CallFuture, Submission, SubmittedCall
from ._loop_thread import LoopRun, LoopThread, Reason

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")

#: Seconds that calls cut short by a close have to unwind.
_UNWIND_LIMIT = 2.0
#: Seconds the resident has to close its connections.
_CLOSE_LIMIT = 5.0


class Live(Protocol):
    """Something open on the loop that a caller holds from afar: a response, a WebSocket."""

    @property
    def done(self) -> bool:
        """Tell whether nothing is open any more, so that nobody need give it back."""

    def abandon(self) -> None:
        """Give up what is open, now, without waiting."""


L = TypeVar("L", bound=Live)


class State(enum.Enum):
    """What a portal does with a call."""

    OPEN = enum.auto()
    CLOSED = enum.auto()


class Lease(Generic[T]):
    """One life of a portal on the loop thread, where all but ``completed`` runs."""

    def __init__(
        self,
        open_resident: Callable[[], T],
        close_resident: Callable[[T], Coroutine[Any, Any, None]],
    ) -> None:
        self.run: LoopRun | None = None
        #: The task that shuts this lease, once there is one.
        self.shutting: asyncio.Task[None] | None = None
        #: Calls admitted so far.
        self.crossings: int = 0
        self._open_resident = open_resident
        self._close_resident = close_resident
        self._resident: T | None = None
        self._calls: set[Call[Any]] = set()
        self._refusal: Reason | None = None

    def completed(self, call: Call[R]) -> R:
        """Make ``call`` and return its result. Blocks the caller, in whose thread it runs."""
        try:
            return call.complete()
        except LoopThreadError as exc:
            error = self.explained(exc)
            if error is exc:
                raise
            raise error from None

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

    def admit(self, call: Call[Any]) -> T:
        """The gate: enter the call and return the resident, or raise why not."""
        if self._refusal is not None:
            raise self._refusal()
        self.crossings += 1
        resident = self._resident
        if resident is None:
            resident = self._resident = self._open_resident()
        self._calls.add(call)
        return resident

    def leave(self, call: Call[Any]) -> None:
        """The call has ended."""
        self._calls.discard(call)

    def hold(self, result: tuple[V, L | None]) -> tuple[V, Remote[L] | None]:
        """Keep what ``result`` names second on this side; a Remote to it crosses."""
        value, live = result
        assert self.run is not None
        return value, None if live is None else Remote(self, self.run, live)

    def fail_calls(self, error: BaseException) -> None:
        """Wake every caller with ``error``, without waiting for the tasks."""
        for call in list(self._calls):
            call.fail(error)

    async def shut(self, reason: Reason, grace: float = 0.0) -> None:
        """Refuse new calls, end those in flight with ``reason``, close the resident.

        Calls in flight have ``grace`` seconds to end by themselves.
        """
        self._refusal = self._refusal or reason
        if grace > 0:
            await self._unwound(grace)
        for call in list(self._calls):
            call.cancel(reason())
        await self._unwound(_UNWIND_LIMIT)
        for call in list(self._calls):  # its task swallowed the cancellation
            call.fail(reason())
        resident, self._resident = self._resident, None
        if resident is not None:
            await asyncio.wait_for(self._close_resident(resident), _CLOSE_LIMIT)

    def start_shutting(self, reason: Reason, grace: float = 0.0) -> asyncio.Task[None]:
        """Shut in a task of its own, which goes on when the closer that waits is interrupted."""
        if self.shutting is None:
            self.shutting = asyncio.ensure_future(self.shut(reason, grace))
        return self.shutting

    async def _unwound(self, limit: float) -> None:
        tasks = [call.task for call in self._calls if call.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=limit)


class Portal(Generic[T]):
    """One owner's door to the loop thread. Any number of threads may share it.

    Args:
        loop_thread: whose loop to use; leased with the first call.
        open_resident: makes the async object, on the loop thread. Called again after a
            fork, or after the loop thread died: the new life of the portal has its own.
        close_resident: closes it, on the loop thread.
        name: how errors call the owner.
    """

    def __init__(
        self,
        loop_thread: LoopThread,
        open_resident: Callable[[], T],
        close_resident: Callable[[T], Coroutine[Any, Any, None]],
        *,
        name: str,
    ) -> None:
        self._loop_thread = loop_thread
        self._open_resident = open_resident
        self._close_resident = close_resident
        self._name = name
        # Reentrant for the sake of signal handlers. Guards the changes of _state and
        # _lease; held while the loop thread starts, and never while waiting else.
        self._lock = threading.RLock()
        self._state = State.OPEN
        self._lease: Lease[T] | None = None
        self._closed = threading.Event()
        _every.add(self)

    def __repr__(self) -> str:
        return f"<Portal of {self._name} {self._state.name.lower()}>"

    @property
    def loop_thread(self) -> LoopThread:
        """Whose loop this portal leads to."""
        return self._loop_thread

    @property
    def closed(self) -> bool:
        """Whether ``close`` has been called."""
        return self._state is not State.OPEN

    @property
    def leased(self) -> bool:
        """Whether there has been a call, in this process, since the loop thread last started."""
        return self._usable_run() is not None

    @property
    def crossings(self) -> int:
        """How many calls have crossed since the loop thread was leased last."""
        lease = self._lease
        return 0 if lease is None else lease.crossings

    def call(
        self,
        method: Callable[Concatenate[T, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Await ``method(resident, ...)`` on the loop and return its result. Blocks the caller.

        Woken by the result, an error, an interrupt, the portal's closing
        (SessionClosedError) or the death of the loop thread (LoopThreadError).
        """
        lease, run = self._lease_now()
        return lease.completed(Call[R](run, lease, method, args, kwargs, nearest()))

    def open(
        self,
        method: Callable[Concatenate[T, P], Awaitable[tuple[V, L | None]]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[V, Remote[L] | None]:
        """Like ``call``, for a method that leaves something open on the loop.

        What it returns second stays there, and the caller gets a Remote to it; None
        where nothing is left open.
        """
        lease, run = self._lease_now()
        call: Call[tuple[V, Remote[L] | None]] = Call(run, lease, method, args, kwargs, nearest())
        call.hold = lease.hold
        return lease.completed(call)

    def submit(
        self,
        method: Callable[Concatenate[T, P], Awaitable[tuple[V, L | None]]],
        finish: Callable[[V, Remote[L] | None], Awaitable[R]],
        submission: Submission[R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> CallFuture[R]:
        """Like ``open``, but without waiting: return the future of what ``finish`` makes of it.

        ``finish`` runs on the loop. Raises what keeps the call from being made at all.
        """
        lease, run = self._lease_now()

        async def held(resident: T) -> R:
            value, live = await method(resident, *args, **kwargs)
            return await finish(value, None if live is None else Remote(lease, run, live))

        try:
            return SubmittedCall[R](run, lease, held, submission, lease.explained).submit()
        except LoopThreadError as exc:
            error = lease.explained(exc)
            if error is exc:
                raise
            raise error from None

    def close(self, reason: Reason, *, grace: float = 0.0) -> None:
        """Close all that is open on the loop and return the lease. Blocks; idempotent.

        Calls in flight have ``grace`` seconds to end; what is left of them then gets
        ``reason``. A second closer waits for the first. An interrupt ends the wait,
        and the closing goes on without it.
        """
        with self._lock:
            lease, run = self._lease, self._usable_run()
            if run is not None:
                self._refuse_loop_thread(run)
            first, self._state = self._state is State.OPEN, State.CLOSED
        if not first:
            self._closed.wait(_UNWIND_LIMIT + _CLOSE_LIMIT + grace)
            return
        try:
            if lease is not None and run is not None:
                Call[None](run, _Closing(lease), _shut, (reason, grace), {}).complete()
        except BaseException:
            self.abandon(reason)
            raise
        else:
            last = None if lease is None else self._loop_thread.release(lease)
            if last is not None:
                last.join()
        finally:
            self._closed.set()

    def abandon(self, reason: Reason) -> None:
        """Close without waiting, for finalisers: takes no lock, and does not block."""
        self._state = State.CLOSED
        lease = self._lease
        if lease is not None and lease.run is not None:
            lease.run.post(self._abandon_on_loop, lease, reason)

    def _abandon_on_loop(self, lease: Lease[T], reason: Reason) -> None:
        shutting = lease.start_shutting(reason)
        shutting.add_done_callback(lambda _: self._loop_thread.release(lease))

    def _usable_run(self) -> LoopRun | None:
        run = None if self._lease is None else self._lease.run
        return run if run is not None and run.usable() else None

    def _lease_now(self) -> tuple[Lease[T], LoopRun]:
        lease = self._lease
        run = None if lease is None else lease.run
        if lease is None or run is None or not run.usable() or self._state is not State.OPEN:
            lease, run = self._renew()
        self._refuse_loop_thread(run)
        return lease, run

    def _renew(self) -> tuple[Lease[T], LoopRun]:
        with self._lock:
            # Looked at once more: another thread may have been here, or in close().
            if self._state is not State.OPEN:
                raise SessionClosedError(f"{self._name} is closed")
            lease, run = self._lease, self._usable_run()
            if lease is None or run is None:
                # What a forked child inherited stays with the parked run, untouched.
                lease = Lease(self._open_resident, self._close_resident)
                try:
                    self._loop_thread.lease(lease)
                    self._lease = lease
                except BaseException:
                    self._loop_thread.release(lease)
                    raise
                run = lease.run
                assert run is not None
            return lease, run

    def _refuse_loop_thread(self, run: LoopRun) -> None:
        if run.on_loop_thread():
            raise BlockingCallError(
                f"{self._name} was called on the loop thread, where it would wait for itself; "
                "async code that runs there must await, and not block"
            )

    def after_fork_in_child(self) -> None:
        """Renew what a thread that is not here may have held. At-fork handler."""
        self._lock = threading.RLock()
        if self._state is State.CLOSED:
            self._closed.set()


class _Closing(Generic[T]):
    """The place of the closing call itself: it passes the gate that it shuts."""

    def __init__(self, lease: Lease[T]) -> None:
        self._lease = lease

    def admit(self, call: Call[Any]) -> Lease[T]:
        return self._lease

    def leave(self, call: Call[Any]) -> None:
        pass


async def _shut(lease: Lease[Any], reason: Reason, grace: float) -> None:
    await asyncio.shield(lease.start_shutting(reason, grace))


#: Every portal of the process, for the fork hook.
_every: weakref.WeakSet[Portal[Any]] = weakref.WeakSet()


def every_portal() -> list[Portal[Any]]:
    """Return all portals of the process."""
    return list(_every)


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
        run = self._run
        if not run.usable():
            raise self._lease.explained(run.death())
        if run.on_loop_thread():
            raise BlockingCallError(
                "a blocking read or write was called on the loop thread, where it would wait "
                "for itself; async code that runs there must await, and not block"
            )
        return self._lease.completed(Call[R](run, self, method, args, kwargs, nearest()))

    def post(self, method: Callable[[L], object]) -> None:
        """Run the plain ``method(live)`` on the loop soon; do not wait."""
        self._run.post(self._run_method, method)

    def __del__(self) -> None:
        if self._live is not None:
            # The bound method revives this object, so that _live is cleared, and its
            # referent perhaps freed, over there. In a forked child nothing happens.
            self._run.post(self._abandon)

    # -- the loop thread -------------------------------------------------------------

    def here(self) -> L | None:
        """Return the live object to code that runs on its loop thread; None on any other."""
        return self._live if self._run.on_loop_thread() else None

    def admit(self, call: Call[Any]) -> L:
        """The gate, as the lease keeps it."""
        self._lease.admit(call)
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
        live, self._live = self._live, None
        if live is not None:
            live.abandon()
