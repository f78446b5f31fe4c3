"""The reader of a body with content codings: it undoes them as it is read.

The engine would undo one coding as the bytes come in. This one stands before the engine's
reader, which then has the bytes as they were sent, with its limits and its backpressure. It
inflates a bounded piece for each read, so a bomb waits on the wire.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn, cast

from aiohttp import ClientPayloadError, StreamReader
from aiohttp.helpers import BaseTimerContext, TimerNoop

from ..decoding.codings import CodingError, Undoing
from .missing import warn_without

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aiohttp.base_protocol import BaseProtocol

#: Bytes that one step may give, where the engine's reader is to hold less.
_LEAST = 2**12

#: How many pieces of one HTTP chunk are decoded at once.
_STEPS = 16

#: Whether the engine's reader still waits where this one overrides it. If not, the engine
#: undoes the codings it knows.
POSSIBLE = callable(getattr(StreamReader, "_wait", None))


class _Unpaused:
    """In place of a protocol, for a reader that asks for its bytes: nothing is to be paused."""

    connected = True

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Do nothing."""


#: For a reader that nothing has to be paused for.
UNPAUSED = cast("BaseProtocol", _Unpaused())


class DecodedReader(StreamReader):
    """aiohttp's StreamReader over the decoded bytes of another.

    Args:
        source: the reader of the bytes as they were sent.
        codings: the codings applied to them, in that order.
        chunked: whether ``source`` knows HTTP chunks.
    """

    __slots__ = (
        "_at_chunk_end",
        "_clock",
        "_fault",
        "_piece_limit",
        "_pulling",
        "_taken",
        "_undoing",
        "source",
    )

    def __init__(
        self,
        source: StreamReader,
        codings: list[str],
        *,
        chunked: bool,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        limit = source.get_read_buffer_limits()[0]
        super().__init__(UNPAUSED, limit, loop=loop)
        self.source = source
        #: How many bytes were taken from the source.
        self._taken = self.total_compressed_bytes = 0
        self._piece_limit = max(limit, _LEAST)
        self._undoing = Undoing(codings)
        if not hasattr(source, "_timer"):
            warn_without(
                "StreamReader._timer", "the total timeout does not end the decoding of a body"
            )
        self._clock: BaseTimerContext = getattr(source, "_timer", None) or TimerNoop()
        #: Whether an HTTP chunk ends after the data taken.
        self._at_chunk_end = False
        #: The error that broke the source off, after the data taken.
        self._fault: Exception | None = None
        self._pulling = False
        if chunked:
            self.begin_http_chunk_receiving()

    def on_eof(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once all of the body is here, though perhaps not decoded.

        The engine gives the connection back then.
        """
        self.source.on_eof(callback)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Break the body off, and wake its waiting reader."""
        super().set_exception(exc, *cause)
        if not self.source.is_eof() and self.source.exception() is None:
            self.source.set_exception(exc, *cause)

    def advance(self) -> None:
        """Decode the bytes here, up to the limit. Does not wait; a fault is kept for the reader."""
        if self._pulling or self.is_eof() or self.exception() is not None:
            return
        goal = self.total_bytes + self._piece_limit
        try:
            while self.total_bytes < goal and not self.is_eof():
                if self._undoing.hungry:
                    if not self._can_pull():
                        return
                    _at_once(self._pull())
                self._step()
        except Exception as exc:
            if exc is not self.exception():
                raise

    def _can_pull(self) -> bool:
        """Return whether the source has something now, if only its end."""
        source = self.source
        over = source.is_eof() or source.exception() is not None
        return over or source.total_bytes > self._taken

    async def _wait(self, func_name: str) -> None:
        # The engine's readers call this once all decoded data has been taken.
        if self._pulling:
            raise RuntimeError(f"{func_name}() called while another coroutine is reading")
        self._pulling = True
        before = self.total_bytes
        try:
            while self.total_bytes == before and not self.is_eof():
                if self._undoing.hungry:
                    await self._pull()
                else:
                    self._clock.assert_timeout()
                    await asyncio.sleep(0)  # there may be much to decode: others have their turn
                if (fault := self.exception()) is not None:
                    raise fault
                self._step()
        finally:
            self._pulling = False

    async def _pull(self) -> None:
        """Take what the source has; wait only where it has nothing, and is not over."""
        if self._fault is not None:
            self._break(self._fault)
        source = self.source
        try:
            data, at_chunk_end = await source.readchunk()
        except Exception as exc:
            if source.exception() is None:
                raise  # the time is over
            data, at_chunk_end, self._fault = left_in(source), False, exc
        if data:
            self._taken += len(data)
            self.total_compressed_bytes = self._taken
            try:
                self._undoing.feed(data)
            except CodingError as exc:
                self._break(ClientPayloadError(str(exc)))
        elif not at_chunk_end and self._fault is None:
            if coding := self._undoing.cut_off():
                self._break(ClientPayloadError(f"the body ends before its {coding} stream does"))
            self.feed_eof()
        self._at_chunk_end = at_chunk_end

    def _step(self) -> None:
        # Where a chunk ends, its reader should know: so all of it, if that is little.
        for _ in range(_STEPS if self._at_chunk_end else 1):
            try:
                data = self._undoing.take(self._piece_limit)
            except CodingError as exc:
                self._break(ClientPayloadError(str(exc)))
            if data:
                self.feed_data(data)
            if len(data) >= self._piece_limit:
                break
            if self._undoing.hungry:
                if self._at_chunk_end:
                    self._at_chunk_end = False
                    self.end_http_chunk_receiving()
                break

    def _break(self, fault: Exception) -> NoReturn:
        self.set_exception(fault)
        raise fault


def left_in(reader: StreamReader) -> bytes:
    """Return what ``reader`` holds. Nothing where this aiohttp keeps it elsewhere."""
    for name in ("_buffer", "_buffer_offset"):
        if not hasattr(reader, name):
            warn_without(f"StreamReader.{name}", "what came before a body broke off is lost")
            return b""
    return b"".join(reader._buffer)[reader._buffer_offset :]


def _at_once(coroutine: Coroutine[object, None, None]) -> None:
    """Run ``coroutine``, which does not wait."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
