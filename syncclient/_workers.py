"""Worker threads for work that belongs to no single caller: DNS look-ups, netrc.

The standard executor will not do. Its threads are joined at interpreter exit,
so one stuck look-up holds the process; and it refuses work from that moment on,
so a request in an ``atexit`` function could not resolve a name. Ours are daemons,
leave after a while without work, and nobody waits for one that is stuck.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: Seconds a worker waits for work before it leaves.
_IDLE = 10.0


class DaemonExecutor(ThreadPoolExecutor):
    """An executor of daemon threads. ``submit`` is called on the loop thread only.

    Derived from ThreadPoolExecutor because asyncio accepts no other kind as a loop's
    default; of the base class, whose threads would be joined at exit, nothing runs.
    """

    def __init__(self, max_workers: int = 32, *, name: str = "syncclient-worker") -> None:
        super().__init__(max_workers, thread_name_prefix=name)
        self._limit = max_workers
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards the four fields below
        self._waiting = 0  # workers without a job, and without the promise of one
        self._backlog = 0  # jobs queued without a worker, because all were busy
        self._workers: set[threading.Thread] = set()
        self._told = False  # to leave

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run ``fn`` on a worker. Does not block, unless no thread can be started at all."""
        future: Future[R] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as exc:
                future.set_exception(exc)

        with self._lock:
            worker = None
            if self._waiting:
                self._waiting -= 1
            elif len(self._workers) < self._limit:
                worker = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._workers.add(worker)
            else:
                self._backlog += 1
        if worker is not None:
            try:
                worker.start()
            except RuntimeError:
                # From Python 3.12 on no thread starts once the interpreter is
                # shutting down. A look-up that blocks the loop for a moment is
                # then better than a request that cannot be made.
                with self._lock:
                    self._workers.discard(worker)
                job()
                return future
        self._jobs.put(job)
        return future

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE)
            except queue.Empty:
                with self._lock:
                    if not self._waiting:
                        continue  # a job was promised to this worker just now
                    self._waiting -= 1
                    self._workers.discard(threading.current_thread())
                return
            if job is None:
                return
            job()
            del job
            with self._lock:
                if self._backlog:
                    self._backlog -= 1
                else:
                    self._waiting += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Tell the workers to leave. Wait for them, unless one of them is busy: it may be stuck.

        An event loop that is closed calls this without waiting; its owner then still may wait.
        """
        with self._lock:
            workers = list(self._workers)
            idle = self._waiting
            told, self._told = self._told, True
            if wait:
                self._workers.clear()
        if not told:
            for _ in workers:
                self._jobs.put(None)
        if wait and idle == len(workers):
            for worker in workers:
                worker.join(timeout=1)
