"""One response that is still open on the event loop: read it, release it, abort it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import ClientResponse

from .errors import explained
from .phase import Phase, Progress

if TYPE_CHECKING:
    from collections.abc import Callable


class Exchange:
    """An open response: its body is, at least in part, still on the wire. Event loop only."""

    __slots__ = ("_forget", "_progress", "done", "response")

    def __init__(
        self, response: ClientResponse, progress: Progress, forget: Callable[[Exchange], None]
    ) -> None:
        self.response = response
        self._progress = progress
        self._forget = forget
        progress.phase = Phase.BODY
        #: Whether all of it has been handed over, or given up.
        self.done = False

    async def read(self) -> bytes:
        """Return the rest of the body; the connection then goes back to the pool."""
        try:
            return await self.response.read()
        except Exception as exc:
            error = explained(exc, self._progress)
            raise error from (exc if error is not exc else exc.__cause__)
        finally:
            self._end()

    def abandon(self) -> None:
        """Release the response now. A connection with unread data on it is closed."""
        if not self.done:
            self.response.release()
            self._end()

    def abort(self) -> None:
        """Close the connection, whatever its state."""
        if not self.done:
            self.response.close()
            self._end()

    async def aclose(self) -> None:
        """Close the connection, for the session is closing."""
        self.abort()

    def _end(self) -> None:
        self.done = True
        self._forget(self)
