"""Headers from callers: checked in the caller's thread, and merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import BasicAuth, DigestAuthMiddleware, encode_basic_auth
from multidict import CIMultiDict, MultiDict, MultiDictProxy

from .._async.exchange.framing import TOKEN, fault_of
from .._async.middleware.bearer import AsyncBearerAuth
from .._checks import items_of
from .._types import LooseHeaders

#: Credentials for HTTP Basic authentication.
BasicCredentials = BasicAuth | tuple[str, str] | None
#: Middlewares that authorise requests.
Signer = AsyncBearerAuth | DigestAuthMiddleware
Auth = BasicCredentials | Signer


def header_items(
    headers: LooseHeaders, name: str = "headers", *, jar: bool = False
) -> list[tuple[str, str]]:
    """Return the pairs in ``headers``; raise if one of them cannot be sent unchanged.

    ``jar``: whether a Cookie header among them may come from the jar.
    """
    if isinstance(headers, (Mapping, MultiDict, MultiDictProxy)):
        items: Iterable[Any] = items_of(headers)
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
        if value is None:
            raise TypeError(
                f"{name}[{key!r}] is None, which does not remove a header: to omit one of the "
                "session's, derive a session without it by session.with_options(); to omit "
                f"an automatic one, pass skip_auto_headers=[{key!r}]"
            )
        if not isinstance(value, str):
            raise TypeError(f"{name}[{key!r}] must be a str, not {type(value).__name__}")
        if not TOKEN.fullmatch(key):
            raise ValueError(f"{name}: {key!r} is not a header name (RFC 9110, section 5.1)")
        if (fault := fault_of(key, value, jar=jar)) is not None:
            raise ValueError(f"{name}[{key!r}] must not contain {fault}")
        checked.append((key, value))
    return checked


def merge_headers(defaults: CIMultiDict[str], headers: LooseHeaders | None) -> CIMultiDict[str]:
    """Return the session's headers overridden by a request's; both may repeat a name."""
    # Not CIMultiDict[str](): calling an alias costs more than the rest of this function.
    merged: CIMultiDict[str] = CIMultiDict()
    if not headers and not defaults:
        return merged
    own = header_items(headers) if headers else ()
    overridden = {name.lower() for name, _ in own}
    # One spelling for each name: of two spellings, the engine would keep the last value only.
    spelling: dict[str, str] = {}
    for pairs in (header_items(defaults), own) if defaults else (own,):
        for name, value in pairs:
            lower = name.lower()
            if pairs is own or lower not in overridden:
                merged.add(spelling.setdefault(lower, name), value)
    return merged


def signer(auth: object) -> Signer | None:
    """Return ``auth`` if it is a middleware and not just a header."""
    if isinstance(auth, AsyncBearerAuth):
        return auth if auth.lasting_header is None else None
    return auth if isinstance(auth, DigestAuthMiddleware) else None


def authorization(auth: object, name: str = "auth") -> str | None:
    """Return the Authorization header for ``auth``; None for a ``Signer``, which adds its own."""
    if isinstance(auth, Signer):
        return auth.lasting_header if isinstance(auth, AsyncBearerAuth) else None
    try:
        if isinstance(auth, BasicAuth):
            return auth.encode()
        if isinstance(auth, tuple) and len(auth) == 2:
            return encode_basic_auth(*auth)
    except UnicodeEncodeError as exc:
        # Raised below, so that its context is not this error, which holds the credentials.
        encoding = exc.encoding
    else:
        encoding = ""
    if encoding:
        raise ValueError(f"{name} contains characters that {encoding} cannot encode")
    what = f"{name} must be a BasicAuth or (login, password), not {type(auth).__name__}"
    if name == "auth":
        what = (
            "auth must be (login, password), a BasicAuth, a BearerAuth or a DigestAuthMiddleware, "
            f"not {type(auth).__name__}"
        )
        if isinstance(auth, str):
            what += "; for a token write BearerAuth(token)"
        elif callable(auth):
            what += "; a function that changes requests is one of middlewares=[...]"
    raise TypeError(what)
