"""ASGI and aiohttp applications mounted in the process: HTTP, WebSockets, lifespan."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

import syncclient
from syncclient.testing import AiohttpTransport, ASGITransport

HOST = "http://star.test"

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def starlette_app(log: list[str]) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        log.append("startup")
        yield {"greeting": "hello"}
        log.append("shutdown")

    async def echo(request: Request) -> Response:
        body = await request.body()
        return JSONResponse(
            {
                "url": str(request.url),
                "name": request.path_params["name"],
                "size": len(body),
                "greeting": request.state.greeting,
            }
        )

    async def stream(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for n in range(1000):
                log.append(f"piece {n}")
                yield b"x" * 2**16

        return StreamingResponse(pieces())

    def blocking(request: Request) -> Response:
        return PlainTextResponse("from a thread")

    async def boom(request: Request) -> Response:
        raise ZeroDivisionError("mine")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="chat", headers=[(b"x-mine", b"1")])
        async for text in websocket.iter_text():
            await websocket.send_text(text.upper())
            await websocket.send_bytes(text.encode())
            if text == "bye":
                await websocket.close(4001, "as told")
                return

    async def denied(websocket: WebSocket) -> None:
        await websocket.close()

    routes = [
        Route("/echo/{name}", echo, methods=["POST"]),
        Route("/stream", stream),
        Route("/blocking", blocking),
        Route("/boom", boom),
        WebSocketRoute("/ws", socket),
        WebSocketRoute("/denied", denied),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def test_starlette_answers() -> None:
    """A Starlette application answers, and its lifespan is that of the session's pool."""
    log: list[str] = []
    transport = ASGITransport(starlette_app(log))
    with syncclient.Session(f"{HOST}/", connector=transport) as session:
        assert log == []
        got = session.post("echo/gr%C3%BCn?q=1", data=(b"x" * 1000 for _ in range(1000))).json()
        url = f"{HOST}/echo/grün?q=1"
        assert got == {"url": url, "name": "grün", "size": 1_000_000, "greeting": "hello"}
        assert session.get("blocking").text() == "from a thread"
        assert session.head("blocking").read() == b""
        assert session.get("none").status == 404
        assert log == ["startup"]
    assert log == ["startup", "shutdown"]


def test_a_response_streams_at_the_readers_pace() -> None:
    """What is not read holds the application back."""
    log: list[str] = []
    with syncclient.Session(connector=ASGITransport(starlette_app(log))) as session:
        with session.get(f"{HOST}/stream") as response:
            assert response.content.read(1) == b"x"
            assert len(log) < 100
            assert len(response.read()) == 1000 * 2**16 - 1


def test_what_the_application_raises_is_raised_in_the_client() -> None:
    """Starlette answers 500 and raises: the answer counts, as it was sent first."""
    with syncclient.Session(connector=ASGITransport(starlette_app([]))) as session:
        response = session.get(f"{HOST}/boom")
        assert response.status == 500

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("mine")

    with syncclient.Session(connector=ASGITransport(app)) as session:
        with pytest.raises(ZeroDivisionError, match="mine"):
            session.get(HOST)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_websockets(scheme: str) -> None:
    """A WebSocket goes both ways, with its subprotocol, its headers and its closing code."""
    with syncclient.Session(connector=ASGITransport(starlette_app([]))) as session:
        url = f"{scheme}://star.test/ws"
        with session.ws_connect(url, protocols=["other", "chat"]) as socket:
            assert socket.protocol == "chat"
            for text in ("one", "bye"):
                socket.send_str(text)
                assert socket.receive_str() == text.upper()
                assert socket.receive_bytes() == text.encode()
            assert socket.receive().type is syncclient.WSMsgType.CLOSE
            assert socket.close_code == 4001


def test_a_websocket_that_the_client_closes() -> None:
    """The application learns that the client has closed, and with which code."""
    codes: list[int] = []

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            assert (await receive())["type"] == "websocket.connect"
            await send({"type": "websocket.accept"})
            message = await receive()
            codes.append(message["code"])

    with syncclient.Session(connector=ASGITransport(app)) as session:
        session.ws_connect("ws://star.test/").close(code=4000)
    assert codes == [4000]


def test_a_websocket_that_is_refused() -> None:
    """A WebSocket that the application does not accept is a handshake error with 403."""
    with syncclient.Session(connector=ASGITransport(starlette_app([]))) as session:
        with pytest.raises(syncclient.WSServerHandshakeError) as caught:
            session.ws_connect("ws://star.test/denied")
        assert caught.value.status == 403


def test_an_application_that_does_not_start() -> None:
    """A startup that fails is the error of every request, and says why."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with syncclient.Session(connector=ASGITransport(app)) as session:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="failed to start: no database"):
                session.get(HOST)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "returned before its response was complete"),
        ([{"type": "http.response.body"}], "out of turn"),
        ([{"type": "http.response.start", "status": 200}] * 2, "out of turn"),
    ],
)
def test_an_application_that_breaks_the_rules(messages: list[dict[str, Any]], message: str) -> None:
    """Messages out of turn are an error in the client that says which."""

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for each in messages:
                await send(each)

    with syncclient.Session(connector=ASGITransport(app)) as session:
        with pytest.raises(RuntimeError, match=message):
            session.get(HOST)


def test_closing_the_session_cancels_the_application() -> None:
    """An application that still answers when the session closes is cancelled, and unwinds."""
    log: list[str] = []

    async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                await send({"type": "http.response.start", "status": 200})
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                await asyncio.Event().wait()
            finally:
                log.append("unwound")

    with syncclient.Session(connector=ASGITransport(app)) as session:
        with session.get(HOST) as response:
            assert response.content.readany() == b"x"
            session.close()
    assert log == ["unwound"]


def make_aiohttp_app() -> web.Application:
    async def hello(request: web.Request) -> web.StreamResponse:
        return web.json_response({"url": str(request.url), "got": await request.text()})

    async def socket(request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        async for message in response:
            await response.send_str(message.data[::-1])
        return response

    app = web.Application()
    app.router.add_post("/hello", hello)
    app.router.add_get("/ws", socket)
    return app


def test_an_aiohttp_application_answers() -> None:
    """An application of aiohttp's own answers, over http, https and ws."""
    with syncclient.Session(connector=AiohttpTransport(make_aiohttp_app)) as session:
        for url in ("http://a.test/hello", "https://a.test/hello"):
            got = session.post(url, data="x", expect100=True).json()
            assert got == {"url": url, "got": "x"}
        with session.ws_connect("wss://a.test/ws") as socket:
            socket.send_str("abc")
            assert socket.receive_str() == "cba"


def test_an_aiohttp_application_itself_is_refused() -> None:
    """An application belongs to one loop: the error says to give what makes one."""
    with pytest.raises(TypeError, match=r"write AiohttpTransport\(make_app\)"):
        AiohttpTransport(web.Application())


def test_one_transport_serves_any_number_of_sessions() -> None:
    """A transport is a description: each session has an application started for itself."""
    log: list[str] = []
    transport = ASGITransport(starlette_app(log))
    for _ in range(2):
        with syncclient.Session(connector=transport) as session:
            assert session.get(f"{HOST}/blocking").status == 200
    assert log == ["startup", "shutdown"] * 2
