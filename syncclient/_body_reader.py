"""What the two StreamReaders have in common: cutting what is here, and knowing what is not.

To read means to cut bytes from the inbox, and to have more come over where they do not
suffice. Only that second half differs: the blocking reader waits for it, the other one
awaits it. So what takes more than one look is written once, as *steps*: a generator that
yields what it needs, and is sent whether any of that has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from aiohttp import ClientConnectionError
from aiohttp.http_exceptions import LineTooLong

from ._async.exchange import Exchange
from ._async.stream import ALL, Inbox
from ._exceptions import LoopThreadError, SessionClosedError, spare
from ._models import Head, redacted_url
from ._unclosed import complain, watch

if TYPE_CHECKING:
    from ._lease import Remote

R = TypeVar("R")

#: What brings more of the body over: an order for the event loop.
Fill = Callable[[Exchange, Inbox], Awaitable[None]]


#: What yields how many bytes it needs, and is sent whether any came: False is the end.
Steps = Generator[int, bool, R]


def filling(least: int = 1, *, to_chunk_end: bool = False) -> Fill:
    """Return the order for ``least`` bytes, or for as many as come up to the end of a chunk."""
    return partial(Exchange.fill, least=least, to_chunk_end=to_chunk_end)


class BodyReader:
    """The body of a response, of which some is here and the rest on the wire."""

    #: Who else might be reading.
    _other = "another thread"

    def __init__(
        self, inbox: Inbox, remote: Remote[Exchange] | None, head: Head, opened_at: str = ""
    ) -> None:
        self._inbox = inbox
        self._remote = remote
        self._head = head
        self._opened_at = opened_at
        self._closed = False
        self._waiting = False
        if remote is not None:
            watch(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._described()}>"

    def __del__(self) -> None:
        # The Remote's own finaliser gives the connection back.
        complain(self)

    def _complaint(self) -> str | None:
        remote: Remote[Exchange] | None = self.__dict__.get("_remote")
        if remote is None or not remote.reachable:
            return None
        return (
            f"unread response to {self._described()} dropped; it was opened at "
            f"{self._opened_at}: use it in a with block, or read or release it"
        )

    # -- what is known on this side ---------------------------------------------------

    def at_eof(self) -> bool:
        """Tell whether everything has been read, as far as is known on this side."""
        return self._inbox.eof and not self._inbox

    def is_eof(self) -> bool:
        """Tell whether the end of the body is here, though perhaps not read."""
        return self._inbox.eof

    def exception(self) -> BaseException | None:
        """Return what broke the body off, once a read has met it."""
        return self._inbox.error

    @property
    def total_bytes(self) -> int:
        """How many bytes have come over to this side, decompressed."""
        return self._inbox.total

    @property
    def total_compressed_bytes(self) -> int | None:
        """How many bytes the server has sent for them; None if it did not compress them."""
        return self._inbox.compressed

    @property
    def total_raw_bytes(self) -> int:
        """``total_compressed_bytes``, or ``total_bytes`` where nothing was compressed."""
        compressed = self._inbox.compressed
        return self._inbox.total if compressed is None else compressed

    # -- steps ------------------------------------------------------------------------

    def _exactly(self, n: int) -> Steps[bytes]:
        """Cut ``n`` bytes. Raises asyncio.IncompleteReadError where the body has fewer."""
        while (missing := n - len(self._inbox)) > 0:
            if not (yield missing):
                raise asyncio.IncompleteReadError(self._inbox.cut(ALL), n)
        return self._inbox.cut(max(0, n))

    def _until_here(self, separator: bytes, max_size: int | None) -> bytes:
        """Cut what comes up to ``separator`` if one block has it; else b"", and cut nothing."""
        if not separator:
            raise ValueError("Separator should be at least one-byte string")
        if self._waiting:
            self._refuse()
        inbox = self._inbox
        line = inbox.until(separator)
        if line and len(line) > (max_size or inbox.line_limit):
            inbox.put_back(line)
            return b""
        return line

    def _until(self, separator: bytes, max_size: int | None) -> Steps[bytes]:
        """Cut what comes up to ``separator``, included, or up to the end of the body."""
        inbox = self._inbox
        limit = max_size or inbox.line_limit
        got = bytearray()
        at = -1
        try:
            while at < 0 and len(got) <= limit and (inbox or (yield 1)):
                seen = len(got)
                got += inbox.block()
                at = got.find(separator, max(0, seen - len(separator) + 1))
            if at >= 0:
                stop = at + len(separator)
                inbox.put_back(bytes(got[stop:]))
                del got[stop:]
        except BaseException:
            inbox.put_back(bytes(got))
            raise
        if len(got) > limit:
            raise LineTooLong(bytes(got[:100]) + b"...", limit)
        return bytes(got)

    def _line_here(self, max_line_length: int | None) -> bytes:
        """Cut a line if one block has it; else b"", and cut nothing."""
        if self._waiting:
            self._refuse()
        inbox = self._inbox
        line = inbox.line()
        if line[-1:] == b"\n" and len(line) <= (max_line_length or inbox.line_limit):
            return line
        inbox.put_back(line)
        return b""

    def _chunk_here(self) -> tuple[bytes, bool] | None:
        """Cut what is here of an HTTP chunk, and tell whether it ends there; None if nothing."""
        if self._waiting:
            self._refuse()
        inbox = self._inbox
        inbox.drop_passed_ends()
        if inbox.ends:
            data = inbox.cut(inbox.ends[0] - inbox.position())
            inbox.ends.popleft()
            return data, True
        return (inbox.block(), False) if inbox else None

    # -- the other side ---------------------------------------------------------------

    @property
    def _on_wire(self) -> bool:
        return self._remote is not None

    def _other_side(self) -> Remote[Exchange] | None:
        """Return where more comes from; None at the end. Raises why nothing can come."""
        inbox, remote = self._inbox, self._remote
        if self._waiting:
            self._refuse()
        if remote is None:
            if inbox.error is not None:
                raise spare(inbox.error)
            if self._closed:
                raise ClientConnectionError(
                    f"the response to {self._described()} was released before its body was read"
                )
            return None
        inbox.drop_passed_ends()
        return remote

    def _fill(self, least: int = 1, *, to_chunk_end: bool = False) -> bool:
        """Have ``least`` more bytes come over, or all there are; tell whether any came.

        With 0 this does not wait, with ``to_chunk_end`` no longer than to the end of the
        HTTP chunk. False means the end of the body. Blocks for one crossing.
        """
        before = self._inbox.total
        self._cross(filling(least, to_chunk_end=to_chunk_end))
        return self._inbox.total > before

    def _cross(self, fill: Fill) -> None:
        """Make one crossing, unless the end has come over already. Blocks until it is done."""
        remote = self._other_side()
        if remote is None:
            return
        try:
            self._waiting = True
            remote.call(fill, self._inbox)
        except (LoopThreadError, SessionClosedError) as exc:
            self._lost(exc)
            raise
        finally:
            self._waiting = False
            self._note_end()
        self._inbox.join_new()

    def _lost(self, error: Exception) -> None:
        """Nothing is left over there."""
        self._inbox.error = self._inbox.error or spare(error)

    def _note_end(self) -> None:
        """Let go of the other side if nothing more will come from there."""
        if self._inbox.eof or self._inbox.error is not None:
            self._remote = None

    def _refuse(self) -> None:
        raise RuntimeError(
            f"the response to {self._described()} is being read by {self._other}: "
            "one reader at a time"
        )

    def _discard(self, give_up: Callable[[Exchange], None]) -> None:
        """Drop what is here, and give up what is not. Does not wait."""
        remote, self._remote = self._remote, None
        self._closed = True
        self._inbox.clear()
        if remote is not None:
            remote.post(give_up)

    def _described(self) -> str:
        return f"{self._head.method} {redacted_url(self._head.url)}"
