"""Requests: their keywords, their preparation in the caller's thread, and their submission."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, cast

from aiohttp import Fingerprint, HttpVersion11, hdrs
from aiohttp.client_middlewares import ClientMiddlewareType
from aiohttp.typedefs import Query
from multidict import CIMultiDict
from yarl import URL

from .._async.connect.environment import Surroundings, read_surroundings
from .._async.exchange.exchange import Exchange
from .._async.exchange.framing import frame, frame_options, refuse_chunks
from .._async.exchange.retry import Retry, check_retry
from .._async.exchange.source import AsyncSource
from .._async.session import AsyncSession
from .._bodies.payload import NO_BODY, AsyncSourceOf, Outgoing, outgoing
from .._bodies.progress_hooks import ProgressHook, Reporting, reporting
from .._boundary.lease import Remote
from .._boundary.submitted_call import CallFuture, Submission
from .._boundary.unclosed import call_site
from .._caller import in_caller
from .._checks import UNSET, Unset
from .._models import Reply
from .._other_libraries import no_such_keyword
from .._timeout import ClientTimeout
from .._types import JSONEncoder, LooseCookies, LooseHeaders, StrOrURL, Timeout
from .._urls import same_origin
from .arguments import (
    CHECKS,
    COMMON_METHODS,
    RaiseForStatus,
    check_method,
    check_raise_for_status,
    check_timeout,
    check_url,
    merge_params,
)
from .headers import Auth, BasicCredentials, authorization, header_items, merge_headers, signer
from .middlewares import MiddlewareType
from .place import Place
from .response import CharsetResolver, Response, check_status
from .session_settings import SessionSettings
from .tls import SSLArgument, merge_ssl
from .transports import check_way, proxy_url, split_unix_url


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
    if hdrs.CONTENT_TYPE not in headers and not (
        skip_auto_headers and "content-type" in map(str.lower, skip_auto_headers)
    ):
        headers[hdrs.CONTENT_TYPE] = "application/json"
    try:
        text = json_serialize(json)
    except TypeError as exc:
        raise TypeError(f"json: {exc}") from exc
    return outgoing(text.encode() if isinstance(text, str) else text, progress)


class RequestOptions(TypedDict, total=False):
    """The keywords of a request; see ``Session.request``."""

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
    proxy_auth: BasicCredentials
    timeout: Timeout | Unset
    verify_ssl: bool | None
    fingerprint: bytes | None
    ssl_context: Any
    ssl: SSLArgument
    server_hostname: str | None
    proxy_headers: LooseHeaders | None
    retry: Retry | int | None
    upload_progress: ProgressHook | bool | None
    timings: bool | None
    trace_request_ctx: object
    read_bufsize: int | None
    auto_decompress: bool | None
    max_line_size: int | None
    max_field_size: int | None
    max_headers: int | None
    max_body: int | None
    middlewares: Sequence[MiddlewareType | ClientMiddlewareType] | None


class Prepared(NamedTuple):
    """A request that has been checked."""

    #: The values that cross: method, URL, timeout, and keywords of aiohttp's request method
    #: that are not defaults.
    crossing: tuple[str, URL, ClientTimeout, dict[str, Any]]
    #: The body; the caller's thread may have to produce parts of it.
    body: Outgoing
    raise_for_status: RaiseForStatus[Any]


def prepare(
    place: Place,
    method: str,
    url: StrOrURL,
    options: RequestOptions,
    *,
    asynchronous: AsyncSourceOf = AsyncSource,
    surroundings: Surroundings | None = None,
) -> Prepared:
    """Check a request, and serialise its body. ``Session.request`` explains the options.

    Args:
        place: of the session.
        method: of the request.
        url: of the request.
        options: the keywords of the request.
        asynchronous: makes the source for an asynchronous iterable that is the body.
        surroundings: the environment's settings, if they have been read already.

    Checks only the options that are given: most requests have few, and a loop over all possible
    options would cost more than the crossing to the loop thread.
    """
    settings = place.settings
    if settings.defaults:
        options = _with_defaults(settings.defaults, options)
    if method not in COMMON_METHODS:
        method = check_method(method)
    engine: dict[str, Any] = {}
    if not isinstance(url, str) or "+unix" in url[:10]:
        over = split_unix_url(url)
        if over is not None:
            engine["unix_socket"], url = over
    target = check_url(url, settings.base_url, options.get("params"))
    headers, auth = options.get("headers"), options.get("auth")
    fields: CIMultiDict[str] = CIMultiDict()
    if headers or settings.headers:
        fields = merge_headers(settings.headers, headers)
    signs = auth is not None or settings.auth is not None
    if signs or target.raw_user is not None:
        authorized = _authorization(settings, auth, fields, target)
        if authorized is not None:
            engine["authorization"] = authorized
    body, timeout, rule = NO_BODY, settings.timeout, settings.raise_for_status
    if options:
        body = _choose(engine, place, options, target, fields, asynchronous)
        timeout = check_timeout(options.get("timeout", UNSET), timeout)
        if (own_rule := options.get("raise_for_status")) is not None:
            rule = check_raise_for_status(own_rule)
    if signs:
        _choose_signer(engine, place, auth, fields, target)
    if "chunked" in engine or (
        fields and (hdrs.TRANSFER_ENCODING in fields or hdrs.CONTENT_LENGTH in fields)
    ):
        frame_options(engine, method, fields)
    if settings.version < HttpVersion11:
        refuse_chunks(engine, fields)
    if fields:
        engine["headers"] = fields
    if "proxy" in engine or "unix_socket" in engine:
        proxy = engine.get("proxy", settings.proxy_url)
        check_way(place.connector, proxy=proxy, unix_socket=engine.get("unix_socket"))
    if settings.trust_env:
        engine["surroundings"] = surroundings or read_surroundings()
    return Prepared((method, target, timeout, engine), body, rule)


def _choose(
    engine: dict[str, Any],
    place: Place,
    options: RequestOptions,
    target: URL,
    headers: CIMultiDict[str],
    asynchronous: AsyncSourceOf,
) -> Outgoing:
    """Put the options of this one request into ``engine``; return its body."""
    settings = place.settings
    verifies = False
    for name, value in options.items():
        if name in CHECKS:
            if value is not None:
                engine[name] = CHECKS[name](name, value)
        elif name in _SSL:
            verifies = True
        elif name not in _HERE:
            raise no_such_keyword("a request", name, RequestOptions.__annotations__)
    if "middlewares" in engine:
        engine["middlewares"] = place.adapt(engine["middlewares"])
    body, progress = NO_BODY, None
    if (told := options.get("upload_progress")) is not None and told is not False:
        progress = reporting(told, target.name or str(target.raw_host), "upload_progress")
    data, json = options.get("data"), options.get("json")
    if data is not None or json is not None:
        skipped: Iterable[str] = settings.skip_auto_headers
        if own := engine.get("skip_auto_headers"):
            skipped = (*skipped, *own)
        body = check_body(data, json, settings.serialize, headers, skipped, progress, asynchronous)
        engine["data"] = body.value
    elif engine.get("expect100"):
        del engine["expect100"]  # not without a body (RFC 9110, section 10.1.1)
    if verifies:
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
    if (verifies or "server_hostname" in engine) and target.scheme in _PLAIN:
        _refuse_of_tls(engine, target, settings.proxy_url)
    if (proxy_headers := options.get("proxy_headers")) is not None:
        if proxy is None and settings.proxy_url is None and not settings.trust_env:
            raise ValueError("proxy_headers needs a proxy")
        fields = CIMultiDict(header_items(proxy_headers, "proxy_headers"))
        try:
            # Neither a CONNECT nor any other request to the proxy itself has a body.
            frame(fields, "GET", 0, has_body=False, chunked=False)
        except ValueError as exc:
            raise ValueError(f"proxy_headers: {exc}") from None
        engine["proxy_headers"] = fields
    return body


def _refuse_of_tls(engine: dict[str, Any], url: URL, default_proxy: URL | None) -> None:
    """Raise for options that verify a server, if the server has no certificate."""
    proxy = engine.get("proxy", default_proxy)
    name = None
    if "server_hostname" in engine:
        name = "server_hostname"
    elif isinstance(engine["ssl"], Fingerprint) and (proxy is None or proxy.scheme != "https"):
        name = "a Fingerprint"
    if name is not None:
        raise ValueError(f"{name} has no effect on {url.scheme}://, which has no TLS")


def _authorization(
    settings: SessionSettings, auth: Auth, headers: CIMultiDict[str], url: URL
) -> str | None:
    """Return the Authorization header for ``url``, unless that or ``headers`` has one."""
    if auth is not None:
        if hdrs.AUTHORIZATION in headers:
            raise ValueError("auth cannot be combined with an Authorization header")
        if url.raw_user is not None or url.raw_password is not None:
            raise ValueError("auth cannot be combined with credentials in the URL")
        return authorization(auth)
    if url.raw_user is not None and hdrs.AUTHORIZATION in headers:
        raise ValueError("an Authorization header cannot be combined with credentials in url")
    if (
        settings.authorization is not None
        and hdrs.AUTHORIZATION not in headers
        and url.raw_user is None
        and (settings.base_url is None or same_origin(settings.base_url, url))
    ):
        return settings.authorization
    return None


def _choose_signer(
    engine: dict[str, Any], place: Place, auth: Auth, headers: CIMultiDict[str], url: URL
) -> None:
    """Put ``auth=`` into ``engine`` if it is a middleware, unless the session has it."""
    settings = place.settings
    standing = signer(settings.auth)
    chosen = signer(auth)
    if (
        auth is None
        and hdrs.AUTHORIZATION not in headers
        and url.raw_user is None
        and (settings.base_url is None or same_origin(settings.base_url, url))
    ):
        chosen = standing
    if chosen is standing and "middlewares" not in engine:
        return
    own = engine.get("middlewares")
    own = place.adapt(settings.middlewares) if own is None else own
    engine["middlewares"] = own if chosen is None else (*own, *place.adapt((chosen,)))


def _with_defaults(defaults: Mapping[str, Any], options: RequestOptions) -> RequestOptions:
    """Return ``options``, completed by the session's defaults."""
    whole: Any = {**defaults, **options}
    if "params" in defaults:
        whole["params"] = merge_params(defaults["params"], options.get("params"))
    return cast("RequestOptions", whole)


_PLAIN = frozenset({"http", "ws"})
_SSL = frozenset({"ssl", "verify_ssl", "ssl_context", "fingerprint"})
#: Options that are checked here.
_HERE = frozenset(RequestOptions.__annotations__) - CHECKS.keys()


class Submitted(Submission[Response]):
    """One submitted request: finishes its response, and releases its body."""

    def __init__(self, prepared: Prepared, resolve_charset: CharsetResolver) -> None:
        self.lends = prepared.body.lends
        # Dropped as soon as possible: the future, which may be kept, holds this.
        self._body = prepared.body if self.lends else NO_BODY
        self._sent = prepared.body.kept()
        self._rule = prepared.raise_for_status
        self._resolve_charset = resolve_charset
        self._submitted_at = call_site()

    async def finish(self, reply: Reply, remote: Remote[Exchange] | None) -> Response:
        """Return the Response, once its status has been checked."""
        response = Response(reply, remote, self._resolve_charset, self._submitted_at)
        response._sent = self._sent
        if isinstance(self._rule, bool):
            check_status(response, self._rule)
        else:
            await in_caller(check_status, response, self._rule)  # a function of the user's
        return response

    def give_back(self, error: BaseException | None) -> None:
        """Release the body."""
        body, self._body = self._body, NO_BODY
        body.end(error)

    def discard(self, result: Response) -> None:
        """Close the response, which no caller received."""
        result.close()


def submit(place: Place, prepared: Prepared, *, stream: bool) -> CallFuture[Response]:
    """Send a request without waiting; see ``Session.submit``."""
    submitted = Submitted(prepared, place.settings.fallback_charset_resolver)
    prepared.body.begin()
    try:
        return place.portal.submit(place.here(_ask), submitted.finish, submitted, prepared, stream)
    except BaseException as exc:
        prepared.body.end(exc)
        raise


async def _ask(
    session: AsyncSession, prepared: Prepared, stream: bool
) -> tuple[Reply, Exchange | None]:
    if stream:
        return await session.request(*prepared.crossing)
    return await session.fetch(*prepared.crossing), None
