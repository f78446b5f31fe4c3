"""The version of a file that a response contains, and the bytes of it: validators and ranges."""

from __future__ import annotations

import re
from typing import NamedTuple

from aiohttp import hdrs

from .._models import Head

#: More digits than the length of any file; Python refuses to make numbers of thousands.
_NUMBER = "([0-9]{1,18})"
_DIGITS = re.compile(_NUMBER)
#: Some servers write an equals sign; the unit is case-insensitive (RFC 9110, section 14.1).
_CONTENT_RANGE = re.compile(
    rf"bytes[ =] *(?:{_NUMBER} *- *{_NUMBER}|\*) */ *(?:{_NUMBER}|\*)", re.IGNORECASE
)

#: A strong entity tag (RFC 9110, section 8.8.3), and the one format of dates that is sent.
_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_DATE = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")


class Known(NamedTuple):
    """The part of a download that exists: ``offset`` bytes of the version named ``validator``."""

    offset: int = 0
    #: A strong entity tag, or the time of the last change; None if the server gave neither.
    validator: str | None = None
    #: The number of bytes of the whole file, if it is known.
    total: int | None = None


def is_validator(value: object) -> bool:
    """Return whether If-Range can ask for ``value`` (RFC 9110, section 13.1.5)."""
    return isinstance(value, str) and bool(_ETAG.fullmatch(value) or _DATE.fullmatch(value))


def validator(head: Head) -> str | None:
    """Return the strong validator of the version in ``head``, or None."""
    headers = head.headers
    etag, modified = headers.get(hdrs.ETAG, "").strip(), headers.get(hdrs.LAST_MODIFIED, "")
    if _is_coded(head) or etag[:2] in ("W/", "w/"):
        return None
    if _ETAG.fullmatch(etag):
        return etag
    # A date is weak if another change may have followed within that second.
    if _DATE.fullmatch(modified) and modified != headers.get(hdrs.DATE):
        return modified
    return None


def _is_coded(head: Head) -> bool:
    """Return whether the received bytes are not those that ranges and lengths count."""
    return head.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower() not in ("", "identity")


def content_length(head: Head) -> int | None:
    """Return the size of the whole file in bytes; None if the server does not say."""
    length = head.headers.get(hdrs.CONTENT_LENGTH, "")
    return int(length) if _DIGITS.fullmatch(length) and not _is_coded(head) else None


def continued(head: Head, known: Known, stop: int | None) -> Known | None:
    """Return what is known if ``head`` continues ``known``, in the same version; otherwise None.

    It also has to extend to ``stop``, or to the end of the file.
    """
    told = _CONTENT_RANGE.fullmatch(head.headers.get(hdrs.CONTENT_RANGE, "").strip())
    if told is None or told[1] is None or told[3] is None or int(told[1]) != known.offset:
        return None
    if _is_coded(head):
        return None  # a piece of a compressed file, and perhaps of another version
    total = int(told[3])
    end = total if stop is None else min(stop, total)
    if known.validator is None:
        known = known._replace(validator=validator(head))
        if end != total and known.validator is None:
            return None
    if int(told[2]) != end - 1 or known.total not in (None, total) or not _is_same(head, known):
        return None
    return known._replace(total=total)


def is_all(head: Head, known: Known) -> bool:
    """Return whether ``head`` refuses a range because ``known`` is the whole file."""
    told = _CONTENT_RANGE.fullmatch(head.headers.get(hdrs.CONTENT_RANGE, "").strip())
    return (
        told is not None
        and told[3] is not None
        and int(told[3]) == known.offset
        and known.total in (None, known.offset)
        and _is_same(head, known)
    )


def _is_same(head: Head, known: Known) -> bool:
    """Return whether ``head`` does not name another version: some servers ignore If-Range."""
    is_etag = known.validator is not None and known.validator.startswith('"')
    told = head.headers.get(hdrs.ETAG if is_etag else hdrs.LAST_MODIFIED)
    return told is None or told.strip() == known.validator
