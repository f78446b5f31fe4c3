"""BodyWriter: a file that is written while a request sends it, for code that pushes."""

from __future__ import annotations

import copy
import io
import os
import sys
import threading
import time
from _thread import LockType, allocate_lock
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from aiohttp import ClientConnectionError, ClientPayloadError

from ._async.source import Chunk, StoppedError
from ._exceptions import BlockingCallError
from ._waiter import Waiter

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

#: Bytes written and not yet taken by the request, from which on writers wait.
_AHEAD = 2**20
#: Bytes that one write hands over at once.
_BLOCK = 2**18
#: Seconds a full body waits for a request to take it.
_UNCLAIMED_LIMIT = 60.0
#: Seconds between the looks of a waiting writer at what cannot wake it. On Windows, where
#: no signal ends a wait, this is how soon Ctrl-C is noticed; and everywhere an exception
#: that is set on a thread.
_SLICE = 0.05 if sys.platform == "win32" else 0.15


class BodyWriter(io.BufferedIOBase):
    """A request body that is written piece by piece, like a file, while it is sent.

    Give it as ``data=`` to a request made by one thread, or to ``Session.submit``, and
    write to it from another; any number of threads may write. A write blocks while a
    megabyte is waiting to be sent. ``close()`` ends the body, and it is complete. Leaving
    a ``with`` block by an exception aborts it.

    If the request ends first, the next write raises its error. If the body cannot become
    complete any more, the request fails: after ``abort()``, when the BodyWriter is dropped
    without ``close()``, and when the last of the threads that have written to it, or have
    entered its ``with`` block, ends.

    The response is there as soon as its head is, even while the body is still written.
    """

    #: It has none; but the type of ``io.TextIOWrapper`` wants its buffer to have a name.
    name = ""

    def __init__(self) -> None:
        super().__init__()
        self._pipe = Pipe()
        self._thread = threading.local()

    def __repr__(self) -> str:
        return f"<BodyWriter {'closed' if self.closed else 'open'}, {self._pipe.put} bytes written>"

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more: after ``close()`` or ``abort()``."""
        return self._pipe.ended

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return how many bytes have been written."""
        return self._pipe.put

    def write(self, data: Buffer, /) -> int:
        """Hand ``data`` over, all of it, and return its size. Blocks while the request lags.

        Woken when there is room, and by the end of the request.

        Raises:
            ValueError: it is closed.
            ClientError: the request has failed, or ended without the whole body.
            RuntimeError: it is full, and no request has taken it for a minute.
        """
        if self.closed:
            raise ValueError("write to a closed BodyWriter")
        if isinstance(data, str):
            raise TypeError("a BodyWriter takes bytes, not str: encode it, or use io.TextIOWrapper")
        self._register_thread()
        whole = data if isinstance(data, bytes) else bytes(memoryview(data))
        if len(whole) <= _BLOCK:
            self._pipe.offer(whole)
        else:
            view = memoryview(whole)
            for start in range(0, len(view), _BLOCK):
                self._pipe.offer(view[start : start + _BLOCK])
        return len(whole)

    def flush(self) -> None:
        """Do nothing: what was written is on its way."""

    def close(self) -> None:
        """End the body: it is complete. Does not wait for the request; may be called again."""
        self._pipe.end(None)

    def abort(self, error: Exception | None = None) -> None:
        """Make the request fail with ``error``, or with ClientPayloadError. Does not wait."""
        self._pipe.end(error or ClientPayloadError("the body was aborted by its writer"))

    def __enter__(self) -> Self:
        self._register_thread()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_value is None:
            self.close()
        else:
            self.abort(another(exc_value, "the writer of the body was interrupted"))

    def __del__(self) -> None:
        # Not the base class's, which would close it, and so call an incomplete body complete.
        pipe = self.__dict__.get("_pipe")
        if pipe is not None:
            pipe.end(ClientPayloadError("the BodyWriter was dropped without close()"))

    def _register_thread(self) -> None:
        if getattr(self._thread, "presence", None) is None:
            self._thread.presence = _Presence(self._pipe)

    def _for_request(self) -> Pipe:
        """Return what the request takes from."""
        if self._pipe.claimed:
            raise ValueError("data is a BodyWriter that another request has taken: make a new one")
        return self._pipe


def another(error: BaseException, interrupted: str) -> Exception:
    """Return an equal error for another thread: raised by two, one would mix their tracebacks."""
    if not isinstance(error, Exception):
        return ClientPayloadError(f"{interrupted}: {error!r}")
    try:
        twin = copy.copy(error)
    except Exception:  # its class cannot be copied
        return error
    twin.__cause__ = error.__cause__
    return twin


class _Presence:
    """Lives in a thread-local variable as long as its thread, and tells the pipe of its end."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        pipe.threads.add(id(self))

    def __del__(self) -> None:
        # Runs in the thread that ends, or in the one that drops the BodyWriter.
        self._pipe.threads.discard(id(self))
        if not self._pipe.threads:
            self._pipe.end(
                ClientPayloadError("the thread that wrote the body ended without close()")
            )


class Pipe:
    """Bytes on their way from the writing threads to the loop: a source of the core's.

    The loop waits with a Waiter. A writer that waits does the same the other way round:
    it leaves its gate, a lock of its own, before it looks whether there is room now.
    """

    replayable = False
    detached = True

    def __init__(self) -> None:
        self.sent = 0
        #: Whether a request takes from it, or has.
        self.claimed = False
        #: The threads that write, by the id of their presence.
        self.threads: set[int] = set()
        self.ended = False
        #: Bytes written.
        self.put = 0
        self._taken = 0
        self._chunks: deque[Chunk] = deque()
        self._error: Exception | None = None
        self._stopped = False
        self._dropped: Exception | None = None
        self._waiter: Waiter | None = None
        self._gates: deque[LockType] = deque()
        # Among writers, for appending; reentrant for the sake of signal handlers.
        self._lock = threading.RLock()
        self._loop_thread = 0
        self._pid = os.getpid()

    # -- any thread ------------------------------------------------------------------

    def offer(self, chunk: Chunk) -> None:
        """Append ``chunk`` once there is room. Blocks; raises why there will be none."""
        if self.put - self._taken >= _AHEAD:
            self._wait_for_room()
        if self._dropped is not None:
            raise another(self._dropped, "")
        with self._lock:
            self._chunks.append(chunk)
            self.put += len(chunk)
        self._wake()

    def begin(self) -> None:
        """A request takes from it from now on."""
        self.claimed = True

    def close(self, error: BaseException | None) -> None:
        """The call that takes from it has returned, or failed with ``error``."""
        if error is not None:
            self.drop(another(error, "the thread that made the request was interrupted"))

    def end(self, error: Exception | None) -> None:
        """End the body, with or without an error. Neither blocks nor locks: finalisers call it."""
        if not self.ended:
            self._error = error
            self.ended = True
            self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            waiter.wake()

    def _wait_for_room(self) -> None:
        give_up = time.monotonic() + _UNCLAIMED_LIMIT
        while True:
            gate = allocate_lock()
            gate.acquire()
            self._gates.append(gate)
            if self.put - self._taken < _AHEAD or self._dropped is not None:
                return
            if threading.get_ident() == self._loop_thread:
                raise BlockingCallError("a full BodyWriter was written to on the loop thread")
            while not gate.acquire(timeout=_SLICE):
                if self._pid != os.getpid():
                    raise ClientConnectionError("the request that takes this body is in a parent")
                if not self.claimed and time.monotonic() > give_up:
                    raise RuntimeError(
                        f"this BodyWriter is full, and no request took it for {_UNCLAIMED_LIMIT:g} "
                        "s: give it to a request of another thread before, or while, it is written"
                    )

    # -- the loop thread -------------------------------------------------------------

    async def take(self) -> Sequence[Chunk]:
        """Return what has been written; wait for it only where there is nothing."""
        self._loop_thread = threading.get_ident()
        while True:
            if self._stopped:
                raise StoppedError
            ended = self.ended
            taken = [self._chunks.popleft() for _ in range(len(self._chunks))]
            if taken:
                self._taken += sum(map(len, taken))
                self._open_gates()
                return taken
            if ended:
                if self._error is not None:
                    raise self._error
                return ()
            waiter = self._waiter = Waiter()
            if not self._chunks and not self.ended and not self._stopped:
                await waiter.wait()
            self._waiter = None

    async def restart(self) -> None:
        """Not possible."""
        raise NotImplementedError

    def drop(self, reason: Exception | None) -> None:
        """Take no more; ``reason`` is what the next write raises. Also after the call.

        Without a reason, which ``close`` has then, writers wait for it.
        """
        self._stopped = True
        if self._dropped is None and reason is not None:
            self._dropped = reason
            self._chunks.clear()
            self._open_gates()
        self._wake()

    def _open_gates(self) -> None:
        while self._gates:
            self._gates.popleft().release()
