"""A WebSocket that reconnects: ``for socket in session.ws_connect_forever(url)``."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from aiohttp import ClientConnectionError, ClientSSLError, WSServerHandshakeError

from .._deadline import DeadlineError

if TYPE_CHECKING:
    from typing_extensions import Self

#: Seconds to wait after the first failure, and the maximum.
MIN_DELAY = 1.0
MAX_DELAY = 60.0

#: Factor by which each pause is longer than the one before.
_GROWTH = 1.6

#: Statuses of a server that is starting, overloaded, or unreachable for its proxy.
_PASSING = frozenset({429, 500, 502, 503, 504})


class SupportsClose(Protocol):
    """An open socket."""

    def close(self) -> bool:
        """Close it."""


S = TypeVar("S", bound=SupportsClose)


class Forever(Generic[S]):
    """An iterator of open sockets: each step closes the last one and opens the next.

    Args:
        connect: opens a socket, or raises.
        pause: waits the given number of seconds. Not ``time.sleep``, since the closing of the
            session has to end the wait.
        min_delay, max_delay: seconds between failed attempts. The pauses grow from the first to
            the second, and are shortened at random, so that many clients do not return at once.

    A socket that lasted longer than the pause before it, and than ``min_delay``, counts as a
    success, and the next attempt follows at once. A socket that the server accepts and drops
    does not count.

    Use it in one thread. It is not a generator, because leaving a loop by ``break`` would let the
    generator's finaliser close the socket, which blocks.
    """

    def __init__(
        self,
        connect: Callable[[], S],
        pause: Callable[[float], object],
        *,
        min_delay: float = MIN_DELAY,
        max_delay: float = MAX_DELAY,
    ) -> None:
        if not 0 < min_delay <= max_delay:
            raise ValueError("0 < min_delay <= max_delay must hold")
        self._connect = connect
        self._pause = pause
        self._min_delay = min_delay
        self._max_delay = max_delay
        self._socket: S | None = None
        self._opened_at = 0.0
        #: Seconds before the next attempt; 0 before the first, and after a success.
        self._delay = 0.0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> S:
        """Return a new socket. Blocks until the server accepts one.

        Raises permanent errors immediately: a status other than 429 and 5xx, a bad certificate or
        URL, the closing of the session, a deadline.
        """
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()
            if time.monotonic() - self._opened_at > max(self._delay, self._min_delay):
                self._delay = 0.0
            else:
                self._grow()
        while True:
            if self._delay:
                self._pause(self._delay * random.uniform(0.5, 1.0))
            try:
                self._socket = socket = self._connect()
            except Exception as error:
                if not _may_pass(error):
                    raise
                self._grow()
            else:
                self._opened_at = time.monotonic()
                return socket

    def _grow(self) -> None:
        self._delay = min(self._max_delay, max(self._min_delay, self._delay * _GROWTH))


def _may_pass(error: Exception) -> bool:
    """Return whether another attempt may succeed after ``error``."""
    if isinstance(error, (ClientSSLError, DeadlineError)):
        return False
    if isinstance(error, WSServerHandshakeError):
        return error.status in _PASSING
    return isinstance(error, (ClientConnectionError, asyncio.TimeoutError))
