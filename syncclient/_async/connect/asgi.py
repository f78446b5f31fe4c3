"""ASGI applications as servers within the process: HTTP, WebSockets and lifespan.

Written here because nothing fits: the ASGI servers (uvicorn, hypercorn, granian) want
sockets; httpx's transport collects each body whole before it returns; and aiohttp-asgi (0.7)
keeps one response header of each name, so one cookie of several, passes over the subprotocol
and the headers with which a WebSocket is accepted, and installs a library for forking servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSMsgType, hdrs, web

from .inprocess import HangUp, ServerExchange, Serving

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

#: An ASGI 3 application. Its parts are as loose as the frameworks have them.
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]

_VERSIONS = {"version": "3.0", "spec_version": "2.3"}

#: Seconds an application has to shut down.
_SHUTDOWN_LIMIT = 5.0


class ASGIMount(Serving):
    """A Mounted for an ASGI application, which runs on the event loop itself."""

    def __init__(self, application: ASGIApp) -> None:
        super().__init__()
        self._application = application
        self._state: dict[str, Any] = {}
        self._lifespan = Lifespan(application, self._state)

    async def start(self) -> None:
        """Run the application's startup. Raises the application's error if it fails."""
        await self._lifespan.start()

    async def close(self) -> None:
        """End what runs, then run the application's shutdown."""
        await super().close()
        await self._lifespan.stop()

    async def answer(self, exchange: ServerExchange) -> None:
        """Call the application, and send its response."""
        request = exchange.request
        url = exchange.url
        upgrade = request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"
        scope: dict[str, Any] = {
            "asgi": _VERSIONS,
            "http_version": f"{request.version.major}.{request.version.minor}",
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.encode("ascii"),
            "query_string": url.raw_query_string.encode("ascii"),
            "root_path": "",
            "headers": [
                (name.lower().encode("latin-1"), value.encode("utf-8", "surrogateescape"))
                for name, value in request.headers.items()
            ],
            "client": ("127.0.0.1", 0),
            "server": (url.host, url.port),
            "state": self._state.copy(),
        }
        conversation: _HTTP | _WebSocket
        if upgrade:
            offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
            scope["type"] = "websocket"
            scope["scheme"] = "wss" if url.scheme == "https" else "ws"
            scope["subprotocols"] = [name.strip() for name in offered.split(",") if name.strip()]
            conversation = _WebSocket(exchange)
        else:
            scope["type"] = "http"
            scope["method"] = request.method
            conversation = _HTTP(exchange)
        await self._application(scope, conversation.receive, conversation.send)
        await conversation.end()


class _HTTP:
    """One request and its response as ASGI messages."""

    def __init__(self, exchange: ServerExchange) -> None:
        self._exchange = exchange
        self._read = False
        self._head: Message | None = None
        self._over = asyncio.Event()

    async def receive(self) -> Message:
        if self._read:
            # The application is cancelled where the client goes earlier.
            await self._over.wait()
            return {"type": "http.disconnect"}
        body = await self._exchange.read()
        self._read = not body
        return {"type": "http.request", "body": body, "more_body": bool(body)}

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start" and self._head is None:
            self._head = message
        elif kind == "http.response.body" and self._head is not None and not self._over.is_set():
            if not self._exchange.started:
                headers = [
                    (name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
                    for name, value in self._head.get("headers", ())
                ]
                await self._exchange.respond(self._head["status"], None, headers)
            await self._exchange.write(message.get("body", b""))
            if not message.get("more_body", False):
                self._over.set()
        else:
            raise RuntimeError(f"the application sent {kind!r} out of turn")

    async def end(self) -> None:
        if not self._over.is_set():
            raise RuntimeError("the application returned before its response was complete")


class _WebSocket:
    """One WebSocket as ASGI messages."""

    def __init__(self, exchange: ServerExchange) -> None:
        self._exchange = exchange
        self._connecting = True
        self._socket: web.WebSocketResponse | None = None
        self._denied = False

    async def receive(self) -> Message:
        if self._connecting:
            self._connecting = False
            return {"type": "websocket.connect"}
        socket = self._socket
        if socket is None:
            return {"type": "websocket.disconnect", "code": 1006}
        message = await socket.receive()
        if message.type is WSMsgType.TEXT:
            return {"type": "websocket.receive", "text": message.data}
        if message.type is WSMsgType.BINARY:
            return {"type": "websocket.receive", "bytes": message.data}
        code = socket.close_code
        return {"type": "websocket.disconnect", "code": 1005 if code is None else code}

    async def send(self, message: Message) -> None:
        kind, socket = message["type"], self._socket
        if kind == "websocket.accept" and socket is None and not self._denied:
            chosen = message.get("subprotocol")
            socket = web.WebSocketResponse(protocols=(chosen,) if chosen else ())
            for name, value in message.get("headers", ()):
                socket.headers.add(name.decode("latin-1"), value.decode("latin-1"))
            self._exchange.upgraded(socket)
            self._socket = socket
            await socket.prepare(self._exchange.request)
        elif kind == "websocket.close" and socket is None:
            self._denied = True
            await self._exchange.respond(403, None, [("Content-Length", "0")])
        elif kind == "websocket.close" and socket is not None:
            code, reason = message.get("code", 1000), message.get("reason") or ""
            await socket.close(code=code, message=reason.encode())
        elif kind == "websocket.send" and socket is not None:
            text = message.get("text")
            if text is not None:
                await socket.send_str(text)
            else:
                await socket.send_bytes(message["bytes"])
        else:
            raise RuntimeError(f"the application sent {kind!r} out of turn")

    async def end(self) -> None:
        if self._socket is None:
            if not self._denied:
                raise HangUp
        elif not self._socket.closed:
            await self._socket.close()


class Lifespan:
    """The startup and shutdown of an application. Event loop only."""

    def __init__(self, application: ASGIApp, state: dict[str, Any]) -> None:
        self._application = application
        self._state = state
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Wait for the startup. An application that knows of none is started already."""
        self._started = asyncio.get_running_loop().create_future()
        self._messages.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.ensure_future(self._run())
        await asyncio.wait([self._task, self._started], return_when=asyncio.FIRST_COMPLETED)
        if self._started.done():
            self._started.result()
        # Else it raised: such an application does without, says the specification.

    async def stop(self) -> None:
        """Wait for the shutdown, for a bounded time."""
        if self._task is None:
            return
        self._messages.put_nowait({"type": "lifespan.shutdown"})
        _, late = await asyncio.wait([self._task], timeout=_SHUTDOWN_LIMIT)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": _VERSIONS, "state": self._state}
        try:
            await self._application(scope, self._messages.get, self._send)
        except Exception as exc:
            if self._started is not None and self._started.done():
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "the lifespan of the ASGI application failed", "exception": exc}
                )

    async def _send(self, message: Message) -> None:
        kind, started = message["type"], self._started
        assert started is not None
        if kind == "lifespan.startup.complete" and not started.done():
            started.set_result(None)
        elif kind == "lifespan.startup.failed" and not started.done():
            text = message.get("message") or "no reason given"
            started.set_exception(RuntimeError(f"the ASGI application failed to start: {text}"))
        elif kind not in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            raise RuntimeError(f"the application sent {kind!r} out of turn")
