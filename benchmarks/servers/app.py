"""The same routes in an ordinary server: aiohttp.web.

``python -m benchmarks.servers.app`` prints where it listens and serves until its stdin ends.
"""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import web

from benchmarks.descriptors import raise_descriptor_limit
from benchmarks.servers.certificate import secured
from benchmarks.servers.process import run, serve_until_stdin_ends
from benchmarks.servers.routes import (
    BLOCK,
    BURST_TEXT,
    BYTES_PATH,
    COOKIES,
    COOKIES_PATH,
    EVENT,
    EVENTS_PATH,
    HELD_PATH,
    HOLD_PATH,
    JSON_BODY,
    JSON_PATH,
    SECURE_PATH,
    UPLOAD_PATH,
    WS_PATH,
)

IDLE_SECONDS = 3600.0
"""Kept-alive connections outlive the longest pause between two turns of a client."""


async def send_json(request: web.Request) -> web.Response:
    return web.Response(body=JSON_BODY, content_type="application/json")


#: The requests that wait for ``/hold``.
_held: list[asyncio.Future[None]] = []


async def hold(request: web.Request) -> web.Response:
    mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    _held.append(mine)
    if len(_held) >= int(request.match_info["wanted"]):
        for each in _held:
            each.set_result(None)
        _held.clear()
    try:
        await mine
    finally:
        if mine in _held:
            _held.remove(mine)
    return await send_json(request)


async def send_held(request: web.Request) -> web.Response:
    return web.json_response({"n": len(_held)})


async def send_bytes(request: web.Request) -> web.StreamResponse:
    left = int(request.match_info["size"])
    response = web.StreamResponse()
    response.content_length = left
    await response.prepare(request)
    while left:
        block = BLOCK[:left]
        await response.write(block)
        left -= len(block)
    return response


async def send_cookies(request: web.Request) -> web.Response:
    known = bool(request.cookies)
    response = await send_json(request) if known else web.json_response({"n": 0})
    for cookie in COOKIES[:1] if known else COOKIES:
        response.headers.add("Set-Cookie", cookie)
    return response


async def send_events(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    for _ in range(int(request.match_info["count"])):
        await response.write(EVENT)
    return response


async def take_upload(request: web.Request) -> web.Response:
    received = 0
    async for chunk in request.content.iter_any():
        received += len(chunk)
    return web.json_response({"n": received})


async def websocket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        if message.data.startswith("burst "):
            for _ in range(int(message.data[6:])):
                await ws.send_str(BURST_TEXT)
        else:
            await ws.send_str(message.data)
    return ws


async def main() -> None:
    raise_descriptor_limit()
    app = web.Application()
    app.router.add_get(JSON_PATH, send_json)
    app.router.add_get(HOLD_PATH + "{wanted}", hold)
    app.router.add_get(HELD_PATH, send_held)
    app.router.add_get(BYTES_PATH + "{size}", send_bytes)
    app.router.add_get(COOKIES_PATH, send_cookies)
    app.router.add_get(EVENTS_PATH + "{count}", send_events)
    app.router.add_post(UPLOAD_PATH, take_upload)
    app.router.add_get(WS_PATH, websocket)
    context, authority = secured()

    async def send_secure(request: web.Request) -> web.Response:
        return web.json_response({"port": runner.addresses[1][1], "ca": authority})

    app.router.add_get(SECURE_PATH, send_secure)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=IDLE_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    await serve_until_stdin_ends(f"aiohttp.web {aiohttp.__version__}", runner.addresses[0][1])
    await runner.cleanup()


if __name__ == "__main__":
    run(main())
