"""Set-Cookie headers read as browsers read them: RFC 6265bis, section 5.6.

Headers are decoded as UTF-8 with surrogate escapes, as aiohttp does everywhere, so every octet can
be sent back unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from http.cookies import CookieError, Morsel, SimpleCookie
from typing import Any, NamedTuple

#: Maximum length of name and value together, in octets.
MAX_PAIR = 4096
#: Maximum length of the value of an attribute, in octets; a longer one is skipped.
MAX_ATTRIBUTE = 1024
#: Maximum number of attributes that are read; no real cookie has half as many.
_MAX_ATTRIBUTES = 64

#: Invalid characters, for which a header is ignored: not a tab, but surrogates without an octet.
_SPOILT = re.compile("[\x00-\x08\x0a-\x1f\x7f\ud800-\udc7f\udd00-\udfff]")
_BLANKS = " \t"
_FLAGS = frozenset({"secure", "httponly", "partitioned"})
_TEXTS = frozenset({"expires", "max-age", "domain", "path", "samesite", "comment", "version"})

_DATE_TOKEN = re.compile(r"[^\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?!\d)", re.ASCII)
_DAY = re.compile(r"(\d{1,2})(?!\d)", re.ASCII)
_YEAR = re.compile(r"(\d{2,4})(?!\d)", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MAX_AGE = re.compile(r"-?\d+", re.ASCII)

_SIMPLE_COOKIE = SimpleCookie()


class SetCookie(NamedTuple):
    """One Set-Cookie header."""

    name: str
    value: str
    #: By lower-case name, as they were sent; of repeated ones the last valid one.
    attributes: dict[str, str | bool]


def parse_set_cookie(header: str) -> SetCookie | None:
    """Return the cookie of a header, or None if the header has to be ignored."""
    if not header.isprintable() and _SPOILT.search(header) is not None:
        return None
    pair, _, rest = header.partition(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", name
    name, value = name.strip(_BLANKS), value.strip(_BLANKS)
    if not (name or value) or octets(name) + octets(value) > MAX_PAIR:
        return None
    return SetCookie(name, value, _attributes(rest) if rest else {})


def _attributes(text: str) -> dict[str, str | bool]:
    found: dict[str, str | bool] = {}
    for attribute in text.split(";", _MAX_ATTRIBUTES)[:_MAX_ATTRIBUTES]:
        name, _, value = attribute.partition("=")
        name, value = name.strip(_BLANKS).lower(), value.strip(_BLANKS)
        if octets(value) > MAX_ATTRIBUTE:
            continue
        if name in _FLAGS:
            found[name] = True
        elif name in _TEXTS and not (
            # An unreadable one does not replace a readable one.
            (name == "expires" and parse_date(value) is None)
            or (name == "max-age" and parse_max_age(value) is None)
        ):
            found[name] = value
    return found


def octets(text: str) -> int:
    """Return how many octets ``text`` has on the wire."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def parse_max_age(text: str) -> int | None:
    """Return the seconds of a Max-Age, or None if it is not a number."""
    # Cut to a length that int() accepts; all such numbers are centuries.
    return int(text[:20]) if _MAX_AGE.fullmatch(text) else None


def parse_date(text: str) -> float | None:
    """Return the moment that ``text`` names, by the algorithm of RFC 6265, section 5.1.1."""
    time = day = month = year = None
    for token in _DATE_TOKEN.findall(text):
        if time is None and (match := _TIME.match(token)):
            time = match
        elif day is None and (match := _DAY.match(token)):
            day = int(match[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (match := _YEAR.match(token)):
            year = int(match[1])
    if time is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    if year < 1601:
        return None
    hour, minute, second = map(int, time.groups())
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        return None
    return moment.timestamp()


def make_morsel(name: str, coded: str, attributes: Iterable[tuple[str, Any]] = ()) -> Morsel[str]:
    """Return a Morsel with any name, and with ``coded`` unchanged as its ``coded_value``.

    Its ``value`` is for reading: surrounding quotes are removed, and a value that is not UTF-8
    is decoded as Latin-1.
    """
    readable = coded
    if not coded.isascii():
        try:
            coded.encode()
        except UnicodeEncodeError:
            readable = coded.encode("utf-8", "surrogateescape").decode("latin-1")
    value = _SIMPLE_COOKIE.value_decode(readable)[0]
    morsel: Morsel[str] = Morsel()
    # Not set(): it refuses names that servers do use, such as "cart[0]" and "path".
    try:
        morsel.__setstate__(  # type: ignore[attr-defined]  # unknown to typeshed
            {"key": name, "value": value, "coded_value": coded}
        )
    except CookieError:
        # A tab, or a character inside quotes, which newer Pythons refuse here; only the octets that
        # were received are sent.
        vars(morsel).update(_key=name, _value=value, _coded_value=coded)
    for attribute, text in attributes:
        if morsel.isReservedKey(attribute):  # Partitioned is, since Python 3.14
            dict.__setitem__(morsel, attribute, text)
    return morsel


def response_cookies(headers: Iterable[str]) -> SimpleCookie:
    """Return the cookies of a response's Set-Cookie headers, by name; the last one counts."""
    cookies = SimpleCookie()
    for header in headers:
        if (parsed := parse_set_cookie(header)) is not None:
            morsel = make_morsel(parsed.name, parsed.value, parsed.attributes.items())
            dict.__setitem__(cookies, parsed.name, morsel)
    return cookies
