"""Routes about bodies: sizes, codings, ranges, bodies that come slowly, and bodies that arrive."""

import asyncio
import gzip
import hashlib
import json
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress

import brotli
from aiohttp import web

from .content import HTML, SAMPLE_TEXT, pattern, pattern_chunks, stream_line
from .echo import decoded

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def _raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


# Route -> what it says in Content-Encoding, and the function that makes it so.
_CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "/gzip": ("gzip", gzip.compress),
    "/deflate": ("deflate", zlib.compress),
    "/raw-deflate": ("deflate", _raw_deflate),
    "/brotli": ("br", brotli.compress),
    "/zstd": ("zstd", zstd.compress),
}


async def compressed(request: web.Request) -> web.Response:
    """A small JSON document, or `?size=` bytes of the pattern, in the route's content coding."""
    coding, compress = _CODINGS[request.path]
    if "size" in request.query:
        body, content_type = pattern(int(request.query["size"])), "application/octet-stream"
    else:
        body, content_type = json.dumps({"coding": coding}).encode(), "application/json"
    return web.Response(
        body=compress(body), content_type=content_type, headers={"Content-Encoding": coding}
    )


async def sized(request: web.Request) -> web.StreamResponse:
    """`n` bytes of the pattern; `?chunked=1` leaves the length unsaid."""
    length = int(request.match_info["n"])
    response = web.StreamResponse()
    response.content_type = "application/octet-stream"
    if request.query.get("chunked"):
        response.enable_chunked_encoding()
    else:
        response.content_length = length
    await response.prepare(request)
    with suppress(ConnectionResetError):  # a client that has read enough
        if request.method != "HEAD":
            for chunk in pattern_chunks(length):
                await response.write(chunk)
        await response.write_eof()
    return response


async def ranged(request: web.Request) -> web.StreamResponse:
    """`n` bytes of the pattern with ETag, Range and If-Range.

    `?etag=` names another version; `?drop_after=k` cuts the connection after `k` bytes of body.
    """
    length = int(request.match_info["n"])
    etag = f'"{request.query.get("etag", f"pattern-{length}")}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes"}
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers=headers)
    status, start, stop = 200, 0, length
    if "Range" in request.headers and request.headers.get("If-Range", etag) == etag:
        try:
            status, (start, stop, _) = 206, request.http_range.indices(length)
        except ValueError:
            start = stop = length
        if start >= stop:
            headers["Content-Range"] = f"bytes */{length}"
            return web.Response(status=416, headers=headers)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{length}"
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = stop - start
    await response.prepare(request)
    if request.method == "HEAD":
        await response.write_eof()
        return response
    sent = min(stop - start, int(request.query.get("drop_after", length)))
    for chunk in pattern_chunks(sent, start):
        await response.write(chunk)
    if sent < stop - start:
        if request.transport is not None:
            request.transport.close()  # not abort(): what was written must still arrive
    else:
        await response.write_eof()
    return response


async def stream(request: web.Request) -> web.StreamResponse:
    """`n` lines of JSON, chunked, `?delay=` seconds before each but the first."""
    delay = float(request.query.get("delay", 0))
    response = web.StreamResponse()
    response.content_type = "application/x-ndjson"
    response.enable_chunked_encoding()
    await response.prepare(request)
    for number in range(int(request.match_info["n"])):
        if delay and number:
            await asyncio.sleep(delay)
        await response.write(stream_line(number).encode() + b"\n")
    await response.write_eof()
    return response


async def drip(request: web.Request) -> web.StreamResponse:
    """`?numbytes=` bytes spread over `?duration=` seconds, `?delay=` seconds before the head."""
    numbytes = int(request.query.get("numbytes", 10))
    pause = float(request.query.get("duration", 1)) / max(1, numbytes)
    await asyncio.sleep(float(request.query.get("delay", 0)))
    response = web.StreamResponse(status=int(request.query.get("code", 200)))
    response.content_length = numbytes
    await response.prepare(request)
    for number in range(numbytes):
        await response.write(pattern(1, number))
        await asyncio.sleep(pause)
    await response.write_eof()
    return response


async def sse(request: web.Request) -> web.StreamResponse:
    """`?n=` server-sent events after Last-Event-ID; `?drop_after=k` cuts off after `k` of them."""
    count = int(request.query.get("n", 3))
    first = int(request.headers.get("Last-Event-ID", -1)) + 1
    last = min(count, first + int(request.query.get("drop_after", count)))
    response = web.StreamResponse(headers={"Cache-Control": "no-store"})
    response.content_type = "text/event-stream"
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(b": a comment\nretry: 10\n\n")
    for number in range(first, last):
        await asyncio.sleep(float(request.query.get("delay", 0)))
        await response.write(f"id: {number}\nevent: tick\ndata: {number}\ndata: more\n\n".encode())
    if last < count:
        if request.transport is not None:
            request.transport.close()
    else:
        await response.write_eof()
    return response


async def upload(request: web.Request) -> web.Response:
    """What arrived, by digest, so that large bodies need not come back. `?delay=` reads slowly."""
    delay = float(request.query.get("delay", 0))
    digest, length = hashlib.sha256(), 0
    async for chunk in request.content.iter_any():
        digest.update(chunk)
        length += len(chunk)
        if delay:
            await asyncio.sleep(delay)
    return web.json_response(
        {
            "sha256": digest.hexdigest(),
            "length": length,
            "content_length": request.headers.get("Content-Length"),
            "transfer_encoding": request.headers.get("Transfer-Encoding"),
            "content_type": request.headers.get("Content-Type"),
            "headers": [[decoded(name), decoded(value)] for name, value in request.raw_headers],
        }
    )


async def early_413(request: web.Request) -> web.Response:
    """Refuse the body before reading it; `?close=1` also closes the connection."""
    response = web.Response(status=413, text="too large\n")
    if request.query.get("close"):
        response.force_close()
    return response


async def document(request: web.Request) -> web.Response:
    return web.json_response({"slideshow": {"title": "Sample", "slides": [1, 2, 3]}})


async def html(request: web.Request) -> web.Response:
    return web.Response(text=HTML, content_type="text/html")


async def encoded(request: web.Request) -> web.Response:
    """The sample text, or `?text=`, in `charset`; `?declare=` claims another, or none if empty."""
    charset = request.match_info["charset"]
    try:
        body = request.query.get("text", SAMPLE_TEXT).encode(charset)
    except (LookupError, UnicodeEncodeError) as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from error
    declared = request.query.get("declare", charset)
    content_type = f"text/plain; charset={declared}" if declared else "text/plain"
    return web.Response(body=body, headers={"Content-Type": content_type})


async def empty(request: web.Request) -> web.Response:
    return web.Response(status=204)


def add_routes(app: web.Application) -> None:
    for path in _CODINGS:
        app.router.add_get(path, compressed)
    app.router.add_get("/bytes/{n:\\d+}", sized)
    app.router.add_get("/range/{n:\\d+}", ranged)
    app.router.add_get("/stream/{n:\\d+}", stream)
    app.router.add_get("/drip", drip)
    app.router.add_get("/sse", sse)
    app.router.add_route("*", "/upload", upload)
    app.router.add_route("*", "/early-413", early_413)
    app.router.add_get("/json", document)
    app.router.add_get("/html", html)
    app.router.add_get("/encoding/{charset}", encoded)
    app.router.add_route("*", "/empty", empty)
