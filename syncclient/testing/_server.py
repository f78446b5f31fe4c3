"""Responses from a function or a table of routes: the bridge from the loop to its threads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from .._async.connect.inprocess import HangUp, ServerExchange, Serving
from ._values import Answer, Gate, Handler, MockReply, MockRequest, reply_of
from ._workers import Workers

#: Stands for the end of an iterator.
_END = object()


class HandlerMount(Serving):
    """A Mounted that calls a function, on a thread, with the whole body of the request."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(decompress=True)
        self._handler = handler
        self._workers = Workers()

    async def close(self) -> None:
        """End running handlers, and the threads."""
        await super().close()
        self._workers.close()

    async def answer(self, exchange: ServerExchange) -> None:
        """Call the function, and send the response it returns."""
        url = exchange.url
        body = await exchange.read_all()
        request = MockRequest(exchange.method, url, exchange.headers, body)
        try:
            reply = await self._workers.run(_asked, self._handler, request)
        except OSError as exc:
            error = _as_of_connecting(exc, url)
            if error is exc:
                raise
            raise error from exc
        if reply.gate is not None:
            await reply.gate._pass()
        await exchange.respond(reply.status, reply.reason, reply.headers.items())
        if isinstance(reply.body, bytes):
            await exchange.write(reply.body)
        else:
            await self._send_parts(exchange, iter(reply.body))
        if reply.cut_off:
            raise HangUp

    async def _send_parts(self, exchange: ServerExchange, parts: Iterator[bytes | Gate]) -> None:
        while True:
            part = await self._workers.run(next, parts, _END)
            if part is _END:
                return
            if isinstance(part, Gate):
                await part._pass()
            elif isinstance(part, bytes):
                await exchange.write(part)
            else:
                raise TypeError(f"a part of a body must be bytes or a Gate, not {part!r}")


def _asked(handler: Handler, request: MockRequest) -> MockReply:
    answer: Answer = handler(request)
    return reply_of(answer)


def _as_of_connecting(error: OSError, url: URL) -> Exception:
    """Return the engine's error for ``error``, if that can only come from connecting."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return asyncio.TimeoutError()  # the engine's; a separate class before Python 3.11
    secure = url.scheme in ("https", "wss")
    key = ConnectionKey(url.host or "", url.port, secure, True, None, None, None)
    if isinstance(error, socket.gaierror):
        return aiohttp.ClientConnectorDNSError(key, error)
    if isinstance(error, ConnectionRefusedError):
        return aiohttp.ClientConnectorError(key, error)
    return error
