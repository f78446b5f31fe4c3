"""The door between the threads: one owner's way to what it has on the loop.

A ``Portal`` belongs to one owner, such as a Session. It holds a lease on the loop
thread and, on the loop, the *resident*: the async object the owner is the face of.
``Portal`` and ``Remote`` are the only ways across, so a search for their methods finds
every crossing: ``call`` and ``open`` block; ``acall`` and ``aopen`` are the same for tasks
of other loops; ``submit`` and ``post`` are for those who must not wait.

Whether a call is admitted is decided over there (``Lease.admit``). The look at the state
in ``Portal._lease_now`` merely saves a trip.
"""

from __future__ import annotations

import asyncio
import enum
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

import anyio.to_thread

from ._awaited import NOTHING, AwaitedCall
from ._call import UNWIND_LIMIT, Call
from ._caller_task import CallerTask
from ._deadline import nearest
from ._exceptions import LoopThreadError, SessionClosedError
from ._future import CallFuture, Submission, SubmittedCall
from ._lease import CLOSE_LIMIT, Errand, L, Lease, Remote
from ._loop_run import LoopRun, Reason
from ._loop_thread import LoopThread
from ._slices import in_slices

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")


class State(enum.Enum):
    """What a portal does with a call."""

    OPEN = enum.auto()
    CLOSED = enum.auto()


class Portal(Generic[T]):
    """One owner's door to the loop thread. Any number of threads may share it.

    Args:
        loop_thread: whose loop to use; leased with the first call.
        open_resident: makes the async object, on the loop thread. Called again after a
            fork, or after the loop thread died: the new life of the portal has its own.
        close_resident: closes it, on the loop thread.
        settle_resident: waits for what it has under way, on the loop thread, as long as
            the closing has a grace period.
        name: how errors call the owner.
    """

    def __init__(
        self,
        loop_thread: LoopThread,
        open_resident: Callable[[], T],
        close_resident: Callable[[T], Coroutine[Any, Any, None]],
        settle_resident: Callable[[T], Coroutine[Any, Any, None]] | None = None,
        *,
        name: str,
    ) -> None:
        self._loop_thread = loop_thread
        self._open_resident = open_resident
        self._close_resident = close_resident
        self._settle_resident = settle_resident
        self._name = name
        # Reentrant for the sake of signal handlers. Guards the changes of _state and
        # _lease; held while the loop thread starts, and never while waiting else.
        self._lock = threading.RLock()
        self._state = State.OPEN
        self._lease: Lease[T] | None = None
        self._closed = threading.Event()
        #: The thread that closes, or has closed.
        self._closer = 0
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
        # Not Call[R](...), here and elsewhere: an alias that is called costs several times more.
        call: Call[R] = Call(run, lease, method, args, kwargs, nearest())
        return lease.completed(call)

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
            call: SubmittedCall[R] = SubmittedCall(run, lease, held, submission, lease.explained)
            return call.submit()
        except LoopThreadError as exc:
            lease.raise_explained(exc)

    async def ready(self) -> None:
        """Have the loop thread run, for what must not be begun without it.

        Awaited by a task of any loop. Raises SessionClosedError where the portal is closed.
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
        lease, run = await self._alease()
        call: AwaitedCall[R] = AwaitedCall(
            run,
            lease,
            lambda resident: method(resident, *args, **kwargs),
            NOTHING,
            lease.explained,
        )
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
        """Like ``open``, awaited by a task of any loop, in which ``beside`` runs meanwhile."""
        lease, run = await self._alease()
        call: AwaitedCall[tuple[V, Remote[L] | None]] = AwaitedCall(
            run,
            lease,
            lambda resident: method(resident, *args, **kwargs),
            submission,
            lease.explained,
            beside,
        )
        call.hold = lease.hold
        return await call.awaited()

    async def aclose(self, reason: Reason, *, grace: float = 0.0) -> None:
        """Like ``close``, awaited by a task of any loop but ours; its thread does not block."""
        run = self._usable_run()
        if run is not None:
            run.refuse_loop_thread(self._name, "close it elsewhere")
        if run is not None or not self.closed:
            await anyio.to_thread.run_sync(lambda: self.close(reason, grace=grace))

    def errand(self, live: L) -> Errand[L]:
        """Return a hold on ``live`` for the caller of a call under way. Loop thread only."""
        lease = self._lease
        assert lease is not None and lease.run is not None and lease.run.on_loop_thread()
        return Errand(lease, lease.run, live)

    def close(self, reason: Reason, *, grace: float = 0.0) -> None:
        """Close all that is open on the loop and return the lease. Blocks; idempotent.

        Calls in flight have ``grace`` seconds to end; what is left of them then gets
        ``reason``. A second closer waits for the first. An interrupt ends the wait,
        and the closing goes on without it.
        """
        first = False
        # From the moment on when this is the closer: an interrupt may come at any step.
        try:
            with self._lock:
                lease, run = self._lease, self._usable_run()
                if run is not None:
                    run.refuse_loop_thread(self._name)
                if self._state is State.OPEN:
                    self._closer = threading.get_ident()
                first, self._state = self._state is State.OPEN, State.CLOSED
            if not first:
                if self._closer == threading.get_ident():
                    return  # a signal handler, in the midst of this thread's own close()
                in_slices(self._closed.wait, set(), UNWIND_LIMIT + CLOSE_LIMIT + grace)
                return
            if lease is not None and run is not None:
                _shut_from_here(lease, run, reason, grace)
            last = None if lease is None else self._loop_thread.release(lease)
            if last is not None and not last.after_exit():
                last.join()
            self._closed.set()  # here too: the interrupt may come in the finally clause
        except BaseException:
            if first:
                self.abandon(reason)
            raise
        finally:
            if first:
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
        run.refuse_loop_thread(self._name)
        return lease, run

    async def _alease(self) -> tuple[Lease[T], LoopRun]:
        """Return the lease. On a worker of the caller's loop if it is not there yet: starting
        the loop thread takes a moment, and a lock."""
        lease = self._lease
        run = None if lease is None else lease.run
        if self._state is not State.OPEN:
            raise SessionClosedError(f"{self._name} is closed")
        if lease is None or run is None or not run.usable():
            renewed = await anyio.to_thread.run_sync(self._renew)
            renewed[1].refuse_after_exit()
            return renewed
        return lease, run

    def _renew(self) -> tuple[Lease[T], LoopRun]:
        with self._lock:
            # Looked at once more: another thread may have been here, or in close().
            if self._state is not State.OPEN:
                raise SessionClosedError(f"{self._name} is closed")
            lease, run = self._lease, self._usable_run()
            if lease is None or run is None:
                # What a forked child inherited stays with the parked run, untouched.
                lease = Lease(self._open_resident, self._close_resident, self._settle_resident)
                try:
                    self._loop_thread.lease(lease)
                    self._lease = lease
                except BaseException:
                    self._lease = None
                    self._loop_thread.release(lease)
                    raise
                run = lease.run
                assert run is not None
            return lease, run

    def after_fork_in_child(self) -> None:
        """Renew what a thread that is not here may have held. At-fork handler."""
        self._lock = threading.RLock()
        self._closed = threading.Event()  # it has a lock, too
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


def _shut_from_here(lease: Lease[Any], run: LoopRun, reason: Reason, grace: float) -> None:
    try:
        Call[None](run, _Closing(lease), _shut, (reason, grace), {}).complete()
    except (LoopThreadError, asyncio.CancelledError):
        if run.usable():
            raise
        # The loop has died meanwhile, and with it has ended all that was open.


async def _shut(lease: Lease[Any], reason: Reason, grace: float) -> None:
    await asyncio.shield(lease.start_shutting(reason, grace))


#: Every portal of the process, for the fork hook.
_every: weakref.WeakSet[Portal[Any]] = weakref.WeakSet()


def every_portal() -> list[Portal[Any]]:
    """Return all portals of the process."""
    return list(_every)
