"""The inbox of the loop thread: where other threads leave functions for it to run.

asyncio has ``call_soon_threadsafe`` for this, and uvloop's rings an eventfd. A thread
that is woken so is put on an idle core, which has to be woken as well; and as one of the
two threads always waits for the other, that costs more than all the work. A byte on a
socket pair tells the kernel that its sender is about to sleep, so that the woken thread
runs where the sender did. Measured here, for an empty function and the way back: a
quarter of the time. Where a loop cannot watch a socket (Windows' proactor), the bell is
``call_soon_threadsafe`` after all.

A byte is sent for every function. To leave it out when one is under way already would
take a flag, and a sender interrupted between the flag and the byte would silence all.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

#: Seconds that senders have to get out of ``put`` before the inbox is closed all the same.
_SENDING_LIMIT = 1.0
#: Bytes taken off the bell at once. What is left rings again.
_RINGS = 4096


class Inbox:
    """Functions for the loop thread, run in the order they came.

    ``put`` may be called by any thread, by finalisers and by signal handlers: it takes no
    lock, does not block and does not log. All else is for the loop thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._letters: deque[
            tuple[contextvars.Context | None, Callable[..., object], tuple[Any, ...]]
        ] = deque()
        #: Who is in put() at this moment.
        self._senders: set[object] = set()
        self._closed = False
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self._ring: Callable[[], object] = self._ring_socket
        try:
            loop.add_reader(self._ours.fileno(), self._rung)
        except NotImplementedError:
            self._ring = self._ring_loop

    def put(
        self,
        context: contextvars.Context | None,
        function: Callable[..., object],
        args: tuple[Any, ...] = (),
    ) -> None:
        """Have ``function`` run on the loop thread, in ``context`` if there is one.

        Raises OSError or RuntimeError if the inbox is closed.
        """
        sender = object()
        try:
            self._letters.append((context, function, args))
            # Entered before the look at _closed, as close() sets that before it looks here:
            # one of the two sees the other, and no byte goes to a descriptor that has been
            # closed, and perhaps given to somebody else's socket, under the sender's hands.
            self._senders.add(sender)
            if self._closed:
                raise OSError("the loop has ended")
            self._ring()
        except (OSError, RuntimeError):
            raise
        except BaseException:
            # An interrupt: were it between the letter and the byte, the letter would lie
            # there until the next one comes.
            self._senders.add(sender)
            if not self._closed:
                self._ring()
            raise
        finally:
            self._senders.discard(sender)

    def _ring_socket(self) -> None:
        try:
            self._theirs.send(b"\0")
        except BlockingIOError:
            pass  # full of bytes that have not been looked at: it rings

    def _ring_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._deliver)

    def _rung(self) -> None:
        try:
            self._ours.recv(_RINGS)
        except BlockingIOError:
            pass
        self._deliver()

    def _deliver(self) -> None:
        letters = self._letters
        # Those that are here now. A later one rings anew; callers who come in quick succession
        # would else keep the loop from its sockets and timers.
        for _ in range(len(letters)):
            context, function, args = letters.popleft()
            try:
                if context is None:
                    function(*args)
                else:
                    context.run(function, *args)
            except Exception as exc:
                self._loop.call_exception_handler(
                    {"message": f"exception in {function!r}", "exception": exc}
                )

    def close(self) -> None:
        """Stop watching. From now on ``put`` raises, or its function is never run."""
        self._closed = True
        give_up = time.monotonic() + _SENDING_LIMIT
        while self._senders and time.monotonic() < give_up:
            time.sleep(0)  # a sender is between two instructions, or was interrupted there
        if self._ring == self._ring_socket:
            self._loop.remove_reader(self._ours.fileno())
        self._ours.close()
        self._theirs.close()
        self._letters.clear()  # what they hold of the loop's is freed here, on its thread
