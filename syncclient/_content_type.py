"""Content-Type and text: what a header and a body say about the encoding, as browsers read it.

The engine's parser of Content-Type is Python's for mail, whose time grows with the square of
the header's length, and it takes every codec that Python knows for a charset: ``hex``, which
decodes to no text, and ``punycode``, which takes half a minute for a megabyte.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import webencodings
from aiohttp import hdrs
from webencodings.labels import LABELS

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

#: What a body without a Content-Type is, or with a malformed one (RFC 9110, section 8.3).
OCTET_STREAM = "application/octet-stream"

# Each character is looked at once: no repetition here can take what another may.
_PARAMETER = re.compile(r';[; \t]*([^;="]*)(?:=[ \t]*(?:"((?:[^"\\]|\\.)*)"?)?([^;]*))?', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
#: Browsers end the type at a blank or comma too, where a semicolon is missing.
_ESSENCE = re.compile(rf"[ \t]*({_TOKEN}/{_TOKEN})[ \t]*(?:[;,( \t]|\Z)")
#: A charset may stand in single quotes, and before what a careless server has put behind it.
_LABEL = re.compile(r"[\s'\"]*([^\s'\",;()]+)")

#: Names that are no labels by the standard, but that programs write all the same.
_ALIASES = {
    "latin-1": "windows-1252",
    "utf-8-sig": "utf-8",
    "utf16": "utf-16le",
    "cp932": "shift_jis",
    "cp936": "gbk",
    "cp949": "euc-kr",
    "cp950": "big5",
}

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


#: Most of what ``json.loads`` does beyond this is about blanks around the value, which few have.
_LOADS, _SCAN = json.loads, json.JSONDecoder().scan_once  # type: ignore[attr-defined]
#: What bytes.strip() takes away.
_BLANKS = " \t\n\r\v\f"
#: With what a BOM begins: most bodies are told by this alone.
_BOM_STARTS = frozenset({b"\xef", b"\xff", b"\xfe"})


class ContentType(NamedTuple):
    """A Content-Type header, parsed."""

    #: The media type, such as "text/html", in lower case.
    essence: str
    #: The parameters by name in lower case; of several with one name, the first.
    parameters: dict[str, str]
    #: The Python codec for the charset. None where there is none, or an unknown one, but for JSON,
    #: which is UTF-8 unless it says otherwise (RFC 8259, RFC 6839).
    encoding: str | None

    @property
    def is_text(self) -> bool:
        """Whether people can read it: text, JSON, XML or a form."""
        return self.essence.startswith("text/") or self.essence.endswith(
            ("json", "xml", "x-www-form-urlencoded")
        )


def content_type(header: str | None) -> ContentType:
    """Return ``header`` parsed, in time that grows with its length only. Never raises."""
    if header is None:
        return _ABSENT
    # The cache is bounded: no server can fill it with headers of any length.
    return _remembered(header) if len(header) <= 200 else _parsed(header)


def _parsed(header: str) -> ContentType:
    match = _ESSENCE.match(header)
    essence = match[1].lower() if match else OCTET_STREAM
    start = header.find(";")
    parameters: dict[str, str] = {}
    for name, quoted, rest in _PARAMETER.findall(header, start) if start >= 0 else ():
        value = _QUOTED_PAIR.sub(r"\1", quoted) or rest.strip(" \t")
        if value and (name := name.strip(" \t").lower()):
            parameters.setdefault(name, value)
    charset = parameters.get("charset")
    encoding = None if charset is None else encoding_of(charset)
    return ContentType(essence, parameters, encoding or ("utf-8" if _is_json(essence) else None))


def _is_json(essence: str) -> bool:
    return essence == "application/json" or (
        essence.startswith("application/") and essence.endswith("+json")
    )


_remembered = lru_cache(maxsize=128)(_parsed)
_ABSENT = ContentType(OCTET_STREAM, {}, None)


def encoding_of(charset: str) -> str | None:
    """Return the Python codec for a charset by the labels of the Encoding standard, or None.

    The labels mean what browsers take them for: ``iso-8859-1`` is windows-1252, ``gb2312`` is
    gb18030. Other codecs of Python's do not count.
    """
    match = _LABEL.match(charset)
    if match is None or len(match[1]) > 40:
        return None
    label = match[1].lower()
    for spelling in (label, label.replace("_", "-")):
        if name := LABELS.get(spelling) or _ALIASES.get(spelling):
            return _codec(name)
    return None


@cache  # the standard has forty names
def _codec(name: str) -> str | None:
    if name == "replacement":
        # For encodings that hide ASCII, such as iso-2022-kr: browsers show none of the text.
        return None
    encoding = webencodings.lookup("gb18030" if name == "gbk" else name)
    return None if encoding is None else encoding.codec_info.name


def bom_encoding(body: bytes) -> str | None:
    """Return the encoding that a byte order mark tells, which wins over any label, or None."""
    return next((encoding for bom, encoding in _BOMS if body.startswith(bom)), None)


def decode(body: bytes, encoding: str, errors: str = "strict") -> str:
    """Return ``body`` decoded as browsers do where Python's codec has gaps."""
    if encoding in _SINGLE_BYTE:
        return codecs.charmap_decode(body, errors, _decoding_table(encoding))[0]
    if encoding in _GAPS:
        errors = _filling(encoding, errors)
    return body.decode(encoding, errors)


def incremental_decoder(encoding: str, errors: str = "strict") -> Callable[[bytes, bool], str]:
    """Return a function that decodes a text piece by piece; its second argument is the end."""
    if encoding in _SINGLE_BYTE:
        return lambda piece, end: codecs.charmap_decode(piece, errors, _decoding_table(encoding))[0]
    if encoding in _GAPS:
        errors = _filling(encoding, errors)
    return codecs.getincrementaldecoder(encoding)(errors).decode


_SINGLE_BYTE = frozenset({"cp874", *(f"cp{page}" for page in range(1250, 1259))})


@cache
def _decoding_table(encoding: str) -> str:
    """Return what each byte is: gaps among the controls (0x80 to 0x9F) are controls."""
    decoded = (bytes([byte]).decode(encoding, "replace") for byte in range(256))
    return "".join(
        char if char != "\ufffd" else chr(byte) if 0x80 <= byte < 0xA0 else "\ufffe"
        for byte, char in enumerate(decoded)
    )


def _more_of_euc_jp(data: bytes, start: int) -> tuple[str, int] | None:
    return _vendors_cell(data[start : start + 2])


@cache  # of two bytes, so that it cannot grow
def _vendors_cell(pair: bytes) -> tuple[str, int] | None:
    """Return a character of the vendors' rows (circled digits and the like), and its length."""
    if len(pair) < 2 or not (0xA1 <= pair[0] <= 0xFE and 0xA1 <= pair[1] <= 0xFE):
        return None
    # The same cell in Shift_JIS, for which Python has the vendors' codec.
    row, cell = pair[0] - 0xA1, pair[1] - 0xA1
    first = row // 2 + (0x81 if row < 62 else 0xC1)
    second = cell + 0x9F if row % 2 else cell + (0x40 if cell < 63 else 0x41)
    char = bytes((first, second)).decode("cp932", "replace")
    return None if "\ufffd" in char else (char, 2)


def _more_of_gb18030(data: bytes, start: int) -> tuple[str, int] | None:
    return ("€", 1) if data[start] == 0x80 else None


_GAPS: dict[str, Callable[[bytes, int], tuple[str, int] | None]] = {
    "euc_jp": _more_of_euc_jp,
    "gb18030": _more_of_gb18030,
}


@cache
def _filling(encoding: str, errors: str) -> str:
    """Return the name of an error handler that first looks into ``_GAPS``."""
    more, otherwise = _GAPS[encoding], codecs.lookup_error(errors)

    def handle(error: UnicodeError) -> tuple[str | bytes, int]:
        assert isinstance(error, UnicodeDecodeError)
        found = more(error.object, error.start)
        return otherwise(error) if found is None else (found[0], error.start + found[1])

    name = f"syncclient.{encoding}.{errors}"
    codecs.register_error(name, handle)
    return name


def _find_codec(name: str) -> codecs.CodecInfo | None:
    # Normalised by Python. So a TextIOWrapper can be given any encoding that we return.
    if name != "x_user_defined" or (encoding := webencodings.lookup("x-user-defined")) is None:
        return None
    return encoding.codec_info


codecs.register(_find_codec)


class TextualBody:
    """What the head and the body of a response say as text. For responses of any kind."""

    _resolve_charset: Callable[[Any, bytes], str]

    if TYPE_CHECKING:

        @property
        def headers(self) -> CIMultiDictProxy[str]: ...

    def _body_here(self) -> bytes | None:
        """Return the body, if it has been read."""
        raise NotImplementedError

    @property
    def content_type(self) -> str:
        """The media type of the body, in lower case; ``application/octet-stream`` if unknown."""
        return content_type(self.headers.get(hdrs.CONTENT_TYPE)).essence

    @property
    def charset(self) -> str | None:
        """The charset as the Content-Type names it, or None. ``get_encoding`` interprets it."""
        return content_type(self.headers.get(hdrs.CONTENT_TYPE)).parameters.get("charset")

    def get_encoding(self) -> str:
        """Return the Python codec for the body: by its BOM, its charset, JSON, the session.

        A byte order mark wins. A charset counts if the Encoding standard has it for a label,
        and means what browsers take it for. JSON is UTF-8. For the rest the session's
        ``fallback_charset_resolver`` is asked, which by default says UTF-8.

        Raises RuntimeError where only the body could tell, and it has not been read.
        """
        return self._encoding_of(self._body_here())

    def _encoding_of(self, body: bytes | None) -> str:
        """Return the Python codec for ``body``, of which this may be the beginning only."""
        if body and body[:1] in _BOM_STARTS and (encoding := bom_encoding(body)):
            return encoding
        if encoding := content_type(self.headers.get(hdrs.CONTENT_TYPE)).encoding:
            return encoding
        if body is None:
            raise RuntimeError("Cannot compute fallback encoding of a not yet read body")
        # What guesses at encodings says None where it cannot.
        return self._resolve_charset(self, body) or "utf-8"

    def _decoded(self, body: bytes, encoding: str | None, errors: str = "strict") -> str:
        """Return ``body`` as ``encoding``, by Python's codec, or else ``get_encoding()``."""
        if encoding:
            return body.decode(encoding, errors)
        return decode(body, self._encoding_of(body), errors)

    def _json(self, body: bytes, encoding: str | None, loads: Callable[[str], Any]) -> Any:
        """Return ``body`` parsed as JSON, be it behind a BOM; None where it is empty."""
        if not body or body.isspace():
            return None
        if not encoding and (body[:1] in _BOM_STARTS or 0 in body[:4]):
            # JSON begins with ASCII: a BOM or NULs tell UTF-16 and UTF-32.
            detected = json.detect_encoding(body)
            encoding = None if detected == "utf-8" else detected
        text = self._decoded(body, encoding)
        try:
            if loads is _LOADS:
                try:
                    value, end = _SCAN(text, 0)
                except StopIteration:
                    pass  # there is something before it, or it is no JSON
                else:
                    if end == len(text) or not text[end:].strip(_BLANKS):
                        return value
            text = text.removeprefix("\ufeff").strip(_BLANKS)
            return loads(text) if text else None  # which raises the error
        except RecursionError as exc:
            raise ValueError("the body is JSON that is nested too deeply to parse") from exc
