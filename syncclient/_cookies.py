"""Cookie jars: made anywhere, kept on the loop thread.

The live jar is aiohttp's, and once it is in use only the loop thread touches it, as it
does for every request. The methods here cross over to it, so there is no lock that the
loop might have to wait for. Files are read and written in the caller's thread.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http.cookies import BaseCookie, Morsel, SimpleCookie
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar, cast

import aiohttp
from aiohttp.abc import AbstractCookieJar
from yarl import URL

from ._cookie_files import from_netscape, make_private, netscape_text, to_netscape
from ._exceptions import SessionClosedError
from ._loop_thread import default_loop_thread
from ._portal import Portal
from ._types import LooseCookies, StrOrURL

R = TypeVar("R")
J = TypeVar("J", bound=AbstractCookieJar)

#: The default of aiohttp's own methods: no host in particular.
_NOWHERE = URL()


class BaseCookieJar(Generic[J]):
    """What all cookie jars can do. Any thread may use one; each method crosses once."""

    def __init__(self, live: J) -> None:
        self._live = live
        self._portal: Portal[Any] | None = None
        self._loop_thread = default_loop_thread
        self._unsafe = live.unsafe
        self._quote_cookie = live.quote_cookie
        self._treat_as_secure_origin = live.treat_as_secure_origin

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __len__(self) -> int:
        return self._do(len)

    def __iter__(self) -> Iterator[Morsel[str]]:
        """Iterate over copies of the cookies, all taken in one crossing."""
        return iter(self._do(copied_morsels))

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
        """Origins that get cookies marked Secure although they do not speak TLS."""
        return self._treat_as_secure_origin

    def filter_cookies(self, request_url: StrOrURL = _NOWHERE) -> BaseCookie[str]:
        """Return the cookies that a request to ``request_url`` would carry."""
        url = URL(request_url)
        return self._do(lambda jar: copy.deepcopy(jar.filter_cookies(url)))

    def update_cookies(self, cookies: LooseCookies, response_url: StrOrURL = _NOWHERE) -> None:
        """Set cookies as a response from ``response_url`` would; without it, for every host."""
        url = URL(response_url)
        # A copy, made here: whatever mapping or iterator it is, it is the caller's.
        copied = list(cookies.items() if isinstance(cookies, Mapping) else cookies)
        self._do(lambda jar: jar.update_cookies(copied, url))

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: StrOrURL) -> None:
        """Set the cookies of ``Set-Cookie`` headers of a response from ``response_url``."""
        url, copied = URL(response_url), list(headers)
        self._do(lambda jar: jar.update_cookies_from_headers(copied, url))

    def clear(self, predicate: Callable[[Morsel[str]], bool] | None = None) -> None:
        """Remove all cookies, or those for which ``predicate``, run in this thread, is true."""
        if predicate is None:
            self._do(lambda jar: jar.clear())
            return
        doomed = {identity(morsel) for morsel in self if predicate(morsel)}
        self._do(lambda jar: jar.clear(lambda morsel: identity(morsel) in doomed))

    def clear_domain(self, domain: str) -> None:
        """Remove the cookies of ``domain`` and its subdomains."""
        self._do(lambda jar: jar.clear_domain(domain))

    def __getstate__(self) -> dict[str, Any]:
        # To be copied is no reason for a session to open its pool.
        used = self._portal is not None and self._portal.leased
        live = (self._do if used else self._do_without_session)(copy.deepcopy)
        state = {**self.__dict__, "_live": live, "_portal": None}
        del state["_loop_thread"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._loop_thread = default_loop_thread

    def _attach(self, portal: Portal[Any]) -> None:
        """Cross by the door of a session that the jar was given to from now on."""
        if portal.loop_thread is not self._loop_thread and self._portal is not None:
            raise ValueError(
                "this cookie jar belongs to sessions of another loop_thread: only one thread "
                "may touch it, so make a second jar"
            )
        self._portal = portal
        self._loop_thread = portal.loop_thread

    def _live_jar(self) -> AbstractCookieJar:
        """Return the live jar for a session. Loop thread only."""
        return self._live

    def _do(self, operation: Callable[[J], R]) -> R:
        """Run ``operation`` on the loop thread. Blocks for one crossing."""
        portal = self._portal
        if portal is not None and not portal.closed:
            try:
                return portal.call(_apply, operation, self._live)
            except SessionClosedError:  # by another thread just now
                pass
        return self._do_without_session(operation)

    def _do_without_session(self, operation: Callable[[J], R]) -> R:
        # The loop thread may have to start, and end, for this alone.
        borrowed = Portal(self._loop_thread, object, _nothing_to_close, name="CookieJar")
        try:
            return borrowed.call(_apply, operation, self._live)
        finally:
            borrowed.close(functools.partial(SessionClosedError, "the cookie jar is busy"))


class CookieJar(BaseCookieJar[aiohttp.CookieJar]):
    """Cookies by the rules of RFC 6265, shared by the sessions it is given to.

    Args:
        unsafe: whether to accept cookies from hosts that are IP addresses.
        quote_cookie: whether to quote values that need it.
        treat_as_secure_origin: origins, such as ``http://localhost:8080``, that get
            cookies marked Secure although they do not speak TLS.

    Iteration yields copies of the cookies, as ``http.cookies.Morsel``. Any thread may
    use a jar; each method blocks for one crossing to the loop thread. Source:
    aiohttp.CookieJar, without ``loop``.
    """

    def __init__(
        self,
        *,
        unsafe: bool = False,
        quote_cookie: bool = True,
        treat_as_secure_origin: StrOrURL | Iterable[StrOrURL] | None = None,
    ) -> None:
        live = aiohttp.CookieJar(
            unsafe=unsafe,
            quote_cookie=quote_cookie,
            treat_as_secure_origin=treat_as_secure_origin,
            loop=_NO_LOOP,
        )
        super().__init__(live)

    @property
    def cookies(self) -> Mapping[tuple[str, str], SimpleCookie]:
        """A copy of the cookies, by domain and path."""
        return MappingProxyType(self._do(lambda jar: copy.deepcopy(dict(jar.cookies))))

    @property
    def host_only_cookies(self) -> frozenset[tuple[str, str, str]]:
        """The (domain, path, name) of cookies that subdomains do not get."""
        return self._do(lambda jar: jar.host_only_cookies)

    def save(
        self, file_path: str | os.PathLike[str], *, format: Literal["json", "netscape"] = "json"
    ) -> None:
        """Write the cookies to a file that only its owner may read.

        Args:
            file_path: the file; one that is there is overwritten.
            format: ``"json"`` is aiohttp's own, which holds all there is of each cookie.
                ``"netscape"`` is the cookies.txt of curl, wget and browsers. It leaves out
                the cookies for every host, such as those of ``Session(cookies=...)``.

        Raises:
            OSError: the file cannot be written.
            ValueError: there is no such format; or a cookie does not fit into it.
        """
        if format not in ("json", "netscape"):
            raise ValueError(f"format must be 'json' or 'netscape', not {format!r}")
        path = os.fspath(file_path)
        jar = self._do(copy.deepcopy)
        if format == "json":
            make_private(path)
            jar.save(path)
            return
        data = to_netscape(jar).encode()
        make_private(path)
        with open(path, "wb") as file:
            file.write(data)

    def load(self, file_path: str | os.PathLike[str]) -> None:
        """Replace the cookies by those of a file, whose format is seen from its beginning.

        It is one that ``save`` or aiohttp's wrote, or a cookies.txt of any other program, which
        begins with ``# Netscape HTTP Cookie File``.

        Raises OSError, ValueError or pickle.UnpicklingError where the file is missing
        or malformed; the jar is then as it was.
        """
        path = os.fspath(file_path)
        loaded = self._do(copy.deepcopy)
        try:
            text = netscape_text(path)
            if text is None:
                loaded.load(path)
            else:
                loaded.clear()
                from_netscape(text, loaded)
        except (OSError, pickle.UnpicklingError):
            raise
        except ValueError as exc:
            raise ValueError(f"{path} does not hold cookies: {exc}") from exc
        except Exception as exc:
            raise ValueError(f"{path} does not hold cookies as save() writes them") from exc
        self._do(lambda jar: jar.__dict__.update(loaded.__dict__))


class DummyCookieJar(BaseCookieJar[aiohttp.DummyCookieJar]):
    """A jar that keeps nothing, for sessions without cookies. Source: aiohttp.DummyCookieJar."""

    def __init__(self) -> None:
        super().__init__(aiohttp.DummyCookieJar(loop=_NO_LOOP))

    @property
    def cookies(self) -> Mapping[tuple[str, str], SimpleCookie]:
        """Nothing."""
        return MappingProxyType({})

    @property
    def host_only_cookies(self) -> frozenset[tuple[str, str, str]]:
        """Nothing."""
        return frozenset()


class _NoLoop:
    """Stands for the loop that aiohttp's jars want, and do nothing with but keep it."""


_NO_LOOP = cast(asyncio.AbstractEventLoop, _NoLoop())


async def _apply(resident: object, operation: Callable[[J], R], live: J) -> R:
    return operation(live)


async def _nothing_to_close(resident: object) -> None:
    pass


def copied_morsels(jar: AbstractCookieJar) -> list[Morsel[str]]:
    """Return copies of the cookies in ``jar``, which the caller may keep."""
    return [copy.copy(morsel) for morsel in jar]


def identity(morsel: Morsel[str]) -> tuple[str, str, str]:
    """Return what tells a cookie from all others (RFC 6265, section 5.3)."""
    return morsel["domain"], morsel["path"], morsel.key
