"""Blocking middlewares, in the caller's thread, and aiohttp's async ones, in one chain."""

from __future__ import annotations

import contextvars
import functools
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from yarl import URL

import syncclient
from syncclient import HandlerType, MiddlewareRequest, Response, Session, TCPConnector
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs
BIG = 3_000_000  # bytes: more than comes along with a head

color: contextvars.ContextVar[str] = contextvars.ContextVar("color", default="none")


def tagged(request: MiddlewareRequest, handler: HandlerType) -> Response:
    request.headers["X-Tag"] = "blocking"
    return handler(request)


def header(response: Response, name: str) -> str | None:
    """What the server got as the header `name`."""
    return next((v for n, v in response.json()["headers"] if n == name), None)


def answer_all(conn: RawConnection) -> None:
    """Answer every request with its number, as long as there are any."""
    while True:
        conn.read_request()
        conn.respond(str(len(conn.requests)).encode())


# Where they run.


def test_it_runs_in_the_callers_thread_and_context(session: Session) -> None:
    """Thread and context variables are the caller's own, and what it sets stays set."""
    seen: list[object] = []

    def middleware(request: MiddlewareRequest, handler: HandlerType) -> Response:
        seen.extend([threading.get_ident(), color.get()])
        color.set("blue")
        return handler(request)

    def call() -> None:
        color.set("red")
        session.get("/json", middlewares=[middleware])
        seen.append(color.get())

    contextvars.copy_context().run(call)
    assert seen == [threading.get_ident(), "red", "blue"]


def test_the_rest_of_the_chain_sees_the_context_of_the_handlers_caller(session: Session) -> None:
    """A context variable set around handler() is what an async middleware further in finds."""
    seen: list[str] = []

    def outer(request: MiddlewareRequest, handler: HandlerType) -> Response:
        token = color.set("green")
        try:
            return handler(request)
        finally:
            color.reset(token)

    async def inner(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        seen.append(color.get())
        return await handler(request)

    session.get("/json", middlewares=[outer, inner])
    assert seen == ["green"]


def test_one_chain_in_order(session: Session) -> None:
    """The first is the outermost, whatever its kind."""
    steps: list[str] = []

    def blocking(name: str) -> syncclient.MiddlewareType:
        def middleware(request: MiddlewareRequest, handler: HandlerType) -> Response:
            steps.append(f"{name} in")
            response = handler(request)
            steps.append(f"{name} out {response.status}")
            return response

        return middleware

    async def between(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        steps.append("b in")
        response = await handler(request)
        steps.append(f"b out {response.status}")
        return response

    response = session.get("/json", middlewares=[blocking("a"), between, blocking("c")])
    assert response.json()
    assert steps == ["a in", "b in", "c in", "c out 200", "b out 200", "a out 200"]


def test_of_the_session_and_of_a_request(app: AppServer) -> None:
    """A request's middlewares take the place of the session's."""
    with Session(app.url, middlewares=[tagged]) as session:
        assert header(session.get("/anything"), "X-Tag") == "blocking"
        assert header(session.get("/anything", middlewares=[]), "X-Tag") is None
        assert header(session.get("/anything", middlewares=None), "X-Tag") == "blocking"


class AsyncObject:
    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        request.headers["X-Tag"] = threading.current_thread().name
        return await handler(request)


class BlockingObject:
    def __call__(self, request: MiddlewareRequest, handler: HandlerType) -> Response:
        request.headers["X-Tag"] = threading.current_thread().name
        return handler(request)


async def with_extra(
    extra: str, request: ClientRequest, handler: ClientHandlerType
) -> ClientResponse:
    request.headers["X-Tag"] = threading.current_thread().name + extra
    return await handler(request)


@functools.wraps(with_extra)
def decorated(request: Any, handler: Any) -> Any:
    return AsyncObject()(request, handler)


def plain(request: Any, handler: Any) -> Any:
    return AsyncObject()(request, handler)


@pytest.mark.parametrize(
    ("middleware", "runs_on_loop"),
    [
        (AsyncObject(), True),
        (AsyncObject().__call__, True),
        (functools.partial(with_extra, ""), True),
        (decorated, True),
        (plain, True),
        (BlockingObject(), False),
        (BlockingObject().__call__, False),
        (functools.partial(BlockingObject()), False),
    ],
    ids=[
        *("async object", "its method", "async partial", "wrapper", "plain function"),
        *("object", "method", "partial"),
    ],
)
def test_what_is_async_runs_on_the_loop(
    session: Session, middleware: Any, runs_on_loop: bool
) -> None:
    """Functions, objects, partials and wrappers are told apart; what returns an awaitable is async.

    Each time: what had to be found out by calling it is remembered.
    """
    here = threading.current_thread().name
    for _ in range(2):
        thread = header(session.get("/anything", middlewares=[middleware]), "X-Tag")
        assert (thread != here) is runs_on_loop


def test_a_request_without_middlewares_is_one_crossing_and_one_more_for_each_handler(
    session: Session,
) -> None:
    """The cost of a blocking middleware is one crossing; of none, nothing."""
    session.get("/json").read()
    counts = []
    for middlewares in ([], [tagged], [tagged, tagged], [AsyncObject()]):
        before = session._portal.crossings
        session.get("/json", middlewares=middlewares).read()
        counts.append(session._portal.crossings - before)
    assert counts == [1, 2, 3, 1]


# The request.


def test_changes_are_carried_over(session: Session) -> None:
    """Method, URL, headers and body that the server gets are those the middleware left."""

    def middleware(request: MiddlewareRequest, handler: HandlerType) -> Response:
        assert (request.method, request.url.path) == ("POST", "/anything/before")
        assert request.headers["X-Mine"] == "1"
        assert request.read() == b"before"
        request.method = "put"
        request.url = request.url.with_path("/anything/after").with_query(a="1")
        del request.headers["X-Mine"]
        request.headers.add("X-Many", "1")
        request.headers.add("X-Many", "2")
        request.update_body("after, and longer: é")
        return handler(request)

    response = session.post(
        "/anything/before", data="before", headers={"X-Mine": "1"}, middlewares=[middleware]
    )
    seen = response.json()
    assert (seen["method"], seen["target"]) == ("PUT", "/anything/after?a=1")
    assert seen["text"] == "after, and longer: é"
    assert [v for n, v in seen["headers"] if n == "X-Many"] == ["1", "2"]
    assert header(response, "X-Mine") is None
    assert response.url.path == "/anything/after"


def test_another_host_gets_its_own_name(app: AppServer, raw_server: StartRawServer) -> None:
    """The Host header follows a new URL, unless the middleware has set it itself."""
    wire = raw_server(answer_all)

    def elsewhere(request: MiddlewareRequest, handler: HandlerType) -> Response:
        request.url = URL(wire.url) / "there"
        return handler(request)

    def named(request: MiddlewareRequest, handler: HandlerType) -> Response:
        request.headers["Host"] = "mine.example"
        return elsewhere(request, handler)

    with Session(app.url) as session:
        response = session.get("/here", middlewares=[elsewhere])
        response.read()
        session.get("/here", middlewares=[named]).read()
    assert str(response.url) == f"{wire.url}/there"
    hosts = [request.header("Host") for request in wire.requests]
    assert hosts == [f"127.0.0.1:{wire.port}", "mine.example"]


@pytest.mark.parametrize(
    ("body", "got"),
    [(b"new", "new"), ("new", "new"), (None, ""), (b"", ""), (b"x" * 2**21, "x" * 2**21)],
    ids=["bytes", "str", "none", "empty", "large"],
)
@pytest.mark.parametrize(
    "data",
    [b"old", None, {"old": "form"}, io.BytesIO(b"old file")],
    ids=["bytes", "none", "form", "file"],
)
def test_any_body_can_be_replaced(session: Session, data: Any, body: Any, got: str) -> None:
    """Content-Length and body agree, whatever was there before and however long the new one is."""

    def middleware(request: MiddlewareRequest, handler: HandlerType) -> Response:
        request.update_body(body)
        assert request.read() == got.encode()
        return handler(request)

    seen = session.post("/anything", data=data, middlewares=[middleware]).json()
    assert seen["text"] == got
    lengths = [v for n, v in seen["headers"] if n == "Content-Length"]
    assert lengths == [str(len(got))]


@pytest.mark.parametrize("body", [b"new", None], ids=["bytes", "none"])
def test_the_body_of_a_generator_can_be_replaced(session: Session, body: bytes | None) -> None:
    """The generator is closed unread, and the connection is fit for the next request."""
    closed = []

    def old() -> Iterator[bytes]:
        try:
            yield b"old"
        finally:
            closed.append(True)

    def middleware(request: MiddlewareRequest, handler: HandlerType) -> Response:
        request.update_body(body)
        return handler(request)

    generator = old()
    seen = session.post("/anything", data=generator, middlewares=[middleware]).json()
    assert seen["text"] == (body or b"").decode()
    assert next(generator, None) is None
    assert not closed  # it was never begun
    assert session.get("/anything").json()["connection"] == seen["connection"]


def test_a_method_with_a_body_says_that_there_is_none(session: Session) -> None:
    """A GET turned into a POST has a Content-Length of 0."""

    def middleware(request: MiddlewareRequest, handler: HandlerType) -> Response:
        request.method = "POST"
        return handler(request)

    response = session.get("/anything", middlewares=[middleware])
    assert response.json()["method"] == "POST"
    assert header(response, "Content-Length") == "0"


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({}, b""),
        ({"data": b"bytes"}, b"bytes"),
        ({"data": "text"}, b"text"),
        ({"json": {"a": 1}}, b'{"a": 1}'),
        ({"data": {"a": "1"}}, b"a=1"),
        ({"data": b"x" * 2**20}, b"x" * 2**20),
    ],
    ids=["none", "bytes", "text", "json", "form", "large"],
)
def test_the_body_can_be_read_and_is_sent_nevertheless(
    session: Session, options: dict[str, Any], body: bytes
) -> None:
    """As a middleware that signs requests needs it."""

    def signed(request: MiddlewareRequest, handler: HandlerType) -> Response:
        request.headers["X-Length"] = str(len(request.read()))
        return handler(request)

    response = session.post("/anything", middlewares=[signed], **options)
    assert header(response, "X-Length") == str(len(body))
    assert response.json()["text"] == body.decode()


def test_a_file_can_be_read_and_is_sent_nevertheless(session: Session) -> None:
    """It goes back to where it stood."""
    bodies = []

    def signed(request: MiddlewareRequest, handler: HandlerType) -> Response:
        bodies.append(request.read())
        return handler(request)

    file = io.BytesIO(b"skipped, the rest is sent")
    file.seek(9)
    response = session.post("/anything", data=file, middlewares=[signed])
    assert bodies == [b"the rest is sent"] == [response.json()["text"].encode()]


def test_a_body_that_can_be_read_once_is_not_read(session: Session) -> None:
    """A generator's is left to the server, and the middleware is told why."""

    def middleware(request: MiddlewareRequest, handler: HandlerType) -> Response:
        with pytest.raises(TypeError, match="only once"):
            request.read()
        return handler(request)

    response = session.post("/anything", data=iter([b"a", b"b"]), middlewares=[middleware])
    assert response.json()["text"] == "ab"


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda r: setattr(r, "method", "G T"), ValueError, "method must be a token"),
        (lambda r: setattr(r, "url", "/relative"), syncclient.InvalidURL, "no scheme"),
        (lambda r: setattr(r, "url", 5), TypeError, "url must be"),
        (lambda r: r.headers.update({"X-A": "a\r\nX-B: b"}), ValueError, "CR, LF"),
        (lambda r: r.headers.update({"X-A": 1}), TypeError, "X-A"),
        (lambda r: r.update_body({"a": 1}), TypeError, "body must be bytes, str or None"),
    ],
    ids=["method", "relative", "url", "line", "value", "body"],
)
def test_wrong_changes_are_refused_in_the_middleware(
    session: Session,
    change: Callable[[MiddlewareRequest], None],
    error: type[Exception],
    says: str,
) -> None:
    """The error comes out of handler(), or of the change, names it, and reaches the caller."""

    def middleware(request: MiddlewareRequest, handler: HandlerType) -> Response:
        change(request)
        return handler(request)

    with pytest.raises(error, match=says) as caught:
        session.get("/json", middlewares=[middleware])
    assert "middleware" in [entry.name for entry in caught.traceback]
    assert session.get("/json").status == 200


# The response.


@pytest.mark.parametrize("size", [10, BIG])
def test_a_response_can_be_read_on_its_way(session: Session, size: int) -> None:
    """What the middleware has read, the caller reads once more; and what it has not, too."""
    seen = []

    def reads(request: MiddlewareRequest, handler: HandlerType) -> Response:
        with_body = handler(request)
        seen.append((with_body.status, len(with_body.read()), with_body.headers["Content-Length"]))
        return with_body

    def looks(request: MiddlewareRequest, handler: HandlerType) -> Response:
        return handler(request)

    for middlewares in ([reads], [looks], [reads, reads], [looks, reads], [reads, looks]):
        response = session.get(f"/bytes/{size}", middlewares=middlewares)
        assert len(response.read()) == size
    assert seen == [(200, size, str(size))] * 5


def test_the_engine_still_has_the_place_for_a_body() -> None:
    """Where read() keeps what it reads, and we what a middleware has read."""
    assert hasattr(ClientResponse, "_body")


def test_a_response_that_was_passed_on_still_streams(session: Session) -> None:
    """Its body stays on the wire until the caller reads it, with all that StreamReader can do."""
    with session.get(f"/bytes/{BIG}", middlewares=[tagged]) as response:
        assert len(response.content.readexactly(1000)) == 1000
        assert sum(map(len, response.content.iter_any())) == BIG - 1000


def test_the_middlewares_response_ends_with_it(session: Session) -> None:
    """Kept beyond the middleware's return, it has no body that could be read, nor say in it."""
    kept: list[Response] = []

    def keeps(request: MiddlewareRequest, handler: HandlerType) -> Response:
        kept.append(handler(request))
        return kept[0]

    with session.get(f"/bytes/{BIG}", middlewares=[keeps]) as response:
        with pytest.raises(syncclient.ClientConnectionError, match="released"):
            kept[0].read()
        kept[0].close()
        assert len(response.read()) == BIG


@pytest.mark.parametrize("size", [10, BIG])
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda response: response.content.read(5), "partly read"),
        (lambda response: response.release(), "released"),
        (lambda response: response.close(), "released"),
    ],
    ids=["read in part", "released", "closed"],
)
def test_a_spoilt_response_is_refused(
    app: AppServer, size: int, spoil: Callable[[Response], object], says: str
) -> None:
    """Returning what nobody could read any more is an error, however large it was."""

    def middleware(request: MiddlewareRequest, handler: HandlerType) -> Response:
        response = handler(request)
        spoil(response)
        return response

    with Session(app.url, connector=TCPConnector(limit=1)) as session:
        with pytest.raises(RuntimeError, match=f"middleware .* returned a response.*{says}"):
            session.get(f"/bytes/{size}", middlewares=[middleware])
        assert session.get("/json").json()


def test_max_body_holds_in_the_middleware(session: Session) -> None:
    """A body that is too long is not read there either."""

    def reads(request: MiddlewareRequest, handler: HandlerType) -> Response:
        response = handler(request)
        response.read()
        return response

    with pytest.raises(syncclient.ClientPayloadError, match="max_body"):
        session.get(f"/bytes/{BIG}", middlewares=[reads], max_body=1000)


def test_a_body_that_an_async_middleware_has_peeked_into(session: Session) -> None:
    """The caller gets the rest, also where there is a limit; nothing goes round in circles."""

    async def peeks(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        response = await handler(request)
        await response.content.readexactly(1000)
        return response

    for limit in (None, BIG):
        response = session.get(f"/bytes/{BIG}", middlewares=[peeks], max_body=limit, timeout=WITHIN)
        assert len(response.read()) == BIG - 1000


# More than one response, or none.


@pytest.mark.parametrize("size", [10, BIG])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_any_of_several_responses_can_be_returned(
    app: AppServer, raw_server: StartRawServer, which: int, size: int
) -> None:
    """The handler may be called more than once; what is not returned gives its connection back."""
    gone: list[Response] = []

    def thrice(request: MiddlewareRequest, handler: HandlerType) -> Response:
        responses = [handler(request) for _ in range(3)]
        gone.extend(responses)
        return responses[which]

    with Session(app.url, connector=TCPConnector(limit=3)) as session:
        assert len(session.get(f"/bytes/{size}", middlewares=[thrice]).read()) == size
        assert all(response.closed for response in gone)
        for response in [session.get(f"/bytes/{BIG}") for _ in range(3)]:  # all of the pool
            response.release()


def test_a_request_is_sent_as_it_is_at_each_call_of_the_handler(session: Session) -> None:
    """Nothing of the first call's is left in the second, and the body goes along each time."""
    tags = []

    def twice(request: MiddlewareRequest, handler: HandlerType) -> Response:
        for number in range(2):
            request.headers["X-Tag"] = str(number)
            response = handler(request)
            tags.append((header(response, "X-Tag"), response.json()["text"]))
        return response

    session.post("/anything", data=io.BytesIO(b"file"), middlewares=[twice])
    assert tags == [("0", "file"), ("1", "file")]


class Odd:
    def __repr__(self) -> str:
        return "<Odd>"


@pytest.mark.parametrize(
    ("result", "says"), [(None, "returned NoneType"), (Odd(), "returned Odd"), (5, "returned int")]
)
@pytest.mark.parametrize("calls", [0, 1, 2])
def test_returning_the_wrong_thing(app: AppServer, result: Any, says: str, calls: int) -> None:
    """A TypeError names the middleware and what it returned; the connections are free again."""

    def wrong(request: MiddlewareRequest, handler: HandlerType) -> Any:
        for _ in range(calls):
            handler(request)
        return result

    with Session(app.url, connector=TCPConnector(limit=2)) as session:
        with pytest.raises(TypeError, match=f"middleware .*wrong {says}: it must return the resp"):
            session.get(f"/bytes/{BIG}", middlewares=[wrong])
        for response in [session.get(f"/bytes/{BIG}") for _ in range(2)]:
            response.release()


def test_returning_the_response_of_another_request(session: Session) -> None:
    """What did not come out of the handler cannot go up the chain."""

    def wrong(request: MiddlewareRequest, handler: HandlerType) -> Response:
        return session.get("/json", middlewares=[])

    with pytest.raises(TypeError, match="returned another response"):
        session.get("/json", middlewares=[wrong])


def test_an_async_one_that_returns_the_wrong_thing(app: AppServer) -> None:
    """A TypeError names it, and the response it dropped gives its connection back."""

    async def wrong(request: ClientRequest, handler: ClientHandlerType) -> Any:
        await handler(request)

    with Session(app.url, connector=TCPConnector(limit=1)) as session:
        with pytest.raises(TypeError, match=r"middleware .*wrong returned NoneType"):
            session.get(f"/bytes/{BIG}", middlewares=[wrong])
        assert session.get("/json").json()


def test_a_coroutine_after_the_handler_was_called(session: Session) -> None:
    """A middleware cannot be half of each kind: an error, and nothing is left unawaited."""

    def half(request: Any, handler: Any) -> Any:
        handler(request)
        return AsyncObject()(request, handler)

    with pytest.raises(TypeError, match="returned coroutine"):
        session.get("/json", middlewares=[half])


def test_the_handler_takes_its_own_request_only(session: Session) -> None:
    """Another object is refused, by name."""

    def wrong(request: MiddlewareRequest, handler: HandlerType) -> Response:
        return handler("http://elsewhere/")  # type: ignore[arg-type]  # the mistake

    with pytest.raises(TypeError, match=r"accepts only the middleware's own request.*not this str"):
        session.get("/json", middlewares=[wrong])


def test_the_handler_ends_with_its_middleware(session: Session) -> None:
    """Called later it raises, and sends nothing."""
    kept: list[tuple[MiddlewareRequest, HandlerType]] = []

    def keeps(request: MiddlewareRequest, handler: HandlerType) -> Response:
        kept.append((request, handler))
        return handler(request)

    session.get("/json", middlewares=[keeps])
    request, handler = kept[0]
    with pytest.raises(RuntimeError, match="has ended"):
        handler(request)


def test_one_call_of_the_handler_at_a_time(session: Session, raw_server: StartRawServer) -> None:
    """A second thread that calls it meanwhile is refused, and the first is not disturbed."""

    def stalls(conn: RawConnection) -> None:
        conn.read_request()
        conn.stall()
        conn.respond(b"once")

    wire = raw_server(stalls)
    refused = []

    def middleware(request: MiddlewareRequest, handler: HandlerType) -> Response:
        def again() -> None:
            conn = wire.wait_until_stalled()
            try:
                handler(request)
            except RuntimeError as exc:
                refused.append(str(exc))
            conn.proceed()

        thread = threading.Thread(target=again)
        thread.start()
        try:
            return handler(request)
        finally:
            thread.join(WITHIN)

    assert session.get(wire.url, middlewares=[middleware]).text() == "once"
    assert len(refused) == 1
    assert "still running" in refused[0]


# Errors.


@pytest.mark.parametrize(
    "error",
    [
        ValueError("mine"),
        OSError(5, "mine"),
        TimeoutError("mine"),
        AssertionError("mine"),
        StopIteration("mine"),
        aiohttp.ClientPayloadError("mine"),
        SystemExit("mine"),
        KeyboardInterrupt("mine"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("calls", [0, 1])
def test_what_it_raises_reaches_the_caller_as_itself(
    app: AppServer, error: BaseException, calls: int
) -> None:
    """No error of the user's is taken for one of the engine's; what was open is closed."""

    def fails(request: MiddlewareRequest, handler: HandlerType) -> Response:
        for _ in range(calls):
            handler(request)
        raise error

    with Session(app.url, connector=TCPConnector(limit=1)) as session:
        with pytest.raises(type(error)) as caught:
            session.get(f"/bytes/{BIG}", middlewares=[tagged, AsyncObject(), fails])
        assert caught.value is error
        assert session.get("/json").json()


def test_errors_of_the_engine_come_out_of_the_handler(session: Session) -> None:
    """Explained as any request's, and one that the middleware answers otherwise is over."""
    seen = []

    def falls_back(request: MiddlewareRequest, handler: HandlerType) -> Response:
        url, request.url = request.url, URL("http://127.0.0.1:1/")
        try:
            return handler(request)
        except syncclient.ClientConnectorError as exc:
            seen.append(str(exc))
        request.url = url
        return handler(request)

    assert session.get("/json", middlewares=[falls_back]).json()
    assert len(seen) == 1
    assert "while connecting" in seen[0]


def test_an_error_of_the_engine_goes_through_all_of_them(session: Session) -> None:
    """Each may look at it; the caller gets it once explained."""
    seen = []

    def looks(request: MiddlewareRequest, handler: HandlerType) -> Response:
        try:
            return handler(request)
        except syncclient.ClientError as exc:
            seen.append(type(exc))
            raise

    with pytest.raises(syncclient.ClientConnectorError) as caught:
        session.get("http://127.0.0.1:1/", middlewares=[looks, AsyncObject(), looks])
    assert seen == [type(caught.value)] * 2
    assert str(caught.value).count("while connecting") == 1


def test_what_a_generator_raises_comes_out_of_the_handler_as_itself(session: Session) -> None:
    """The body's own error, neither wrapped there nor for the caller."""

    def body() -> Iterator[bytes]:
        yield b"a"
        raise LookupError("mine")

    def looks(request: MiddlewareRequest, handler: HandlerType) -> Response:
        with pytest.raises(LookupError, match="mine"):
            handler(request)
        raise LookupError("other")

    with pytest.raises(LookupError):
        session.post("/upload", data=body(), middlewares=[looks])


# Requests within requests.


def test_it_may_call_the_session_again(app: AppServer) -> None:
    """A request of its own needs no free caller and no second connection at the same time."""

    def authorised(request: MiddlewareRequest, handler: HandlerType) -> Response:
        token = session.get("/json", middlewares=()).json()["slideshow"]["title"]
        request.headers["X-Tag"] = token
        return handler(request)

    connector = TCPConnector(limit=1)
    with Session(app.url, connector=connector, middlewares=[authorised]) as session:
        assert header(session.get("/anything"), "X-Tag")


def test_it_may_refresh_and_try_again(app: AppServer) -> None:
    """The way of a token: asked for when the server refuses, and then sent."""

    def refreshing(request: MiddlewareRequest, handler: HandlerType) -> Response:
        with handler(request) as response:
            if response.status != 401:
                response.read()
                return response
        token = session.get("/json", middlewares=()).status
        request.headers["Authorization"] = f"Bearer {token}"
        return handler(request)

    connector = TCPConnector(limit=1)
    with Session(app.url, connector=connector, middlewares=[refreshing]) as session:
        assert session.get("/bearer").json()["token"] == "200"


def test_an_endless_recursion_ends(app: AppServer) -> None:
    """A middleware that meets its own requests gets RecursionError, as any function would."""

    def endless(request: MiddlewareRequest, handler: HandlerType) -> Response:
        session.get("/json")
        return handler(request)

    with Session(app.url, middlewares=[endless]) as session:
        with pytest.raises(RecursionError):
            session.get("/json")
        assert session.get("/json", middlewares=()).json()
