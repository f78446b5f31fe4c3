"""What goes along with a redirect: the headers of a body, Host, server names, time, traces."""

import contextlib
import io
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests

import syncclient
from syncclient import Session
from tests.bounds import BOUND
from tests.servers.raw import RawConnection, RawRequest, Script, StartRawServer

#: Headers that say something about a body, and none of which a GET without one may have.
OF_BODY = {
    "Content-Type": "text/x",
    "Content-Language": "en",
    "Content-Location": "/here",
    "Content-Encoding": "x-own",
    "Content-Digest": "sha-256=:AAAA:",
    "Digest": "sha-256=AAAA",
    "Last-Modified": "Sat, 28 Nov 2026 00:00:00 GMT",
}


def redirecting(location: str, status: int) -> Script:
    """Redirect the first request of a server, and answer all that come after it."""

    def script(conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            if request.target == "/start":
                headers = [("Location", location)]
                conn.respond(status=f"{status} Away", headers=headers)
            else:
                conn.respond(b"" if request.method == "HEAD" else b"here")

    return script


def landed(requests: list[RawRequest]) -> RawRequest:
    (request,) = [request for request in requests if request.target != "/start"]
    return request


#: Bodies, and the headers that come with them by themselves.
BODIES: dict[str, Callable[[], dict[str, Any]]] = {
    "json": lambda: {"json": {"a": 1}},
    "form": lambda: {"data": {"a": "1"}},
    "multipart": lambda: {"data": {"a": io.BytesIO(b"x")}},
    "bytes": lambda: {"data": b"x", "headers": {"Content-Length": "1"}},
    "chunked": lambda: {"data": iter([b"x", b"y"])},
    "compressed": lambda: {"data": b"x", "compress": "gzip"},
    "expecting": lambda: {"data": b"x", "headers": {"Trailer": "X"}},
}


@pytest.mark.parametrize("status", [301, 302, 303])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("whose", ["request", "session"])
def test_a_post_that_becomes_a_get_describes_no_body(
    raw_server: StartRawServer, body: str, status: int, whose: str
) -> None:
    """All that is said about a body goes with it, whoever has said it; other headers stay."""
    wire = raw_server(redirecting("/there", status))
    options = BODIES[body]()
    own = {**OF_BODY, "X-Other": "y"}
    if body in ("multipart", "form", "compressed"):
        own.pop("Content-Type")
        own.pop("Content-Encoding")
    headers = options.pop("headers", {})
    if whose == "request":
        headers = {**own, **headers}
        own = {}
    with Session(headers=own) as session:
        response = session.post(f"{wire.url}/start", headers=headers, **options)
        assert response.read() == b"here"
    request = landed(wire.requests)
    names = {name.lower() for name, _ in request.headers}
    assert (request.method, request.body, request.header("X-Other")) == ("GET", b"", "y")
    assert names == {"host", "x-other", "accept", "accept-encoding", "user-agent"}


def test_others_do_so_too(raw_server: StartRawServer) -> None:
    """requests and httpx drop what they have said about the body themselves."""
    wire = raw_server(redirecting("/there", 302))
    start = f"{wire.url}/start"
    with Session() as session:
        session.post(start, json={"a": 1}).read()
    requests.post(start, json={"a": 1}, timeout=20)
    httpx.post(start, json={"a": 1}, follow_redirects=True)
    there = [request for request in wire.requests if request.target == "/there"]
    assert [request.method for request in there] == ["GET"] * 3
    assert [request.header("Content-Type") for request in there][:2] == ["", ""]


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [
        (301, "PUT", "PUT"),
        (302, "PATCH", "PATCH"),
        (303, "PATCH", "GET"),
        (303, "DELETE", "GET"),
        (303, "GET", "GET"),
        (303, "HEAD", "HEAD"),
        (301, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "PATCH", "PATCH"),
    ],
)
def test_which_methods_change(
    raw_server: StartRawServer, status: int, method: str, expected: str
) -> None:
    """As the Fetch standard says, section 4.4: POST by 301 and 302, all but GET and HEAD by 303."""
    wire = raw_server(redirecting("/there", status))
    kept = method == expected and method not in ("GET", "HEAD")
    options: dict[str, Any] = {"headers": {"Content-Type": "a/b"}, "allow_redirects": True}
    if method not in ("GET", "HEAD"):
        options["data"] = b"x"
    with Session() as session:
        session.request(method, f"{wire.url}/start", **options).read()
    request = landed(wire.requests)
    assert (request.method, request.body) == (expected, b"x" if kept else b"")
    assert request.header("Content-Type") == ("a/b" if method == expected else "")


def test_a_host_header_stays_with_its_host(raw_server: StartRawServer) -> None:
    """A Host of the caller's, as for a virtual host, is not told to another server."""
    other = raw_server(redirecting("/", 302))
    first = raw_server(redirecting("/there", 302))
    away = raw_server(redirecting(f"{other.url}/there", 302))
    with Session() as session:
        session.get(f"{first.url}/start", headers={"Host": "virtual.test"}).read()
        session.get(f"{away.url}/start", headers={"host": "virtual.test"}).read()
    assert [r.header("Host") for r in first.requests] == ["virtual.test"] * 2
    assert [r.header("Host") for r in away.requests] == ["virtual.test"]
    assert landed(other.requests).header("Host") == f"127.0.0.1:{other.port}"


def test_secrets_do_not_go_to_another_port(raw_server: StartRawServer) -> None:
    """Authorization, cookies of the request and Proxy-Authorization are for one origin."""
    other = raw_server(redirecting("/", 302))
    away = raw_server(redirecting(f"{other.url}/there", 307))
    secrets = {"Authorization": "Basic x", "Proxy-Authorization": "Basic y", "Cookie": "a=1"}
    with Session() as session:
        session.get(f"{away.url}/start", headers=secrets, cookies={"b": "2"}).read()
    names = {name.lower() for name, _ in landed(other.requests).headers}
    assert not names & {"authorization", "proxy-authorization", "cookie"}


@pytest.mark.parametrize("absolute", [True, False])
def test_credentials_of_the_url_stay_within_its_origin(
    raw_server: StartRawServer, absolute: bool
) -> None:
    """Those in the URL go along to the same server, whichever form the Location has."""

    def start(conn: RawConnection) -> None:
        redirecting(f"{wire.url if absolute else ''}/there", 302)(conn)

    wire = raw_server(start)
    with Session() as session:
        url = wire.url.replace("//", "//me:p%40w@")
        response = session.get(f"{url}/start")
        assert response.read() == b"here" and "p%40w" not in str(response.url)
    assert len({request.header("Authorization") for request in wire.requests}) == 1
    assert landed(wire.requests).header("Authorization").startswith("Basic ")


@pytest.mark.parametrize("retry", [None, syncclient.Retry(attempts=2)])
def test_one_total_timeout_for_all_hops(
    raw_server: StartRawServer, retry: syncclient.Retry | None
) -> None:
    """A server that redirects slowly and without end is left when the time is over."""

    def slow(conn: RawConnection) -> None:
        with contextlib.suppress(OSError):
            while True:
                conn.read_request()
                time.sleep(0.06)
                conn.respond(status="302 Away", headers=[("Location", "/again")])

    wire = raw_server(slow)
    began = time.monotonic()
    with Session(retry=retry) as session:
        with pytest.raises(syncclient.TotalTimeoutError, match=r"0\.5 s"):
            session.get(wire.url, timeout=0.5, max_redirects=1000)
    assert 0.4 < time.monotonic() - began < BOUND
    assert len(wire.requests) > 2


def test_errors_of_redirects_are_traced(raw_server: StartRawServer) -> None:
    """One start, a redirect for each hop, and one end: the error's, where one stopped it."""
    told: list[str] = []
    config = syncclient.TraceConfig()
    for name in ("start", "redirect", "end", "exception"):
        signal: Any = getattr(config, f"on_request_{name}")
        signal.append(lambda *_, name=name: told.append(name))
    wire = raw_server(redirecting("/start", 302), redirecting("http://a..b", 302))
    with Session(trace_configs=[config]) as session:
        with pytest.raises(syncclient.TooManyRedirects):
            session.get(f"{wire.url}/start", max_redirects=2)
        assert told == ["start", "redirect", "redirect", "redirect", "exception"]
    told.clear()
    with Session(trace_configs=[config]) as session:
        with pytest.raises(syncclient.InvalidUrlRedirectClientError):
            session.get(f"{wire.url}/start")
        assert told == ["start", "redirect", "exception"]


def test_an_async_trace_sees_the_history(raw_server: StartRawServer) -> None:
    """The engine's response has its history when the end of the request is told."""
    seen: list[int] = []

    async def on_end(session: Any, context: Any, params: Any) -> None:
        seen.extend(hop.status for hop in params.response.history)

    config = syncclient.TraceConfig()
    config.on_request_end.append(on_end)
    wire = raw_server(redirecting("/there", 307))
    with Session(trace_configs=[config]) as session:
        response = session.get(f"{wire.url}/start")
        assert [hop.status for hop in response.history] == [307]
        response.read()
    assert seen == [307]


def test_a_history_does_not_hold_itself(raw_server: StartRawServer) -> None:
    """The heads of a history are one deep, also where a middleware keeps responses of its own."""

    async def knotted(request: Any, handler: Any) -> Any:
        response = await handler(request)
        response._history = (response, response)
        return response

    wire = raw_server(redirecting("/there", 302))
    with Session(middlewares=[knotted]) as session:
        response = session.get(f"{wire.url}/start")
        assert response.read() == b"here"
        assert [hop.url.path for hop in response.history] == ["/start"]
        response = session.get(f"{wire.url}/other")
        assert response.read() == b"here" and response.status == 200
