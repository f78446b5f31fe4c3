"""Which requests go the lean way, and what of them is sent.

What requests with the same method, URL and headers have in common is kept.
"""

from __future__ import annotations

import asyncio
import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from aiohttp import ClientRequest, RequestInfo, hdrs

from ..engine.lean_names import REQUEST_FUNCTION, bytes_of, is_possible, request_function
from .lean_head import Body, HeadTemplate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from http.cookies import BaseCookie

    from aiohttp import ClientSession, ClientTimeout
    from aiohttp.client_reqrep import ConnectionKey
    from multidict import CIMultiDict, CIMultiDictProxy
    from yarl import URL

    from ..._models import ExactHead
    from .progress import Progress

T = TypeVar("T")

#: The way of sessions made from now on: "lean", "full", or "task" for the lean way with a task
#: for each request. For tests.
WAY = os.environ.get("SYNCCLIENT_WAY", "lean")

#: Settings of a request and of a session that the parser gets.
_PARSING = frozenset(
    {
        "read_until_eof",
        "auto_decompress",
        "read_bufsize",
        "max_line_size",
        "max_field_size",
        "max_headers",
    }
)
#: Options that say how to connect over TLS.
_OF_TLS = ("ssl", "server_hostname")
#: All that a request of the lean way may have been given.
_SERVED = _PARSING.union(_OF_TLS, ("headers", "data", "cookies", "skip_auto_headers"))
#: Options that say nothing of the connection, nor of the response.
_PLAIN = frozenset({"headers", "data"})
#: Headers that ask for more than one message each way.
_NOT_SERVED = (hdrs.TRANSFER_ENCODING, hdrs.EXPECT, hdrs.UPGRADE)

_SCHEMES = frozenset({"http", "https"})
#: Heads that are kept, so that those of like requests need not be made anew.
_KEPT_HEADS = 256


class Connector(Protocol):
    """What decides the way of a request, of the pool that it would go through."""

    #: Whether it connects to a server within the process.
    in_process: bool

    @property
    def diverted(self) -> bool:
        """Whether something else answers in its place."""

    @property
    def force_close(self) -> bool:
        """Whether each connection serves one request."""


class LeanRequest(NamedTuple):
    """One hop, ready to be sent."""

    info: RequestInfo
    #: In the pool.
    key: ConnectionKey
    #: All bytes to send, including the body.
    data: bytes
    #: For the parser of the response.
    params: Mapping[str, Any]


class _Target:
    """What requests with the same method, URL and headers have in common.

    Args:
        method: of them.
        bare: the URL, without its fragment.
        line: the request line.
        template: for the headers.
    """

    __slots__ = ("bare", "line", "method", "plain", "template")

    def __init__(self, method: str, bare: URL, line: bytes, template: HeadTemplate) -> None:
        self.method = method
        self.bare = bare
        self.line = line
        self.template = template
        #: The one that has nothing else; None before the first.
        self.plain: LeanRequest | None = None


class Planner:
    """Plans the requests of one session. Event loop only.

    Args:
        http: aiohttp's session.
        pool: its connector.
        settings: the keywords that ``http`` was made with.
        request_class: makes the requests whose headers are sent.
        possible: whether the jar is one whose cookies can be sent as they are.
        proxy_for: returns the proxy that the environment has for a hop; see ``Environment``.
    """

    def __init__(
        self,
        http: ClientSession,
        pool: Connector,
        settings: Mapping[str, Any],
        *,
        request_class: type[ClientRequest],
        possible: bool,
        proxy_for: Callable[[URL, Any], URL | None] | None,
    ) -> None:
        #: "full" for none.
        self.way = WAY
        self._http = http
        self._pool = pool
        self._jar = http.cookie_jar
        self._request_class = request_class
        self._proxy_for = proxy_for
        self._possible = (
            possible
            and is_possible()
            and not pool.in_process
            and not http.trace_configs  # instrumentation adds its own
            and settings.get("proxy") is None
            and settings.get("version", (1, 1)) == (1, 1)
        )
        self._middlewares = bool(settings.get("middlewares"))
        self._params = {
            "read_until_eof": True,
            "timeout_ceil_threshold": 5,
            **{name: settings[name] for name in _PARSING if name in settings},
        }
        self._loop = asyncio.get_running_loop()
        self._templates: dict[object, HeadTemplate] = {}
        self._targets: dict[object, _Target] = {}

    def plan(
        self,
        progress: Progress,
        method: str,
        url: URL,
        timeout: ClientTimeout,
        options: Mapping[str, Any],
    ) -> LeanRequest | None:
        """Return the hop as it is sent the lean way; None if it is to go the full way.

        This alone decides. The full way is for what is rare, or needs aiohttp's own objects:
        middlewares, tracing and mocks of it, proxies, Unix sockets, servers within the process,
        bodies that are more than bytes, credentials in the URL.
        """
        if not self._possible or self.way == "full" or self._pool.diverted:
            return None
        if request_function() is not REQUEST_FUNCTION:
            return None  # a mock
        is_plain = not options or options.keys() <= _PLAIN
        if self._middlewares or not (is_plain or options.keys() <= _SERVED):
            return None
        if timeout.ceil_threshold != math.inf:
            return None  # whole seconds were asked for
        exact, hops, credentials = progress.exact, progress.hops, progress.credentials
        given = options.get("headers") if exact is None else exact.headers
        known: object = None
        if exact is None and "skip_auto_headers" not in options:
            known = method, url, None if given is None else tuple(given.items())
        target = self._targets.get(known)
        body = None
        if (data := options.get("data")) is not None and (body := bytes_of(data)) is None:
            return None
        try:
            if target is None:
                target = self._target(method, url, given, options, exact)
                if target is None:
                    return None
                if known is not None:
                    _keep(self._targets, known, target)
            if hops is not None and self._proxy_for is not None and self._proxy_for(url, hops):
                return None
            template = target.template
            if exact is not None:
                headers, head = template.exactly()
                if body is not None and headers.get(hdrs.CONTENT_LENGTH) != str(len(body[0])):
                    return None
                head = target.line + head if exact.octets is None else exact.octets
                return self._assembled(target, url, headers, head, body, options)
            cookie = None
            cookies = self._jar.filter_cookies(url)
            if cookies or "cookies" in options:
                cookie = self._cookie(cookies, given, options)
            if is_plain and body is None and cookie is hops is credentials is None:
                if target.plain is None:
                    headers, head = template.completed(None, None, None)
                    head = target.line + head
                    target.plain = self._assembled(target, url, headers, head, None, options)
                return target.plain
            authorization = None if credentials is None else credentials.value_for(url)
            if hops is not None and authorization is None:
                authorization = hops.authorization(url)
            headers, head = template.completed(cookie, body, authorization)
        except ValueError:
            return None  # the full way does it, or says what is wrong with it
        return self._assembled(target, url, headers, target.line + head, body, options)

    def _assembled(
        self,
        target: _Target,
        url: URL,
        headers: CIMultiDictProxy[str],
        head: bytes,
        body: Body | None,
        options: Mapping[str, Any],
    ) -> LeanRequest:
        """Return a request with this head and body."""
        key, params = target.template.key, self._params
        if options and not options.keys() <= _PLAIN:
            if "ssl" in options or "server_hostname" in options:
                ssl = options.get("ssl")
                key = key._replace(
                    ssl=True if ssl is None else ssl,
                    server_hostname=options.get("server_hostname"),
                )
            if not options.keys().isdisjoint(_PARSING):
                params = {**params, **{n: options[n] for n in _PARSING if n in options}}
        info = tuple.__new__(RequestInfo, (target.bare, target.method, headers, url))
        return LeanRequest(info, key, head if body is None else head + body[0], params)

    def _cookie(
        self,
        cookies: BaseCookie[str],
        given: CIMultiDict[str] | None,
        options: Mapping[str, Any],
    ) -> str | None:
        """Return the header with ``cookies``, and with those of the options; None without any.

        Raises:
            ValueError: they can go the full way only.
        """
        if own := options.get("cookies"):
            if self._jar.quote_cookie or any(
                morsel.value != morsel.coded_value or any(morsel.values()) for _, morsel in own
            ):
                raise ValueError(
                    "cookies with attributes, by which aiohttp's own jar has to choose"
                )
            cookies.load(dict(own))
        if not cookies:
            return None
        cookie = "; ".join([text for _, text in cookies.pairs])  # type: ignore[attr-defined]
        if not cookie.isascii() or (given and hdrs.COOKIE in given):
            raise ValueError("cookies to be encoded, or to be merged with others")
        return cookie

    def _target(
        self,
        method: str,
        url: URL,
        given: CIMultiDict[str] | None,
        options: Mapping[str, Any],
        exact: ExactHead | None,
    ) -> _Target | None:
        """Return the target of a request; None if that cannot go the lean way."""
        path, authority = url.raw_path_qs, url.raw_authority
        if url.scheme not in _SCHEMES or not authority or method == hdrs.METH_CONNECT:
            return None
        if "@" in authority or "%" in authority or not (path.isascii() and path.isprintable()):
            return None
        if given and any(name in given for name in _NOT_SERVED):
            return None
        template = self._template(method, url, authority, given, options, exact)
        bare = url.with_fragment(None) if url.raw_fragment else url
        return _Target(method, bare, f"{method} {path} HTTP/1.1\r\n".encode(), template)

    def _template(
        self,
        method: str,
        url: URL,
        authority: str,
        given: CIMultiDict[str] | None,
        options: Mapping[str, Any],
        exact: ExactHead | None,
    ) -> HeadTemplate:
        """Return the template for a request, made anew if there is none yet."""
        key: object = None
        if "skip_auto_headers" not in options:
            items = None if given is None else tuple(given.items())
            key = (method, url.scheme, authority, items, exact is None)
            if (template := self._templates.get(key)) is not None:
                return template
        headers = given if exact is None else None
        skipped = options.get("skip_auto_headers", ())
        request = self._request(hdrs.METH_GET, url, {}, headers, skipped)
        template = HeadTemplate(
            request,
            method,
            None if exact is None else exact.headers,
            force_close=self._pool.force_close,
        )
        if key is not None:
            _keep(self._templates, key, template)
        return template

    def asking(self, request: LeanRequest, options: Mapping[str, Any]) -> ClientRequest:
        """Return the request of aiohttp's that asks the pool to connect."""
        tls = {name: options[name] for name in _OF_TLS if name in options}
        return self._request(request.info.method, request.info.real_url, tls)

    def _request(
        self,
        method: str,
        url: URL,
        tls: Mapping[str, Any],
        headers: CIMultiDict[str] | None = None,
        skipped: Iterable[str] = (),
    ) -> ClientRequest:
        http = self._http
        return self._request_class(
            method,
            url,
            loop=self._loop,
            session=http,
            headers=headers,
            skip_auto_headers=http.skip_auto_headers.union(skipped) or None,
            **tls,
        )


def _keep(kept: dict[object, T], key: object, value: T) -> None:
    if len(kept) >= _KEPT_HEADS:
        kept.clear()
    kept[key] = value
