"""LoopRun: one life of the loop thread, from its start to its end.

Calls and the end of the loop meet here, without a lock. A caller puts its call into the
mailbox *before* it wakes the loop; the loop thread stops being wakeable *before* it looks for
the remaining calls. So every call is begun, refused or found. A lock would do the same, but a
signal handler that makes a request could deadlock on it, an interrupt between acquiring it and
entering the ``with`` block could leave it locked (Python 3.14), and a fork could copy it in
the locked state.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from _thread import get_ident, start_new_thread
from collections.abc import Callable
from contextvars import Context, copy_context
from os import getpid
from typing import Any, Protocol

from .._exceptions import BlockingCallError, LoopThreadError, SessionClosedError
from .loop_setup import ignore_ended_calls, look_up_on_workers
from .loop_watch import LoopWatch
from .mailbox import Mailbox, Pending
from .waiting import Event, Sleepers, in_slices
from .workers import DaemonExecutor

#: Seconds that a new loop thread has to report that its loop runs.
START_LIMIT = 5.0
#: Seconds to wait for the end of a loop thread that was told to stop.
STOP_LIMIT = 5.0
#: Seconds that cancelled tasks have to unwind when the loop ends.
_WIND_DOWN_LIMIT = 1.0

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

#: Makes the error that says why a call was refused or cut short. Each caller gets an error of
#: its own: threads that raise the same one mix their tracebacks.
Reason = Callable[[], Exception]


class Begins(Pending, Protocol):
    """A call posted to the loop thread."""

    def begin(self, context: Context) -> None:
        """Start it, in the context of its caller. Loop thread only."""

    def explained(self, error: BaseException) -> BaseException:
        """Return the error to raise for ``error``, with which the call could not be made."""


class Tenant(Protocol):
    """The holder of a claim on the loop thread: a lease."""

    #: Set by ``LoopThread.lease``.
    run: LoopRun

    async def shut(self, reason: Reason) -> None:
        """Refuse new calls, end those in flight with ``reason``, and close everything open."""

    def fail_calls(self, error: BaseException) -> None:
        """Wake every caller with ``error`` at once, and cancel the tasks. Loop thread only."""


class LoopRun:
    """One life of the loop thread. Made by ``LoopThread``; any thread may post to it."""

    def __init__(self, loop_factory: LoopFactory) -> None:
        self._loop_factory = loop_factory
        self._thread = threading.Thread(target=self._main, name="syncclient-loop", daemon=True)
        self._ready = Event()
        #: Set when the thread has nothing left to do.
        self._over = Event()
        self._cause: BaseException | None = None
        self._workers = DaemonExecutor()
        self._shutting: asyncio.Task[None] | None = None
        #: The process of the thread: a forked child has this object, but not the thread.
        self.pid: int = os.getpid()
        self.ident: int = 0
        #: Set when the loop takes no more calls, or cannot be started.
        self.ended: bool = False
        #: Set when the interpreter exits. Callers that still wait are daemon threads then; if
        #: woken with an error, each would print a traceback before it dies.
        self.exiting: bool = False
        #: The threads that have waited for longer than a slice. See ``in_slices``.
        self.sleepers: LoopWatch = LoopWatch(self)
        #: Guarded by ``LoopThread``'s lock.
        self.tenants: set[Tenant] = set()
        self.loop: asyncio.AbstractEventLoop
        self._mailbox: Mailbox
        self._stopped_early = False

    # -- any thread ------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, without waiting for it: see ``wait_ready``."""
        try:
            if sys.is_finalizing():
                # Before Python 3.12 the thread would never run, and start() never return.
                raise RuntimeError("the interpreter is shutting down")
            # By a thread that no signal interrupts. In the middle of Thread.start, an interrupt
            # would leave locks acquired for which the new thread then waits forever.
            start_new_thread(self._launch, ())
        except RuntimeError as exc:
            self.ended = True
            raise _not_started(exc) from exc

    def _launch(self) -> None:
        try:
            self._thread.start()
        except BaseException as exc:
            self._cause = exc
            self.ended = True
            self._over.set()
            self._ready.set()

    def wait_ready(self) -> None:
        """Block until the loop runs, for ``START_LIMIT`` seconds at most."""
        if not in_slices(self._ready.wait, Sleepers(), START_LIMIT):
            raise LoopThreadError(
                f"the loop thread did not start within {START_LIMIT:g} s: this process does not "
                "run threads. Under uWSGI, set --enable-threads (enable-threads = true)"
            )
        if self.ended:
            if self._thread.ident is None:
                raise _not_started(self._cause) from self._cause
            raise self.death()

    def is_ours(self) -> bool:
        """Return whether this life of the loop thread began in this process."""
        return self.pid == os.getpid()

    def usable(self) -> bool:
        """Return whether calls can be made: the thread lives, and in this process."""
        if self.ended or self.pid != os.getpid():
            return False
        return not (self.exiting and self.after_exit())

    def serves_this_thread(self) -> bool:
        """Return whether the calling thread can wait for this loop. Does not say why not."""
        return not (self.ended or self.exiting or self.pid != getpid() or self.ident == get_ident())

    def on_loop_thread(self) -> bool:
        """Return whether the calling thread is the loop thread."""
        return threading.get_ident() == self.ident

    def refuse_loop_thread(
        self, what: str, cure: str = "async code that runs there must await, and not block"
    ) -> None:
        """Raise BlockingCallError if the calling thread, which called ``what``, is the loop's."""
        if self.on_loop_thread():
            raise BlockingCallError(
                f"{what} was called on the loop thread, where it would wait for itself; {cure}"
            )

    def after_exit(self) -> bool:
        """Return whether this is the main thread after the exit hook: a call would not return."""
        return self.exiting and threading.get_ident() == threading.main_thread().ident

    def refuse_after_exit(self) -> None:
        """Raise SessionClosedError if ``after_exit``."""
        if self.after_exit():
            raise SessionClosedError("the interpreter is exiting")

    def submit(self, call: Begins) -> None:
        """Hand a call over to the loop. Never blocks; leads to begin(), fail() or an error here.

        The caller has checked that this run is ``usable``, or was a moment ago.
        """
        try:
            self._mailbox.put(call.begin, (copy_context(),), call)
        except (OSError, RuntimeError):
            raise call.explained(self.death()) from None

    @property
    def posted(self) -> list[Pending]:
        """The calls that were handed over and are not yet begun."""
        return self._mailbox.waiting()

    def post(self, function: Callable[..., object], *args: Any) -> bool:
        """Schedule ``function`` on the loop; return False if it will never run. Never blocks.

        Takes no lock and does not log: finalisers and signal handlers may call it.
        """
        if self.ended or self.pid != os.getpid():
            return False
        try:
            self._mailbox.put(function, args)
        except (OSError, RuntimeError):  # the loop was closed just now
            return False
        return True

    def on_worker(self, function: Callable[[], object]) -> None:
        """Run ``function``, which may block, on a thread of its own. Loop thread only."""
        if not self.loop.is_closed():
            self._workers.submit(function)
            return
        try:
            threading.Thread(target=function, name="syncclient-worker", daemon=True).start()
        except RuntimeError:  # the interpreter is exiting
            function()

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
        """Stop the loop, without waiting. Any thread."""
        self._stopped_early = True
        if self._ready.is_set():
            self.post(self._stop)

    def join(self, limit: float = STOP_LIMIT) -> None:
        """Wait for the thread to end. Return at once on the loop thread, and in a child."""
        if self.is_ours() and not self.on_loop_thread():
            until = time.monotonic() + limit
            # Not in Thread.join alone, which may take note of a signal only when it returns.
            if in_slices(self._over.wait, Sleepers(), limit):
                self._thread.join(max(0.0, until - time.monotonic()))

    def shut_tenants_and_stop(self, reason: Reason) -> None:
        """Shut all tenants, then end the loop, without waiting. Any thread."""
        self._stopped_early = True  # if the loop does not run yet, there is nothing to shut
        if self._ready.is_set():
            self.post(self._shut_all, reason)

    # -- the loop thread -------------------------------------------------------------

    def _main(self) -> None:
        try:
            self._live()
        finally:
            self._over.set()

    def _live(self) -> None:
        self.ident = threading.get_ident()
        _local.run = self
        loop: asyncio.AbstractEventLoop | None = None
        try:
            self.loop = loop = self._loop_factory()
            look_up_on_workers(loop)
            ignore_ended_calls(loop)
            self._mailbox = Mailbox(loop)
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
            # A callback raised SystemExit or KeyboardInterrupt.
            self._cause = exc
        finally:
            self._end()

    def _report(self) -> None:
        self._ready.set()
        if self._stopped_early:  # by a caller that gave up waiting
            self._stop()

    def _end(self) -> None:
        self.ended = True
        try:
            self.loop.run_until_complete(self._wind_down())
        except BaseException as exc:
            self._cause = self._cause or exc
        left: list[Pending] = []
        try:
            left = self._mailbox.close()
            # Before the loop, which takes no result once it is closed.
            self._workers.shutdown(wait=False, cancel_futures=True)
            self.loop.close()
        finally:
            for pending in left:
                pending.fail(self.death())
            for tenant in list(self.tenants):
                tenant.fail_calls(self.death())
            self._workers.shutdown()
            self._ready.set()

    async def _wind_down(self) -> None:
        tenants = list(self.tenants)
        for tenant in tenants:
            # First: the rest may take a moment, and these callers need not wait for it.
            tenant.fail_calls(self.death())
        shutting = [self.loop.create_task(tenant.shut(self.death)) for tenant in tenants]
        if shutting:
            # Not wait_for(), which never returns if a task swallows its cancellation.
            done, _ = await asyncio.wait(shutting, timeout=_WIND_DOWN_LIMIT)
            for task in done:
                if not task.cancelled():
                    task.exception()  # retrieved, or asyncio would log it
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_WIND_DOWN_LIMIT)
        await self.loop.shutdown_asyncgens()
        await asyncio.sleep(0)  # an aborted transport closes in the next turn

    def _stop(self) -> None:
        self.loop.stop()

    def _shut_all(self, reason: Reason) -> None:
        async def shut_all() -> None:
            tenants = list(self.tenants)
            await asyncio.gather(*(t.shut(reason) for t in tenants), return_exceptions=True)
            self._stop()

        self._shutting = self.loop.create_task(shut_all())


def _not_started(cause: BaseException | None) -> LoopThreadError:
    return LoopThreadError(
        f"the loop thread cannot be started ({cause}). At interpreter exit, the first request "
        "came too late: make one earlier, or keep a session open. In an isolated "
        "sub-interpreter, sessions do not work: use them in the main interpreter"
    )


def running_here() -> LoopRun:
    """Return the run whose loop thread this is. Loop thread only."""
    run: LoopRun = _local.run
    return run


#: On a loop thread, its run.
_local = threading.local()


class Waiter:
    """One wait of a task on the loop, which any thread can end. Made on the loop thread.

    The task first publishes its waiter, and then looks whether there is something to take; a
    producer first puts something there, and then looks for a waiter. So neither misses the
    other, without a lock. A waiter serves once.
    """

    __slots__ = ("_future", "_run", "_woken")

    def __init__(self) -> None:
        self._run = running_here()
        self._future: asyncio.Future[None] | None = self._run.loop.create_future()
        self._woken = False

    async def wait(self) -> None:
        """Wait until it is woken. Loop thread only."""
        assert self._future is not None
        try:
            await self._future
        finally:
            self._future = None  # freed on this thread, not on that of a late wake()

    def wake(self) -> None:
        """End the wait. Any thread, and finalisers: neither blocks nor locks."""
        if not self._woken:
            self._woken = True
            # If the loop has ended, so has the wait.
            self._run.post(self.wake_here)

    def wake_here(self, _: object = None) -> None:
        """End the wait. Loop thread only."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
