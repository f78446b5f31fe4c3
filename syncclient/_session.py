"""Session: the blocking face of the async client."""

from __future__ import annotations

import copy
import json as jsonlib
import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from aiohttp import ClientWSTimeout, HttpVersion, HttpVersion11, TraceConfig, hdrs
from aiohttp.abc import AbstractCookieJar
from aiohttp.client_middlewares import ClientMiddlewareType
from aiohttp.typedefs import Query

from . import _preload as _preload
from ._aio.session import AioSession
from ._async.engine.protocol import HEADER_LIMIT, LINE_LIMIT
from ._async.exchange.redirects import MOST
from ._async.exchange.retry import Retry
from ._async.session import Answer, AsyncSession
from ._async.sse import EVENT_LIMIT
from ._async.websocket.settings import BUFFER_BYTES, BUFFER_MESSAGES
from ._async.websocket.websocket import pause
from ._bodies.payload import NO_BODY
from ._bodies.progress_hooks import ProgressHook
from ._boundary import process_hooks as process_hooks  # installs the fork and exit hooks
from ._boundary.loop_thread import LoopThread, refuse_patched_threads
from ._boundary.portal import Portal
from ._boundary.unclosed import call_site, complain, watch
from ._checks import UNSET, Unset, count
from ._client.arguments import RaiseForStatus
from ._client.connectors import BaseConnector
from ._client.cookies import BaseCookieJar
from ._client.download import download
from ._client.event_source import EventSource, sse
from ._client.headers import Auth, BasicCredentials
from ._client.map import RequestLike, ResponseIterator, check_requests
from ._client.middlewares import MiddlewareType
from ._client.place import Method, Place
from ._client.request import RequestOptions, prepare, submit
from ._client.response import CharsetResolver, Response, check_status, refuse_async_rule
from ._client.session_base import SessionBase
from ._client.session_settings import (
    AllOptions,
    SessionOptions,
    SessionSettings,
    check_picklable,
    check_settings,
    utf_8,
)
from ._client.session_view import session_html
from ._client.tls import SSLArgument
from ._client.websocket import WebSocket, connect
from ._client.websocket_forever import MAX_DELAY, MIN_DELAY, Forever
from ._client.websocket_options import WebSocketOptions
from ._closing import Closing
from ._exceptions import SessionClosedError
from ._other_libraries import no_such_keyword, not_by_position
from ._shown import shown
from ._types import JSONEncoder, LooseCookies, LooseHeaders, StrOrURL, Timeout

if TYPE_CHECKING:
    from typing_extensions import Never, Self, Unpack


class Session(SessionBase, Closing):
    """A blocking HTTP client with its own connection pool and cookies.

    Creating a session is cheap: the loop thread starts with the first request. Any number of
    threads may share a session. Close it, preferably by a ``with`` block, so that no tasks,
    sockets or threads are left. After a fork, the child can use the session too, with its
    settings and cookies and with new connections; so can a process that unpickles it.
    ``with_options`` derives sessions that share everything except some settings.

    Args:
        base_url: the URL that relative URLs are joined to; must end in a slash.
        connector: configures connections: TCPConnector(...), UnixConnector(path) ...
        cookies: cookies to start with, sent to every host.
        headers: headers of every request.
        proxy: URL of the proxy for every request.
        proxy_auth: BasicAuth or (login, password) for the proxy.
        skip_auto_headers: names of headers that are not added automatically.
        auth: (login, password), BasicAuth, BearerAuth or DigestAuthMiddleware for every
            request; with a ``base_url``, for requests to its origin.
        json_serialize: function that turns ``json=`` into str or bytes, in the caller's thread.
        json_serialize_bytes: like ``json_serialize``, but returns bytes; takes precedence.
        version: the HTTP version to speak.
        cookie_jar: stores the cookies; None creates a CookieJar. One of aiohttp's jars keeps
            its own rules, and is used on the loop thread from now on.
        connector_owner: False leaves the connector open when the session closes, and shares its
            pool with other sessions that have the same connector and False;
            ``connector.close()`` closes the pool.
        raise_for_status: whether a status of 400 or above raises ClientResponseError;
            or a function that is called with each Response, in the caller's thread.
        timeout: a ClientTimeout, or seconds for a whole request, including the body;
            None or 0 for no limit; or (connect, read), as for ``request``. The default is 300 s,
            of which 30 s to connect.
        auto_decompress: whether bodies are decompressed.
        trust_env: whether proxies and .netrc of the environment are used.
        requote_redirect_url: whether Location headers are requoted.
        trace_configs: aiohttp.TraceConfig objects. They are not changed, and other sessions may
            use them too. Plain functions among their callbacks run in the blocked caller's
            thread, or on a worker thread if no caller waits, and may use the session. They
            get this Session instead of aiohttp's, and a Response without a body. Async
            callbacks run on the loop thread, in a copy of the caller's context, with aiohttp's
            own arguments. An exception from a callback ends the request and reaches the caller
            unchanged.
        read_bufsize: bytes of a body to buffer; from half of that on, the server has to wait.
        max_line_size: maximum size of the reason phrase in bytes.
        max_field_size: maximum size of one header in bytes. All headers of a response, with the
            framing of its body, may have four times as many, or 1 MiB if that is more.
        max_headers: maximum number of headers in a response.
        fallback_charset_resolver: ``(response, body) -> encoding``, in the caller's thread,
            for bodies whose charset is not declared.
        middlewares: functions that every request passes through, and every redirect again:
            blocking ones, ``(request, handler) -> response``, run in the caller's thread,
            aiohttp's async ones on the loop thread. The first is the outermost.
        max_body: maximum size of a decompressed body in bytes; a longer one raises
            ClientPayloadError, and is not decompressed further. None sets no limit.
        retry: when to retry failed requests: a Retry, or the maximum number of retries;
            None and 0 make one attempt.
        timings: whether ``Response.timings`` is measured.
        params: added to the query of every URL; a request's parameters replace those with
            the same name.
        ssl: short for ``connector=TCPConnector(ssl=...)``: whether to verify certificates; or
            "system", an SSLContext or a Fingerprint to verify them by.
        allow_redirects: whether to follow redirects.
        max_redirects: maximum number of redirects; one more raises TooManyRedirects.
        loop_thread: the LoopThread to use; None means the one that all sessions share.

    Source: aiohttp.ClientSession, without ``loop`` and the deprecated or loop-bound
    ``read_timeout``, ``conn_timeout``, ``request_class``, ``response_class``,
    ``ws_response_class`` and ``ssl_shutdown_timeout``.
    """

    # A session's own attributes. So __dict__ only holds those set by a subclass.
    __slots__ = ("__dict__", "__weakref__", "_opened_at", "_root")

    #: The session whose connections this one uses; None for its own.
    _root: Session | None

    def __init__(
        self,
        base_url: StrOrURL | None = None,
        *,
        connector: BaseConnector | None = None,
        cookies: LooseCookies | None = None,
        headers: LooseHeaders | None = None,
        proxy: StrOrURL | None = None,
        proxy_auth: BasicCredentials = None,
        skip_auto_headers: Iterable[str] | None = None,
        auth: Auth = None,
        json_serialize: JSONEncoder = jsonlib.dumps,
        json_serialize_bytes: Callable[[Any], bytes] | None = None,
        version: HttpVersion = HttpVersion11,
        cookie_jar: BaseCookieJar[Any] | AbstractCookieJar | None = None,
        connector_owner: bool = True,
        raise_for_status: RaiseForStatus[Response] = False,
        timeout: Timeout | Unset = UNSET,
        auto_decompress: bool = True,
        trust_env: bool = False,
        requote_redirect_url: bool = True,
        trace_configs: Sequence[TraceConfig] | None = None,
        read_bufsize: int = 2**18,
        max_line_size: int = LINE_LIMIT,
        max_field_size: int = LINE_LIMIT,
        max_headers: int = HEADER_LIMIT,
        fallback_charset_resolver: CharsetResolver = utf_8,
        middlewares: Sequence[MiddlewareType | ClientMiddlewareType] = (),
        max_body: int | None = None,
        retry: Retry | int | None = None,
        timings: bool = False,
        params: Query = None,
        ssl: SSLArgument = True,
        allow_redirects: bool = True,
        max_redirects: int = MOST,
        loop_thread: LoopThread | None = None,
        **misspelt: Never,
    ) -> None:
        for name in misspelt:
            raise no_such_keyword("Session", name, AllOptions.__annotations__)
        refuse_patched_threads()
        self._open(
            check_settings(
                base_url=base_url,
                connector=connector,
                cookies=cookies,
                headers=headers,
                proxy=proxy,
                proxy_auth=proxy_auth,
                skip_auto_headers=skip_auto_headers,
                auth=auth,
                json_serialize=json_serialize,
                json_serialize_bytes=json_serialize_bytes,
                version=version,
                cookie_jar=cookie_jar,
                connector_owner=connector_owner,
                raise_for_status=raise_for_status,
                timeout=timeout,
                auto_decompress=auto_decompress,
                trust_env=trust_env,
                requote_redirect_url=requote_redirect_url,
                trace_configs=trace_configs,
                read_bufsize=read_bufsize,
                max_line_size=max_line_size,
                max_field_size=max_field_size,
                max_headers=max_headers,
                fallback_charset_resolver=fallback_charset_resolver,
                middlewares=middlewares,
                max_body=max_body,
                retry=retry,
                timings=timings,
                params=params,
                ssl=ssl,
                allow_redirects=allow_redirects,
                max_redirects=max_redirects,
                loop_thread=loop_thread,
            )
        )

    def _open(self, settings: SessionSettings, root: Session | None = None) -> None:
        """Initialise this session, on the connections of ``root`` if given."""
        self._root = root
        #: None if the session may be dropped without closing: then it retires.
        self._opened_at: str | None = (opened_at := call_site())
        derived_from = None if root is None else root._place
        self._place = Place(settings, self, opened_at, derived_from)
        if root is None:
            watch(self)

    # -- requests --------------------------------------------------------------------

    @shown
    def request(
        self, method: str, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> Response:
        """Send a request and return its response as soon as the headers arrive.

        Blocks until then, or until a timeout, an error, an interrupt or the closing of the
        session ends the wait. Any thread but the loop thread may call it.

        Args:
            method: ``"GET"``, ``"POST"`` ...
            url: absolute, or relative to the session's ``base_url``.
            params: a dict, MultiDict, pairs or str to add to the URL's query.
            data: the body: bytes, str, a form (dict, pairs, FormData), a MultipartWriter, a
                file, an iterator or asynchronous iterator of bytes, a BodyWriter, or the
                content of another response. Files and iterators are read in this thread.
            json: an object that ``json_serialize`` turns into the body; excludes ``data``.
            cookies: cookies of this request, in addition to those of the jar.
            headers: headers of this request; they override the session's.
            skip_auto_headers: names of headers that are not added automatically.
            auth: (login, password), BasicAuth, BearerAuth or DigestAuthMiddleware; overrides
                the session's.
            allow_redirects: whether to follow redirects.
            max_redirects: maximum number of redirects; one more raises TooManyRedirects. The
                defaults of both are the session's.
            compress: how to compress the body: ``"deflate"``, ``"gzip"``, or True for deflate.
            chunked: True sends the body in chunks.
            expect100: whether to wait up to a second for ``100 Continue`` before the body is sent.
            retry: when to retry this request: a Retry, or the maximum number of retries;
                overrides the session's; None and 0 make one attempt.
            upload_progress: called with the number of bytes sent and the total, or None if
                that is unknown, in this thread while it waits. Not called for an empty body.
                True draws a bar on stderr (needs rich). Bytes count as sent when
                the engine has taken them, which is before the server has them; they are
                counted uncompressed, and from 0 again if the body is sent again. The request
                returns when the whole body is sent, or the server refused it. An exception
                from the function aborts the request.
            raise_for_status: overrides the session's; None uses the session's.
            read_until_eof: whether a body of unknown length lasts until the connection ends.
            proxy: URL of the proxy.
            proxy_auth: BasicAuth or (login, password) for the proxy.
            timeout: a ClientTimeout, or seconds for everything, including the body; None
                or 0 for no limit; or (connect, read), seconds to connect and seconds between
                two pieces of the response. The default is the session's.
            ssl: whether to verify the certificate; or "system", an SSLContext or a
                Fingerprint to verify it by.
            verify_ssl: deprecated spelling of ``ssl=False``.
            fingerprint: deprecated spelling of ``ssl=Fingerprint(...)``.
            ssl_context: deprecated spelling of ``ssl=context``.
            server_hostname: the name to verify the certificate against.
            proxy_headers: headers for the proxy.
            timings: whether ``Response.timings`` is measured; overrides the session's.
            trace_request_ctx: an object for the callbacks of ``trace_configs``.
            max_body, read_bufsize, auto_decompress: override the session's; None uses those.
            max_line_size, max_field_size, max_headers, middlewares: the same.

        Raises:
            TypeError, ValueError, InvalidURL: an argument is wrong; nothing was sent.
            ClientError: the request failed; the subclass says how.
            SessionClosedError: the session is closed, or was closed during the call.

        Source: aiohttp.ClientSession.request.
        """
        if misplaced:
            raise not_by_position(method)
        place = self._place
        crossing, body, rule = prepare(place, method, url, options)
        if rule is not False:
            refuse_async_rule(rule)
        send: Method[..., Coroutine[Any, Any, Answer]] = AsyncSession.request
        if not place.owns_connections:
            send = place.here(send)
        if body is not NO_BODY and body.lends:
            with body.lent():
                reply, remote = place.portal.open(send, *crossing)
        else:
            reply, remote = place.portal.open(send, *crossing)
        # With all arguments, by position: Python has a shorter way for that.
        response = Response(reply, remote, place.settings.fallback_charset_resolver, None)
        if body is not NO_BODY:
            response._sent = body.kept()
        if rule is not False:
            check_status(response, rule)
        return response

    @shown
    def get(self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
        """Send a GET request. Blocks until the headers of the response arrive; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_GET)
        return self.request(hdrs.METH_GET, url, **options)

    @shown
    def options(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> Response:
        """Send an OPTIONS request. Blocks until the response's headers arrive; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_OPTIONS)
        return self.request(hdrs.METH_OPTIONS, url, **options)

    @shown
    def head(self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
        """Send a HEAD request, without following redirects unless told to. See ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_HEAD)
        options.setdefault("allow_redirects", False)
        return self.request(hdrs.METH_HEAD, url, **options)

    @shown
    def post(self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
        """Send a POST request. Blocks until the headers of the response arrive; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_POST)
        return self.request(hdrs.METH_POST, url, **options)

    @shown
    def put(self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
        """Send a PUT request. Blocks until the headers of the response arrive; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_PUT)
        return self.request(hdrs.METH_PUT, url, **options)

    @shown
    def patch(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> Response:
        """Send a PATCH request. Blocks until the response's headers arrive; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_PATCH)
        return self.request(hdrs.METH_PATCH, url, **options)

    @shown
    def delete(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> Response:
        """Send a DELETE request. Blocks until the response's headers arrive; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_DELETE)
        return self.request(hdrs.METH_DELETE, url, **options)

    # -- many requests, streams, files, WebSockets ------------------------------------

    @shown
    def submit(
        self, method: str, url: StrOrURL, *, stream: bool = False, **options: Unpack[RequestOptions]
    ) -> Future[Response]:
        """Send a request without waiting for it, and return a future for its response.

        Never blocks; any thread may call it. The future works with all functions of
        ``concurrent.futures``; its ``cancel()`` cancels the request on the wire. If the session
        is closed, the future gets SessionClosedError; if the time of a ``syncclient.timeout()``
        block around this call is over, DeadlineError.

        The caller's own code runs on another thread, in a copy of the caller's context:
        a generator or a file that is the body, and a function for ``raise_for_status``, on a
        thread of this request; callbacks of the future on a worker thread, or in the thread
        that cancels it. Any thread may write to a BodyWriter.

        Args:
            method: ``"GET"``, ``"POST"`` ...
            url: absolute, or relative to the session's ``base_url``.
            stream: True completes the future as soon as the headers of the response arrive;
                False completes it once the whole body has been read.
            options: the keywords of ``request``.

        Raises:
            TypeError, ValueError, InvalidURL: an argument is wrong; nothing was sent.
            SessionClosedError: the session is closed.
        """
        prepared = prepare(self._place, method, url, options)
        refuse_async_rule(prepared.raise_for_status)
        return submit(self._place, prepared, stream=stream)

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

    @shown
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
        """Send many requests at a time, and iterate over their responses, with bodies read.

        Everything runs in the calling thread. Requests are taken from the iterable as you take
        responses, starting with the first response. Finished responses wait until you take
        them; no more than twice ``concurrency`` requests are running or waiting at a time.
        Generators as bodies, and functions for ``raise_for_status``, run in this thread too.

        The iterator is a context manager. If you may stop early, use its block, or close it:
        closing cancels the remaining requests and waits until they have ended. An error does
        the same.

        Args:
            requests: any iterable of URLs, of (method, URL) pairs, of mappings with a
                ``"url"`` and optionally a ``"method"``, a ``"tag"`` and keywords of
                ``request``, or of Request objects. The response, or the error, has the tag
                as its ``tag``.
            method: the method of requests that do not have one.
            concurrency: maximum number of requests in flight. The connector has its own
                limit: for more than 100 make it ``TCPConnector(limit=concurrency)``. A
                request whose generator waits for this thread keeps its connection: if the
                body of your loop makes requests too, set the limit above ``concurrency``.
            ordered: whether to yield responses in the order of the requests, or as they finish.
            return_exceptions: whether to yield an error instead of raising it, and continue.
            options: keywords of ``request``, for every request that does not set them.

        Raises:
            TypeError, ValueError: an argument is wrong. If an argument of one of the requests
                is wrong, that request fails, and the error gives its index.
        """
        check_requests(requests, options)
        return ResponseIterator(
            self._place,
            requests,
            method,
            count("concurrency", concurrency, least=1),
            ordered,
            return_exceptions,
            options,
            owner=self,
        )

    @shown
    def sse(
        self,
        url: StrOrURL,
        *,
        method: str = hdrs.METH_GET,
        last_event_id: str = "",
        reconnects: int | None = None,
        idle_timeout: float | None = None,
        max_event_size: int = EVENT_LIMIT,
        **options: Unpack[RequestOptions],
    ) -> EventSource:
        """Open a stream of server-sent events. Blocks until it is connected.

        Iterate over the events; leaving the ``with`` block closes the stream. If the
        connection is lost, the stream reconnects with the Last-Event-ID, after a delay that
        the server may set, up to a day. If connections end early, it reconnects at most once
        a second.

        Args:
            method: the method of the request.
            last_event_id: the id to continue after, from an earlier stream.
            reconnects: how many attempts to reconnect may fail in a row; None sets no
                limit; with 0 the events end with the connection.
            idle_timeout: seconds without data after which the connection counts as lost;
                None sets no limit.
            max_event_size: maximum number of characters in one event, all lines together; a
                longer one raises ClientPayloadError, which ends the stream.
            options: keywords of ``request``. Without ``timeout=`` only connecting is limited.

        Raises:
            ClientResponseError: the response is not a stream of events.
            ClientError: no connection could be made.

        Source: EventSource of the HTML standard, section 9.2.
        """
        return sse(
            self._place,
            url,
            options,
            method=method,
            last_event_id=last_event_id,
            reconnects=reconnects,
            idle_timeout=idle_timeout,
            max_event_size=max_event_size,
        )

    @shown
    def download(
        self,
        url: StrOrURL,
        path: str | os.PathLike[str],
        *,
        resume: bool = True,
        progress: ProgressHook | bool | None = None,
        digest: str | None = None,
        retries: int = 5,
        connections: int = 1,
        **options: Unpack[RequestOptions],
    ) -> Path:
        """Download into a file, and return its path. Blocks until it is complete.

        Data is written to ``NAME.part`` next to the target, and renamed in one step once the
        file is complete and verified. After an error, an interrupt, or the end of the
        process, the next download to the same path resumes the part, if the server supports
        ranges and still has the same version; otherwise it starts over.

        An existing file at ``path`` is replaced, and its mode is kept. If ``path`` is a
        directory, the name comes from the Content-Disposition, or from ``url``. A server cannot
        choose which file is replaced: if it names an existing file, and ``url`` does not have
        the same name, this raises FileExistsError.

        Args:
            path: the file; or a directory, for a name as described above, which never leads
                out of it and is valid on every system.
            resume: False starts over and ignores an existing part.
            progress: called with the number of bytes received and the total, or None if that
                is unknown, in this thread; True draws a bar on stderr
                (needs rich).
            digest: digest to verify: ``"sha256:0123..."``, or another algorithm of hashlib's.
            retries: how many attempts in a row to make after a lost connection; an attempt
                that gets further than the ones before resets the count. Also how often, in
                total, to discard the part and start over.
            connections: how many ranges of 4 MiB to fetch at a time; they wait in memory for
                their turn. With 1, or if the server does not support ranges or sends no strong
                validator, one request fetches the whole file. Use 1 with blocking middlewares
                and plain trace callbacks.
            options: keywords of ``request``. ``timeout=``, of the call or the session, and
                ``max_body=`` apply to the whole download, over all attempts and ranges. Without
                ``timeout=`` there is no total limit, and a connection counts as lost after 60 s
                without data.

        Raises:
            ClientResponseError: the server has no such file.
            ClientError: the connection failed permanently; the length or the digest is wrong.
            TimeoutError: the time is over; the part is kept.
            FileExistsError: the server chose the name of an existing file.
            OSError: the file cannot be written; the part is kept.
            BlockingIOError: another download to the path is running.
        """
        return download(
            self._place,
            url,
            path,
            options,
            resume=resume,
            progress=progress,
            digest=digest,
            retries=retries,
            connections=connections,
        )

    @shown
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
        """Open a WebSocket. Blocks during the handshake; any thread but the loop thread.

        Args:
            url: ``ws://``, ``wss://``, ``http://`` or ``https://``, or relative to the
                session's ``base_url``.
            method: the method of the handshake.
            protocols: subprotocols to offer, the preferred one first.
            timeout: ``ClientWSTimeout(ws_receive=..., ws_close=...)``: seconds that a
                ``receive()`` may wait, None for no limit, and that a ``close()`` may take. A
                number is the deprecated spelling of ``ws_close``.
            receive_timeout: deprecated spelling of ``ws_receive``.
            buffer_messages: maximum number of messages to receive ahead of ``receive()``; above
                that, and above ``buffer_bytes``, flow control slows the server down.
            buffer_bytes: maximum number of bytes to receive ahead.
            autoclose: whether to answer a close frame automatically.
            autoping: whether to answer pings automatically.
            heartbeat: seconds of silence after which to ping the server; if no pong arrives
                within half that time, the connection is closed. None never pings.
            origin: the Origin header.
            compress: window bits of permessage-deflate, 9 to 15; 0 disables compression.
            max_msg_size: maximum size of a message in bytes, 0 for no limit; a longer one
                closes the WebSocket with 1009.
            decode_text: False delivers text messages as bytes.
            auth, headers, params, proxy, proxy_auth, proxy_headers: as for ``request``.
            server_hostname, ssl, verify_ssl, fingerprint, ssl_context: as for ``request``.

        Raises:
            WSServerHandshakeError: the server refused; the error has ``status`` and ``headers``.
            ClientError: the connection failed; the subclass says how.

        Source: aiohttp.ClientSession.ws_connect.
        """
        return connect(
            self._place,
            url,
            options,
            timeout=timeout,
            receive_timeout=receive_timeout,
            buffer_messages=buffer_messages,
            buffer_bytes=buffer_bytes,
        )

    @shown
    def ws_connect_forever(
        self,
        url: StrOrURL,
        *,
        min_delay: float = MIN_DELAY,
        max_delay: float = MAX_DELAY,
        **options: Unpack[WebSocketOptions],
    ) -> Forever[WebSocket]:
        """Iterate over WebSockets to ``url``: each step closes the last and opens the next.

        If the server cannot be reached, or is not ready, the step waits and retries, first after
        ``min_delay`` seconds, later after up to ``max_delay``. Closing the session ends the wait::

            for socket in session.ws_connect_forever("wss://example.org/feed"):
                for message in socket:
                    print(message.data)

        Raises:
            WSServerHandshakeError: the server refuses permanently, for example with 403.
            SessionClosedError: the session was closed.
        """
        return Forever(
            partial(self.ws_connect, url, **options),
            self._pause,
            min_delay=min_delay,
            max_delay=max_delay,
        )

    def _pause(self, seconds: float) -> None:
        self._place.portal.call(self._place.here(pause), seconds)

    @property
    def aio(self) -> AioSession:
        """This session for asyncio and trio tasks: ``await session.aio.get(url)``.

        It shares the pool, the cookies and the settings. Creating it is cheap.
        """
        return AioSession(self)

    # -- sessions made of this one ---------------------------------------------------

    @shown
    def with_options(self, **overrides: Unpack[SessionOptions]) -> Self:
        """Return a session with other settings, which shares this one's connections and cookies.

        Never blocks, and costs neither a thread nor a crossing; any thread may call it::

            slow = session.with_options(timeout=600, headers={"X-Priority": "low"})

        The derived session copies the settings as they are now: later changes to the
        ``headers`` of one session do not affect the other. ``headers`` are merged with
        this session's, like those of a request; every other setting is replaced. A new
        ``proxy`` does not inherit ``proxy_auth``, and a ``base_url`` of another origin does
        not inherit ``auth``.

        The derived session owns no connections. You need not close it; if you do, it only
        refuses further requests. Closing this session closes the derived ones too, with
        everything opened through them. You may derive sessions from a derived session.

        Args:
            overrides: keywords of ``Session``, except ``connector``, ``connector_owner``
                and ``loop_thread``. ``cookies`` requires a ``cookie_jar``, because otherwise
                the jar is shared; ``cookie_jar=None`` makes a new one.

        Raises:
            TypeError, ValueError: a setting is wrong, or cannot be changed here.
            SessionClosedError: this session is closed.
        """
        if self.closed:
            raise SessionClosedError(f"{self!r} is closed")
        derived = self._blank()
        derived._open(self._place.settings.derive(**overrides), self._root or self)
        return derived

    def __copy__(self) -> Self:
        """Return a session that shares connections and cookies: ``with_options()``."""
        return self.with_options()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return an independent session with these settings and a copy of these cookies.

        Blocks for one crossing, to copy the cookies. The copy of a closed session is closed.
        """
        twin = memo[id(self)] = self._blank()
        twin.__dict__.update(copy.deepcopy(twin.__dict__, memo))
        keywords = self._keywords()
        twin._open(
            check_settings(**{**keywords, "cookie_jar": copy.deepcopy(self.cookie_jar, memo)})
        )
        if self.closed:
            twin.close()
        return twin

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...], dict[str, Any]]:
        """Pickle settings and cookies, but no connections.

        Blocks for one crossing, to copy the cookies. Any thread may pickle a session while
        others use it. A closed session stays closed; a derived one becomes independent.

        Raises:
            TypeError: a setting cannot be pickled; the message names its keyword.
        """
        keywords = self._keywords()
        check_picklable(keywords)
        return _arrived, (type(self), keywords, self.closed), self._blank().__dict__

    def _keywords(self) -> dict[str, Any]:
        """Return the keywords that create a session like this one in its present state."""
        keywords = self._place.settings.keywords()
        if "headers" in keywords:
            keywords["headers"] = keywords["headers"].copy()  # in one step: threads change them
        if self._portal.crossings:
            keywords.pop("cookies", None)  # they are in the jar, unless they were removed
        return keywords

    def _blank(self) -> Self:
        """Return a session without settings, but with the attributes that a subclass has set."""
        blank = type(self).__new__(type(self))
        blank.__dict__.update(self.__dict__)
        return blank

    if not TYPE_CHECKING:

        async def __aenter__(self):
            raise TypeError("a Session is blocking: write async with Session(...).aio as session")

        async def __aexit__(self, *exc_info):
            pass

    # -- closing ---------------------------------------------------------------------

    def close(self, *, grace: float = 0.0) -> None:
        """Close this session and everything opened through it. Blocks; may be called again.

        A derived session (``with_options``) only refuses requests from then on.

        New requests are refused immediately. Calls of other threads, unread responses,
        downloads and batches have ``grace`` seconds to finish; idle WebSockets and event sources
        do not count. Remaining calls then raise SessionClosedError. If an interrupt ends the
        wait, the session is closed nevertheless.
        """
        self._place.close(grace=grace)

    def retire(self) -> None:
        """Refuse requests from now on, and close once all responses have ended. Never blocks.

        Idle connections are closed soon. Any thread can read open responses, downloads and
        batches to their end; after the last of them the session closes, as with ``close``.
        WebSockets and event sources do not count, and are closed with it. A later ``close``
        closes everything immediately. Any thread may call this, even in a finaliser.
        """
        self._place.retire()

    def __del__(self) -> None:
        if not self._is_open():
            return
        if self._opened_at is None:
            self.retire()
            return
        try:
            complain(self)
        finally:  # even if warnings are errors
            reason = partial(SessionClosedError, "the session was dropped without close()")
            self._portal.abandon(reason)

    def _is_open(self) -> bool:
        """Return whether this session has connections that it must close."""
        place = getattr(self, "_place", None)
        if place is None or not place.owns_connections:
            return False
        return place.portal.leased and not place.closed

    def _complaint(self) -> str | None:
        if self._opened_at is None or not self._is_open():
            return None
        return (
            f"unclosed {self!r}; it was made at {self._opened_at}: "
            "use it in a with block, or call close()"
        )

    def __repr__(self) -> str:
        name = self._place.name
        return f"{name[:-1]} (closed)>" if self.closed else name

    def _repr_html_(self) -> str:
        return session_html(self)

    @property
    def _portal(self) -> Portal[AsyncSession]:
        return self._place.portal


def _arrived(cls: type[Session], keywords: dict[str, Any], closed: bool) -> Session:
    """Return an unpickled session."""
    session = cls.__new__(cls)
    session._open(check_settings(**keywords))
    if closed:
        session.close()
    return session
