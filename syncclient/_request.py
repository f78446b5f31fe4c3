"""The arguments of a request: checked and made ready in the caller's thread."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiohttp import (
    BasicAuth,
    ClientTimeout,
    NonHttpUrlClientError,
    encode_basic_auth,
    hdrs,
)
from aiohttp.client_exceptions import InvalidUrlClientError
from aiohttp.typedefs import Query
from multidict import CIMultiDict, MultiDict, MultiDictProxy
from yarl import URL

from ._checks import UNSET, Unset, seconds
from ._models import redacted_text, redacted_url
from ._types import JSONEncoder, LooseHeaders, StrOrURL, Timeout

Auth = BasicAuth | tuple[str, str] | None

_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_BAD_IN_HEADER = re.compile(r"[\x00\r\n]")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class Prepared(NamedTuple):
    """A request as it crosses: checked, and with its body serialised."""

    method: str
    url: URL
    timeout: ClientTimeout
    #: Keywords of aiohttp's own request method; those at their defaults are left out.
    options: dict[str, Any]


def check_method(method: str) -> str:
    """Return ``method`` in upper case; raise for what is no token (RFC 9110, section 9.1)."""
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
    if base_url is not None and not target.absolute:
        target = base_url.join(target)
    if target.scheme not in schemes:
        if not target.scheme:
            raise InvalidUrlClientError(
                redacted_url(target),
                "no scheme; write http://... or https://..., or give the session a base_url",
            )
        raise NonHttpUrlClientError(
            redacted_url(target), f"the scheme must be one of {', '.join(sorted(schemes))}"
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
            raise ValueError(f"{name}[{key!r}] must not contain CR, LF or NUL")
        checked.append((key, value))
    return checked


def merge_headers(defaults: CIMultiDict[str], headers: LooseHeaders | None) -> CIMultiDict[str]:
    """Return the session's headers overridden by a request's; both may repeat a name."""
    merged = CIMultiDict[str]()
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
) -> Any:
    """Return the body for the engine; JSON is serialised here, in the caller's thread."""
    if json is not None:
        if data is not None:
            raise ValueError("data and json parameters can not be used at the same time")
        skipped = {name.lower() for name in skip_auto_headers}
        if hdrs.CONTENT_TYPE not in headers and "content-type" not in skipped:
            headers[hdrs.CONTENT_TYPE] = "application/json"
        text = json_serialize(json)
        return text.encode() if isinstance(text, str) else text
    return data
