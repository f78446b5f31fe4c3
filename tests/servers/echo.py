"""Routes that answer with the request as the server saw it: what was sent, in order, and raw."""

import base64
import email.policy
import json
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from .journal import Journal

JOURNAL = web.AppKey("journal", Journal)


async def echo(request: web.Request) -> web.Response:
    """The request as JSON; pairs stay pairs, so that order and repetition can be asserted."""
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "url": str(request.url),
            "target": request.raw_path,
            "version": f"{request.version.major}.{request.version.minor}",
            "args": [[name, value] for name, value in request.query.items()],
            "headers": [[decoded(name), decoded(value)] for name, value in request.raw_headers],
            "cookies": dict(request.cookies),
            "body": base64.b64encode(body).decode(),
            "connection": request.app[JOURNAL].connection_number(request.protocol),
            **_parsed(request, body),
        }
    )


def decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _parsed(request: web.Request, body: bytes) -> dict[str, Any]:
    """The body read the ways its content type allows; what does not apply is None or empty."""
    view: dict[str, Any] = {"text": None, "form": [], "files": [], "json": None}
    try:
        view["text"] = body.decode(request.charset or "utf-8")
    except (LookupError, UnicodeDecodeError):
        pass
    if request.content_type == "application/x-www-form-urlencoded" and view["text"] is not None:
        view["form"] = parse_qsl(view["text"], keep_blank_values=True)
    elif request.content_type.startswith("multipart/"):
        view["form"], view["files"] = _multipart(request.headers["Content-Type"], body)
    elif request.content_type.endswith("json"):
        try:
            view["json"] = json.loads(body)
        except ValueError:
            pass
    return view


def _multipart(content_type: str, body: bytes) -> tuple[list[Any], list[Any]]:
    """Fields and files of a multipart body.

    Cut by hand: aiohttp's reader would check aiohttp's writer against itself, and the email
    parser changes lone line ends in binary parts.
    """
    parser = BytesParser(policy=email.policy.HTTP)
    outer = parser.parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n", True)
    boundary = outer.get_boundary("").encode()
    preamble, *pieces, closing = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if preamble or closing[:2] != b"--":
        raise web.HTTPBadRequest(text="malformed multipart body")
    fields: list[Any] = []
    files: list[Any] = []
    for piece in pieces:
        head, _, content = piece[2:].partition(b"\r\n\r\n")
        part = parser.parsebytes(head + b"\r\n\r\n", True)
        name = part.get_param("name", header="content-disposition")
        filename = part.get_filename()
        if filename is None:
            fields.append([name, content.decode("utf-8", "surrogateescape")])
            continue
        files.append(
            {
                "name": name,
                "filename": filename,
                "content_type": part.get("Content-Type"),
                "headers": [[key, str(value)] for key, value in part.items()],
                "body": base64.b64encode(content).decode(),
            }
        )
    return fields, files


async def basic_auth(request: web.Request) -> web.Response:
    user, password = request.match_info["user"], request.match_info["password"]
    expected = base64.b64encode(f"{user}:{password}".encode()).decode()
    if request.headers.get("Authorization") != f"Basic {expected}":
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="tests"'})
    return web.json_response({"authenticated": True, "user": user})


async def bearer(request: web.Request) -> web.Response:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not token:
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"})
    return web.json_response({"authenticated": True, "token": token})


async def cookies(request: web.Request) -> web.Response:
    return web.json_response({"cookies": dict(request.cookies)})


async def set_cookies(request: web.Request) -> web.Response:
    """Set each query pair as a cookie on `/`, then redirect to /cookies."""
    response = web.HTTPFound("/cookies")
    for name, value in request.query.items():
        response.set_cookie(name, value)
    raise response


async def set_raw_cookies(request: web.Request) -> web.Response:
    """Send each `header=` of the query as a Set-Cookie header, letter by letter."""
    response = web.Response(text="set\n")
    for header in request.query.getall("header", []):
        response.headers.add("Set-Cookie", header)
    return response


async def delete_cookies(request: web.Request) -> web.Response:
    response = web.HTTPFound("/cookies")
    for name in request.query:
        response.del_cookie(name)
    raise response


def add_routes(app: web.Application) -> None:
    for path in ("/get", "/post", "/put", "/patch", "/delete", "/anything", "/anything/{tail:.*}"):
        app.router.add_route("*", path, echo)
    app.router.add_get("/basic-auth/{user}/{password}", basic_auth)
    app.router.add_get("/bearer", bearer)
    app.router.add_get("/cookies", cookies)
    app.router.add_get("/cookies/set", set_cookies)
    app.router.add_get("/cookies/set-raw", set_raw_cookies)
    app.router.add_get("/cookies/delete", delete_cookies)
