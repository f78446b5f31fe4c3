"""Step 4: an asynchronous application, on Starlette. No view blocks any more.

uvicorn --factory --app-dir docs/examples/to_async step4_starlette:create_app

The last step is a change of one line: `open_client=aiohttp.ClientSession` runs the same
application without syncclient.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import syncclient

Client = syncclient.AioSession | aiohttp.ClientSession


def open_session(upstream: str) -> Client:
    return syncclient.Session(upstream, timeout=5).aio


def create_app(
    upstream: str = "http://localhost:8080/", open_client: Callable[[str], Client] = open_session
) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_client(upstream) as app.state.client:
            yield

    async def person(request: Request) -> JSONResponse:
        client: Client = request.app.state.client
        async with client.get(f"people/{request.path_params['number']}") as response:
            if response.status == 404:
                raise HTTPException(404)
            response.raise_for_status()
            return JSONResponse(await response.json())

    async def badges(request: Request) -> JSONResponse:
        """One badge for each of `?ids=1,2,3`: a task for each."""
        client: Client = request.app.state.client

        async def name_of(number: str) -> str:
            async with client.get(f"people/{number}", raise_for_status=True) as response:
                name: str = (await response.json())["name"]
                return name

        numbers = request.query_params["ids"].split(",")
        return JSONResponse(await asyncio.gather(*map(name_of, numbers)))

    async def add(request: Request) -> JSONResponse:
        client: Client = request.app.state.client
        body = await request.json()
        async with client.post("people", json=body, raise_for_status=True) as response:
            return JSONResponse(await response.json(), status_code=201)

    return Starlette(
        routes=[
            Route("/people/{number:int}", person),
            Route("/badges", badges),
            Route("/people", add, methods=["POST"]),
        ],
        lifespan=lifespan,
    )
