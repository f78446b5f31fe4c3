"""aiohttp's errors -> what users see: the same classes, saying which request and which phase.

One function, called at the edges of the core: ``AsyncSession.request`` and the methods
of ``Exchange``.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp import (
    ClientConnectorError,
    ClientOSError,
    ClientPayloadError,
    ClientResponseError,
    ConnectionTimeoutError,
    RequestInfo,
    ServerDisconnectedError,
    SocketTimeoutError,
)
from multidict import CIMultiDictProxy

from .._exceptions import (
    ConnectTimeoutError,
    PoolTimeoutError,
    ReadTimeoutError,
    TimeoutDetails,
    TotalTimeoutError,
)
from .._models import redacted_headers, redacted_url
from .head import head_of
from .phase import Phase, Progress


def explained(error: Exception, progress: Progress) -> Exception:
    """Return the error to raise for ``error``: itself with a fuller message, or a timeout of ours.

    Raise a timeout of ours ``from`` the engine's, whose own message is empty.
    """
    if isinstance(error, asyncio.TimeoutError) and not isinstance(error, ClientOSError):
        return _timeout(error, progress)
    if isinstance(error, ClientResponseError):
        return _without_engine(error)
    where = f"{progress.method} {redacted_url(progress.url)} while {progress.phase.value}"
    if where in str(error):  # raised before: a broken stream keeps its error
        return error
    if isinstance(error, ServerDisconnectedError):
        error.message = f"the server closed the connection: {where}"
        error.args = (error.message,)
    elif isinstance(error, ClientPayloadError):
        error.args = (f"{error}: {where}",)
    elif isinstance(error, ClientOSError) and not isinstance(error, ClientConnectorError):
        # The text of an OSError is made of its fields, unless it has none.
        if error.strerror is None:
            error.args = (f"{error}: {where}",)
        else:
            error.strerror = f"{error.strerror}: {where}"
    return error


def _timeout(error: Exception, progress: Progress) -> TimeoutDetails:
    if isinstance(error, TimeoutDetails):
        return error
    timeout, phase = progress.timeout, progress.phase
    cls: type[TimeoutDetails]
    limit: float | None
    if isinstance(error, SocketTimeoutError):
        cls, limit = ReadTimeoutError, timeout.sock_read
    elif isinstance(error, ConnectionTimeoutError):
        cls = PoolTimeoutError if phase is Phase.POOL else ConnectTimeoutError
        limits = [s for s in (timeout.connect, timeout.sock_connect) if s]
        limit = min(limits, default=None)
    else:
        cls, limit = TotalTimeoutError, timeout.total
    return cls(
        phase=f"{phase.value} ({progress.detail})" if progress.detail else phase.value,
        limit=limit,
        elapsed=progress.elapsed(),
        method=progress.method,
        url=redacted_url(progress.url),
    )


def _without_engine(error: ClientResponseError) -> ClientResponseError:
    """Put values in place of what of the engine ``error`` holds, and hide its secrets.

    The history becomes Heads, and the headers plain dicts: the proxies cannot be pickled.
    """
    info = error.request_info
    headers = cast("CIMultiDictProxy[str]", redacted_headers(info.headers))
    error.request_info = RequestInfo(info.url, info.method, headers, info.real_url)
    history: Any = tuple(head_of(response) for response in error.history)
    error.history = history
    if isinstance(error.headers, CIMultiDictProxy):
        error.headers = redacted_headers(error.headers)
    error.args = (error.request_info, error.history)
    return error
