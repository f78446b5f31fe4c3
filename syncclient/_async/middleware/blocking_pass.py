"""One request's pass through a blocking middleware: the side of the event loop.

aiohttp's middlewares are coroutines, and run where its request and response live. A blocking
middleware runs in another thread and gets values only. This side keeps the engine's objects: it
puts the changes into the request, sends it on, holds the responses, and returns the chosen one
up the chain.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aiohttp import (
    ClientConnectionError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    encode_basic_auth,
    hdrs,
)
from aiohttp.payload import BytesPayload
from multidict import CIMultiDict
from yarl import URL

from ..._models import Reply
from ..connect.tcp import unix_socket
from ..engine.client import set_body
from ..engine.decoded_reader import DecodedReader
from ..exchange import progress as phase
from ..exchange.body import Body, SourcePayload
from ..exchange.errors import cause, explained
from ..exchange.exchange import Exchange
from ..exchange.framing import settle_request
from ..exchange.head import hop_of
from ..exchange.progress import Phase, Progress
from ..exchange.retry import can_be_sent_again
from ..exchange.source import BytesSource
from ..exchange.tracing import fault_in
from .user_middleware import CarriedError

#: Larger bodies, in bytes, are sent in pieces, so that the loop can do other work.
_LARGE = 2**16

#: Seconds that the rest of the chain has to unwind.
_UNWIND_LIMIT = 2.0


class Asked(NamedTuple):
    """A request as its middleware sees it."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    #: The body; None if it has to be read first, or does not consist of bytes.
    body: bytes | None


class Changed(NamedTuple):
    """A request as its middleware sends it on."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    #: The new body in a tuple, so that it can be None; None does not change it.
    body: tuple[bytes | None] | None


class BlockingPass:
    """One request at one blocking middleware. Event loop only.

    Args:
        request: the engine's request, which is changed.
        handler: sends it on.
    """

    def __init__(self, request: ClientRequest, handler: ClientHandlerType) -> None:
        self._request: ClientRequest | None = request
        self._handler: ClientHandlerType | None = handler
        self._progress = phase.progress.get() or Progress(request.method, request.url)
        # The handler runs in a task of the middleware's caller, whose context has neither.
        self._unix_socket = unix_socket.get()
        self._given: list[tuple[ClientResponse, Exchange | None]] = []
        self._running: asyncio.Task[object] | None = None
        #: Whether the pass has ended.
        self.done: bool = False

    async def asked(self) -> Asked:
        """Return the request as values."""
        request = self._here()
        body: bytes | None = None
        if not request.body:
            body = b""
        elif isinstance(request.body, BytesPayload):
            body = await request.body.as_bytes()  # does not wait
        return Asked(request.method, request.url, request.headers.copy(), body)

    async def body(self) -> bytes:
        """Return the body of the request, which can still be sent.

        Raises:
            TypeError: the body can be read only once, by the request.
        """
        payload = self._here().body
        if not payload:
            return b""
        if not can_be_sent_again(payload):
            raise TypeError("this body can be read only once, and then it could not be sent")
        return await payload.as_bytes()

    async def proceed(self, changed: Changed) -> tuple[tuple[int, Reply], Exchange | None]:
        """Send the request on, and return the number and the head of the response.

        The reply includes a body that has already arrived, as with ``AsyncSession.request``.

        Raises:
            ClientError: as ``AsyncSession.request``.
            RuntimeError: the pass has ended, or the request is already being sent.
        """
        request, handler = self._here(), self._handler
        assert handler is not None
        if self._running is not None:
            raise RuntimeError("the handler is still running: call it again after it has returned")
        self._running = asyncio.current_task()
        progress = self._progress
        progress.phase, progress.detail = Phase.HEAD, ""
        unix_socket.set(self._unix_socket)
        phase.begin(progress)
        fault: Exception | None = None
        body: object = None
        late = False  # if so, the request is over, and its own error says the same
        try:
            await _apply(changed, request)
            body = request.body
            response = await self._respond(request, handler)
            return await self._keep(response)
        except asyncio.CancelledError:
            if not self.done:
                raise
            fault = self._cut_short()
        except Exception as exc:
            fault = fault_in(exc, progress) or (body.fault if isinstance(body, Body) else None)
            if isinstance(exc, CarriedError):
                fault = exc.error
            if fault is None:
                error = explained(exc, progress)
                late = isinstance(error, asyncio.TimeoutError)
                raise error from cause(error, exc)
        finally:
            self._running = None
            if not (self.done or late):
                self.pause()
        # An error of the user's code goes to the middleware unchanged.
        raise fault

    async def _respond(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        response = await handler(request)
        # As with any request: the caller, who may have to read the body, waits until it is sent.
        if isinstance(request.body, Body):
            try:
                await request.body.settle(response, self._progress)
            except BaseException:
                response.close()
                raise
        return response

    async def _keep(self, response: ClientResponse) -> tuple[tuple[int, Reply], Exchange | None]:
        content, limit = response.content, self._progress.max_body
        elapsed = self._progress.elapsed()
        here = content.is_eof() and content.exception() is None
        exchange: Exchange | None = None
        if here and (limit is None or content.total_bytes <= limit):
            # aiohttp keeps it, so the body can be read again further up the chain.
            reply = Reply(hop_of(response), await response.read(), elapsed)
            if type(content) is DecodedReader:
                reply = reply._replace(compressed=content.total_compressed_bytes)
        else:
            exchange = Exchange(response, self._progress, _forget, max_body=limit)
            reply = Reply(hop_of(response), None, elapsed)
        self._given.append((response, exchange))
        return (len(self._given) - 1, reply), exchange

    def pause(self, name: str = "") -> None:
        """Note that the middleware called ``name`` is running, for the errors of timeouts."""
        self._progress.phase = Phase.MIDDLEWARE
        if name:
            self._name = name
        self._progress.detail = self._name

    _name = ""

    def choose(self, number: int, body: bytes | None) -> ClientResponse:
        """Return the response that goes up the chain.

        Args:
            number: the number of the response, from ``proceed``.
            body: the whole body if the middleware has read it; None if it has read nothing.
        """
        response, exchange = self._given[number]
        if body is not None:
            set_body(response, body)
        del self._given[number]
        if exchange is not None:
            exchange.detach()
        self._progress.phase, self._progress.detail = Phase.HEAD, ""
        return response

    async def aclose(self) -> None:
        """End the pass: cancel a request that is being sent, and release the other responses."""
        running = self._running
        self.abandon()
        if running is not None:
            await asyncio.wait((running,), timeout=_UNWIND_LIMIT)
            self._release()

    def abandon(self) -> None:
        """End the pass without waiting."""
        self.done = True
        if self._running is not None:
            self._running.cancel()
        self._request = self._handler = None
        self._release()

    def _release(self) -> None:
        given, self._given = self._given, []
        for response, exchange in given:
            if exchange is not None:
                exchange.abandon()
            else:
                response.release()

    def _here(self) -> ClientRequest:
        if self._request is None:
            raise RuntimeError("the middleware has returned: its request and handler have ended")
        return self._request

    def _cut_short(self) -> Exception:
        progress = self._progress
        total = progress.timeout.total
        if total and progress.elapsed() >= total:
            return explained(asyncio.TimeoutError(), progress)
        return ClientConnectionError(f"the request was cancelled: {progress}")


def _forget(exchange: Exchange) -> None:
    """Do nothing: no session keeps this exchange."""


async def _apply(changed: Changed, request: ClientRequest) -> None:
    """Put the changes into ``request``."""
    headers = changed.headers.copy()
    host = request.headers.get(hdrs.HOST)
    request.headers.clear()
    request.headers.extend(headers)
    url = changed.url
    if url.raw_user is not None or url.raw_password is not None:
        # As in the URL of a request: for the header only, and not for messages.
        request.headers[hdrs.AUTHORIZATION] = encode_basic_auth(url.user or "", url.password or "")
        url = url.with_user(None)
    if url != request.url:
        if host == headers.get(hdrs.HOST) == request.url.host_port_subcomponent:
            request.headers[hdrs.HOST] = url.host_port_subcomponent or ""
        request.original_url = url
        request.url = url.with_fragment(None)
    method, request.method = request.method, changed.method
    if changed.body is not None:
        (data,) = changed.body
        body: bytes | SourcePayload | None = data
        if data is not None and len(data) > _LARGE:
            body = SourcePayload(BytesSource(data), size=len(data))
        await request.update_body(body)
    elif method != changed.method and not request.body:
        await request.update_body(None)  # whose Content-Length depends on the method
    settle_request(request)
