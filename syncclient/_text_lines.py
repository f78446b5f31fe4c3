"""Lines of text, cut from the pieces of a body as they arrive."""

from __future__ import annotations

from collections.abc import Callable

from ._content_type import incremental_decoder


class TextLines:
    """Cuts text into lines, which end with LF or CRLF, and returns them without that.

    Not by ``str.splitlines``: JSON Lines and logs contain characters that it takes for line ends.

    Args:
        encoding_of: returns the encoding, given the beginning of the body.
        errors: how to handle bytes that are invalid in that encoding.
    """

    def __init__(self, encoding_of: Callable[[bytes], str], errors: str) -> None:
        self._encoding_of = encoding_of
        self._errors = errors
        self._decode: Callable[[bytes, bool], str] | None = None
        #: The incomplete last line.
        self._begun = ""

    def feed(self, piece: bytes, *, end: bool = False) -> list[str]:
        """Return the lines that end in ``piece``; at the ``end`` also the last one."""
        if self._decode is None:
            self._decode = incremental_decoder(self._encoding_of(piece), self._errors)
        *lines, self._begun = (self._begun + self._decode(piece, end)).split("\n")
        if end and self._begun:
            lines.append(self._begun)
        return [line.removesuffix("\r") for line in lines]
