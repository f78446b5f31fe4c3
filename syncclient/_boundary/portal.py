"""Portal: the door between the threads, by which an owner reaches its object on the loop.

A ``Portal`` belongs to one owner, such as a Session. It holds a lease on the loop thread and,
on the loop, the *resident*: the async object behind the owner. ``Portal`` and ``Remote`` are
the only ways across, so a search for their methods finds every crossing: ``call`` and ``open``
block; ``acall`` and ``aopen`` do the same for tasks of other loops; ``submit`` and ``post``
never wait.

The loop thread decides whether a call is admitted (``Lease.admit``). ``Portal._lease_now``
looks at the state only to save a crossing.
"""

from __future__ import annotations

import asyncio
import enum
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import anyio.to_thread

from .._deadline import innermost, nearest
from .._exceptions import LoopThreadError, SessionClosedError
from .._weak_refs import WeakRefs
from .awaited_call import AwaitedCall
from .call import UNWIND_LIMIT, Call
from .caller_task import CallerTask
from .lease import CLOSE_LIMIT, Errand, L, Lease, Remote
from .loop_run import STOP_LIMIT, LoopRun, Reason
from .loop_thread import LoopThread
from .submitted_call import NOTHING, CallFuture, Submission, SubmittedCall
from .waiting import Event, Sleepers, in_slices

#: Seconds that closing may take, beside its grace: calls unwind, all is closed, the loop ends.
_CLOSING_LIMIT = UNWIND_LIMIT + CLOSE_LIMIT + STOP_LIMIT

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")


class State(enum.Enum):
    """Which calls a portal takes."""

    OPEN = enum.auto()
    #: Refuses new calls, and closes by itself once nothing is open any more.
    RETIRED = enum.auto()
    CLOSED = enum.auto()


class Portal(Generic[T]):
    """One owner's door to the loop thread. Any number of threads may share it.

    Args:
        loop_thread: leased with the first call.
        open_resident: makes the resident, on the loop thread. Called again after a fork, or
            after the death of the loop thread, because each life of the portal has its own.
        close_resident: closes the resident, on the loop thread.
        settle_resident: waits for what the resident has under way, on the loop thread, while
            the portal closes with a grace period.
        on_close: called before the portal closes, in the closer's thread.
        name: what errors call the owner.
    """

    def __init__(
        self,
        loop_thread: LoopThread,
        open_resident: Callable[[], T],
        close_resident: Callable[[T], Coroutine[Any, Any, None]],
        settle_resident: Callable[[T], Coroutine[Any, Any, None]] | None = None,
        *,
        on_close: Callable[[Portal[T]], None] | None = None,
        name: str,
    ) -> None:
        self._loop_thread = loop_thread
        self._open_resident = open_resident
        self._close_resident = close_resident
        self._settle_resident = settle_resident
        self._on_close = on_close
        self._name = name
        # Reentrant, for signal handlers. Guards changes of _state and _lease. Held while the
        # loop thread starts; never during any other wait.
        self._lock = threading.RLock()
        self._state = State.OPEN
        self._lease: Lease[T] | None = None
        self._closed = Event()
        #: The thread that closes, or has closed, and the moment by which it has finished.
        self._closer = 0
        self._closed_by = 0.0
        _every.add(self)

    def __repr__(self) -> str:
        return f"<Portal of {self._name} {self._state.name.lower()}>"

    @property
    def loop_thread(self) -> LoopThread:
        """The loop thread that this portal leads to."""
        return self._loop_thread

    @property
    def closed(self) -> bool:
        """Whether ``close`` has been called."""
        return self._state is not State.OPEN

    @property
    def leased(self) -> bool:
        """Whether this holds a lease: there was a call in this life of the loop thread."""
        return self._usable_run() is not None

    @property
    def crossings(self) -> int:
        """The number of calls that have crossed in the present lease."""
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

        The wait ends with the result, an error, an interrupt, the closing of the portal
        (SessionClosedError) or the death of the loop thread (LoopThreadError).
        """
        # Not Call[R](...), here and elsewhere: calling an alias costs several times more.
        call: Call[R] = Call(
            self._lease_now(), method, args, kwargs, nearest() if innermost() else None
        )
        return call.complete()

    def open(
        self,
        method: Callable[Concatenate[T, P], Awaitable[tuple[V, L | None]]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[V, Remote[L] | None]:
        """Like ``call``, for a method that leaves something open on the loop.

        The second item of its result stays on the loop, and the caller gets a Remote to it; or
        None, if nothing is open.
        """
        lease = self._lease_now()
        call: Call[tuple[V, Remote[L] | None]] = Call(
            lease, method, args, kwargs, nearest() if innermost() else None
        )
        call.hold = lease.hold
        return call.complete()

    def submit(
        self,
        method: Callable[Concatenate[T, P], Awaitable[tuple[V, L | None]]],
        finish: Callable[[V, Remote[L] | None], Awaitable[R]],
        submission: Submission[R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> CallFuture[R]:
        """Like ``open``, but return a future at once; ``finish`` makes its result of the method's.

        ``finish`` runs on the loop. Raises an error if the call cannot be made at all.
        """
        lease = self._lease_now()

        async def held(resident: T) -> R:
            value, live = await method(resident, *args, **kwargs)
            return await finish(value, None if live is None else Remote(lease, live))

        call: SubmittedCall[R] = SubmittedCall(lease, held, (), {}, submission)
        return call.submit()

    async def ready(self) -> None:
        """Start the loop thread unless it runs.

        Awaited by a task of any loop. Raises SessionClosedError if the portal is closed.
        """
        await self._alease()

    async def acall(
        self,
        method: Callable[Concatenate[T, P], Awaitable[R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Like ``call``, awaited by a task of any loop. Cancelling the task cancels the call."""
        call: AwaitedCall[R] = AwaitedCall(await self._alease(), method, args, kwargs, NOTHING)
        return await call.awaited()

    async def aopen(
        self,
        method: Callable[Concatenate[T, P], Awaitable[tuple[V, L | None]]],
        submission: Submission[Any],
        beside: CallerTask | None,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[V, Remote[L] | None]:
        """Like ``open``, awaited by a task of any loop, in which ``beside`` runs until then."""
        lease = await self._alease()
        call: AwaitedCall[tuple[V, Remote[L] | None]] = AwaitedCall(
            lease, method, args, kwargs, submission, beside
        )
        call.hold = lease.hold
        return await call.awaited()

    async def aclose(self, reason: Reason, *, grace: float = 0.0) -> None:
        """Like ``close``, awaited by a task of any loop but the private one. Never blocks."""
        run = self._usable_run()
        if run is not None:
            run.refuse_loop_thread(self._name, "close it elsewhere")
        if run is not None or not self.closed:
            await anyio.to_thread.run_sync(lambda: self.close(reason, grace=grace))

    def errand(self, live: L) -> Errand[L]:
        """Return a hold on ``live`` for the caller of a running call. Loop thread only."""
        lease = self._lease
        assert lease is not None and lease.run.on_loop_thread()
        return Errand(lease, live)

    def close(self, reason: Reason, *, grace: float = 0.0) -> None:
        """Close everything that is open on the loop, and return the lease. Blocks; idempotent.

        Calls in flight have ``grace`` seconds to end; those that remain get ``reason``. A second
        closer waits for the first, with the grace of the first. An interrupt ends the wait, but
        not the closing.
        """
        first = False
        on_close, self._on_close = self._on_close, None  # dropped: the portal may live longer
        if on_close is not None:
            try:
                on_close(self)
            except BaseException:
                self.abandon(reason)
                raise
        # From here on this thread may be the closer, and an interrupt may hit any step.
        try:
            with self._lock:
                lease, run = self._lease, self._usable_run()
                if run is not None:
                    run.refuse_loop_thread(self._name)
                first = self._state is not State.CLOSED
                if first:
                    self._closer = threading.get_ident()
                    self._closed_by = time.monotonic() + grace + _CLOSING_LIMIT
                self._state = State.CLOSED
            if not first:
                if self._closer == threading.get_ident():
                    return  # a signal handler, within this thread's own close()
                left = self._closed_by - time.monotonic()
                in_slices(self._closed.wait, Sleepers(), max(0.0, left))
                return
            if lease is not None and run is not None:
                _shut_from_here(lease, run, reason, grace)
            last = None if lease is None else self._loop_thread.release(lease)
            if last is not None and not last.after_exit():
                last.join()
            self._closed.set()  # here too: an interrupt may hit the finally clause
        except BaseException:
            if first:
                self.abandon(reason)
            raise
        finally:
            if first:
                self._closed.set()

    def retire(self, reason: Reason) -> None:
        """Refuse calls from now on, and close once nothing is open any more. Never waits.

        Finalisers may call it: it takes no lock. A later ``close`` ends the remaining calls.
        """
        if self._state is State.OPEN:
            self._state = State.RETIRED
            lease = self._lease
            if lease is not None and lease.run is not None:
                lease.run.post(self._retire_on_loop, lease, reason)

    def _retire_on_loop(self, lease: Lease[T], reason: Reason) -> None:
        retiring = asyncio.ensure_future(lease.retire(reason))
        _retiring.add(retiring)
        retiring.add_done_callback(lambda _: self._loop_thread.release(lease))
        retiring.add_done_callback(_retiring.discard)

    def abandon(self, reason: Reason) -> None:
        """Close without waiting. For finalisers: takes no lock, and does not block."""
        self._state = State.CLOSED
        lease = self._lease
        if lease is not None:
            lease.run.post(self._abandon_on_loop, lease, reason)

    def _abandon_on_loop(self, lease: Lease[T], reason: Reason) -> None:
        shutting = lease.start_shutting(reason)
        shutting.add_done_callback(lambda _: self._loop_thread.release(lease))

    def _usable_run(self) -> LoopRun | None:
        run = None if self._lease is None else self._lease.run
        return run if run is not None and run.usable() else None

    def _lease_now(self) -> Lease[T]:
        lease = self._lease
        is_open = self._state is State.OPEN
        if is_open and lease is not None and lease.run.serves_this_thread():
            return lease
        if not is_open or lease is None or not lease.run.usable():
            lease = self._renew()
        lease.run.refuse_loop_thread(self._name)
        return lease

    async def _alease(self) -> Lease[T]:
        """Return the lease; take one on a worker thread, since that takes a moment and a lock."""
        lease = self._lease
        if self._state is not State.OPEN:
            raise SessionClosedError(f"{self._name} is closed")
        if lease is None or not lease.run.usable():
            lease = await anyio.to_thread.run_sync(self._renew)
            lease.run.refuse_after_exit()
        return lease

    def _renew(self) -> Lease[T]:
        with self._lock:
            # Again, with the lock: another thread may have been here, or in close().
            if self._state is not State.OPEN:
                raise SessionClosedError(f"{self._name} is closed")
            lease = self._lease
            if lease is None or not lease.run.usable():
                # The lease that a forked child inherited stays with the parked run, untouched.
                lease = Lease(self._open_resident, self._close_resident, self._settle_resident)
                try:
                    self._loop_thread.lease(lease)
                    self._lease = lease
                except BaseException:
                    self._lease = None
                    self._loop_thread.release(lease)
                    raise
            return lease

    def after_fork_in_child(self) -> None:
        """Renew the lock that a thread of the parent may have held. At-fork handler."""
        self._lock = threading.RLock()
        if self._state is State.CLOSED:
            self._closed.set()


class _ClosingGate(Generic[T]):
    """The gate of the call that closes, which has to pass the gate that it shuts."""

    def __init__(self, lease: Lease[T], run: LoopRun) -> None:
        self._lease = lease
        self.run = run

    def admit(self, call: Call[Any]) -> Lease[T]:
        return self._lease

    def leave(self, call: Call[Any]) -> None:
        pass

    def explained(self, error: BaseException) -> BaseException:
        return error


def _shut_from_here(lease: Lease[Any], run: LoopRun, reason: Reason, grace: float) -> None:
    try:
        Call[None](_ClosingGate(lease, run), _shut, (reason, grace), {}, None).complete()
    except (LoopThreadError, asyncio.CancelledError):
        if run.usable():
            raise
        # The loop has died, and with it everything that was open.


async def _shut(lease: Lease[Any], reason: Reason, grace: float) -> None:
    await asyncio.shield(lease.start_shutting(reason, grace))


#: Held here because the loop itself holds tasks weakly.
_retiring: set[asyncio.Future[None]] = set()

#: Every portal of the process, for the fork hook.
_every: WeakRefs[Portal[Any]] = WeakRefs()


def every_portal() -> list[Portal[Any]]:
    """Return all portals of the process."""
    return list(_every)
