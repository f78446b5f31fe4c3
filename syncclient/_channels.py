"""What of a session's goes on for longer: streams of events, downloads, WebSockets."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import ClientWSTimeout, hdrs

from ._async.websocket import BUFFER_BYTES, BUFFER_MESSAGES, pause
from ._download import download
from ._progress import ProgressHook
from ._request import RequestOptions
from ._settings import Settings
from ._sse import EventSource, sse
from ._types import StrOrURL
from ._websocket import WebSocket, WebSocketOptions, connect
from ._ws_forever import MAX_DELAY, MIN_DELAY, Forever

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Channels(Settings):
    """``sse``, ``download``, ``ws_connect`` and ``ws_connect_forever`` of a session."""

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
        connections: int = 1,
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
            connections: how many ranges of 4 MiB to fetch at a time, which are kept in memory
                until it is their turn; 1 fetches all by one request. A server that gives no
                ranges, or names no version by a strong validator, is asked for it all at once.
                Blocking middlewares and plain trace callbacks want 1.
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
            connections=connections,
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
            auth, headers, params, proxy, proxy_auth, proxy_headers: as ``request`` has them.
            server_hostname, ssl, verify_ssl, fingerprint, ssl_context: the same.

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
        time, from ``min_delay`` to ``max_delay`` seconds. Closing the session ends the wait::

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
