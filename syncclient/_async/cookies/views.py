"""Cookie jars for special sessions: without cookies, with those of redirects, over a socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from http.cookies import BaseCookie, Morsel, SimpleCookie
from types import MappingProxyType

from aiohttp import hdrs
from aiohttp.abc import AbstractCookieJar
from yarl import URL

from ..._types import LooseCookies
from ..exchange.lean_response import AnyResponse
from .jar import NOWHERE, JarSettings, LiveCookieJar
from .public_suffixes import load_rules
from .sent import SentCookies


class EmptyCookieJar(JarSettings, AbstractCookieJar):
    """A jar that stores nothing. Create it anywhere."""

    def __init__(self) -> None:
        # Not super().__init__(): it wants a running loop, only to remember it.
        pass

    @property
    def cookies(self) -> MappingProxyType[tuple[str, str], SimpleCookie]:
        """Nothing."""
        return MappingProxyType({})

    @property
    def host_only_cookies(self) -> frozenset[tuple[str, str, str]]:
        """Nothing."""
        return frozenset()

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Morsel[str]]:
        return iter(())

    def clear(self, predicate: Callable[[Morsel[str]], bool] | None = None) -> None:
        """Do nothing."""

    def clear_domain(self, domain: str) -> None:
        """Do nothing."""

    def update_cookies(self, cookies: LooseCookies, response_url: URL = NOWHERE) -> None:
        """Do nothing."""

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        """Do nothing."""

    def filter_cookies(self, request_url: URL = NOWHERE) -> SentCookies:
        """Return an empty collection; the engine adds the cookies of the request to it."""
        return SentCookies()


#: The cookies of the redirects that are being followed; None where none are.
_passing: ContextVar[LiveCookieJar | None] = ContextVar("syncclient_passing", default=None)


class PassingCookieJar(EmptyCookieJar):
    """A jar that keeps cookies only while redirects are followed.

    Many pages set a cookie, redirect to themselves, and check whether the cookie is sent: without
    it, the redirects would never end. requests and httpx do the same.
    """

    def __init__(self) -> None:
        super().__init__()
        load_rules()

    async def follow(self, redirected: AnyResponse, hops: Awaitable[AnyResponse]) -> AnyResponse:
        """Return the result of ``hops``, the requests that follow ``redirected``."""
        token = _passing.set(LiveCookieJar())
        try:
            headers = redirected.headers.getall(hdrs.SET_COOKIE, ())
            self.update_cookies_from_headers(headers, redirected.url)
            return await hops
        finally:
            _passing.reset(token)

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        """Keep the cookies of a redirect, and of the responses that follow it."""
        if (jar := _passing.get()) is not None:
            jar.update_cookies_from_headers(headers, response_url)

    def filter_cookies(self, request_url: URL = NOWHERE) -> SentCookies:
        """Return the cookies for a hop; an empty collection for the first request."""
        jar = _passing.get()
        return SentCookies() if jar is None else jar.filter_cookies(request_url)


class CookiesOver(JarSettings, AbstractCookieJar):
    """A view of a jar for a session whose connections all go to one Unix socket or named pipe.

    The server is not the one that the host of the URL names on the network.
    """

    def __init__(self, jar: LiveCookieJar, path: str) -> None:
        self._jar = jar
        self._path = path
        self._unsafe, self._quote_cookie = jar.unsafe, jar.quote_cookie
        self._treat_as_secure_origin = jar.treat_as_secure_origin

    @property
    def cookies(self) -> MappingProxyType[tuple[str, str], SimpleCookie]:
        """Everything in the jar."""
        return self._jar.cookies

    @property
    def host_only_cookies(self) -> frozenset[tuple[str, str, str]]:
        """Everything in the jar."""
        return self._jar.host_only_cookies

    def __len__(self) -> int:
        return len(self._jar)

    def __iter__(self) -> Iterator[Morsel[str]]:
        return iter(self._jar)

    def clear(self, predicate: Callable[[Morsel[str]], bool] | None = None) -> None:
        """Clear the jar."""
        self._jar.clear(predicate)

    def clear_domain(self, domain: str) -> None:
        """Clear the jar of a domain."""
        self._jar.clear_domain(domain)

    def update_cookies(self, cookies: LooseCookies, response_url: URL = NOWHERE) -> None:
        """Set cookies of this server."""
        self._jar.set_values(cookies, response_url, self._path)

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        """Set cookies of this server."""
        self._jar.set_from_headers(headers, response_url, self._path)

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:
        """Return the cookies of this server."""
        return self._jar.cookies_for(request_url, self._path)
