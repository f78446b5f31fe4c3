"""A socket on loan: the reader of a long body receives it in its own thread.

For the rest of a body of known length, as it is on the wire over plain TCP, the loop has
nothing to do but to receive, and each batch would cost its reader a crossing. So the transport
pauses, and the reader receives from a second descriptor of the socket. At each moment one
of them has the socket:

1. The transport, until it is paused and the loan made (``DirectRead.lend``, loop thread).
2. The reader, while the loan stands in its buffer. It takes the bytes that are here, or come within
   a moment. Whatever else happens, it gives the loan back and crosses, as for any other body:
   at the end, on an error, at a timeout, and when the server is slow. So a wait of any
   length is one of the ordinary kind, with its deadlines, its interrupts and its closing.
3. The transport again, once the loop has taken the loan back (``DirectRead.take_back``, in
   the fill that the reader crosses for), or has ended the response. In that case it shuts
   the socket down, which ends a receive in another thread, too, and takes the loan out of
   the buffer: a reader that finds none there crosses, and hears why.

A stream's reader keeps what it receives in the body's buffer. A download receives into its
own memory and writes that to the file; the buffer only counts it, in ``pass_by``.

The second descriptor is closed with the last reference to the loan, and a reader in the
midst of a receive holds one: no number of a descriptor is used after it was closed. Hence no lock.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, Protocol

from ..._sockets import note_socket

P = ParamSpec("P")

#: Milliseconds for which a reader waits by itself.
_MOMENT = 20
#: Bytes received at once: more do not come at once, and would have to be allocated.
MOST = 2**18

_NO_LINGER = struct.pack("ii", 1, 0)

#: Windows has no poll(), and its event loop reads ahead of its transport.
POSSIBLE = hasattr(select, "poll") and sys.platform != "win32"


class Buffer(Protocol):
    """Where the bytes go."""

    #: How many have come in, in all.
    total: int

    def receive(self, recv: Callable[[int], bytes], most: int) -> bool:
        """Append what ``recv(most)`` returns, in one step for an interrupt."""

    def counted(self) -> int:
        """Return ``total``, counted anew."""


class Loan:
    """A body's socket, as its reader has it.

    Args:
        sock: the transport's socket; the loan has a duplicate of it.
        end: how many bytes the body has in all.
    """

    __slots__ = ("__weakref__", "_end", "_pid", "_poll", "_sock")

    def __init__(self, sock: socket.socket, end: int) -> None:
        # Not a socket.socket. The garbage collector may come to the socket of a loan before it
        # comes to the loan. It would then run the socket's __repr__ for a ResourceWarning, and
        # CPython drops an interrupt that hits it there. This class, the base, has none of Python.
        duplicate = os.dup(sock.fileno())
        self._sock = socket.SocketType(sock.family, sock.type, fileno=duplicate)
        self._sock.setblocking(False)
        self._poll = select.poll()
        self._poll.register(duplicate, select.POLLIN)
        self._pid = os.getpid()
        self._end = end

    def __del__(self) -> None:
        if hasattr(self, "_sock"):  # not if there was no descriptor left
            self._sock.close()

    def fileno(self) -> int:
        """Return the number of the descriptor."""
        return self._sock.fileno()

    def receive(self, buffer: Buffer, most: int) -> bool:
        """Receive up to ``most`` bytes into ``buffer``. Blocks for a moment at most.

        An interrupt loses none, but may leave them uncounted: see ``Buffer.counted``. False if
        none came, whatever the reason: the loop will find out, and say so.
        """
        most = min(most, MOST, self.left(buffer))
        return bool(self._soon(buffer.receive, self._sock.recv, most)) if most > 0 else False

    def receive_into(self, space: memoryview, buffer: Buffer) -> int:
        """Receive what follows the bytes that ``buffer`` has counted; return how many bytes.

        For a reader that gives the body up where it is interrupted: it loses the bytes that have
        just come. Blocks for a moment at most. 0 if none came, whatever the reason.
        """
        most = min(len(space), self.left(buffer))
        return self._soon(self._sock.recv_into, space, most) if most > 0 else 0

    def _soon(self, receive: Callable[P, int], *args: P.args, **kwargs: P.kwargs) -> int:
        """Return what ``receive`` does; where nothing is here, wait a moment and try once more."""
        if self._pid != os.getpid():
            return 0  # the socket is the parent's
        try:
            return receive(*args, **kwargs)
        except BlockingIOError:
            pass
        except OSError:
            return 0
        try:
            return receive(*args, **kwargs) if self._poll.poll(_MOMENT) else 0
        except OSError:
            return 0

    def left(self, buffer: Buffer) -> int:
        """Return how many bytes of the body have not been received."""
        return self._end - buffer.total

    def is_followed(self) -> bool:
        """Return whether something comes after the body, be it the end of the connection."""
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def shut_down(self) -> None:
        """End the connection, even if a reader is receiving from it. Any thread."""
        with suppress(OSError):
            # With the last descriptor the peer gets a reset, as after any close that leaves bytes
            # unread. Otherwise a reader that takes those makes it a mild end, of which a peer that
            # is stuck in sending, its window full, hears nothing for a minute.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._sock.shutdown(socket.SHUT_RDWR)


def lend(sock: socket.socket, left: int, buffer: Buffer) -> Loan | None:
    """Return a loan of the socket, for ``left`` bytes after those in ``buffer``; None if not now.

    Loop thread only.
    """
    if not POSSIBLE or sock.family not in _FAMILIES:
        return None
    try:
        loan = Loan(sock, buffer.total + left)
    except OSError:  # no descriptor left, or the connection is closed
        return None
    note_socket(loan)
    return loan


_FAMILIES = (socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_UNIX", None))
