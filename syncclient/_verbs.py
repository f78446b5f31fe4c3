"""What a session does with requests: one and wait, one and do not wait, many at a time."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal, overload

from aiohttp import hdrs

from ._async.session import AsyncSession
from ._checks import count
from ._many import RequestLike, ResponseIterator, check_requests
from ._request import RequestOptions
from ._response import Response, check_status
from ._settings import Settings
from ._submit import submit
from ._types import StrOrURL

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Verbs(Settings):
    """``request``, the seven verbs, ``submit`` and ``map`` of a session."""

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
            timings: whether the response tells where its time went; overrides the session's.
            trace_request_ctx: an object for the callbacks of ``trace_configs``.
            max_body, read_bufsize, auto_decompress: override the session's, which None means.
            max_line_size, max_field_size, max_headers, middlewares: the same.

        Raises:
            TypeError, ValueError, InvalidURL: an argument is wrong; nothing was sent.
            ClientError: the request failed; its subclass says how.
            SessionClosedError: the session is closed, or was while this waited.

        Source: aiohttp.ClientSession.request.
        """
        prepared = self._defaults.prepare(method, url, options)
        if prepared.body.lends:
            with prepared.body.lent():
                reply, remote = self._portal.open(AsyncSession.request, *prepared.crossing)
        else:
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
                ``TCPConnector(limit=concurrency)``. A request whose generator waits for
                this thread holds its connection meanwhile: for requests that the loop's
                body makes itself, let the limit be higher than ``concurrency``.
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
