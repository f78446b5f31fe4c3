"""Typed uses of the public API, read by mypy and pyright and never run.

Each function is what a user would write; ``assert_type`` says what a type checker must make of
it, and a ``type: ignore`` that no checker needs is an error, so the mistakes must be found.
"""

import ssl
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.cookies import BaseCookie, Morsel, SimpleCookie
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    from typing import assert_type
else:
    from typing_extensions import assert_type

import aiohttp
from aiohttp.client_reqrep import ContentDisposition
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, MultiDictProxy
from yarl import URL

import syncclient
from syncclient import ClientTimeout, Response, Session


def sessions() -> None:
    with Session() as session:
        assert_type(session, Session)
        assert_type(session.closed, bool)
        assert_type(session.headers, CIMultiDict[str])
        assert_type(session.timeout, ClientTimeout)
        assert_type(session.trust_env, bool)
        assert_type(session.requote_redirect_url, bool)
        assert_type(session.trace_configs, list[syncclient.TraceConfig])
        session.headers["X-Mine"] = "1"
    Session("http://host/api/").close()
    Session(
        URL("http://host/"),
        connector=syncclient.TCPConnector(limit=10),
        cookies={"a": "1"},
        headers=[("X-A", "1"), ("X-A", "2")],
        proxy="http://proxy:8080",
        skip_auto_headers=("User-Agent",),
        auth=("login", "password"),
        json_serialize=lambda value: b"{}",
        version=syncclient.HttpVersion10,
        cookie_jar=syncclient.CookieJar(unsafe=True),
        raise_for_status=True,
        timeout=5,
        auto_decompress=False,
        trust_env=True,
        requote_redirect_url=False,
        trace_configs=[syncclient.TraceConfig()],
        timings=True,
        read_bufsize=1,
        max_line_size=1,
        max_field_size=1,
        max_headers=1,
        fallback_charset_resolver=lambda response, body: "latin-1" if body else response.host,
        middlewares=(),
    ).close(grace=1.0)
    Session(timeout="5")  # type: ignore[arg-type]  # a number, not text
    Session(verify=False)  # type: ignore[arg-type]  # requests' name
    Session(5)  # type: ignore[arg-type]  # not a URL


def requests(session: Session) -> None:
    assert_type(session.get("http://host/"), Response)
    assert_type(session.request("GET", URL("http://host/")), Response)
    assert_type(syncclient.get("http://host/", timeout=5), Response)
    for verb in (session.post, session.put, session.patch, session.delete, syncclient.post):
        verb("/", json={"a": [1, None]}, timeout=ClientTimeout(total=5))
    for verb in (session.head, session.options, syncclient.head, syncclient.options):
        verb("/", allow_redirects=True, max_redirects=3)
    session.get("/", params={"a": 1, "b": "2"}, timeout=None)
    session.get("/", params=[("a", "1")], timeout=0.5)
    session.get("/", params=MultiDict(a="1"), cookies={"c": "1"})
    session.get("/", params="a=1", headers={"X": "1"}, skip_auto_headers=["Accept"])
    session.get("/", ssl=False, server_hostname="host", proxy="http://proxy", proxy_headers={})
    session.get("/", ssl=ssl.create_default_context())
    session.get("/", raise_for_status=lambda response: response.raise_for_status())
    session.get("/", read_bufsize=1, max_line_size=1, max_field_size=1, max_headers=1)
    session.get("/", auto_decompress=False, trace_request_ctx=object(), read_until_eof=False)
    session.post("/", data=b"bytes", compress="gzip", chunked=True, expect100=True)
    session.post("/", data={"a": "form"}, auth=("login", "password"))
    session.post("/", data=syncclient.FormData({"a": "1"}))
    session.get("/", timeout=(3, 5), retry=3, auth=syncclient.BearerAuth("token"))
    session.get("/", auth=syncclient.DigestAuthMiddleware("login", "password"))
    Session(params={"key": "k"}, ssl=False, allow_redirects=False, max_redirects=3, retry=3)
    session.with_options(params="key=k", auth=syncclient.BasicAuth("login", "password"))
    session.get("/", verify=False)  # type: ignore[call-arg]  # requests' name
    session.get("/", timeout="5")  # type: ignore[arg-type]  # a number, not text
    session.get("/", headers={"X": 1})  # type: ignore[arg-type]  # text, not a number
    session.get(b"/")  # type: ignore[arg-type]  # text, not bytes
    session.get("/", {"a": "1"})  # type: ignore[arg-type, call-arg, unused-ignore]  # by name only
    session.get("/").status_code  # type: ignore[attr-defined]  # noqa: B018  # requests' name


def responses(response: Response) -> None:
    with response as entered:
        assert_type(entered, Response)
    assert_type(response.status, int)
    assert_type(response.reason, str | None)
    assert_type(response.ok, bool)
    assert_type(response.method, str)
    assert_type(response.url, URL)
    assert_type(response.real_url, URL)
    assert_type(response.host, str)
    assert_type(response.headers, CIMultiDictProxy[str])
    assert_type(response.raw_headers, tuple[tuple[bytes, bytes], ...])
    assert_type(response.cookies, SimpleCookie)
    assert_type(response.history, tuple[Response, ...])
    assert_type(response.timings, syncclient.Timings | None)
    assert_type(response.links, MultiDictProxy[MultiDictProxy[str | URL]])
    assert_type(response.version, aiohttp.HttpVersion | None)
    assert_type(response.request_info, syncclient.RequestInfo)
    assert_type(response.content_type, str)
    assert_type(response.charset, str | None)
    assert_type(response.content_length, int | None)
    assert_type(response.content_disposition, ContentDisposition | None)
    assert_type(response.closed, bool)
    assert_type(response.read(), bytes)
    assert_type(response.text(), str)
    assert_type(response.text("latin-1", errors="replace"), str)
    assert_type(response.json(), Any)
    response.json(encoding="utf-8", loads=lambda text: text.upper(), content_type=None)
    response.json("utf-8")  # type: ignore[call-arg]  # by name only
    assert_type(response.get_encoding(), str)
    assert_type(response.raise_for_status(), Response)
    assert_type(response.elapsed, timedelta)
    assert_type(response.iter_lines(), Iterator[str])
    for line in response:
        assert_type(line, str)
    response.release()
    response.close()


def streams(response: Response) -> None:
    assert_type(response.content.read(10), bytes)
    assert_type(response.content.iter_chunked(10), Iterator[bytes])
    for line in response.content:
        assert_type(line, bytes)


def cookies(jar: syncclient.CookieJar) -> None:
    for cookie in jar:
        assert_type(cookie, Morsel[str])
    assert_type(len(jar), int)
    assert_type(jar.filter_cookies("http://host/"), BaseCookie[str])
    assert_type(jar.unsafe, bool)
    assert_type(jar.host_only_cookies, frozenset[tuple[str, str, str]])
    assert_type(jar.cookies["host", "/"], SimpleCookie)
    jar.update_cookies({"a": "1"}, URL("http://host/"))
    jar.update_cookies([("a", "1")])
    jar.clear(lambda morsel: morsel.key == "a")
    jar.clear_domain("host")
    jar.save(Path("cookies.json"))
    jar.load("cookies.json")
    Session(cookie_jar=syncclient.DummyCookieJar())
    Session(cookie_jar={})  # type: ignore[arg-type]  # a jar, not cookies


def errors(session: Session) -> str:
    try:
        session.get("/")
    except syncclient.ContentTypeError as error:
        return assert_type(error.message, str)
    except syncclient.StatusError as error:
        return assert_type(error.response, Response).text()
    except syncclient.ClientResponseError as error:
        assert_type(error.status, int)
        return str(error.request_info.real_url)
    except syncclient.TotalTimeoutError as error:
        assert_type(error.elapsed, float)
        assert_type(error.limit, float | None)
        return error.phase
    except TimeoutError:
        return "one of them all"
    except syncclient.ClientConnectorError as error:
        return error.host
    except syncclient.InvalidURL as error:
        return str(error.url)
    except aiohttp.ClientError:
        return "aiohttp's own"
    return ""


def threads(session: Session) -> list[bytes]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda url: session.get(url).read(), ["/a", "/b"]))


def middlewares() -> None:
    def blocking(
        request: syncclient.MiddlewareRequest, handler: syncclient.HandlerType
    ) -> Response:
        assert_type(request.method, str)
        assert_type(request.url, URL)
        assert_type(request.headers, CIMultiDict[str])
        assert_type(request.read(), bytes)
        request.update_body("text")
        request.update_body({"a": 1})  # type: ignore[arg-type]  # bytes, str or None
        response = handler(request)
        assert_type(response, Response)
        return response

    async def on_the_loop(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        return await handler(request)

    def wrong(request: syncclient.MiddlewareRequest, handler: syncclient.HandlerType) -> int:
        return handler(request).status

    async def get_token() -> str:
        return "token"

    typed: syncclient.MiddlewareType = blocking
    limit = syncclient.RateLimit(10, 1.0, per_host=2)
    assert_type(limit.waiting, int)
    session = Session(
        middlewares=[
            typed,
            on_the_loop,
            limit,
            syncclient.RequestLog("mine", secrets=["X-Mine"]),
            syncclient.BearerAuth(lambda: "token", origin="https://host"),
            syncclient.BearerAuth(get_token),
            syncclient.DigestAuthMiddleware("login", "password"),
        ]
    )
    session.get("/", middlewares=[blocking, on_the_loop])
    Session(middlewares=[wrong])  # type: ignore[list-item]  # it must return a Response
    session.get("/", middlewares=blocking)  # type: ignore[arg-type]  # a list of them


async def awaited(session: Session) -> None:
    aio = session.aio
    assert_type(aio, syncclient.AioSession)
    assert_type(await aio.get("/"), syncclient.AioResponse)
    async with aio.post("/", json={"a": 1}, timeout=5) as response:
        assert_type(response, syncclient.AioResponse)
        assert_type(response.status, int)
        assert_type(response.history, tuple[syncclient.AioResponse, ...])
        assert_type(await response.read(), bytes)
        assert_type(await response.text(), str)
        assert_type(await response.json(), Any)
        assert_type(response.content, syncclient.AioStreamReader)
        assert_type(await response.content.readchunk(), tuple[bytes, bool])
        async for line in response.content:
            assert_type(line, bytes)
        async for piece, end in response.content.iter_chunks():
            assert_type(piece, bytes)
            assert_type(end, bool)
        async for event in response.events():
            assert_type(event, syncclient.ServerSentEvent)
        await response.release()
    async with aio.ws_connect("/", heartbeat=5) as socket:
        assert_type(socket, syncclient.AioWebSocket)
        assert_type(await socket.receive(), syncclient.WSMessage)
        assert_type(await socket.receive_str(timeout=1), str)
        async for message in socket:
            assert_type(message, syncclient.WSMessage)
        assert_type(await socket.close(), bool)
    async with Session().aio as entered:
        assert_type(entered, syncclient.AioSession)
    await aio.close(grace=1)
    await aio.get("/", verify=False)  # type: ignore[call-arg]  # requests' name
    await aio.get(b"/")  # type: ignore[arg-type]  # text, not bytes
