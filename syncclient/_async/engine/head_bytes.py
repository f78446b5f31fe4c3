"""The head of a response as it comes, before and beside the engine's parser."""

from __future__ import annotations

import re

from aiohttp.http import RawResponseMessage

HEAD_END = re.compile(rb"\n\r?\n")

_LENGTH = re.compile(rb"^content-length:[ \t]*([^\r\n]*?)[ \t]*\r?\n", re.I | re.M)
_CHUNKED = re.compile(rb"^transfer-encoding:(?:[^\r\n]*,)?[ \t]*chunked[ \t]*\r?$", re.I | re.M)


def find_head_end(data: bytes, start: int) -> int:
    """Return where the head that starts there ends; 0 if it is incomplete."""
    end = data.find(b"\r\n\r\n", start) + 4
    if end > 3:
        return end
    found = HEAD_END.search(data, start)  # lines without CR, as of some scripts
    return found.end() if found else 0


def with_one_framing(data: bytes) -> tuple[bytes, int, bool]:
    """Return ``data``, the first of a response, without a second framing in its head.

    Chunks go before a length, and lengths that are the same are one (RFC 9112, 6.3); the
    parser refuses both. Heads that come in pieces are left to it.

    Returns:
        The data, the size of its head (0 if that is incomplete), and whether the framing was
        ambiguous: it may be an attack on a reader of the length.
    """
    start = 0
    while data.startswith(b"1", start + 9):  # an interim response
        found = HEAD_END.search(data, start)
        if found is None:
            break
        start = found.end()
    size = end = find_head_end(data, start)
    ambiguous = False
    lengths = data.count(b"ength:", start, end)
    if lengths and (lengths > 1 or data.find(b"hunked", start, end) > 0):
        if (exact := HEAD_END.search(data, start)) is not None:
            end = exact.end()
        head = data[start:end]
        sizes, surplus = _LENGTH.findall(head), 0
        if sizes and _CHUNKED.search(head):
            surplus = len(sizes)
            ambiguous = True
        elif len(set(sizes)) == 1:
            surplus = len(sizes) - 1
        if surplus:
            head = _LENGTH.sub(b"", head, count=surplus)
            data = data[:start] + head + data[end:]
            size = start + len(head)
    return data, size, ambiguous


def printable(text: str) -> str:
    """Return ``text``, which the engine decoded as UTF-8; if it was not, as Latin-1 instead."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    return text


def with_reason(message: RawResponseMessage, reason: str) -> RawResponseMessage:
    """Return ``message`` with another reason phrase."""
    return RawResponseMessage(
        message.version,
        message.code,
        reason,
        message.headers,
        message.raw_headers,
        message.should_close,
        message.compression,
        message.upgrade,
        message.chunked,
    )
