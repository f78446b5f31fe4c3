"""Receive ahead: put arriving messages into the queue, in turns, up to the high-water mark."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import WebSocketError

from ..._tracebacks import bare
from .frames import FrameReader, Inflater
from .receive_queue import ReceiveQueue
from .settings import SocketSettings

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from .handshake import Deflate

#: About how many frames are read at a time, before the other connections get their turn.
_TURN = 2000


class Receiver:
    """Puts messages into ``queue`` as long as there is room. Event loop only.

    Args:
        handler: the connection's protocol. It pauses while more has arrived than can be read.
        deflate: the agreed compression.
        control: called with the opcode and the payload of each control frame.
        fail: called with the error and the close code if the server breaks the protocol.
        finish: called once the connection is lost and its last bytes have been read.
    """

    def __init__(
        self,
        handler: ResponseHandler,
        queue: ReceiveQueue,
        settings: SocketSettings,
        deflate: Deflate | None,
        *,
        control: Callable[[int, bytes], None],
        fail: Callable[[BaseException, int], None],
        finish: Callable[[], None],
    ) -> None:
        self._handler = handler
        self._queue = queue
        self._fail = fail
        self._finish = finish
        self._loop = asyncio.get_running_loop()
        inflater = None
        if deflate is not None:
            inflater = Inflater(keeps_context=not deflate.server_notakeover)
        self._frames = FrameReader(
            queue.messages,
            queue.sizes,
            control,
            max_msg_size=settings.max_msg_size,
            inflater=inflater,
            decode_text=settings.decode_text,
        )
        #: Continues in the next turn of the loop.
        self._next_turn: asyncio.Handle | None = None
        #: Whether the protocol is paused, so that the network pushes back.
        self._held = False
        #: When the queue was last at the high-water mark.
        self._rested_until = 0.0
        self._lost = False

    def feed(self, data: bytes) -> None:
        """Take bytes that were received."""
        if not self._frames.ended:
            self._frames.feed(data)
            if self._next_turn is None and not self._queue.resting:
                self._read()

    def feed_eof(self) -> None:
        """Note that the connection is lost."""
        self._lost = True
        if self._frames.ended:
            self._finish()
        elif self._next_turn is None and not self._queue.resting:
            self._read()

    def make_room(self) -> None:
        """Receive again: the reader has taken messages down to the low-water mark."""
        if self._queue.resting:
            self._queue.resting = False
            self._rested_until = self._loop.time()
            self._queue.low_water = -1
            self._read()

    def discard(self) -> None:
        """Drop messages from now on, and read for the close frame only."""
        self._frames.discard()
        self._queue.messages.clear()
        self.make_room()

    def end(self) -> None:
        """Read no more frames, and drop bytes that still arrive."""
        self._frames.end()
        if not self._lost:
            self._hold(False)

    def release(self) -> None:
        """Drop the methods of the socket, which are a reference cycle."""
        self._fail = self._finish = _nothing

    def rested_within(self, seconds: float) -> bool:
        """Return whether reading has been stopped at any time within the last ``seconds``."""
        return self._queue.resting or self._loop.time() - self._rested_until < seconds

    def _read(self) -> None:
        """Read the buffered frames, up to the high-water mark, for one turn at most."""
        self._next_turn = None
        queue, frames = self._queue, self._frames
        count, size = queue.room()
        more = False
        if count > 0 and size > 0:
            try:
                more = frames.parse(min(_TURN, count), size, _TURN)
            except WebSocketError as error:
                self._fail(bare(error), error.code)
            queue.bytes += frames.put_out
            frames.put_out = 0
            if queue.messages:
                queue.wake()
        if frames.ended:
            if self._lost:
                self._finish()
            return
        count, size = queue.room()
        if count <= 0 or size <= 0:
            self._rest(len(queue.messages) // 2)
        elif more:
            self._hold(True)
            self._next_turn = self._loop.call_soon(self._read)
        elif self._lost:
            self._finish()
        else:
            self._hold(False)

    def _rest(self, low_water: int) -> None:
        """Stop receiving until only ``low_water`` messages are left."""
        queue = self._queue
        queue.resting = True
        self._hold(True)
        queue.low_water = low_water
        # The reader may have passed the mark before it was set.
        if len(queue.messages) <= low_water:
            self._loop.call_soon(self.make_room)

    def _hold(self, held: bool) -> None:
        """Pause the protocol, so that the network pushes back; or resume it."""
        if held is not self._held:
            self._held = held
            if held:
                self._handler.pause_reading()
            else:
                self._handler.resume_reading()


def _nothing(*_: object) -> None:
    pass
