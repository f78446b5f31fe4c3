"""Bytes that nobody asked for: aiohttp would take them for the answer to the next request.

What a server sends on a connection that lies idle in the pool goes into the protocol's
buffer, and the pool looks only whether the connection is open before it gives it out again.
So a second response behind the one that was asked for, a moment late, answers somebody
else's request. Ours closes such a connection. Bytes that come after the next request has
gone out cannot be told from its answer; no client can, in HTTP/1.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from aiohttp import BaseConnector
from aiohttp.client_proto import ResponseHandler


class QuietHandler(ResponseHandler):
    """aiohttp's protocol, which closes the connection when it is spoken to while idle."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: BaseConnector) -> None:
        super().__init__(loop=loop)
        self._pool = pool
        # The pool's own set of what is in use: looked at for every piece of data.
        self._in_use: Collection[Any] = getattr(pool, "_acquired", ())

    def data_received(self, data: bytes) -> None:
        """Take data for the response that is awaited; if there is none, close."""
        if data and self not in self._in_use and self._lies_in_pool():
            self.close()
            return
        super().data_received(data)
        # The end of a body gives the connection back at once, while the rest of the same
        # data, such as another response, is still to be put into the buffer.
        left = self._buffer or self._tail
        if data and left and self not in self._in_use and self._lies_in_pool():
            self.close()

    def _lies_in_pool(self) -> bool:
        # Not in use is also the connection to a proxy, until its tunnel stands.
        idle: Mapping[Any, Collection[tuple[Any, float]]] = getattr(self._pool, "_conns", {})
        return any(self is protocol for some in idle.values() for protocol, _ in some)
