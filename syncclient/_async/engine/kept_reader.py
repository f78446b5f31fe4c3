"""The reader of a body that is copied as it is read, and the reader of a stored copy."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import StreamReader

from .decoded_reader import UNPAUSED, DecodedReader

if TYPE_CHECKING:
    from collections.abc import Callable

#: High-water mark for data that has already arrived: never pause.
_LIMIT = 2**16


class KeptReader(DecodedReader):
    """A reader that copies the body from another reader, and stores it once it is complete.

    The last read returns after ``keep`` has finished, so the next request finds the stored body.

    Args:
        source: the reader of the body.
        keep: called with the whole body; returns a future that is done once it is stored.
        most: bytes; a longer body is not stored.
        chunked: whether ``source`` knows HTTP chunks.
    """

    __slots__ = ("_copied", "_keep", "_keeping", "_most", "_pieces")

    def __init__(
        self,
        source: StreamReader,
        keep: Callable[[bytes], asyncio.Future[None]],
        most: int,
        *,
        chunked: bool,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(source, [], chunked=chunked, loop=loop)
        self._keep = keep
        self._most = most
        #: The copy; None once it is not wanted any more.
        self._pieces: list[bytes] | None = []
        self._copied = 0
        self._keeping: asyncio.Future[None] | None = None

    def feed_data(self, data: bytes, size: int = 0) -> bool:
        """Take a piece of the body; return what the engine's reader does."""
        if self._pieces is not None:
            self._copied += len(data)
            if self._copied > self._most:
                self._pieces = None
            else:
                self._pieces.append(data)
        return super().feed_data(data)

    def advance(self) -> None:
        """Copy the bytes that have arrived. Does not wait."""
        super().advance()
        if self._is_over():
            self._end()

    def feed_eof(self) -> None:
        """The body is whole."""
        super().feed_eof()
        self._end()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Drop the copy: the body is incomplete."""
        self._pieces = None
        super().set_exception(exc, *cause)

    def _can_pull(self) -> bool:
        # The end does not count: it waits until the copy is stored, and this must not wait.
        return self.source.total_bytes > self._taken

    def _is_over(self) -> bool:
        source = self.source
        return source.is_eof() and source.total_bytes == self._taken and self._undoing.hungry

    async def _wait(self, func_name: str) -> None:
        if not self._is_over():
            await super()._wait(func_name)
        else:
            self._end()
        if self._keeping is not None:
            await asyncio.wait((self._keeping,))

    def _end(self) -> None:
        """Store the copy, and signal the end of the body when that is done."""
        pieces, self._pieces = self._pieces, None
        if pieces is not None:
            self._keeping = self._keep(b"".join(pieces))
            self._keeping.add_done_callback(self._tell_end)
        elif self._keeping is None:
            self._tell_end()

    def _tell_end(self, _: object = None) -> None:
        if not self.is_eof():
            super().feed_eof()


class StoredReader(StreamReader):
    """The reader of a body that was stored, whole and decoded."""

    def __init__(self, body: bytes, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(UNPAUSED, _LIMIT, loop=loop)
        if body:
            self.feed_data(body)
        self.feed_eof()
