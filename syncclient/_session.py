"""Session: the blocking face of the async client."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import ClientTimeout, HttpVersion, HttpVersion11, TraceConfig
from aiohttp.client_middlewares import ClientMiddlewareType
from multidict import CIMultiDict, istr
from yarl import URL

from . import _fork as _fork  # installs the fork and exit hooks
from ._aio import AioSession
from ._annex import Annex
from ._async.connector import Pool
from ._async.retry import Retry, check_retry
from ._async.session import AsyncSession, Opener
from ._channels import Channels
from ._checks import UNSET, Unset, count
from ._closing import Closing
from ._connector import BaseConnector
from ._cookies import BaseCookieJar, CookieJar
from ._copies import Copies
from ._exceptions import SessionClosedError
from ._loop_thread import LoopThread, default_loop_thread, refuse_patched_threads
from ._middlewares import Chain, MiddlewareType
from ._models import redacted_url
from ._options import checked
from ._options import raise_for_status as check_raise_for_status
from ._options import trace_configs as check_trace_configs
from ._portal import Portal
from ._request import (
    Auth,
    Defaults,
    RaiseForStatus,
    check_timeout,
    check_url,
    header_items,
)
from ._response import CharsetResolver, Response
from ._settings import TWINS
from ._tracing import views_of
from ._transports import check_connector, proxy_url
from ._types import JSONEncoder, LooseCookies, LooseHeaders, StrOrURL, Timeout
from ._unclosed import call_site, complain, watch
from ._verbs import Verbs

if TYPE_CHECKING:
    from typing_extensions import Never

T = TypeVar("T")

#: As aiohttp's: five minutes for everything, thirty seconds to connect.
DEFAULT_TIMEOUT = ClientTimeout(total=5 * 60, sock_connect=30)


class Session(Verbs, Channels, Copies, Closing):
    """A blocking HTTP client with a connection pool and cookies of its own.

    Making one costs nothing: the loop thread starts with its first request. Any number
    of threads may share a session. Close it, best by a ``with`` block: afterwards no
    task, socket or thread of it is left. After a fork it goes on in the child with its
    settings and cookies, on connections of the child's own; and so does a pickled one where
    it arrives. ``with_options`` derives sessions that share all but some settings.

    Args:
        base_url: what relative URLs are joined to; must end in a slash.
        connector: how connections are made: TCPConnector(...), UnixConnector(path) ...
        cookies: cookies to begin with, sent to every host.
        headers: headers of every request.
        proxy: URL of the proxy for every request.
        proxy_auth: BasicAuth or (login, password) for it.
        skip_auto_headers: names of headers not to be added by themselves.
        auth: BasicAuth or (login, password) for every request; with a ``base_url``,
            for those to its origin.
        json_serialize: what turns ``json=`` into str or bytes, in the caller's thread.
        json_serialize_bytes: the same, and goes before it.
        version: the HTTP version to speak.
        cookie_jar: where cookies are kept; None makes a CookieJar.
        connector_owner: False leaves the connector open when the session closes.
        raise_for_status: whether a status of 400 or above raises ClientResponseError;
            or a function that is given each Response in the caller's thread.
        timeout: a ClientTimeout, or the seconds that a request with its body may take;
            None or 0 for no limit. The default is 300 s, 30 s of them to connect.
        auto_decompress: whether bodies are decompressed.
        trust_env: whether proxies and .netrc of the environment are used.
        requote_redirect_url: whether Location headers are quoted anew.
        trace_configs: aiohttp.TraceConfig objects, which are not changed and may serve other
            sessions too. Their callbacks may be plain functions: those run in the thread of
            the blocked caller, or on a worker where none waits, and may use the session. They
            get this Session for aiohttp's, and for a response its head, a Response without a
            body. Async callbacks run on the loop thread, in a copy of the caller's context, and
            get what aiohttp gives them. What a callback raises ends the request, and reaches
            its caller as it is.
        read_bufsize: bytes of a body to hold before the server is made to wait (half of it).
        max_line_size: bytes that the status line may have.
        max_field_size: bytes that one header may have.
        max_headers: how many headers a response may have.
        fallback_charset_resolver: ``(response, body) -> encoding``, in the caller's thread,
            for bodies that do not name their charset.
        middlewares: what every request passes through, each hop of a redirect anew: blocking
            functions ``(request, handler) -> response``, which run in the caller's thread,
            and aiohttp's async ones, on the loop thread. The first is the outermost.
        max_body: bytes that a body may have once it is decompressed; a longer one raises
            ClientPayloadError, and is not decompressed further. None sets no limit.
        retry: when a request that failed is tried again; None leaves it at one attempt.
        timings: whether responses tell where their time went, as ``Response.timings``.
        loop_thread: whose event loop to use; None is the one that all sessions share.

    Source: aiohttp.ClientSession, without ``loop`` and the deprecated or loop-bound
    ``read_timeout``, ``conn_timeout``, ``request_class``, ``response_class``,
    ``ws_response_class`` and ``ssl_shutdown_timeout``.
    """

    def __init__(
        self,
        base_url: StrOrURL | None = None,
        *,
        connector: BaseConnector | None = None,
        cookies: LooseCookies | None = None,
        headers: LooseHeaders | None = None,
        proxy: StrOrURL | None = None,
        proxy_auth: Auth = None,
        skip_auto_headers: Iterable[str] | None = None,
        auth: Auth = None,
        json_serialize: JSONEncoder = jsonlib.dumps,
        json_serialize_bytes: Callable[[Any], bytes] | None = None,
        version: HttpVersion = HttpVersion11,
        cookie_jar: BaseCookieJar[Any] | None = None,
        connector_owner: bool = True,
        raise_for_status: RaiseForStatus[Response] = False,
        timeout: Timeout | Unset = UNSET,
        auto_decompress: bool = True,
        trust_env: bool = False,
        requote_redirect_url: bool = True,
        trace_configs: Sequence[TraceConfig] | None = None,
        read_bufsize: int = 2**18,
        max_line_size: int = 8190,
        max_field_size: int = 8190,
        max_headers: int = 128,
        fallback_charset_resolver: CharsetResolver = lambda response, body: "utf-8",
        middlewares: Sequence[MiddlewareType | ClientMiddlewareType] = (),
        max_body: int | None = None,
        retry: Retry | None = None,
        timings: bool = False,
        loop_thread: LoopThread | None = None,
        **misspelt: Never,
    ) -> None:
        # Before any other name is bound here: these are the keywords, all of them.
        given = {name: value for name, value in locals().items() if name not in _NO_KEYWORDS}
        a_subclass = vars(self).keys() - {"_root"}
        for name in misspelt:
            hint = f"; here it is {TWINS[name]}" if name in TWINS else ""
            raise TypeError(f"Session takes no keyword {name!r}{hint}")
        refuse_patched_threads()
        connector = check_connector(connector)
        if cookie_jar is None:
            cookie_jar = CookieJar()
        elif not isinstance(cookie_jar, BaseCookieJar):
            raise TypeError(
                "cookie_jar must be a syncclient.CookieJar or DummyCookieJar, "
                f"not {type(cookie_jar).__module__}.{type(cookie_jar).__qualname__}"
            )
        self._cookie_jar = cookie_jar
        names = checked(skip_auto_headers=skip_auto_headers or ())["skip_auto_headers"]
        self._defaults = Defaults(
            base_url=None if base_url is None else _check_base_url(base_url),
            headers=CIMultiDict(header_items(headers or ())),
            skip_auto_headers=frozenset(map(istr, names)),
            auth=auth,
            json_serialize=json_serialize_bytes or json_serialize,
            raise_for_status=check_raise_for_status(raise_for_status),
            timeout=check_timeout(timeout, DEFAULT_TIMEOUT),
            chain=(chain := Chain(fallback_charset_resolver)),
        )
        self._charset_resolver = fallback_charset_resolver
        self._connector_owner = connector_owner
        #: What the engine's session is made of; ``headers`` and ``auth`` are merged here.
        self._options: dict[str, Any] = {
            "proxy": proxy_url(proxy, proxy_auth),
            "skip_auto_headers": self._defaults.skip_auto_headers,
            "timeout": self._defaults.timeout,
            "version": version,
            "trust_env": trust_env,
            "requote_redirect_url": requote_redirect_url,
            "trace_configs": check_trace_configs(trace_configs),
            **checked(
                auto_decompress=auto_decompress,
                read_bufsize=read_bufsize,
                max_line_size=max_line_size,
                max_field_size=max_field_size,
                max_headers=max_headers,
                middlewares=middlewares or (),
            ),
        }
        cookies = cookies and checked(cookies=cookies)["cookies"]
        # Iterators among them have been drawn, and are replaced by what came.
        given |= {
            "base_url": self._defaults.base_url,
            "cookies": cookies,
            "skip_auto_headers": names or None,
            "trace_configs": self._options["trace_configs"] or None,
            "middlewares": self._options["middlewares"],
        }
        self._given = {n: value for n, value in given.items() if value is not _DEFAULTS[n]}
        self._loop_thread = loop_thread or default_loop_thread
        self._opened_at = call_site()
        # This does not refer to the session, which a finaliser closes.
        opener = partial(
            AsyncSession,
            cookie_jar=cookie_jar._live_jar,
            cookies=cookies,
            retry=check_retry("retry", retry),
            max_body=None if max_body is None else count("max_body", max_body),
            timings=bool(timings),
            views=views_of(self),
            options={
                **self._options,
                "middlewares": chain(self._options["middlewares"]),
            },
        )
        root = self._root
        if root is None:
            factory = connector._factory(shared=not connector_owner)
            self._portal = portal = Portal(
                self._loop_thread,
                partial(opener, connector=factory),
                AsyncSession.aclose,
                AsyncSession.settle,
                name=repr(self),
            )
            self._connector = connector._bound(factory, partial(_ask_pool, portal))
            watch(self)
        else:
            portal = root._portal
            self._portal = Annex(portal, partial(_beside, opener), name=repr(self))
            self._connector = root._connector
        if root is None or cookie_jar is not root._cookie_jar:
            cookie_jar._attach(portal)
        chain.attach(portal)
        self._ours = vars(self).keys() - a_subclass | {"_ours"}

    #: What ``Copies`` makes another session by, past the ``__init__`` of a subclass.
    _begin = __init__

    # -- closing ---------------------------------------------------------------------

    def close(self, *, grace: float = 0.0) -> None:
        """Close all that is open through this session. Blocks; may be called again.

        A derived session (``with_options``) merely refuses requests from then on.

        New requests are refused at once. What is under way has ``grace`` seconds to end:
        calls of other threads, responses not yet read, downloads and batches; not WebSockets
        and event sources that nobody waits for, which last. Calls that are left then get
        SessionClosedError. An interrupt ends the wait; the closing goes on without it.
        """
        self._portal.close(partial(SessionClosedError, f"{self!r} was closed"), grace=grace)

    def __del__(self) -> None:
        portal: Portal[AsyncSession] | None = self.__dict__.get("_portal")
        if portal is None or portal.closed or not portal.leased or self._root is not None:
            return  # of a derived session, the portal is not its own
        try:
            complain(self)
        finally:  # also where warnings are errors
            portal.abandon(partial(SessionClosedError, "the session was dropped without close()"))

    def _complaint(self) -> str | None:
        if self._portal.closed or not self._portal.leased or self._root is not None:
            return None
        return (
            f"unclosed {self!r}; it was made at {self._opened_at}: "
            "use it in a with block, or call close()"
        )

    @property
    def aio(self) -> AioSession:
        """This session, awaited by tasks of asyncio or trio: ``await session.aio.get(url)``.

        It shares all there is: the pool, the cookies, the settings. Costs nothing.
        """
        return AioSession(self)

    def __repr__(self) -> str:
        base_url = self._defaults.base_url
        return "<Session>" if base_url is None else f"<Session {redacted_url(base_url)}>"

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._portal.closed


def _beside(opener: Opener, session: AsyncSession) -> AsyncSession:
    return session.beside(opener)


def _ask_pool(portal: Portal[AsyncSession], question: Callable[[Pool], T]) -> T | None:
    return portal.call(AsyncSession.ask_pool, question) if portal.leased else None


def _check_base_url(base_url: StrOrURL) -> URL:
    url = check_url(base_url, None, None)
    if not url.path.endswith("/"):
        raise ValueError(f"base_url must end in a slash: write {str(url) + '/'!r}")
    return url


#: What ``Session.__init__`` has for locals beside its keywords.
_NO_KEYWORDS = frozenset({"self", "misspelt"})
_DEFAULTS: dict[str, Any] = {"base_url": None, **(Session.__init__.__kwdefaults__ or {})}
