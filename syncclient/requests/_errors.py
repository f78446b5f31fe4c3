"""The engine's errors as urllib3 has them, and urllib3's as requests has them.

The first table is what a socket, ``http.client`` and urllib3 would have raised in the same place:
retries are counted by it. The second is what ``HTTPAdapter.send`` of requests makes of it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected
from typing import TYPE_CHECKING

import requests
from aiohttp import (
    ClientConnectionError,
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientError,
    ClientHttpProxyError,
    ClientOSError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ClientResponseError,
    ServerDisconnectedError,
    ServerFingerprintMismatch,
)
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    InvalidHeader,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    ResponseError,
    SSLError,
)
from urllib3.exceptions import IncompleteRead as BrokenOff

from .. import _exceptions as ours
from .._client.response import Response
from .._deadline import DeadlineError

if TYPE_CHECKING:
    from urllib3.connectionpool import HTTPConnectionPool

    from ._timeouts import Limits


def as_urllib3(
    error: Exception, pool: HTTPConnectionPool, target: str, limits: Limits
) -> Exception:
    """Return the error that urllib3 would have for ``error``, which ended a request.

    Itself where urllib3 has none: it comes from the user's own code. Raised from its cause.

    Args:
        error: what the engine raised.
        pool: urllib3's, which its errors name.
        target: the request target, as shown in errors.
        limits: those of the request.
    """
    if isinstance(error, DeadlineError):
        return _caused(ReadTimeoutError(pool, target, f"Read timed out. ({error})"), error)
    if isinstance(error, ours.TotalTimeoutError):
        text = f"Read timed out. (deadline={error.limit})"
        return _caused(ReadTimeoutError(pool, target, text), error)
    if isinstance(error, (ours.ConnectTimeoutError, ours.PoolTimeoutError)):
        text = f"Connection to {pool.host} timed out. (connect timeout={limits.connect})"
        return _of_proxy(_caused(ConnectTimeoutError(_connection(pool), text), error), pool)
    if isinstance(error, ours.ReadTimeoutError):
        text = f"Read timed out. (read timeout={limits.read})"
        return _caused(ReadTimeoutError(pool, target, text), error)
    if isinstance(error, ClientHttpProxyError):
        refused = OSError(f"Tunnel connection failed: {error.status} {error.message}".rstrip())
        return _caused(ProxyError("Unable to connect to proxy", refused), refused)
    if isinstance(error, ClientConnectorCertificateError):
        reason = error.certificate_error
        return _of_proxy(_caused(SSLError(_original(error, reason)), reason), pool)
    if isinstance(error, ClientConnectorSSLError):
        reason = _original(error, error.os_error)
        return _of_proxy(_caused(SSLError(reason), reason), pool)
    if isinstance(error, ServerFingerprintMismatch):
        return _caused(SSLError(error), error)
    if isinstance(error, ClientConnectorError):
        return _of_proxy(_not_connected(error, pool), pool)
    if isinstance(error, ours.SessionClosedError):
        return _caused(ClosedPoolError(pool, "Pool is closed."), error)
    if isinstance(error, ServerDisconnectedError):
        reason = RemoteDisconnected("Remote end closed connection without response")
        return _caused(ProtocolError("Connection aborted.", reason), reason)
    if isinstance(error, ClientOSError):
        reason = _original(error, error)
        return _caused(ProtocolError("Connection aborted.", reason), reason)
    if isinstance(error, ClientResponseError):
        if "Content-Length" in error.message:
            return _caused(InvalidHeader(error.message), error)
        reason = BadStatusLine(error.message)
        return _caused(ProtocolError("Connection aborted.", reason), reason)
    if isinstance(error, (ClientError, OSError)):
        return _caused(ProtocolError("Connection aborted.", error), error)
    return error


def _caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def _of_proxy(error: Exception, pool: HTTPConnectionPool) -> Exception:
    if pool.proxy is None:
        return error
    return _caused(ProxyError("Unable to connect to proxy", error), error)


def _not_connected(error: ClientConnectorError, pool: HTTPConnectionPool) -> Exception:
    reason = _original(error, error.os_error)
    connection = _connection(pool)
    if isinstance(reason, socket.gaierror):
        if isinstance(error, ClientProxyConnectionError) and pool.proxy is not None:
            return _caused(NameResolutionError(str(pool.proxy.host), connection, reason), reason)
        return _caused(NameResolutionError(pool.host, connection, reason), reason)
    text = f"Failed to establish a new connection: {reason}"
    return _caused(NewConnectionError(connection, text), reason)


def _connection(pool: HTTPConnectionPool) -> HTTPConnection:
    """Return an unconnected connection of ``pool``, which errors name."""
    return (HTTPSConnection if pool.scheme == "https" else HTTPConnection)(pool.host, pool.port)


def _original(error: Exception, told: Exception) -> Exception:
    """Return what the system raised for ``error``, in the system's words."""
    cause = error.__cause__
    found = cause if isinstance(cause, OSError) else told
    number = getattr(found, "errno", None)
    if type(found).__module__ == "builtins" and isinstance(number, int) and number > 0:
        # asyncio says "Connect call failed" and names the address.
        return OSError(number, os.strerror(number))
    return found


def body_error(
    error: Exception, response: Response, pool_of: Callable[[], HTTPConnectionPool]
) -> Exception:
    """Return what ``http.client`` or urllib3 would have for ``error``, which ended a body."""
    if isinstance(error, (DeadlineError, ours.TotalTimeoutError)):
        return ReadTimeoutError(pool_of(), None, f"Read timed out. ({error})")
    if isinstance(error, ours.ReadTimeoutError):
        return ReadTimeoutError(pool_of(), None, "Read timed out.")
    if isinstance(error, ClientPayloadError):
        taken, length = response.content.total_bytes, response.content_length
        if length is not None and length > taken:
            return BrokenOff(taken, length - taken)
        return IncompleteRead(b"")
    if isinstance(error, (ClientConnectionError, ours.SessionClosedError, ours.LoopThreadError)):
        return ProtocolError(f"Connection broken: {error!r}", error)
    return error


def as_requests(error: Exception, request: requests.PreparedRequest) -> Exception:
    """Return the error that ``HTTPAdapter.send`` of requests has for ``error`` of urllib3."""
    wrong: type[requests.RequestException]
    if isinstance(error, (ProtocolError, OSError, ClosedPoolError)):
        wrong = requests.ConnectionError
    elif isinstance(error, MaxRetryError):
        wrong = _of_reason(error.reason)
    elif isinstance(error, ProxyError):
        return requests.exceptions.ProxyError(error)
    elif isinstance(error, SSLError):
        wrong = requests.exceptions.SSLError
    elif isinstance(error, ReadTimeoutError):
        wrong = requests.ReadTimeout
    elif isinstance(error, InvalidHeader):
        wrong = requests.exceptions.InvalidHeader
    else:
        return error
    return wrong(error, request=request)


def _of_reason(reason: Exception | None) -> type[requests.RequestException]:
    if isinstance(reason, ConnectTimeoutError) and not isinstance(reason, NewConnectionError):
        return requests.ConnectTimeout
    if isinstance(reason, ResponseError):
        return requests.exceptions.RetryError
    if isinstance(reason, ProxyError):
        return requests.exceptions.ProxyError
    if isinstance(reason, SSLError):
        return requests.exceptions.SSLError
    return requests.ConnectionError
