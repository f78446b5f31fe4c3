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

    Making a session costs nothing: the loop thread starts with the first request. Any number
    of threads may share a session. Close it, preferably by a ``with`` block: then none of its
    tasks, sockets and threads is left. After a fork, the child can use the session too, with
    its settings and cookies and with new connections; the same holds for a pickled session.
    ``with_options`` derives sessions that share everything except some settings.

    Args:
        base_url: the URL that relative URLs are joined to; must end in a slash.
        connector: how connections are made: TCPConnector(...), UnixConnector(path) ...
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
        cookie_jar: stores the cookies; None makes a CookieJar. A jar of aiohttp's keeps
            its own rules; from now on it is used on the loop thread.
        connector_owner: False leaves the connector open when the session closes, and shares its
            pool with other sessions that are given the same connector and False;
            ``connector.close()`` closes it.
        raise_for_status: whether a status of 400 or above raises ClientResponseError;
            or a function that is called with each Response, in the caller's thread.
        timeout: a ClientTimeout, or the seconds that a request with its body may take;
            None or 0 for no limit; or (connect, read), as for ``request``. The default is 300 s,
            30 s of them to connect.
        auto_decompress: whether bodies are decompressed.
        trust_env: whether proxies and .netrc of the environment are used.
        requote_redirect_url: whether Location headers are requoted.
        trace_configs: aiohttp.TraceConfig objects. They are not changed, and other sessions may
            use them too. Plain functions among their callbacks run in the blocked caller's
            thread, or on a worker thread if no caller waits, and may use the session. They
            get this Session in place of aiohttp's, and in place of a response its head, a
            Response without a body. Async callbacks run on the loop thread, in a copy of the
            caller's context, with aiohttp's own arguments. An exception from a callback ends
            the request and reaches the caller unchanged.
        read_bufsize: bytes of a body to buffer. The server has to wait from half of it on.
        max_line_size: maximum size of the reason phrase in bytes.
        max_field_size: maximum size of one header in bytes. All heads of a response together,
            with the framing of its body, may have four times as many, or 1 MiB if that is more.
        max_headers: maximum number of headers in a response.
        fallback_charset_resolver: ``(response, body) -> encoding``, in the caller's thread,
            for bodies whose charset is not declared.
        middlewares: functions that every request passes through, and every redirect again:
            blocking ones, ``(request, handler) -> response``, run in the caller's thread,
            aiohttp's async ones on the loop thread. The first is the outermost.
        max_body: maximum size of a decompressed body in bytes; a longer one raises
            ClientPayloadError, and is not decompressed further. None sets no limit.
        retry: when to try a failed request again: a Retry, or how often at most, by its
            defaults; None and 0 make one attempt.
        timings: whether ``Response.timings`` is measured.
        params: added to the query of every URL; parameters of a request replace those of the
            same name.
        ssl: short for ``connector=TCPConnector(ssl=...)``: whether to verify certificates; or
            "system", an SSLContext or a Fingerprint to verify them by.
        allow_redirects: whether to follow redirects.
        max_redirects: maximum number of redirects; one more raises TooManyRedirects.
        loop_thread: the LoopThread to use; None is the one that all sessions share.

    Source: aiohttp.ClientSession, without ``loop`` and the deprecated or loop-bound
    ``read_timeout``, ``conn_timeout``, ``request_class``, ``response_class``,
    ``ws_response_class`` and ``ssl_shutdown_timeout``.
    """

    # All that is a session's own. So __dict__ holds what a subclass has set.
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
            raise no_such_keyword("Session", name)
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
        """Make this a session with these settings, on the connections of ``root`` if given."""
        self._root = root
        #: None where this may be dropped: then it retires.
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
        """Send a request and return its response as soon as the head is here.

        Blocks until the head arrives, or a timeout, an error, an interrupt or the closing of
        the session ends the wait. Any thread but the loop thread may call it.

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
            expect100: whether to wait for ``100 Continue`` before the body is sent, for a second.
            retry: when to try this request again if it fails, a Retry, or how often at most;
                overrides the session's; None and 0 make one attempt.
            upload_progress: called with the number of bytes sent and the total, or None if
                that is unknown, in this thread while it waits. Not called for an empty body.
                True draws a bar on stderr (needs rich). Bytes count as sent when
                the engine has taken them, which is before the server has them; they are
                counted uncompressed, and from 0 again if the body is sent again. The request
                returns when the whole body is sent, or the server refused it. An exception
                from the function aborts the request.
            raise_for_status: overrides the session's; None is the session's.
            read_until_eof: whether a body of unknown length lasts until the connection ends.
            proxy: URL of the proxy.
            proxy_auth: BasicAuth or (login, password) for the proxy.
            timeout: a ClientTimeout, or seconds for everything, the body included; None
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
            max_body, read_bufsize, auto_decompress: override the session's, which None means.
            max_line_size, max_field_size, max_headers, middlewares: the same.

        Raises:
            TypeError, ValueError, InvalidURL: an argument is wrong; nothing was sent.
            ClientError: the request failed; its subclass says how.
            SessionClosedError: the session is closed, or was while this waited.

        Source: aiohttp.ClientSession.request.
        """
        if misplaced:
            raise not_by_position(method)
        place = self._place
        prepared = prepare(place, method, url, options)
        if prepared.raise_for_status is not False:
            refuse_async_rule(prepared.raise_for_status)
        send: Method[..., Coroutine[Any, Any, Answer]] = AsyncSession.request
        if not place.owns_connections:
            send = place.here(send)
        body = prepared.body
        if body is not NO_BODY and body.lends:
            with body.lent():
                reply, remote = place.portal.open(send, *prepared.crossing)
        else:
            reply, remote = place.portal.open(send, *prepared.crossing)
        response = Response(reply, remote, place.settings.fallback_charset_resolver)
        if prepared.body is not NO_BODY:
            response._sent = prepared.body.kept()
        if prepared.raise_for_status is not False:
            check_status(response, prepared.raise_for_status)
        return response

    @shown
    def get(self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
        """Send a GET request. Blocks until the head of the response is here; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_GET)
        return self.request(hdrs.METH_GET, url, **options)

    @shown
    def options(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> Response:
        """Send an OPTIONS request. Blocks until its response's head is here; see ``request``."""
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
        """Send a POST request. Blocks until the head of the response is here; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_POST)
        return self.request(hdrs.METH_POST, url, **options)

    @shown
    def put(self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]) -> Response:
        """Send a PUT request. Blocks until the head of the response is here; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_PUT)
        return self.request(hdrs.METH_PUT, url, **options)

    @shown
    def patch(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> Response:
        """Send a PATCH request. Blocks until the head of the response is here; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_PATCH)
        return self.request(hdrs.METH_PATCH, url, **options)

    @shown
    def delete(
        self, url: StrOrURL, *misplaced: Never, **options: Unpack[RequestOptions]
    ) -> Response:
        """Send a DELETE request. Blocks until the head of the response is here; see ``request``."""
        if misplaced:
            raise not_by_position(hdrs.METH_DELETE)
        return self.request(hdrs.METH_DELETE, url, **options)

    # -- many requests, streams, files, WebSockets ------------------------------------

    @shown
    def submit(
        self, method: str, url: StrOrURL, *, stream: bool = False, **options: Unpack[RequestOptions]
    ) -> Future[Response]:
        """Send a request without waiting for it, and return the future of its response.

        Never blocks; any thread may call it. The future works with all of
        ``concurrent.futures``; its ``cancel()`` cancels the request on the wire. Closing the
        session makes it fail with SessionClosedError, and a ``syncclient.timeout()`` block
        around this call with DeadlineError, once that is over.

        The caller's own code runs on another thread, in a copy of the caller's context:
        a generator or a file that is the body, and a function for ``raise_for_status``, on a
        thread of this request; callbacks of the future on a worker thread, or in the thread
        that cancels it. Any thread may write to a BodyWriter.

        Args:
            method: ``"GET"``, ``"POST"`` ...
            url: absolute, or relative to the session's ``base_url``.
            stream: True completes the future as soon as the head of the response is here,
                as ``request`` does; False once the whole body has been read.
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
        """Send many requests at a time, and iterate over their responses, read whole.

        One thread does it all. It takes requests from the iterable as you take responses,
        starting with the first response. Finished responses wait until you take them; while
        twice ``concurrency`` requests are under way or waiting, no more are started. Generators
        as bodies, and functions for ``raise_for_status``, run in this thread too.

        The iterator is a context manager. Use its block, or close it, if you may stop early:
        closing cancels the remaining requests and waits until they have unwound. An error
        does the same.

        Args:
            requests: any iterable of URLs, of (method, URL) pairs, of mappings with a
                ``"url"`` and optionally a ``"method"``, a ``"tag"`` and keywords of
                ``request``, or of Request objects. The response, or the error, has the tag
                as its ``tag``.
            method: the method of requests that name none.
            concurrency: maximum number of requests in flight. The connector has its own
                limit: for more than 100 make it ``TCPConnector(limit=concurrency)``. A
                request whose generator waits for this thread keeps its connection: if the
                body of your loop makes requests too, set the limit above ``concurrency``.
            ordered: whether responses come in the order of the requests, or as they end.
            return_exceptions: whether to yield an error instead of raising it, and continue.
            options: keywords of ``request``, for every request that does not set them.

        Raises:
            TypeError, ValueError: an argument is wrong. A wrong argument of one of the
                requests is the error of that request, and names its index.
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
        connection is lost, a new one is made with the Last-Event-ID, after a pause that the
        server may set, up to a day. Connections that do not last are made at most once a
        second.

        Args:
            method: the method of the request.
            last_event_id: the id to continue after, known from an earlier stream.
            reconnects: how many attempts to reconnect may fail in a row; None sets no
                limit; with 0 the events end with the connection.
            idle_timeout: seconds without a byte after which the connection counts as lost;
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

        The bytes go to ``NAME.part`` beside the target, which appears in one step once the
        file is complete and verified. After an error, an interrupt, or the end of the
        process, the next download to the same path continues from the part, if the server
        supports ranges and still has the same version; otherwise it starts over.

        An existing file at ``path`` is replaced; the new one gets its mode. In a directory,
        the name is taken from the Content-Disposition, or from ``url``. A server may not choose
        which file is replaced: if it names an existing file, and ``url`` does not have that
        name too, this raises FileExistsError.

        Args:
            path: the file; or a directory, for a name as above, which never leads out of
                it and is valid on every system.
            resume: False starts over and ignores an existing part.
            progress: called with the number of bytes received and the total, or None if that
                is unknown, in this thread; True draws a bar on stderr
                (needs rich).
            digest: digest to verify: ``"sha256:0123..."``, or another algorithm of hashlib's.
            retries: how many attempts in a row to make after a lost connection; an attempt
                that gets further than the ones before resets the count. Also how often, in
                total, to discard the part and start over.
            connections: how many ranges of 4 MiB to fetch at a time; they wait in memory for
                their turn. 1 makes one request for the whole file, and so does a server that
                supports no ranges or gives no strong validator. Use 1 with blocking
                middlewares and plain trace callbacks.
            options: keywords of ``request``. ``timeout=``, of the call or the session, and
                ``max_body=`` apply to the whole download, over all attempts and ranges. Without
                ``timeout=`` the download may take any time, and a connection counts as lost
                after 60 s without a byte.

        Raises:
            ClientResponseError: the server has no such file.
            ClientError: the connection failed for good; the length or the digest is wrong.
            TimeoutError: the time is over; the part is kept.
            FileExistsError: the server chose the name of an existing file.
            OSError: the file cannot be written; the part is kept.
            BlockingIOError: another download to the path is under way.
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
        """Open a WebSocket. Blocks through the handshake; any thread but the loop thread.

        Args:
            url: ``ws://``, ``wss://``, ``http://`` or ``https://``, or relative to the
                session's ``base_url``.
            method: the method of the handshake.
            protocols: subprotocols to offer, the preferred one first.
            timeout: ``ClientWSTimeout(ws_receive=..., ws_close=...)``: seconds that a
                ``receive()`` may wait, None for ever, and that a ``close()`` may take. A
                number is the deprecated spelling of ``ws_close``.
            receive_timeout: deprecated spelling of ``ws_receive``.
            buffer_messages: maximum number of messages to receive ahead of ``receive()``; above
                that, and above ``buffer_bytes``, the network pushes back on the server.
            buffer_bytes: maximum number of bytes to receive ahead.
            autoclose: whether to answer a close frame automatically.
            autoping: whether to answer pings automatically.
            heartbeat: seconds of silence after which to ping the server; if no pong arrives
                within half that time, the connection is closed. None never pings.
            origin: the Origin header.
            compress: window bits of permessage-deflate, 9 to 15; 0 does not compress.
            max_msg_size: maximum size of a message in bytes, 0 for no limit; a longer one
                closes the WebSocket with 1009.
            decode_text: False delivers text messages as bytes.
            auth, headers, params, proxy, proxy_auth, proxy_headers: as for ``request``.
            server_hostname, ssl, verify_ssl, fingerprint, ssl_context: as for ``request``.

        Raises:
            WSServerHandshakeError: the server did not accept; the error has status and headers.
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
        """Iterate over open WebSockets to ``url``: each step closes the last and opens the next.

        If the server cannot be reached, or is not ready, the step waits and tries again, after
        ``min_delay`` seconds at first, ``max_delay`` at most. Closing the session ends the wait::

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
        self._place.portal.call(self._place.here(pause), seconds)

    @property
    def aio(self) -> AioSession:
        """This session, awaited by tasks of asyncio or trio: ``await session.aio.get(url)``.

        It shares the pool, the cookies and the settings. Making it costs nothing.
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

        The derived session owns no connections. It need not be closed; closing it only makes
        it refuse further requests. Closing this session closes the derived ones too, with
        everything opened through them. You may derive from a derived session.

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

        Blocks for one crossing, to copy the cookies. Any thread may do it, while others
        use the session. A closed session is closed after unpickling, a derived one independent.

        Raises:
            TypeError: a setting cannot be pickled; the message names its keyword.
        """
        keywords = self._keywords()
        check_picklable(keywords)
        return _arrived, (type(self), keywords, self.closed), self._blank().__dict__

    def _keywords(self) -> dict[str, Any]:
        """Return the keywords that make a session like this one as it is now."""
        keywords = self._place.settings.keywords()
        if "headers" in keywords:
            keywords["headers"] = keywords["headers"].copy()  # in one step: threads change them
        if self._portal.crossings:
            keywords.pop("cookies", None)  # they are in the jar, unless they were removed
        return keywords

    def _blank(self) -> Self:
        """Return a session without settings, with what a subclass has set in this one."""
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

        New requests are refused at once. Calls of other threads, unread responses, downloads
        and batches have ``grace`` seconds to finish; idle WebSockets and event sources do not
        count. Calls that remain then raise SessionClosedError. An interrupt ends the wait, but
        the session is closed all the same.
        """
        self._place.close(grace=grace)

    def retire(self) -> None:
        """Refuse requests from now on, and close once all responses have ended. Never blocks.

        Connections that nothing uses are closed soon. Responses, downloads and batches that are
        open can be read to their end, by any thread; with the last of them all is closed, as
        ``close`` does it. WebSockets and event sources do not count, and end with it. A later
        ``close`` ends what is left at once. Any thread may call this, finalisers too.
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
        finally:  # also where warnings are errors
            reason = partial(SessionClosedError, "the session was dropped without close()")
            self._portal.abandon(reason)

    def _is_open(self) -> bool:
        """Return whether this holds connections that it has to close."""
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
    """Return the session that a pickle holds."""
    session = cls.__new__(cls)
    session._open(check_settings(**keywords))
    if closed:
        session.close()
    return session
