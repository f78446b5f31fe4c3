"""A request's visit to a middleware that runs elsewhere: what stays on the event loop of it.

aiohttp's middlewares are coroutines, and run where its request and response live. One that
blocks is called in another thread, and gets values only. Its visit keeps the
engine's objects meanwhile: it puts the changes into the request, sends it on, holds the
responses that came back, and knows which of them goes up the chain.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from aiohttp import ClientConnectionError, ClientHandlerType, ClientRequest, ClientResponse, hdrs
from aiohttp.payload import BytesPayload
from multidict import CIMultiDict
from yarl import URL

from .._models import Reply
from . import phase
from .body import Body, SourcePayload
from .carried import CarriedError
from .errors import cause, explained
from .exchange import Exchange
from .head import hop_of
from .phase import Phase, Progress
from .retry import can_be_sent_again
from .source import BytesSource
from .tcp import unix_socket
from .tracing import fault_in

#: Bytes that are sent in one piece; more, and the loop gets its turn in between.
_LARGE = 2**16

#: Seconds that what is left of a visit has to unwind.
_UNWIND_LIMIT = 2.0


class Asked(NamedTuple):
    """A request as its middleware gets to see it."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    #: The body; None where it is not at hand, or is no bytes at all.
    body: bytes | None


class Changed(NamedTuple):
    """A request as its middleware sends it on."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    #: The new body, in a tuple so that None can be one; None leaves it alone.
    body: tuple[bytes | None] | None


class Visit:
    """One request at one middleware, from its coming to its going. Event loop only.

    Args:
        request: the engine's; it is changed.
        handler: sends it on.
    """

    def __init__(self, request: ClientRequest, handler: ClientHandlerType) -> None:
        self._request: ClientRequest | None = request
        self._handler: ClientHandlerType | None = handler
        self._progress = phase.progress.get() or Progress(request.method, request.url)
        # The handler runs in a task of the middleware's caller, whose context knows neither.
        self._unix_socket = unix_socket.get()
        self._given: list[tuple[ClientResponse, Exchange | None]] = []
        self._running: asyncio.Task[object] | None = None
        #: Whether the request has gone on, or been given up.
        self.done = False

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
        """Return the body of the request; it can be sent nevertheless.

        Raises:
            TypeError: it can be read only once, and the server is to have it.
        """
        payload = self._here().body
        if not payload:
            return b""
        if not can_be_sent_again(payload):
            raise TypeError("this body can be read only once, and then it could not be sent")
        return await payload.as_bytes()

    async def proceed(self, changed: Changed) -> tuple[tuple[int, Reply], Exchange | None]:
        """Send the request on, and return the number and the head of the response.

        The body comes along if it is here, as it does with ``AsyncSession.request``.

        Raises:
            ClientError: as ``AsyncSession.request``.
            RuntimeError: the visit is over, or the request is on its way already.
        """
        request, handler = self._here(), self._handler
        assert handler is not None
        if self._running is not None:
            raise RuntimeError("the handler is at work already: call it once it has returned")
        self._running = asyncio.current_task()
        progress = self._progress
        progress.phase, progress.detail = Phase.HEAD, ""
        unix_socket.set(self._unix_socket)
        phase.begin(progress)
        fault: Exception | None = None
        body: object = None
        late = False  # then the request is over, and its own error is to tell the same
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
        # What the user's code raised goes to the middleware as it was.
        raise fault

    async def _respond(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        response = await handler(request)
        # As with any request: who may be needed to read the body waits until it is sent.
        if isinstance(request.body, Body):
            try:
                await request.body.settle(response, self._progress)
            except BaseException:
                response.close()
                raise
        return response

    async def _keep(self, response: ClientResponse) -> tuple[tuple[int, Reply], Exchange | None]:
        content, limit = response.content, self._progress.max_body
        here = content.is_eof() and content.exception() is None
        exchange: Exchange | None = None
        if here and (limit is None or content.total_bytes <= limit):
            # aiohttp keeps it, so that whoever the response goes to can read it once more.
            reply = Reply(hop_of(response), await response.read())
        else:
            exchange = Exchange(response, self._progress, _nobody, max_body=limit)
            reply = Reply(hop_of(response), None)
        self._given.append((response, exchange))
        return (len(self._given) - 1, reply), exchange

    def pause(self, name: str = "") -> None:
        """Note that the middleware, of this ``name``, is at work, for the errors of timeouts."""
        self._progress.phase = Phase.MIDDLEWARE
        if name:
            self._name = name
        self._progress.detail = self._name

    _name = ""

    def choose(self, number: int, body: bytes | None) -> ClientResponse:
        """Return the response of that number, which goes up the chain.

        Args:
            number: as ``proceed`` gave it.
            body: what the middleware has read of its exchange, all of it; None if nothing.
        """
        response, exchange = self._given[number]
        # Private, but where aiohttp itself keeps a body for the next read().
        if body is not None and not hasattr(response, "_body"):
            raise RuntimeError("this aiohttp does not let a middleware read what it returns")
        del self._given[number]
        if exchange is not None:
            exchange.detach()
        if body is not None:
            response._body = body
        self._progress.phase, self._progress.detail = Phase.HEAD, ""
        return response

    async def aclose(self) -> None:
        """End the visit: what is on its way is cancelled, and what is left is released."""
        running = self._running
        self.abandon()
        if running is not None:
            await asyncio.wait((running,), timeout=_UNWIND_LIMIT)
            self._release()

    def abandon(self) -> None:
        """End the visit without waiting."""
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
            raise RuntimeError("the middleware has returned, and what it was given ends with it")
        return self._request

    def _cut_short(self) -> Exception:
        progress = self._progress
        total = progress.timeout.total
        if total and progress.elapsed() >= total:
            return explained(asyncio.TimeoutError(), progress)
        return ClientConnectionError(f"the request was given up: {progress}")


def _nobody(exchange: Exchange) -> None:
    """Forget an exchange that nobody else knows of."""


async def _apply(changed: Changed, request: ClientRequest) -> None:
    """Put the changes into ``request``."""
    headers = changed.headers.copy()
    host = request.headers.get(hdrs.HOST)
    request.headers.clear()
    request.headers.extend(headers)
    if changed.url != request.url:
        if host == headers.get(hdrs.HOST) == request.url.host_port_subcomponent:
            request.headers[hdrs.HOST] = changed.url.host_port_subcomponent or ""
        request.original_url = changed.url
        request.url = changed.url.with_fragment(None)
    method, request.method = request.method, changed.method
    if changed.body is not None:
        (data,) = changed.body
        body: bytes | SourcePayload | None = data
        if data is not None and len(data) > _LARGE:
            body = SourcePayload(BytesSource(data), size=len(data))
        await request.update_body(body)
    elif method != changed.method and not request.body:
        await request.update_body(None)  # whose Content-Length depends on the method
