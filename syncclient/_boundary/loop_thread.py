"""LoopThread: the background thread that runs the event loop of every session.

A process keeps a ``LoopThread``, and each owner takes a lease: the first lease starts the
thread, the last one to be returned stops and joins it. ``LoopRun`` is one life of that
thread. After a fork, or the death of the thread, the next lease begins a new life; the old one
is never touched again.
"""

from __future__ import annotations

import asyncio
import sys
import threading

from .._exceptions import LoopThreadError
from .._weak_refs import WeakRefs
from .loop_run import LoopFactory, LoopRun, Reason, Tenant

_new_loop: LoopFactory
try:
    from uvloop import new_event_loop as _new_loop
except ImportError:  # not on Windows, nor on PyPy
    from asyncio import new_event_loop as _new_loop


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop event loop if uvloop is installed, otherwise asyncio's own."""
    return _new_loop()


class LoopThread:
    """The background thread that runs the event loop; every session shares the default one.

    Args:
        loop_factory: creates the event loop, on the new thread. None uses uvloop if it is
            installed, otherwise asyncio's own.

    Pass one to ``Session(loop_thread=...)`` to choose another event loop, or to separate sessions.
    Creating one is cheap: the thread starts with the first request of a session, and ends when
    the last session that used it is closed. Any thread may create and use it.
    """

    def __init__(self, *, loop_factory: LoopFactory | None = None) -> None:
        self._loop_factory = loop_factory or new_event_loop
        # Reentrant, because a signal handler may make its first request while this thread holds
        # it. Held for bookkeeping only, never during a wait.
        self._lock = threading.RLock()
        self._run: LoopRun | None = None
        _every.add(self)

    def __repr__(self) -> str:
        run = self._run
        state = "idle" if run is None or not run.usable() else f"{len(run.tenants)} leases"
        return f"<LoopThread {state}>"

    def lease(self, tenant: Tenant) -> None:
        """Give ``tenant`` a claim on the loop, and start the thread if needed. Blocks.

        Call ``release`` even if this fails or is interrupted.
        """
        refuse_patched_threads()
        with self._lock:
            run = self._run
            if run is None or not run.usable():
                run = LoopRun(self._loop_factory)
            # Entered before the thread starts, so that release() can end a thread whose start
            # was interrupted.
            tenant.run = run
            run.tenants.add(tenant)
            if self._run is not run:
                run.start()
                before, self._run = self._run, run
                if before is not None and not before.is_ours():
                    _parked.append(before)  # the fork hook has not run, as for a fork in C
        run.wait_ready()

    def release(self, tenant: Tenant) -> LoopRun | None:
        """Take the claim back; return the run to join if it was the last claim on it.

        Does not wait, so the loop thread may call it too.
        """
        run: LoopRun | None = getattr(tenant, "run", None)
        if run is None or not run.is_ours():
            return None  # an inherited run keeps its tenants: they must not be finalised
        with self._lock:
            run.tenants.discard(tenant)
            if run.tenants:
                return None
            if self._run is run:
                self._run = None
        run.stop()
        return run

    def begin_shutdown(self, reason: Reason) -> LoopRun | None:
        """Start closing everything at interpreter exit; return the run to join."""
        run = self._run
        if run is None or not run.usable():
            return None
        self._run = None
        run.exiting = True
        run.shut_tenants_and_stop(reason)
        return run

    def after_fork_in_child(self) -> None:
        """Forget the parent's thread without touching it. At-fork handler."""
        self._lock = threading.RLock()
        run, self._run = self._run, None
        if run is not None:
            run.ended = True
            _parked.append(run)


def refuse_patched_threads() -> None:
    """Raise LoopThreadError if no real thread can be started here."""
    try:
        threading.Thread(daemon=True)
    except RuntimeError as exc:
        raise LoopThreadError(
            f"no loop thread can run in this sub-interpreter ({exc}): use sessions in the main "
            "interpreter, or in one made with the legacy configuration"
        ) from exc
    gevent = sys.modules.get("gevent.monkey")
    eventlet = sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("threading"):
        name, cure = "gevent", "gevent.monkey.patch_all(thread=False)"
    elif eventlet is not None and eventlet.is_monkey_patched("thread"):
        name, cure = "eventlet", "eventlet.monkey_patch(thread=False)"
    else:
        return
    raise LoopThreadError(
        f"{name} has replaced the threads of this process by greenlets, but syncclient needs a "
        f"real thread: leave threads out, {cure}"
    )


#: Every LoopThread of the process, for the fork and exit hooks.
_every: WeakRefs[LoopThread] = WeakRefs()

#: The runs that a forked child inherited. A fork shares the epoll set: closing or finalising
#: anything of the parent's loop would deafen the parent. So it is kept, even at the child's
#: exit: the stack of the dead thread still holds the loop, and is never unwound.
_parked: list[LoopRun] = []


def every_loop_thread() -> list[LoopThread]:
    """Return all LoopThreads of the process."""
    return list(_every)


#: The default loop thread of sessions.
default_loop_thread = LoopThread()
