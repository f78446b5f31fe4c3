"""A test double for the scheduler: threads that are switched at the worst of moments.

``Shaker(seed)`` traces the functions of the boundary that ``MARKED`` names, on every
thread, and at each of their lines may send the thread to the end of the queue, or hold it
up for a moment, as the seed says. Production code has no hooks for it.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from syncclient import (
    _call,
    _fork,
    _future,
    _inbox,
    _lease,
    _loop_run,
    _loop_thread,
    _portal,
    _waiter,
)

if TYPE_CHECKING:
    from typing_extensions import Self

#: What happens at a boundary -> the functions in which its order matters.
MARKED: dict[str, tuple[Any, ...]] = {
    "gate": (_lease.Lease.admit, _lease.Lease.leave, _lease.Remote.admit),
    "post": (_loop_run.LoopRun.submit, _loop_run.LoopRun.post, _inbox.Inbox.put),
    "delivery": (_inbox.Inbox._deliver, _inbox.Inbox._rung, _call.Call.begin),
    "completion": (_call.Call._finish, _call.Call._notify, _call.Call.complete, _call.Call._wait),
    "jobs": (_call.Call._serve, _call.Call.ask, _call.Job.answered),
    "interrupt": (_call.Call._abandon, _call.Call.cancel),
    "future": (
        _future.SubmittedCall.submit,
        _future.SubmittedCall.withdraw,
        _future.SubmittedCall._notify,
        _future.SubmittedCall._settle,
        _future.CallFuture.cancel,
    ),
    "lease": (
        _portal.Portal._renew,
        _loop_thread.LoopThread.lease,
        _loop_run.LoopRun.wait_ready,
    ),
    "close": (
        _portal.Portal.close,
        _portal.Portal.abandon,
        _lease.Lease.shut,
        _lease.Lease.start_shutting,
        _loop_thread.LoopThread.release,
        _loop_run.LoopRun.stop,
    ),
    "death": (_loop_run.LoopRun._end, _inbox.Inbox.close, _call.Call.fail),
    "finaliser": (_lease.Remote.__del__, _lease.Remote._abandon),
    "fork": (_fork._after_fork_in_child, _portal.Portal.after_fork_in_child),
    "wake": (_waiter.Waiter.wake, _waiter.Waiter.wake_here),
}

_CODES = frozenset(function.__code__ for group in MARKED.values() for function in group)

#: Of so many lines in marked functions, one yields, and one of them in turn is a real pause.
_YIELD_ONE_IN = 4
_PAUSE_ONE_IN = 40
#: Seconds of a pause: longer than the loop takes to go round a few times.
_PAUSE = 0.002


class Shaker:
    """Shakes every thread that starts within the block, and the one that entered it."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._local = threading.local()
        self._interval = sys.getswitchinterval()

    def __enter__(self) -> Self:
        sys.setswitchinterval(1e-6)
        threading.settrace(self._enter_frame)
        sys.settrace(self._enter_frame)
        return self

    def __exit__(self, *exc_info: object) -> None:
        sys.settrace(None)
        threading.settrace(None)
        sys.setswitchinterval(self._interval)

    def _enter_frame(self, frame: FrameType, event: str, arg: object) -> Any:
        return self._line if frame.f_code in _CODES else None

    def _line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            dice = self._dice()
            if dice.randrange(_PAUSE_ONE_IN) == 0:
                time.sleep(_PAUSE * dice.random())
            elif dice.randrange(_YIELD_ONE_IN) == 0:
                time.sleep(0)
        return self._line

    def _dice(self) -> random.Random:
        try:
            dice: random.Random = self._local.dice
        except AttributeError:
            # By name: the same threads get the same numbers with the same seed.
            name = threading.current_thread().name
            dice = self._local.dice = random.Random(f"{self._seed} {name}")
        return dice
