"""The Content-Disposition header (RFC 6266), as browsers read it.

The engine gives up the whole header, with a warning, for one blank that is not quoted or one
semicolon too many. Browsers find the name wherever one can be found.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from aiohttp.client_reqrep import ContentDisposition

from .parameters import QUOTED, decoded, extended, past, percent_decoded, repaired, unescaped

_TYPE = re.compile(r"[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)")
_NAME = re.compile(r"[^;=]*")
_BLANKS = re.compile(r"[ \t]*")
_PLAIN = re.compile(r"[^;]*")
#: What stands behind a quoted string and is no further one.
_BEHIND = re.compile(r'[^;"]*')

#: RFC 2047, which is for mail; Chromium and Firefox read it here as well.
_ENCODED_WORD = re.compile(r"=\?([^?*]*)(?:\*[^?]*)?\?([BbQq])\?([^?]*)\?=(?:[ \t]+(?==\?))?")


def content_disposition(headers: Iterable[str]) -> ContentDisposition | None:
    """Return the first of ``headers`` that has a file's name, or else the first; None for none.

    Takes time that grows with their length only. Never raises. Of parameters with one name
    the first counts; ``filename`` is None where there is none.
    """
    parsed = [_parsed(header) for header in headers]
    return next((each for each in parsed if each.filename), parsed[0] if parsed else None)


def _parsed(header: str) -> ContentDisposition:
    kind, pairs = _split(header)
    raw: dict[str, str] = {}
    for name, value in pairs:
        raw.setdefault(name, value)
    parameters = {name: _extended(name, value) or repaired(value) for name, value in raw.items()}
    filename = next((found for found in _names(raw) if found), None)
    return ContentDisposition(kind, MappingProxyType(parameters), filename)


def _extended(name: str, value: str) -> str | None:
    # With an asterisk and a number it is one part of several.
    return extended(value) if name.endswith("*") and name.count("*") == 1 else None


def _split(header: str) -> tuple[str | None, list[tuple[str, str]]]:
    """Return the type, and the parameters with their quotation marks taken off."""
    kind: str | None = None
    pairs: list[tuple[str, str]] = []
    start, first = 0, True
    while start < len(header):
        segment = header[start : past(_NAME, header, start)]
        words, start = segment.split(), start + len(segment)
        has_value = header.startswith("=", start)
        if first and (len(words) > 1 or not has_value):
            token = _TYPE.match(segment)
            kind = None if token is None else token[1].lower()
        first = False
        if not has_value:
            start += 1
            continue
        value, start = _value(header, start + 1)
        if words:
            # A semicolon may be missing before it.
            pairs.append((words[-1].lower(), value))
    return kind, pairs


def _value(header: str, start: int) -> tuple[str, int]:
    """Return the value at ``start``, and where the next parameter begins."""
    start = past(_BLANKS, header, start)
    if not header.startswith('"', start):
        stop = past(_PLAIN, header, start)
        return header[start:stop].strip(), stop + 1
    # Marks within marks, as in ""a.txt"" and "a "b" c.txt", are dropped.
    parts: list[str] = []
    while (match := QUOTED.match(header, start)) is not None:
        stop = past(_BEHIND, header, match.end())
        parts += unescaped(match[1]), header[match.end() : stop]
        start = stop
    parts[-1] = parts[-1].rstrip()
    return "".join(parts), start + 1


def _names(raw: Mapping[str, str]) -> Iterator[str | None]:
    """Yield candidates for the file name, the most reliable first."""
    star = raw.get("filename*")
    if star is not None:
        yield extended(star)
    yield _continued(raw)
    if (plain := raw.get("filename")) is not None:
        # As with the engine: no way to the root of the file system.
        yield _words_decoded(repaired(plain)).lstrip("\\/")
    if star is not None:  # without its charset, or with one that is unknown or wrong
        yield decoded(percent_decoded(star.strip('"').rpartition("'")[2]), None)


def _continued(raw: Mapping[str, str]) -> str | None:
    """Return the name that is in parts: ``filename*0``, ``filename*1*`` ... (RFC 2231)."""
    parts: list[bytes] = []
    charset: str | None = None
    while True:
        name = f"filename*{len(parts)}"
        if (part := raw.get(f"{name}*")) is not None:
            if not parts:
                head, mark, rest = part.partition("'")
                if mark:
                    charset, part = head or None, rest.partition("'")[2]
            parts.append(percent_decoded(part))
        elif (part := raw.get(name)) is not None:
            parts.append(part.encode("utf-8", "surrogateescape"))
        else:
            break
    whole = b"".join(parts)
    return (decoded(whole, charset) or decoded(whole, None)) if parts else None


def _words_decoded(text: str) -> str:
    return _ENCODED_WORD.sub(_word, text) if "=?" in text else text


def _word(match: re.Match[str]) -> str:
    charset, coding, text = match.groups()
    try:
        raw = text.encode("ascii")
        if coding in "Bb":
            raw = base64.b64decode(raw + b"=" * (-len(raw) % 4))
        else:
            raw = quopri.decodestring(raw, header=True)
        word = decoded(raw, charset)
    except (UnicodeEncodeError, binascii.Error):
        word = None
    return match[0] if word is None else word
