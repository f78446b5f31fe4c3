"""The keywords of ``ws_connect``, and their checks."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, cast

from aiohttp import ClientWSTimeout, hdrs
from multidict import CIMultiDict
from yarl import URL

from .._async.websocket.settings import BUFFER_BYTES, BUFFER_MESSAGES, CLOSE_TIMEOUT
from .._other_libraries import no_such_keyword
from .headers import header_items
from .request import RequestOptions, prepare

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiohttp.typedefs import Query

    from .._async.connect.environment import Surroundings
    from .._types import LooseHeaders, StrOrURL
    from .headers import Auth, BasicCredentials
    from .place import Place
    from .tls import SSLArgument


class WebSocketOptions(TypedDict, total=False):
    """The keywords of ``Session.ws_connect``; see there."""

    method: str
    protocols: Iterable[str]
    autoclose: bool
    autoping: bool
    heartbeat: float | None
    auth: Auth
    origin: str | None
    params: Query
    headers: LooseHeaders | None
    proxy: StrOrURL | None
    proxy_auth: BasicCredentials
    ssl: SSLArgument
    verify_ssl: bool | None
    fingerprint: bytes | None
    ssl_context: SSLContext | None
    server_hostname: str | None
    proxy_headers: LooseHeaders | None
    compress: int
    max_msg_size: int
    decode_text: bool


#: The keywords that a request has too, and that are prepared in the same way.
_OF_A_REQUEST = frozenset(WebSocketOptions.__annotations__) & frozenset(
    RequestOptions.__annotations__
) - {"compress"}


class Limits(TypedDict, total=False):
    """The keywords of ``Session.ws_connect`` that do not concern the handshake."""

    timeout: ClientWSTimeout | float | None
    receive_timeout: float | None
    buffer_messages: int
    buffer_bytes: int


class Arranged(NamedTuple):
    """A handshake that has been checked."""

    url: URL
    #: The arguments of ``ws_connect.connect``.
    keywords: dict[str, Any]
    receive_timeout: float | None


def arrange(
    place: Place,
    url: StrOrURL,
    options: WebSocketOptions,
    *,
    timeout: ClientWSTimeout | float | None = None,
    receive_timeout: float | None = None,
    buffer_messages: int = BUFFER_MESSAGES,
    buffer_bytes: int = BUFFER_BYTES,
    surroundings: Surroundings | None = None,
) -> Arranged:
    """Check the arguments of a handshake.

    ``timeout`` None stands for aiohttp's default. Options that are not given are left to aiohttp.
    """
    given: dict[str, Any] = dict(options)
    for name in given:
        if name not in WebSocketOptions.__annotations__:
            raise no_such_keyword("ws_connect", name, WebSocketOptions.__annotations__)
    if given.get("origin") is not None:
        header_items({hdrs.ORIGIN: given["origin"]}, "origin")
    common = {name: given.pop(name) for name in _OF_A_REQUEST & given.keys()}
    prepared = prepare(
        place,
        given.get("method", "GET"),
        url,
        cast(RequestOptions, common),
        surroundings=surroundings,
    )
    _, target, _, engine = prepared.crossing
    if (authorization := engine.pop("authorization", None)) is not None:
        engine.setdefault("headers", CIMultiDict())[hdrs.AUTHORIZATION] = authorization
    for name in ("allow_redirects", "max_redirects"):
        engine.pop(name, None)  # defaults of the session, for its requests
    if buffer_messages < 1 or buffer_bytes < 1:
        raise ValueError("buffer_messages and buffer_bytes must be at least 1")
    _check(given)
    limits = _limits(timeout, receive_timeout)
    keywords = {
        "timeout": limits,
        "buffer_messages": buffer_messages,
        "buffer_bytes": buffer_bytes,
        "over": engine.pop("unix_socket", None),
        **engine,
        **given,
    }
    # As in aiohttp, a receive timeout of 0 sets no limit.
    return Arranged(target, keywords, limits.ws_receive or None)


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def _check(given: dict[str, Any]) -> None:
    """Check the keywords that only a WebSocket has."""
    if given.get("compress") not in (None, 0, *range(9, 16)):
        raise ValueError(f"compress must be 0, or from 9 to 15, not {given['compress']!r}")
    if given.get("heartbeat") is not None and not given["heartbeat"] >= 0:
        raise ValueError(f"heartbeat must be a number of seconds, not {given['heartbeat']!r}")
    if not (given.get("max_msg_size") or 0) >= 0:
        raise ValueError(f"max_msg_size must be 0 or more, not {given['max_msg_size']!r}")
    for name in ("compress", "max_msg_size"):
        if name in given:
            given[name] = given[name] or 0
    protocols = given.pop("protocols", None)
    if isinstance(protocols, str):
        raise TypeError(f"protocols must be a list: write protocols=[{protocols!r}]")
    if protocols:
        given["protocols"] = names = tuple(protocols)
        for name in names:
            if not (isinstance(name, str) and _TOKEN.fullmatch(name)):
                raise ValueError(f"protocols: {name!r} cannot be the name of a subprotocol")
        if len({*names}) < len(names):
            raise ValueError("protocols: each may appear only once")


def _limits(timeout: ClientWSTimeout | float | None, receive: float | None) -> ClientWSTimeout:
    """Merge the two arguments as aiohttp does, with warnings that point to the caller."""
    if timeout is None:
        limits = ClientWSTimeout(ws_receive=None, ws_close=CLOSE_TIMEOUT)
    elif isinstance(timeout, ClientWSTimeout):
        limits = timeout
    else:
        _deprecated("timeout=<float>", "timeout=ClientWSTimeout(ws_close=...)")
        limits = ClientWSTimeout(ws_receive=None, ws_close=timeout)
    if receive is not None:
        _deprecated("receive_timeout", "timeout=ClientWSTimeout(ws_receive=...)")
        limits = ClientWSTimeout(ws_receive=receive, ws_close=limits.ws_close)
    return limits


def _deprecated(old: str, new: str) -> None:
    # _deprecated, _limits, arrange, connect, Session.ws_connect, and then its caller
    warnings.warn(f"{old} is deprecated, use {new}", DeprecationWarning, stacklevel=6)
