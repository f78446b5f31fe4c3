"""SessionSettings: all settings of a session, as one immutable value."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from http.cookies import Morsel
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypedDict

from aiohttp import HttpVersion, HttpVersion11, TraceConfig
from aiohttp.abc import AbstractCookieJar
from aiohttp.client_middlewares import ClientMiddlewareType
from aiohttp.typedefs import Query
from multidict import CIMultiDict, istr
from yarl import URL

from .._async.engine.protocol import HEADER_LIMIT, LINE_LIMIT
from .._async.exchange.redirects import MOST
from .._async.exchange.retry import Retry, check_retry
from .._boundary.loop_thread import LoopThread
from .._checks import Unset, count
from .._models import redacted_url
from .._other_libraries import no_such_keyword
from .._timeout import ClientTimeout
from .._types import JSONEncoder, LooseCookies, LooseHeaders, StrOrURL, Timeout
from .._urls import same_origin
from .arguments import (
    CHECKS,
    DEFAULT_TIMEOUT,
    RaiseForStatus,
    check_cookies,
    check_params,
    check_raise_for_status,
    check_timeout,
    check_trace_configs,
    check_url,
    check_version,
)
from .connectors import BaseConnector, TCPConnector
from .cookies import BaseCookieJar, CookieJar, jar_for
from .headers import Auth, BasicCredentials, authorization, header_items, merge_headers, signer
from .middlewares import MiddlewareType
from .response import CharsetResolver, Response
from .tls import SSLArgument
from .transports import check_connector, check_way, proxy_url

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SharedOptions(TypedDict, total=False):
    """The keywords of ``Session`` that a derived session has in common with its parent."""

    connector: BaseConnector | None
    connector_owner: bool
    loop_thread: LoopThread | None
    ssl: SSLArgument


class SessionOptions(TypedDict, total=False):
    """The keywords of ``Session.with_options``; see ``Session``."""

    base_url: StrOrURL | None
    cookies: LooseCookies | None
    headers: LooseHeaders | None
    proxy: StrOrURL | None
    proxy_auth: BasicCredentials
    skip_auto_headers: Iterable[str] | None
    auth: Auth
    json_serialize: JSONEncoder
    json_serialize_bytes: Callable[[Any], bytes] | None
    version: HttpVersion
    cookie_jar: BaseCookieJar[Any] | AbstractCookieJar | None
    raise_for_status: RaiseForStatus[Response]
    timeout: Timeout | Unset
    auto_decompress: bool
    trust_env: bool
    requote_redirect_url: bool
    trace_configs: Sequence[TraceConfig] | None
    read_bufsize: int
    max_line_size: int
    max_field_size: int
    max_headers: int
    fallback_charset_resolver: CharsetResolver
    middlewares: Sequence[MiddlewareType | ClientMiddlewareType]
    max_body: int | None
    retry: Retry | int | None
    timings: bool
    params: Query
    allow_redirects: bool
    max_redirects: int


class AllOptions(SessionOptions, SharedOptions, total=False):
    """The keywords of ``Session``."""


def utf_8(response: Response, body: bytes) -> str:
    """Return the charset of bodies without one: UTF-8."""
    return "utf-8"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class SessionSettings:
    """The checked keywords of a ``Session``. Created by ``check_settings`` and ``derive``.

    The session, its ``aio`` and its requests read them here; a derived session, a copy and a
    pickle have the same value with some fields replaced. Users may change the ``headers`` and
    the ``trace_configs``, so each session has its own copies. ``repr`` is object's own,
    because the fields contain credentials.
    """

    base_url: URL | None = None
    connector: BaseConnector | None = None
    cookies: list[tuple[str, Morsel[str]]] | None = None
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    proxy: StrOrURL | None = None
    proxy_auth: BasicCredentials = None
    skip_auto_headers: frozenset[istr] = frozenset()
    auth: Auth = None
    json_serialize: JSONEncoder = json.dumps
    json_serialize_bytes: Callable[[Any], bytes] | None = None
    version: HttpVersion = HttpVersion11
    cookie_jar: BaseCookieJar[Any] = field(default_factory=CookieJar)
    connector_owner: bool = True
    raise_for_status: RaiseForStatus[Response] = False
    timeout: ClientTimeout = DEFAULT_TIMEOUT
    auto_decompress: bool = True
    trust_env: bool = False
    requote_redirect_url: bool = True
    trace_configs: list[TraceConfig] = field(default_factory=list)
    read_bufsize: int = 2**18
    max_line_size: int = LINE_LIMIT
    max_field_size: int = LINE_LIMIT
    max_headers: int = HEADER_LIMIT
    fallback_charset_resolver: CharsetResolver = utf_8
    middlewares: tuple[MiddlewareType | ClientMiddlewareType, ...] = ()
    max_body: int | None = None
    retry: Retry | None = None
    timings: bool = False
    params: tuple[tuple[str, str], ...] = ()
    allow_redirects: bool = True
    max_redirects: int = MOST
    loop_thread: LoopThread | None = None

    #: Defaults for keywords of requests.
    defaults: Mapping[str, Any] = field(init=False)
    #: The Authorization header for ``auth``.
    authorization: str | None = field(init=False)
    #: ``proxy``, with ``proxy_auth`` in it.
    proxy_url: URL | None = field(init=False)

    def __post_init__(self) -> None:
        header = None if self.auth is None else authorization(self.auth)
        object.__setattr__(self, "authorization", header)
        standing = {"params": (), "allow_redirects": True, "max_redirects": MOST}
        chosen = {name: getattr(self, name) for name in standing}
        defaults = {name: each for name, each in chosen.items() if each != standing[name]}
        object.__setattr__(self, "defaults", defaults)
        object.__setattr__(self, "proxy_url", proxy_url(self.proxy, self.proxy_auth))
        check_way(self.connector, proxy=self.proxy_url)

    @property
    def all_middlewares(self) -> tuple[MiddlewareType | ClientMiddlewareType, ...]:
        """The ``middlewares``, and ``auth`` if it is one."""
        innermost = signer(self.auth)
        return self.middlewares if innermost is None else (*self.middlewares, innermost)

    @property
    def serialize(self) -> JSONEncoder:
        """The function that turns ``json=`` into text or bytes."""
        return self.json_serialize_bytes or self.json_serialize

    def derive(self, **overrides: Unpack[SessionOptions]) -> SessionSettings:
        """Return the settings of a session derived from one with these.

        Raises:
            TypeError: an override would need separate connections or cookies.
        """
        for name in sorted(overrides.keys() & SharedOptions.__annotations__.keys()):
            raise TypeError(
                f"with_options cannot change {name}=: a derived session uses the connections of "
                f"its parent; create a separate session, Session({name}=...)"
            )
        if overrides.get("cookies") and "cookie_jar" not in overrides:
            raise TypeError(
                "cookies= would go into the jar shared with the parent session: "
                "add cookie_jar=CookieJar() for a separate jar"
            )
        changes = _checked(overrides)
        changes["headers"] = merge_headers(self.headers, overrides.get("headers"))
        changes.setdefault("trace_configs", list(self.trace_configs))
        # The parent's cookies are in the shared jar by the first request, and in no other.
        changes.setdefault("cookies", None)
        if "proxy" in overrides:
            changes.setdefault("proxy_auth", None)  # meant for the other proxy
        if "json_serialize" in overrides:
            changes.setdefault("json_serialize_bytes", None)  # it would take precedence
        if "base_url" in overrides and not _same_origin(self.base_url, changes["base_url"]):
            changes.setdefault("auth", None)
        return replace(self, **changes)

    def keywords(self) -> dict[str, Any]:
        """Return the keywords that create a session with these settings.

        Defaults are left out: a pickle gets those of the version that unpickles it.
        """
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        defaults = {each.name: each.default for each in fields(self)}
        defaults |= {"headers": {}, "trace_configs": []}
        return {name: value for name, value in given.items() if value != defaults[name]}


def check_settings(**given: Unpack[AllOptions]) -> SessionSettings:
    """Return the settings for the keywords of ``Session``.

    Raises:
        TypeError, ValueError: one of them is wrong; the message names it.
    """
    ssl = given.pop("ssl", None)
    if ssl is not None and ssl is not True:
        if given.get("connector") is not None:
            raise ValueError(
                "ssl cannot be combined with connector: it is a setting of the connector, as in "
                "TCPConnector(ssl=...), or of a request"
            )
        given["connector"] = TCPConnector(ssl=ssl)
    return SessionSettings(**_checked(given))


def _checked(given: SessionOptions | AllOptions) -> dict[str, Any]:
    """Return the keywords as fields of ``SessionSettings``."""
    known = AllOptions.__annotations__
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise no_such_keyword("Session", name, known)
        checked[name] = _CHECKS[name](value) if name in _CHECKS else value
    return checked


def _check_base_url(base_url: StrOrURL | None) -> URL | None:
    if base_url is None:
        return None
    url = check_url(base_url, None, None, name="base_url")
    if not url.path.endswith("/"):
        raise ValueError(f"base_url must end in a slash: write {redacted_url(url) + '/'!r}")
    return url


def _same_origin(old: URL | None, new: URL | None) -> bool:
    """Return whether credentials for requests under ``old`` may be sent under ``new``."""
    if old is None:
        return True  # they are sent everywhere anyway
    return new is not None and same_origin(new, old)


def _as_option(name: str) -> Callable[[Any], Any]:
    """Return the check of the request option with that name."""
    return partial(CHECKS[name], name)


#: Checks by the name of the keyword. Other keywords are used unchanged.
_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "allow_redirects": bool,
    "auto_decompress": bool,
    "base_url": _check_base_url,
    "connector": lambda value: None if value is None else check_connector(value),
    "cookie_jar": jar_for,
    "cookies": lambda value: check_cookies("cookies", value) if value else None,
    "headers": lambda value: CIMultiDict(header_items(value or ())),
    "max_body": lambda value: None if value is None else count("max_body", value),
    "max_field_size": _as_option("max_field_size"),
    "max_headers": _as_option("max_headers"),
    "max_line_size": _as_option("max_line_size"),
    "max_redirects": _as_option("max_redirects"),
    "middlewares": lambda value: _as_option("middlewares")(value or ()),
    "params": lambda value: check_params(value) if value else (),
    "raise_for_status": check_raise_for_status,
    "read_bufsize": _as_option("read_bufsize"),
    "requote_redirect_url": bool,
    "retry": lambda value: check_retry("retry", value),
    "skip_auto_headers": lambda value: frozenset(
        map(istr, _as_option("skip_auto_headers")(value or ()))
    ),
    "timeout": lambda value: check_timeout(value, DEFAULT_TIMEOUT),
    "timings": bool,
    "trace_configs": check_trace_configs,
    "trust_env": bool,
    "version": check_version,
}


def check_picklable(keywords: Mapping[str, Any]) -> None:
    """Raise TypeError for a keyword that cannot be pickled, with its name.

    Picklers that override reductions, as cloudpickle and dask do for functions, support more, and
    are not checked. Python does not tell ``__reduce__`` which pickler calls it, so this inspects
    the pickler's frame. Without the check, the error of pickle would not name the keyword. If all
    picklers were checked, cloudpickle could not pickle a session with a lambda.
    """
    asking = sys._getframe(2).f_locals.get("self")  # the caller of __reduce__
    if getattr(asking, "reducer_override", None) is not None:
        return
    for name, value in keywords.items():
        if isinstance(value, (BaseCookieJar, CIMultiDict)):
            continue  # these can be pickled; and copying a jar takes a crossing
        try:
            pickle.dumps(value)
        except Exception as exc:
            cure = f"leave {name}= out, and pass it to a session created in the other process"
            if isinstance(value, FunctionType) and "<" in value.__qualname__:
                cure = "use a function defined in a module, which is pickled by its name"
            raise TypeError(
                f"a Session with {name}= of type {type(value).__name__} cannot be "
                f"pickled ({exc}): {cure}"
            ) from exc
