"""How much of a request's body has been sent, told while it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class Meter:
    """Counts the bytes of a body and tells of them. Event loop only, but for its constructor.

    The sender waits until what it told was taken: it tells once for each batch it hands to
    the transport, so a slow listener slows the upload, and never falls behind it.

    Args:
        tell: takes the bytes sent and the bytes in all, or None. What it raises ends the upload.
    """

    def __init__(self, tell: Callable[[int, int | None], Awaitable[object]]) -> None:
        self._tell = tell
        self._sent = 0
        self._told = 0
        self._total: int | None = None
        self._stopped = False

    def begin(self, total: int | None) -> None:
        """Start from zero: the body is sent, perhaps once more."""
        self._sent, self._told, self._total = 0, 0, total
        self._stopped = False

    @property
    def full(self) -> bool:
        """Whether as many bytes are sent as were announced."""
        return self._sent == self._total

    async def add(self, count: int) -> None:
        """Tell that ``count`` more bytes of a source are sent; ``end`` tells of the last."""
        self._sent += count
        if not self.full and not self._stopped:
            self._told = self._sent
            await self._tell(self._sent, self._total)

    async def end(self) -> None:
        """Tell that all is sent, with what came from no source: short parts, and borders.

        Nothing is told of an empty body.
        """
        sent = self._sent if self._total is None else self._total
        if sent != self._told:
            await self._tell(sent, self._total)

    def stop(self) -> None:
        """Tell of no more bytes: the call is about to return, and then nobody listens."""
        self._stopped = True
