"""The ends of TLS connections: none outlives the pool that made it.

A connection over TLS that is closed waits for its peer to say goodbye, uvloop's for up to half a
minute. The engine has forgotten it by then, and its pool, closed, would leave it behind.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import cast

from aiohttp import BaseConnector
from aiohttp.client_proto import ResponseHandler

#: The connections over TLS of each pool that are not closed yet.
_open: weakref.WeakKeyDictionary[BaseConnector, weakref.WeakSet[EndingHandler]] = (
    weakref.WeakKeyDictionary()
)


class EndingHandler(ResponseHandler):
    """aiohttp's protocol, which also knows its transport while that is being closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: BaseConnector) -> None:
        super().__init__(loop=loop)
        self._pool = pool
        self._tls: asyncio.Transport | None = None
        #: Why the connection ended, once it has, where that was an error.
        self.lost_by: BaseException | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport. Called by it, once the handshake is over."""
        super().connection_made(transport)
        if transport.get_extra_info("sslcontext") is not None:
            self._tls = cast("asyncio.Transport", transport)  # uvloop's are none by class
            _open.setdefault(self._pool, weakref.WeakSet()).add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Drop the transport. Called by it."""
        self._tls = None
        self.lost_by = exc
        super().connection_lost(exc)

    def abort_tls(self) -> None:
        """Close the transport now, if it is over TLS and not closed."""
        if self._tls is not None:
            self._tls.abort()


def abort_all(pool: BaseConnector) -> None:
    """Close what ``pool`` has left open over TLS, without a goodbye."""
    for handler in list(_open.pop(pool, ())):
        handler.abort_tls()
