"""The cookies of a client, kept and sent by the rules of RFC 6265bis, sections 5.7 and 5.8."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http.cookies import Morsel, SimpleCookie
from types import MappingProxyType
from typing import Any

from aiohttp.abc import AbstractCookieJar
from yarl import URL

from ..._hosts import is_ip_address
from ..._types import LooseCookies, StrOrURL
from ..._urls import checked_url
from ..connect.tcp import socket_to
from .cookie import EVERYWHERE, PREFIXES, Cookie, Identity, Site, expiry, given, site_of
from .hosts import canonical_domain, default_path, domain_match, is_loopback, path_match
from .kept import Choice, Kept, Place, Repeated, choose, place_of
from .public_suffixes import is_public_suffix, load_rules
from .sent import SentCookies
from .set_cookie import SetCookie, parse_set_cookie

#: Maximum number of cookies of a site, all its hosts together; and of all sites.
MAX_PER_SITE = 180
MAX_TOTAL = 3300
#: How many are kept when there are too many, so that they are not sorted every time.
_KEPT_TOTAL = 3000
#: How many places, and how many headers, are remembered.
_REMEMBERED = 128

_ENCRYPTED = frozenset({"https", "wss"})
_SIMPLE_COOKIE = SimpleCookie()

#: The default of aiohttp's own methods: no host in particular.
NOWHERE = URL()


class JarSettings:
    """The settings of a jar. They never change."""

    _unsafe = True
    _quote_cookie = False
    _treat_as_secure_origin: frozenset[URL] = frozenset()

    @property
    def unsafe(self) -> bool:
        """Whether cookies from hosts that are IP addresses are accepted."""
        return self._unsafe

    @property
    def quote_cookie(self) -> bool:
        """Whether values that need it are quoted."""
        return self._quote_cookie

    @property
    def treat_as_secure_origin(self) -> frozenset[URL]:
        """Origins that get cookies marked Secure although they do not use TLS."""
        return self._treat_as_secure_origin


class LiveCookieJar(JarSettings, AbstractCookieJar):
    """The jar that the engine uses. Create it anywhere; once a session uses it, event loop only.

    Args:
        unsafe: whether hosts that are IP addresses may have cookies.
        quote_cookie: whether values that need it by RFC 6265 are sent in quotes.
        treat_as_secure_origin: origins that are treated as if they used TLS.

    Reads the list of public suffixes when it is created.
    """

    def __init__(
        self,
        *,
        unsafe: bool = True,
        quote_cookie: bool = False,
        treat_as_secure_origin: StrOrURL | Iterable[StrOrURL] | None = None,
    ) -> None:
        # Not super().__init__(): it wants a running loop, only to remember it.
        self._unsafe = unsafe
        self._quote_cookie = quote_cookie
        if treat_as_secure_origin is None:
            treat_as_secure_origin = ()
        elif isinstance(treat_as_secure_origin, (str, URL)):
            treat_as_secure_origin = (treat_as_secure_origin,)
        self._treat_as_secure_origin = frozenset(
            checked_url(o, "treat_as_secure_origin").origin() for o in treat_as_secure_origin
        )
        self._sites: dict[Site, dict[Identity, Kept]] = {}
        self._count = 0
        self._clock = 0
        # Both hold until other cookies would be sent: most requests have those of the one before,
        # and many servers set the same cookies with each response.
        self._choices: dict[Place, Choice] = {}
        self._repeated: dict[tuple[str, Place], Repeated] = {}
        load_rules()

    def __getstate__(self) -> dict[str, Any]:
        held = {"_sites": None, "_choices": None, "_repeated": None}
        return {**self.__dict__, **held, "cookies": self.records()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        load_rules()
        records = state.pop("cookies")
        vars(self).update(state, _sites={}, _count=0, _clock=0, _choices={}, _repeated={})
        for cookie in records:
            self.keep(cookie)

    @property
    def cookies(self) -> MappingProxyType[tuple[str, str], SimpleCookie]:
        """Copies of the cookies, by domain and path."""
        found: dict[tuple[str, str], SimpleCookie] = {}
        for cookie in self.records():
            by_name = found.setdefault((cookie.domain, cookie.path.rstrip("/")), SimpleCookie())
            dict.__setitem__(by_name, cookie.name, cookie.morsel())
        return MappingProxyType(found)

    @property
    def host_only_cookies(self) -> frozenset[tuple[str, str, str]]:
        """The domain, path and name of cookies that are not sent to hosts below the domain."""
        return frozenset(
            (c.domain, c.path.rstrip("/"), c.name)
            for c in self.records()
            if c.host_only and c.domain
        )

    def __len__(self) -> int:
        self._drop_expired()
        return self._count

    def __iter__(self) -> Iterator[Morsel[str]]:
        return iter([cookie.morsel() for cookie in self.records()])

    def records(self) -> list[Cookie]:
        """Return all cookies, the oldest first."""
        self._drop_expired()
        kept = [each for site in self._sites.values() for each in site.values()]
        return [each.cookie for each in sorted(kept, key=_age)]

    # -- setting ---------------------------------------------------------------------

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        """Store the cookies of a response's ``Set-Cookie`` headers."""
        self.set_from_headers(headers, response_url, socket_to(response_url))

    def set_from_headers(self, headers: Sequence[str], url: URL, socket: str | None) -> None:
        """Like ``update_cookies_from_headers``, for a response from a Unix ``socket``."""
        place = place_of(url, socket)
        for header in headers:
            repeated = self._repeated.get((header, place))
            if repeated is not None and repeated.kept.cookie is repeated.cookie:
                self._clock += 1
                repeated.kept.used = self._clock
            elif (parsed := parse_set_cookie(header)) is not None:
                kept = self._set(parsed, url, socket)
                if kept is not None and kept.cookie.expires is None:
                    if len(self._repeated) >= _REMEMBERED:
                        self._repeated.clear()
                    self._repeated[header, place] = Repeated(kept, kept.cookie)

    def update_cookies(self, cookies: LooseCookies, response_url: URL = NOWHERE) -> None:
        """Store cookies as if a response had set them; without URL and domain, for every host."""
        self.set_values(cookies, response_url, socket_to(response_url))

    def set_values(self, cookies: LooseCookies, url: URL, socket: str | None) -> None:
        """Like ``update_cookies``, for a response from a Unix ``socket``."""
        pairs: Any = cookies.items() if isinstance(cookies, Mapping) else cookies
        for name, value in pairs:
            self._set(given(name, value, for_all=not url.raw_host), url, socket)

    def _set(self, parsed: SetCookie, url: URL, socket: str | None) -> Kept | None:
        cookie = self._accepted(parsed, url, socket)
        if cookie is None:
            return None
        kept = self.keep(cookie)
        if kept is not None and kept.created == kept.used:
            self._limit(cookie.site)
        return kept

    def _accepted(self, parsed: SetCookie, url: URL, socket: str | None) -> Cookie | None:
        """Return the cookie to store, or None if it has to be ignored."""
        name, value, attributes = parsed
        lower = name.lower() or value.lower()
        host = url.raw_host or ""
        if not self._unsafe and is_ip_address(host):
            return None
        given_domain = attributes.get("domain")
        domain = canonical_domain(given_domain) if isinstance(given_domain, str) else ""
        if domain is None:
            return None
        host_only = not domain
        if domain:
            if host and not domain_match(host, domain):
                return None
            if is_ip_address(domain) or is_public_suffix(domain):
                if host and host != domain:
                    return None
                host_only = True
        else:
            domain = host
        given_path = attributes.get("path", "")
        has_path = isinstance(given_path, str) and given_path.startswith("/")
        path = str(given_path) if has_path else default_path(url.raw_path)
        secure = bool(attributes.get("secure"))
        encrypted = not host or self._is_encrypted(url)
        # As in browsers and curl, so that cookies of local servers can be tried out.
        trusted = encrypted or is_loopback(host)
        if secure and not trusted:
            return None
        # Cookies that the user sends to every host need not keep the promises of their prefix.
        if host and lower.startswith(PREFIXES) and not (name and secure):
            return None
        if host and lower.startswith("__host-") and not (host_only and has_path and path == "/"):
            return None
        cookie = Cookie(
            name,
            value,
            domain,
            host_only,
            path,
            secure,
            expiry(attributes),
            attributes,
            socket if domain else None,
            secure and not encrypted,
        )
        if not (secure or trusted) and self._hides(cookie):
            return None
        return cookie

    def _is_encrypted(self, url: URL) -> bool:
        if url.scheme in _ENCRYPTED:
            return True
        secure = self._treat_as_secure_origin
        return bool(secure and url.absolute and url.scheme) and url.origin() in secure

    def _hides(self, new: Cookie) -> bool:
        """Return whether ``new``, from an insecure origin, would hide a Secure cookie."""
        for kept in self._sites.get(new.site, {}).values():
            old = kept.cookie
            if (
                old.secure
                and old.name == new.name
                and (domain_match(new.domain, old.domain) or domain_match(old.domain, new.domain))
                and path_match(new.path, old.path)
                and (old.expires is None or old.expires > time.time())
            ):
                return True
        return False

    def keep(self, cookie: Cookie) -> Kept | None:
        """Store ``cookie``, replacing the one with the same identity; return it as it is stored.

        An expired cookie deletes that one, and is not stored: this is how servers log users out.
        """
        where, identity, now = cookie.site, cookie.identity, time.time()
        site = self._sites.get(where)
        old = None if site is None else site.get(identity)
        if cookie.expires is not None and cookie.expires <= now:
            if old is not None:
                self._remove([old])
            return None
        self._clock += 1
        if old is not None and cookie.prolongs(old.cookie, now):
            old.cookie, old.used = cookie, self._clock
            return old
        self._forget()
        new = Kept(cookie, self._clock)
        if old is not None:
            new.created = old.created
        else:
            self._count += 1
        if site is None:
            site = self._sites[where] = {}
        site[identity] = new
        return new

    def _forget(self) -> None:
        """Forget what held for the cookies until now: they change."""
        self._choices.clear()
        self._repeated.clear()

    def restore(self, cookies: Iterable[Cookie]) -> None:
        """Store cookies that were read from a file."""
        for cookie in cookies:
            if is_ip_address(cookie.domain):
                if not self._unsafe:
                    continue
                cookie = cookie._replace(host_only=True)
            elif cookie.domain and is_public_suffix(cookie.domain):
                cookie = cookie._replace(host_only=True)
            self.keep(cookie)
        for site in list(self._sites):
            self._limit(site)

    # -- limits ----------------------------------------------------------------------

    def _limit(self, changed: Site) -> None:
        """Enforce the limits: remove expired cookies, then the least recently used.

        Within a site, cookies without Secure go first. Cookies for every host come from the
        user and do not count.
        """
        site = self._sites.get(changed, {})
        if len(site) > MAX_PER_SITE and changed != EVERYWHERE:
            self._drop_expired(changed)
            kept = sorted(site.values(), key=lambda each: (each.cookie.secure, each.used))
            self._remove(kept[: max(0, len(kept) - MAX_PER_SITE)])
        if self._count > MAX_TOTAL:
            self._drop_expired()
            every = [k for key, s in self._sites.items() if key != EVERYWHERE for k in s.values()]
            every.sort(key=lambda each: each.used)
            self._remove(every[: max(0, len(every) - _KEPT_TOTAL)])

    def _drop_expired(self, *sites: Site) -> None:
        now = time.time()
        self._remove(
            [
                kept
                for key in sites or self._sites
                for kept in self._sites[key].values()
                if kept.cookie.expires is not None and kept.cookie.expires <= now
            ]
        )

    def _remove(self, doomed: Sequence[Kept]) -> None:
        if doomed:
            self._forget()
        for kept in doomed:
            site = self._sites[kept.cookie.site]
            del site[kept.cookie.identity]
            self._count -= 1
            if not site:
                del self._sites[kept.cookie.site]

    # -- sending ---------------------------------------------------------------------

    def filter_cookies(self, request_url: URL = NOWHERE) -> SentCookies:
        """Return the cookies of a request, those of the longest path and the oldest first."""
        if not self._count:
            return SentCookies()
        return self.cookies_for(request_url, socket_to(request_url))

    def cookies_for(self, url: URL, socket: str | None) -> SentCookies:
        """Like ``filter_cookies``, for a request to a Unix ``socket``."""
        place = place_of(url, socket)
        choice = self._choices.get(place)
        if choice is None or choice.until <= time.time():
            choice = self._choose(url, socket)
            if len(self._choices) >= _REMEMBERED:
                self._choices.clear()
            self._choices[place] = choice
        self._clock += 1
        for kept in choice.kept:
            kept.used = self._clock
        return choice.sent.copy()

    def _choose(self, url: URL, socket: str | None) -> Choice:
        host = url.raw_host or ""
        found = list(self._sites.get(EVERYWHERE, {}).values())
        if host and (self._unsafe or not is_ip_address(host)):
            found += self._sites.get((socket, site_of(host)), {}).values()
        return choose(found, url, encrypted=self._is_encrypted(url), coded=self._coded)

    def _coded(self, value: str) -> str:
        if self._quote_cookie and not value.startswith('"'):
            return _SIMPLE_COOKIE.value_encode(value)[1]
        return value

    # -- removing --------------------------------------------------------------------

    def clear(self, predicate: Callable[[Morsel[str]], bool] | None = None) -> None:
        """Remove all cookies, or those for which ``predicate`` returns true."""
        if predicate is None:
            self._forget()
            self._sites, self._count = {}, 0
            return
        self.discard([cookie for cookie in self.records() if predicate(cookie.morsel())])

    def clear_domain(self, domain: str) -> None:
        """Remove the cookies of ``domain`` and of the hosts below it."""
        name = canonical_domain(domain) or ""
        self.discard([c for c in self.records() if c.domain and domain_match(c.domain, name)])

    def discard(self, cookies: Iterable[Cookie]) -> None:
        """Remove these cookies, if they are still stored."""
        sites = self._sites
        kept = [sites.get(cookie.site, {}).get(cookie.identity) for cookie in cookies]
        self._remove([each for each in kept if each is not None])

    def adopt(self, other: LiveCookieJar) -> None:
        """Replace all cookies by those of ``other``, which must not be used afterwards."""
        self._forget()
        self._sites, self._count, self._clock = other._sites, other._count, other._clock


def _age(kept: Kept) -> int:
    return kept.created
