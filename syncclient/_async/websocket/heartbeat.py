"""The heartbeat of a WebSocket: pings that show whether the peer still answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Heartbeat:
    """Pings a silent peer, and gives it up if it stays silent. Runs until ``stop``.

    Args:
        interval: seconds of silence before a ping. The peer is given up after half as many
            seconds more, as in aiohttp.
        ping: sends a ping.
        give_up: called with the seconds since the unanswered ping. Ends the connection, or
            returns False if the silence is on this side.
    """

    def __init__(
        self, interval: float, ping: Callable[[], object], give_up: Callable[[float], bool]
    ) -> None:
        self._interval = interval
        self._ping = ping
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        #: When the unanswered ping was sent.
        self._pinged_at: float | None = None
        self._timer = self._loop.call_later(interval, self._look)

    def heard(self) -> None:
        """Note that something arrived from the peer."""
        # Sets no timer, which would have to be set again for each packet.
        self._heard_at = self._loop.time()

    def stop(self) -> None:
        """End, and drop all references to the socket."""
        self._timer.cancel()
        self._ping = self._give_up = _nothing

    def _look(self) -> None:
        now = self._loop.time()
        if self._pinged_at is not None:
            pinged_at, self._pinged_at = self._pinged_at, None
            if self._heard_at < pinged_at:
                if self._give_up(self._interval / 2):
                    return
                self._heard_at = now
        due = self._heard_at + self._interval
        if now < due:
            self._timer = self._loop.call_at(due, self._look)
            return
        self._pinged_at = now
        self._timer = self._loop.call_later(self._interval / 2, self._look)
        self._ping()


def _nothing(*_: object) -> bool:
    return True
