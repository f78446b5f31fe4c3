"""One life of the loop thread: what it runs, from its start to its end.

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
from collections.abc import Callable
from typing import Any, Protocol

from ._exceptions import BlockingCallError, LoopThreadError, SessionClosedError
from ._inbox import Inbox
from ._lookups import look_up_on_workers
from ._slices import in_slices
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
        """Wake every caller with ``error`` at once, and cancel the tasks. Loop thread only."""


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
        #: Set when the loop takes no more calls, if it ever did.
        self.ended: bool = False
        #: Set when the interpreter exits. The callers still waiting are daemon threads
        #: then; woken with an error, each would print a traceback before it dies.
        self.exiting: bool = False
        #: Calls handed over and not yet begun. See the module's docstring.
        self.posted: set[Pending] = set()
        #: Threads that have been waiting for a while. See ``in_slices``.
        self.sleepers: set[int] = set()
        #: Who has a lease. Guarded by ``LoopThread``'s lock.
        self.tenants: set[Tenant] = set()
        self.loop: asyncio.AbstractEventLoop
        self._inbox: Inbox
        self._stopped_early = False

    # -- any thread ------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; ``wait_ready`` waits for it."""
        try:
            if sys.is_finalizing():
                # Before Python 3.12 it would start and never run, and start() wait for ever.
                raise RuntimeError("the interpreter is shutting down")
            self._thread.start()
        except RuntimeError as exc:
            self.ended = True
            raise LoopThreadError(
                f"the loop thread cannot be started ({exc}); at interpreter exit this means "
                "that the first request came too late: make one earlier, or keep a session open; "
                "in an isolated sub-interpreter, that sessions work in the main one only"
            ) from exc

    def wait_ready(self) -> None:
        """Block until the loop runs, for some seconds at most."""
        if not in_slices(self._ready.wait, self.sleepers, START_LIMIT):
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
        """Tell whether calls can be made: the thread lives, in this process, and will answer."""
        if self.ended or self.pid != os.getpid():
            return False
        return not (self.exiting and self.after_exit())

    def on_loop_thread(self) -> bool:
        """Tell whether the caller is the loop thread itself."""
        return threading.get_ident() == self.ident

    def refuse_loop_thread(
        self, what: str, cure: str = "async code that runs there must await, and not block"
    ) -> None:
        """Raise BlockingCallError on the loop thread itself, where ``what`` was called."""
        if self.on_loop_thread():
            raise BlockingCallError(
                f"{what} was called on the loop thread, where it would wait for itself; {cure}"
            )

    def after_exit(self) -> bool:
        """Tell whether this is the main thread after the exit hook: it would not be woken."""
        return self.exiting and threading.get_ident() == threading.main_thread().ident

    def refuse_after_exit(self) -> None:
        """Raise SessionClosedError where ``after_exit``."""
        if self.after_exit():
            raise SessionClosedError("the interpreter is exiting")

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
        if self.ended or self.pid != os.getpid():
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
        loop: asyncio.AbstractEventLoop | None = None
        try:
            self.loop = loop = self._loop_factory()
            look_up_on_workers(loop)
            self._inbox = Inbox(loop)
        except BaseException as exc:
            self._cause = exc
            self.ended = True
            if loop is not None:
                loop.close()
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
        tenants = list(self.tenants)
        for tenant in tenants:
            # Woken first: what follows may take a moment, and their answer is known.
            tenant.fail_calls(self.death())
        shutting = [self.loop.create_task(tenant.shut(self.death)) for tenant in tenants]
        if shutting:
            # wait() and not wait_for(), which waits for ever where a cancellation is swallowed.
            done, _ = await asyncio.wait(shutting, timeout=_WIND_DOWN_LIMIT)
            for task in done:
                if not task.cancelled():
                    task.exception()  # looked at: nobody is left who could be told
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


def running_here() -> LoopRun:
    """Return the run whose loop thread this is. Loop thread only."""
    run: LoopRun = _local.run
    return run


#: On a loop thread, its run.
_local = threading.local()
