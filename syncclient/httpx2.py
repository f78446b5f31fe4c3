"""The door for code on httpx2: its own Client, Response, errors and rules, and our engine below.

``Client`` and ``AsyncClient`` are httpx2's with our transport underneath; ``Transport`` and
``AsyncTransport`` are what every other client of the library takes as ``transport=``.
It needs httpx2: ``pip install httpx2``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._httpx.client import TransportHooks
from ._httpx.keywords import Keywords
from ._httpx.library import Library, installed
from ._httpx.transport import AwaitedDoor, AwaitedStream, BlockingDoor, BlockingStream

if TYPE_CHECKING:
    import httpx2
else:
    httpx2 = installed("httpx2")

__all__ = ["AsyncClient", "AsyncTransport", "Client", "Transport"]

_LIBRARY = Library(httpx2)


class _Stream(BlockingStream, httpx2.SyncByteStream):
    _library = _LIBRARY


class _AsyncStream(AwaitedStream, httpx2.AsyncByteStream):
    _library = _LIBRARY


class _Keywords(Keywords[httpx2.Limits, httpx2.Proxy | httpx2.URL]):
    _library = _LIBRARY


class Transport(_Keywords, BlockingDoor, httpx2.BaseTransport):
    """A transport for httpx2's ``Client`` whose engine is a Session's.

    Any number of threads may share it, and the clients that are given it. It may be dropped
    without ``close()``; a response that is open then can be read to its end. Takes the keywords of
    httpx2's ``HTTPTransport``, with the same meanings and defaults, and ``session``.

    Args:
        verify: True, False, or an ``ssl.SSLContext``; what httpx2 makes of it is used.
        cert: a client certificate, as httpx2 takes it.
        trust_env: whether SSL_CERT_FILE and SSL_CERT_DIR count.
        http1: True.
        http2: False: HTTP/2 is not spoken.
        limits: a ``httpx2.Limits``. Of its ``max_keepalive_connections`` only 0 counts: it closes
            each connection after its one exchange.
        proxy: the URL of a proxy, or a ``httpx2.Proxy`` without an ``ssl_context``.
        uds: the path of a Unix socket to connect to.
        local_address: the address to connect from.
        retries: how often connecting is tried again.
        socket_options: arguments of ``setsockopt`` for each connection. TCP keepalive is on.
        session: whose connections to use, in place of all that says how to make them. Its
            middlewares, tracers, retries, proxy and limits hold; its headers, cookies, timeouts
            and ``trust_env`` do not, for those are the library's. It is not closed with this.

    Raises:
        TypeError, ValueError: An argument is wrong, or cannot be honoured; the message names it.
    """

    _streams = _Stream


class AsyncTransport(_Keywords, AwaitedDoor, httpx2.AsyncBaseTransport):
    """A transport for httpx2's ``AsyncClient``, for tasks of asyncio and trio.

    The keywords are those of ``Transport``. Tasks of several loops may share it.
    """

    _streams = _AsyncStream


class Client(TransportHooks, httpx2.Client):
    """httpx2's ``Client`` with our transport underneath, for the proxies of the environment too.

    A ``transport`` or ``mounts`` that is given is used as it is.

    Args:
        session: whose connections to use; see ``Transport``.
        options: the keywords of ``httpx2.Client``.
    """

    _transports = Transport


class AsyncClient(TransportHooks, httpx2.AsyncClient):
    """httpx2's ``AsyncClient`` with our transport underneath: see ``Client``."""

    _transports = AsyncTransport
