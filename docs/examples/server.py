"""The small server that the examples of the documentation talk to.

    python docs/examples/server.py            # on http://localhost:8080

It needs nothing but aiohttp, which syncclient brings along.
"""

import argparse
import asyncio
import base64
import csv
import gzip
import hashlib
import io
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import WSMsgType, web

PEOPLE = [
    {"id": 1, "name": "Ada", "city": "London"},
    {"id": 2, "name": "Grace", "city": "New York"},
    {"id": 3, "name": "Edsger", "city": "Rotterdam"},
]
ATTEMPTS = web.AppKey("attempts", Counter[str])
TOKENS = web.AppKey("tokens", set[str])

routes = web.RouteTableDef()


# What was asked, as it arrived.


@routes.route("*", "/echo")
async def echo(request: web.Request) -> web.Response:
    """Method, query, headers, cookies and body, as JSON."""
    form: dict[str, str] = {}
    files: dict[str, dict[str, object]] = {}
    text = ""
    parsed: object = None
    if request.content_type.startswith(("multipart/", "application/x-www-form-urlencoded")):
        for name, value in (await request.post()).items():
            if isinstance(value, web.FileField):
                size = len(value.file.read())
                files[name] = {"filename": value.filename, "size": size, "type": value.content_type}
            else:
                form[name] = str(value)
    else:
        text = (await request.read()).decode(errors="replace")
        if request.content_type == "application/json":
            parsed = json.loads(text)
    return web.json_response(
        {
            "method": request.method,
            "path": request.path,
            "args": {name: request.query.getall(name) for name in request.query},
            "headers": dict(request.headers),
            "cookies": dict(request.cookies),
            "form": form,
            "files": files,
            "json": parsed,
            "text": text,
        }
    )


@routes.get("/cookies/set")
async def set_cookies(request: web.Request) -> web.Response:
    response = web.json_response(dict(request.query))
    for name, value in request.query.items():
        response.set_cookie(name, value)
    return response


# An API.


@routes.get("/people")
async def people(request: web.Request) -> web.Response:
    city = request.query.get("city")
    return web.json_response([one for one in PEOPLE if city in (None, one["city"])])


@routes.get("/people/{id:[0-9]+}")
async def person(request: web.Request) -> web.Response:
    for one in PEOPLE:
        if one["id"] == int(request.match_info["id"]):
            return web.json_response(one, headers={"ETag": f'"{one["id"]}"'})
    raise web.HTTPNotFound(text=json.dumps({"error": "nobody"}), content_type="application/json")


@routes.post("/people")
async def add_person(request: web.Request) -> web.Response:
    one = await request.json()
    return web.json_response({"id": 4, **one}, status=201, headers={"Location": "/people/4"})


@routes.get("/items/{id:[0-9]+}")
async def item(request: web.Request) -> web.Response:
    return web.json_response({"id": int(request.match_info["id"])})


@routes.get("/catalogue")
async def catalogue(request: web.Request) -> web.Response:
    """Fresh for an hour."""
    return web.json_response({"items": 3}, headers={"Cache-Control": "max-age=3600"})


@routes.get("/site/{page:[0-9]*}")
async def site(request: web.Request) -> web.Response:
    """Pages with links: 31 in a tree, each with a way back, and one link to a page that is not."""
    page = int(request.match_info["page"] or 0)
    if page > 30:
        raise web.HTTPNotFound
    links = [0, *(child for child in (2 * page + 1, 2 * page + 2) if child <= 31)]
    text = "".join(f'<li><a href="{link}#top">Page {link}</a>' for link in links)
    return web.Response(text=f"<title>Page {page}</title><ul>{text}</ul>", content_type="text/html")


# What a server may answer.


@routes.get("/status/{status:[0-9]+}")
async def status(request: web.Request) -> web.Response:
    return web.Response(status=int(request.match_info["status"]), text="as you asked")


@routes.get("/redirect/{hops:[0-9]+}")
async def redirect(request: web.Request) -> web.Response:
    hops = int(request.match_info["hops"])
    raise web.HTTPFound(f"/redirect/{hops - 1}" if hops > 1 else "/echo")


@routes.get("/delay/{seconds}")
async def delay(request: web.Request) -> web.Response:
    await asyncio.sleep(float(request.match_info["seconds"]))
    return web.json_response({"slept": float(request.match_info["seconds"])})


@routes.get("/flaky/{name}")
async def flaky(request: web.Request) -> web.Response:
    """503 twice, then an answer; counted for each name."""
    attempts = request.app[ATTEMPTS]
    attempts[request.path] += 1
    if attempts[request.path] <= 2:
        return web.Response(status=503, headers={"Retry-After": "0"}, text="come back")
    return web.json_response({"attempts": attempts[request.path]})


@routes.get("/latin")
async def latin(request: web.Request) -> web.Response:
    return web.Response(body="déjà vu".encode("latin-1"), content_type="text/plain")


# Who may.


@routes.get("/private")
async def private(request: web.Request) -> web.Response:
    """For ada with the password lovelace."""
    expected = "Basic " + base64.b64encode(b"ada:lovelace").decode()
    if request.headers.get("Authorization") != expected:
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="examples"'})
    return web.json_response({"user": "ada"})


@routes.get("/digest")
async def digest(request: web.Request) -> web.Response:
    """For ada with the password lovelace, by digest authentication."""
    given = request.headers.get("Authorization", "")
    parts = (part.strip().partition("=") for part in given.removeprefix("Digest ").split(", "))
    fields = {name: value.strip('"') for name, _, value in parts}
    ha1 = hashlib.md5(b"ada:examples:lovelace").hexdigest()
    ha2 = hashlib.md5(f"GET:{request.path}".encode()).hexdigest()
    want = ":".join([ha1, *(fields.get(k, "") for k in ("nonce", "nc", "cnonce", "qop")), ha2])
    if fields.get("response") != hashlib.md5(want.encode()).hexdigest():
        challenge = 'Digest realm="examples", nonce="0123456789abcdef", qop="auth", algorithm=MD5'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})
    return web.json_response({"user": "ada"})


@routes.post("/token")
async def token(request: web.Request) -> web.Response:
    """A token that is good for one request."""
    tokens = request.app[TOKENS]
    fresh = f"token-{request.app[ATTEMPTS]['token']}"
    request.app[ATTEMPTS]["token"] += 1
    tokens.add(fresh)
    return web.json_response({"access_token": fresh})


@routes.post("/oauth/token")
async def oauth_token(request: web.Request) -> web.Response:
    """An authorization server for the client "shop"; a refresh token is good for one use."""
    credentials = base64.b64encode(b"shop:secret").decode()
    if request.headers.get("Authorization") != f"Basic {credentials}":
        return web.json_response({"error": "invalid_client"}, status=401)
    form, tokens = await request.post(), request.app[TOKENS]
    if form["grant_type"] == "refresh_token":
        if form["refresh_token"] not in tokens | {"first-refresh-token"}:
            return web.json_response({"error": "invalid_grant"}, status=400)
        tokens.discard(str(form["refresh_token"]))
    elif form["grant_type"] != "client_credentials":
        return web.json_response({"error": "unsupported_grant_type"}, status=400)
    number = request.app[ATTEMPTS]["oauth"]
    request.app[ATTEMPTS]["oauth"] += 1
    given = {"access_token": f"access-{number}", "token_type": "Bearer", "expires_in": 3600}
    if form["grant_type"] == "refresh_token":
        given["refresh_token"] = f"refresh-{number}"
        tokens.add(f"refresh-{number}")
    tokens.add(f"access-{number}")
    return web.json_response(given)


@routes.get("/members")
async def members(request: web.Request) -> web.Response:
    tokens = request.app[TOKENS]
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if given not in tokens:
        return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
    tokens.discard(given)
    return web.json_response({"members": len(PEOPLE)})


# Streams.


@routes.get("/file/{size:[0-9]+}")
async def file(request: web.Request) -> web.StreamResponse:
    """So many bytes, with an ETag and ranges; `?pause=0.1` waits so long every 64 KiB."""
    size = int(request.match_info["size"])
    pause = float(request.query.get("pause", 0))
    headers = {"ETag": f'"{size}"', "Accept-Ranges": "bytes"}
    start, stop, code = 0, size, 200
    if (
        "Range" in request.headers
        and request.headers.get("If-Range", headers["ETag"]) == f'"{size}"'
    ):
        start, stop, _ = request.http_range.indices(size)
        code = 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    response = web.StreamResponse(status=code, headers=headers)
    response.content_length = stop - start
    await response.prepare(request)
    for at in range(start, stop, 2**16):
        await response.write(bytes(min(2**16, stop - at)))
        await asyncio.sleep(pause)
    return response


@routes.get("/lines/{count:[0-9]+}")
async def lines(request: web.Request) -> web.StreamResponse:
    """So many lines of JSON, chunked."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    for number in range(int(request.match_info["count"])):
        await response.write(json.dumps({"line": number}).encode() + b"\n")
    return response


@routes.get("/people.csv")
async def people_csv(request: web.Request) -> web.Response:
    text = io.StringIO()
    table = csv.DictWriter(text, ["id", "name", "city"])
    table.writeheader()
    table.writerows(PEOPLE)
    return web.Response(text=text.getvalue(), content_type="text/csv")


@routes.get("/people.json.gz")
async def people_gz(request: web.Request) -> web.Response:
    body = gzip.compress(json.dumps(PEOPLE).encode())
    return web.Response(body=body, content_type="application/gzip")


@routes.post("/upload")
async def upload(request: web.Request) -> web.Response:
    """Counts a body of any size."""
    size, found = 0, hashlib.sha256()
    async for chunk in request.content.iter_any():
        size += len(chunk)
        found.update(chunk)
    return web.json_response(
        {
            "size": size,
            "sha256": found.hexdigest(),
            "length": request.headers.get("Content-Length"),
        }
    )


@routes.route("*", "/events")
async def events(request: web.Request) -> web.StreamResponse:
    """Words, one by one, as a language model's server sends them."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number, word in enumerate(["All", "our", "words", "arrive", "one", "by", "one."]):
        event = f"id: {number}\ndata: {json.dumps({'delta': word + ' '})}\n\n"
        await response.write(event.encode())
    await response.write(b"event: done\ndata: [DONE]\n\n")
    return response


# WebSockets.


@routes.get("/ws")
async def ws_echo(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=("chat",))
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


@routes.get("/prices")
async def prices(request: web.Request) -> web.WebSocketResponse:
    """Three prices of what was subscribed to, then the end."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    wanted = await socket.receive_json()
    for price in itertools.islice(itertools.count(100), 3):
        await socket.send_json({"name": wanted["subscribe"], "price": price})
    await socket.close()
    return socket


def make_app() -> web.Application:
    app = web.Application()
    app[ATTEMPTS] = Counter()
    app[TOKENS] = set()
    app.add_routes(routes)
    return app


@asynccontextmanager
async def serving(port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve while the block runs; gives the URL."""
    runner = web.AppRunner(make_app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=8080, help="0 takes any; default: 8080")
    port = parser.parse_args().port

    async def serve() -> None:
        async with serving(port) as url:
            print(url, flush=True)
            await asyncio.Event().wait()

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
