"""trace_configs: which callbacks are called, in which thread, with what, and what they may do."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.tracing import TraceRequestStartParams
from yarl import URL

import syncclient
from syncclient import Retry, Session, TCPConnector, TraceConfig
from syncclient._async.exchange.tracing import SIGNALS
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer
from tests.servers.scripts import hang_up, never_answer

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs

Seen = list[tuple[str, Any]]


def recorder(kind: str, seen: Seen) -> TraceConfig:
    """A TraceConfig with a callback for every signal, which notes name, thread and params."""
    config = TraceConfig()
    for name in SIGNALS:
        getattr(config, name).append(noter(kind, name, seen))
    return config


def noter(kind: str, name: str, seen: Seen) -> Callable[..., Any]:
    def note(session: object, context: SimpleNamespace, params: object) -> None:
        thread = threading.current_thread()
        seen.append(
            (name, SimpleNamespace(thread=thread, session=session, ctx=context, params=params))
        )

    async def note_async(session: object, context: SimpleNamespace, params: object) -> None:
        note(session, context, params)

    return note if kind == "plain" else note_async


def on(name: str, callback: Callable[..., Any]) -> TraceConfig:
    config = TraceConfig()
    getattr(config, name).append(callback)
    return config


def names(seen: Seen) -> list[str]:
    return [name.removeprefix("on_") for name, _ in seen]


class OwnNames:
    """A resolver that knows every name; counts the look-ups, and may hold them up."""

    def __init__(self) -> None:
        self.asked = 0
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def resolve(self, host: str, port: int, family: int) -> str:
        self.asked += 1
        self.began.set()
        assert self.go_on.wait(WITHIN)
        return "127.0.0.1"


kinds = pytest.mark.parametrize("kind", ["plain", "async"])


# Which signals.


@kinds
def test_every_signal_arrives_in_order(kind: str, app: AppServer) -> None:
    """Plain callbacks are told of the same, in the same order, as aiohttp tells async ones."""
    seen: Seen = []
    resolver = OwnNames()
    url = URL(app.url).with_host("named.test")
    config = recorder(kind, seen)
    with Session(trace_configs=[config], connector=TCPConnector(resolver=resolver)) as session:
        session.post(url / "upload", data=b"body", chunked=True).read()
        first = names(seen)
        seen.clear()
        session.get(url / "redirect/1").read()
    assert first == [
        "request_start",
        "connection_create_start",
        "dns_cache_miss",
        "dns_resolvehost_start",
        "dns_resolvehost_end",
        "connection_create_end",
        "request_headers_sent",
        "request_chunk_sent",
        "request_end",
        "response_chunk_received",
    ]
    assert names(seen) == [
        "request_start",
        "connection_reuseconn",
        "request_headers_sent",
        "request_redirect",
        "connection_reuseconn",
        "request_headers_sent",
        "request_end",
        "response_chunk_received",
    ]


@kinds
def test_the_wait_for_a_connection_is_told(kind: str, raw_server: StartRawServer) -> None:
    """Both ends of the wait for a slot are told, in the thread of the one that waits."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "2")])
        conn.stall()
        conn.send(b"ok")

    wire = raw_server(script, _answer)
    queued = threading.Event()
    seen: Seen = []
    config = recorder(kind, seen)
    config.on_connection_queued_start.append(_async(lambda: queued.set()))
    with Session(trace_configs=[config], connector=TCPConnector(limit=1)) as session:
        holding = session.get(wire.url)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: session.get(wire.url).read())
            assert queued.wait(WITHIN)
            holding.close()
            assert waiting.result(WITHIN) == b"ok"
    told = [name for name in names(seen) if "queued" in name]
    assert told == ["connection_queued_start", "connection_queued_end"]


def _answer(conn: RawConnection) -> None:
    conn.read_request()
    conn.respond(b"ok")


def _async(function: Callable[[], object]) -> Callable[..., Any]:
    async def callback(*args: object) -> None:
        function()

    return callback


@kinds
def test_a_failure_is_told(kind: str, raw_server: StartRawServer) -> None:
    """request_exception has the error; a plain callback the one that the caller will get."""
    wire = raw_server(hang_up)
    seen: Seen = []
    with Session(trace_configs=[recorder(kind, seen)], retry=None) as session:
        with pytest.raises(aiohttp.ServerDisconnectedError) as caught:
            session.post(wire.url)
    (told,) = (each for name, each in seen if name == "on_request_exception")
    assert type(told.params.exception) is type(caught.value)
    if kind == "plain":
        assert str(told.params.exception) == str(caught.value)
        assert told.params.exception.__traceback__ is None


def test_a_timeout_is_told_as_what_it_is(raw_server: StartRawServer) -> None:
    """A plain callback sees the timeout that the caller gets, and not aiohttp's empty one."""
    wire = raw_server(never_answer)
    seen: Seen = []
    with Session(trace_configs=[recorder("plain", seen)]) as session:
        with pytest.raises(syncclient.TotalTimeoutError):
            session.get(wire.url, timeout=0.1)
    assert isinstance(
        dict(seen)["on_request_exception"].params.exception, syncclient.TotalTimeoutError
    )


@kinds
def test_every_attempt_is_told(kind: str, raw_server: StartRawServer) -> None:
    """Each attempt of a retried request starts and ends anew for the tracer."""

    def script(conn: RawConnection) -> None:
        for status in ("503 Busy", "503 Busy", "200 OK"):
            conn.read_request()
            conn.respond(status=status)

    wire = raw_server(script)
    seen: Seen = []
    with Session(trace_configs=[recorder(kind, seen)], retry=Retry(backoff=0)) as session:
        response = session.get(wire.url)
    ends = [each.params.response.status for name, each in seen if name == "on_request_end"]
    assert names(seen).count("request_start") == 3
    assert ends == [503, 503, 200]
    assert [attempt.status for attempt in response.attempts] == ends


def test_the_body_of_a_stream_read_whole_is_told(app: AppServer) -> None:
    """A body that was still on the wire is told once, by the read() that has taken it all."""
    seen: Seen = []
    with Session(trace_configs=[recorder("plain", seen)]) as traced:
        with traced.get(URL(app.url) / "bytes/3000000") as response:
            assert "response_chunk_received" not in names(seen)
            body = response.read()
    told = [each for name, each in seen if name == "on_response_chunk_received"]
    assert [each.params.chunk for each in told] == [body]
    assert told[0].thread is threading.current_thread()


def test_websockets_are_traced(app: AppServer) -> None:
    """The handshake of a WebSocket is a request like another."""
    seen: Seen = []
    with Session(trace_configs=[recorder("plain", seen)]) as session:
        with session.ws_connect(URL(app.url) / "echo") as socket_:
            socket_.send_str("hello")
            assert socket_.receive_str(timeout=WITHIN) == "hello"
    assert names(seen)[0] == "request_start"
    assert names(seen)[-1] == "request_end"
    assert {each.thread for _, each in seen} == {threading.current_thread()}


# Which thread, which context, which arguments.


def test_plain_callbacks_run_in_the_callers_thread(app: AppServer) -> None:
    """All of them, in the thread that is blocked on the request, with its thread-locals."""
    seen: Seen = []
    with Session(app.url, trace_configs=[recorder("plain", seen)]) as session:
        session.post("upload", data=iter([b"one", b"two"])).read()
    assert len(seen) >= 7
    assert {each.thread for _, each in seen} == {threading.current_thread()}


def test_plain_callbacks_see_no_object_of_the_loop(app: AppServer) -> None:
    """Plain callbacks get our Session, and a response that has a head and no body."""
    seen: Seen = []
    with Session(app.url, trace_configs=[recorder("plain", seen)]) as session:
        session.get("redirect/1").read()
        assert all(each.session is session for _, each in seen)
    told = dict(seen)
    end, redirect = told["on_request_end"].params.response, told["on_request_redirect"].params
    assert isinstance(end, syncclient.Response)
    assert (end.status, redirect.response.status) == (200, 302)
    assert end.headers["Content-Type"]
    with pytest.raises(aiohttp.ClientConnectionError):
        end.read()


def test_async_callbacks_get_what_aiohttp_gives(app: AppServer) -> None:
    """Async callbacks run on the loop thread, with aiohttp's own session and response."""
    seen: Seen = []
    with Session(app.url, trace_configs=[recorder("async", seen)]) as session:
        session.get("json").read()
    assert {each.thread.name for _, each in seen} == {"syncclient-loop"}
    assert all(isinstance(each.session, aiohttp.ClientSession) for _, each in seen)
    assert isinstance(dict(seen)["on_request_end"].params.response, aiohttp.ClientResponse)


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@kinds
def test_callbacks_see_the_callers_context(kind: str, app: AppServer) -> None:
    """Context variables of the caller are there; what async callbacks set stays with the call."""
    got: list[str] = []

    def look() -> None:
        got.append(variable.get())
        variable.set("changed")

    plain = lambda *args: look()  # noqa: E731  -- beside the async one below
    config = on("on_request_start", plain if kind == "plain" else _async(look))
    token = variable.set("the caller's")
    try:
        with Session(app.url, trace_configs=[config]) as session:
            session.get("json")
        assert got == ["the caller's"]
        assert variable.get() == ("changed" if kind == "plain" else "the caller's")
    finally:
        variable.reset(token)


def test_plain_and_async_callbacks_keep_their_order(app: AppServer) -> None:
    """One signal with both kinds calls them in the order in which they were appended."""
    order: list[int] = []
    config = TraceConfig()
    append: Any = config.on_request_start.append
    append(lambda *args: order.append(1))
    append(_async(lambda: order.append(2)))
    append(lambda *args: order.append(3))
    append(lambda *args: _async(lambda: order.append(4))())  # plain, and returns an awaitable
    with Session(app.url, trace_configs=[config]) as session:
        session.get("json")
    assert order == [1, 2, 3, 4]


def test_a_plain_callback_may_call_the_session(app: AppServer) -> None:
    """A request within a callback is a request like any other, and no deadlock."""
    inner: list[int] = []

    def callback(session: Session, context: SimpleNamespace, params: Any) -> None:
        if params.url.path == "/json":
            inner.append(session.get("status/204").status)

    with Session(app.url, trace_configs=[on("on_request_end", callback)]) as session:
        assert session.get("json").json()
    assert inner == [204]


def test_a_plain_callback_may_add_a_header(app: AppServer) -> None:
    """The headers of request_start are those that are sent, as with aiohttp."""

    def callback(session: object, context: object, params: TraceRequestStartParams) -> None:
        params.headers["X-Trace"] = "42"

    with Session(app.url, trace_configs=[on("on_request_start", callback)]) as session:
        assert ["X-Trace", "42"] in session.get("anything").json()["headers"]


def test_the_context_object_is_the_configs_own(app: AppServer) -> None:
    """trace_config_ctx comes from the user's factory, called in the caller's thread, once each."""
    made: list[threading.Thread] = []
    seen: Seen = []

    class Context(SimpleNamespace):
        def __init__(self, **fields: Any) -> None:
            made.append(threading.current_thread())
            super().__init__(**fields)

    config = TraceConfig(trace_config_ctx_factory=Context)
    append: Any = config.on_request_start.append
    append(noter("async", "start", seen))
    config.on_request_end.append(noter("plain", "end", seen))
    tag = object()
    with Session(app.url, trace_configs=[config]) as session:
        session.get("json", trace_request_ctx=tag)
    contexts = [each.ctx for _, each in seen]
    assert made == [threading.current_thread()]
    assert isinstance(contexts[0], Context)
    assert contexts[0] is contexts[1]
    assert contexts[0].trace_request_ctx is tag


def test_the_config_still_serves_aiohttp(app: AppServer) -> None:
    """A TraceConfig given to a Session is not frozen, and aiohttp's own sessions may have it."""
    seen: Seen = []
    config = recorder("async", seen)
    with Session(app.url, trace_configs=[config]) as session:
        session.get("json")
        assert session.trace_configs == [config]
        # Not possible with aiohttp: counts from the next request on.
        config.on_request_start.append(noter("async", "late", seen))
        seen.clear()
        session.get("json")
    assert names(seen)[:2] == ["request_start", "late"]
    seen.clear()

    async def ask() -> int:
        # Not aiodns, should it be there: its thread closes its descriptors when it likes.
        connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        async with aiohttp.ClientSession(connector=connector, trace_configs=[config]) as own:
            async with own.get(URL(app.url) / "json") as response:
                return response.status

    assert asyncio.run(ask()) == 200
    assert names(seen)[0] == "request_start"


def test_submit_runs_plain_callbacks_off_the_loop(app: AppServer) -> None:
    """Where no caller is blocked they run on the thread of the submitted request."""
    seen: Seen = []
    with Session(app.url, trace_configs=[recorder("plain", seen)]) as session:
        assert session.submit("GET", "json").result(WITHIN).status == 200
    assert {each.thread.name for _, each in seen} == {"syncclient-submit"}


def test_map_runs_plain_callbacks_in_the_thread_that_iterates(app: AppServer) -> None:
    """The caller of map serves the callbacks of all its requests while it waits for them."""
    seen: Seen = []
    with Session(app.url, trace_configs=[recorder("plain", seen)]) as session:
        assert [r.status for r in session.map(["json"] * 5, concurrency=2)] == [200] * 5
    assert names(seen).count("request_end") == 5
    assert {each.thread for _, each in seen} == {threading.current_thread()}


def test_an_upload_that_outlives_its_call_goes_on_telling(raw_server: StartRawServer) -> None:
    """Once the caller has its response, callbacks for the rest of the upload run on a worker."""

    def script(conn: RawConnection) -> None:
        request = conn.read_head()
        conn.read_until(b"first\r\n")
        conn.send_head(headers=[("Content-Length", "2")])
        conn.read_until(b"0\r\n\r\n")
        conn.send(b"ok")
        del request

    wire = raw_server(script)
    seen: Seen = []
    writer = syncclient.BodyWriter()
    with Session(trace_configs=[recorder("plain", seen)]) as session:
        writer.write(b"first")
        with session.post(wire.url, data=writer) as response:
            seen.clear()
            writer.write(b"second")
            writer.close()
            assert response.read() == b"ok"
    (sent,) = (each for name, each in seen if name == "on_request_chunk_sent")
    assert sent.params.chunk == b"second"
    assert sent.thread.name == "syncclient-worker"


def test_large_uploads_tell_bytes(app: AppServer) -> None:
    """A plain callback gets each chunk as bytes of its own, not a view of the caller's buffer."""
    seen: Seen = []
    data = pattern(1_000_000)
    with Session(app.url, trace_configs=[recorder("plain", seen)]) as session:
        session.post("upload", data=data).read()
    chunks = [each.params.chunk for name, each in seen if name == "on_request_chunk_sent"]
    assert {type(chunk) for chunk in chunks} == {bytes}
    assert b"".join(chunks) == data


class Recording:
    """An object that is called as an async callback."""

    def __init__(self) -> None:
        self.sessions: list[object] = []

    async def __call__(self, session: object, context: object, params: object) -> None:
        self.sessions.append(session)


def test_an_object_may_be_an_async_callback(app: AppServer) -> None:
    """What counts is how it is called, and not whether it is a function."""
    callback = Recording()
    with Session(app.url, trace_configs=[on("on_request_end", callback)]) as session:
        session.get("json")
    assert [type(each) for each in callback.sessions] == [aiohttp.ClientSession]


@kinds
def test_tracers_and_blocking_middlewares_agree(kind: str, app: AppServer) -> None:
    """Callbacks are served while the caller's thread is in a middleware, and may fail there."""
    seen: Seen = []
    caught: list[BaseException] = []

    def middleware(request: Any, handler: Callable[[Any], syncclient.Response]) -> Any:
        try:
            return handler(request)
        except Refusal as exc:
            caught.append(exc)
            raise

    def fail(*args: object) -> None:
        raise Refusal

    config = recorder(kind, seen)
    with Session(app.url, trace_configs=[config], middlewares=[middleware]) as session:
        assert session.post("anything", data=b"body").status == 200
        append: Any = config.on_request_headers_sent.append
        append(fail if kind == "plain" else _async(fail))
        with pytest.raises(Refusal) as raised:
            session.get("json")
        assert caught == [raised.value]
    assert names(seen)[:4] == [
        "request_start",
        "connection_create_start",
        "connection_create_end",
        "request_headers_sent",
    ]
    if kind == "plain":
        assert {each.thread for _, each in seen} == {threading.current_thread()}


# What callbacks raise.


class Refusal(Exception):
    """What a callback raises: nobody else's."""


#: Each as it is, though aiohttp would wrap some of them, and take others for its own.
RAISED = [Refusal("no"), TimeoutError("mine"), FileNotFoundError(2, "mine"), StopIteration("mine")]
BEFORE_THE_HEAD = [
    "on_request_start",
    "on_connection_create_start",
    "on_connection_create_end",
    "on_request_headers_sent",
    "on_request_chunk_sent",
    "on_request_end",
    "on_response_chunk_received",
]


@kinds
@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", BEFORE_THE_HEAD)
def test_what_a_callback_raises_reaches_the_caller(
    name: str, error: Exception, kind: str, app: AppServer
) -> None:
    """The caller gets any error of a callback as it was raised, and no connection is lost."""

    def fail(*args: object) -> None:
        raise error

    config = on(name, fail if kind == "plain" else _async(fail))
    with Session(app.url, trace_configs=[config]) as session:
        with pytest.raises(type(error)) as caught:
            session.post("anything", data=b"body").read()
        assert caught.value is error
        caught.value.__traceback__ = None
        assert session.connector.snapshot().in_use == 0


@kinds
def test_an_error_about_a_kept_connection_does_not_lose_it(kind: str, app: AppServer) -> None:
    """A callback for a connection used again may fail, and the pool still knows the connection."""

    def fail(*args: object) -> None:
        raise Refusal

    config = on("on_connection_reuseconn", fail if kind == "plain" else _async(fail))
    with Session(app.url, trace_configs=[config], connector=TCPConnector(limit=1)) as session:
        session.get("json").read()
        for _ in range(3):
            with pytest.raises(Refusal):
                session.get("json").read()
            assert session.connector.snapshot().open == 0
            session.get("json").read()


@kinds
def test_an_error_in_the_queue_passes_the_slot_on(kind: str, raw_server: StartRawServer) -> None:
    """Who fails on its way out of the queue leaves the connection to the next who waits."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "2")])
        conn.stall()

    wire = raw_server(script, _answer)
    queued = threading.Semaphore(0)
    failing = iter([Refusal("first")])

    def fail(*args: object) -> None:
        if (error := next(failing, None)) is not None:
            raise error

    config = on("on_connection_queued_end", fail if kind == "plain" else _async(fail))
    config.on_connection_queued_start.append(_async(queued.release))
    with Session(trace_configs=[config], connector=TCPConnector(limit=1)) as session:
        holding = session.get(wire.url)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(session.get, wire.url)
            assert queued.acquire(timeout=WITHIN)
            second = pool.submit(lambda: session.get(wire.url, timeout=WITHIN).read())
            assert queued.acquire(timeout=WITHIN)
            holding.close()
            with pytest.raises(Refusal):
                first.result(WITHIN)
            assert second.result(WITHIN) == b"ok"


@kinds
def test_an_error_about_a_look_up_is_its_own_callers_alone(kind: str, app: AppServer) -> None:
    """Others who wait for the same look-up get its result, whatever a callback of the first did."""
    resolver = OwnNames()
    resolver.go_on.clear()
    failed = threading.Event()

    def fail(session: object, context: SimpleNamespace, params: object) -> None:
        if context.trace_request_ctx == "fail":
            failed.set()
            raise Refusal

    async def fail_async(session: object, context: SimpleNamespace, params: object) -> None:
        fail(session, context, params)

    config = on("on_dns_resolvehost_start", fail if kind == "plain" else fail_async)
    waiting = threading.Event()
    config.on_dns_cache_hit.append(_async(waiting.set))
    url = URL(app.url).with_host("named.test") / "json"
    with Session(trace_configs=[config], connector=TCPConnector(resolver=resolver)) as session:
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(session.get, url, trace_request_ctx="fail")
            assert resolver.began.wait(WITHIN)
            with pytest.raises(Refusal):
                first.result(WITHIN)
            second = pool.submit(lambda: session.get(url).status)
            assert waiting.wait(WITHIN)
            resolver.go_on.set()
            assert second.result(WITHIN) == 200
    assert failed.is_set()
    assert resolver.asked == 1


def test_an_interrupt_in_a_callback_loses_no_connection(app: AppServer) -> None:
    """What is no Exception goes straight up, and the connection made meanwhile is closed."""

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    for name in ("on_connection_create_end", "on_connection_reuseconn"):
        config = TraceConfig()
        with Session(app.url, trace_configs=[config]) as session:
            if name == "on_connection_reuseconn":
                session.get("json").read()
            getattr(config, name).append(interrupt)
            with pytest.raises(KeyboardInterrupt):
                session.get("json")
            assert session.connector.snapshot().open == 0


def test_the_deadline_of_a_block_holds_for_callbacks(app: AppServer) -> None:
    """A callback that takes too long is not cut short, but the request is."""
    over = threading.Event()

    def slow(*args: object) -> None:
        over.wait(0.3)

    with Session(app.url, trace_configs=[on("on_request_start", slow)]) as session:
        with pytest.raises(syncclient.DeadlineError), syncclient.timeout(0.1):
            session.get("json")


def test_requests_without_tracers_cost_no_more(app: AppServer) -> None:
    """A session without trace_configs gives the engine none."""
    with Session(app.url) as session:
        session.get("json").read()
        assert session._portal.call(_engines_configs) == []


async def _engines_configs(resident: Any) -> list[TraceConfig]:
    return list(resident.http.trace_configs)


# Logs.

SECRETS = ("hunter2", "bearer-of-news", "cookie-of-mine")


def test_no_log_line_has_a_secret(app: AppServer, caplog: pytest.LogCaptureFixture) -> None:
    """With every logger at DEBUG, what goes well and what fails, no secret is written anywhere."""
    caplog.set_level(1)
    url = URL(app.url).with_user("ann").with_password("hunter2")
    headers = {"Authorization": "bearer-of-news"}

    def fail(*args: object) -> None:
        raise Refusal

    with Session(cookies={"sid": "cookie-of-mine"}, retry=Retry(backoff=0)) as session:
        session.get(url / "json").read()
        session.get(URL(app.url) / "cookies/set-raw", headers=headers).read()
        with pytest.raises(aiohttp.ClientConnectorError):
            session.get(URL("http://ann:hunter2@127.0.0.1:1/"))
        with pytest.raises(aiohttp.ClientError):
            session.get(app.url, proxy="http://ann:hunter2@127.0.0.1:1/")
        future = session.submit("GET", url / "json")
        future.result(WITHIN)
        future.add_done_callback(fail)  # called at once, here
    written = caplog.text
    assert "exception calling callback" in written  # so that there is something to look at
    assert [secret for secret in SECRETS if secret in written] == []
