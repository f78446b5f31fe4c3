"""What is on its way from an open response to its reader: the inbox."""

from __future__ import annotations

from collections import deque

#: Bytes of a line that are too many: aiohttp's own default, twice its read buffer.
LINE_LIMIT = 2 * 2**18


class Inbox:
    """Bytes of a body that have come over and are not read yet.

    ``Exchange.fill`` appends on the event loop, the reader takes from the left, in its own
    thread. No lock guards it: a reader waits while its fill runs, and where an interrupt
    ended that wait, appending to a deque is still atomic. So a fill that was given up has
    either put its bytes in here, for the next read, or not taken them at all.
    """

    __slots__ = ("blocks", "compressed", "ends", "eof", "error", "line_limit", "total")

    def __init__(self, body: bytes | None = None) -> None:
        #: The bytes, in blocks as they came.
        self.blocks: deque[bytes] = deque()
        #: Where HTTP chunks ended, counted in bytes from the start of the body.
        self.ends: deque[int] = deque()
        #: How many bytes have come over, in all.
        self.total = 0
        #: How many bytes the server has sent for them; None if the body was not compressed.
        self.compressed: int | None = None
        #: Whether the body is complete: nothing comes after the blocks.
        self.eof = body is not None
        #: What broke the body off: comes after the blocks.
        self.error: Exception | None = None
        self.line_limit = LINE_LIMIT
        if body:
            self.put(body)

    def put(self, block: bytes) -> None:
        """Append ``block``."""
        self.blocks.append(block)
        self.total += len(block)
