"""Translate aiohttp's errors: the same classes, with the request and the phase in the message.

The edges of the core call this one function: ``AsyncSession.request`` and the methods of
``Exchange``.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientHttpProxyError,
    ClientOSError,
    ClientPayloadError,
    ClientResponseError,
    ConnectionTimeoutError,
    InvalidURL,
    NonHttpUrlClientError,
    ServerDisconnectedError,
    ServerFingerprintMismatch,
    SocketTimeoutError,
    TooManyRedirects,
)
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy

from ..._deadline import DeadlineError
from ..._exceptions import (
    ConnectTimeoutError,
    PoolTimeoutError,
    ReadTimeoutError,
    TimeoutDetails,
    TotalTimeoutError,
    WriteTimeoutError,
)
from ..._models import redacted_head, redacted_headers, redacted_info, redacted_url
from ..._timeout import limits_pool, pool_limit, write_limit
from ..engine.client import set_url
from .connect_errors import pin_mismatch, refused_by_proxy, told
from .head import head_of
from .progress import Phase, Progress

D = TypeVar("D", bound=TimeoutDetails)


def explained(error: Exception, progress: Progress) -> Exception:
    """Return the error to raise: ``error`` with a fuller message, or one of the timeout errors.

    Raise it from its ``cause``.
    """
    if isinstance(error, DeadlineError):
        return error  # from the handler of a blocking middleware, already complete
    if isinstance(error, asyncio.TimeoutError) and not isinstance(error, ClientOSError):
        return _timeout(error, progress)
    where = str(progress)
    if isinstance(error, ClientResponseError):
        plain = _without_engine(error, "" if progress.is_told_in(str(error)) else f": {where}")
        if isinstance(plain, ClientHttpProxyError):
            return refused_by_proxy(plain, progress)
        return plain
    if progress.is_told_in(str(error)):
        # Raised before: a broken stream keeps its error, and so does a request behind a middleware.
        return error
    if isinstance(error, ServerDisconnectedError):
        when = " before it had answered" if progress.phase is Phase.HEAD else ""
        error.message = f"The server closed the connection{when} ({progress.request()})"
        error.args = (error.message,)
    elif isinstance(error, ServerFingerprintMismatch):
        return pin_mismatch(error, progress)
    elif isinstance(error, ClientConnectorError):
        return told(error, progress)
    elif isinstance(error, ClientOSError):
        # The message of an OSError is made of its fields, unless it has none.
        if error.strerror is None:
            error.args = (f"{error} ({progress.request()})",)
        else:
            error.strerror = f"{error.strerror} ({progress.request()})"
            error.args = (error.errno, error.strerror)
    elif isinstance(error, InvalidURL):  # the target of a redirect
        # Its cause quotes a part of the URL, which may be part of a password.
        error.__cause__ = error.__context__ = None
        set_url(error, redacted_url(error.url), f"{error.description or 'invalid URL'}: {where}")
    elif isinstance(error, NonHttpUrlClientError):
        error.args = (f"{redacted_url(str(error))}: {where}",)
    elif type(error) in _PLAIN:
        error.args = (f"{error}: {where}",)
    return error


def cause(error: Exception, engines: Exception) -> BaseException | None:
    """Return the cause of ``error``, which ``explained`` created from the ``engines`` error."""
    if error is engines or isinstance(error, (ClientConnectorError, ClientHttpProxyError)):
        return engines.__cause__  # ``error`` replaces the engine's error
    return engines


#: Errors whose message is their only argument.
_PLAIN = (ClientPayloadError, ClientConnectionError)


def _timeout(error: Exception, progress: Progress) -> TimeoutDetails:
    if isinstance(error, TimeoutDetails):
        return error
    timeout, phase = progress.timeout, progress.phase
    cls: type[TimeoutDetails]
    limit: float | None
    if isinstance(error, SocketTimeoutError):
        cls, limit = ReadTimeoutError, timeout.sock_read
    elif isinstance(error, ConnectionTimeoutError):
        limits = [s for s in (timeout.connect, timeout.sock_connect) if s]
        cls, limit = ConnectTimeoutError, min(limits, default=None)
        if phase is Phase.POOL:
            cls, limit = PoolTimeoutError, pool_limit(timeout) or limit
    else:
        cls, limit = TotalTimeoutError, timeout.total
    timed_out = _details(cls, limit, progress)
    if cls is PoolTimeoutError and limits_pool(timeout):
        timed_out.limit_name = "timeout.pool"
    return timed_out


def write_timeout(progress: Progress) -> WriteTimeoutError:
    """Return the error of a request whose server accepts no more of the body."""
    return _details(WriteTimeoutError, write_limit(progress.timeout), progress)


def _details(cls: type[D], limit: float | None, progress: Progress) -> D:
    phase = progress.phase
    return cls(
        phase=f"{phase.value} ({progress.detail})" if progress.detail else phase.value,
        limit=limit,
        elapsed=progress.elapsed(),
        method=progress.method,
        url=redacted_url(progress.url),
    )


def _without_engine(error: ClientResponseError, where: str) -> ClientResponseError:
    """Replace the engine's objects in ``error`` by values, and hide its secrets.

    ``where`` is added to what the engine says of a response that it cannot read.
    The history becomes Heads, and the headers plain dicts: the proxies cannot be pickled.
    """
    if isinstance(error, TooManyRedirects) and not error.message:
        error.message = f"stopped at redirect number {len(error.history)}{where}"
    elif isinstance(error.__cause__, HttpProcessingError):
        error.message = f"{error.message}{where}"
    error.request_info = redacted_info(error.request_info)
    history: Any = tuple(redacted_head(head_of(response)) for response in error.history)
    error.history = history
    if isinstance(error.headers, CIMultiDictProxy):
        error.headers = redacted_headers(error.headers)
    error.args = (error.request_info, error.history)
    return error
