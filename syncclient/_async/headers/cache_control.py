"""What the headers of caching say: Cache-Control, Age, and dates (RFC 9110 and RFC 9111)."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

#: A directive: a name, and a value that may be quoted.
_DIRECTIVE = re.compile(
    r"""
    (?P<name>[!#$%&'*+\-.^_`|~0-9A-Za-z]+)
    (?: = (?: "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<plain>[^\s",]*) ) )?
    \s* (?=,|$)
    """,
    re.VERBOSE,
)
#: Anything that is not a directive, up to the next comma outside of quotes.
_REST = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^",]|")*?(?=,|$)')
_SEPARATORS = re.compile(r"[\s,]*")

#: Seconds. Longer values count as this: 68 years (RFC 9111, section 1.2.2).
LONGEST = 2**31

_DIGITS = re.compile(r"[0-9]+")

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
_LONG_DAY = "(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
#: The three forms of RFC 9110, section 5.6.7. Cases other than theirs are let pass, no more.
_DATES = [
    re.compile(form, re.ASCII | re.IGNORECASE)
    for form in (
        rf"{_DAY}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",
        rf"{_LONG_DAY}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",
        rf"{_DAY} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",
    )
]


class CacheControl:
    """The directives of a message. Of several with one name the first counts.

    Args:
        lines: the values of its Cache-Control headers.
    """

    __slots__ = ("_values",)

    def __init__(self, lines: Iterable[str]) -> None:
        values: dict[str, str | None] = {}
        for name, value in _directives(",".join(lines)):
            values.setdefault(name, value)
        self._values: Mapping[str, str | None] = MappingProxyType(values)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __bool__(self) -> bool:
        return bool(self._values)

    def seconds(self, name: str, *, bare: int | None = 0) -> int | None:
        """Return the seconds that a directive gives; None where it is missing.

        An invalid number of seconds counts as 0, so that a response is stale.

        Args:
            name: in lower case.
            bare: what the directive means without a value.
        """
        if name not in self._values:
            return None
        value = self._values[name]
        if value is None:
            return bare
        return min(int(value[:12]), LONGEST) if _DIGITS.fullmatch(value) else 0

    def fields(self, name: str) -> frozenset[str] | None:
        """Return the header names that a directive is limited to; None without the directive.

        An empty set is the directive without a limit.
        """
        if name not in self._values:
            return None
        listed = (self._values[name] or "").lower().split(",")
        return frozenset(field.strip() for field in listed if field.strip())


def _directives(text: str) -> Iterator[tuple[str, str | None]]:
    at = 0
    while (at := _end(_SEPARATORS, text, at)) < len(text):
        match = _DIRECTIVE.match(text, at)
        if match is None:
            at = _end(_REST, text, at)
            continue
        quoted, plain = match["quoted"], match["plain"]
        yield match["name"].lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
        at = match.end()


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return len(text) if match is None else match.end()


def parse_age(lines: Iterable[str]) -> int:
    """Return the seconds that the Age headers say: the first of them; 0 where that is no number."""
    first = ",".join(lines).partition(",")[0].strip()
    return min(int(first[:12]), LONGEST) if _DIGITS.fullmatch(first) else 0


def parse_date(text: str | None) -> float | None:
    """Return the seconds since the epoch of a date in one of HTTP's forms; None for others."""
    for form in _DATES if text else ():
        match = form.fullmatch(text or "")
        if match is None:
            continue
        year = int(match["year"])
        if year < 100:
            # More than fifty years ahead is the past century.
            this = time.gmtime().tm_year
            year += this - this % 100
            year -= 100 if year > this + 50 else 0
        month = _MONTHS.index(match["month"].lower()) + 1
        numbers = (year, month, *(int(match[name]) for name in ("day", "hour", "minute", "second")))
        try:
            return float(calendar.timegm((*numbers, 0, 0, 0)))
        except (ValueError, OverflowError):
            return None
    return None
