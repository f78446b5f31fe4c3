"""Our errors as those of httpx, class by class: what SDKs decide by whether to try again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientError,
    ClientHttpProxyError,
    ClientOSError,
    ClientPayloadError,
    ClientProxyConnectionError,
    ConnectionTimeoutError,
    InvalidURL,
    NonHttpUrlClientError,
    ServerDisconnectedError,
    ServerFingerprintMismatch,
    ServerTimeoutError,
)

from .._async.exchange.progress import Phase
from .._deadline import DeadlineError
from .._exceptions import BlockingCallError, PoolTimeoutError, WriteTimeoutError

if TYPE_CHECKING:
    from .library import Library

#: The first that fits counts.
_TABLE: tuple[tuple[type[Exception], str], ...] = (
    (PoolTimeoutError, "PoolTimeout"),
    (ConnectionTimeoutError, "ConnectTimeout"),
    (WriteTimeoutError, "WriteTimeout"),
    (ServerTimeoutError, "ReadTimeout"),
    (ClientHttpProxyError, "ProxyError"),
    (ServerFingerprintMismatch, "ConnectError"),
    (ClientConnectorError, "ConnectError"),
    (ServerDisconnectedError, "RemoteProtocolError"),
    (ClientOSError, "ReadError"),
    (NonHttpUrlClientError, "UnsupportedProtocol"),
    (InvalidURL, "LocalProtocolError"),
    (ClientConnectionError, "ReadError"),
    (ClientPayloadError, "RemoteProtocolError"),
    # A head that is no HTTP.
    (ClientError, "RemoteProtocolError"),
)

#: aiohttp's words for a body that ends before its length or its last chunk.
_CUT_SHORT = "Not enough data to satisfy"

#: Errors that are not translated: the end of a ``syncclient.timeout()`` block, and misuse.
_OURS = (DeadlineError, BlockingCallError)


def raise_translated(
    error: ClientError, library: Library, request: Any, *, reading: bool
) -> NoReturn:
    """Raise ``error`` as the library's own class has it, with ``request`` attached.

    Args:
        reading: whether the head of the response had come.
    """
    if isinstance(error, _OURS):
        raise error  # not from itself: who follows the causes would find no end
    name = next(name for kind, name in _TABLE if isinstance(error, kind))
    if isinstance(error, ClientProxyConnectionError):
        # Without a number it is what a SOCKS proxy answered.
        name = "ProxyError" if error.os_error.errno is None else "ConnectError"
    elif isinstance(error, RuntimeError):  # the session was closed, or the loop thread has ended
        name = "ReadError"
    elif isinstance(error, ClientPayloadError):
        if not reading:
            name = "LocalProtocolError"  # the request's body is not as long as it says
        elif isinstance(error.__cause__, OSError) and error.__cause__.errno is not None:
            name = "ReadError"
    elif name == "ReadError" and Phase.SEND.value in str(error):
        name = "WriteError"
    text = str(error)
    if reading and _CUT_SHORT in text:
        # The words of httpcore's that programs look for.
        text = f"peer closed connection without sending complete message body: {text}"
    kind: type[Exception] = getattr(library.module, name)
    raise kind(text, request=request) from error  # type: ignore[call-arg]  # all of these take it
