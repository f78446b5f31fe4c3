"""The well-behaved application, in the manner of httpbin: `make_app()` puts its rooms together."""

import asyncio
from contextlib import suppress

from aiohttp import WSMsgType, hdrs, web
from aiohttp.typedefs import Handler

from . import bodies, echo
from .echo import JOURNAL
from .journal import Journal


@web.middleware
async def _counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    with request.app[JOURNAL].handling(request.path):
        return await handler(request)


async def status(request: web.Request) -> web.Response:
    """Any final status; `?reason=` replaces its phrase."""
    code = int(request.match_info["code"])
    headers = {hdrs.LOCATION: "/get"} if code in (301, 302, 303, 307, 308) else None
    return web.Response(status=code, reason=request.query.get("reason"), headers=headers)


async def redirect(request: web.Request) -> web.Response:
    """`n` redirects, each with an absolute Location, then /get. `?status_code=` for each."""
    return _redirected(request, str(request.url.with_path(_next_hop(request, "/redirect"))))


async def relative_redirect(request: web.Request) -> web.Response:
    return _redirected(request, _next_hop(request, "/relative-redirect"))


def _next_hop(request: web.Request, path: str) -> str:
    left = int(request.match_info["n"]) - 1
    return f"{path}/{left}" if left > 0 else "/get"


async def redirect_to(request: web.Request) -> web.Response:
    """Redirect to `?url=`, letter by letter, with `?status_code=` (302)."""
    return _redirected(request, request.query["url"], keep_query=False)


def _redirected(request: web.Request, location: str, *, keep_query: bool = True) -> web.Response:
    if keep_query and request.query_string and "?" not in location:
        location = f"{location}?{request.query_string}"
    code = int(request.query.get("status_code", 302))
    return web.Response(status=code, headers={hdrs.LOCATION: location})


async def delay(request: web.Request) -> web.Response:
    """/get, `seconds` late."""
    await asyncio.sleep(float(request.match_info["seconds"]))
    return await echo.echo(request)


async def links(request: web.Request) -> web.Response:
    """Page `?page=` of three, its neighbours in Link headers, one relative and one absolute."""
    page = int(request.query.get("page", 1))
    response = web.json_response({"page": page})
    if page < 3:
        response.headers.add(hdrs.LINK, f'</links?page={page + 1}>; rel="next"; title="more"')
    if page > 1:
        previous = request.url.with_query(page=page - 1)
        response.headers.add(hdrs.LINK, f'<{previous}>; rel="prev"')
    return response


async def headers(request: web.Request) -> web.Response:
    """Answer with each pair of the query as a response header, repeated names kept apart."""
    response = web.Response(text="headers\n")
    for name, value in request.query.items():
        response.headers.add(name, value)
    return response


async def connections(request: web.Request) -> web.Response:
    """Connections `opened` since the start, `open` now, and the number of `this` one."""
    journal = request.app[JOURNAL]
    counts = journal.snapshot()
    return web.json_response(
        {
            "opened": counts["connections_opened"],
            "open": counts["connections_open"],
            "this": journal.connection_number(request.protocol),
        }
    )


async def stats(request: web.Request) -> web.Response:
    """The counts; `?newer_than=version` waits for a change, `?timeout=` seconds at most."""
    journal = request.app[JOURNAL]
    if "newer_than" in request.query:
        timeout = float(request.query.get("timeout", 5))
        await journal.wait_newer(int(request.query["newer_than"]), timeout)
    return web.json_response(journal.snapshot())


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Echo text and bytes.

    `?protocol=` (repeatable) offers subprotocols, `?burst=n` sends the numbers below n first,
    `?heartbeat=` seconds, `?close=code&reason=` closes after the burst, and the text `close`,
    or `close CODE REASON`, closes on request.
    """
    query = request.query
    heartbeat = float(query["heartbeat"]) if "heartbeat" in query else None
    socket = web.WebSocketResponse(
        protocols=query.getall("protocol", []), heartbeat=heartbeat, max_msg_size=0
    )
    await socket.prepare(request)
    with suppress(ConnectionError):  # a client may leave in the middle of it
        for number in range(int(query.get("burst", 0))):
            await socket.send_str(str(number))
    if "close" in query:
        await socket.close(code=int(query["close"]), message=query.get("reason", "").encode())
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        elif message.data == "close" or message.data.startswith("close "):
            _, code, reason = f"{message.data}  ".split(" ", 2)
            await socket.close(code=int(code or 1000), message=reason.strip().encode())
        else:
            await socket.send_str(message.data)
    return socket


def make_app(journal: Journal) -> web.Application:
    app = web.Application(middlewares=[_counted], client_max_size=0)  # 0: no limit
    app[JOURNAL] = journal
    echo.add_routes(app)
    bodies.add_routes(app)
    app.router.add_route("*", "/status/{code:[2-5]\\d\\d}", status)
    app.router.add_route("*", "/redirect/{n:\\d+}", redirect)
    app.router.add_route("*", "/relative-redirect/{n:\\d+}", relative_redirect)
    app.router.add_route("*", "/redirect-to", redirect_to)
    app.router.add_route("*", "/delay/{seconds}", delay)
    app.router.add_get("/links", links)
    app.router.add_get("/headers", headers)
    app.router.add_get("/connections", connections)
    app.router.add_get("/stats", stats)
    app.router.add_get("/echo", websocket)
    return app


def make_control_app(journal: Journal) -> web.Application:
    """The counts alone, for a port of their own: asking must not change what is counted."""
    app = web.Application()
    app[JOURNAL] = journal
    app.router.add_get("/stats", stats)
    return app
