"""What programs find where they look for the socket below a body: ``raw._fp.fp.raw``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import ClientError

if TYPE_CHECKING:
    from .._async.exchange.exchange import Exchange
    from .._boundary.lease import Remote


class BodySocket:
    """Stands in for the file and the socket below a body, as far as docker's SDK uses them.

    It lifts the timeout of a stream that may be silent for hours, and ends one that another
    thread reads. The socket itself is the event loop's.
    """

    def __init__(self, close: Callable[[], None], remote: Remote[Exchange] | None) -> None:
        self._close = close
        self._remote = remote

    @property
    def _sock(self) -> BodySocket:
        return self

    def settimeout(self, seconds: float | None) -> None:
        """Set how long the server may be silent from now on; None sets no limit.

        One crossing. Without effect once the rest of the body is here.
        """
        if self._remote is not None:
            try:
                self._remote.call(_limit_silence, seconds)
            except (ClientError, RuntimeError):  # it has ended, which the next read tells
                return

    def shutdown(self, how: int) -> None:
        """Close the body; its reader gets an error. Any thread; never waits."""
        self._close()

    def close(self) -> None:
        """Close the body; see ``shutdown``."""
        self._close()


async def _limit_silence(exchange: Exchange, seconds: float | None) -> None:
    connection = exchange.response.connection
    handler = None if connection is None else connection.protocol
    if handler is not None:
        handler.read_timeout = seconds
        handler.start_timeout()
