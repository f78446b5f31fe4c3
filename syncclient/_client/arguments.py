"""The arguments that users give: each is checked by itself, in the caller's thread.

The engine would meet a wrong one much later, on the loop thread, and would not say which it
was; a ``read_bufsize`` of 0 it would take, and wait.
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
COMMON_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


def check_method(method: str) -> str:
    """Return ``method`` in upper case; raise for what is no token (RFC 9110, section 9.1)."""
    if method in COMMON_METHODS:
        return method
    if not isinstance(method, str):
        raise TypeError(f"method must be a str such as 'GET', not {type(method).__name__}")
    if not TOKEN.fullmatch(method):
        raise ValueError(f"method must be a token such as 'GET', not {method!r}")
    return method.upper()


def check_url(
    url: StrOrURL, base_url: URL | None, params: Query, schemes: frozenset[str] = _SCHEMES
) -> URL:
    """Return the absolute URL to ask for; raise InvalidURL, naming what is wrong with it."""
    if not isinstance(url, (str, URL)):
        raise TypeError(f"url must be a str or a yarl.URL, not {type(url).__name__}")
    fault = ""
    try:
        target = parse_url(url) if isinstance(url, str) else refine_url(url)
        if base_url is not None and not target.scheme and not target.absolute:
            target = join_url(base_url, url)
    except ValueError as exc:
        fault = fault_of_url(exc)
    if fault:
        # Not in the except clause: the error would show the other one, which quotes the URL.
        raise InvalidUrlClientError(redacted_url(url), fault)
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
    """Return what is wrong with a value that requests takes, and what to write."""
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
                    f"{name!r} is a {type(each).__name__}, which no query can hold: write what "
                    f"the server expects, such as {{'{name}[key]': value}} or json.dumps(...)"
                )
    return None


def check_params(params: Query) -> tuple[tuple[str, str], ...]:
    """Return the ``params`` of a session as pairs of text."""
    url = check_url("http://params/", None, params)
    return tuple(url.query.items())


def merge_params(defaults: tuple[tuple[str, str], ...], params: Query) -> Query:
    """Return the session's ``params``, but those whose name is in a request's, and these."""
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
    """Return the ClientTimeout meant: a number is the total, None and 0 set no limit.

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

#: A session's own, as aiohttp's: five minutes for everything, thirty seconds to connect.
DEFAULT_TIMEOUT = ClientTimeout(total=5 * 60, sock_connect=30)

#: Timeouts are frozen, and a program has a few of them: each is looked at once.
_checked_timeouts: dict[aiohttp.ClientTimeout, ClientTimeout] = {}


#: Nor are there many numbers among them.
_totals: dict[float, ClientTimeout] = {}


def _checked_timeout(given: aiohttp.ClientTimeout) -> ClientTimeout:
    for name in ("total", "connect", "sock_read", "sock_connect", "pool", "sock_write"):
        limit = getattr(given, name, None)  # aiohttp's own has no more than the first four
        if limit is not UNSET and seconds(f"timeout.{name}", limit) == math.inf:
            raise ValueError(f"timeout.{name} must be finite, or None for no limit")
    timeout = given if isinstance(given, ClientTimeout) else ClientTimeout(*attr.astuple(given))
    if len(_checked_timeouts) < 100:
        _checked_timeouts[given] = timeout
    return timeout


def check_trace_configs(given: Iterable[TraceConfig] | None) -> list[TraceConfig]:
    """Return the TraceConfigs of a session as a list of its own."""
    if isinstance(given, TraceConfig):
        raise TypeError("trace_configs must be a list of TraceConfig: write [trace_config]")
    configs = list(given or ())
    for config in configs:
        if not isinstance(config, TraceConfig):
            raise TypeError(f"trace_configs must hold TraceConfig, not {type(config).__name__}")
    return configs


def check_raise_for_status(value: Any) -> Any:
    """Return ``value``: whether to raise, or a function; None, which is aiohttp's too, is no."""
    if value is None or isinstance(value, int):
        return bool(value)
    if not callable(value):
        raise TypeError(
            f"raise_for_status must be True, False or a function, not {type(value).__name__}"
        )
    return value


def check_version(value: HttpVersion) -> HttpVersion:
    """Return the HTTP version to speak, or raise ValueError: the engine would claim any."""
    if value not in (HttpVersion10, HttpVersion11):
        raise ValueError(f"version must be HttpVersion10 or HttpVersion11, not {value!r}")
    return value


#: Would end the name, the cookie or the header, or is taken away on the way.
_NOT_IN_NAMES = re.compile(r'[\x00-\x20\x7f"=;,]')
#: The same of values, which may have blanks and quotes.
_NOT_IN_VALUES = re.compile(r"[\x00-\x1f\x7f;]")
_SURROGATES = re.compile("[\ud800-\udfff]")
#: What cannot be in a cookie that some server has set; tabs and odd octets can be.
_NEVER = re.compile("[\x00-\x08\x0a-\x1f\x7f;\ud800-\udc7f\udd00-\udfff]")


def check_cookies(name: str, value: Any) -> list[tuple[str, Morsel[str]]]:
    """Return the cookies as pairs that the engine sends unchanged.

    Args:
        name: what the argument is called.
        value: a mapping, or pairs; drawn here, for an iterator is the caller's code.

    Raises:
        TypeError: it is neither, or a cookie is neither text nor a Morsel.
        ValueError: a name or value cannot be sent. The message names the cookie, and does not
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
            "control characters or lone surrogates; encode it, by urllib.parse.quote say"
        )
    return _verbatim(name, value)


def _from_morsel(argument: str, name: str, given: Morsel[Any]) -> Morsel[str]:
    # The name is the Morsel's own, as in aiohttp and requests, whatever it is filed under.
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
    # Where the engine takes the one for the other, it is the same.
    vars(morsel).update(_value=value)
    return morsel


def _flag(name: str, value: object) -> bool:
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
        raise ValueError(f"{name} can be no name of a server: {exc}") from None


def _names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError(f"{name} must be a list of names: write [{value!r}]")
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list of names, not {type(value).__name__}")
    return tuple(_text(name, each) for each in value)


def _coding(name: str, value: object) -> bool | str:
    # What the engine cannot compress it would send as it is, under a name that is not true.
    if not isinstance(value, bool) and value not in ("gzip", "deflate"):
        raise ValueError(f"{name} must be 'gzip', 'deflate', True or False, not {value!r}")
    return value


def _functions(name: str, value: Any) -> tuple[Any, ...]:
    functions = tuple(value) if isinstance(value, Iterable) else None
    if functions is None or not all(map(callable, functions)):
        raise TypeError(f"{name} must be a list of functions, not {type(value).__name__}")
    return functions


#: The checks of options that go to the engine as they are, by name. None is left out before:
#: it is the engine's own default.
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
