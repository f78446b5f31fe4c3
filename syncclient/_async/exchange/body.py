"""The body of a request, pulled from its sources while it is sent, and how that ended.

aiohttp's own payloads read files in an executor, close them, take an exception of the
user's generator for a fault of the connection, and put a write error before a reply that
is already here. ``SourcePayload`` sends what any source yields; ``Body`` stands for the
whole body of one request, however many sources it has, and tells how it went. All but
their constructors belongs to the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from aiohttp import ClientConnectionError, ClientPayloadError
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_writer import StreamWriter
from aiohttp.payload import Payload
from multidict import CIMultiDict

from ..._timeout import write_limit
from ..engine.early_reply import EarlyReply, ReadBeforeWrite
from . import progress as phase
from .errors import write_timeout
from .lean_response import AnyResponse
from .progress import Phase, Progress
from .source import Chunk, Source, StoppedError
from .stall import Stall
from .upload_meter import Meter

#: Bytes handed to the transport at once: smaller chunks are joined, larger ones cut.
_LEAST, _MOST = 2**16, 2**18
#: Bytes handed to the transport after which we wait until it has got rid of most.
_BATCH = 2**21


class BodyFaultError(Exception):
    """Carries what a source raised past aiohttp, which would take it for its own."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        super().__init__(f"the body raised {error!r}")


class SourcePayload(Payload):
    """An aiohttp payload, whole body or part of a multipart one, that sends a source.

    Args:
        source: what to send.
        size: how many bytes that is, where it is known.
        meter: is told of the bytes sent.
        options: ``headers``, ``content_type``, ``filename``, as for any Payload.
    """

    autoclose = True  # there is nothing to close here

    def __init__(
        self,
        source: Source,
        *,
        size: int | None = None,
        meter: Meter | None = None,
        **options: Any,
    ) -> None:
        super().__init__(source, **options)
        self._source = source
        self._known_size = size
        self._meter = meter
        self._begun = False

    @property
    def size(self) -> int | None:
        """How many bytes it has, or None."""
        return self._known_size

    @property
    def consumed(self) -> bool:
        """Whether it cannot be sent (again)."""
        return self._begun and not self._source.replayable

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it all."""
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Send it all, which must be ``content_length`` bytes; a known surplus is left out."""
        source = self._source
        await self._begin()
        limit = self._known_size if content_length is None else content_length
        read_before = ReadBeforeWrite(writer)
        write: Callable[[Chunk], Awaitable[None]] = writer.write
        drain: Callable[[], Awaitable[None]] | None = None
        if isinstance(writer, StreamWriter):  # and not that of an encoded part
            # One wait for all chunks that were taken at once, not one for each.
            write, drain = partial(writer.write, LIMIT=_BATCH), writer.drain
        while chunks := await self._take():
            before = source.sent
            for piece in pieces(chunks):
                if limit is not None and len(piece) > limit - source.sent:
                    if self._known_size is None:
                        raise BodyFaultError(
                            ClientPayloadError(
                                f"the body is longer than its Content-Length of {limit} bytes"
                            )
                        )
                    piece = piece[: limit - source.sent]
                await read_before.wait()
                await write(piece)
                source.sent += len(piece)
            if drain is not None:
                await drain()
            if self._meter is not None:
                await self._meter.add(source.sent - before)
            if limit is not None and self._known_size is not None and source.sent >= limit:
                return
        if limit is not None and source.sent < limit:
            raise BodyFaultError(
                ClientPayloadError(f"the body ended after {source.sent} of {limit} bytes")
            )

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Return all of it; digest authentication with ``auth-int`` wants it beforehand."""
        await self._begin()
        parts: list[Chunk] = []
        while chunks := await self._take():
            parts += chunks
        return b"".join(parts)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Not possible without waiting."""
        raise TypeError("this body can be read by as_bytes() only")

    async def _begin(self) -> None:
        if self._begun:
            if not self._source.replayable:
                raise BodyFaultError(
                    ClientPayloadError(
                        "the body is used up, and a redirect, a retry or an authentication wants "
                        "it a second time: use bytes or a seekable file, or set "
                        "allow_redirects=False"
                    )
                )
            try:
                await self._source.restart()
            except Exception as exc:
                raise BodyFaultError(exc) from exc
        self._begun = True
        self._source.sent = 0

    async def _take(self) -> Sequence[Chunk]:
        try:
            return await self._source.take()
        except StoppedError:
            raise
        except Exception as exc:
            raise BodyFaultError(exc) from exc


def pieces(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Join small chunks and cut large ones: each piece costs a system call, or a copy."""
    small: list[Chunk] = []
    held = 0
    for chunk in chunks:
        size = len(chunk)
        if held + size < _LEAST:
            small.append(chunk)
            held += size
            continue
        if held:
            yield b"".join(small)
        small, held = [], 0
        if size < _LEAST:
            small, held = [chunk], size
        elif size <= _MOST:
            yield chunk
        else:
            view = memoryview(chunk)
            for start in range(0, size, _MOST):
                yield view[start : start + _MOST]
    if held:
        yield b"".join(small)


class _Attempt:
    """One sending of a body: a redirect or a retry makes another."""

    def __init__(self) -> None:
        self.task = asyncio.current_task()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


class Body(Payload):
    """The whole body of one request, and how the sending of it went.

    Args:
        inner: what to send: a SourcePayload, or a multipart writer with some as its parts.
        sources: all the sources in it.
        meter: is told of the bytes sent; the call then lasts until they all are.
    """

    autoclose = True

    def __init__(
        self, inner: Payload, sources: Sequence[Source], meter: Meter | None = None
    ) -> None:
        super().__init__(inner)
        self._inner = inner
        self._sources = sources
        self._meter = meter
        self._telling: asyncio.Future[None] | None = None
        # A body that can be read twice is at hand, and is sent together with the head: otherwise a
        # server that answers without reading the body could answer before it is sent.
        self._is_slow = not all(source.replayable for source in sources)
        self._attempt: _Attempt | None = None
        self._response: AnyResponse | None = None
        self._answered = False
        self._early_reply: EarlyReply | None = None
        #: What the user's code raised while the body was sent.
        self.fault: Exception | None = None

    @property
    def headers(self) -> CIMultiDict[str]:
        """The headers of the body that is sent."""
        return self._inner.headers

    @property
    def content_type(self) -> str:
        """The content type of the body that is sent."""
        return self._inner.content_type

    @property
    def size(self) -> int | None:
        """How many bytes it has, or None."""
        return self._inner.size

    @property
    def consumed(self) -> bool:
        """Whether it cannot be sent (again)."""
        return self.fault is not None or self._inner.consumed

    @property
    def replayable(self) -> bool:
        """Whether ``restart`` can go back to the first byte."""
        return self.fault is None and all(source.replayable for source in self._sources)

    async def restart(self) -> None:
        """Go back to the first byte, for another request with this body."""
        self._response = None
        before = self._attempt
        if before is not None and before.task is not None:
            before.task.cancel()
            await asyncio.wait((before.task,))
        self._answered = False
        for source in self._sources:
            await source.restart()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Not possible without waiting."""
        return self._inner.decode(encoding, errors)

    async def as_bytes(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Return all of it, kept in memory."""
        try:
            return await self._inner.as_bytes(encoding, errors)
        except BodyFaultError as exc:
            self.fault = exc.error
            raise

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it all."""
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Send it all. Runs in the task that aiohttp writes the request in."""
        before = self._attempt
        if before is not None:
            # A redirect that came early: aiohttp has told the first attempt to stop, and
            # does not wait until it has.
            if before.task is not None:
                before.task.cancel()
            await before.over
        attempt = self._attempt = _Attempt()
        progress = phase.progress.get() or Progress()
        progress.phase = Phase.SEND
        self._listen(writer)
        transport = writer.transport if isinstance(writer, StreamWriter) else None
        if isinstance(writer, StreamWriter) and self._is_slow:
            writer.send_headers()  # aiohttp keeps them for the first bytes of the body
        whole = False
        stalled: Stall | None = None
        if isinstance(writer, StreamWriter) and (limit := write_limit(progress.timeout)):
            stalled = Stall(writer, limit, partial(self._stalled, writer, progress))
        meter, self._telling = self._meter, None
        if meter is not None:
            meter.begin(self.size if content_length is None else content_length)
        try:
            await self._inner.write_with_length(writer, content_length)
            whole = True
        except Exception as exc:
            gone = isinstance(exc, ConnectionError) and (
                transport is None or transport.is_closing()
            )
            if not gone and not isinstance(exc, StoppedError):
                self.fault = exc.error if isinstance(exc, BodyFaultError) else exc
                raise
            # The connection is gone, or we were told to stop. The side that reads has the
            # last word: it may hold a reply that explains it (413, 401). Returning would
            # have aiohttp mark the end of the body; raising would go before that reply.
            attempt.end()
            await asyncio.get_running_loop().create_future()
        finally:
            if stalled is not None:
                stalled.end()
            if not whole and transport is not None:
                transport.abort()  # closing would first wait until all data is written
            if progress.phase is Phase.SEND:
                progress.phase = Phase.HEAD
            if meter is not None and self.fault is None and (whole or meter.full):
                # Not awaited here: the server may answer by now, and aiohttp then ends this task.
                self._telling = asyncio.ensure_future(self._tell_end(meter, transport))
            attempt.end()
            if self._attempt is attempt:
                self._attempt = None
            if self._answered:
                self._listen(None)
            self._after_return()

    async def sent(self, request: Awaitable[AnyResponse], progress: Progress) -> AnyResponse:
        """Await the head of the response, and the end of the upload where that needs the caller.

        An early refusal ends the upload; so does the end of an early reply, whatever its
        status. What the user's code raised is in ``fault`` afterwards.

        Raises:
            asyncio.TimeoutError: the total timeout ran out after the head was here.
        """
        response: AnyResponse | None = None
        try:
            response = await request
            await self.settle(response, progress)
        except BaseException as exc:
            if response is not None:
                response.close()
            self._stop(exc if isinstance(exc, Exception) else None)
            if self._telling is not None:
                self._telling.cancel()
            raise
        finally:
            self._answered = True
            if self._attempt is None:
                self._listen(None)
        self._response = response
        return response

    async def settle(self, response: AnyResponse, progress: Progress) -> None:
        """Await the end of the upload that ``response``, whose head is here, is the answer to.

        Raises:
            BodyFaultError: the user's code raised something while the body was sent.
            asyncio.TimeoutError: the total timeout ran out.
        """
        attempt = self._attempt
        if response.status >= 400 or attempt is None:
            self._stop(
                ClientConnectionError(
                    f"the server answered {response.status} before it had the whole body"
                )
            )
        elif self._meter is not None or not all(each.detached for each in self._sources):
            await _within(attempt.over, progress)
        if self._telling is not None:
            await self._telling
        if self.fault is not None:
            raise BodyFaultError(self.fault)

    def _stalled(self, writer: StreamWriter, progress: Progress) -> None:
        self.fault = write_timeout(progress)
        if self._response is not None:  # an early one, that is being read
            self._response.content.set_exception(self.fault)
        if writer.transport is not None:
            writer.transport.abort()

    async def _tell_end(self, meter: Meter, transport: asyncio.Transport | None) -> None:
        try:
            await meter.end()
        except Exception as exc:
            self.fault = exc
            if transport is not None:
                transport.abort()

    def _listen(self, writer: AbstractStreamWriter | None) -> None:
        """Listen for last words while the body is sent, until the response is here."""
        before, self._early_reply = self._early_reply, None
        if before is not None:
            before.close()
        if isinstance(writer, StreamWriter):
            self._early_reply = EarlyReply(writer.protocol)

    def _stop(self, reason: Exception | None) -> None:
        if self._attempt is not None:
            self._attempt.end()
        if self._meter is not None:
            self._meter.stop()
        for source in self._sources:
            source.drop(reason)

    def _after_return(self) -> None:
        """Handle the end of an upload that outlived its call: only the reader needs the outcome."""
        response, self._response = self._response, None
        if response is None:
            return
        self._stop(ClientConnectionError("the request ended before it had the whole body"))
        if self.fault is not None:
            response.content.set_exception(self.fault)
            response.close()


async def _within(over: asyncio.Future[None], progress: Progress) -> None:
    total = progress.timeout.total
    left = None if not total else max(0.0, total - progress.elapsed())
    done, _ = await asyncio.wait((over,), timeout=left)
    if not done:
        raise asyncio.TimeoutError
