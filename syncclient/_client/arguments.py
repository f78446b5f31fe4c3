"""Checks of single arguments, in the caller's thread.

The engine would find a wrong argument much later, on the loop thread, and would not name it. It
would even accept some, such as a ``read_bufsize`` of 0, and then hang.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http.cookies import BaseCookie, Morsel
from typing import Any, TypeVar

import aiohttp
import attr
from aiohttp import (
    HttpVersion,
    HttpVersion10,
    HttpVersion11,
    NonHttpUrlClientError,
    TraceConfig,
)
from aiohttp.client_exceptions import InvalidUrlClientError
from aiohttp.typedefs import Query
from multidict import MultiDict, MultiDictProxy
from yarl import URL

from .._async.cookies.hosts import canonical_domain
from .._async.cookies.set_cookie import make_morsel
from .._async.exchange.framing import TOKEN
from .._checks import UNSET, Unset, count, items_of, seconds
from .._hosts import canonical_server_name
from .._models import redacted_url
from .._timeout import ClientTimeout
from .._types import StrOrURL, Timeout
from .._urls import extend_url, fault_of_url, join_url, parse_url, refine_url

R = TypeVar("R")

#: Whether a status of 400 or above raises, or a function that is called with each response.
RaiseForStatus = bool | Callable[[R], object]

_SCHEMES = frozenset({"http", "https", "ws", "wss"})
#: A host and a port, which a URL without its ``http://`` has in the place of the scheme.
_HOST_AND_PORT = re.compile(r"[A-Za-z][A-Za-z0-9.-]*:[0-9]+(?:[/?#]|$)")
COMMON_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def check_method(method: str) -> str:
    """Return ``method`` in upper case; raise if it is not a token (RFC 9110, section 9.1)."""
    if method in COMMON_METHODS:
        return method
    if not isinstance(method, str):
        raise TypeError(f"method must be a str such as 'GET', not {type(method).__name__}")
    if not TOKEN.fullmatch(method):
        raise ValueError(f"method must be a token such as 'GET', not {method!r}")
    return method.upper()


def check_url(
    url: StrOrURL,
    base_url: URL | None,
    params: Query,
    schemes: frozenset[str] = _SCHEMES,
    *,
    name: str = "url",
) -> URL:
    """Return the absolute URL to request; raise InvalidURL with the reason if it is wrong."""
    if not isinstance(url, (str, URL)):
        raise TypeError(f"{name} must be a str or a yarl.URL, not {type(url).__name__}")
    fault = ""
    try:
        target = parse_url(url) if isinstance(url, str) else refine_url(url)
        if base_url is not None and not target.scheme and not target.absolute:
            target = join_url(base_url, url)
    except ValueError as exc:
        fault = fault_of_url(exc)
    if fault:
        # Not in the except clause: the error's context would quote the URL.
        raise InvalidUrlClientError(redacted_url(url), fault)
    if target.scheme not in schemes:
        shown = redacted_url(url)
        if not shown.strip():
            raise InvalidUrlClientError(repr(shown), f"the {name} is empty")
        if not target.scheme:
            cure = "" if name == "base_url" else ", or give the session a base_url"
            raise InvalidUrlClientError(shown, f"no scheme; write http://... or https://...{cure}")
        if _HOST_AND_PORT.match(shown):
            raise NonHttpUrlClientError(
                f"{shown} - no scheme; write http://{shown} or https://{shown}"
            )
        raise NonHttpUrlClientError(
            f"{shown} - the scheme must be one of {', '.join(sorted(schemes))}"
        )
    if not target.raw_host:
        raise InvalidUrlClientError(redacted_url(target), "no host")
    if params:
        if isinstance(params, Mapping):
            pairs = items_of(params)
            multi = isinstance(params, (MultiDict, MultiDictProxy))
            params = MultiDict(pairs) if multi else dict(pairs)
        try:
            target = extend_url(target, params)
        except TypeError as exc:
            raise TypeError(f"params: {_fault_of_params(params) or exc}") from exc
    return target


def _fault_of_params(params: Query) -> str | None:
    """Return the fault of a value that requests would accept, and what to write instead."""
    pairs: Any = params.items() if isinstance(params, Mapping) else params
    if not isinstance(pairs, Iterable):
        return f"must be a mapping, pairs or a str, not {type(params).__name__}"
    for name, value in (pair for pair in pairs if isinstance(pair, tuple) and len(pair) == 2):
        for each in value if isinstance(value, (list, tuple)) else (value,):
            if each is None:
                return f"{name!r} is None: leave the name out"
            if isinstance(each, bool):
                return f"{name!r} is {each}: write what the server expects, such as 'true' or 1"
            if isinstance(each, bytes):
                return f"{name!r} is bytes: write str"
            if isinstance(each, Mapping):
                return (
                    f"{name!r} is a {type(each).__name__}, which a query cannot hold: write what "
                    f"the server expects, such as {{'{name}[key]': value}} or json.dumps(...)"
                )
    return None


def check_params(params: Query) -> tuple[tuple[str, str], ...]:
    """Return the session's ``params`` as pairs of strings."""
    url = check_url("http://params/", None, params)
    return tuple(url.query.items())


def merge_params(defaults: tuple[tuple[str, str], ...], params: Query) -> Query:
    """Return the request's ``params``, and those of the session with other names."""
    if not params:
        return defaults
    if isinstance(params, str):
        names = set(URL.build(query_string=params.removeprefix("?"), encoded=True).query)
        rest = [pair for pair in defaults if pair[0] not in names]
        text = URL().extend_query(rest).raw_query_string
        return f"{text}&{params.removeprefix('?')}" if text else params
    pairs: list[Any] = items_of(params) if isinstance(params, Mapping) else list(params)
    names = {pair[0] for pair in pairs if isinstance(pair, (tuple, list)) and pair}
    return [*(pair for pair in defaults if pair[0] not in names), *pairs]


def check_timeout(timeout: Timeout | Unset, default: ClientTimeout) -> ClientTimeout:
    """Return the ClientTimeout for an argument: a number is the total, None and 0 no limit.

    A pair limits connecting and each wait for the response, as in requests.
    """
    if timeout is UNSET:
        return default
    if timeout is None:
        return NO_TIMEOUT
    if isinstance(timeout, aiohttp.ClientTimeout):
        return _checked_timeouts.get(timeout) or _checked_timeout(timeout)
    if isinstance(timeout, tuple) and len(timeout) == 2:
        return _checked_timeout(ClientTimeout(sock_connect=timeout[0], sock_read=timeout[1]))
    if not isinstance(timeout, (int, float)):
        raise TypeError(
            "timeout must be a number of seconds, (connect, read), a ClientTimeout or None, "
            f"not {type(timeout).__name__}"
        )
    if not isinstance(timeout, bool) and (known := _totals.get(timeout)) is not None:
        return known
    total = seconds("timeout", timeout)
    meant = NO_TIMEOUT if total == math.inf else ClientTimeout(total=total)
    if len(_totals) < 100:
        _totals[timeout] = meant
    return meant


NO_TIMEOUT = ClientTimeout(total=None)

#: The default of a session, as in aiohttp: five minutes in total, thirty seconds to connect.
DEFAULT_TIMEOUT = ClientTimeout(total=5 * 60, sock_connect=30)

#: Timeouts are frozen, and a program has few of them, so each is checked once.
_checked_timeouts: dict[aiohttp.ClientTimeout, ClientTimeout] = {}


#: There are few different numbers, too.
_totals: dict[float, ClientTimeout] = {}


def _checked_timeout(given: aiohttp.ClientTimeout) -> ClientTimeout:
    for name in ("total", "connect", "sock_read", "sock_connect", "pool", "sock_write"):
        limit = getattr(given, name, None)  # aiohttp's class has only the first four
        if limit is not UNSET and seconds(f"timeout.{name}", limit) == math.inf:
            raise ValueError(f"timeout.{name} must be finite, or None for no limit")
    timeout = given if isinstance(given, ClientTimeout) else ClientTimeout(*attr.astuple(given))
    if len(_checked_timeouts) < 100:
        _checked_timeouts[given] = timeout
    return timeout


def check_trace_configs(given: Iterable[TraceConfig] | None) -> list[TraceConfig]:
    """Return the TraceConfigs of a session as a new list."""
    if isinstance(given, TraceConfig):
        raise TypeError("trace_configs must be a list of TraceConfig: write [trace_config]")
    configs = list(given or ())
    for config in configs:
        if not isinstance(config, TraceConfig):
            raise TypeError(f"trace_configs must hold TraceConfigs, not {type(config).__name__}")
    return configs


def check_raise_for_status(value: Any) -> Any:
    """Return ``value``, a bool or a function; None means False, as in aiohttp."""
    if value is None or isinstance(value, int):
        return bool(value)
    if not callable(value):
        raise TypeError(
            f"raise_for_status must be True, False or a function, not {type(value).__name__}"
        )
    return value


def check_version(value: HttpVersion) -> HttpVersion:
    """Return ``value``, or raise ValueError: the engine would accept any version."""
    if value not in (HttpVersion10, HttpVersion11):
        raise ValueError(f"version must be HttpVersion10 or HttpVersion11, not {value!r}")
    return value


#: Characters that would end the name, the cookie or the header, or would be stripped.
_NOT_IN_NAMES = re.compile(r'[\x00-\x20\x7f"=;,]')
#: The same for values, which may contain blanks and quotes.
_NOT_IN_VALUES = re.compile(r"[\x00-\x1f\x7f;]")
_SURROGATES = re.compile("[\ud800-\udfff]")
#: Characters that no server can set in a cookie; tabs and non-ASCII octets are possible.
_NEVER = re.compile("[\x00-\x08\x0a-\x1f\x7f;\ud800-\udc7f\udd00-\udfff]")


def check_cookies(name: str, value: Any) -> list[tuple[str, Morsel[str]]]:
    """Return the cookies as pairs that the engine sends unchanged.

    Args:
        name: the name of the argument.
        value: a mapping, or pairs; read here, because an iterator is the caller's code.

    Raises:
        TypeError: it is neither, or a cookie is neither text nor a Morsel.
        ValueError: a name or value cannot be sent. The message names the cookie, but does not
            show its value.
    """
    given = items_of(value) if isinstance(value, Mapping) else value
    pairs = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else None
    if pairs is None or any(not isinstance(p, tuple | list) or len(p) != 2 for p in pairs):
        raise TypeError(f"{name} must be a mapping or (name, value) pairs")
    checked = (_check_cookie(name, key, each) for key, each in pairs)
    return [(morsel.key, morsel) for morsel in checked]


def _check_cookie(argument: str, name: object, value: object) -> Morsel[str]:
    if not isinstance(name, str):
        raise TypeError(f"{argument} must have names of type str, not {type(name).__name__}")
    if isinstance(value, BaseCookie):
        value = value.get(name)
    if isinstance(value, Morsel):
        return _from_morsel(argument, name if value.key is None else value.key, value)
    if isinstance(value, (int, float)):
        value = str(value)
    if not isinstance(value, str):
        raise TypeError(
            f"{argument} must have values of type str: that of {name!r} is of type "
            f"{type(value).__name__}"
        )
    if not name or _NOT_IN_NAMES.search(name) or _SURROGATES.search(name):
        raise ValueError(
            f"{argument} has {name!r}, which cannot be the name of a cookie: it may have no "
            "blanks, quotes, control characters, lone surrogates, or any of = ; ,"
        )
    if _NOT_IN_VALUES.search(value) or _SURROGATES.search(value):
        raise ValueError(
            f"{argument} has a value for {name!r} that cannot be sent: it may have no semicolon, "
            "control characters or lone surrogates; encode it, for example with urllib.parse.quote"
        )
    return _verbatim(name, value)


def _from_morsel(argument: str, name: str, given: Morsel[Any]) -> Morsel[str]:
    # As in aiohttp and requests, the Morsel's own name counts, not its key.
    coded = given.coded_value if given.coded_value is not None else given.value
    if coded is None:
        raise ValueError(f"{argument} has a Morsel for {name!r} that has no value: call its set()")
    if _NEVER.search(name) or "=" in name or _NEVER.search(str(coded)):
        raise ValueError(f"{argument} has a Morsel {name!r} that cannot be sent as a cookie")
    morsel = _verbatim(name, str(coded))
    dict.update(morsel, given)
    if domain := canonical_domain(str(given["domain"])):
        morsel["domain"] = domain
    return morsel


def _verbatim(name: str, value: str) -> Morsel[str]:
    morsel = make_morsel(name, value)
    # If the engine confuses the two, they are equal.
    vars(morsel).update(_value=value)
    return morsel


def _flag(name: str, value: object) -> bool:
    if isinstance(value, (str, bytes)):  # such as "no" and "false", which are true
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def _anything(name: str, value: object) -> object:
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    return value


def _server_name(name: str, value: object) -> str:
    try:
        return canonical_server_name(_text(name, value))
    except ValueError as exc:
        raise ValueError(f"{name} is not a valid server name: {exc}") from None


def _names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError(f"{name} must be a list of names: write [{value!r}]")
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list of names, not {type(value).__name__}")
    return tuple(_text(name, each) for each in value)


def _coding(name: str, value: object) -> bool | str:
    # The engine would send the body uncompressed, with a Content-Encoding that is not true.
    if not isinstance(value, bool) and value not in ("gzip", "deflate"):
        raise ValueError(f"{name} must be 'gzip', 'deflate', True or False, not {value!r}")
    return value


def _functions(name: str, value: Any) -> tuple[Any, ...]:
    functions = tuple(value) if isinstance(value, Iterable) else None
    if functions is None or not all(map(callable, functions)):
        raise TypeError(f"{name} must be a list of functions, not {type(value).__name__}")
    return functions


#: The checks of options that are passed to the engine unchanged, by name. None has been removed
#: before: it means the engine's default.
CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "allow_redirects": _flag,
    "auto_decompress": _flag,
    "chunked": _flag,
    "compress": _coding,
    "cookies": check_cookies,
    "expect100": _flag,
    "max_body": count,
    "max_field_size": partial(count, least=1),
    "max_headers": partial(count, least=1),
    "max_line_size": partial(count, least=1),
    "max_redirects": count,
    "middlewares": _functions,
    "read_bufsize": partial(count, least=1),
    "read_until_eof": _flag,
    "server_hostname": _server_name,
    "skip_auto_headers": _names,
    "timings": _flag,
    "trace_request_ctx": _anything,
}
