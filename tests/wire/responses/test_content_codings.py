"""Content-Encoding as it comes: aliases, lists, bare deflate, and what stands behind the end."""

from __future__ import annotations

import asyncio
import gzip
import sys
import zlib
from collections.abc import Callable
from typing import Any

import aiohttp
import brotli
import httpx
import pytest
import requests

import syncclient
from syncclient import ClientPayloadError, LoopThread, Session, TotalTimeoutError
from syncclient._async.decoding.codings import MAX_CODINGS
from tests.servers.raw import RawConnection, Script, StartRawServer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"hello, world; " * 500
PIECE = 2**18


def bare(data: bytes) -> bytes:
    """Deflate without the wrapping of zlib, as old servers of Microsoft's send it."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "bare deflate": bare,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


def packed(data: bytes, *codings: str) -> bytes:
    for coding in codings:
        data = PACK[coding](data)
    return data


def encoded(
    body: bytes, *values: str, framing: str = "length", then: Callable[[RawConnection], Any] = id
) -> Script:
    """A script that sends ``body`` under Content-Encoding headers, one for each value."""
    head = b"HTTP/1.1 200 OK\r\n"
    for value in values:
        head += f"Content-Encoding: {value}\r\n".encode()

    def script(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            if framing == "length":
                conn.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            elif framing == "close":
                conn.send(head + b"\r\n" + body)
                return
            else:
                conn.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
                step = max(1, len(body) // 50)
                for at in range(0, len(body), step):
                    conn.send_chunk(body[at : at + step])
                conn.send_chunk(b"")
            then(conn)

    return script


FRAMINGS = ["length", "chunked", "close"]


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(
    ("values", "codings"),
    [
        (["gzip"], ["gzip"]),
        (["x-gzip"], ["gzip"]),
        (["X-GZip"], ["gzip"]),
        (["GZIP"], ["gzip"]),
        (["deflate"], ["deflate"]),
        (["deflate"], ["bare deflate"]),
        (["x-deflate"], ["deflate"]),
        (["br"], ["br"]),
        (["zstd"], ["zstd"]),
        (["gzip, gzip"], ["gzip", "gzip"]),
        (["gzip", "gzip"], ["gzip", "gzip"]),
        (["deflate, gzip"], ["deflate", "gzip"]),
        (["deflate,gzip"], ["bare deflate", "gzip"]),
        (["gzip", "deflate , BR"], ["gzip", "deflate", "br"]),
        (["zstd, br"], ["zstd", "br"]),
        (["br, zstd"], ["br", "zstd"]),
        (["identity"], []),
        (["gzip, identity"], ["gzip"]),
        (["identity", "gzip"], ["gzip"]),
        ([", gzip,,"], ["gzip"]),
        ([""], []),
        ([", ".join(["gzip"] * MAX_CODINGS)], ["gzip"] * MAX_CODINGS),
    ],
    ids=str,
)
def test_codings_are_undone_backwards(
    raw_server: StartRawServer, values: list[str], codings: list[str], framing: str
) -> None:
    """Each by the name it goes by, as httpx does (RFC 9110, 8.4); the headers stay as they were."""
    wire = raw_server(encoded(packed(TEXT, *codings), *values, framing=framing))
    with Session() as session, session.get(wire.url) as response:
        assert response.read() == TEXT
        assert response.headers.getall("Content-Encoding") == [v.strip() for v in values]


@pytest.mark.parametrize(
    ("value", "codings"),
    [("gzip, gzip", ["gzip", "gzip"]), ("deflate, gzip", ["deflate", "gzip"]), ("br", ["br"])],
)
def test_requests_and_httpx_read_the_same(
    raw_server: StartRawServer, value: str, codings: list[str]
) -> None:
    """Where they know the codings."""
    wire = raw_server(encoded(packed(TEXT, *codings), value))
    with Session() as session:
        assert session.get(wire.url).read() == TEXT
    assert requests.get(wire.url).content == TEXT
    assert httpx.get(wire.url).content == TEXT


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(
    "rest", [b"\0", b"\0" * 512, b"<!-- cached -->", b"\x1f", b"\x1f\x8b", b"\r\n"], ids=repr
)
@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_what_stands_behind_the_end_is_passed_over(
    raw_server: StartRawServer, coding: str, rest: bytes, framing: str
) -> None:
    """As gunzip, browsers and requests do: the text is whole."""
    wire = raw_server(encoded(packed(TEXT, coding) + rest, coding, framing=framing))
    with Session() as session:
        assert session.get(wire.url).read() == TEXT
        assert b"".join(session.get(wire.url).content.iter_chunked(99)) == TEXT
    # From Python 3.14 on, urllib3's flush of the decoder fails for chunks.
    fails = framing == "chunked" and sys.version_info >= (3, 14)
    if coding == "gzip" and rest[0] != 0x1F and not fails:
        assert requests.get(wire.url).content == TEXT


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("count", [2, 3, 500])
def test_all_members_are_read(raw_server: StartRawServer, coding: str, count: int) -> None:
    """They are one body (RFC 1952, 2.2; RFC 8878, 3.1), and rubbish behind the last is not."""
    wire = raw_server(encoded(packed(TEXT, coding) * count + b"\0\0\0\0", coding))
    with Session() as session:
        assert session.get(wire.url).read() == TEXT * count


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(
    ("value", "codings"),
    [("x-gzip", ["gzip"]), ("gzip, gzip", ["gzip", "gzip"]), ("deflate", ["bare deflate"])],
)
@pytest.mark.parametrize("missing", [1, 9])
def test_a_body_cut_off_inside_a_member_is_an_error(
    raw_server: StartRawServer, value: str, codings: list[str], missing: int, framing: str
) -> None:
    """A body that ends inside a member is an error, even if only the inner coding is cut off."""
    whole = packed(TEXT, *codings)
    inner = packed(packed(TEXT, *codings[:1])[:-missing], *codings[1:])
    for body in (whole[:-missing], inner, whole + whole[:-missing]):
        if body.startswith(whole) and codings[-1] != "gzip":
            continue
        wire = raw_server(encoded(body, value, framing=framing))
        with Session() as session, session.get(wire.url) as response:
            with pytest.raises(ClientPayloadError, match="ends before its"):
                response.read()


@pytest.mark.parametrize(
    "value", ["foo", "gzip, foo", "foo, gzip", "aws-chunked", "compress", "gzip;q=1", "gz ip", "é"]
)
def test_what_is_not_known_leaves_the_body_as_it_is(raw_server: StartRawServer, value: str) -> None:
    """Nothing is undone by halves."""
    body = packed(TEXT, "gzip")
    wire = raw_server(encoded(body, value))
    with Session() as session:
        assert session.get(wire.url).read() == body


def test_more_codings_than_anybody_uses_are_an_error(raw_server: StartRawServer) -> None:
    """Each could be a bomb within the other; curl and requests draw the same line."""
    count = MAX_CODINGS + 1
    wire = raw_server(encoded(packed(TEXT, *["gzip"] * count), ", ".join(["gzip"] * count)))
    with Session() as session, session.get(wire.url) as response:
        assert response.status == 200
        with pytest.raises(ClientPayloadError, match=f"{count} content codings"):
            response.read()
    with pytest.raises(requests.exceptions.ContentDecodingError):
        requests.get(wire.url)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_no_body_at_all_is_an_empty_one(
    raw_server: StartRawServer, coding: str, framing: str
) -> None:
    """Many servers say gzip and then have nothing to compress."""
    wire = raw_server(encoded(b"", coding, framing=framing))
    with Session() as session:
        assert session.get(wire.url).read() == b""


@pytest.mark.parametrize("value", ["gzip", "x-gzip", "gzip, gzip"])
def test_auto_decompress_false_leaves_lists_alone_too(
    raw_server: StartRawServer, value: str
) -> None:
    """Of the session or the request; true of a request goes before the session's."""
    body = packed(TEXT, *["gzip"] * (1 + value.count(",")))
    wire = raw_server(encoded(body, value))
    with Session(auto_decompress=False) as session:
        assert session.get(wire.url).read() == body
        assert session.get(wire.url, auto_decompress=True).read() == TEXT
    with Session() as session:
        assert session.get(wire.url, auto_decompress=False).read() == body


@pytest.mark.parametrize("value", ["gzip", "gzip, gzip", "br", "zstd", "br, gzip"])
def test_bombs_are_bounded(raw_server: StartRawServer, value: str) -> None:
    """``max_body`` counts what comes out, and no more than that is inflated."""
    codings = value.split(", ")
    body = packed(bytes(20_000_000), *codings)
    wire = raw_server(encoded(body, value))
    with Session(max_body=1000) as session, session.get(wire.url) as response:
        with pytest.raises(ClientPayloadError, match="max_body=1000"):
            response.read()
        assert response.content.total_bytes <= 1000


def test_a_window_beyond_8_mib_is_refused(raw_server: StartRawServer) -> None:
    """A zstd frame may ask for gigabytes of memory; RFC 9659 draws the line."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    wire = raw_server(encoded(packer.compress(TEXT) + packer.flush(), "zstd"))
    with Session() as session, session.get(wire.url) as response:
        with pytest.raises(ClientPayloadError, match="zstd"):
            response.read()


def test_the_total_timeout_ends_the_inflating_of_a_bomb(raw_server: StartRawServer) -> None:
    """All of it is here, and its reader would still be at it for minutes."""
    body = packed(packed(bytes(2**28), "zstd") * 200, "gzip")
    wire = raw_server(encoded(body, "zstd, gzip"))
    with Session(timeout=0.5) as session, session.get(wire.url) as response:
        with pytest.raises(TotalTimeoutError):
            for _ in response.content.iter_chunked(PIECE):
                pass


def test_http_chunks_end_where_they_did(raw_server: StartRawServer) -> None:
    """A line compressed and flushed for each chunk is read as it was sent."""
    lines = [f"line {n}\n".encode() for n in range(20)]
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    chunks = [packer.compress(line) + packer.flush(zlib.Z_SYNC_FLUSH) for line in lines]

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked")])
        for chunk in chunks:
            conn.send_chunk(chunk)
            conn.stall()
        conn.send_chunk(packer.flush())
        conn.send_chunk(b"")

    wire = raw_server(script)
    with Session() as session, session.get(wire.url) as response:
        conn = wire.wait_until_connected()
        for line in lines:
            assert response.content.readchunk() == (line, True)
            conn.proceed()
        assert response.read() == b""


@pytest.mark.parametrize("loop", ["usual", "asyncio"])
def test_an_async_middleware_reads_what_was_meant(raw_server: StartRawServer, loop: str) -> None:
    """It gets the engine's response, with the codings undone, whole or by and by."""
    seen = []

    async def middleware(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        first = await handler(request)
        seen.append(b"".join([data async for data in first.content.iter_any()]))
        response = await handler(request)
        seen.append(await response.read())
        return response

    for framing in FRAMINGS:
        wire = raw_server(encoded(packed(TEXT, "gzip"), "x-gzip", framing=framing))
        thread = None if loop == "usual" else LoopThread(loop_factory=asyncio.new_event_loop)
        with Session(middlewares=[middleware], loop_thread=thread) as session:
            assert session.get(wire.url).read() == TEXT
    assert seen == [TEXT] * 6


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("way", ["get", "stream", "submit", "map", "middleware", "one-shot"])
@pytest.mark.parametrize("value", ["gzip", "x-gzip", "gzip, gzip", "identity", "foo"])
def test_total_raw_bytes_are_those_of_the_wire(
    raw_server: StartRawServer, value: str, way: str, framing: str
) -> None:
    """In whatever way the body came over; `total_bytes` are what came out of them."""
    count = value.count("gzip")
    body = packed(TEXT, *["gzip"] * count)
    wire = raw_server(encoded(body, value, framing=framing))

    def passing(request: Any, handler: Any) -> Any:
        return handler(request)

    with Session(middlewares=[passing] if way == "middleware" else []) as session:
        if way == "submit":
            response = session.submit("GET", wire.url).result()
        elif way == "map":
            [response] = session.map([wire.url])
        elif way == "one-shot":
            response = syncclient.get(wire.url)
        else:
            response = session.get(wire.url)
        if way == "stream":
            assert b"".join(response.content.iter_chunked(100)) == TEXT
        else:
            assert response.read() == TEXT
        content = response.content
        assert (content.total_bytes, content.total_raw_bytes) == (len(TEXT), len(body))
        assert content.total_compressed_bytes == (len(body) if count else None)
