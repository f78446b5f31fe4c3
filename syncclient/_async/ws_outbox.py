"""What is on its way into a WebSocket, from senders who do not wait for it."""

from __future__ import annotations

from collections import deque

#: Bytes of the longest message that nobody waits for.
SMALL = 2**14
#: How many of them may be under way, give or take one for each thread that sends.
_UNDER_WAY = 64


class Outbox:
    """Counts what was entrusted to the event loop, and holds why that went wrong.

    A small message need not be waited for, as with TCP: it is sent in its turn, and if it
    cannot be, the next ``send`` says why. Senders wait as soon as many are under way, or
    the connection takes no more.

    Senders are on any thread: they append to ``under_way`` before they post a message. The
    loop takes one off for each message it has sent, and writes the other fields. A sender
    who is interrupted between the two leaves one behind, which costs no more than room.
    """

    __slots__ = ("congested", "fault", "under_way")

    def __init__(self) -> None:
        self.under_way: deque[None] = deque()
        #: Whether the connection has yet to take some of it.
        self.congested: bool = False
        #: Why a message that nobody waited for was not sent, until somebody is told.
        self.fault: BaseException | None = None

    def has_room(self, size: int) -> bool:
        """Tell whether a message of so many bytes need not be waited for."""
        return size <= SMALL and not self.congested and len(self.under_way) < _UNDER_WAY

    def withdraw(self) -> None:
        """One that was entered will not be posted. Any thread."""
        if self.under_way:
            self.under_way.pop()
