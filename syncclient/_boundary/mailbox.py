"""The mailbox of the loop thread: other threads put functions in, and the loop runs them.

asyncio has ``call_soon_threadsafe`` for this; uvloop's writes to an eventfd. The kernel puts a
thread woken that way on an idle core, which it has to wake as well. As one of the two threads
always waits for the other, that costs more than all the work. A byte on a socket pair tells
the kernel that its sender is about to sleep, so the woken thread runs on the sender's core:
an empty function and the way back take a quarter of the time (measured). If a loop cannot
watch a socket (Windows' proactor), the mailbox uses ``call_soon_threadsafe`` after all.

Every letter sends a byte. Leaving out the byte when another is under way would take a flag,
and a sender interrupted between the flag and the byte would silence all later ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

#: Seconds that senders have to leave ``put`` before the mailbox is closed all the same.
_SENDING_LIMIT = 1.0
#: Bytes read from the socket at once. The remaining ones wake the loop again.
_RINGS = 4096


class Pending(Protocol):
    """A call that waits for the function of its letter to run."""

    def fail(self, error: BaseException) -> None:
        """Stop waiting: the function will not run. Loop thread only."""


class Mailbox:
    """Functions for the loop thread, run in the order in which they were put.

    Any thread, finalisers and signal handlers may call ``put``: it takes no lock, does not
    block and does not log. The other methods are for the loop thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # A letter stays here while its function runs: if the loop ends in the middle of it,
        # ``close`` finds the letter.
        self._letters: deque[tuple[Callable[..., object], tuple[Any, ...], Pending | None]]
        self._letters = deque()
        self._rings = bytearray(_RINGS)
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        #: Wakes the loop. A sender holds a reference to it only while it calls it: see ``close``.
        self._ring: Callable[[bytes], object] = self._sender.send
        try:
            loop.add_reader(self._receiver.fileno(), self._deliver)
        except NotImplementedError:
            self._ring = self._ring_loop
            self._receiver.close()

    def put(
        self,
        function: Callable[..., object],
        args: tuple[Any, ...] = (),
        pending: Pending | None = None,
    ) -> None:
        """Run ``function(*args)`` on the loop thread soon.

        ``close`` returns ``pending`` if the loop ends before that. Raises OSError or
        RuntimeError if the mailbox is closed.
        """
        letter = (function, args, pending)
        try:
            # In this order, because ``close`` replaces ``_ring`` before it takes the letters: it
            # finds this letter, or an error is raised here, or both.
            self._letters.append(letter)
            self._ring(b"\0")
        except BlockingIOError:
            pass  # full of bytes that the loop has not read yet: it will wake
        except (OSError, RuntimeError):
            with contextlib.suppress(ValueError, IndexError):
                self._letters.remove(letter)
            raise
        except BaseException:
            # An interrupt. If it hit between the letter and the byte, the letter would lie here
            # until the next one.
            with contextlib.suppress(OSError, RuntimeError):
                self._ring(b"\0")
            raise

    def waiting(self) -> list[Pending]:
        """Return the pending calls of letters whose functions have not run. Any thread."""
        return [pending for _, _, pending in self._letters.copy() if pending is not None]

    def _ring_loop(self, _: bytes) -> None:
        self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        try:
            self._receiver.recv_into(self._rings)
        except OSError:
            pass  # no byte; or no socket, if the loop is woken without one
        letters = self._letters
        # Only those that are here now: a quick succession of callers would otherwise keep the
        # loop from its sockets and timers. Later letters wake it again.
        for _ in range(len(letters)):
            function, args, _pending = letters[0]
            try:
                function(*args)
            except Exception as exc:
                self._loop.call_exception_handler(
                    {"message": f"exception in {function!r}", "exception": exc}
                )
            finally:
                letters.popleft()

    def close(self) -> list[Pending]:
        """Stop delivering, and return the calls still pending. From now on ``put`` raises."""
        ring = weakref.ref(self._ring)
        self._ring = _refuse
        give_up = time.monotonic() + _SENDING_LIMIT
        while ring() is not None and time.monotonic() < give_up:
            # A sender is inside send(). Its descriptor must not be closed under its hands, and
            # perhaps given to another socket.
            time.sleep(0)
        self._sender.close()
        if self._receiver.fileno() >= 0:
            self._loop.remove_reader(self._receiver.fileno())
            self._receiver.close()
        pending = self.waiting()
        self._letters.clear()  # frees the loop's objects that they hold, on the loop thread
        return pending


def _refuse(_: bytes) -> NoReturn:
    raise OSError("the loop has ended")
