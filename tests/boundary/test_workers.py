"""The worker threads: they are gone when their owner has shut them down."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

from syncclient._boundary.workers import DaemonExecutor


class SlowToLeave(queue.SimpleQueue[Any]):
    """Jobs whose end, None, takes its time to be noticed."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        job = super().get(block, timeout)
        if job is None:
            threading.Event().wait(0.2)
        return job


def test_shutdown_after_the_loop_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that closes tells its executor without waiting; its owner waits all the same."""
    executor = DaemonExecutor(name="syncclient-worker-under-test")
    monkeypatch.setattr(executor, "_jobs", SlowToLeave())
    worker = executor.submit(threading.current_thread).result(20)
    executor.submit(int).result(20)  # by the same one, or by a second: neither is busy then
    while executor._waiting < len(executor._workers):
        threading.Event().wait(0.01)
    executor.shutdown(wait=False)
    executor.shutdown()
    assert not worker.is_alive()
