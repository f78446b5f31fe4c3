"""session.aio: requests awaited from any loop, over the session that blocking code uses."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
import trio

import syncclient
from syncclient import AioResponse, AioSession, Response, Session
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer
from tests.servers.scripts import never_answer

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs

color: contextvars.ContextVar[str] = contextvars.ContextVar("color", default="none")


@pytest.mark.anyio
async def test_a_request_is_entered_or_awaited(session: Session) -> None:
    """Both of aiohttp's ways to write a request work, for every verb."""
    async with session.aio.get("/get", params={"a": "1"}) as response:
        assert isinstance(response, AioResponse)
        assert (await response.json())["args"] == [["a", "1"]]
    assert (await session.aio.request("GET", "/get")).status == 200
    aio = session.aio
    for verb in (aio.post, aio.put, aio.patch, aio.delete):
        response = await verb("/anything", json={"a": 1})
        assert (await response.json())["json"] == {"a": 1}
    assert (await aio.options("/anything")).status == 200
    assert (await aio.head("/redirect/1")).status == 302


@pytest.mark.anyio
async def test_a_small_request_is_one_crossing(session: Session) -> None:
    """A get() with its json() and the end of its block crosses once, as when it blocks."""
    async with session.aio.get("/get") as response:
        await response.json()
        assert response.closed
    assert session._portal.crossings == 1


@pytest.mark.anyio
async def test_pool_and_cookies_are_the_session_s(app: AppServer) -> None:
    """Async code uses the connections and the cookies of blocking code."""
    jar = syncclient.CookieJar(unsafe=True)  # for a host that is an IP address
    with Session(app.url, cookie_jar=jar) as session:
        await anyio.to_thread.run_sync(session.get, "/cookies/set?a=1")
        response = await session.aio.get("/anything")
        assert (await response.json())["cookies"] == {"a": "1"}
        one = (await (await session.aio.get("/connections")).json())["this"]
        two = (await anyio.to_thread.run_sync(session.get, "/connections")).json()["this"]
    assert one == two


@pytest.mark.anyio
async def test_settings_are_the_session_s(app: AppServer) -> None:
    """Headers, base URL, auth and the rest come from the session; aio shows them too."""
    with Session(app.url, headers={"X-Mine": "1"}, auth=("login", "word"), timeout=7) as session:
        body = await (await session.aio.get("anything")).json()
        headers = dict(body["headers"])
        assert headers["X-Mine"] == "1"
        assert headers["Authorization"].startswith("Basic ")
        assert session.aio.timeout.total == 7
        assert session.aio.headers is session.headers
        assert session.aio.cookie_jar is session.cookie_jar


@pytest.mark.anyio
async def test_many_at_once(session: Session) -> None:
    """Two hundred tasks of one loop have requests under way at a time."""
    seen: set[int] = set()

    async def ask(number: int) -> None:
        async with session.aio.get("/anything", params={"n": number}) as response:
            seen.add(int((await response.json())["args"][0][1]))

    with anyio.fail_after(WITHIN):
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(ask, number)
    assert seen == set(range(200))


def test_several_loops_at_once(session: Session) -> None:
    """Loops of asyncio and of trio, in threads of their own, share a session with blocking code."""
    results: list[int] = []

    async def main() -> None:
        for _ in range(20):
            async with session.aio.get("/bytes/3000") as response:
                results.append(len(await response.read()))

    threads = [
        *(threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)),
        *(threading.Thread(target=trio.run, args=(main,)) for _ in range(3)),
    ]
    for thread in threads:
        thread.start()
    results.extend(len(session.get("/bytes/3000").read()) for _ in range(20))
    for thread in threads:
        thread.join(WITHIN)
    assert results == [3000] * 140


@pytest.mark.anyio
async def test_the_callers_loop_goes_on(session: Session, raw_server: StartRawServer) -> None:
    """While a request is waited for, other tasks of the loop run: its thread is not blocked."""
    wire = raw_server(never_answer)
    got: list[int] = []

    async def ask() -> None:
        got.append((await session.aio.get(wire.url)).status)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await anyio.to_thread.run_sync(wire.wait_until_stalled)
        async with session.aio.get("/get") as response:
            got.append(response.status)
        tasks.cancel_scope.cancel()
    assert got == [200]


def test_a_request_is_a_coroutine_for_asyncio(session: Session) -> None:
    """asyncio.create_task, gather and wait_for take what session.aio.get() returns."""

    async def main() -> None:
        task = asyncio.create_task(session.aio.get("/get"))
        one, two = await asyncio.gather(session.aio.get("/get"), session.aio.get("/get"))
        assert {(await task).status, one.status, two.status} == {200}
        assert (await asyncio.wait_for(session.aio.get("/get"), WITHIN)).status == 200

    asyncio.run(main())


def test_without_a_loop_it_says_so(session: Session) -> None:
    """Driven by neither asyncio nor trio, the request names what it needs."""
    session.get("/get")  # the loop thread runs
    with pytest.raises(RuntimeError, match="a task of asyncio or trio"):
        session.aio.get("/get").send(None)


@pytest.mark.anyio
async def test_context_variables_reach_asynchronous_code(app: AppServer) -> None:
    """An async middleware runs on the loop thread in a copy of the awaiting task's context."""
    seen = []

    async def note(
        request: Any, handler: Callable[[Any], Awaitable[Any]]
    ) -> Any:  # aiohttp's own types are not for users' eyes here
        seen.append((color.get(), threading.current_thread().name))
        return await handler(request)

    with Session(app.url, middlewares=[note]) as session:
        color.set("red")
        await session.aio.get("/get")
    assert seen == [("red", "syncclient-loop")]


@pytest.mark.anyio
async def test_an_async_middleware_may_use_the_session(app: AppServer) -> None:
    """Awaited on the session's own loop thread, session.aio works: no deadlock, no refusal."""
    tokens: list[int] = []

    async def with_token(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        if request.url.path != "/json":
            async with session.aio.get("/json") as response:
                tokens.append(response.status)
            async with session.aio.get("/bytes/500000", middlewares=()) as response:
                tokens.append(len(await response.read()))
        return await handler(request)

    with Session(app.url, middlewares=[with_token]) as session, anyio.fail_after(WITHIN):
        assert (await session.aio.get("/get")).status == 200
        assert (await anyio.to_thread.run_sync(session.get, "/get")).status == 200
    assert tokens == [200, 500_000] * 2


@pytest.mark.anyio
async def test_blocking_calls_work_in_any_loop_s_thread(session: Session) -> None:
    """A task may block its own loop, or trio's, with the blocking session, and gets its reply."""
    with session.ws_connect("/echo") as socket:
        socket.send_str("text")
        assert socket.receive_str() == "text"
    assert session.get("/get").status == 200


@pytest.mark.anyio
async def test_blocking_middlewares_run_off_the_callers_loop(session: Session) -> None:
    """A plain middleware may block: it runs on a thread of the request's."""
    seen: list[object] = []

    def note(
        request: syncclient.MiddlewareRequest, handler: syncclient.HandlerType
    ) -> syncclient.Response:
        response = handler(request)
        seen.extend((threading.get_ident(), response.status))
        return response

    async with session.aio.get("/bytes/300000", middlewares=[note]) as response:
        assert len(await response.read()) == 300_000
    assert seen[1:] == [200]
    assert seen[0] != threading.get_ident()


# Failing.


@pytest.mark.anyio
async def test_errors_are_those_of_the_blocking_session(session: Session) -> None:
    """The same classes for wrong arguments, failed connections and bad statuses."""
    with pytest.raises(TypeError, match="no keyword 'stall'"):
        await session.aio.get("/get", stall=True)  # type: ignore[call-arg]  # the point of the test
    with pytest.raises(syncclient.InvalidURL):
        await session.aio.get("http://")
    assert session._portal.crossings == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(syncclient.ClientConnectorError):
            await session.aio.get(f"http://127.0.0.1:{taken.getsockname()[1]}/")
    with pytest.raises(syncclient.ClientResponseError) as caught:
        await session.aio.get("/status/404", raise_for_status=True)
    assert caught.value.status == 404
    response = await session.aio.get("/status/500")
    assert not response.ok
    with pytest.raises(syncclient.ClientResponseError):
        response.raise_for_status()
    with pytest.raises(syncclient.ContentTypeError):
        await (await session.aio.get("/html")).json()


@pytest.mark.anyio
async def test_timeouts_and_deadlines_hold(session: Session, raw_server: StartRawServer) -> None:
    """timeout= of a request, and a syncclient.timeout() block in a task, cut a request short."""
    wire = raw_server(never_answer)
    with pytest.raises(syncclient.TotalTimeoutError):
        await session.aio.get(wire.url, timeout=0.1)
    with syncclient.timeout(0.1), pytest.raises(syncclient.DeadlineError):
        await session.aio.get(wire.url)


@pytest.mark.anyio
async def test_a_body_cut_short_is_an_error(session: Session, raw_server: StartRawServer) -> None:
    """A read of a body that ends too early raises, and goes on to."""

    def cut_short(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "8")])
        conn.send(b"half")

    async with session.aio.get(raw_server(cut_short).url) as response:
        for _ in range(2):
            with pytest.raises(syncclient.ClientError):
                await response.read()


def _closed(thing: AioResponse | AioSession) -> bool:
    return thing.closed  # a property that changes: mypy believes it does not


@pytest.mark.anyio
async def test_a_released_body_cannot_be_read(session: Session) -> None:
    """After release(), which may be awaited as aiohttp's, the body is gone."""
    response = await session.aio.get("/bytes/500000")
    assert not _closed(response)
    await response.release()
    assert _closed(response)
    with pytest.raises(syncclient.ClientConnectionError, match="released"):
        await response.read()


# The user's functions.


@pytest.mark.anyio
async def test_an_async_function_for_raise_for_status(session: Session) -> None:
    """An async function for raise_for_status is awaited in the caller's loop, as in aiohttp."""
    seen: list[tuple[int, int]] = []

    async def check(response: AioResponse) -> None:
        await anyio.sleep(0)
        seen.append((len(await response.read()), threading.get_ident()))
        if response.status == 404:
            raise LookupError(response.status)

    async with session.aio.get("/bytes/300000", raise_for_status=check) as response:
        assert len(await response.read()) == 300_000
    with pytest.raises(LookupError):
        await session.aio.get("/status/404", raise_for_status=check)
    assert [ident for _, ident in seen] == [threading.get_ident()] * 2


@pytest.mark.anyio
@pytest.mark.parametrize("reads", [False, True])
async def test_a_plain_function_for_raise_for_status(app: AppServer, reads: bool) -> None:
    """The session's own function, made for blocking code, may block: it is off the loop."""
    seen = []

    def check(response: Response) -> None:
        assert isinstance(response, Response)
        seen.append(threading.get_ident())
        if reads:
            response.read()
        if response.status == 404:
            raise LookupError(response.status)

    with Session(app.url, raise_for_status=check) as session:
        async with session.aio.get("/bytes/300000") as response:
            assert len(await response.read()) == 300_000
        with pytest.raises(LookupError):
            await session.aio.get("/status/404")
    assert len(seen) == 2
    assert threading.get_ident() not in seen


@pytest.mark.anyio
async def test_the_charset_resolver_gets_a_response_that_is_read(app: AppServer) -> None:
    """The charset resolver runs in the caller's thread, and nothing of its response blocks."""
    seen = []

    def resolve(response: Response, body: bytes) -> str:
        seen.append((response.status, response.read() == body, threading.get_ident()))
        return "latin-1"

    with Session(app.url, fallback_charset_resolver=resolve) as session:
        async with session.aio.get("/bytes/300000") as response:
            await response.text()
            assert response.get_encoding() == "latin-1"
    assert seen[0] == (200, True, threading.get_ident())


# Closing.


@pytest.mark.anyio
async def test_the_block_of_aio_closes_the_session(app: AppServer) -> None:
    """`async with Session().aio as session` is aiohttp's way, and closes all there is."""
    async with Session(app.url).aio as session:
        async with session.get("/get") as response:
            assert response.status == 200
        assert not _closed(session)
    assert _closed(session)
    await session.close()
    with pytest.raises(syncclient.SessionClosedError):
        await session.get("/get")


@pytest.mark.anyio
async def test_aio_keeps_its_session(app: AppServer) -> None:
    """A session of which only `aio` is kept is not dropped."""
    aio = Session(app.url).aio
    assert (await aio.get("/get")).status == 200
    await aio.close()


@pytest.mark.anyio
async def test_a_derived_session_has_its_own_aio(session: Session) -> None:
    """with_options() and aio go together, over the one pool."""
    with session.with_options(headers={"X-Derived": "1"}) as derived:
        body = await (await derived.aio.get("/anything")).json()
    assert ["X-Derived", "1"] in body["headers"]
    assert (await session.aio.get("/get")).status == 200


@pytest.mark.anyio
async def test_redirects_make_a_history(session: Session) -> None:
    """history has the responses that led here, of the awaited kind."""
    response = await session.aio.get("/redirect/2")
    assert [(type(each), each.status) for each in response.history] == [(AioResponse, 302)] * 2
