"""A site as scripts meet it: a login, pages of an API, uploads, files, a chat, a model."""

import asyncio
import json
import sys

from aiohttp import WSMsgType, web

routes = web.RouteTableDef()


@routes.post("/login")
async def login(request: web.Request) -> web.Response:
    form = await request.post()
    if form.get("password") != "secret":
        text = json.dumps({"detail": [{"loc": ["password"], "msg": "wrong password"}]})
        return web.json_response(text=text, status=422, reason="Unprocessable Content")
    found = web.HTTPFound("/me")
    found.set_cookie("sid", str(form["user"]))
    raise found


@routes.get("/me")
async def me(request: web.Request) -> web.Response:
    if "sid" not in request.cookies:
        raise web.HTTPUnauthorized
    return web.json_response({"user": request.cookies["sid"]})


@routes.get("/token")
async def token(request: web.Request) -> web.Response:
    if request.headers.get("Authorization") != "Bearer t0k3n":
        raise web.HTTPUnauthorized
    return web.json_response({"agent": request.headers["User-Agent"]})


@routes.get("/items")
async def items(request: web.Request) -> web.Response:
    page = int(request.query.get("page", "1"))
    key = request.query.get("key")
    following = {"Link": f'</items?page={page + 1}>; rel="next"'} if page < 3 else {}
    # As many an API has it: JSON that is called text.
    text = json.dumps({"key": key, "items": [page * 10, page * 10 + 1]})
    return web.Response(text=text, content_type="text/plain", headers=following)


@routes.post("/upload")
async def upload(request: web.Request) -> web.Response:
    seen = {}
    for name, field in (await request.post()).items():
        if isinstance(field, web.FileField):
            seen[name] = [field.filename, field.content_type, field.file.read().decode()]
        else:
            seen[name] = [str(field)]
    return web.json_response(seen)


@routes.get("/log")
async def log(request: web.Request) -> web.Response:
    lines = "".join(json.dumps({"n": n, "text": "é\u2028"}) + "\r\n" for n in range(3))
    return web.Response(text=lines, content_type="application/x-ndjson")


@routes.get("/files/{n}")
async def files(request: web.Request) -> web.Response:
    n = int(request.match_info["n"])
    if n == 13:
        raise web.HTTPNotFound
    return web.Response(body=bytes([n]) * 1000)


@routes.get("/page")
async def page(request: web.Request) -> web.Response:
    html = "<title>Café</title><a href='/page?2'>more</a>"
    return web.Response(
        body=html.encode("latin-1"), headers={"Content-Type": "text/html; charset=latin-1"}
    )


@routes.get("/chat")
async def chat(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(f"you said {message.data}")
    return socket


@routes.post("/v1/chat")
async def model(request: web.Request) -> web.StreamResponse:
    words = (await request.json())["prompt"].split()
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for word in words:
        await response.write(f"data: {json.dumps({'delta': word})}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


async def main() -> None:
    """Serve until the end of the standard input; the first line says where."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
