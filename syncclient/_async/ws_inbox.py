"""Where the messages of a WebSocket wait for their reader, who also sees its state here."""

from __future__ import annotations

from collections import deque

from aiohttp import WSMessage, WSMsgType

#: What a reader gets from a socket that is closed: the same as from aiohttp.
CLOSED_MESSAGE = WSMessage(WSMsgType.CLOSED, None, None)


class Inbox:
    """Messages received ahead. One side fills it, one reader empties it.

    Only the event loop writes: it appends to ``messages``, and sets the other fields.
    The reader takes from the left end, and need not be on the loop: each of these
    steps is atomic by itself. What ends the conversation is appended *before*
    ``ended`` is set, so that a reader who sees the one has the other too.

    There is no copy in between: a message is here from the moment it was received.
    A reader that is interrupted while it waits therefore loses none.
    """

    __slots__ = ("_close_code", "_closed", "_exception", "ended", "messages")

    def __init__(self) -> None:
        self.messages: deque[WSMessage] = deque()
        #: Whether nothing more will be appended.
        self.ended: bool = False
        self._closed = False
        self._close_code: int | None = None
        self._exception: BaseException | None = None

    @property
    def at_end(self) -> bool:
        """Whether the reader has had all there will ever be."""
        return self.ended and not self.messages

    @property
    def over(self) -> bool:
        """Whether the socket is closed, however far the reader has got: no more can be sent."""
        return self._closed

    @property
    def closed(self) -> bool:
        """Whether the socket is closed, as far as the reader has got.

        The pump answers the peer's close frame as soon as it arrives. For the reader
        the socket stays open until it has received what came before that frame: a loop
        of ``while not ws.closed: ws.receive()`` would lose messages otherwise.
        """
        return self._closed and self.at_end

    @property
    def close_code(self) -> int | None:
        """The close code, once the reader has got to the end; None before."""
        return self._close_code if self.at_end else None

    @property
    def exception(self) -> BaseException | None:
        """What broke the connection, once the reader has got to the end; None otherwise."""
        return self._exception if self.at_end else None

    def end(self, *, closed: bool, close_code: int | None, exception: BaseException | None) -> None:
        """Nothing more will come. ``closed`` is False while our half is still open. Loop only."""
        self._close_code = close_code
        self._exception = exception
        self._closed = closed
        self.ended = True
