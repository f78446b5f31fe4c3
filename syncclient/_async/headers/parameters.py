"""Pieces that the parsers of Content-Disposition and Link share: values as browsers read them.

Each character is looked at a bounded number of times: no header takes longer to parse than
its length warrants.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from ..._content_type import decode, encoding_of

#: A quoted string from its first quotation mark; the second one may be missing.
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)', re.DOTALL)

_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)

#: ``charset'language'value`` (RFC 8187), maybe in quotation marks that should not be there.
_EXTENDED = re.compile(r"\"?([^']*)'[^']*'(.*?)\"?\Z", re.DOTALL)


def past(pattern: re.Pattern[str], header: str, start: int) -> int:
    """Return where the match of ``pattern`` at ``start`` ends; ``start`` if there is none."""
    match = pattern.match(header, start)
    return start if match is None else match.end()


def unescaped(quoted: str) -> str:
    """Return the text of a quoted string: a backslash stands for the character behind it."""
    return _QUOTED_PAIR.sub(r"\1", quoted) if "\\" in quoted else quoted


def repaired(text: str) -> str:
    """Return ``text`` with the bytes that were no UTF-8 read as Latin-1.

    The engine decodes headers as UTF-8, and keeps other bytes as lone surrogates.
    """
    if text.isascii():
        return text
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # no header that came over a wire
        return text.encode("utf-8", "replace").decode()
    return decoded(raw, None) or ""


def decoded(raw: bytes, charset: str | None) -> str | None:
    """Return ``raw`` in ``charset``, None if it is unknown or does not fit.

    Without a charset it is UTF-8 where that fits, and Latin-1 as browsers mean it otherwise.
    """
    if charset is None:
        return decoded(raw, "utf-8") or decode(raw, "cp1252")
    encoding = encoding_of(charset)
    try:
        return None if encoding is None else decode(raw, encoding)
    except UnicodeError:
        return None


def extended(value: str) -> str | None:
    """Return a value such as ``UTF-8''na%C3%AFve`` decoded (RFC 8187); None if it is none."""
    match = _EXTENDED.match(value)
    return None if match is None else decoded(percent_decoded(match[2]), match[1])


def percent_decoded(text: str) -> bytes:
    """Return the bytes that ``text`` stands for; a stray percent sign stands for itself."""
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape"))
