"""BodyWriter: a file that code writes while a request sends it."""

from __future__ import annotations

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

from .._async.exchange.source import Chunk, StoppedError
from .._boundary.loop_run import Waiter
from .._exceptions import BlockingCallError, spare

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

#: Writers wait while this many bytes are written but not yet taken by the request.
_AHEAD = 2**20
#: Bytes that one write hands over at once.
_BLOCK = 2**18
#: Seconds that a full body waits for a request to take it.
_UNCLAIMED_LIMIT = 60.0
#: Seconds after which a waiting writer checks for events that cannot wake it: an exception that is
#: set on the thread, and Ctrl-C on Windows.
_SLICE = 0.05 if sys.platform == "win32" else 0.15


class BodyWriter(io.BufferedIOBase):
    """A request body that is written piece by piece, like a file, while it is sent.

    Pass it as ``data=`` to a request in one thread, or to ``Session.submit``, and write to it from
    another; any number of threads may write. A write blocks while a megabyte is waiting to be
    sent. ``close()`` completes the body. If an exception leaves the ``with`` block, the body is
    aborted.

    If the request ends first, the next write raises its error. The request fails if the body
    can no longer become complete: after ``abort()``, when the BodyWriter is dropped without
    ``close()``, and when the last thread ends that has written to it or entered its ``with``
    block.

    The request returns its response as soon as the headers arrive, even if the body is still being
    written.
    """

    #: Empty; but the type of ``io.TextIOWrapper`` requires a buffer with a name.
    name = ""

    def __init__(self) -> None:
        super().__init__()
        self._pipe = Pipe()
        self._thread = threading.local()

    def __repr__(self) -> str:
        return f"<BodyWriter {'closed' if self.closed else 'open'}, {self._pipe.put} bytes written>"

    @property
    def closed(self) -> bool:
        """Whether ``close()`` or ``abort()`` was called; writing is then no longer possible."""
        return self._pipe.ended

    def writable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._pipe.put

    def write(self, data: Buffer, /) -> int:
        """Write all of ``data``, and return its size. Blocks while a megabyte waits to be sent.

        The wait ends when there is room, or when the request ends.

        Raises:
            ValueError: the BodyWriter is closed.
            ClientError: the request has failed, or ended without the whole body.
            RuntimeError: the BodyWriter is full, and no request has taken it for a minute.
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
        """Do nothing: every write is sent without delay."""

    def close(self) -> None:
        """Complete the body. Does not wait for the request; may be called again."""
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
            self.abort(copied(exc_value, "the writer of the body was interrupted"))

    def __del__(self) -> None:
        # Not that of the base class, which would close it, and so complete an incomplete body.
        pipe = self.__dict__.get("_pipe")
        if pipe is not None:
            pipe.end(ClientPayloadError("the BodyWriter was dropped without close()"))

    def _register_thread(self) -> None:
        if getattr(self._thread, "presence", None) is None:
            self._thread.presence = _Presence(self._pipe)

    def _for_request(self) -> Pipe:
        """Return the pipe that the request takes from."""
        if self._pipe.claimed:
            raise ValueError("data is a BodyWriter that another request has taken: make a new one")
        return self._pipe


def copied(error: BaseException, interrupted: str) -> Exception:
    """Return a copy of ``error`` for another thread: sharing one would mix their tracebacks.

    If it is not an Exception, return a ClientPayloadError that begins with ``interrupted``.
    """
    if not isinstance(error, Exception):
        return ClientPayloadError(f"{interrupted}: {error!r}")
    return spare(error)


class _Presence:
    """Lives in a thread-local variable as long as its thread; the last one ends the pipe."""

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
    """A source of bytes that threads write and the loop takes.

    The loop waits with a Waiter. A writer waits in the same way in the other direction: it
    appends its own lock to ``_blocked``, and then checks whether there is room.
    """

    replayable = False
    detached = True

    def __init__(self) -> None:
        self.sent = 0
        #: Whether a request takes, or has taken, from it.
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
        self._blocked: deque[LockType] = deque()
        # Between writers, for appending; reentrant, for signal handlers.
        self._lock = threading.RLock()
        self._loop_thread = 0
        self._pid = os.getpid()

    # -- any thread ------------------------------------------------------------------

    def offer(self, chunk: Chunk) -> None:
        """Append ``chunk`` once there is room. Blocks; raises an error if there will be none."""
        if self.put - self._taken >= _AHEAD:
            self._wait_for_room()
        if self._dropped is not None:
            raise copied(self._dropped, "")
        with self._lock:
            self._chunks.append(chunk)
            self.put += len(chunk)
        self._wake()

    def begin(self) -> None:
        """Record that a request takes from it."""
        self.claimed = True

    def close(self, error: BaseException | None) -> None:
        """End with the call that takes from it, which has returned, or failed with ``error``."""
        if error is not None:
            self.drop(copied(error, "the thread that made the request was interrupted"))

    def end(self, error: Exception | None) -> None:
        """End the body, with or without an error. For finalisers too: does not block or lock."""
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
            lock = allocate_lock()
            lock.acquire()
            self._blocked.append(lock)
            if self.put - self._taken < _AHEAD or self._dropped is not None:
                return
            if threading.get_ident() == self._loop_thread:
                raise BlockingCallError("a full BodyWriter was written to on the loop thread")
            while not lock.acquire(timeout=_SLICE):
                if self._pid != os.getpid():
                    raise ClientConnectionError(
                        "the request that takes this body is in the parent process"
                    )
                if not self.claimed and time.monotonic() > give_up:
                    raise RuntimeError(
                        f"this BodyWriter is full, and no request took it for {_UNCLAIMED_LIMIT:g} "
                        "s: give it to a request of another thread before, or while, you write"
                    )

    # -- the loop thread -------------------------------------------------------------

    async def take(self) -> Sequence[Chunk]:
        """Return the chunks that have been written; wait only if there are none."""
        self._loop_thread = threading.get_ident()
        while True:
            if self._stopped:
                raise StoppedError
            ended = self.ended
            taken = [self._chunks.popleft() for _ in range(len(self._chunks))]
            if taken:
                self._taken += sum(map(len, taken))
                self._wake_writers()
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
        """Raise NotImplementedError: the body can be sent only once."""
        raise NotImplementedError

    def drop(self, reason: Exception | None) -> None:
        """Stop taking, and make the next write raise ``reason``. May be called after the call.

        Without a reason, writers wait for the reason passed to ``close``.
        """
        self._stopped = True
        if self._dropped is None and reason is not None:
            self._dropped = reason
            self._chunks.clear()
            self._wake_writers()
        self._wake()

    def _wake_writers(self) -> None:
        while self._blocked:
            self._blocked.popleft().release()
