"""Compressed bodies that break off: aiohttp gives what there is of them, and no error.

Its ``DeflateBuffer`` looks at the end of the body whether a deflate stream is complete,
but not a gzip, brotli or zstd stream. So a body cut off by a proxy, or by a server that
ran out of disk, is returned as if whole, if need be as ``b""``. The buffer is made deep
in the parser, where nobody can put in another; so its method is replaced, and what is
new in it applies to connections of our own pools only.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, cast

from aiohttp import ClientPayloadError
from aiohttp.http_parser import DeflateBuffer

from .unasked import QuietHandler

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from .connector import Pool

#: The shortest member, with nothing in it, by coding. A decoder that is between two members
#: takes it for what it is; one in the middle of a member takes it for something else.
_EMPTY = {
    "gzip": bytes.fromhex("1f8b 0800 0000 0000 0003 0300 0000 0000 0000 0000"),
    "zstd": bytes.fromhex("28b5 2ffd 2000 0100 00"),
}


class WatchedHandler(QuietHandler):
    """aiohttp's protocol; its class tells the connections of our pools from others."""


def watch(pool: Pool) -> None:
    """Have incomplete compressed bodies on connections of ``pool`` raise ClientPayloadError."""
    factory = functools.partial(WatchedHandler, loop=pool._loop, pool=pool)
    pool._factory = cast("functools.partial[ResponseHandler]", factory)
    DeflateBuffer.feed_eof = _feed_eof  # type: ignore[assignment,method-assign]  # see above


_engines_feed_eof = DeflateBuffer.feed_eof


def _feed_eof(buffer: DeflateBuffer) -> None:
    ours = isinstance(buffer.out._protocol, WatchedHandler)
    if ours and buffer.size and not _at_end(buffer):
        error = ClientPayloadError(f"the body ends before its {buffer.encoding} stream does")
        buffer.set_exception(error)
    else:
        _engines_feed_eof(buffer)


def _at_end(buffer: DeflateBuffer) -> bool:
    """Tell whether what ``buffer`` was fed ended where a stream of its coding ends."""
    decompressor = buffer.decompressor
    if buffer.encoding == "br":
        return bool(decompressor._obj.is_finished())
    decoder = decompressor._decompressor
    empty = _EMPTY.get(buffer.encoding or "")
    if decoder.eof or empty is None:
        return bool(decoder.eof)
    # The engine puts a fresh decoder in place of one that is at the end of a member.
    if buffer.size < len(empty):
        return False
    try:
        output = decoder.decompress(empty)
    except Exception:  # zlib.error, ZstdError ...: each library has one of its own
        return False
    return bool(decoder.eof and not decoder.unused_data and not output)
