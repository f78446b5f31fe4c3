"""What of a body has come over from its response and is not read yet: the inbox."""

from __future__ import annotations

import io
import sys
from collections import deque

from .._models import Timings

#: As many bytes as there are.
ALL = sys.maxsize

#: Bytes that a line may have: aiohttp's own default, twice its read buffer.
LINE_LIMIT = 2 * 2**18

#: Blocks of which no more come at once are kept as they are: joining would copy them.
_FEW = 8


class Inbox:
    """The bytes of a body that are here, cut as a reader wants them. Nothing in it waits.

    ``Exchange.fill`` puts blocks in, on the event loop; the reader takes them out, be it in
    another thread. No lock guards this: the reader waits while a fill runs for it, and
    where an interrupt has ended that wait, appending to a deque is still atomic. So a fill
    that was given up has either put its bytes in here, for the next read, or taken none.

    Args:
        body: all there is, where the whole body is here already.
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
        "ends",
        "eof",
        "error",
        "line_limit",
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
        #: How many bytes have come in, in all.
        self.total: int = 0
        #: How many the server has sent for them; None if the body was not compressed.
        self.compressed: int | None = None
        #: Whether the body ends with what is here.
        self.eof: bool = body is not None
        #: What broke the body off, after what is here.
        self.error: Exception | None = None
        #: Where the time of the request went, all of it, where that was asked for.
        self.timings: Timings | None = None
        #: How many bytes a line may have, unless its reader says otherwise.
        self.line_limit: int = LINE_LIMIT
        if body:
            self.put(body)

    # -- filling ----------------------------------------------------------------------

    def put(self, block: bytes) -> None:
        """Append ``block``. On the event loop."""
        self._blocks.append(block)
        self._new += 1
        self.total += len(block)

    def join_new(self) -> None:
        """Make one block of many small ones: a body in tiny HTTP chunks is then read as one."""
        if self._new > _FEW:
            # One step for an interrupt: it finds the one deque or the other.
            self._blocks = deque([b"".join(self._blocks)])
        self._new = 0

    # -- reading ----------------------------------------------------------------------

    def position(self) -> int:
        """Return how many bytes of the body have been read."""
        return self._end - self._size + self._here.tell()

    def __len__(self) -> int:
        """Return how many bytes are here."""
        return self.total - self.position()

    def __bool__(self) -> bool:
        return bool(self._blocks) or self._here.tell() < self._size

    def piece(self, n: int) -> bytes:
        """Take up to ``n`` bytes of the block that is being read; b"" if it is used up."""
        return self._here.read(n)

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
        """Take the next block, or what is left of it."""
        return self._here.read() or (self._here.read() if self._load() else b"")

    def into(self, buffer: memoryview) -> int:
        """Copy up to ``len(buffer)`` bytes into ``buffer``, and return how many."""
        return self._here.readinto(buffer) or (self._here.readinto(buffer) if self._load() else 0)

    def line(self, n: int = -1) -> bytes:
        """Take what one block has of the next line, or ``n`` bytes of that if it has more."""
        return self._here.readline(n) or (self._here.readline(n) if self._load() else b"")

    def until(self, separator: bytes) -> bytes:
        """Take what comes up to ``separator``, included; b"" if one block does not have it all."""
        start = self._here.tell()
        at = self._here.getvalue().find(separator, start)  # which copies nothing
        return self._here.read(at + len(separator) - start) if at >= 0 else b""

    def lines(self) -> io.BytesIO | None:
        """Return an iterator over the whole lines here, or over a good part of them.

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
        return self._here

    def put_back(self, data: bytes) -> None:
        """Undo the taking of ``data``, the bytes just before those that are here."""
        self._set_here(data + self._here.read(), self._end)

    def drop_passed_ends(self) -> None:
        """Forget the ends of HTTP chunks in the middle of what has been read."""
        ends, position = self.ends, self.position()
        while ends and ends[0] < position:
            ends.popleft()

    def clear(self) -> None:
        """Drop all that is here."""
        self._blocks.clear()
        self.ends.clear()
        # Not replaced: an iteration over lines may hold it.
        self._here.seek(0, io.SEEK_END)
        self._end = self.total

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
