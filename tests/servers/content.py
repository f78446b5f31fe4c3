"""Bodies that both sides can make, so that a test knows every byte it should receive."""

import random
from collections.abc import Iterator

_BLOCK = random.Random(20).randbytes(65536 - 13)  # odd length: block edges drift from buffer edges

# Fits latin-1, cp1252, utf-8 and utf-16, and reads differently in each.
SAMPLE_TEXT = "Grüße, naïve café: ½ £"

HTML = (
    "<!DOCTYPE html><html><head><title>A page</title></head><body><h1>A page</h1></body></html>\n"
)


def pattern(length: int, start: int = 0) -> bytes:
    """`length` bytes of the endless pattern, from offset `start`."""
    return b"".join(pattern_chunks(length, start))


def pattern_chunks(length: int, start: int = 0) -> Iterator[bytes]:
    """The same bytes in pieces of at most 64 KiB, for bodies too large to hold."""
    offset = start % len(_BLOCK)
    while length > 0:
        piece = _BLOCK[offset : offset + length]
        yield piece
        length -= len(piece)
        offset = 0


def stream_line(number: int) -> str:
    """Line `number` of /stream/{n}, without its newline."""
    return f'{{"id": {number}, "text": "line {number}"}}'
