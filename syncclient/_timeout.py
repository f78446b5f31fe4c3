"""ClientTimeout: aiohttp's limits of a request, and two more."""

from __future__ import annotations

import aiohttp
import attr

from ._checks import UNSET, Unset
from ._other_libraries import answering


@answering("ClientTimeout")
@attr.s(auto_attribs=True, frozen=True, slots=True, eq=False)
class ClientTimeout(aiohttp.ClientTimeout):
    """Limits of a request, in seconds; None and 0 set none. A frozen value.

    aiohttp's class with two more fields. aiohttp's own is accepted wherever this one is.

    Args:
        total: for the whole request, including the body.
        connect: to get a connection: to wait for a free one in the pool, or make a new one. If
            ``pool`` is set, only to make one.
        sock_read: between two pieces of the response.
        sock_connect: for the TCP connection and the TLS handshake, for each address.
        ceil_threshold: limits of more seconds than this are rounded up to whole seconds; with
            the default, 5, none are rounded.
        pool: to wait for a free connection. By default ``connect`` covers this wait.
        sock_write: between two pieces of the body that the server accepts.
    """

    pool: float | Unset | None = UNSET
    sock_write: float | None = None

    def __eq__(self, other: object) -> bool:
        """Compare the limits; aiohttp's own class has no ``pool`` and no ``sock_write``."""
        if not isinstance(other, aiohttp.ClientTimeout):
            return NotImplemented
        return _limits(self) == _limits(other)

    def __hash__(self) -> int:
        return super().__hash__()


def _limits(timeout: aiohttp.ClientTimeout) -> tuple[object, ...]:
    more = (
        (timeout.pool, timeout.sock_write) if isinstance(timeout, ClientTimeout) else (UNSET, None)
    )
    return (
        *(timeout.total, timeout.connect, timeout.sock_read, timeout.sock_connect),
        *(timeout.ceil_threshold, *more),
    )


def limits_pool(timeout: aiohttp.ClientTimeout) -> bool:
    """Return whether waiting for a free connection has its own limit, apart from connect."""
    return isinstance(timeout, ClientTimeout) and timeout.pool is not UNSET


def pool_limit(timeout: aiohttp.ClientTimeout) -> float | None:
    """Return that limit; None if there is none, or ``connect`` covers the wait."""
    if not isinstance(timeout, ClientTimeout) or isinstance(timeout.pool, Unset):
        return None
    return timeout.pool or None


def write_limit(timeout: aiohttp.ClientTimeout) -> float | None:
    """Return the seconds in which the server must accept a byte of the body; None sets no limit."""
    return (timeout.sock_write or None) if isinstance(timeout, ClientTimeout) else None
