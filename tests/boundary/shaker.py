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

from syncclient._async.exchange import body_buffer as stream
from syncclient._async.websocket import receive_queue as _receive_queue
from syncclient._bodies import body_reader as _body_reader
from syncclient._bodies import stream as _stream
from syncclient._boundary import (
    call as _call,
)
from syncclient._boundary import (
    lease as _lease,
)
from syncclient._boundary import (
    loop_run as _loop_run,
)
from syncclient._boundary import (
    loop_thread as _loop_thread,
)
from syncclient._boundary import (
    mailbox as _mailbox,
)
from syncclient._boundary import (
    portal as _portal,
)
from syncclient._boundary import (
    process_hooks as _fork,
)
from syncclient._boundary import (
    queue_wait as _queue_wait,
)
from syncclient._boundary import (
    submitted_call as _future,
)
from syncclient._client import response as _response
from syncclient._client import response_base as _response_base
from syncclient._client import websocket_base as _websocket_base

if TYPE_CHECKING:
    from typing_extensions import Self

#: What happens at a boundary -> the functions in which its order matters.
MARKED: dict[str, tuple[Any, ...]] = {
    "gate": (_lease.Lease.admit, _lease.Lease.leave, _lease.Remote.admit),
    "post": (_loop_run.LoopRun.submit, _loop_run.LoopRun.post, _mailbox.Mailbox.put),
    "delivery": (_mailbox.Mailbox._deliver, _call.Call.begin),
    "completion": (_call.Call._finish, _call.Call._notify, _call.Call.complete, _call.Call._wait),
    "jobs": (_call.Call._serve, _call.Call.execute, _call.Job.answered),
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
    "death": (_loop_run.LoopRun._end, _mailbox.Mailbox.close, _call.Call.fail),
    "finaliser": (_lease.Remote.__del__, _lease.Remote._abandon),
    "fork": (_fork._after_fork_in_child, _portal.Portal.after_fork_in_child),
    "reading": (
        _body_reader.BodyReader._bring,
        _body_reader.BodyReader._in_turn,
        _body_reader.BodyReader._exchange_for,
        _body_reader.BodyReader._note_end,
        _body_reader.BodyReader._detach,
        _body_reader.BodyReader._discard,
        _stream.StreamReader.read,
        _stream.StreamReader.readany,
        _response.Response.read,
        _response_base.ResponseBase._read,
        _response_base.ResponseBase._read_rest,
        _response_base.ResponseBase._stream,
        _response_base.ResponseBase._give_up,
        stream.BodyBuffer.cut,
        stream.BodyBuffer.piece,
        stream.BodyBuffer.until,
        stream.BodyBuffer._load,
        stream.BodyBuffer.successor,
    ),
    "waiting": (
        _queue_wait.wait_for,
        _queue_wait._block,
        _queue_wait.QueueWait.wake,
        _queue_wait.Waits.fail,
        _queue_wait.Waits.ended,
        _lease.Lease.refuse_wait,
        _receive_queue.ReceiveQueue.put,
        _receive_queue.ReceiveQueue.wake,
        _receive_queue.ReceiveQueue.end,
        _websocket_base.WebSocketBase._take,
    ),
    "wake": (_loop_run.Waiter.wake, _loop_run.Waiter.wake_here),
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
