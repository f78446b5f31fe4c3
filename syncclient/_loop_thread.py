"""The loop thread: one background thread that runs the event loop of every session.

``LoopThread`` is what a process keeps: it hands the running loop out by leases, the
first of which starts the thread, the last of which stops and joins it. ``LoopRun`` is
one life of that thread. After a fork, or after the thread died, the next lease begins
a new life; the old one is never touched again.

The life of a call and the end of the loop meet here, without a lock. A caller adds
its call to ``LoopRun.posted`` *before* it posts it; the loop thread looks through
``posted`` for calls left behind *after* it has closed the loop, from when on posting
fails. So a call is begun, or refused, or found: whichever comes first. A lock would
say the same, but a signal handler that makes a request could then deadlock on it, an
interrupt between taking it and entering the ``with`` block could leave it locked for
ever (Python 3.14), and a fork could copy it in the locked state. Set operations are
atomic, with the GIL and, by the set's own lock, without it.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from ._exceptions import LoopThreadError
from ._inbox import Inbox
from ._workers import DaemonExecutor

#: Seconds a new loop thread has to report that its loop runs.
START_LIMIT = 5.0
#: Seconds a loop that was told to stop has before its thread is left to itself.
STOP_LIMIT = 5.0
#: Seconds cancelled tasks have to unwind when the loop ends.
_WIND_DOWN_LIMIT = 1.0

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

#: Makes the error that tells a caller why its call was refused or cut short. Each
#: caller gets one of its own: an exception shared by threads mixes their tracebacks.
Reason = Callable[[], Exception]


class Pending(Protocol):
    """A call on its way to the loop thread."""

    def begin(self) -> None:
        """Start it. Loop thread only."""

    def fail(self, error: BaseException) -> None:
        """End it with ``error``. Loop thread only."""


class Tenant(Protocol):
    """The holder of a lease: what runs on the loop on an owner's behalf."""

    #: Set by ``LoopThread.lease``.
    run: LoopRun | None

    async def shut(self, reason: Reason) -> None:
        """Refuse new calls, end those in flight with ``reason``, close all that is open."""

    def fail_calls(self, error: BaseException) -> None:
        """Wake every caller with ``error`` at once. Loop thread only."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop event loop where uvloop is installed, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class LoopRun:
    """One life of the loop thread. Made by ``LoopThread``; any thread may post to it."""

    def __init__(self, loop_factory: LoopFactory) -> None:
        self._loop_factory = loop_factory
        self._thread = threading.Thread(target=self._main, name="syncclient-loop", daemon=True)
        self._ready = threading.Event()
        self._cause: BaseException | None = None
        self._workers = DaemonExecutor()
        self._shutting: asyncio.Task[None] | None = None
        #: The process the thread lives in: a forked child has the object, not the thread.
        self.pid: int = os.getpid()
        self.ident: int = 0
        #: Set when the loop takes no more calls. Written by the loop thread.
        self.ended: bool = False
        #: Set when the interpreter exits. The callers still waiting are daemon threads
        #: then; woken with an error, each would print a traceback before it dies.
        self.exiting: bool = False
        #: Calls handed over and not yet begun. See the module's docstring.
        self.posted: set[Pending] = set()
        #: Who has a lease. Guarded by ``LoopThread``'s lock.
        self.tenants: set[Tenant] = set()
        #: Trips to the loop and back since the thread started. Counted on the loop thread.
        self.crossings: int = 0
        self.loop: asyncio.AbstractEventLoop
        self._inbox: Inbox
        self._stopped_early = False

    # -- any thread ------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; ``wait_ready`` waits for it."""
        try:
            self._thread.start()
        except RuntimeError as exc:
            self.ended = True
            raise LoopThreadError(
                f"the loop thread cannot be started ({exc}); at interpreter exit this means "
                "that the first request came too late: make one earlier, or keep a session open"
            ) from exc

    def wait_ready(self) -> None:
        """Block until the loop runs, for some seconds at most."""
        if not self._ready.wait(START_LIMIT):
            raise LoopThreadError(
                f"the loop thread did not start within {START_LIMIT:g} s: this process does not "
                "run threads. Under uWSGI, set --enable-threads (enable-threads = true)"
            )
        if self.ended:
            raise self.death()

    def is_ours(self) -> bool:
        """Tell whether this life of the loop thread began in the present process."""
        return self.pid == os.getpid()

    def usable(self) -> bool:
        """Tell whether calls can be made: the thread lives, and in this process."""
        return not self.ended and self.pid == os.getpid()

    def on_loop_thread(self) -> bool:
        """Tell whether the caller is the loop thread itself."""
        return threading.get_ident() == self.ident

    def submit(self, pending: Pending) -> None:
        """Hand a call over to the loop. Never blocks; ends in begin(), fail() or an error here.

        The caller has made sure that this run is ``usable``, or was a moment ago.
        """
        self.posted.add(pending)
        try:
            self._inbox.put(contextvars.copy_context(), pending.begin)
        except (OSError, RuntimeError):
            self.posted.discard(pending)
            raise self.death() from None

    def post(self, function: Callable[..., object], *args: Any) -> bool:
        """Schedule ``function`` on the loop and return at once; False if it never will run.

        Takes no lock and does not log: finalisers and signal handlers may call it.
        """
        if not self.usable():
            return False
        try:
            self._inbox.put(None, function, args)
        except (OSError, RuntimeError):  # the loop was closed just now
            return False
        return True

    def death(self) -> LoopThreadError:
        """Return the error that says why this life of the loop thread is over."""
        if not self.is_ours():
            return LoopThreadError(
                f"this belongs to process {self.pid}, which forked the present one: "
                "open it anew in the child"
            )
        if self._cause is None:
            return LoopThreadError("the loop thread has stopped")
        error = LoopThreadError(f"the loop thread died of {self._cause!r}")
        error.__cause__ = self._cause
        return error

    def stop(self) -> None:
        """Have the loop end. Any thread; does not wait."""
        self._stopped_early = True
        if self._ready.is_set():
            self.post(self._stop)

    def join(self, limit: float = STOP_LIMIT) -> None:
        """Wait for the thread to end. On the loop thread itself, and in a child, do not."""
        if self.is_ours() and not self.on_loop_thread():
            self._thread.join(limit)

    def shut_tenants_and_stop(self, reason: Reason) -> None:
        """Close all that the tenants have open, then end the loop. Any thread; does not wait."""
        self.post(self._shut_all, reason)

    # -- the loop thread -------------------------------------------------------------

    def _main(self) -> None:
        self.ident = threading.get_ident()
        _local.run = self
        try:
            self.loop = self._loop_factory()
            self._inbox = Inbox(self.loop)
        except BaseException as exc:
            self._cause = exc
            self.ended = True
            self._ready.set()
            return
        try:
            self.loop.set_default_executor(self._workers)
            self.loop.call_soon(self._report)
            self.loop.run_forever()
        except BaseException as exc:
            # A callback of somebody's raised SystemExit or KeyboardInterrupt.
            self._cause = exc
        finally:
            self._end()

    def _report(self) -> None:
        self._ready.set()
        if self._stopped_early:  # by a caller that had given up waiting
            self._stop()

    def _end(self) -> None:
        self.ended = True
        try:
            self.loop.run_until_complete(self._wind_down())
        except BaseException as exc:
            self._cause = self._cause or exc
        try:
            self._inbox.close()
            self.loop.close()
        finally:
            for pending in list(self.posted):
                pending.fail(self.death())
            for tenant in list(self.tenants):
                tenant.fail_calls(self.death())
            self._workers.shutdown()
            self._ready.set()

    async def _wind_down(self) -> None:
        for tenant in list(self.tenants):
            # Woken first: what follows may take a moment, and their answer is known.
            tenant.fail_calls(self.death())
            try:
                await asyncio.wait_for(tenant.shut(self.death), _WIND_DOWN_LIMIT)
            except Exception:
                continue  # nobody is left who could be told
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_WIND_DOWN_LIMIT)
        await self.loop.shutdown_asyncgens()

    def _stop(self) -> None:
        self.loop.stop()

    def _shut_all(self, reason: Reason) -> None:
        async def shut_all() -> None:
            tenants = list(self.tenants)
            await asyncio.gather(*(t.shut(reason) for t in tenants), return_exceptions=True)
            self._stop()

        self._shutting = self.loop.create_task(shut_all())


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
                run.start()
                self._run = run
            tenant.run = run
            run.tenants.add(tenant)
        run.wait_ready()

    def release(self, tenant: Tenant) -> LoopRun | None:
        """Take the claim back. Return the run to join if this was the last one on it.

        Does not wait, so the loop thread may call it too.
        """
        run = tenant.run
        if run is None:
            return None
        with self._lock:
            run.tenants.discard(tenant)
            if run.tenants:
                return None
            if self._run is run:
                self._run = None
        run.stop()
        return run

    def shutdown(self, reason: Reason, limit: float) -> None:
        """Close everything, for the interpreter is about to exit. Blocks ``limit`` s at most."""
        run = self._run
        if run is None or not run.usable():
            return
        self._run = None
        run.exiting = True
        run.shut_tenants_and_stop(reason)
        run.join(limit)

    def after_fork_in_child(self) -> None:
        """Forget the parent's thread, touching nothing that is its own. At-fork handler."""
        self._lock = threading.RLock()
        run, self._run = self._run, None
        if run is not None:
            run.ended = True
            _parked.append(run)


def running_here() -> LoopRun:
    """Return the run whose loop thread this is. Loop thread only."""
    run: LoopRun = _local.run
    return run


def refuse_patched_threads() -> None:
    """Raise LoopThreadError if gevent or eventlet replaced threads by greenlets."""
    gevent = sys.modules.get("gevent.monkey")
    eventlet = sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("threading"):
        name = "gevent"
    elif eventlet is not None and eventlet.is_monkey_patched("thread"):
        name = "eventlet"
    else:
        return
    raise LoopThreadError(
        f"{name} has replaced the threads of this process by greenlets, and a loop thread "
        f"needs a real one: leave threads out ({name}.monkey_patch(thread=False))"
    )


#: On a loop thread, its run.
_local = threading.local()

#: Every LoopThread of the process, for the fork and exit hooks.
_every: weakref.WeakSet[LoopThread] = weakref.WeakSet()

#: What a forked child inherited of its parent's loop. An epoll set is shared across a
#: fork: closing or finalising anything of this would deafen the parent. So it is kept.
#: (At the child's exit, too: the dead thread's own stack still holds the loop, and
#: nothing ever unwinds that stack.)
_parked: list[LoopRun] = []


def every_loop_thread() -> list[LoopThread]:
    """Return all LoopThreads of the process."""
    return list(_every)


#: The one that sessions use unless they are given another.
default_loop_thread = LoopThread()
