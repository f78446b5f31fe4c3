"""The exchanges of a command: each request with its response, including redirects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .. import URL

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse


@dataclass
class Exchange:
    """One request, and the head of its response if there was one."""

    method: str
    url: URL
    proxied: bool
    request_headers: list[tuple[str, str]] = field(default_factory=list)
    status: int | None = None
    reason: str = ""
    version: str = "1.1"
    response_headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def has_body(self) -> bool:
        """Whether the request had a body: a redirect may have dropped it."""
        names = {name.lower(): value for name, value in self.request_headers}
        return names.get("content-length", "0") != "0" or "transfer-encoding" in names


class Exchanges:
    """An aiohttp middleware, the innermost one: keeps the heads that go through it.

    It runs on the loop thread and only appends; the command's own thread reads the list once its
    request has returned or failed.
    """

    def __init__(self) -> None:
        self._all: list[Exchange] = []

    def __iter__(self) -> Iterator[Exchange]:
        return iter(tuple(self._all))

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send the request, and record the request and the response."""
        proxied = request.proxy is not None and request.url.scheme == "http"
        exchange = Exchange(request.method, request.url, proxied)
        self._all.append(exchange)
        try:
            response = await handler(request)
        finally:
            # Only now: the engine adds headers while it sends.
            exchange.request_headers = list(request.headers.items())
        exchange.status, exchange.reason = response.status, response.reason or ""
        if response.version is not None:
            exchange.version = f"{response.version.major}.{response.version.minor}"
        exchange.response_headers = [
            (name.decode("latin-1"), value.decode("utf-8", "replace"))
            for name, value in response.raw_headers
        ]
        return response
