"""``syncclient demo``: the features of the library, shown with a server in this process."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import click
from aiohttp import WSMsgType, web
from rich.text import Text

from .. import Session
from .terminal import console

#: Seconds between the lines of the stream.
_PAUSE = 0.1
_LINES = 5
_MAPPED = 200
_STARTS_WITHIN = 10.0


@click.command("demo", short_help="Show requests, a stream and a WebSocket, on this machine.")
def demo() -> None:
    """Start a small server on this machine and send requests to it, as your code would.

    Nothing leaves the machine, and nothing is left behind.
    """
    out = console()
    with _server() as url, Session(url) as session:
        for title, code, step in _STEPS:
            out.print(Text(title, "bold"))
            out.print(Text("    " + code, "cyan"))
            began = time.monotonic()
            for line in step(session):
                out.print(Text("    " + line, "green"))
            out.print(Text(f"    {1000 * (time.monotonic() - began):.1f} ms\n", "dim"))


def _request(session: Session) -> Iterator[str]:
    with session.post("echo", json={"name": "Ada"}) as response:
        yield f"{response.status} {response.json()}"


def _timings(session: Session) -> Iterator[str]:
    with session.get("hello", timings=True) as response:
        response.read()
        assert response.timings is not None
        yield f"wait {1000 * (response.timings.wait or 0):.1f} ms, on the same connection"


def _stream(session: Session) -> Iterator[str]:
    began = time.monotonic()
    with session.get("stream") as response:
        for line in response.content:
            yield f"{time.monotonic() - began:.1f} s  {line.decode().rstrip()}"


def _many(session: Session) -> Iterator[str]:
    paths = [f"square/{number}" for number in range(_MAPPED)]
    total = sum(response.json() for response in session.map(paths))
    yield f"{_MAPPED} responses; the squares add up to {total}"


def _socket(session: Session) -> Iterator[str]:
    with session.ws_connect("ws") as socket:
        for text in ("hello", "goodbye"):
            socket.send_str(text)
            yield f"> {text}   < {socket.receive_str()}"
    yield f"closed with {socket.close_code}"


_STEPS: tuple[tuple[str, str, Callable[[Session], Iterator[str]]], ...] = (
    ("A request", 'session.post("echo", json={"name": "Ada"}).json()', _request),
    ("Where its time goes", 'session.get("hello", timings=True).timings', _timings),
    (
        "A stream, line by line as it comes",
        'for line in session.get("stream").content: ...',
        _stream,
    ),
    ("Many at once, from one thread", "for response in session.map(urls): ...", _many),
    ("A WebSocket", 'socket = session.ws_connect("ws")', _socket),
)


# The server: asynchronous, in its own thread.


@contextmanager
def _server() -> Iterator[str]:
    """Serve on a port chosen by the system while the block runs; yields the base URL."""
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(started)), daemon=True)
    thread.start()
    url, loop, stop = started.result(_STARTS_WITHIN)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_STARTS_WITHIN)


async def _serve(
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]],
) -> None:
    app = web.Application()
    app.router.add_get("/hello", _hello)
    app.router.add_post("/echo", _echo)
    app.router.add_get("/stream", _lines)
    app.router.add_get("/square/{number}", _square)
    app.router.add_get("/ws", _echo_socket)
    runner = web.AppRunner(app, access_log=None)
    try:
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            stop = asyncio.Event()
        except Exception as exc:
            started.set_exception(exc)  # raised in the waiting thread
            return
        started.set_result((f"http://127.0.0.1:{port}/", asyncio.get_running_loop(), stop))
        await stop.wait()
    finally:
        await runner.cleanup()


async def _hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def _echo(request: web.Request) -> web.Response:
    return web.json_response({"received": await request.json()})


async def _square(request: web.Request) -> web.Response:
    return web.json_response(int(request.match_info["number"]) ** 2)


async def _lines(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for number in range(1, _LINES + 1):
        await response.write(f"line {number} of {_LINES}\n".encode())
        await asyncio.sleep(_PAUSE)
    return response


async def _echo_socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket
