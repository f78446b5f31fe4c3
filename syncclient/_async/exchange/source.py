"""Where the bytes of a request's body come from: one protocol, and the sources of the core.

A source may well reach for another thread; this module knows nothing of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from typing import Protocol, cast

Chunk = bytes | memoryview

#: Bytes taken at once of those that are here already.
_BLOCK = 2**21


class Source(Protocol):
    """Where the bytes come from."""

    #: Whether ``restart`` can go back to the first byte.
    replayable: bool
    #: Whether it may continue after the call that sends it has returned.
    detached: bool
    #: Bytes handed to the transport since the start. Written by who sends them.
    sent: int

    async def take(self) -> Sequence[Chunk]:
        """Wait for more; an empty sequence at the end. Raises StoppedError after ``drop``."""

    async def restart(self) -> None:
        """Go back to the first byte; only where ``replayable``."""

    def drop(self, reason: Exception | None) -> None:
        """Stop taking, and pass the reason to the producer. Never waits."""


class StoppedError(Exception):
    """The source was dropped: the upload is over, though not complete."""


class BytesSource:
    """Bytes that are here already."""

    replayable = True
    detached = True

    def __init__(self, data: bytes) -> None:
        self.sent = 0
        self._data = memoryview(data)
        self._taken = 0

    async def take(self) -> Sequence[Chunk]:
        """Return the next block."""
        block = self._data[self._taken : self._taken + _BLOCK]
        self._taken += len(block)
        return (block,) if block else ()

    async def restart(self) -> None:
        """Start anew."""
        self._taken = 0

    def drop(self, reason: Exception | None) -> None:
        """Do nothing: there is no producer."""


class AsyncSource:
    """What an asynchronous iterable of the user's yields. It runs on the event loop."""

    replayable = False
    detached = True

    def __init__(self, data: AsyncIterable[object]) -> None:
        self.sent = 0
        self._data = data
        self._iterator: AsyncIterator[object] | None = None
        self._running = False
        self._dropped = False

    async def take(self) -> Sequence[Chunk]:
        """Wait for the next chunk."""
        self._refuse_dropped()
        if self._iterator is None:
            self._iterator = self._data.__aiter__()
        self._running = True
        try:
            while True:
                chunk = checked_chunk(await self._iterator.__anext__(), "the iterator")
                self._refuse_dropped()
                if chunk:
                    return (chunk,)
        except StopAsyncIteration:
            return ()
        finally:
            self._running = False
            if self._dropped:
                self._close()

    async def restart(self) -> None:
        """Not possible."""
        raise NotImplementedError

    def drop(self, reason: Exception | None) -> None:
        """Close an asynchronous generator, once it is at rest."""
        self._dropped = True
        if not self._running:
            self._close()

    def _refuse_dropped(self) -> None:
        if self._dropped:
            raise StoppedError

    def _close(self) -> None:
        iterator, self._iterator = self._iterator, None
        if isinstance(iterator, AsyncGenerator):
            # In a task of its own: the generator's cleanup may wait for something.
            closing = asyncio.ensure_future(iterator.aclose())
            _closing.add(closing)
            closing.add_done_callback(_closing.discard)


#: The loop itself holds tasks weakly.
_closing: set[asyncio.Future[None]] = set()


def checked_chunk(chunk: object, whose: str) -> bytes:
    """Return ``chunk`` as bytes; a buffer is copied, since its owner may use it again."""
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, str):
        raise TypeError(f"data: {whose} must give bytes, not str: encode it, or open it with 'rb'")
    try:
        return bytes(memoryview(cast("bytearray", chunk)))
    except TypeError:
        raise TypeError(
            f"data: {whose} must give bytes, not {type(chunk).__name__}; "
            "a form is a dict or a list of pairs"
        ) from None
