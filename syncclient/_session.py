"""Session: the blocking face of the async client."""

from __future__ import annotations

import json as jsonlib
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from aiohttp import ClientTimeout, ClientWSTimeout, HttpVersion, HttpVersion11, TraceConfig, hdrs
from aiohttp.client_middlewares import ClientMiddlewareType
from multidict import CIMultiDict, istr
from yarl import URL

from . import _fork as _fork  # installs the fork and exit hooks
from ._async.connector import Pool
from ._async.retry import Retry, check_retry
from ._async.session import AsyncSession
from ._async.websocket import BUFFER_BYTES, BUFFER_MESSAGES, pause
from ._checks import UNSET, Unset, count
from ._connector import BaseConnector
from ._cookies import BaseCookieJar, CookieJar
from ._download import download
from ._exceptions import SessionClosedError
from ._loop_thread import LoopThread, default_loop_thread, refuse_patched_threads
from ._many import RequestLike, ResponseIterator, check_requests
from ._models import redacted_url
from ._options import checked
from ._options import raise_for_status as check_raise_for_status
from ._options import trace_configs as check_trace_configs
from ._portal import Portal
from ._progress import ProgressHook
from ._request import (
    Auth,
    Defaults,
    RaiseForStatus,
    RequestOptions,
    check_timeout,
    check_url,
    header_items,
)
from ._response import CharsetResolver, Response, call_site, check_status
from ._settings import TWINS, Settings
from ._sse import EventSource, sse
from ._submit import submit
from ._transports import check_connector, proxy_url
from ._types import JSONEncoder, LooseCookies, LooseHeaders, StrOrURL, Timeout
from ._websocket import WebSocket, WebSocketOptions, connect
from ._ws_forever import MAX_DELAY, MIN_DELAY, Forever

if TYPE_CHECKING:
    from typing_extensions import Never, Self, Unpack

T = TypeVar("T")

#: As aiohttp's: five minutes for everything, thirty seconds to connect.
DEFAULT_TIMEOUT = ClientTimeout(total=5 * 60, sock_connect=30)


class Session(Settings):
    """A blocking HTTP client with a connection pool and cookies of its own.

    Making one costs nothing: the loop thread starts with its first request. Any number
    of threads may share a session. Close it, best by a ``with`` block: afterwards no
    task, socket or thread of it is left. After a fork it goes on in the child with its
    settings and cookies, on connections of the child's own.

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
        trace_configs: aiohttp.TraceConfig objects.
        read_bufsize: bytes of a body to hold before the server is made to wait (half of it).
        max_line_size: bytes that the status line may have.
        max_field_size: bytes that one header may have.
        max_headers: how many headers a response may have.
        fallback_charset_resolver: ``(response, body) -> encoding``, in the caller's thread,
            for bodies that do not name their charset.
        middlewares: aiohttp client middlewares.
        max_body: bytes that a body may have once it is decompressed; a longer one raises
            ClientPayloadError, and is not decompressed further. None sets no limit.
        retry: when a request that failed is tried again; None leaves it at one attempt.
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
        middlewares: Sequence[ClientMiddlewareType] = (),
        max_body: int | None = None,
        retry: Retry | None = None,
        loop_thread: LoopThread | None = None,
        **misspelt: Never,
    ) -> None:
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
        self._loop_thread = loop_thread or default_loop_thread
        self._opened_at = call_site()
        factory = connector._factory(shared=not connector_owner)
        # Neither this nor the connector refers to the session, which a finaliser closes.
        self._portal = Portal(
            self._loop_thread,
            partial(
                AsyncSession,
                connector=factory,
                cookie_jar=cookie_jar._live_jar,
                cookies=cookies and checked(cookies=cookies)["cookies"],
                retry=check_retry("retry", retry),
                max_body=None if max_body is None else count("max_body", max_body),
                options=self._options,
            ),
            AsyncSession.aclose,
            name=repr(self),
        )
        self._connector = connector._bound(factory, partial(_ask_pool, self._portal))
        cookie_jar._attach(self._portal)

    # -- requests --------------------------------------------------------------------

    def request(self, method: str, url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
        """Send a request and return its response as soon as the head is here.

        Blocks the caller; any thread but the loop thread may call it. Woken by the head,
        a timeout, an error, an interrupt, or the session's closing.

        Args:
            method: ``"GET"``, ``"POST"`` ...
            url: absolute, or relative to the session's ``base_url``.
            params: a dict, MultiDict, pairs or str to add to the URL's query.
            data: the body: bytes, str, a form (dict, pairs, FormData), a MultipartWriter, a
                binary file, an iterator or asynchronous iterator of bytes, a BodyWriter, or
                the content of another response. Files and iterators are read in this thread.
            json: what ``json_serialize`` turns into the body; excludes ``data``.
            cookies: cookies of this request, beside those of the jar.
            headers: headers of this request; they override the session's.
            skip_auto_headers: names of headers not to be added by themselves.
            auth: BasicAuth or (login, password); overrides the session's.
            allow_redirects: whether to follow redirects.
            max_redirects: how many of them; 0 sets no limit.
            compress: ``"deflate"``, ``"gzip"``, True for deflate: how to compress the body.
            chunked: True sends the body in chunks.
            expect100: whether to wait for ``100 Continue`` before the body is sent.
            retry: when this request is tried again if it fails; overrides the session's,
                and None means never.
            upload_progress: called with the bytes of the body sent and those in all, or None,
                in this thread while it waits, and not for an empty body; True draws a bar on
                stderr (``syncclient[progress]``). Bytes count as sent when the engine has taken
                them from the caller's buffer, which is before the server has them; they are
                counted uncompressed, and anew where the body is sent again. The request
                returns when all is sent, or the server refused it. What the function
                raises aborts it.
            raise_for_status: overrides the session's; None is the session's.
            read_until_eof: whether a body of unknown length lasts until the connection ends.
            proxy: URL of the proxy.
            proxy_auth: BasicAuth or (login, password) for it.
            timeout: a ClientTimeout, or seconds for everything, the body included; None
                or 0 for no limit. Without it, the session's.
            ssl: True verifies the certificate, False does not; "system", an SSLContext
                or a Fingerprint say how.
            verify_ssl: deprecated spelling of ``ssl=False``.
            fingerprint: deprecated spelling of ``ssl=Fingerprint(...)``.
            ssl_context: deprecated spelling of ``ssl=context``.
            server_hostname: the name to verify the certificate against.
            proxy_headers: headers for the proxy.
            trace_request_ctx: an object for the callbacks of ``trace_configs``.
            max_body, read_bufsize, auto_decompress, max_line_size, max_field_size, max_headers,
            middlewares: override the session's; None is the session's.

        Raises:
            TypeError, ValueError, InvalidURL: an argument is wrong; nothing was sent.
            ClientError: the request failed; its subclass says how.
            SessionClosedError: the session is closed, or was while this waited.

        Source: aiohttp.ClientSession.request.
        """
        prepared = self._defaults.prepare(method, url, options)
        with prepared.body.lent():
            reply, remote = self._portal.open(AsyncSession.request, *prepared.crossing)
        response = Response(reply, remote, self._charset_resolver)
        check_status(response, prepared.raise_for_status)
        return response

    def submit(
        self, method: str, url: StrOrURL, *, stream: bool = False, **options: Unpack[RequestOptions]
    ) -> Future[Response]:
        """Send a request without waiting for it, and return the future of its response.

        Never blocks; any thread may call it. The future works with all of
        ``concurrent.futures``; its ``cancel()`` cancels the request on the wire. Closing the
        session makes it fail with SessionClosedError, and a ``syncclient.timeout()`` block
        around this call with DeadlineError, once that is over.

        Code of the caller's own runs on another thread, in a copy of the caller's context:
        a generator or a file that is the body, and a function for ``raise_for_status``, on
        one that belongs to this request; callbacks of the future likewise, or in the thread
        that cancels it. A BodyWriter is written by whichever thread likes to.

        Args:
            method: ``"GET"``, ``"POST"`` ...
            url: absolute, or relative to the session's ``base_url``.
            stream: whether the future is done as soon as the head of the response is here,
                as with ``request``; otherwise once all of the body has been read.
            options: the keywords of ``request``.

        Raises:
            TypeError, ValueError, InvalidURL: an argument is wrong; nothing was sent.
            SessionClosedError: the session is closed.
        """
        prepared = self._defaults.prepare(method, url, options)
        return submit(self._portal, prepared, self._charset_resolver, stream=stream)

    @overload
    def map(
        self,
        requests: Iterable[RequestLike],
        *,
        method: str = ...,
        concurrency: int = ...,
        ordered: bool = ...,
        return_exceptions: Literal[False] = ...,
        **options: Unpack[RequestOptions],
    ) -> ResponseIterator[Response]: ...

    @overload
    def map(
        self,
        requests: Iterable[RequestLike],
        *,
        method: str = ...,
        concurrency: int = ...,
        ordered: bool = ...,
        return_exceptions: bool,
        **options: Unpack[RequestOptions],
    ) -> ResponseIterator[Response | Exception]: ...

    def map(
        self,
        requests: Iterable[RequestLike],
        *,
        method: str = hdrs.METH_GET,
        concurrency: int = 100,
        ordered: bool = True,
        return_exceptions: bool = False,
        **options: Unpack[RequestOptions],
    ) -> ResponseIterator[Any]:
        """Send many requests at a time, and iterate over their responses, read whole.

        All from one thread, which may iterate over any number of requests: the iterable is
        pulled from in this thread, as the responses are taken, and not before the first one
        is. What has ended waits until it is taken; once twice ``concurrency`` requests are
        under way or waiting, no more are begun. Generators as bodies, and functions for
        ``raise_for_status``, run in the iterating thread as well.

        The iterator is a context manager. Leave its block, or close it, where the iteration
        may end early: that cancels what is left and waits until it has unwound. An error
        does the same.

        Args:
            requests: any iterable of URLs, of (method, URL) pairs, of mappings with a
                ``"url"`` and perhaps a ``"method"``, a ``"tag"`` and keywords of
                ``request``, or of Request objects. A tag is what the response, or the
                error, has as its ``tag``.
            method: of the requests that have none of their own.
            concurrency: how many requests are in flight at a time. The connector has a
                limit of its own: for more than 100 make it
                ``TCPConnector(limit=concurrency)``.
            ordered: whether responses come in the order of the requests, or as they end.
            return_exceptions: whether an error is yielded in its place instead of raised,
                and the rest goes on.
            options: the keywords of ``request``, for every request that does not have
                them itself.

        Raises:
            TypeError, ValueError: an argument is wrong. What is wrong with one of the
                requests is its own error, which names its index.
        """
        check_requests(requests, options)
        return ResponseIterator(
            self._portal,
            self._defaults,
            self._charset_resolver,
            requests,
            method,
            count("concurrency", concurrency, least=1),
            ordered,
            return_exceptions,
            options,
            owner=self,
        )

    def get(self, url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
        """Send a GET request. Blocks until the head of the response is here; see ``request``."""
        return self.request(hdrs.METH_GET, url, **options)

    def options(self, url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
        """Send an OPTIONS request. Blocks until its response's head is here; see ``request``."""
        return self.request(hdrs.METH_OPTIONS, url, **options)

    def head(self, url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
        """Send a HEAD request, without following redirects unless told to. See ``request``."""
        options.setdefault("allow_redirects", False)
        return self.request(hdrs.METH_HEAD, url, **options)

    def post(self, url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
        """Send a POST request. Blocks until the head of the response is here; see ``request``."""
        return self.request(hdrs.METH_POST, url, **options)

    def put(self, url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
        """Send a PUT request. Blocks until the head of the response is here; see ``request``."""
        return self.request(hdrs.METH_PUT, url, **options)

    def patch(self, url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
        """Send a PATCH request. Blocks until the head of the response is here; see ``request``."""
        return self.request(hdrs.METH_PATCH, url, **options)

    def delete(self, url: StrOrURL, **options: Unpack[RequestOptions]) -> Response:
        """Send a DELETE request. Blocks until the head of the response is here; see ``request``."""
        return self.request(hdrs.METH_DELETE, url, **options)

    def sse(
        self,
        url: StrOrURL,
        *,
        method: str = hdrs.METH_GET,
        last_event_id: str = "",
        reconnects: int | None = None,
        idle_timeout: float | None = None,
        **options: Unpack[RequestOptions],
    ) -> EventSource:
        """Open a stream of server-sent events. Blocks until it is connected.

        A lost connection is made again, with the Last-Event-ID, after a pause that the
        server may set. Iterate over the events; leaving the ``with`` block closes it.

        Args:
            method: of the request.
            last_event_id: where to go on, known from an earlier stream.
            reconnects: how many attempts to connect again may fail in a row; None sets no
                limit, and with 0 the events end with the connection.
            idle_timeout: seconds without a byte after which the connection counts as lost;
                None waits for ever.
            options: the keywords of ``request``. Without ``timeout=`` only connecting is
                limited.

        Raises:
            ClientResponseError: the answer is no stream of events.
            ClientError: no connection could be made.

        Source: EventSource of the HTML standard, section 9.2.
        """
        return sse(
            self._portal,
            self._defaults,
            url,
            options,
            method=method,
            last_event_id=last_event_id,
            reconnects=reconnects,
            idle_timeout=idle_timeout,
        )

    def download(
        self,
        url: StrOrURL,
        path: str | os.PathLike[str],
        *,
        resume: bool = True,
        progress: ProgressHook | bool | None = None,
        digest: str | None = None,
        retries: int = 5,
        **options: Unpack[RequestOptions],
    ) -> Path:
        """Download into a file, and return its path. Blocks until it is complete.

        The bytes go to ``NAME.part`` beside the target. Only what is complete and verified
        appears under its name, in one step. After an error, an interrupt, or the end of the
        process, the next download to the same path goes on where this one was, if the server
        can do that and still has the same version; if not it starts over.

        Args:
            path: of the file; or a directory, for a name by the Content-Disposition or the
                URL, which never leads out of the directory.
            resume: False starts over, whatever is there.
            progress: called with the number of bytes there, and the number of all or None,
                in this thread; True draws a bar on stderr (``syncclient[progress]``).
            digest: ``"sha256:0123..."``, or another algorithm of hashlib's, to verify.
            retries: how many attempts in a row to make once a connection was lost.
            options: the keywords of ``request``. Without ``timeout=`` there is no limit to
                the whole, and a connection counts as lost after 60 s without a byte.

        Raises:
            ClientResponseError: the server has no such file.
            ClientError: the connection failed for good; the length or the digest is wrong.
            OSError: the file cannot be written; the part is kept.
            BlockingIOError: another download to the path is under way.
        """
        return download(
            self._portal,
            self._defaults,
            url,
            path,
            options,
            resume=resume,
            progress=progress,
            digest=digest,
            retries=retries,
        )

    def ws_connect(
        self,
        url: StrOrURL,
        *,
        timeout: ClientWSTimeout | float | None = None,
        receive_timeout: float | None = None,
        buffer_messages: int = BUFFER_MESSAGES,
        buffer_bytes: int = BUFFER_BYTES,
        **options: Unpack[WebSocketOptions],
    ) -> WebSocket:
        """Open a WebSocket. Blocks through the handshake; any thread but the loop thread.

        Args:
            url: ``ws://``, ``wss://``, ``http://`` or ``https://``, or relative to the
                session's ``base_url``.
            method: of the handshake.
            protocols: subprotocols to offer, the preferred one first.
            timeout: ``ClientWSTimeout(ws_receive=..., ws_close=...)``: seconds that a
                ``receive()`` may wait, None for ever, and that a ``close()`` may take. A
                number is the deprecated spelling of ``ws_close``.
            receive_timeout: deprecated spelling of ``ws_receive``.
            buffer_messages: messages to receive ahead of ``receive()``; above that, and
                above ``buffer_bytes``, the network pushes back on the server.
            buffer_bytes: bytes to receive ahead.
            autoclose: whether to answer a close of the server's by itself.
            autoping: whether to answer pings by itself.
            heartbeat: seconds after which to ping a silent server, and to close the
                connection if half that time later there is no pong. None never pings.
            origin: the Origin header.
            compress: window bits of permessage-deflate, 9 to 15; 0 does not compress.
            max_msg_size: bytes a message may have, 0 for no limit; a longer one closes the
                WebSocket with 1009.
            decode_text: False delivers text messages as bytes.
            auth, headers, params, proxy, proxy_auth, proxy_headers, server_hostname, ssl,
            verify_ssl, fingerprint, ssl_context: as ``request`` has them.

        Raises:
            WSServerHandshakeError: the server did not accept; it has status and headers.
            ClientError: the connection failed; the subclass says how.

        Source: aiohttp.ClientSession.ws_connect.
        """
        return connect(
            self._portal,
            self._defaults,
            url,
            options,
            timeout=timeout,
            receive_timeout=receive_timeout,
            buffer_messages=buffer_messages,
            buffer_bytes=buffer_bytes,
        )

    def ws_connect_forever(
        self,
        url: StrOrURL,
        *,
        min_delay: float = MIN_DELAY,
        max_delay: float = MAX_DELAY,
        **options: Unpack[WebSocketOptions],
    ) -> Forever[WebSocket]:
        """Iterate over open WebSockets to ``url``: each step closes the last and opens the next.

        Where the server cannot be reached, or is not ready, the step waits, longer each
        time, from ``min_delay`` to ``max_delay`` seconds. Closing the session ends the wait.

            for socket in session.ws_connect_forever("wss://example.org/feed"):
                for message in socket:
                    print(message.data)

        Raises:
            WSServerHandshakeError: the server refuses for good, say with 403.
            SessionClosedError: the session was closed.
        """
        return Forever(
            partial(self.ws_connect, url, **options),
            self._pause,
            min_delay=min_delay,
            max_delay=max_delay,
        )

    def _pause(self, seconds: float) -> None:
        self._portal.call(pause, seconds)

    # -- closing ---------------------------------------------------------------------

    def close(self, *, grace: float = 0.0) -> None:
        """Close all that is open through this session. Blocks; may be called again.

        Calls of other threads that are still in flight after ``grace`` seconds get
        SessionClosedError. An interrupt ends the wait; the closing goes on without it.
        """
        self._portal.close(partial(SessionClosedError, f"{self!r} was closed"), grace=grace)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        portal: Portal[AsyncSession] | None = self.__dict__.get("_portal")
        if portal is None or portal.closed or not portal.leased:
            return
        portal.abandon(partial(SessionClosedError, "the session was dropped without close()"))
        warnings.warn(
            f"unclosed session dropped; it was made at {self._opened_at}: "
            "use it in a with block, or call close()",
            ResourceWarning,
            source=self,
            stacklevel=2,
        )

    def __repr__(self) -> str:
        base_url = self._defaults.base_url
        return "<Session>" if base_url is None else f"<Session {redacted_url(base_url)}>"

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._portal.closed


def _ask_pool(portal: Portal[AsyncSession], question: Callable[[Pool], T]) -> T | None:
    return portal.call(AsyncSession.ask_pool, question) if portal.leased else None


def _check_base_url(base_url: StrOrURL) -> URL:
    url = check_url(base_url, None, None)
    if not url.path.endswith("/"):
        raise ValueError(f"base_url must end in a slash: write {str(url) + '/'!r}")
    return url
