"""requests' Session on the engine, with a shorter way for what most requests are.

Half of what requests costs lies above its adapter: the environment, the URL, the headers and the
cookies are read, merged and copied anew for each request. Here what cannot have changed is kept,
and what is empty is not merged. What comes of it is the same, and whatever is overridden, mocked
or out of the ordinary goes through the methods of requests.
"""

from __future__ import annotations

import os
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from http.cookiejar import CookieJar
from operator import attrgetter, itemgetter
from typing import Any

import requests
from requests import sessions
from requests.cookies import (
    RequestsCookieJar,
    cookiejar_from_dict,
    extract_cookies_to_jar,
    merge_cookies,
)
from requests.models import PreparedRequest
from requests.sessions import merge_setting
from requests.structures import CaseInsensitiveDict
from requests.utils import NETRC_FILES, get_netrc_auth

from ._headers import dict_over, pairs_of, store_of
from ._response import Response
from .adapters import HTTPAdapter

#: What the shorter way stands for. A subclass or a mock that changes one of them is called.
_STEPS = (
    "get_adapter",
    "merge_environment_settings",
    "prepare_request",
    "rebuild_auth",
    "resolve_redirects",
    "send",
    "get_redirect_target",
)
_steps_of = attrgetter(*_STEPS)
_ORIGINAL = _steps_of(requests.Session)
_preparing = attrgetter(
    "_encode_params",
    "prepare",
    "prepare_auth",
    "prepare_body",
    "prepare_cookies",
    "prepare_headers",
    "prepare_url",
)
_PREPARING = _preparing(PreparedRequest)
#: Functions that requests' Session finds in its module, which tests replace there.
_called = itemgetter(
    "cookiejar_from_dict",
    "dispatch_hook",
    "extract_cookies_to_jar",
    "get_environ_proxies",
    "get_netrc_auth",
    "merge_cookies",
    "merge_setting",
)
_CALLED = _called(vars(sessions))

#: Where proxies come from the environment alone.
_ENVIRONMENT_ONLY = sys.platform not in ("darwin", "win32", "cygwin")

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_BODILESS = frozenset({"GET", "HEAD"})


class Session(requests.Session):
    """requests' Session, which sends through the engine of syncclient.

    Everything of it is requests' own, in what it does and in what it can be mocked by.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mount("https://", HTTPAdapter())
        self.mount("http://", HTTPAdapter())

    def request(
        self,
        method: str | bytes,
        url: str | bytes,
        params: Any = None,
        data: Any = None,
        headers: Any = None,
        cookies: Any = None,
        files: Any = None,
        auth: Any = None,
        timeout: Any = None,
        allow_redirects: bool = True,
        proxies: Any = None,
        hooks: Any = None,
        stream: bool | None = None,
        verify: Any = None,
        cert: Any = None,
        json: Any = None,
    ) -> requests.Response:
        """Send a request, and return its response. See ``requests.Session.request``.

        Blocks until the body is here; with ``stream=True`` until the head is. Any thread may
        call it, as far as requests lets threads share a session.
        """
        prepared = None
        if isinstance(url, str) and not hooks and self._is_usual():
            prepared = self._prepared(
                method, url, params, data, headers, cookies, files, auth, json
            )
        if prepared is None:
            return super().request(
                *(method, url, params, data, headers, cookies, files, auth, timeout),
                *(allow_redirects, proxies, hooks, stream, verify, cert, json),
            )
        settings = self._settings(str(prepared.url), proxies, stream, verify, cert)
        settings["timeout"] = timeout
        start = time.perf_counter()
        response = self.get_adapter(str(prepared.url)).send(prepared, **settings)
        response.elapsed = timedelta(seconds=time.perf_counter() - start)
        return self._finished(response, prepared, settings, allow_redirects)

    def _is_usual(self) -> bool:
        """Return whether the session has no settings that are merged, and nothing is changed."""
        return not (
            self.params
            or self.hooks.get("response")
            or type(self.headers) is not CaseInsensitiveDict
            or not vars(self).keys().isdisjoint(_STEPS)
            or _steps_of(type(self)) != _ORIGINAL
            or _preparing(PreparedRequest) != _PREPARING
            or _called(vars(sessions)) != _CALLED
        )

    def _prepared(
        self,
        method: str | bytes,
        url: str,
        params: Any,
        data: Any,
        headers: Any,
        cookies: Any,
        files: Any,
        auth: Any,
        json: Any,
    ) -> PreparedRequest | None:
        """Return the request as ``prepare_request`` would; None if that has to do it."""
        upper = method.upper()
        if not isinstance(upper, str) or upper not in _METHODS:
            return None
        target = prepared_url(url)
        if "@" in target:
            return None  # perhaps credentials
        if params:
            if type(params) not in (dict, list) or "%" in target or "#" in target:
                return None  # a URL that is quoted already is looked at as a whole
            query = PreparedRequest._encode_params(params)  # type: ignore[attr-defined]  # private in requests
            if query:
                target = f"{target}{'&' if '?' in target else '?'}{query}"
        if self.trust_env and not auth and not self.auth and _may_have_netrc():
            auth = get_netrc_auth(url)
        if auth is None:
            auth = self.auth
        if auth and type(auth) is not tuple:
            return None  # a function, which may add hooks
        if headers and type(headers) is not dict:
            return None
        prepared = PreparedRequest()
        prepared.method = upper
        prepared.url = target
        try:
            own = tuple(headers.items()) if headers else ()
            prepared.headers = dict_over(_merged(pairs_of(self.headers), own).copy())
        except TypeError:  # not to be hashed: what that is, requests says
            return None
        jar = RequestsCookieJar()
        if cookies or len(self.cookies):
            merge_cookies(jar, self.cookies)  # type: ignore[no-untyped-call]
            if cookies:
                if not isinstance(cookies, CookieJar):
                    cookies = cookiejar_from_dict(cookies)  # type: ignore[no-untyped-call]
                merge_cookies(jar, cookies)  # type: ignore[no-untyped-call]
            prepared.prepare_cookies(jar)
        else:
            prepared._cookies = jar  # type: ignore[attr-defined]  # private in requests
        if data or files or json is not None or upper not in _BODILESS:
            prepared.prepare_body(data or {}, files or [], json)
        if auth:
            prepared.prepare_auth(auth, url)
        return prepared

    def _settings(
        self, url: str, proxies: Any, stream: bool | None, verify: Any, cert: Any
    ) -> dict[str, Any]:
        """Return what ``merge_environment_settings`` would."""
        if proxies or self.proxies or (self.trust_env and _may_name_proxies()):
            return {**self.merge_environment_settings(url, proxies or {}, stream, verify, cert)}
        if self.trust_env and (verify is None or verify is True):
            environ = os.environ
            bundle = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
            verify = bundle or verify
        return {
            "proxies": {},
            "stream": self.stream if stream is None else stream,
            "verify": self.verify if verify is None else verify,
            "cert": self.cert if cert is None else cert,
        }

    def _finished(
        self,
        response: requests.Response,
        prepared: PreparedRequest,
        settings: dict[str, Any],
        allow_redirects: bool,
    ) -> requests.Response:
        """Do what ``send`` does once the adapter has returned."""
        if type(response) is not Response or response.sets_cookies:
            extract_cookies_to_jar(self.cookies, prepared, response.raw)  # type: ignore[no-untyped-call]
        if response.is_redirect:
            if allow_redirects:
                hops = [response, *self.resolve_redirects(response, prepared, **settings)]
                response = hops.pop()
                response.history = hops
            else:
                following = self.resolve_redirects(
                    response, prepared, yield_requests=True, **settings
                )
                response._next = next(following, None)  # type: ignore[attr-defined]
        if not settings["stream"]:
            _ = response.content
        return response


@lru_cache(maxsize=1024)
def prepared_url(url: str) -> str:
    """Return ``url`` as ``PreparedRequest.prepare_url`` writes it; raises as it does."""
    prepared = PreparedRequest()
    prepared.prepare_url(url, {})
    return str(prepared.url)


@lru_cache(maxsize=64)
def _merged(
    defaults: tuple[tuple[Any, Any], ...], own: tuple[tuple[Any, Any], ...]
) -> OrderedDict[str, tuple[str, Any]]:
    """Return the dict inside the headers of a request, as requests merges and checks them."""
    preparing = PreparedRequest()
    headers = CaseInsensitiveDict(defaults)
    preparing.prepare_headers(merge_setting(dict(own), headers, CaseInsensitiveDict))  # type: ignore[no-untyped-call]
    return store_of(preparing.headers)


def _environ() -> Mapping[bytes, bytes]:
    # The mapping below, if there is one: os.environ decodes each name that it gives.
    below: Mapping[bytes, bytes] | None = getattr(os.environ, "_data", None)
    if below is not None:
        return below
    return {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}


def _may_name_proxies() -> bool:
    """Return whether the environment names a proxy, or the system may."""
    return not _ENVIRONMENT_ONLY or _name_proxies(tuple(_environ()))


@lru_cache(maxsize=8)
def _name_proxies(names: tuple[bytes, ...]) -> bool:
    return any(name[-6:].lower() == b"_proxy" for name in names)


def _may_have_netrc() -> bool:
    """Return whether there is a .netrc."""
    if os.name != "posix":
        return True  # which is then looked for
    environ = _environ()
    # Not os.path.exists: an exception for each file that is missing costs more than the look.
    return b"NETRC" in environ or any(
        os.access(path, os.F_OK) for path in _netrc_files(environ.get(b"HOME"))
    )


@lru_cache(maxsize=8)
def _netrc_files(home: bytes | None) -> list[str]:
    return [os.path.expanduser(f"~/{name}") for name in NETRC_FILES]


def session() -> Session:
    """Return a Session."""
    return Session()
