"""BodyBuffer: the received but unread part of a body."""

from __future__ import annotations

import io
import sys
import time
from collections import deque
from collections.abc import Callable

from ..._models import Timings
from .loan import Loan

#: All bytes.
ALL = sys.maxsize

#: Maximum number of bytes in a line: aiohttp's default, twice its read buffer.
LINE_LIMIT = 2 * 2**18

#: Blocks of which no more come at once are kept as they are: joining would copy them.
_FEW = 8


class BodyBuffer:
    """The received bytes of a body, cut as a reader needs them. Nothing here waits.

    ``Exchange.fill`` puts blocks in, on the event loop; the reader takes them out, possibly in
    another thread. There is no lock: the reader waits while a fill runs for it, and if an
    interrupt ends that wait, appending to a deque is still atomic. So an abandoned fill has
    either put its bytes in here, for the next read, or taken none.

    Args:
        body: the whole body, if it has already arrived.
    """

    # The unread bytes are the rest of _here, and then _blocks. A BytesIO, since it cuts
    # lines and pieces at C speed, does not copy the block it is made of, and keeps the
    # position: an iteration over its lines and the reads within that loop share it.

    __slots__ = (
        "_blocks",
        "_end",
        "_here",
        "_new",
        "_size",
        "compressed",
        "due",
        "ends",
        "eof",
        "error",
        "line_limit",
        "loan",
        "released",
        "takes_loans",
        "timings",
        "total",
    )

    def __init__(self, body: bytes | None = None) -> None:
        self._blocks: deque[bytes] = deque()
        #: How many of the blocks ``join_new`` has not seen.
        self._new = 0
        self._here = io.BytesIO()
        self._size = 0
        #: Where in the body ``_here`` ends.
        self._end = 0
        #: Where HTTP chunks end that are not read yet, counted from the start of the body.
        self.ends: deque[int] = deque()
        #: The total number of bytes put in.
        self.total: int = 0
        #: The number of bytes that the server sent for them; None if the body was not compressed.
        self.compressed: int | None = None
        #: Whether the body ends with the data in this buffer.
        self.eof: bool = body is not None
        #: The error that broke the body off, after the data in this buffer.
        self.error: Exception | None = None
        #: The complete timings of the request, if they were requested.
        self.timings: Timings | None = None
        #: Maximum number of bytes in a line, unless the reader sets another.
        self.line_limit: int = LINE_LIMIT
        #: Whether this stands in for the buffer of a response that was released: see ``successor``.
        self.released: bool = False
        #: When the total timeout of the request is over, in terms of ``time.monotonic()``; None
        #: without one, and once the whole body has been received.
        self.due: float | None = None
        #: Whether the reader can receive by itself, on a ``loan`` of the socket, and such a loan.
        #: Only the fill that it waits for sets one; the end of the response may take it away.
        self.takes_loans: bool = False
        self.loan: Loan | None = None
        if body:
            self.put(body)

    # -- filling ----------------------------------------------------------------------

    def put(self, block: bytes) -> None:
        """Append ``block``. On the event loop."""
        self._blocks.append(block)
        self._new += 1
        self.total += len(block)

    def receive(self, recv: Callable[[int], bytes], most: int) -> bool:
        """Append what ``recv(most)`` returns, and return whether that is anything.

        In one step, all in C, for an interrupt: the bytes are in the kernel, or in here.
        """
        blocks = self._blocks
        before = len(blocks)
        blocks.extend(filter(None, map(recv, (most,))))
        if len(blocks) == before:
            return False
        self.total += len(blocks[-1])
        return True

    def counted(self) -> int:
        """Return ``total``, counted anew: an interrupt may have come just after a ``receive``."""
        self.total = self._end + sum(map(len, self._blocks))
        return self.total

    def pass_by(self, n: int) -> None:
        """Count ``n`` bytes of the body that its reader, who has read all, received elsewhere."""
        self._end += n
        self.total += n

    def join_new(self) -> None:
        """Make one block of many small ones: a body in tiny HTTP chunks is then read as one."""
        if self._new > _FEW:
            # One step for an interrupt: it finds either the old deque or the new one.
            self._blocks = deque([b"".join(self._blocks)])
        self._new = 0

    # -- reading ----------------------------------------------------------------------

    def position(self) -> int:
        """Return how many bytes of the body have been read."""
        return self._end - self._size + self._here.tell()

    def __len__(self) -> int:
        """Return the number of bytes in this buffer."""
        return self.total - self.position()

    def __bool__(self) -> bool:
        return bool(self._blocks) or self._here.tell() < self._size

    def piece(self, n: int) -> bytes:
        """Take ``n`` bytes of the block that is being read; b"" if it has not as many.

        This, and ``until``, takes bytes in one step: of two threads that are here, each byte
        goes to one. All else in here is for one thread at a time.
        """
        return self._here.read(n) if self._size - self._here.tell() >= n else b""

    def cut(self, n: int, first: bytes = b"") -> bytes:
        """Take up to ``n`` bytes; of them ``first`` has been taken already."""
        parts = [first] if first else []
        left = n - len(first)
        while left > 0:
            part = self._here.read(left)
            if part:
                parts.append(part)
                left -= len(part)
            elif not self._load():
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def block(self) -> bytes:
        """Take the next block, or the rest of it."""
        return self._here.read() or (self._here.read() if self._load() else b"")

    def into(self, buffer: memoryview) -> int:
        """Copy up to ``len(buffer)`` bytes into ``buffer``, and return how many."""
        return self._here.readinto(buffer) or (self._here.readinto(buffer) if self._load() else 0)

    def line(self, n: int = -1) -> bytes:
        """Take the next line as far as one block has it, but at most ``n`` bytes."""
        return self._here.readline(n) or (self._here.readline(n) if self._load() else b"")

    def until(self, separator: bytes, limit: int | None = None) -> bytes:
        """Take the bytes up to and including ``separator``; b"" if one block does not have them.

        Nor is anything taken that has more than ``limit`` bytes; None is ``line_limit``.
        """
        here = self._here
        start = here.tell()
        at = here.getvalue().find(separator, start)  # which copies nothing
        size = at + len(separator) - start
        return here.read(size) if at >= 0 and size <= (limit or self.line_limit) else b""

    def lines(self) -> tuple[io.BytesIO, int] | None:
        """Return an iterator over the whole lines here, or over a good part, and where it ends.

        None if there is no line, or the next is longer than ``line_limit``. What is read
        here by other means does not come from the iterator any more.
        """
        data = self.cut(self.line_limit)
        stop = data.rfind(b"\n") + 1
        if not stop:
            self.put_back(data)
            return None
        rest = data[stop:] + self._here.read()
        if rest:
            self._blocks.appendleft(rest)
            self._end -= len(rest)
        self._set_here(data[:stop], self._end)
        return self._here, stop

    def put_back(self, data: bytes) -> None:
        """Undo the taking of ``data``, the bytes just before those that are here."""
        self._set_here(data + self._here.read(), self._end)

    def drop_passed_ends(self) -> None:
        """Forget the ends of HTTP chunks inside the bytes that have been read."""
        ends, position = self.ends, self.position()
        while ends and ends[0] < position:
            ends.popleft()

    def late(self) -> bool:
        """Return whether the total timeout of the request ended before its body was here."""
        return self.due is not None and time.monotonic() >= self.due

    def skip(self) -> None:
        """End an iteration over ``lines``, for the thread whose iteration it is."""
        self._here.seek(0, io.SEEK_END)

    def successor(self) -> BodyBuffer:
        """Return what takes the place of this where the response is released: without bytes.

        This one stays as it is, for a reader in another thread that is in the midst of a cut.
        """
        heir = BodyBuffer()
        heir.released = True
        heir.total = heir._end = self.total
        heir.compressed, heir.eof, heir.error = self.compressed, self.eof, self.error
        heir.timings, heir.line_limit = self.timings, self.line_limit
        return heir

    def _load(self) -> bool:
        """Put the next block in place of ``_here`` if that is used up; False if nothing is left."""
        if self._here.tell() < self._size:
            return True
        if not self._blocks:
            return False
        # Not taken out before it is there, for an interrupt may come in between.
        self._set_here(self._blocks[0], self._end + len(self._blocks[0]))
        self._blocks.popleft()
        return True

    def _set_here(self, block: bytes, end: int) -> None:
        self._here, self._size, self._end = io.BytesIO(block), len(block), end
