"""What a session was given: the keywords that make another one like it, here or elsewhere."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypedDict, cast

from aiohttp import HttpVersion, TraceConfig
from aiohttp.client_middlewares import ClientMiddlewareType
from multidict import CIMultiDict
from yarl import URL

from ._async.retry import Retry
from ._checks import Unset
from ._cookies import BaseCookieJar
from ._middlewares import MiddlewareType
from ._request import Auth, RaiseForStatus, check_url, merge_headers
from ._response import CharsetResolver, Response
from ._types import JSONEncoder, LooseCookies, LooseHeaders, StrOrURL, Timeout

if TYPE_CHECKING:
    pass


class SessionOptions(TypedDict, total=False):
    """What ``Session.with_options`` takes; ``Session`` says what each one means."""

    base_url: StrOrURL | None
    cookies: LooseCookies | None
    headers: LooseHeaders | None
    proxy: StrOrURL | None
    proxy_auth: Auth
    skip_auto_headers: Iterable[str] | None
    auth: Auth
    json_serialize: JSONEncoder
    json_serialize_bytes: Callable[[Any], bytes] | None
    version: HttpVersion
    cookie_jar: BaseCookieJar[Any] | None
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
    retry: Retry | None
    timings: bool


#: What a derived session has of its parent, with the connections themselves.
SHARED = frozenset({"connector", "connector_owner", "loop_thread"})


def overridden(given: Mapping[str, Any], overrides: SessionOptions) -> dict[str, Any]:
    """Return the keywords of the session derived from one with those ``given``.

    Raises:
        TypeError: one of the overrides needs connections, or cookies, of its own.
    """
    for name in sorted(overrides.keys() & SHARED):
        raise TypeError(
            f"with_options cannot change {name}=: a derived session uses the connections of "
            f"the one it comes from; make a session of its own, Session({name}=...)"
        )
    merged = dict(given)
    # They are in the jar by the first request, and in no other.
    merged.pop("cookies", None)
    if overrides.get("cookies") and "cookie_jar" not in overrides:
        raise TypeError(
            "cookies= would go into the jar shared with the session this is derived from: "
            "add cookie_jar=CookieJar() for a jar of its own"
        )
    changed = dict(overrides)
    merged["headers"] = merge_headers(
        given["headers"], cast(LooseHeaders, changed.pop("headers", ()))
    )
    if "proxy" in overrides:
        merged.pop("proxy_auth", None)  # meant for the other proxy
    if "json_serialize" in overrides:
        merged.pop("json_serialize_bytes", None)  # which would go before it
    if "base_url" in overrides and not _same_origin(given.get("base_url"), overrides["base_url"]):
        merged.pop("auth", None)
    return {**merged, **changed}


def _same_origin(old: URL | None, new: StrOrURL | None) -> bool:
    """Tell whether credentials for requests under ``old`` may be sent under ``new``."""
    if old is None:
        return True  # they go everywhere as it is
    return new is not None and check_url(new, None, None).origin() == old.origin()


def check_picklable(given: Mapping[str, Any]) -> None:
    """Raise TypeError for what of ``given`` does not pickle, naming the keyword.

    A pickler that overrides reductions, as cloudpickle's and dask's do for functions, is left
    to find out by itself: it takes more.
    """
    asking = sys._getframe(2).f_locals.get("self")  # whoever calls __reduce__
    if getattr(asking, "reducer_override", None) is not None:
        return
    for name, value in given.items():
        if isinstance(value, (BaseCookieJar, CIMultiDict)):
            continue  # these do; and copying a jar takes a crossing
        try:
            pickle.dumps(value)
        except Exception as exc:
            cure = f"leave {name}= out here, and give it to a session made over there"
            if isinstance(value, FunctionType) and "<" in value.__qualname__:
                cure = "write a function of a module, which pickles by its name"
            raise TypeError(
                f"a Session made with {name}= of type {type(value).__name__} cannot be "
                f"pickled ({exc}): {cure}"
            ) from exc
