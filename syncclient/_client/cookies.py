"""Cookie jars: created anywhere, used on the loop thread.

A jar of the face holds a live jar, which the engine uses. Which thread does what:

- Once a session uses the jar, only the loop thread accesses the live jar, for every request.
  The methods here cross over, so there is no lock that the loop could wait for.
- They get copies or immutable values back. Morsels are created, files are read and written, and
  predicates run in the calling thread.
- The list of public suffixes is read in the thread that creates or unpickles a jar.
"""

from __future__ import annotations

import copy
import functools
import os
import pickle
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http.cookies import BaseCookie, Morsel, SimpleCookie
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

from aiohttp.abc import AbstractCookieJar

from .._async.cookies.jar import NOWHERE, JarSettings, LiveCookieJar
from .._async.cookies.views import EmptyCookieJar, PassingCookieJar
from .._async.engine.client import copy_of_jar
from .._boundary.loop_thread import default_loop_thread
from .._boundary.portal import Portal
from .._exceptions import SessionClosedError
from .._types import LooseCookies, StrOrURL
from .._urls import checked_url
from .arguments import check_cookies
from .cookie_files import json_text, make_private, netscape_text, read_cookies

R = TypeVar("R")
J = TypeVar("J", bound=AbstractCookieJar)


class BaseCookieJar(JarSettings, Generic[J]):
    """The common methods of all cookie jars. Any thread may use one; each method crosses once."""

    def __init__(self, live: J) -> None:
        self._live = live
        self._portal: Portal[Any] | None = None
        self._loop_thread = default_loop_thread
        self._unsafe = live.unsafe
        self._quote_cookie = live.quote_cookie
        # Jars written by users may not have it.
        self._treat_as_secure_origin = getattr(live, "treat_as_secure_origin", frozenset())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __len__(self) -> int:
        return self._do(len)

    def __iter__(self) -> Iterator[Morsel[str]]:
        """Iterate over copies of the cookies, all taken in one crossing."""
        return iter(self._do(copied_morsels))

    @property
    def cookies(self) -> Mapping[tuple[str, str], SimpleCookie]:
        """A copy of the cookies, by domain and path."""
        return MappingProxyType(self._do(lambda jar: copy.deepcopy(dict(jar.cookies))))

    @property
    def host_only_cookies(self) -> frozenset[tuple[str, str, str]]:
        """The (domain, path, name) of cookies that subdomains do not get."""
        return self._do(lambda jar: jar.host_only_cookies)

    def filter_cookies(self, request_url: StrOrURL = NOWHERE) -> BaseCookie[str]:
        """Return the cookies that a request to ``request_url`` would carry."""
        url = checked_url(request_url, "request_url")
        return self._do(lambda jar: copy.deepcopy(jar.filter_cookies(url)))

    def update_cookies(self, cookies: LooseCookies, response_url: StrOrURL = NOWHERE) -> None:
        """Set cookies as a response from ``response_url`` would; without it, for every host.

        Raises:
            ValueError: a name or a value cannot be sent; the message names the cookie.
        """
        url, checked = checked_url(response_url, "response_url"), check_cookies("cookies", cookies)
        self._do(lambda jar: jar.update_cookies(checked, url))

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: StrOrURL) -> None:
        """Set the cookies of ``Set-Cookie`` headers of a response from ``response_url``."""
        url, copied = checked_url(response_url, "response_url"), list(headers)
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
        # Copying a jar must not make a session open its pool.
        used = self._portal is not None and self._portal.leased
        live = (self._do if used else self._do_without_session)(self._copied)
        state = {**self.__dict__, "_live": live, "_portal": None}
        del state["_loop_thread"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._loop_thread = default_loop_thread

    def _copied(self, live: J) -> J:
        """Return a copy of the live jar. Loop thread only."""
        return copy.deepcopy(live)

    def _attach(self, portal: Portal[Any]) -> None:
        """Use the portal of a session that has this jar, from now on."""
        if portal.loop_thread is not self._loop_thread and self._portal is not None:
            raise ValueError(
                "this cookie jar belongs to sessions of another loop_thread: only one thread "
                "may use it, so create a second jar"
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
            except SessionClosedError:  # another thread has just closed it
                pass
        return self._do_without_session(operation)

    def _do_without_session(self, operation: Callable[[J], R]) -> R:
        # The loop thread may have to start and end just for this.
        borrowed = Portal(self._loop_thread, object, _nothing_to_close, name="CookieJar")
        try:
            return borrowed.call(_apply, operation, self._live)
        finally:
            borrowed.close(functools.partial(SessionClosedError, "the cookie jar is busy"))


class CookieJar(BaseCookieJar[LiveCookieJar]):
    """Cookies by the rules of RFC 6265bis, shared by the sessions it is given to.

    Args:
        unsafe: whether to accept cookies from hosts that are IP addresses, as browsers do.
        quote_cookie: whether to quote values and escape special characters in them, as aiohttp
            does; otherwise values are sent unchanged.
        treat_as_secure_origin: origins, such as ``http://intranet``, that may set and get
            cookies marked Secure although they do not use TLS. Servers on ``localhost`` and on
            loopback addresses may do so as well, for the cookies that they set themselves.

    The number of cookies is limited as in browsers: 180 per site, counting all of its hosts, and
    about 3,000 in total; the least recently used ones are deleted. Iteration yields copies of
    the cookies, as ``http.cookies.Morsel``: ``coded_value`` is the value on the wire, ``value``
    the same without surrounding quotes. Any thread may use a jar; each method blocks for one
    crossing to the loop thread. Source: aiohttp.CookieJar, without ``loop``.
    """

    def __init__(
        self,
        *,
        unsafe: bool = True,
        quote_cookie: bool = False,
        treat_as_secure_origin: StrOrURL | Iterable[StrOrURL] | None = None,
    ) -> None:
        live = LiveCookieJar(
            unsafe=unsafe,
            quote_cookie=quote_cookie,
            treat_as_secure_origin=treat_as_secure_origin,
        )
        super().__init__(live)

    def __iter__(self) -> Iterator[Morsel[str]]:
        """Iterate over copies of the cookies, all taken in one crossing."""
        return iter([cookie.morsel() for cookie in self._do(LiveCookieJar.records)])

    def clear(self, predicate: Callable[[Morsel[str]], bool] | None = None) -> None:
        """Remove all cookies, or those for which ``predicate``, run in this thread, is true."""
        if predicate is None:
            super().clear()
            return
        doomed = [c for c in self._do(LiveCookieJar.records) if predicate(c.morsel())]
        self._do(lambda jar: jar.discard(doomed))

    def save(
        self, file_path: str | os.PathLike[str], *, format: Literal["json", "netscape"] = "json"
    ) -> None:
        """Write the cookies to a file that only its owner may read.

        Args:
            file_path: the file; an existing file is overwritten.
            format: ``"json"`` is aiohttp's own, which stores all attributes of the cookies.
                ``"netscape"`` is the cookies.txt of curl, wget and browsers. It leaves out
                cookies for every host, such as those of ``Session(cookies=...)``, cookies of
                Unix sockets and, with a warning, cookies that contain a tab.

        Raises:
            OSError: the file cannot be written.
            ValueError: there is no such format.
        """
        if format not in ("json", "netscape"):
            raise ValueError(f"format must be 'json' or 'netscape', not {format!r}")
        path = os.fspath(file_path)
        cookies = self._do(LiveCookieJar.records)
        misfits: list[str] = []
        if format == "json":
            data = json_text(cookies)
        else:
            data, misfits = netscape_text(cookies)
        make_private(path)
        with open(path, "wb") as file:
            file.write(data)
        _warn_of(path, misfits)

    def load(self, file_path: str | os.PathLike[str]) -> None:
        """Replace the cookies by those in a file, whose format is detected.

        The file may be written by ``save``, by aiohttp's ``save``, as a cookies.txt by curl, wget,
        a browser add-on or any other program, or as JSON by an add-on, Playwright, Puppeteer or
        Selenium. A malformed line or entry is skipped, with a warning that gives its number. An
        empty file has no cookies.

        Raises OSError, ValueError or pickle.UnpicklingError if the file is missing or
        malformed; the jar is then unchanged.
        """
        path = os.fspath(file_path)
        loaded = LiveCookieJar(unsafe=self._unsafe)
        try:
            cookies, odd = read_cookies(path)
            loaded.restore(cookies)
        except (OSError, pickle.UnpicklingError):
            raise
        except ValueError as exc:
            raise ValueError(f"{path} is not a file of cookies: {exc}") from exc
        except Exception as exc:
            raise ValueError(f"{path} is not a file of cookies as written by save()") from exc
        self._do(lambda jar: jar.adopt(loaded))
        _warn_of(path, odd)


class DummyCookieJar(BaseCookieJar[EmptyCookieJar]):
    """A jar that keeps nothing, for sessions without cookies. Source: aiohttp.DummyCookieJar."""

    def __init__(self) -> None:
        super().__init__(EmptyCookieJar())


class PassingJar(BaseCookieJar[PassingCookieJar]):
    """The jar of the one-shot functions: cookies last as long as the redirects of one call."""

    def __init__(self) -> None:
        super().__init__(PassingCookieJar())


class WrappedCookieJar(BaseCookieJar[AbstractCookieJar]):
    """A session's view of one of aiohttp's jars, or of one written for aiohttp by a user.

    The jar keeps its own rules. From the first request on, its methods are called on the loop
    thread and must not block.
    """

    def _copied(self, live: AbstractCookieJar) -> AbstractCookieJar:
        return copy_of_jar(live)


#: Lets sessions with the same jar share its view.
_wrapped: weakref.WeakValueDictionary[int, WrappedCookieJar] = weakref.WeakValueDictionary()


def jar_for(given: object) -> BaseCookieJar[Any]:
    """Return the jar that a session uses for this argument; a new jar for None.

    Raises:
        TypeError: it is not a cookie jar.
    """
    if given is None:
        return CookieJar()
    if isinstance(given, BaseCookieJar):
        return given
    if not isinstance(given, AbstractCookieJar):
        raise TypeError(
            "cookie_jar must be a syncclient.CookieJar or DummyCookieJar, or an "
            "aiohttp.abc.AbstractCookieJar, "
            f"not {type(given).__module__}.{type(given).__qualname__}"
        )
    wrapped = _wrapped.get(id(given))
    if wrapped is None or wrapped._live is not given:
        wrapped = _wrapped[id(given)] = WrappedCookieJar(given)
    return wrapped


def _warn_of(path: str, left_out: Iterable[str]) -> None:
    """Issue warnings that point to the caller of the calling method."""
    for what in left_out:
        warnings.warn(f"{path}: {what}, and is left out", stacklevel=3)


async def _apply(resident: object, operation: Callable[[J], R], live: J) -> R:
    return operation(live)


async def _nothing_to_close(resident: object) -> None:
    pass


def copied_morsels(jar: AbstractCookieJar) -> list[Morsel[str]]:
    """Return copies of the cookies in ``jar``, which the caller may keep."""
    return [copy.copy(morsel) for morsel in jar]


def identity(morsel: Morsel[str]) -> tuple[str, str, str]:
    """Return the key that identifies a cookie (RFC 6265, section 5.3)."""
    return morsel["domain"], morsel["path"], morsel.key
