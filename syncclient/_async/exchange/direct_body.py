"""The rest of a long body: received past the engine's parser, or on loan by its reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..engine.direct_read import DirectRead, fits, read_directly
from .loan import Loan, lend

if TYPE_CHECKING:
    from .body_buffer import BodyBuffer
    from .lean_response import AnyResponse


class DirectBody:
    """The short way of one body, taken once everything before it has been read.

    Event loop only. See ``loan`` for who has the socket at each moment.

    Args:
        response: its body is one that ``direct_read.fits``.
    """

    __slots__ = ("_buffer", "_loan", "_read", "_response")

    def __init__(self, response: AnyResponse) -> None:
        self._response = response
        #: None until the body takes the short way.
        self._read: DirectRead | None = None
        #: The loan, and the buffer that it stands in.
        self._loan: Loan | None = None
        self._buffer: BodyBuffer | None = None

    @property
    def is_lent(self) -> bool:
        """Whether the reader has the socket."""
        return self._loan is not None

    def begin(self, taken: int) -> None:
        """Take the short way if possible, and if ``taken`` bytes are all that have arrived."""
        if self._read is None and taken == self._response.content.total_bytes:
            self._read = read_directly(self._response)

    def pause(self) -> None:
        """Stop receiving until ``resume``, so that the server has to wait."""
        if self._read is not None:
            self._read.pause()

    def resume(self) -> None:
        """Receive again."""
        if self._read is not None:
            self._read.resume()

    def lend(self, buffer: BodyBuffer, taken: int) -> None:
        """Lend the socket to the reader of ``buffer``, if it can receive the rest by itself."""
        if self._read is None or taken != self._response.content.total_bytes:
            return
        lent = self._read.lend()
        if lent is not None:
            self._loan = buffer.loan = lend(*lent, buffer)
            self._buffer = buffer

    def take_back(self) -> int:
        """End a loan while its reader is not receiving; return how many bytes it received."""
        loan, buffer = self._forget_loan()
        if loan is None or buffer is None or self._read is None:
            return 0
        buffer.loan = None
        buffer.counted()
        left = loan.left(buffer)
        return self._read.take_back(left, followed=not left and loan.is_followed())

    def complete(self) -> int | None:
        """End a loan after the whole body was received on it; return how many bytes that were.

        None without a loan. The reader does not wait for this, and keeps using the buffer.
        """
        loan, _ = self._forget_loan()
        if loan is None or self._read is None:
            return None
        return self._read.take_back(0, followed=loan.is_followed())

    def end(self) -> None:
        """End a loan and with it the connection, under a reader that may be receiving."""
        loan, buffer = self._forget_loan()
        if loan is not None and buffer is not None:
            loan.shut_down()
            # Its descriptor goes with it now, unless its reader is in the midst of a receive: a
            # server that is stuck in sending notices no less than that.
            buffer.loan = None

    def _forget_loan(self) -> tuple[Loan | None, BodyBuffer | None]:
        loan, self._loan = self._loan, None
        buffer, self._buffer = self._buffer, None
        return loan, buffer


def direct_body(response: AnyResponse) -> DirectBody | None:
    """Return the short way of the body of ``response``; None if it has to go through the parser."""
    return DirectBody(response) if fits(response) else None
