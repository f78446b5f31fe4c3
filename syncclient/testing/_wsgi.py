"""WSGI applications as servers within the process, on their own threads.

No other library fits: a2wsgi (1.10) turns WSGI into ASGI on a pool of a few threads, in which
applications that call themselves wait for each other forever, and which the interpreter joins
at exit; aiohttp-wsgi (0.10, from 2022) first collects each request in a temporary file, and
also runs on such a pool.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote_to_bytes

from .._async.connect.inprocess import ServerExchange, Serving
from ._workers import Workers

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: A WSGI application (PEP 3333). Its types are as loose as in the frameworks.
WSGIApp: TypeAlias = Callable[[Any, Any], Iterable[bytes]]

ExcInfo: TypeAlias = (
    "tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]"
)


class WSGIMount(Serving):
    """A Mounted for a WSGI application; each request has its own thread."""

    def __init__(self, application: WSGIApp) -> None:
        super().__init__()
        self._application = application
        self._workers = Workers()

    async def close(self) -> None:
        """End running calls, and the threads."""
        await super().close()
        self._workers.close()

    async def answer(self, exchange: ServerExchange) -> None:
        """Call the application, and send its response."""
        environ = _environ(exchange)
        conversation = _Conversation(exchange, self._workers)
        await self._workers.run(conversation.run, self._application, environ)


class _Conversation:
    """One call of the application, on its thread, which it blocks at the client's pace."""

    def __init__(self, exchange: ServerExchange, workers: Workers) -> None:
        self._exchange = exchange
        self._workers = workers
        self._head: tuple[str, list[tuple[str, str]]] | None = None
        self._started = False

    def run(self, application: WSGIApp, environ: dict[str, Any]) -> None:
        body = io.BufferedReader(_Input(self._exchange, self._workers), 2**16)
        environ["wsgi.input"] = body
        result = application(environ, self._start_response)
        try:
            for chunk in result:
                if chunk:
                    self._write(chunk)
            self._start()
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        if exc_info is not None:
            try:
                if self._started and exc_info[1] is not None:
                    raise exc_info[1]
            finally:
                exc_info = None  # it holds this frame
        elif self._head is not None:
            raise RuntimeError("the application called start_response twice")
        self._head = status, headers
        return self._write

    def _write(self, data: bytes) -> None:
        # Headers and first chunk together, so that they can reach the client together.
        head = None if self._started else self._take_head()

        async def write() -> None:
            if head is not None:
                await self._exchange.respond(*head)
            await self._exchange.write(data)

        self._workers.on_loop(write())

    def _start(self) -> None:
        if not self._started:
            self._workers.on_loop(self._exchange.respond(*self._take_head()))

    def _take_head(self) -> tuple[int, str, list[tuple[str, str]]]:
        if self._head is None:
            raise RuntimeError("the application did not call start_response")
        status, headers = self._head
        code, _, reason = status.partition(" ")
        self._started = True
        return int(code), reason, [(name, _decoded(value)) for name, value in headers]


class _Input(io.RawIOBase):
    """The body of the request, from the loop. Blocks the application's thread."""

    def __init__(self, exchange: ServerExchange, workers: Workers) -> None:
        super().__init__()
        self._exchange = exchange
        self._workers = workers
        self._left = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if not self._left and not self._ended:
            self._left = memoryview(self._workers.on_loop(self._exchange.read()))
            self._ended = not self._left
        target = memoryview(buffer)
        size = min(len(target), len(self._left))
        target[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


class _Errors(io.TextIOBase):
    """stderr, as it is at the time of writing."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _environ(exchange: ServerExchange) -> dict[str, Any]:
    url, request = exchange.url, exchange.request
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(url.raw_path).decode("latin-1"),
        "QUERY_STRING": url.raw_query_string,
        "RAW_URI": str(request.rel_url),
        "REQUEST_URI": str(request.rel_url),
        "SERVER_NAME": url.host or "",
        "SERVER_PORT": str(url.port),
        "SERVER_PROTOCOL": f"HTTP/{request.version.major}.{request.version.minor}",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "0",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input_terminated": True,
        "wsgi.errors": _Errors(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in exchange.headers.items():
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        value = value.encode("utf-8", "surrogateescape").decode("latin-1")
        if key in environ:
            value = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        environ[key] = value
    return environ


def _decoded(value: str) -> str:
    # From WSGI's latin-1 to the engine's utf-8.
    return value.encode("latin-1").decode("utf-8", "surrogateescape")
