"""Which requests go the lean way, and the bytes of their heads.

aiohttp's own request says what the head has, so that both ways send the same. What requests with
the same method, origin and headers have in common is kept.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from aiohttp import ClientRequest, RequestInfo, hdrs
from multidict import CIMultiDict, CIMultiDictProxy

from ..engine.lean_names import REQUEST_FUNCTION, bytes_of, is_possible, request_function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from http.cookies import BaseCookie

    from aiohttp import ClientSession, ClientTimeout
    from aiohttp.client_reqrep import ConnectionKey
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
_HEADERS_ONLY = frozenset({"headers"})
#: Headers that ask for more than one message each way.
_NOT_SERVED = (hdrs.TRANSFER_ENCODING, hdrs.EXPECT, hdrs.UPGRADE)

_SCHEMES = frozenset({"http", "https"})
#: Methods without a body, unless one is given, for which the engine then sends no length ...
_BODILESS = ClientRequest.GET_METHODS
#: ... and those whose body is said to have some type, even where there is none.
_TYPED = ClientRequest.POST_METHODS

#: Heads that are kept, so that those of like requests need not be made anew.
_KEPT_HEADS = 256

#: What a header cannot hold, beside a line break (RFC 9110, section 5.5).
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_OCTETS = {hdrs.CONTENT_TYPE: "application/octet-stream"}


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
    #: All that is sent, the body included.
    data: bytes
    #: For the parser of the response.
    params: Mapping[str, Any]


class _Template:
    """What requests with the same method, origin and headers have in common.

    Args:
        request: aiohttp's own, with these headers and no body.
        method: of the requests; that of ``request`` is another.
        exact: the headers, where aiohttp is to add none.
        force_close: whether each connection serves one request.
    """

    __slots__ = ("_force_close", "_headers", "_method", "_skipped", "_whole", "key")

    def __init__(
        self,
        request: ClientRequest,
        method: str,
        exact: CIMultiDict[str] | None,
        *,
        force_close: bool,
    ) -> None:
        self.key: ConnectionKey = request.connection_key
        self._method = method
        self._force_close = force_close
        self._skipped = request.skip_auto_headers
        self._headers: CIMultiDict[str] = request.headers if exact is None else exact
        if exact is not None:
            self._whole: tuple[CIMultiDictProxy[str], bytes] | None = self._finished(exact.copy())
        else:
            self._whole = None

    def plain(self) -> tuple[CIMultiDictProxy[str], bytes]:
        """Return the headers of a request that adds none of its own, and their bytes."""
        if self._whole is None:
            self._whole = self.completed()
        return self._whole

    def completed(
        self,
        cookie: str | None = None,
        data: tuple[bytes, CIMultiDict[str] | None] | None = None,
        authorization: str | None = None,
    ) -> tuple[CIMultiDictProxy[str], bytes]:
        """Return the headers of a request, and their bytes with the body.

        In the order of aiohttp's ClientRequest, of its middlewares, and of its ``send``.
        """
        headers, skipped = self._headers.copy(), self._skipped
        body = b""
        if cookie is not None:
            headers[hdrs.COOKIE] = cookie
        if data is not None:
            body, describing = data
            if hdrs.CONTENT_LENGTH not in headers:
                headers[hdrs.CONTENT_LENGTH] = str(len(body))
            for name, value in _OCTETS.items() if describing is None else describing.items():
                if name not in headers and name not in skipped:
                    headers[name] = value
        elif self._method not in _BODILESS and hdrs.CONTENT_LENGTH not in headers:
            headers[hdrs.CONTENT_LENGTH] = "0"
        if authorization is not None and hdrs.AUTHORIZATION not in headers:
            headers[hdrs.AUTHORIZATION] = authorization
        return self._finished(headers, body)

    def _finished(
        self, headers: CIMultiDict[str], body: bytes = b""
    ) -> tuple[CIMultiDictProxy[str], bytes]:
        if (
            self._method in _TYPED
            and hdrs.CONTENT_TYPE not in headers
            and hdrs.CONTENT_TYPE not in self._skipped
        ):
            headers.update(_OCTETS)
        if self._force_close and hdrs.CONNECTION not in headers:
            headers[hdrs.CONNECTION] = "close"
        return CIMultiDictProxy(headers), _serialized(headers) + body


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
        self._templates: dict[object, _Template] = {}
        #: Of requests that have nothing but headers.
        self._plain: dict[object, LeanRequest] = {}

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
        if self._middlewares if not options else not self._serves(options):
            return None
        if timeout.ceil_threshold != math.inf:
            return None  # whole seconds were asked for
        known: object = None
        if (not options or options.keys() == _HEADERS_ONLY) and (
            progress.exact is progress.credentials is progress.hops is None
        ):
            items = tuple(options["headers"].items()) if options else None
            known = method, url, items
            plan = self._plain.get(known)
            if plan is not None and not self._jar.filter_cookies(url):
                return plan
        path, authority = url.raw_path_qs, url.raw_authority
        if url.scheme not in _SCHEMES or not authority or method == hdrs.METH_CONNECT:
            return None
        if "@" in authority or "%" in authority or not (path.isascii() and path.isprintable()):
            return None
        exact = progress.exact
        given = options.get("headers") if exact is None else exact.headers
        if given and any(name in given for name in _NOT_SERVED):
            return None
        body = None
        if (data := options.get("data")) is not None and (body := bytes_of(data)) is None:
            return None
        start = f"{method} {path} HTTP/1.1".encode()
        try:
            hops = progress.hops
            if hops is not None and self._proxy_for is not None and self._proxy_for(url, hops):
                return None
            template = self._template(method, url, authority, options, exact)
            if exact is not None:
                headers, rest = template.plain()
                if exact.octets is not None:
                    start, rest = exact.octets, b""
                if body is not None:
                    if headers.get(hdrs.CONTENT_LENGTH) != str(len(body[0])):
                        return None
                    rest += body[0]
            else:
                cookie = authorization = None
                if cookies := self._cookies(url, options):
                    cookie = "; ".join(text for _, text in cookies.pairs)  # type: ignore[attr-defined]
                    if not cookie.isascii() or (given and hdrs.COOKIE in given):
                        return None
                if progress.credentials is not None:
                    authorization = progress.credentials.value_for(url)
                if hops is not None:
                    own = hops.authorization(url)
                    authorization = own if authorization is None else authorization
                if cookie is None and body is None and authorization is None:
                    headers, rest = template.plain()
                else:
                    headers, rest = template.completed(cookie, body, authorization)
        except ValueError:
            return None  # the full way says what is wrong with it
        bare = url.with_fragment(None) if url.raw_fragment else url
        info = tuple.__new__(RequestInfo, (bare, method, headers, url))
        key, params = template.key, self._params
        if options:
            if "ssl" in options or "server_hostname" in options:
                ssl = options.get("ssl")
                key = key._replace(
                    ssl=True if ssl is None else ssl,
                    server_hostname=options.get("server_hostname"),
                )
            if not options.keys().isdisjoint(_PARSING):
                params = {**params, **{n: options[n] for n in _PARSING if n in options}}
        plan = LeanRequest(info, key, start + rest, params)
        if known is not None and headers is template.plain()[0]:
            _keep(self._plain, known, plan)
        return plan

    def _serves(self, options: Mapping[str, Any]) -> bool:
        """Return whether all that a request was given can be had the lean way."""
        return options.keys() <= _SERVED and not self._middlewares

    def _cookies(self, url: URL, options: Mapping[str, Any]) -> BaseCookie[str] | None:
        """Return the cookies of the jar for ``url``, and those given for this request.

        Raises:
            ValueError: those have attributes, by which aiohttp's own jar has to choose.
        """
        cookies = self._jar.filter_cookies(url)
        if given := options.get("cookies"):
            if self._jar.quote_cookie or any(
                morsel.value != morsel.coded_value or any(morsel.values()) for _, morsel in given
            ):
                raise ValueError("cookies with attributes")
            cookies.load(dict(given))
        return cookies

    def _template(
        self,
        method: str,
        url: URL,
        authority: str,
        options: Mapping[str, Any],
        exact: ExactHead | None,
    ) -> _Template:
        """Return the template for a request, made anew if there is none yet."""
        given = options.get("headers") if exact is None else exact.headers
        key: object = None
        if "skip_auto_headers" not in options:
            items = None if given is None else tuple(given.items())
            key = (method, url.scheme, authority, items, exact is None)
            if (template := self._templates.get(key)) is not None:
                return template
        headers = given if exact is None else None
        skipped = options.get("skip_auto_headers", ())
        request = self._request(hdrs.METH_GET, url, {}, headers, skipped)
        template = _Template(
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


def _serialized(headers: CIMultiDict[str]) -> bytes:
    """Return the bytes that follow a request line.

    Raises:
        ValueError: there is no header, or one has a control character.
    """
    lines = [f"{name}: {value}" for name, value in headers.items()]
    block = "\n".join(lines)
    if _CONTROL.search(block) or block.count("\n") != len(lines) - 1:
        raise ValueError("headers that cannot be sent so")
    return f"\n{block}\n\n".replace("\n", "\r\n").encode()
