"""The middlewares that come along: digest, bearer tokens, rate limits, a log without secrets."""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest
from yarl import URL

import syncclient
from syncclient import (
    BearerAuth,
    DigestAuthMiddleware,
    HandlerType,
    MiddlewareRequest,
    RateLimit,
    RequestLog,
    Response,
    Session,
    TCPConnector,
)
from syncclient._async.middleware.bearer import AsyncBearerAuth
from tests.children import RunChild
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs

_CHALLENGE = ("WWW-Authenticate", 'Digest realm="tests", nonce="n", qop="auth", algorithm=SHA-256')


def digest_only(conn: RawConnection) -> None:
    """Ask for digest credentials, and answer those who have some."""
    while True:
        request = conn.read_request()
        if request.header("Authorization").startswith("Digest "):
            conn.respond(b"welcome")
        else:
            conn.respond(b"no", status="401 Unauthorized", headers=[_CHALLENGE])


def status(response: Response) -> int:
    """The status of a response that has been read."""
    response.read()
    return response.status


class TokenServer:
    """Takes the newest token only; gives out the next one at /token, and counts."""

    def __init__(self) -> None:
        self.valid = 0
        self.given = 0
        self.refused = 0
        self.lock = threading.Lock()

    def __call__(self, conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            with self.lock:
                if request.target == "/token":
                    assert not request.header("Authorization")
                    self.given += 1
                    self.valid = self.given
                    answer, status = f"t{self.given}", "200 OK"
                elif request.header("Authorization") == f"Bearer t{self.valid}":
                    answer, status = request.body.decode() or "welcome", "200 OK"
                else:
                    self.refused += 1
                    answer, status = "no", "401 Unauthorized"
            conn.respond(answer.encode(), status=status)


@pytest.fixture
def tokens() -> TokenServer:
    return TokenServer()


# Digest.


def test_digest(raw_server: StartRawServer) -> None:
    """aiohttp's own middleware works as it is, and remembers the challenge."""
    wire = raw_server(digest_only)
    with Session(middlewares=[DigestAuthMiddleware("login", "password")]) as session:
        assert session.get(wire.url).text() == "welcome"
        assert session.post(wire.url, data=b"body").text() == "welcome"
    assert len(wire.requests) == 3


def test_digest_after_a_blocking_one(raw_server: StartRawServer) -> None:
    """Its second attempt is inside, and the blocking middleware sees what that came to."""
    wire = raw_server(digest_only)
    seen = []

    def looks(request: MiddlewareRequest, handler: HandlerType) -> Response:
        response = handler(request)
        seen.append(response.status)
        return response

    with Session(middlewares=[looks, DigestAuthMiddleware("login", "password")]) as session:
        assert session.get(wire.url).text() == "welcome"
    assert seen == [200]


# Bearer.


def test_a_token_is_got_once_and_again_when_it_is_refused(
    raw_server: StartRawServer, tokens: TokenServer
) -> None:
    """In the caller's thread, through the same session, with one connection in all."""
    wire = raw_server(tokens)
    threads = []

    def get_token() -> str:
        threads.append(threading.get_ident())
        return session.post(f"{wire.url}/token").text()

    auth = BearerAuth(get_token)
    with Session(middlewares=[auth], connector=TCPConnector(limit=1)) as session:
        assert [status(session.get(wire.url)) for _ in range(3)] == [200] * 3
        tokens.valid = 99
        assert session.post(wire.url, data=b"body").text() == "body"
    assert (tokens.given, tokens.refused) == (2, 1)
    assert threads == [threading.get_ident()] * 2


def test_one_token_for_many_threads(raw_server: StartRawServer, tokens: TokenServer) -> None:
    """All that find the token refused wait for one of them, and share what it got."""
    wire = raw_server(tokens)
    callers = 16
    together = threading.Barrier(callers)
    at_once: list[int] = []
    inside = threading.Semaphore(1)

    def get_token() -> str:
        assert inside.acquire(blocking=False), "two tokens are got at a time"
        try:
            return session.post(f"{wire.url}/token").text()
        finally:
            inside.release()

    def call(_: int) -> int:
        together.wait(WITHIN)
        return status(session.get(wire.url))

    with Session(middlewares=[BearerAuth(get_token)]) as session:
        with ThreadPoolExecutor(callers) as pool:
            for _ in range(2):
                at_once += pool.map(call, range(callers))
                tokens.valid = 99  # revoked
    assert at_once == [200] * callers * 2
    assert tokens.given == 2


def test_a_map_whose_caller_is_away_holds_up_no_token(
    raw_server: StartRawServer, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its requests need the iterating thread to get one; until that comes, another caller may,
    such as the same thread in a request of its own."""
    monkeypatch.setattr("syncclient._client.map._PULL_TIME", WITHIN)
    wire = raw_server(tokens)
    seen: list[int] = []

    def urls() -> Iterator[str]:
        yield wire.url
        # A round trip, after which the first request waits for the token.
        session.get(wire.url, headers={"Authorization": "Bearer t0"}).read()
        seen.append(status(session.get(wire.url, timeout=WITHIN)))
        yield wire.url

    def get_token() -> str:
        return session.post(f"{wire.url}/token").text()

    with Session(middlewares=[BearerAuth(get_token)]) as session:
        assert [status(response) for response in session.map(urls())] == [200, 200]
    assert seen == [200]
    assert tokens.given == 1


def test_a_request_that_is_given_up_holds_up_no_token(
    raw_server: StartRawServer, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled before its caller came to get one, it leaves that to the others."""
    monkeypatch.setattr("syncclient._client.map._PULL_TIME", WITHIN)
    wire = raw_server(tokens)

    def urls() -> Iterator[str]:
        yield wire.url
        session.get(wire.url, headers={"Authorization": "Bearer t0"}).read()
        raise LookupError

    def get_token() -> str:
        return session.post(f"{wire.url}/token").text()

    with Session(middlewares=[BearerAuth(get_token)]) as session:
        with pytest.raises(LookupError):
            next(session.map(urls()))
        assert status(session.get(wire.url, timeout=WITHIN)) == 200
    assert tokens.given == 1


def test_a_second_refusal_is_the_answer(raw_server: StartRawServer, tokens: TokenServer) -> None:
    """One more attempt, and no more: the caller gets the 401."""
    wire = raw_server(tokens)
    with Session(middlewares=[BearerAuth(lambda: "wrong")]) as session:
        assert status(session.get(wire.url)) == 401
    assert tokens.refused == 2


def test_a_body_that_cannot_be_sent_again_is_not(
    raw_server: StartRawServer, tokens: TokenServer
) -> None:
    """The 401 to a generator is the answer; the next request gets a new token."""
    wire = raw_server(tokens)

    def get_token() -> str:
        return "t-old" if not tokens.refused else session.post(f"{wire.url}/token").text()

    with Session(middlewares=[BearerAuth(get_token)]) as session:
        assert status(session.post(wire.url, data=iter([b"a"]))) == 401
        assert status(session.post(wire.url, data=iter([b"a"]))) == 200
    assert tokens.refused == 1


def test_a_function_that_fails_fails_its_request_only(
    raw_server: StartRawServer, tokens: TokenServer
) -> None:
    """Its error is the caller's, and the next request asks it again."""
    wire = raw_server(tokens)
    fail = True

    def get_token() -> str:
        if fail:
            raise OSError("no network there")
        return session.post(f"{wire.url}/token").text()

    with Session(middlewares=[BearerAuth(get_token)]) as session:
        with pytest.raises(OSError, match=r"^no network there$"):
            session.get(wire.url)
        fail = False
        assert status(session.get(wire.url)) == 200


@pytest.mark.parametrize("token", [None, b"bytes", "", "two words", "line\r\nX-Evil: 1"])
def test_a_bad_token_is_refused_and_not_told(app: AppServer, token: Any) -> None:
    """The error names get_token, and has nothing of the token in it."""
    with Session(app.url, middlewares=[BearerAuth(lambda: token)]) as session:
        with pytest.raises((TypeError, ValueError), match="get_token") as caught:
            session.get("/json")
    assert "words" not in str(caught.value)


def test_an_interrupted_refresh_lets_others_go_on(
    raw_server: StartRawServer, tokens: TokenServer
) -> None:
    """The turn passes on when the one who has it is interrupted."""
    wire = raw_server(tokens)
    first = True

    def get_token() -> str:
        nonlocal first
        if first:
            first = False
            raise KeyboardInterrupt
        return session.post(f"{wire.url}/token").text()

    with Session(middlewares=[BearerAuth(get_token)]) as session:
        with pytest.raises(KeyboardInterrupt):
            session.get(wire.url)
        assert status(session.get(wire.url)) == 200


def test_no_other_origin_gets_the_token(
    app: AppServer, raw_server: StartRawServer, tokens: TokenServer
) -> None:
    """Neither by a redirect nor by a request of its own."""
    wire = raw_server(tokens)
    with Session(middlewares=[BearerAuth(lambda: "t0", origin=app.url)]) as session:
        assert session.get(f"{app.url}/bearer").json()["token"] == "t0"
        session.get(f"{app.url}/redirect-to?url={wire.url}/").read()
        session.get(wire.url).read()
    assert [request.header("Authorization") for request in wire.requests] == ["", ""]


def test_an_authorization_of_the_requests_own_goes_before_it(app: AppServer) -> None:
    """Where the request says who it is, the middleware leaves it alone."""
    with Session(app.url, middlewares=[BearerAuth(lambda: "theirs")]) as session:
        response = session.get("/bearer", headers={"Authorization": "Bearer mine"})
        assert response.json()["token"] == "mine"


def test_an_async_token_function_runs_on_the_loop(app: AppServer) -> None:
    """One that is awaited needs no caller."""

    async def get_token() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    with Session(app.url, middlewares=[BearerAuth(get_token)]) as session:
        assert session.get("/bearer").json()["token"] == "syncclient-loop"


def test_map_keeps_its_concurrency_with_a_bearer_token(
    app: AppServer, raw_server: StartRawServer
) -> None:
    """Only the getting of a token needs the iterating thread; requests stay under way together."""
    arrived = threading.Barrier(10)

    def together(conn: RawConnection) -> None:
        conn.read_request()
        arrived.wait(WITHIN)
        conn.respond(b"ok")

    wire = raw_server(together)
    with Session(middlewares=[BearerAuth(lambda: "t")]) as session:
        with session.map([wire.url] * 10) as responses:
            assert [response.text() for response in responses] == ["ok"] * 10


def test_bearer_arguments() -> None:
    """What is neither a token nor a function is refused, and shows nothing of itself."""
    with pytest.raises(TypeError, match="get_token must be a token or a function"):
        BearerAuth(5)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(ValueError, match="spaces") as caught:
        BearerAuth("two words")
    assert "two words" not in str(caught.value)
    assert "secret" not in repr(BearerAuth("secret"))


@pytest.mark.anyio
async def test_bearer_in_async_programs(app: AppServer) -> None:
    """The core of it is a middleware for aiohttp's own session."""

    async def get_token() -> str:
        return "t1"

    auth = AsyncBearerAuth(get_token)
    # c-ares, the default, takes its time to close.
    connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
    async with aiohttp.ClientSession(app.url, connector=connector, middlewares=[auth]) as session:
        async with session.get("/bearer") as response:
            assert (await response.json())["token"] == "t1"


# Rate limit.


class Clock:
    """When requests arrived at a server."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, conn: RawConnection) -> None:
        while True:
            conn.read_request()
            self.times.append(time.monotonic())
            conn.respond(b"ok")

    def most_within(self, period: float) -> int:
        """The largest number of requests in any window as long as `period`."""
        times = sorted(self.times)
        return max(sum(t <= s < t + period for s in times) for t in times)


def test_no_window_has_more_requests_than_the_limit(raw_server: StartRawServer) -> None:
    """Whatever their threads: they wait for their turn, and all get through."""
    clock = Clock()
    wire = raw_server(clock)
    limit = RateLimit(5, 0.5)
    with Session(middlewares=[limit]) as session, ThreadPoolExecutor(4) as pool:
        began = time.monotonic()
        list(pool.map(lambda _: session.get(wire.url).read(), range(11)))
        took = time.monotonic() - began
    # A request takes a moment from its turn to the server, on a busy machine a long one.
    assert clock.most_within(0.2) <= 5
    assert took >= 2 * 0.5
    assert limit.waiting == 0


def test_each_host_has_a_limit_of_its_own(app: AppServer, raw_server: StartRawServer) -> None:
    """A host whose limit is used up holds up no other."""
    slow, quick = Clock(), Clock()
    one, other = raw_server(slow), raw_server(quick, host="::1")
    limit = RateLimit(None, 60.0, per_host=1)
    with Session(middlewares=[limit]) as session:
        session.get(one.url).read()
        waiting = session.submit("GET", one.url)
        session.get(other.url, timeout=WITHIN).read()
        assert waiting.cancel()
    assert (len(slow.times), len(quick.times)) == (1, 1)


def test_waiting_is_within_the_timeout_of_the_request(raw_server: StartRawServer) -> None:
    """The error says what it waited for; the turn goes to another."""
    wire = raw_server(Clock())
    with Session(middlewares=[RateLimit(1, 60.0)]) as session:
        session.get(wire.url).read()
        with pytest.raises(syncclient.TotalTimeoutError, match="the rate limit"):
            session.get(wire.url, timeout=0.05)
        with pytest.raises(syncclient.DeadlineError, match="the rate limit"):
            with syncclient.timeout(0.05):
                session.get(wire.url)


def test_thousands_may_wait_and_be_cancelled(raw_server: StartRawServer) -> None:
    """Two thousand wait; those that are cancelled give way at once, and take no turn."""
    clock = Clock()
    wire = raw_server(clock)
    limit = RateLimit(1, 0.05)
    with Session(middlewares=[limit]) as session:
        first = session.submit("GET", wire.url)
        first.result(WITHIN).read()
        futures = [session.submit("GET", wire.url) for _ in range(2000)]
        assert limit.waiting <= 2000
        began = time.monotonic()
        for future in futures[:-1]:
            future.cancel()
        assert futures[-1].result(WITHIN).text() == "ok"
        assert time.monotonic() - began < WITHIN
    assert len(clock.times) < 100
    assert limit.waiting == 0


def test_closing_ends_the_waiting(raw_server: StartRawServer) -> None:
    """A session that closes has nobody wait on."""
    wire = raw_server(Clock())
    with Session(middlewares=[RateLimit(1, 60.0)]) as session:
        session.get(wire.url).read()
        futures = [session.submit("GET", wire.url) for _ in range(10)]
    for future in futures:
        assert isinstance(future.exception(WITHIN), syncclient.SessionClosedError)


def test_sessions_share_a_limit(raw_server: StartRawServer) -> None:
    """The limit is the middleware's, and not the session's."""
    wire = raw_server(Clock())
    limit = RateLimit(1, 60.0)
    with Session(middlewares=[limit]) as one, Session(middlewares=[limit]) as other:
        one.get(wire.url).read()
        with pytest.raises(syncclient.TotalTimeoutError):
            other.get(wire.url, timeout=0.05)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((None,), ValueError, "per_host"),
        ((0,), ValueError, "requests must be 1 or more"),
        ((1.5,), TypeError, "requests must be a whole number"),
        ((1, 0), ValueError, "period"),
        ((1, "s"), TypeError, "period"),
        ((1, float("inf")), ValueError, "period"),
    ],
)
def test_rate_limit_arguments(
    arguments: tuple[Any, ...], error: type[Exception], says: str
) -> None:
    """A wrong one is named."""
    with pytest.raises(error, match=says):
        RateLimit(*arguments)


def test_rate_limit_says_what_it_is() -> None:
    """Its repr is the call that makes it."""
    assert repr(RateLimit(5, 0.5, per_host=2)) == "RateLimit(5, 0.5, per_host=2)"


# All of them.


def token() -> str:
    return "t1"


def test_they_can_be_pickled_with_their_session(app: AppServer) -> None:
    """What they keep for an event loop stays behind; their settings, and a token, go along."""
    with Session(app.url, middlewares=[BearerAuth(token), RateLimit(100), RequestLog()]) as session:
        session.get("/bearer").read()
        with pickle.loads(pickle.dumps(session)) as other:
            assert other.get("/bearer").json()["token"] == "t1"


def test_they_go_on_in_a_forked_child(app: AppServer, run_child: RunChild) -> None:
    """A lock or a queue of the parent's loop does not hold up the child."""
    child = run_child(FORKED, app.url)
    assert (child.status, child.stdout) == (0, "t1 t1\n"), child.stderr


FORKED = """
import os, sys
from syncclient import BearerAuth, RateLimit, Session

session = Session(sys.argv[1], middlewares=[BearerAuth(lambda: "t1"), RateLimit(1, 60)])
mine = session.get("/bearer").json()["token"]
read, write = os.pipe()
if os.fork() == 0:
    with session:
        os.write(write, session.get("/bearer").json()["token"].encode())
    os._exit(0)
os.wait()
print(mine, os.read(read, 10).decode())
session.close()
"""


# Log.


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.DEBUG, "syncclient.requests"):
        yield lambda: [f"{r.levelname} {r.getMessage()}" for r in caplog.records]


def test_the_log_has_no_secrets(app: AppServer, lines: Callable[[], list[str]]) -> None:
    """Credentials, tokens, keys and cookies are left out of URLs and headers, by their names."""
    secrets = {
        "Authorization": "Bearer s3cret-a",
        "X-Api-Key": "s3cret-b",
        "Cookie": "session=s3cret-c",
        "X-Auth-Token": "s3cret-d",
        "X-Own": "s3cret-e",
    }
    log = RequestLog(secrets=["X-Own"])
    with Session(app.url, middlewares=[log]) as session:
        url = "/anything?access_token=s3cret-f&page=2&apiKey=s3cret-g&sig=s3cret-h#s3cret-i"
        session.get(url, headers=secrets).read()
        session.get("/cookies/set?plain=1", allow_redirects=False).read()
    text = "\n".join(lines())
    assert "s3cret" not in text
    assert "page=2" in text
    assert "'Host'" in text
    assert "Set-Cookie': '[redacted]'" in text


def test_each_line_of_the_log(app: AppServer, lines: Callable[[], list[str]]) -> None:
    """Method, URL, status and seconds of each hop; a failure with the name of its error."""
    with Session(app.url, middlewares=[RequestLog()]) as session:
        session.get("/redirect/1").read()
        with pytest.raises(syncclient.ClientConnectorError):
            session.get("http://login:s3cret@127.0.0.1:1/")
    got = [line for line in lines() if not line.startswith("DEBUG")]
    assert len(got) == 3
    assert got[0].startswith(f"INFO GET {app.url}/redirect/1 -> 302 in 0.")
    assert " -> 200 in 0." in got[1]
    assert got[2].startswith("WARNING GET http://127.0.0.1:1/ failed after 0.")
    assert got[2].endswith(": ClientConnectorError")


def test_a_log_of_ones_own(app: AppServer, caplog: pytest.LogCaptureFixture) -> None:
    """Any logger will do; below its level nothing is made up."""
    logger = logging.getLogger("mine")
    with caplog.at_level(logging.WARNING, "mine"):
        with Session(app.url, middlewares=[RequestLog(logger)]) as session:
            session.get("/json").read()
    assert not caplog.records


def test_a_url_without_secrets_is_told_as_it_is() -> None:
    """Nothing but what is hidden changes."""
    log = RequestLog()
    assert log.without_secrets(URL("http://a/b%20c?d=%C3%A9&e")) == "http://a/b%20c?d=%C3%A9&e"
    assert log.without_secrets(URL("http://u:p@a/?key=1")) == "http://a/?key=%5Bredacted%5D"


@pytest.mark.parametrize("arguments", [{"logger": 5}, {"secrets": "X-Own"}])
def test_log_arguments(arguments: dict[str, Any]) -> None:
    """A wrong one is named."""
    with pytest.raises(TypeError, match=next(iter(arguments))):
        RequestLog(**arguments)
