"""A connection within the process: two transports of one event loop, without a socket.

Flow control is real: a writer that is faster than the other side's reader has to pause, so the
memory of a connection is bounded. Bytes arrive in a later turn of the loop, as from a socket,
and never inside ``write``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

#: Bytes delivered at once, as much as asyncio reads from a socket.
_BLOCK = 2**18
#: Numbers of undelivered bytes at which a writer has to pause, and at which it may continue.
_HIGH, _LOW = 2**16, 2**14


def join(
    client: asyncio.Protocol,
    server: asyncio.Protocol,
    *,
    client_info: dict[str, Any] | None = None,
    server_info: dict[str, Any] | None = None,
) -> tuple[MemoryTransport, MemoryTransport]:
    """Connect two protocols; return the client's transport and the server's. On the event loop."""
    loop = asyncio.get_running_loop()
    ours, theirs = (
        MemoryTransport(loop, client, client_info),
        MemoryTransport(loop, server, server_info),
    )
    ours.peer, theirs.peer = theirs, ours
    server.connection_made(theirs)
    client.connection_made(ours)
    return ours, theirs


class MemoryTransport(asyncio.Transport):
    """One end of a connection within the process. Event loop only; never blocks.

    ``connection_lost`` is called exactly once for every end: after ``close`` or ``abort`` of
    either side, or ``fail``.
    """

    #: The other end. Set by ``join``.
    peer: MemoryTransport

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.Protocol,
        info: dict[str, Any] | None,
    ) -> None:
        super().__init__(info)
        self._loop = loop
        self._protocol: asyncio.BaseProtocol = protocol
        #: Written and not yet delivered.
        self._outgoing: deque[bytes] = deque()
        self._size = 0
        self._high, self._low = _HIGH, _LOW
        self._writer_paused = False
        self._reading = True
        self._scheduled = False
        self._eof = False
        self._closing = False
        self._lost = False
        #: The reason that the other side gets once everything has been delivered.
        self._reason: BaseException | None = None

    # -- asyncio.Transport -----------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send ``data``, unless the connection is closing."""
        if self._closing or self._eof or not data:
            return
        self._outgoing.append(bytes(data))
        self._size += len(data)
        if self._size > self._high and not self._writer_paused:
            self._writer_paused = True
            self._protocol.pause_writing()
        self._schedule()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send each of ``list_of_data``."""
        for data in list_of_data:
            self.write(data)

    def can_write_eof(self) -> bool:
        """Return True: one direction may be closed before the other."""
        return True

    def write_eof(self) -> None:
        """Close this direction once everything has been delivered."""
        self._eof = True
        self._schedule()

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that are written but not yet delivered."""
        return self._size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low-water mark, at which a writer may continue, and the high-water mark."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks; the defaults are those of asyncio."""
        self._high = (_HIGH if low is None else 4 * low) if high is None else high
        self._low = self._high // 4 if low is None else low

    def pause_reading(self) -> None:
        """Stop delivering to this end's protocol."""
        self._reading = False

    def resume_reading(self) -> None:
        """Go on."""
        self._reading = True
        self.peer._schedule()

    def is_reading(self) -> bool:
        """Return whether data is delivered to this end's protocol."""
        return self._reading and not self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Deliver to ``protocol`` from now on."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol that data is delivered to."""
        return self._protocol

    def is_closing(self) -> bool:
        """Return whether this end is closing or closed."""
        return self._closing

    def close(self) -> None:
        """Deliver all written data, then end the connection."""
        self._closing = True
        self._schedule()

    def abort(self) -> None:
        """End the connection immediately."""
        self._closing = True
        self._discard()
        self._schedule()

    def fail(self, reason: BaseException | None) -> None:
        """Deliver all written data, then break the connection.

        The other side's protocol gets ``reason``, as if the system had reported it; None means a
        connection that ends without an error.
        """
        self._reason = reason
        self.close()

    # -- delivery --------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._scheduled and not self._lost:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        peer = self.peer
        if peer._lost or peer._closing:
            self._discard()
        elif self._outgoing:
            if not peer._reading:
                return  # its resume_reading() continues here
            self._hand_over(peer)
        if self._outgoing:
            self._schedule()
        elif self._closing:
            self._end(None)
            peer._end(self._reason)
        elif self._eof:
            self._say_eof(peer)

    def _hand_over(self, peer: MemoryTransport) -> None:
        block = [self._outgoing.popleft()]
        size = len(block[0])
        while self._outgoing and size + len(self._outgoing[0]) <= _BLOCK:
            block.append(self._outgoing.popleft())
            size += len(block[-1])
        self._size -= size
        assert isinstance(peer._protocol, asyncio.Protocol)
        try:
            peer._protocol.data_received(b"".join(block))
        except Exception as exc:
            # As for asyncio's sockets: the connection does not survive this.
            context = {"message": "data_received() failed", "exception": exc, "transport": peer}
            self._loop.call_exception_handler(context)
            peer.fail(exc)
        if self._writer_paused and self._size <= self._low:
            self._writer_paused = False
            self._protocol.resume_writing()

    def _say_eof(self, peer: MemoryTransport) -> None:
        if isinstance(peer._protocol, asyncio.Protocol) and not peer._protocol.eof_received():
            peer.close()

    def _discard(self) -> None:
        self._outgoing.clear()
        self._size = 0

    def _end(self, reason: BaseException | None) -> None:
        if self._lost:
            return
        self._lost = self._closing = True
        self._discard()
        # In a separate turn, because the code that closed is still running on this stack.
        self._loop.call_soon(self._lose, reason)

    def _lose(self, reason: BaseException | None) -> None:
        # Declared for an Exception; the engine's protocols pass on any value.
        self._protocol.connection_lost(reason)  # type: ignore[arg-type]
