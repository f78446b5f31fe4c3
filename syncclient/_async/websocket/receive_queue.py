"""ReceiveQueue: the messages of a WebSocket that wait for their reader, and its state."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Protocol

from aiohttp import WSMessage, WSMsgType

#: The message for readers of a closed socket, as in aiohttp.
CLOSED_MESSAGE = WSMessage(WSMsgType.CLOSED, None, None)

#: What a waiting reader is doing, for the error of a deadline.
WAITING = "waiting for a WebSocket message"


if sys.version_info >= (3, 11):
    NoMessageError = TimeoutError
else:

    class NoMessageError(asyncio.TimeoutError, TimeoutError):
        """The two TimeoutErrors of 3.10: users of aiohttp expect the first, others the second."""


def no_message() -> NoMessageError:
    """Return the error for a reader whose timeout is over."""
    return NoMessageError("no message came within the timeout")


class WaitingReader(Protocol):
    """A reader that waits."""

    #: Whether it waits no more.
    over: bool

    def wake(self) -> None:
        """Wake it, to look again. Loop only; never blocks."""


class ReceiveQueue:
    """Messages received ahead. The loop fills it, one reader empties it.

    Only the event loop writes: it appends to ``messages``, and sets the other fields. The reader
    takes messages from the left end, on any thread; each of these steps is atomic. The last
    message is appended *before* ``ended`` is set, so a reader that sees ``ended`` has it too.

    Messages are here from the moment they were received, without a copy in between. So a reader
    that is interrupted while it waits loses none.

    A reader that finds no message first enters ``waiters``, and then looks again. The loop first
    appends, and then looks for waiters. So one of the two sees the other.

    At the high-water mark, of messages or of bytes, the loop stops receiving. It sets
    ``low_water`` to half of the messages that are here. The reader that takes the queue down to
    that number tells the loop, once, to continue.

    Args:
        max_messages, max_bytes: the high-water mark. The message that reaches it still enters.
    """

    __slots__ = (
        "_close_code",
        "_closed",
        "_exception",
        "_max_bytes",
        "_max_messages",
        "bytes",
        "ended",
        "low_water",
        "messages",
        "resting",
        "sizes",
        "waiters",
    )

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self.messages: deque[WSMessage] = deque()
        #: The sizes of the messages, including those taken since the last call of ``room``, and
        #: their sum. Loop only.
        self.sizes: deque[int] = deque()
        self.bytes: int = 0
        #: The number of messages left at which the reader tells the loop; -1 while it receives.
        self.low_water: int = -1
        #: Whether the loop has stopped receiving until there is room.
        self.resting: bool = False
        #: Whether no more messages will be appended.
        self.ended: bool = False
        #: References, perhaps weak ones, to the waiting readers; all but the first are about to be
        #: refused, or to leave. Readers enter on any thread, before they look whether they have to
        #: wait.
        self.waiters: list[Callable[[], WaitingReader | None]] = []
        self._closed = False
        self._close_code: int | None = None
        self._exception: BaseException | None = None

    def put(self, message: WSMessage, size: int = 0) -> None:
        """Append a message. Loop only."""
        self.messages.append(message)
        self.sizes.append(size)
        self.bytes += size

    def room(self) -> tuple[int, int]:
        """Return how many messages, and how many bytes, there is room for. Loop only."""
        left, sizes = len(self.messages), self.sizes
        while len(sizes) > left:
            self.bytes -= sizes.popleft()
        return self._max_messages - left, self._max_bytes - self.bytes

    def wake(self) -> None:
        """Wake the waiting reader, if there is one. Loop only, after a change."""
        if self.waiters:
            for entry in tuple(self.waiters):  # a copy: readers come and go
                if (waiter := entry()) is not None:
                    waiter.wake()

    async def wait(self, timeout: float | None) -> None:
        """Wait until this is ready, for ``timeout`` seconds. Loop only.

        Raises TimeoutError, or RuntimeError for a second reader.
        """
        waiter = _WaitingTask()
        entry = waiter.itself
        self.waiters.append(entry)
        try:
            if self.first_waiter() is not waiter:
                self.refuse_second()
            if not self.ready:
                await waiter.wait(timeout)
        finally:
            self.waiters.remove(entry)

    @property
    def ready(self) -> bool:
        """Whether a reader need not wait: there is a message, or the queue has ended."""
        return bool(self.messages) or self.ended

    def first_waiter(self) -> WaitingReader | None:
        """Return the waiting reader."""
        for entry in tuple(self.waiters):
            waiter = entry()
            if waiter is not None and not waiter.over:
                return waiter
        return None

    def refuse_second(self) -> None:
        """Raise RuntimeError: another reader is already waiting."""
        raise RuntimeError("Concurrent call to receive() is not allowed")

    @property
    def at_end(self) -> bool:
        """Whether the reader has taken the last message."""
        return self.ended and not self.messages

    @property
    def over(self) -> bool:
        """Whether the socket is closed, read to the end or not: nothing more can be sent."""
        return self._closed

    @property
    def closed(self) -> bool:
        """Whether the socket is closed, and the reader has taken the last message.

        The loop answers the peer's close frame as soon as it arrives. For the reader the socket
        stays open until it has received the messages before that frame; otherwise a loop like
        ``while not ws.closed: ws.receive()`` would lose messages.
        """
        return self._closed and self.at_end

    @property
    def close_code(self) -> int | None:
        """The close code, once the reader has taken the last message; None before."""
        return self._close_code if self.at_end else None

    @property
    def exception(self) -> BaseException | None:
        """What broke the connection, once the reader has taken the last message; otherwise None."""
        return self._exception if self.at_end else None

    def end(self, *, closed: bool, close_code: int | None, exception: BaseException | None) -> None:
        """End the queue. ``closed`` is False while our close frame is still due. Loop only."""
        self._close_code = close_code
        self._exception = exception
        self._closed = closed
        self.ended = True
        self.wake()


class _WaitingTask:
    """A task of this loop that waits for a message."""

    over = False

    def __init__(self) -> None:
        self._future = asyncio.get_running_loop().create_future()

    def itself(self) -> _WaitingTask:
        return self

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout: float | None) -> None:
        # A bare timer: a cancel scope for every message would cost more than the message.
        timer = None
        if timeout is not None:
            timer = asyncio.get_running_loop().call_later(timeout, self._time_out)
        try:
            await self._future
        finally:
            if timer is not None:
                timer.cancel()

    def _time_out(self) -> None:
        if not self._future.done():
            self._future.set_exception(no_message())
