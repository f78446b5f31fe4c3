"""Timeouts of requests and urllib3 as the engine takes them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from urllib3.util import Timeout

from .._client.arguments import NO_TIMEOUT, check_timeout
from .._timeout import ClientTimeout


class Limits(NamedTuple):
    """The limits of one request, in seconds; None is no limit."""

    connect: float | None
    read: float | None
    engine: ClientTimeout


def limits_for(timeout: Any, deadline: float | None) -> Limits:
    """Return the limits that ``timeout=`` of requests means.

    Args:
        timeout: a number, a (connect, read) tuple, a ``urllib3.Timeout`` or None.
        deadline: seconds for everything, the body included.

    Raises:
        ValueError: as requests and urllib3 raise it.
    """
    if isinstance(timeout, Timeout):
        fresh = timeout.clone()
        fresh.start_connect()
        return _engine_limits(
            Timeout.resolve_default_timeout(fresh.connect_timeout),
            Timeout.resolve_default_timeout(fresh.read_timeout),
            deadline,
        )
    connect = read = timeout
    if isinstance(timeout, tuple):
        try:
            connect, read = timeout
        except ValueError:
            raise ValueError(
                f"Invalid timeout {timeout}. Pass a (connect, read) timeout tuple, "
                f"or a single float to set both timeouts to the same value."
            ) from None
    try:
        return _limits(connect, read, deadline)
    except TypeError:  # not to be hashed, and so no number
        return _limits.__wrapped__(connect, read, deadline)


def _engine_limits(connect: float | None, read: float | None, deadline: float | None) -> Limits:
    engine = ClientTimeout(total=deadline, sock_connect=connect, sock_read=read)
    return Limits(connect, read, check_timeout(engine, NO_TIMEOUT))


@lru_cache(maxsize=128, typed=True)
def _limits(connect: Any, read: Any, deadline: float | None) -> Limits:
    checked = Timeout(connect=connect, read=read)  # which raises if it is not a timeout
    return _engine_limits(
        Timeout.resolve_default_timeout(checked.connect_timeout),
        Timeout.resolve_default_timeout(checked.read_timeout),
        deadline,
    )
