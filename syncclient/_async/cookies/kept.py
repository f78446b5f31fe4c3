"""What a jar holds, and which of it a request gets."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from http.cookies import Morsel
from typing import NamedTuple

from yarl import URL

from ..._urls import paths_of
from .cookie import Cookie
from .hosts import is_loopback
from .sent import SentCookies
from .set_cookie import make_morsel

#: What of a request decides about its cookies: the scheme, the host and port, the path, and the
#: Unix socket.
Place = tuple[str, str, str, "str | None"]


class Kept:
    """A cookie in the jar."""

    __slots__ = ("cookie", "created", "sent", "used")

    def __init__(self, cookie: Cookie, created: int) -> None:
        self.cookie = cookie
        self.created = created
        #: When it was last set or sent, by the jar's own clock.
        self.used = created
        #: Its form in requests, as text and as a morsel; None before the first.
        self.sent: tuple[str, Morsel[str]] | None = None


class Choice(NamedTuple):
    """The cookies for one place."""

    kept: Sequence[Kept]
    sent: SentCookies
    #: When the first of them expires, in seconds since the epoch.
    until: float


class Repeated(NamedTuple):
    """A header that has set a cookie, for as long as the jar holds just this."""

    kept: Kept
    cookie: Cookie


def place_of(url: URL, socket: str | None) -> Place:
    """Return the place of a request for ``url``."""
    return url.scheme, url.raw_authority, url.raw_path, socket


def choose(
    found: Iterable[Kept], url: URL, *, encrypted: bool, coded: Callable[[str], str]
) -> Choice:
    """Return the cookies for a request, those of the longest path and the oldest first.

    Args:
        found: the cookies that may be meant.
        url: of the request.
        encrypted: whether it counts as encrypted.
        coded: returns a value as it is sent.
    """
    host = url.raw_host or ""
    path, decoded = paths_of(url)
    ways = time.time(), encrypted, is_loopback(host)
    chosen = [
        kept
        for kept in found
        if kept.cookie.goes_to(host, path, *ways)
        or (decoded != path and kept.cookie.goes_to(host, decoded, *ways))
    ]
    if len(chosen) > 1:
        chosen.sort(key=lambda kept: (-len(kept.cookie.path), kept.created))
    sent = SentCookies()
    for kept in chosen:
        name = kept.cookie.name
        if kept.sent is None:
            value = coded(kept.cookie.value)
            kept.sent = (f"{name}={value}" if name else value), make_morsel(name, value)
        sent.add(name, *kept.sent)
    ends = [kept.cookie.expires for kept in chosen if kept.cookie.expires is not None]
    return Choice(chosen, sent, min(ends, default=math.inf))
