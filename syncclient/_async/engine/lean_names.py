"""What the lean exchange takes of aiohttp's private parts.

Where one of them is missing, or has other parameters, every request goes the full way, through
aiohttp's session.
"""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import BaseConnector, BytesPayload, ClientSession, StreamReader, StringPayload

from .missing import warn_without

if TYPE_CHECKING:
    from multidict import CIMultiDict


def bytes_of(data: object) -> tuple[bytes, CIMultiDict[str] | None] | None:
    """Return a body as bytes, with the headers that describe it; None where it is no bytes."""
    if type(data) is bytes:
        return data, None
    if type(data) in (BytesPayload, StringPayload):
        payload: Any = data
        value = getattr(payload, "_value", None)
        return None if value is None else (bytes(value), payload.headers)
    return None


def rest_of(content: StreamReader) -> bytes:
    """Take the rest of a body that has arrived completely."""
    if not content.total_bytes:
        return b""
    blocks, offset = content._buffer, content._buffer_offset
    if len(blocks) == 1 and not offset:
        return blocks[0]
    return b"".join(blocks)[offset:]


#: Returns what makes the requests of aiohttp's sessions, without a frame of Python's for it; None
#: where it has another name, and so cannot be replaced either. aioresponses and vcrpy put a
#: function of their own there, for the time of a test.
request_function = partial(getattr, ClientSession, "_request", None)
#: aiohttp's own.
REQUEST_FUNCTION = request_function()


#: All of them: whose they are, and their names.
_NEEDED = (
    (BaseConnector, "_get"),
    (StreamReader, "_buffer"),
    (StreamReader, "_buffer_offset"),
    (StreamReader, "_timer"),
)


def is_possible() -> bool:
    """Return whether the lean exchange has everything it needs; log a warning if not."""
    for owner, name in _NEEDED:
        if not hasattr(owner, name):
            warn_without(f"{owner.__name__}.{name}", "each request takes longer")
            return False
    return tuple(inspect.signature(BaseConnector._get).parameters) == ("self", "key", "traces")
