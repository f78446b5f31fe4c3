"""The arguments of a request: checked and made ready in the caller's thread."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, TypeVar

from aiohttp import (
    BasicAuth,
    ClientTimeout,
    NonHttpUrlClientError,
    encode_basic_auth,
    hdrs,
)
from aiohttp.client_exceptions import InvalidUrlClientError
from aiohttp.client_middlewares import ClientMiddlewareType
from aiohttp.typedefs import Query
from multidict import CIMultiDict, MultiDict, MultiDictProxy, istr
from yarl import URL

from ._async.retry import Retry, check_retry
from ._async.source import AsyncSource
from ._checks import UNSET, Unset, seconds
from ._middleware_request import MiddlewareRequest
from ._models import redacted_text, redacted_url
from ._options import CHECKS, raise_for_status
from ._payload import NO_BODY, AsyncSourceOf, Outgoing, outgoing
from ._progress import ProgressHook, Reporting, reporting
from ._tls import SSLArgument, merge_ssl
from ._transports import proxy_url, split_unix_url
from ._types import JSONEncoder, LooseCookies, LooseHeaders, StrOrURL, Timeout

if TYPE_CHECKING:
    pass

Auth = BasicAuth | tuple[str, str] | None

_SCHEMES = frozenset({"http", "https", "ws", "wss"})
#: What aiohttp refuses, too (RFC 9110, section 5.5).
_BAD_IN_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_COMMON_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def check_method(method: str) -> str:
    """Return ``method`` in upper case; raise for what is no token (RFC 9110, section 9.1)."""
    if method in _COMMON_METHODS:
        return method
    if not isinstance(method, str):
        raise TypeError(f"method must be a str such as 'GET', not {type(method).__name__}")
    if not _TOKEN.fullmatch(method):
        raise ValueError(f"method must be a token such as 'GET', not {method!r}")
    return method.upper()


def check_url(
    url: StrOrURL, base_url: URL | None, params: Query, schemes: frozenset[str] = _SCHEMES
) -> URL:
    """Return the absolute URL to ask for; raise InvalidURL, naming what is wrong with it."""
    if not isinstance(url, (str, URL)):
        raise TypeError(f"url must be a str or a yarl.URL, not {type(url).__name__}")
    try:
        target = URL(url)
    except ValueError as exc:
        raise InvalidUrlClientError(redacted_text(str(url)), str(exc)) from exc
    if base_url is not None and not target.scheme and not target.absolute:
        target = base_url.join(target)
    if target.scheme not in schemes:
        if not target.scheme:
            raise InvalidUrlClientError(
                redacted_url(target),
                "no scheme; write http://... or https://..., or give the session a base_url",
            )
        raise NonHttpUrlClientError(
            f"{redacted_url(target)} - the scheme must be one of {', '.join(sorted(schemes))}"
        )
    if not target.raw_host:
        raise InvalidUrlClientError(redacted_url(target), "no host")
    if params:
        try:
            target = target.extend_query(params)
        except TypeError as exc:
            raise TypeError(f"params: {exc}") from exc
    return target


def check_timeout(timeout: Timeout | Unset, default: ClientTimeout) -> ClientTimeout:
    """Return the ClientTimeout meant: a number is the total, None and 0 set no limit."""
    if timeout is UNSET:
        return default
    if timeout is None:
        return NO_TIMEOUT
    if isinstance(timeout, ClientTimeout):
        if timeout not in _checked_timeouts:
            for name in ("total", "connect", "sock_read", "sock_connect"):
                if seconds(f"timeout.{name}", getattr(timeout, name)) == math.inf:
                    raise ValueError(f"timeout.{name} must be finite, or None for no limit")
            if len(_checked_timeouts) < 100:
                _checked_timeouts.add(timeout)
        return timeout
    if not isinstance(timeout, (int, float)):
        raise TypeError(
            "timeout must be a number of seconds, a ClientTimeout or None, "
            f"not {type(timeout).__name__}"
        )
    total = seconds("timeout", timeout)
    return NO_TIMEOUT if total == math.inf else ClientTimeout(total=total)


NO_TIMEOUT = ClientTimeout(total=None)

#: Timeouts are frozen, and a program has a few of them: each is looked at once.
_checked_timeouts: set[ClientTimeout] = set()


def header_items(headers: LooseHeaders, name: str = "headers") -> list[tuple[str, str]]:
    """Return the pairs in ``headers``; raise where one of them could not be sent as it is."""
    if isinstance(headers, (Mapping, MultiDict, MultiDictProxy)):
        items: Iterable[Any] = headers.items()
    else:
        items = headers
    checked = []
    for pair in items:
        try:
            key, value = pair
        except (TypeError, ValueError):
            raise TypeError(
                f"{name} must be a mapping or pairs of str, not a {type(headers).__name__} "
                f"of {type(pair).__name__}"
            ) from None
        if not isinstance(key, str):
            raise TypeError(f"{name}: a name must be a str, not {type(key).__name__}: {key!r}")
        if not isinstance(value, str):
            raise TypeError(f"{name}[{key!r}] must be a str, not {type(value).__name__}")
        if not _TOKEN.fullmatch(key):
            raise ValueError(f"{name}: {key!r} is no header name (RFC 9110, section 5.1)")
        if _BAD_IN_HEADER.search(value):
            raise ValueError(
                f"{name}[{key!r}] must not contain CR, LF or another control character"
            )
        checked.append((key, value))
    return checked


def merge_headers(defaults: CIMultiDict[str], headers: LooseHeaders | None) -> CIMultiDict[str]:
    """Return the session's headers overridden by a request's; both may repeat a name."""
    # Not CIMultiDict[str](): an alias that is called costs more than all the rest here.
    merged: CIMultiDict[str] = CIMultiDict()
    if not headers and not defaults:
        return merged
    own = header_items(headers) if headers else ()
    overridden = {name.lower() for name, _ in own}
    # One spelling for each name: of two, the engine would keep the last value only.
    spelling: dict[str, str] = {}
    for pairs in (header_items(defaults), own) if defaults else (own,):
        for name, value in pairs:
            lower = name.lower()
            if pairs is own or lower not in overridden:
                merged.add(spelling.setdefault(lower, name), value)
    return merged


def authorization(auth: Auth, name: str = "auth") -> str:
    """Return the Authorization header for HTTP Basic credentials (RFC 7617)."""
    if isinstance(auth, BasicAuth):
        return auth.encode()
    if isinstance(auth, tuple) and len(auth) == 2:
        return encode_basic_auth(*auth)
    raise TypeError(f"{name} must be a BasicAuth or (login, password), not {type(auth).__name__}")


def check_body(
    data: Any,
    json: Any,
    json_serialize: JSONEncoder,
    headers: CIMultiDict[str],
    skip_auto_headers: Iterable[str],
    progress: Reporting | None = None,
    asynchronous: AsyncSourceOf = AsyncSource,
) -> Outgoing:
    """Return the body, ready to be sent; JSON is serialised here, in the caller's thread."""
    if json is None:
        return outgoing(data, progress, asynchronous)
    if data is not None:
        raise ValueError("data and json parameters can not be used at the same time")
    skipped = {name.lower() for name in skip_auto_headers}
    if hdrs.CONTENT_TYPE not in headers and "content-type" not in skipped:
        headers[hdrs.CONTENT_TYPE] = "application/json"
    text = json_serialize(json)
    return outgoing(text.encode() if isinstance(text, str) else text, progress)


#: Keywords of requests and httpx, and what to write here.
_TWINS = {
    "cert": "ssl=context, an ssl.SSLContext after load_cert_chain(...)",
    "content": "data=",
    "files": "data=, a dict or a FormData with open files in it",
    "follow_redirects": "allow_redirects=",
    "hooks": "trace_configs= or middlewares= of the session",
    "proxies": "proxy=, or trust_env=True of the session for the environment's",
    "stream": "nothing: a body stays on the wire until it is read",
    "verify": "ssl=False, or ssl=context for a CA of your own",
}


R = TypeVar("R")

#: Whether a status of 400 or above raises, or a function to be given each response.
RaiseForStatus = bool | Callable[[R], object]


#: ``_middlewares.MiddlewareType``; what it returns is the face's business.
BlockingMiddleware = Callable[[MiddlewareRequest, Callable[[MiddlewareRequest], Any]], Any]


class RequestOptions(TypedDict, total=False):
    """The keywords of a request; ``Session.request`` says what each one means."""

    params: Query
    data: Any
    json: Any
    cookies: LooseCookies | None
    headers: LooseHeaders | None
    skip_auto_headers: Iterable[str] | None
    auth: Auth
    allow_redirects: bool
    max_redirects: int
    compress: str | bool | None
    chunked: bool | None
    expect100: bool
    raise_for_status: RaiseForStatus[Any] | None
    read_until_eof: bool
    proxy: StrOrURL | None
    proxy_auth: Auth
    timeout: Timeout | Unset
    verify_ssl: bool | None
    fingerprint: bytes | None
    ssl_context: Any
    ssl: SSLArgument
    server_hostname: str | None
    proxy_headers: LooseHeaders | None
    retry: Retry | None
    upload_progress: ProgressHook | bool | None
    timings: bool | None
    trace_request_ctx: object
    read_bufsize: int | None
    auto_decompress: bool | None
    max_line_size: int | None
    max_field_size: int | None
    max_headers: int | None
    max_body: int | None
    middlewares: Sequence[BlockingMiddleware | ClientMiddlewareType] | None


class Prepared(NamedTuple):
    """A request that has been checked."""

    #: What crosses: method, URL, timeout, and the keywords of aiohttp's own request
    #: method; those at their defaults are left out.
    crossing: tuple[str, URL, ClientTimeout, dict[str, Any]]
    #: What of the body the caller's thread has to serve.
    body: Outgoing
    raise_for_status: RaiseForStatus[Any]


@dataclass
class Defaults:
    """The settings of a session that its requests are made ready with, in the caller's thread."""

    base_url: URL | None
    headers: CIMultiDict[str]
    skip_auto_headers: frozenset[istr]
    auth: Auth
    json_serialize: JSONEncoder
    raise_for_status: RaiseForStatus[Any]
    timeout: ClientTimeout
    #: Makes middlewares ready for the engine.
    chain: Callable[[Iterable[Any]], tuple[ClientMiddlewareType, ...]]

    def __post_init__(self) -> None:
        self._authorization = None if self.auth is None else authorization(self.auth)

    def prepare(
        self,
        method: str,
        url: StrOrURL,
        options: RequestOptions,
        *,
        asynchronous: AsyncSourceOf = AsyncSource,
    ) -> Prepared:
        """Check a request, and serialise what is to be. ``Session.request`` tells the meanings.

        ``asynchronous`` says what takes from an asynchronous iterable that is the body.

        Looks only at the options that are given, for most requests have few: a loop
        over all that could be would cost more than the crossing to the loop thread.
        """
        engine: dict[str, Any] = {}
        if (over := split_unix_url(url)) is not None:
            engine["unix_socket"], url = over
        target = check_url(url, self.base_url, options.get("params"))
        headers = merge_headers(self.headers, options.get("headers"))
        if (credentials := self._credentials(options.get("auth"), headers, target)) is not None:
            engine["authorization"] = credentials
        body, timeout, rule = NO_BODY, self.timeout, self.raise_for_status
        if options:
            body = self._choose(engine, options, target, headers, asynchronous)
            timeout = check_timeout(options.get("timeout", UNSET), timeout)
            if (own_rule := options.get("raise_for_status")) is not None:
                rule = raise_for_status(own_rule)
        if headers:
            engine["headers"] = headers
        return Prepared((check_method(method), target, timeout, engine), body, rule)

    def _choose(
        self,
        engine: dict[str, Any],
        options: RequestOptions,
        target: URL,
        headers: CIMultiDict[str],
        asynchronous: AsyncSourceOf,
    ) -> Outgoing:
        """Put what is chosen for this one request into ``engine``; return its body."""
        for name, value in options.items():
            if name in CHECKS:
                if value is not None:
                    engine[name] = CHECKS[name](name, value)
            elif name not in _HERE:
                hint = f"; write {_TWINS[name]}" if name in _TWINS else ""
                raise TypeError(f"a request takes no keyword {name!r}{hint}")
        if "middlewares" in engine:
            engine["middlewares"] = self.chain(engine["middlewares"])
        body, progress = NO_BODY, None
        if (told := options.get("upload_progress")) is not None and told is not False:
            progress = reporting(told, target.name or str(target.host), "upload_progress")
        data, json = options.get("data"), options.get("json")
        if data is not None or json is not None:
            skipped = self.skip_auto_headers.union(options.get("skip_auto_headers") or ())
            body = check_body(
                data, json, self.json_serialize, headers, skipped, progress, asynchronous
            )
            engine["data"] = body.value
        if not options.keys().isdisjoint(_SSL):
            engine["ssl"] = merge_ssl(
                options.get("ssl", True),
                options.get("verify_ssl"),
                options.get("ssl_context"),
                options.get("fingerprint"),
            )
        if (proxy := proxy_url(options.get("proxy"), options.get("proxy_auth"))) is not None:
            engine["proxy"] = proxy
        if "retry" in options:
            engine["retry"] = check_retry("retry", options["retry"])
        if (proxy_headers := options.get("proxy_headers")) is not None:
            engine["proxy_headers"] = CIMultiDict(header_items(proxy_headers, "proxy_headers"))
        return body

    def _credentials(self, auth: Auth, headers: CIMultiDict[str], url: URL) -> str | None:
        """Return the Authorization meant for ``url``, unless that or ``headers`` has one."""
        if auth is not None:
            if hdrs.AUTHORIZATION in headers:
                raise ValueError("auth cannot be combined with an Authorization header")
            if url.raw_user is not None or url.raw_password is not None:
                raise ValueError("auth cannot be combined with credentials in the URL")
            return authorization(auth)
        if url.raw_user is not None and hdrs.AUTHORIZATION in headers:
            raise ValueError("an Authorization header cannot be combined with credentials in url")
        if (
            self._authorization is not None
            and hdrs.AUTHORIZATION not in headers
            and url.raw_user is None
            and (self.base_url is None or self.base_url.origin() == url.origin())
        ):
            return self._authorization
        return None


_SSL = frozenset({"ssl", "verify_ssl", "ssl_context", "fingerprint"})
#: Options that are dealt with here.
_HERE = frozenset(RequestOptions.__annotations__) - CHECKS.keys()
