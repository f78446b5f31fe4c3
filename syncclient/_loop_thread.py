"""The loop thread: one background thread that runs the event loop of every session.

``LoopThread`` is what a process keeps: it hands the running loop out by leases, the
first of which starts the thread, the last of which stops and joins it. ``LoopRun`` is
one life of that thread. After a fork, or after the thread died, the next lease begins
a new life; the old one is never touched again.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref

from ._exceptions import LoopThreadError
from ._loop_run import LoopFactory, LoopRun, Reason, Tenant


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop event loop where uvloop is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class LoopThread:
    """The background thread that runs the event loop; every session shares the default one.

    Args:
        loop_factory: makes the event loop, on the new thread. None takes uvloop where it
            is installed, else asyncio's own.

    Give one to ``Session(loop_thread=...)`` to choose another event loop, or to keep
    sessions apart. Making one costs nothing: the thread starts with the first request
    of a session, and ends when the last session that used it is closed. Any thread may
    make and use it.
    """

    def __init__(self, *, loop_factory: LoopFactory | None = None) -> None:
        self._loop_factory = loop_factory or new_event_loop
        # Reentrant, since a signal handler may make its first request while this
        # thread is in here. Held for bookkeeping only, never while waiting.
        self._lock = threading.RLock()
        self._run: LoopRun | None = None
        _every.add(self)

    def __repr__(self) -> str:
        run = self._run
        state = "idle" if run is None or not run.usable() else f"{len(run.tenants)} leases"
        return f"<LoopThread {state}>"

    def lease(self, tenant: Tenant) -> None:
        """Give ``tenant`` a claim on the running loop, starting the thread if need be. Blocks.

        If this is interrupted or fails, ``release`` takes back what there is to take.
        """
        refuse_patched_threads()
        with self._lock:
            run = self._run
            if run is None or not run.usable():
                run = LoopRun(self._loop_factory)
            # Entered before the thread is started: whatever interrupts the start, release()
            # ends a thread that has come of it.
            tenant.run = run
            run.tenants.add(tenant)
            if self._run is not run:
                run.start()
                before, self._run = self._run, run
                if before is not None and not before.is_ours():
                    _parked.append(before)  # the fork hook has not run: a fork in C
        run.wait_ready()

    def release(self, tenant: Tenant) -> LoopRun | None:
        """Take the claim back. Return the run to join if this was the last one on it.

        Does not wait, so the loop thread may call it too.
        """
        run = tenant.run
        if run is None or not run.is_ours():
            return None  # what a forked child inherited keeps its tenants: none may be finalised
        with self._lock:
            run.tenants.discard(tenant)
            if run.tenants:
                return None
            if self._run is run:
                self._run = None
        run.stop()
        return run

    def begin_shutdown(self, reason: Reason) -> LoopRun | None:
        """Have everything closed, for the interpreter is exiting. Return the run to join."""
        run = self._run
        if run is None or not run.usable():
            return None
        self._run = None
        run.exiting = True
        run.shut_tenants_and_stop(reason)
        return run

    def after_fork_in_child(self) -> None:
        """Forget the parent's thread, touching nothing that is its own. At-fork handler."""
        self._lock = threading.RLock()
        run, self._run = self._run, None
        if run is not None:
            run.ended = True
            _parked.append(run)


def refuse_patched_threads() -> None:
    """Raise LoopThreadError if threads are greenlets, or are not to be had."""
    try:
        threading.Thread(daemon=True)
    except RuntimeError as exc:
        raise LoopThreadError(
            f"no loop thread can run in this sub-interpreter ({exc}): use sessions in the main "
            "interpreter, or in one that was made with the legacy configuration"
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
        f"{name} has replaced the threads of this process by greenlets, and a loop thread "
        f"needs a real one: leave threads out, {cure}"
    )


#: Every LoopThread of the process, for the fork and exit hooks.
_every: weakref.WeakSet[LoopThread] = weakref.WeakSet()

#: What a forked child inherited of its parent's loop. An epoll set is shared across a
#: fork: closing or finalising anything of this would deafen the parent. So it is kept.
#: (At the child's exit, too: the dead thread's own stack still holds the loop, and
#: nothing ever unwinds that stack.)
_parked: list[LoopRun] = []


def every_loop_thread() -> list[LoopThread]:
    """Return all LoopThreads of the process."""
    while True:
        try:
            return list(_every)
        except RuntimeError:  # another thread has made one meanwhile
            continue


#: The one that sessions use unless they are given another.
default_loop_thread = LoopThread()
