"""The progress of uploads: how much of a request's body has been sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class Meter:
    """Counts the bytes of a body and reports them. Event loop only, except the constructor.

    The sender waits until a report has been handled. It reports once for each batch that it hands
    to the transport, so a slow listener slows the upload down, and never falls behind it.

    Args:
        tell: called with the bytes sent and the total, or None. If it raises, the upload ends.
    """

    def __init__(self, tell: Callable[[int, int | None], Awaitable[object]]) -> None:
        self._tell = tell
        self._sent = 0
        self._told = 0
        self._total: int | None = None
        self._stopped = False

    def begin(self, total: int | None) -> None:
        """Start from zero, because the body is sent, possibly again."""
        self._sent, self._told, self._total = 0, 0, total
        self._stopped = False

    @property
    def full(self) -> bool:
        """Whether the announced number of bytes has been sent."""
        return self._sent == self._total

    async def add(self, count: int) -> None:
        """Report ``count`` more sent bytes of a source; ``end`` reports the last ones."""
        self._sent += count
        if not self.full and not self._stopped:
            self._told = self._sent
            await self._tell(self._sent, self._total)

    async def end(self) -> None:
        """Report the end, including data without a source: short parts, and boundaries.

        An empty body is not reported.
        """
        sent = self._sent if self._total is None else self._total
        if sent != self._told:
            await self._tell(sent, self._total)

    def stop(self) -> None:
        """Stop reporting: the call is about to return, and then there is no listener."""
        self._stopped = True
