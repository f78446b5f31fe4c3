"""aiohttp's response for a head and a body that came over no connection."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from aiohttp import ClientResponse, HttpVersion
from aiohttp.helpers import TimerNoop
from aiohttp.http import RawResponseMessage
from multidict import CIMultiDict, CIMultiDictProxy

from .kept_reader import StoredReader
from .missing import warn_without

if TYPE_CHECKING:
    from aiohttp import ClientRequest, StreamReader
    from aiohttp.connector import Connection

_PARAMETERS = ("writer", "continue100", "timer", "request_info", "traces", "loop", "session")

#: Whether this aiohttp makes its responses as we do here.
POSSIBLE = {*_PARAMETERS, "stream_writer"} <= set(inspect.signature(ClientResponse).parameters)


def can_make_responses() -> bool:
    """Return whether ``stored_response`` works with this aiohttp; say so once if it does not."""
    if not POSSIBLE:
        warn_without("ClientResponse(stream_writer=)", "HTTPCache does nothing")
    return POSSIBLE


async def stored_response(
    request: ClientRequest,
    status: int,
    reason: str,
    version: tuple[int, int],
    headers: CIMultiDict[str],
    body: bytes,
) -> ClientResponse:
    """Return the response to ``request`` with this head and body. Does not wait."""
    loop = asyncio.get_running_loop()
    nothing: Any = SimpleNamespace(output_size=0)
    response = request.response_class(
        request.method,
        request.original_url,
        writer=None,
        continue100=None,
        timer=TimerNoop(),
        request_info=request.request_info,
        traces=[],
        loop=loop,
        session=request.session,
        stream_writer=nothing,
    )
    message = RawResponseMessage(
        HttpVersion(*version),
        status,
        reason,
        CIMultiDictProxy(headers),
        tuple((_octets(name), _octets(value)) for name, value in headers.items()),
        False,
        None,
        False,
        False,
    )
    here = _Here(message, StoredReader(body, loop=loop))
    return await response.start(cast("Connection", here))


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class _Here:
    """In place of a connection and its protocol: the response has been received."""

    upgraded = False
    transport = None

    def __init__(self, message: RawResponseMessage, content: StreamReader) -> None:
        self._received = message, content

    @property
    def protocol(self) -> _Here:
        return self

    async def read(self) -> tuple[RawResponseMessage, StreamReader]:
        return self._received

    def release(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
