"""Content-Disposition and Link, in every way of asking, by one parser."""

import asyncio
from typing import Any

import aiohttp
import pytest

from syncclient import HandlerType, MiddlewareRequest, Response, Session, TraceConfig
from tests.servers.raw import RawConnection, StartRawServer

HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Disposition: attachment;; filename=My Report.pdf\r\n"
    b"Link: <http://[bad>; rel=first, </next>; REL=next\r\n"
    b"Content-Length: 1\r\n\r\nx"
)


def script(conn: RawConnection) -> None:
    while True:
        conn.read_request()
        conn.send(HEAD)


def said(response: Any) -> tuple[str, str]:
    """The name and the target of a response of any kind."""
    return response.content_disposition.filename, response.links["next"]["url"].path


WANTED = ("My Report.pdf", "/next")


@pytest.mark.parametrize("way", ["get", "submit", "map", "aio"])
def test_by_every_way(raw_server: StartRawServer, way: str) -> None:
    """The answers are the same."""
    url = raw_server(script).url
    with Session() as session:
        if way == "get":
            assert said(session.get(url)) == WANTED
        elif way == "submit":
            assert said(session.submit("GET", url).result(10)) == WANTED
        elif way == "map":
            assert [said(response) for response in session.map([url])] == [WANTED]
        else:

            async def ask() -> tuple[str, str]:
                async with session.aio.get(url) as response:
                    return said(response)

            assert asyncio.run(ask()) == WANTED


def test_in_middlewares_and_trace_callbacks(raw_server: StartRawServer) -> None:
    """Blocking and async ones: those on the loop see the engine's response, which reads so too."""
    seen: list[tuple[str, str]] = []

    def blocking(request: MiddlewareRequest, handler: HandlerType) -> Response:
        response = handler(request)
        seen.append(said(response))
        return response

    async def on_loop(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        seen.append(said(response))
        return response

    async def on_end(session: Any, context: Any, params: aiohttp.TraceRequestEndParams) -> None:
        seen.append(said(params.response))

    tracing = TraceConfig()
    tracing.on_request_end.append(on_end)
    with Session(middlewares=[blocking, on_loop], trace_configs=[tracing]) as session:
        assert said(session.get(raw_server(script).url)) == WANTED
    assert seen == [WANTED] * 3
