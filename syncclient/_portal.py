"""The door between the threads: one owner's way to what it has on the loop.

A ``Portal`` belongs to one owner, such as a Session. It holds a lease on the loop
thread and, on the loop, the *resident*: the async object the owner is the face of.
``Portal.call`` and ``Remote.call`` are the only ways across, so one search for them
finds every crossing; ``submit`` and ``post`` are for those who must not wait.

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

from ._call import Call
from ._deadline import nearest
from ._exceptions import BlockingCallError, LoopThreadError, SessionClosedError
from ._future import CallFuture, Submission, SubmittedCall
from ._lease import CLOSE_LIMIT, UNWIND_LIMIT, L, Lease, Remote
from ._loop_thread import LoopRun, LoopThread, Reason

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
            try:
                if error is exc:
                    raise
                raise error from None
            finally:
                del error  # its traceback holds this frame

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
            self._closed.wait(UNWIND_LIMIT + CLOSE_LIMIT + grace)
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
