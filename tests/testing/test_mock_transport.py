"""syncclient.testing: functions and tables of routes that answer in the place of servers."""

import gzip
import io
import re
import socket
import threading
from collections.abc import Iterator

import aiohttp
import pytest

import syncclient
from syncclient.testing import (
    Gate,
    MockReply,
    MockRequest,
    MockTransport,
    Route,
    Routes,
    UnmatchedRequestError,
)

API = "http://api.test"


@pytest.fixture
def routes() -> Routes:
    return Routes()


@pytest.fixture
def mocked(routes: Routes) -> Iterator[syncclient.Session]:
    """A session that `routes` answers."""
    with syncclient.Session(connector=MockTransport(routes)) as session:
        yield session


# What is answered.


@pytest.mark.parametrize(
    ("answer", "status", "content_type", "body"),
    [
        ({"a": [1]}, 200, "application/json", b'{"a": [1]}'),
        ([1, 2], 200, "application/json", b"[1, 2]"),
        ("grün", 200, "text/plain", "grün".encode()),
        (b"\x00\xff", 200, "application/octet-stream", b"\x00\xff"),
        (204, 204, "application/octet-stream", b""),
        (MockReply(201, json=None), 201, "application/json", b"null"),
        (MockReply(418, text="tea", headers={"Content-Type": "x/y"}), 418, "x/y", b"tea"),
    ],
)
def test_each_kind_of_answer(
    routes: Routes,
    mocked: syncclient.Session,
    answer: MockReply | str,
    status: int,
    content_type: str,
    body: bytes,
) -> None:
    """Each kind of answer becomes a response with its status, its type and its body."""
    routes.get(f"{API}/x", answer)
    with mocked.get(f"{API}/x") as response:
        assert (response.status, response.content_type) == (status, content_type)
        assert response.read() == body


def test_a_function_is_given_the_whole_request() -> None:
    """A function sees method, URL, headers and body as they were sent, and its answer arrives."""
    seen: list[MockRequest] = []

    def handler(request: MockRequest) -> MockReply:
        seen.append(request)
        return MockReply(201, json={"got": request.json()}, headers={"X-Mine": "1"}, reason="Made")

    with syncclient.Session(connector=MockTransport(handler)) as session:
        response = session.post(f"{API}/p%20q?a=1", json={"k": "v"}, headers={"X-Yours": "2"})
        assert response.json() == {"got": {"k": "v"}}
        assert (response.reason, response.headers["X-Mine"]) == ("Made", "1")
    [request] = seen
    assert (request.method, str(request.url)) == ("POST", f"{API}/p%20q?a=1")
    assert request.headers["X-Yours"] == "2"
    assert request.headers["Host"] == "api.test"
    assert request.text() == '{"k": "v"}'


def test_the_function_runs_on_a_thread_of_its_own() -> None:
    """A function may call the session that waits for it, as often as it likes."""
    threads: set[str] = set()

    def handler(request: MockRequest) -> str:
        threads.add(threading.current_thread().name)
        depth = int(request.url.query["depth"])
        return "." if depth == 0 else "." + session.get(f"{API}/?depth={depth - 1}").text()

    with syncclient.Session(connector=MockTransport(handler)) as session:
        assert session.get(f"{API}/?depth=40").text() == "." * 41
    assert threads == {"syncclient-server"}


def test_every_host_and_scheme_is_answered(routes: Routes, mocked: syncclient.Session) -> None:
    """No name is looked up and no certificate checked: any host answers, https too."""
    routes.get("/x", lambda request: str(request.url))
    for url in ("http://a.invalid/x", "https://b.invalid/x", "https://[::1]:8443/x"):
        assert mocked.get(url).text() == url


def test_a_proxy_is_not_asked(routes: Routes, mocked: syncclient.Session) -> None:
    """With a proxy named, the request goes to the mock all the same, and as to a server."""
    routes.get("/x", "here")
    assert mocked.get(f"{API}/x", proxy="http://proxy.invalid:3128").text() == "here"
    assert mocked.get("https://s.test/x", proxy="http://proxy.invalid:3128").text() == "here"


def test_the_engine_runs_for_real(routes: Routes, mocked: syncclient.Session) -> None:
    """Redirects are followed, cookies kept, bodies decompressed: nothing of that is mocked."""
    routes.get(f"{API}/old", status=302, headers={"Location": "/new", "Set-Cookie": "k=v; Path=/"})
    packed = gzip.compress(b"inside")
    routes.get(f"{API}/new", body=packed, headers={"Content-Encoding": "gzip"})
    response = mocked.get(f"{API}/old")
    assert response.read() == b"inside"
    assert [past.status for past in response.history] == [302]
    assert routes.calls[-1].headers["Cookie"] == "k=v"


@pytest.mark.parametrize("compress", [False, True])
def test_uploads_arrive_whole(routes: Routes, mocked: syncclient.Session, compress: bool) -> None:
    """Files and generators are read by the caller, and the mock gets all of their bytes."""
    routes.post("/up", lambda request: {"size": len(request.body)})
    size = 3 * 2**20
    sent = mocked.post(f"{API}/up", data=io.BytesIO(bytes(size)), compress=compress or None)
    assert sent.json() == {"size": size}
    chunks = (b"x" * 1000 for _ in range(3000))
    assert mocked.post(f"{API}/up", data=chunks).json() == {"size": 3_000_000}
    assert mocked.post(f"{API}/up", data={"a": "b"}, expect100=True).json() == {"size": 3}
    assert routes.calls[-1].form() == {"a": "b"}


def test_a_large_response_streams(routes: Routes, mocked: syncclient.Session) -> None:
    """A body given in pieces comes in pieces; one that is not read holds its sender back."""
    pulled = 0

    def pieces() -> Iterator[bytes]:
        nonlocal pulled
        for _ in range(1000):
            pulled += 1
            yield b"x" * 2**16

    routes.get("/big", lambda _: MockReply(body=pieces()))
    with mocked.get(f"{API}/big") as response:
        assert response.content.read(10) == b"x" * 10
        assert pulled < 100
        assert len(response.read()) == 1000 * 2**16 - 10


def test_head_and_connection_reuse(routes: Routes, mocked: syncclient.Session) -> None:
    """HEAD has no body, and one connection serves one request after the other."""
    routes.add("*", "/x", text="body")
    for _ in range(3):
        response = mocked.head(f"{API}/x")
        assert (response.read(), response.headers["Content-Length"]) == (b"", "4")
        assert mocked.get(f"{API}/x").text() == "body"
    assert mocked.connector.snapshot().open == 1


# Trouble.


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(111, "refused"), aiohttp.ClientConnectorError),
        (socket.gaierror(-2, "unknown"), aiohttp.ClientConnectorDNSError),
        (ConnectionResetError(104, "reset"), aiohttp.ClientOSError),
        (aiohttp.ServerDisconnectedError, aiohttp.ServerDisconnectedError),
        (TimeoutError(), syncclient.TotalTimeoutError),
        (ZeroDivisionError("mine"), ZeroDivisionError),
        (KeyboardInterrupt("mine"), KeyboardInterrupt),
    ],
)
def test_an_exception_is_raised_in_the_client(
    routes: Routes,
    mocked: syncclient.Session,
    error: BaseException | type[BaseException],
    kind: type[BaseException],
) -> None:
    """Connection errors come as the engine's; all else as it is; the request is made once."""
    route = routes.get("/x", error)
    for times in (1, 2):
        with pytest.raises(kind) as caught:
            mocked.get(f"{API}/x")
        assert type(caught.value).__name__ == kind.__name__
        route.assert_called(times)
    routes.get("/y", "still there")
    assert mocked.get(f"{API}/y").text() == "still there"


def test_a_failing_assertion_reaches_the_test() -> None:
    """What a function raises is what the caller of the session gets, unwrapped."""
    failure = AssertionError("the client sent nonsense")

    def handler(request: MockRequest) -> str:
        raise failure

    with syncclient.Session(connector=MockTransport(handler)) as session:
        with pytest.raises(AssertionError) as caught:
            session.get(API)
    assert caught.value is failure


def test_a_body_that_breaks_off(routes: Routes, mocked: syncclient.Session) -> None:
    """A reply cut off gives what there is of it, and then ClientPayloadError."""
    routes.get("/cut", body=b"half", cut_off=True)
    with mocked.get(f"{API}/cut") as response:
        assert response.content.read(4) == b"half"
        with pytest.raises(syncclient.ClientPayloadError):
            response.content.read()


def test_an_error_in_the_middle_of_a_body(routes: Routes, mocked: syncclient.Session) -> None:
    """What the parts of a body raise is the cause of the ClientPayloadError that readers get."""

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError(104, "mine")

    routes.get("/cut", lambda _: MockReply(body=pieces()))
    with mocked.get(f"{API}/cut") as response, pytest.raises(syncclient.ClientPayloadError):
        response.read()


def test_a_gate_holds_the_reply_back(routes: Routes, mocked: syncclient.Session) -> None:
    """A reply waits at its gate until a test opens it, and the test can wait until it is there."""
    gate = Gate()
    routes.get("/slow", text="at last", gate=gate)
    future = mocked.submit("GET", f"{API}/slow")
    gate.wait_reached()
    assert not future.done()
    gate.open()
    assert future.result(10).text() == "at last"
    assert mocked.get(f"{API}/slow").text() == "at last"


def test_timeouts_work_against_a_gate(routes: Routes, mocked: syncclient.Session) -> None:
    """A reply that hangs runs into the request's timeout, in its head and in its body."""
    gate = Gate()
    routes.get("/head", gate=gate)
    routes.get("/body", body=[b"half", gate, b"rest"])
    with pytest.raises(syncclient.TotalTimeoutError):
        mocked.get(f"{API}/head", timeout=0.05)
    with mocked.get(f"{API}/body") as response:
        assert response.content.readany() == b"half"
        with pytest.raises(TimeoutError), syncclient.timeout(0.05):
            response.content.read()
    gate.open()
    assert mocked.get(f"{API}/body").read() == b"halfrest"


def test_a_slow_function_does_not_stop_timeouts() -> None:
    """A function that blocks holds up its own reply and nothing else: timeouts still strike."""
    release = threading.Event()

    def handler(request: MockRequest) -> str:
        assert release.wait(10)
        return "late"

    with syncclient.Session(connector=MockTransport(handler)) as session:
        with pytest.raises(syncclient.TotalTimeoutError):
            session.get(API, timeout=0.05)
        release.set()
        assert session.get(API).text() == "late"


def test_closing_the_session_ends_what_hangs(routes: Routes) -> None:
    """A session can be closed while a reply hangs at its gate: nothing is left of it."""
    gate = Gate()
    routes.get("/x", gate=gate)
    with syncclient.Session(connector=MockTransport(routes)) as session:
        future = session.submit("GET", f"{API}/x")
        gate.wait_reached()
    assert isinstance(future.exception(20), syncclient.SessionClosedError)


def test_limits_count(routes: Routes) -> None:
    """The pool's limit holds as for real connections: who waits for one is told so."""
    gate = Gate()
    routes.get("/x", gate=gate)
    with syncclient.Session(connector=MockTransport(routes, limit=1)) as session:
        future = session.submit("GET", f"{API}/x")
        gate.wait_reached()
        with pytest.raises(syncclient.PoolTimeoutError):
            session.get(f"{API}/x", timeout=aiohttp.ClientTimeout(connect=0.05))
        gate.open()
        assert future.result(10).status == 200


# The table.


def test_routes_match_as_they_say() -> None:
    """Method, host, path and the parts of the query decide; the first route that fits answers."""
    routes = Routes({"GET http://a.test/x": "host", "POST /x": "post"})
    routes.get("/x?q=1", "query")
    routes.get(re.compile(r"/items/\d+$"), "pattern")
    routes.add("*", "/x", "any")
    asked = {
        ("GET", "http://a.test/x?z=1"): "host",
        ("POST", "http://a.test/x"): "post",
        ("GET", "http://b.test/x?p=0&q=1"): "query",
        ("GET", "http://b.test/x?q=2"): "any",
        ("GET", "https://a.test/x"): "any",
        ("GET", "http://a.test:81/x"): "any",
        ("DELETE", "http://b.test/x"): "any",
        ("GET", "http://b.test/items/7"): "pattern",
    }
    with syncclient.Session(connector=MockTransport(routes)) as session:
        assert {key: session.request(*key).text() for key in asked} == asked


def test_times_make_a_sequence(routes: Routes, mocked: syncclient.Session) -> None:
    """A route that is used up makes room for the next: first a 503, then a 200, with Retry."""
    first = routes.get("/x", status=503, times=2)
    then = routes.get("/x", text="up again")
    retry = syncclient.Retry(3, backoff=0.001)
    assert mocked.get(f"{API}/x", retry=retry).text() == "up again"
    first.assert_called(2)
    then.assert_called()
    with pytest.raises(AssertionError, match=r"GET /x was called 1 times, not 2"):
        then.assert_called(2)


def test_a_request_without_a_route_names_those_there_are(
    routes: Routes, mocked: syncclient.Session
) -> None:
    """The error for a request without a route lists the routes, and is no ClientError."""
    with pytest.raises(UnmatchedRequestError, match="none is registered"):
        mocked.get(f"{API}/x")
    routes.post("/x", times=1)
    mocked.post(f"{API}/x")
    with pytest.raises(UnmatchedRequestError) as caught:
        mocked.get(f"{API}/x")
    assert not isinstance(caught.value, syncclient.ClientError)
    expected = "no route for GET http://api.test/x; registered are:\n  POST /x (answered 1 of 1)"
    assert str(caught.value) == expected
    assert [str(request) for request in routes.unmatched] == [f"GET {API}/x"] * 2


def test_the_record_of_calls(routes: Routes, mocked: syncclient.Session) -> None:
    """Every request is recorded in order; routes that were not called are named."""
    one, two = routes.get("/1"), routes.get("/2", times=2)
    mocked.get(f"{API}/2")
    mocked.get(f"{API}/1", params={"q": "x"})
    assert [str(request) for request in routes.calls] == [f"GET {API}/2", f"GET {API}/1?q=x"]
    assert one.calls[0].url.query == {"q": "x"}
    with pytest.raises(AssertionError, match=r"GET /2 \(answered 1 of 2\) should have been called"):
        routes.assert_all_called()
    mocked.get(f"{API}/2")
    routes.assert_all_called()
    assert two.called
    routes.reset()
    assert routes.calls == []
    with pytest.raises(UnmatchedRequestError):
        mocked.get(f"{API}/1")
    with pytest.raises(AssertionError, match="no route for"):
        routes.assert_all_called()


def test_many_threads_at_once(routes: Routes, mocked: syncclient.Session) -> None:
    """`times` is exact under concurrency: of two hundred requests, a hundred get each route."""
    first = routes.get("/x", "first", times=100)
    routes.get("/x", "second")
    urls = [f"{API}/x?n={n}" for n in range(200)]
    got = [response.text() for response in mocked.map(urls, concurrency=50)]
    assert (got.count("first"), got.count("second")) == (100, 100)
    first.assert_called(100)


# Wrong arguments.


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: MockTransport({"GET /": 1}), "write Routes"),  # type: ignore[arg-type]  # wrong
        (lambda: MockTransport(7), "answers must be"),  # type: ignore[arg-type]  # wrong
        (lambda: Routes({"/x": 1}), "GET /path"),
        (lambda: Routes().get("x"), "must be 'http://host/path' or '/path'"),
        (lambda: Routes().get(7), "url must be"),  # type: ignore[arg-type]  # wrong
        (lambda: Routes().get("/x", None), "an answer must be"),  # type: ignore[arg-type]  # wrong
        (lambda: Routes().get("/x", 200, text="t"), "either an answer"),
        (lambda: Routes().get("/x", times=0), "times must be 1"),
        (lambda: MockReply(text="a", body=b"b"), "one of json, text and body"),
        (lambda: MockReply(body="text"), "text="),  # type: ignore[arg-type]  # wrong
        (lambda: MockReply(txt="a"), "takes no txt"),  # type: ignore[call-arg]  # wrong
        (lambda: MockReply(99), "status must be 200"),
        (lambda: MockReply(gate=True), "gate must be a Gate"),  # type: ignore[arg-type]  # wrong
    ],
)
def test_a_wrong_argument_is_named(wrong: "type[object]", message: str) -> None:
    """A wrong argument is an error where it is given, which says what to write."""
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        wrong()


def test_a_wrong_answer_is_an_error_in_the_client() -> None:
    """A function that returns nothing makes the request fail, and the error says what it may."""
    with syncclient.Session(connector=MockTransport(lambda _: None)) as session:  # type: ignore[arg-type,return-value]  # wrong
        with pytest.raises(TypeError, match="an answer must be a MockReply"):
            session.get(API)


def test_an_async_function_is_refused() -> None:
    """An async function is no handler, and the error says where async code goes."""

    async def handler(request: MockRequest) -> str:
        return ""

    with pytest.raises(TypeError, match="ASGITransport"):
        MockTransport(handler)  # type: ignore[arg-type]  # wrong


def test_reprs_tell_what_there_is(routes: Routes) -> None:
    """Each value shows what it stands for."""
    route: Route = routes.get("/x", times=2)
    assert repr(route) == "<Route GET /x (answered 0 of 2)>"
    assert repr(routes) == "<Routes: 1 routes, 0 calls>"
    assert repr(MockReply(404)) == "<MockReply 404>"
    assert repr(Gate()) == "<Gate closed>"
    assert repr(MockTransport(routes)).startswith("MockTransport(")


def test_an_error_of_the_handler_is_not_its_own_cause() -> None:
    """What is none of connecting goes on as it is, with causes that come to an end."""

    def reset(request: object) -> str:
        raise ConnectionResetError(104, "Connection reset by peer")

    with syncclient.Session(connector=MockTransport(reset)) as session:
        with pytest.raises(syncclient.ClientOSError) as caught:
            session.get("http://api.example/")
    seen: list[BaseException] = []
    error: BaseException | None = caught.value
    while error is not None:
        assert error not in seen
        seen.append(error)
        error = error.__cause__ or error.__context__
