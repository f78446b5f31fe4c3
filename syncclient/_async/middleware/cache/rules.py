"""What RFC 9111 and RFC 5861 say: what is stored, how long it is fresh, and what may be served.

Functions of values only: no clock, no file, no event loop. The cache is one user's (a private
cache in the RFC's words), so ``s-maxage``, ``proxy-revalidate`` and ``private`` change nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from email.utils import formatdate
from typing import NamedTuple, TypeAlias

from aiohttp import hdrs
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ...._urls import origin_of
from ...exchange.framing import fault_of
from ...headers.cache_control import LONGEST, CacheControl, parse_age, parse_date

Headers: TypeAlias = "CIMultiDict[str] | CIMultiDictProxy[str]"

#: Each header that Vary names, with the value that the request had; None where it had none.
Variant: TypeAlias = "tuple[tuple[str, str | None], ...]"

#: RFC 9110, section 15.1: fresh for a while even where the response does not say so.
HEURISTIC = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})

#: What ``must-understand`` is about; 206 and 304 are none that this cache keeps.
_UNDERSTOOD = HEURISTIC | frozenset({302, 303, 307, 400, 401, 403, 500, 502, 503, 504})

#: Of the time since a document was changed, and a day at most.
_HEURISTIC_FRACTION, _HEURISTIC_LIMIT = 0.1, 86400.0

#: Statuses that ``stale-if-error`` is about (RFC 5861, section 4).
ERRORS = frozenset({500, 502, 503, 504})

#: RFC 9110, section 9.2.1.
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

#: Requests with one of these go past the cache: a part, an answer to conditions of the user's
#: own, another protocol.
_PAST = (
    *(hdrs.RANGE, hdrs.IF_RANGE, hdrs.IF_MATCH, hdrs.IF_NONE_MATCH),
    *(hdrs.IF_MODIFIED_SINCE, hdrs.IF_UNMODIFIED_SINCE, hdrs.UPGRADE),
)

#: Not stored: about one connection; about the body as it was sent, where it is kept decoded;
#: and Set-Cookie, which would put back at each use what has changed in the jar since.
_NOT_STORED = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"),
        *("upgrade", "proxy-authenticate", "proxy-authentication-info", "proxy-authorization"),
        *("content-encoding", "content-length", "set-cookie", "set-cookie2"),
    }
)

#: About the stored body, which a 304 does not replace (section 3.2).
_NOT_UPDATED = frozenset({"content-encoding", "content-length", "content-range", "content-type"})


class Stored(NamedTuple):
    """The head of a stored response."""

    status: int
    reason: str
    version: tuple[int, int]
    headers: Headers
    #: When its request was sent, and when it came: seconds since the epoch.
    requested: float
    received: float
    variant: Variant


class Reuse(enum.Enum):
    """The permitted uses of a stored response."""

    #: It is the answer.
    SERVE = enum.auto()
    #: It is the answer, and is validated behind the caller's back.
    SERVE_AND_VALIDATE = enum.auto()
    #: The server is asked first.
    VALIDATE = enum.auto()


# -- requests ------------------------------------------------------------------------


def goes_past(method: str, headers: Headers) -> bool:
    """Return whether a request is none that the cache has a say in."""
    return (
        method not in (hdrs.METH_GET, hdrs.METH_HEAD)
        or any(name in headers for name in _PAST)
        or "no-store" in asked(headers)
    )


def asked(headers: Headers) -> CacheControl:
    """Return the directives of a request; ``Pragma: no-cache`` is one where there are no others."""
    directives = CacheControl(headers.getall(hdrs.CACHE_CONTROL, ()))
    if not directives and "no-cache" in CacheControl(headers.getall(hdrs.PRAGMA, ())):
        return CacheControl(["no-cache"])
    return directives


def conditions(stored: Stored) -> dict[str, str]:
    """Return the headers that ask whether ``stored`` is still right; none without validators.

    A validator that cannot stand in a request counts for nothing: the response is asked for anew.
    """
    found = {
        hdrs.IF_NONE_MATCH: stored.headers.get(hdrs.ETAG),
        hdrs.IF_MODIFIED_SINCE: stored.headers.get(hdrs.LAST_MODIFIED),
    }
    return {name: said for name, said in found.items() if said and fault_of(name, said) is None}


# -- storing -------------------------------------------------------------------------


def is_storable(method: str, status: int, headers: Headers) -> bool:
    """Return whether a response may be stored, and would be of any use (section 3)."""
    said = CacheControl(headers.getall(hdrs.CACHE_CONTROL, ()))
    if method != hdrs.METH_GET or status < 200 or status in (206, 304):
        return False
    if "must-understand" in said:
        if status not in _UNDERSTOOD:
            return False
    elif "no-store" in said:
        return False
    if "*" in _vary(headers):
        return False
    explicit = hdrs.EXPIRES in headers or any(
        name in said for name in ("public", "private", "max-age")
    )
    if not explicit and status not in HEURISTIC:
        return False
    if hdrs.ETAG in headers or hdrs.LAST_MODIFIED in headers:
        return True
    useful = _explicit_lifetime(said, headers) or any(
        said.seconds(name) for name in ("stale-while-revalidate", "stale-if-error")
    )
    return bool(useful) and said.fields("no-cache") != frozenset()


def is_public(headers: Headers) -> bool:
    """Return whether a response to a request with credentials may be served to others too."""
    said = CacheControl(headers.getall(hdrs.CACHE_CONTROL, ()))
    return "public" in said and "private" not in said


def storable_headers(headers: Headers, received: float) -> CIMultiDict[str]:
    """Return the headers of a response as they are stored; with a Date in any case."""
    said = CacheControl(headers.getall(hdrs.CACHE_CONTROL, ()))
    left_out = (
        _NOT_STORED | (said.fields("no-cache") or frozenset()) | _named_by_connection(headers)
    )
    kept = CIMultiDict(each for each in headers.items() if each[0].lower() not in left_out)
    if parse_date(kept.get(hdrs.DATE)) is None:
        kept[hdrs.DATE] = formatdate(received, usegmt=True)
    return kept


def updated_headers(stored: Headers, new: Headers, received: float) -> CIMultiDict[str]:
    """Return the headers of a stored response after a 304 with ``new`` ones (section 3.2)."""
    fresh = storable_headers(new, received)
    kept = CIMultiDict(
        each for each in stored.items() if each[0] not in fresh or each[0].lower() in _NOT_UPDATED
    )
    kept.extend(each for each in fresh.items() if each[0].lower() not in _NOT_UPDATED)
    return kept


def _named_by_connection(headers: Headers) -> frozenset[str]:
    names = ",".join(headers.getall(hdrs.CONNECTION, ())).lower().split(",")
    return frozenset(name.strip() for name in names)


# -- selecting -----------------------------------------------------------------------


def _vary(headers: Headers) -> list[str]:
    names = ",".join(headers.getall(hdrs.VARY, ())).lower().split(",")
    return sorted({name.strip() for name in names} - {""})


def variant_of(request: Headers, response: Headers) -> Variant:
    """Return what of ``request`` its ``response`` hangs on (section 4.1)."""
    return tuple((name, _value(request, name)) for name in _vary(response))


def matches(variant: Variant, request: Headers) -> bool:
    """Return whether a request has the headers that ``variant`` is the answer to."""
    return all(_value(request, name) == value for name, value in variant)


def _value(headers: Headers, name: str) -> str | None:
    if name not in headers:
        return None
    parts = ",".join(headers.getall(name)).split(",")
    return ", ".join(part.strip() for part in parts)


# -- freshness -----------------------------------------------------------------------


def age(stored: Stored, now: float) -> float:
    """Return how old a response is, in seconds (section 4.2.3)."""
    headers = stored.headers
    date = parse_date(headers.get(hdrs.DATE))
    apparent = 0.0 if date is None else max(0.0, stored.received - date)
    # A Date has whole seconds: a response of this one is not a second old.
    apparent = apparent if apparent >= 1 else 0.0
    delay = max(0.0, stored.received - stored.requested)
    corrected = parse_age(headers.getall(hdrs.AGE, ())) + delay
    return max(apparent, corrected) + max(0.0, now - stored.received)


def lifetime(stored: Stored) -> float:
    """Return for how many seconds a response is fresh (section 4.2.1)."""
    headers = stored.headers
    said = CacheControl(headers.getall(hdrs.CACHE_CONTROL, ()))
    explicit = _explicit_lifetime(said, headers)
    if explicit is not None:
        return explicit
    changed = parse_date(headers.get(hdrs.LAST_MODIFIED))
    if changed is None or not (stored.status in HEURISTIC or "public" in said):
        return 0.0
    date = parse_date(headers.get(hdrs.DATE))
    since = (stored.received if date is None else date) - changed
    return min(max(0.0, since * _HEURISTIC_FRACTION), _HEURISTIC_LIMIT)


def _explicit_lifetime(said: CacheControl, headers: Headers) -> float | None:
    most = said.seconds("max-age")
    if most is not None:
        return float(most)
    if hdrs.EXPIRES not in headers:
        return None
    expires, date = parse_date(headers[hdrs.EXPIRES]), parse_date(headers.get(hdrs.DATE))
    return max(0.0, expires - date) if expires is not None and date is not None else 0.0


def reuse(stored: Stored, request: CacheControl, now: float) -> Reuse:
    """Return how a stored response that matches a request may be used (section 4)."""
    said = CacheControl(stored.headers.getall(hdrs.CACHE_CONTROL, ()))
    if said.fields("no-cache") == frozenset() or "no-cache" in request:
        return Reuse.VALIDATE
    old = age(stored, now)
    left = lifetime(stored) - old
    most, least = request.seconds("max-age"), request.seconds("min-fresh")
    if most is not None and (old > most or most == 0):
        return Reuse.VALIDATE
    if least is not None and left < least:
        return Reuse.VALIDATE
    if left > 0:
        return Reuse.SERVE
    if "must-revalidate" in said:
        return Reuse.VALIDATE
    if _covers(request.seconds("max-stale", bare=LONGEST), left):
        return Reuse.SERVE
    if _covers(said.seconds("stale-while-revalidate"), left):
        return Reuse.SERVE_AND_VALIDATE
    return Reuse.VALIDATE


def stands_in(stored: Stored, request: CacheControl, now: float, allowed: float) -> bool:
    """Return whether a stale response may be served where the server fails (RFC 5861, section 4).

    Args:
        stored: matches the request.
        request: the directives of the request.
        now: seconds since the epoch.
        allowed: for how many seconds after it was fresh the user allows that.
    """
    said = CacheControl(stored.headers.getall(hdrs.CACHE_CONTROL, ()))
    if said.fields("no-cache") == frozenset() or "must-revalidate" in said or "no-cache" in request:
        return False
    left = lifetime(stored) - age(stored, now)
    limits = (said.seconds("stale-if-error"), request.seconds("stale-if-error"), allowed)
    return left > 0 or any(_covers(limit, left) for limit in limits)


def _covers(limit: float | None, left: float) -> bool:
    return bool(limit) and -left <= (limit or 0)


# -- other responses -----------------------------------------------------------------


def is_about(stored: Stored, response: Headers) -> bool:
    """Return whether a 304 is about ``stored`` (section 4.3.4)."""
    tag, own = response.get(hdrs.ETAG), stored.headers.get(hdrs.ETAG)
    return tag is None or own is None or tag.removeprefix("W/") == own.removeprefix("W/")


def invalidated(url: URL, status: int, response: Headers) -> Iterable[URL]:
    """Return the URLs that a request of an unsafe method has made wrong (section 4.4)."""
    if not 200 <= status < 400:
        return
    yield url
    for name in (hdrs.LOCATION, hdrs.CONTENT_LOCATION):
        if name in response:
            try:
                other = url.join(URL(response[name], encoded=True))
            except ValueError:
                continue
            if origin_of(other) == origin_of(url):  # no server has a say about another's
                yield other
