"""aiohttp's errors -> what users see: the same classes, saying which request and which phase.

One function, called at the edges of the core: ``AsyncSession.request`` and the methods
of ``Exchange``.
"""

from __future__ import annotations

import asyncio
import copyreg
from typing import Any

from aiohttp import (
    ClientConnectionError,
    ClientConnectorCertificateError,
    ClientConnectorError,
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
from aiohttp.client_exceptions import UnixClientConnectorError
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy
from yarl import URL

from .._deadline import DeadlineError
from .._exceptions import (
    ConnectTimeoutError,
    PoolTimeoutError,
    ReadTimeoutError,
    TimeoutDetails,
    TotalTimeoutError,
)
from .._models import redacted_head, redacted_headers, redacted_info, redacted_text, redacted_url
from .head import head_of
from .phase import Phase, Progress


def explained(error: Exception, progress: Progress) -> Exception:
    """Return the error to raise for ``error``: itself with a fuller message, or a timeout of ours.

    Raise it from its ``cause``.
    """
    if isinstance(error, DeadlineError):
        return error  # out of the handler of a blocking middleware, and told in full
    if isinstance(error, asyncio.TimeoutError) and not isinstance(error, ClientOSError):
        return _timeout(error, progress)
    where = str(progress)
    if isinstance(error, ClientResponseError):
        return _without_engine(error, where)
    if where in str(error):  # raised before: a broken stream keeps its error
        return error
    if isinstance(error, ServerDisconnectedError):
        error.message = f"the server closed the connection: {where}"
        error.args = (error.message,)
    elif isinstance(error, ServerFingerprintMismatch):
        error.args = (
            f"the certificate of {error.host}:{error.port} has the SHA-256 {error.got.hex()}, "
            f"and not {error.expected.hex()}: {where}",
        )
    elif isinstance(error, ClientConnectorError):
        return _connector_error(error, where)
    elif isinstance(error, ClientOSError):
        # The text of an OSError is made of its fields, unless it has none.
        if error.strerror is None:
            error.args = (f"{error}: {where}",)
        else:
            error.strerror = f"{error.strerror}: {where}"
            error.args = (error.errno, error.strerror)
    elif isinstance(error, InvalidURL):  # where a redirect led
        error._url = redacted_text(str(error.url))
        error._description = f"{error.description or 'invalid URL'}: {where}"
        error.args = (error._url, error._description)
    elif isinstance(error, NonHttpUrlClientError):
        error.args = (f"{redacted_text(str(error))}: {where}",)
    elif type(error) in _PLAIN:
        error.args = (f"{error}: {where}",)
    return error


def cause(error: Exception, engines: Exception) -> BaseException | None:
    """Return what to raise ``error`` from, which ``explained`` made of the ``engines`` error."""
    return engines if error is not engines else engines.__cause__


#: Errors whose text is their one argument.
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


def _mismatch_parts(error: ServerFingerprintMismatch) -> tuple[Any, ...]:
    fields = (error.expected, error.got, error.host, error.port)
    return type(error), fields, {**error.__dict__, "args": error.args}


# By default pickle, and copy, call the class with .args, which is the one message here.
copyreg.pickle(ServerFingerprintMismatch, _mismatch_parts)


def _without_engine(error: ClientResponseError, where: str) -> ClientResponseError:
    """Put values in place of what of the engine ``error`` holds, and hide its secrets.

    The history becomes Heads, and the headers plain dicts: the proxies cannot be pickled.
    """
    if isinstance(error, TooManyRedirects) and not error.message:
        error.message = f"stopped at redirect number {len(error.history)}: {where}"
    elif isinstance(error.__cause__, HttpProcessingError):
        error.message = f"{error.message}: {where}"
    error.request_info = redacted_info(error.request_info)
    history: Any = tuple(redacted_head(head_of(response)) for response in error.history)
    error.history = history
    if isinstance(error.headers, CIMultiDictProxy):
        error.headers = redacted_headers(error.headers)
    error.args = (error.request_info, error.history)
    return error


def _connector_error(error: ClientConnectorError, where: str) -> ClientConnectorError:
    """Say where in ``error``, and put values in place of the secrets and contexts it holds."""
    key = error._conn_key = _plain_key(error._conn_key)
    if isinstance(error, ClientConnectorCertificateError):
        error._certificate_error = _retold(error.certificate_error, where)
        error.args = (key, error._certificate_error)
        return error
    told = error._os_error = _retold(error.os_error, where)
    error.strerror = told.strerror
    if isinstance(error, UnixClientConnectorError):
        error.args = (error.path, key, told)  # what its class takes
    else:
        error.args = (key, told)
    return error


def _plain_key(key: ConnectionKey) -> ConnectionKey:
    """Return ``key`` without credentials, and without a context or a fingerprint.

    The one cannot be pickled; both would be told as an object at some address.
    """
    proxy = key.proxy and URL(redacted_url(key.proxy), encoded=True)
    told = key.ssl if isinstance(key.ssl, bool) else True
    return key._replace(ssl=told, proxy=proxy, proxy_auth=None)


def _retold(error: Any, where: str) -> Any:
    """Return a copy of an OSError that says where. The original may be others' as well: DNS."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    try:
        told = type(error)(getattr(error, "errno", None), f"{text}: {where}")
    except TypeError:  # a class with a constructor of its own
        told = OSError(getattr(error, "errno", None), f"{text}: {where}")
    told.__dict__.update(getattr(error, "__dict__", {}))
    return told
