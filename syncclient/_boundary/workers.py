"""Worker threads for work without a blocked caller: look-ups, and callbacks of users.

Their number has no limit. A user's code may wait for a request, and the request for a look-up
on another worker: with a limit, as many callbacks as there are workers would deadlock. Work
that should be limited, such as look-ups, is counted where it is submitted.

The standard executor will not do. The interpreter joins its threads at exit, so one stuck
look-up would hold the process; and it refuses work from then on, so a request in an ``atexit``
function could not resolve a name. These threads are daemons, leave after a while without work,
and are not waited for if they are stuck.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")

#: Seconds a worker waits for work before it leaves.
_IDLE = 10.0


class DaemonExecutor(ThreadPoolExecutor):
    """An executor of daemon threads. ``submit`` is called on the loop thread only.

    It derives from ThreadPoolExecutor because asyncio accepts no other class as a loop's
    default executor; no code of the base class runs.
    """

    def __init__(self, *, name: str = "syncclient-worker") -> None:
        super().__init__(1, thread_name_prefix=name)
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards the four fields below
        self._waiting = 0  # workers that have no job and are promised none
        self._workers: set[threading.Thread] = set()
        self._told = False  # to leave
        self._dropping = False  # the results of jobs

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run ``fn`` on a worker. Blocks only if no thread can be started at all."""
        future: Future[R] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as exc:
                self._tell(future.set_exception, exc)
            else:
                self._tell(future.set_result, result)

        with self._lock:
            worker = None
            if self._waiting:
                self._waiting -= 1
            else:
                worker = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._workers.add(worker)
        if worker is not None:
            try:
                worker.start()
            except RuntimeError:
                # From Python 3.12 on no thread starts once the interpreter is shutting down. A
                # look-up that blocks the loop for a moment is better than a failed request.
                with self._lock:
                    self._workers.discard(worker)
                job()
                return future
        self._jobs.put(job)
        return future

    def _tell(self, settle: Callable[[V], None], value: V) -> None:
        # With the lock: the future posts to a loop that may be closed after ``shutdown``.
        with self._lock:
            if not self._dropping:
                settle(value)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE)
            except queue.Empty:
                with self._lock:
                    if not self._waiting:
                        continue  # this worker has just been promised a job
                    self._waiting -= 1
                    self._workers.discard(threading.current_thread())
                return
            if job is None:
                return
            job()
            del job
            with self._lock:
                self._waiting += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop the workers, and wait for them unless one is busy and may be stuck.

        With ``cancel_futures``, results of busy workers are dropped from now on. An event loop
        that closes calls this without ``wait``; its owner can still wait afterwards.
        """
        with self._lock:
            workers = list(self._workers)
            idle = self._waiting
            told, self._told = self._told, True
            self._dropping = self._dropping or cancel_futures
            if wait:
                self._workers.clear()
        if not told:
            for _ in workers:
                self._jobs.put(None)
        if wait and idle == len(workers):
            for worker in workers:
                worker.join(timeout=1)
