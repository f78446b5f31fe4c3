"""The lean way and the full way: the same bytes out, and the same of every answer."""

from __future__ import annotations

import gzip
import pathlib
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

import syncclient
from syncclient import ClientTimeout, Session, TCPConnector
from syncclient._async.session import AsyncSession
from syncclient._models import ExactHead
from tests.servers.raw import RawConnection, RawServer, Script, StartRawServer

#: The lean way without a task where it needs none, the same with one, and the full way.
WAYS = ("lean", "task", "full")

#: A request: what to do with a session and the URL of the server.
Ask = Callable[[Session, str], object]


class Seen(NamedTuple):
    """All that a request came to, whichever way it went."""

    #: What each connection was sent.
    sent: list[bytes]
    outcome: object
    #: Connections that are open, and idle ones, once the request is over.
    pool: tuple[int, int]
    cookies: list[tuple[str, str]]


async def _go(resident: AsyncSession, way: str) -> None:
    resident.lean.planner.way = way
    resident.lean.on_tasks = way == "task"


async def _served(resident: AsyncSession) -> tuple[int, int]:
    return resident.lean.served, resident.lean.taskless


def response_seen(response: syncclient.Response) -> object:
    """The response, with all of its body, as plain values."""
    try:
        body: object = response.read()
    except syncclient.ClientError as exc:
        body = error_seen(exc)
    return (
        response.method,
        str(response.url),
        str(response.real_url),
        response.status,
        response.reason,
        response.version,
        list(response.headers.items()),
        response.raw_headers,
        [(name, morsel.OutputString()) for name, morsel in response.cookies.items()],
        list(response.request_info.headers.items()),
        str(response.request_info.url),
        str(response.request_info.real_url),
        response.request_info.method,
        [
            (each.status, str(each.url), list(each.headers.items()), each.method)
            for each in response.history
        ],
        [n for n, value in response.timings._asdict().items() if value is not None]
        if response.timings
        else None,
        len(response.attempts),
        body,
    )


def error_seen(error: BaseException) -> object:
    """The error, its causes, and what it says; numbers that differ from run to run left out."""
    text = re.sub(r"after [0-9.]+ s", "after S", str(error))
    cause = error.__cause__
    return type(error), text, None if cause is None else type(cause)


@contextmanager
def server(
    *scripts: Script, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[RawServer, list[bytes]]]:
    """A server that keeps what each connection was sent."""
    sent: list[bytes] = []

    def keeping(script: Script) -> Script:
        def play(conn: RawConnection) -> None:
            at = len(sent)
            sent.append(b"")
            receive = conn._receive

            def received() -> bytes:
                data = receive()
                sent[at] += data
                return data

            conn._receive = received  # type: ignore[method-assign]
            script(conn)

        return play

    with RawServer(*map(keeping, scripts), tls=tls) as wire:
        yield wire, sent


def seen(way: str, ask: Ask, *scripts: Script, tls: Any = None, **options: Any) -> Seen:
    """What ``ask`` comes to, the one way or the other."""
    with server(*scripts, tls=tls) as (wire, sent), Session(**options) as session:
        session._portal.call(_go, way)
        try:
            given = ask(session, wire.url)
            outcome = response_seen(given) if isinstance(given, syncclient.Response) else given
            if isinstance(given, list):
                outcome = [response_seen(each) for each in given]
        except Exception as exc:
            outcome = error_seen(exc)
        pool = session._portal.call(AsyncSession.ask_pool, lambda pool: pool.snapshot())
        cookies = [(each.key, each.value) for each in session.cookie_jar]
        served, taskless = session._portal.call(_served)
        assert bool(served) == (way != "full"), f"{served} hops went the lean way"
        assert not taskless or way == "lean"
        port = str(wire.port).encode()
        plain = [data.replace(port, b"PORT") for data in sent]
        text = repr(outcome).replace(port.decode(), "PORT")
        return Seen(plain, text, (pool.open, pool.idle), cookies)


def both(ask: Ask, *scripts: Script, tls: Any = None, **options: Any) -> Seen:
    """What ``ask`` comes to, after a look that it is the same on all ways."""
    lean, task, full = (seen(way, ask, *scripts, tls=tls, **options) for way in WAYS)
    assert lean == full
    assert task == full
    return lean


def answering(*answers: bytes, close: bool = False) -> Script:
    """Answer one request after another with these bytes."""

    def script(conn: RawConnection) -> None:
        for answer in answers:
            conn.read_request()
            conn.send(answer)
        if close:
            conn.close()
        else:
            conn.read_to_end()

    return script


def ok(body: bytes = b"{}", headers: bytes = b"", status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n" % len(body)
    return head + headers + b"\r\n" + body


GET: Ask = lambda session, url: session.get(url)  # noqa: E731

REQUESTS: Mapping[str, Ask] = {
    "get": GET,
    "head": lambda s, u: s.head(u),
    "options": lambda s, u: s.options(u),
    "delete": lambda s, u: s.delete(u),
    "post": lambda s, u: s.post(u),
    "put": lambda s, u: s.put(u, data=b""),
    "patch": lambda s, u: s.patch(u, data=b"body"),
    "trace": lambda s, u: s.request("TRACE", u),
    "own method": lambda s, u: s.request("PURGE", u),
    "json": lambda s, u: s.post(u, json={"a": [1, "é"]}),
    "form": lambda s, u: s.post(u, data={"a": "1", "b": "é"}),
    "text": lambda s, u: s.post(u, data="é", headers={"Content-Type": "text/x"}),
    "bytearray": lambda s, u: s.put(u, data=bytearray(b"abc")),
    "get with a body": lambda s, u: s.get(u, data=b"x"),
    "length of its own": lambda s, u: s.post(u, data=b"abc", headers={"content-length": "3"}),
    "params": lambda s, u: s.get(u + "/a b?x=1", params={"q": "ü", "r": ["1", "2"]}),
    "fragment": lambda s, u: s.get(u + "/a#b"),
    "headers": lambda s, u: s.get(u, headers=[("X-A", "1"), ("x-a", "2"), ("accept", "x")]),
    "header beyond ASCII": lambda s, u: s.get(u, headers={"X-A": "é"}),
    "host": lambda s, u: s.get(u, headers={"host": "example.com"}),
    "cookies": lambda s, u: s.get(u, cookies={"a": "1", "b": 'x "y'}),
    "cookies twice": lambda s, u: s.get(u, cookies=[("a", "1"), ("b", "2"), ("a", "3")]),
    "own cookie": lambda s, u: s.get(u, headers={"Cookie": "a=b"}),
    "auth": lambda s, u: s.get(u, auth=("user", "påss")),
    "auth with a body": lambda s, u: s.post(u, json=1, auth=("user", "pass")),
    "skipped headers": lambda s, u: s.post(
        u, data=b"x", skip_auto_headers=["user-agent", "Content-Type"]
    ),
    "timings": lambda s, u: s.get(u, timings=True),
    "raise_for_status": lambda s, u: s.get(u, raise_for_status=True),
    "limits": lambda s, u: s.get(u, read_bufsize=1, max_field_size=1000, max_headers=9),
    "not to be decompressed": lambda s, u: s.get(u, auto_decompress=False),
    "submit": lambda s, u: s.submit("GET", u).result(),
    "map": lambda s, u: list(s.map([u], concurrency=1)),
}

ANSWERS: Mapping[str, bytes] = {
    "small": ok(b'{"a": 1}', b"Content-Type: application/json\r\nSet-Cookie: a=b; Path=/\r\n"),
    "empty": ok(b""),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    "404": ok(b"no", status=b"404 Not\xc3\xa9 F\xe9und"),
    "early hints": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    + ok(),
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: y\r\n\r\n",
    "gzip": ok(gzip.compress(b"hello" * 99, mtime=0), b"Content-Encoding: gzip\r\n"),
    "cut gzip": ok(gzip.compress(b"hello" * 99, mtime=0)[:-3], b"Content-Encoding: gzip\r\n"),
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    "chunks and a length": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n"
    b"\r\n2\r\nab\r\n0\r\n\r\n",
    "close": ok(headers=b"Connection: close\r\n"),
    "1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "too much": ok() + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "rubbish": b"\x00\x01 nonsense\r\n\r\n",
    "long header": ok(headers=b"X: " + b"a" * 110_000 + b"\r\n"),
    "many headers": ok(headers=b"X: a\r\n" * 5100),
    "huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
    "odd cookies": ok(headers=b"Set-Cookie: x\r\nSet-Cookie: \xe9=1\r\nSet-Cookie: =v\r\n"),
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
}


def heads_of(answer: bytes) -> bytes:
    """An answer without its body, as to HEAD."""
    heads = re.match(rb"(?s)(HTTP/1.1 1.*?\r\n\r\n)*.*?\r\n\r\n", answer)
    assert heads is not None
    return heads[0]


@pytest.mark.parametrize("name", REQUESTS)
def test_requests(name: str) -> None:
    """The same bytes are sent, in the same order, and the same comes of the answer."""
    both(REQUESTS[name], answering(ANSWERS["small"]))


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_answers(name: str, method: str) -> None:
    """Heads and bodies of all kinds come to the same response or error, and state of the pool."""
    answer = ANSWERS[name]
    if name == "switching":
        both(lambda s, u: s.request(method, u).status, answering(answer, close=True))
    elif method == "HEAD":
        both(lambda s, u: s.head(u), answering(heads_of(answer)))
    else:
        both(lambda s, u: s.request(method, u), answering(answer))


OPTIONS: Mapping[str, dict[str, Any]] = {
    "headers": {"headers": {"X-Session": "1", "User-Agent": "me"}},
    "auth": {"auth": ("user", "pass")},
    "skipped": {"skip_auto_headers": ["Accept"]},
    "limits": {"max_field_size": 500, "max_headers": 9, "read_bufsize": 1},
    "timings": {"timings": True},
    "max_body": {"max_body": 1},
    "raising": {"raise_for_status": True},
    "no timeout": {"timeout": None},
    "cookies": {"cookies": {"a": "b", "c": "d e"}},
    "environment": {"trust_env": True},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_settings(name: str) -> None:
    """The settings of a session count on both ways."""
    both(lambda s, u: s.post(u, json=[]), answering(ANSWERS["small"]), **OPTIONS[name])


def test_cookies_of_a_request_beside_those_of_the_jar() -> None:
    """Cookies given for one request replace those of the jar with the same names."""
    seen = both(
        lambda s, u: s.get(u, cookies={"c": "own", "d": "1"}),
        answering(ANSWERS["small"]),
        cookies={"a": "b", "c": "d e"},
    )
    assert b"\r\nCookie: a=b; c=own; d=1\r\n" in seen.sent[0]


def test_credentials_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Where the environment has no proxy for a URL, its credentials for it are sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password pw")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    seen = both(GET, answering(ANSWERS["small"]), trust_env=True)
    assert b"\r\nAuthorization: Basic " in seen.sent[0]


def exactly(
    fields: Sequence[tuple[str, str]],
    octets: bytes | None = None,
    method: str = "GET",
    **options: Any,
) -> Ask:
    """A request whose head is to be sent to the letter, as the doors make it."""

    def ask(session: Session, url: str) -> object:
        options["exact"] = ExactHead(CIMultiDict(fields), octets)
        reply = session._portal.call(
            AsyncSession.fetch, method, URL(url), ClientTimeout(), dict(options)
        )
        return reply.head.status, list(reply.head.request_info.headers.items()), reply.body

    return ask


EXACT: Mapping[str, Ask] = {
    "duplicates": exactly([("x-LOW", "1"), ("Host", "h"), ("X-Low", "é"), ("x-low", "")]),
    "cookies": exactly([("Cookie", "b=2"), ("Cookie", "a=1")], cookies=[]),
    "octets": exactly([("X", "é")], b"GET * HTTP/1.1\r\nX: \xe9\r\n\r\n"),
    "a body": exactly([("content-length", "3")], method="PUT", data=b"abc"),
    "a body behind octets": exactly(
        [("Content-Length", "3")], b"PUT /x HTTP/1.1\r\ncontent-LENGTH: 3\r\n\r\n", data=b"abc"
    ),
    "a method that has a body": exactly([("X", "1")], method="POST"),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_heads(name: str) -> None:
    """Heads to be sent to the letter are, beside whatever the session would add."""
    seen = both(
        EXACT[name], answering(ANSWERS["small"]), cookies={"s": "1"}, headers={"X-Session": "1"}
    )
    assert b"X-Session" not in seen.sent[0]


def test_connectors() -> None:
    """A connector that keeps no connection alive says so in the head."""
    both(GET, answering(ok()), connector=TCPConnector(force_close=True))
    both(EXACT["duplicates"], answering(ok()), connector=TCPConnector(force_close=True))


def test_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """Over TLS as well."""
    seen = both(
        lambda s, u: [s.get(u, ssl=client_tls) for _ in range(2)],
        answering(*[ANSWERS["small"]] * 2),
        tls=server_tls,
    )
    assert len(seen.sent) == 1
    both(GET, answering(), tls=server_tls)  # whose certificate is not trusted


def test_cookies_and_connections_are_used_again() -> None:
    """The second request has the cookies of the first answer, on its connection."""
    seen = both(lambda s, u: [s.get(u), s.get(u)], answering(*[ANSWERS["small"]] * 2))
    [sent] = seen.sent
    assert sent.count(b"\r\nCookie: a=b\r\n") == 1
    assert seen.pool == (1, 1)


@pytest.mark.parametrize("kind", [list, iter])
def test_json_without_a_content_type(kind: Callable[[list[str]], Any]) -> None:
    """A Content-Type that is to be skipped is not sent with JSON, however the names are given."""

    def ask(session: Session, url: str) -> object:
        return session.post(url, json=1, skip_auto_headers=kind(["content-type"]))

    saw = both(ask, answering(ok()))
    assert b"content-type" not in saw.sent[0].lower()


def test_each_request_has_a_head_of_its_own() -> None:
    """Requests for one URL differ in cookies, body or credentials; none takes another's head."""
    asks: list[Ask] = [
        lambda s, u: s.post(u, data=b"abc"),
        lambda s, u: s.post(u, data=b"xyz"),
        lambda s, u: s.post(u, data="abc"),
        lambda s, u: s.post(u, data=b"abcd"),
        lambda s, u: s.post(u),
        lambda s, u: s.post(u, data=b"abcd", cookies={"a": "1"}),
        lambda s, u: s.post(u, data=b"abcd", cookies={"a": "2"}),
        lambda s, u: s.post(u, data=b"abcd", auth=("user", "pass")),
        lambda s, u: s.post(u, data=b"abcd", headers={"X-A": "1"}),
        lambda s, u: s.post(u, data=b"abcd", skip_auto_headers=["Content-Type"]),
        lambda s, u: s.post(u),
        GET,
        lambda s, u: s.get(u + "/other"),
        lambda s, u: s.get(u, cookies={"a": "1"}),
        lambda s, u: s.get(u, auth=("user", "pass")),
        lambda s, u: s.get(u, max_headers=50),
        GET,
    ]
    saw = both(lambda s, u: [ask(s, u) for ask in asks], answering(*[ok()] * len(asks)))
    assert saw.sent[0].count(b" HTTP/1.1\r\n") == len(asks)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_redirects(status: int, method: str) -> None:
    """Redirects lead to the same requests, history and cookies."""
    there = b"Location: /there?a=%C3%A9\r\nSet-Cookie: r=1\r\n"
    moved = ok(b"gone", there, b"%d Moved" % status)
    seen = both(
        lambda s, u: s.request(
            method, u, data=b"body" if method == "POST" else None, auth=("u", "p")
        ),
        answering(moved, ok()),
    )
    assert b" /there?a=%C3%A9 " in b"".join(seen.sent)
    both(lambda s, u: s.get(u, max_redirects=1), answering(moved, moved))
    both(lambda s, u: s.request(method, u, allow_redirects=False), answering(moved))


def closing(conn: RawConnection) -> None:
    conn.read_request()
    conn.close()


def resetting(conn: RawConnection) -> None:
    conn.read_request()
    conn.reset()


def once(then: Script) -> Script:
    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(ok())
        then(conn)

    return script


def breaking_off(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(ok(b"x" * 10)[:-5])
    conn.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("end", [closing, resetting, breaking_off])
def test_broken_connections(end: Script, method: str) -> None:
    """A second attempt is made where it may be, and nowhere else; the errors are the same."""

    def ask(session: Session, url: str) -> syncclient.Response:
        return session.request(method, url)

    def twice(session: Session, url: str) -> list[syncclient.Response]:
        return [session.get(url), session.request(method, url)]

    both(ask, end)
    both(twice, once(end), answering(ok()))
    both(twice, once(end), end)
    both(twice, once(end), answering(ok()), retry=syncclient.Retry(attempts=2, backoff=0))


def stalling(conn: RawConnection) -> None:
    conn.read_request()
    conn.stall()


def stalling_in_body(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(ok(b"x" * 10)[:-5])
    conn.stall()


@pytest.mark.parametrize(
    "timeout",
    [ClientTimeout(total=0.4), ClientTimeout(sock_read=0.4), ClientTimeout(total=0.5, sock_read=9)],
)
@pytest.mark.parametrize(
    "script",
    [stalling, stalling_in_body, once(stalling), once(stalling_in_body)],
    ids=["head", "body", "second head", "second body"],
)
def test_timeouts(timeout: ClientTimeout, script: Script) -> None:
    """Each timeout is the same error, with the same phase."""

    def ask(session: Session, url: str) -> object:
        if script not in (stalling, stalling_in_body):
            session.get(url).read()
        return session.get(url, timeout=timeout)

    seen = both(ask, script)
    assert "TimeoutError" in str(seen.outcome)


def test_waits_for_the_pool_and_deadlines() -> None:
    """So are the wait for a free connection, and the end of a timeout() block."""

    def full(session: Session, url: str) -> object:
        with session.get(url) as held:
            assert held.status == 200
            return session.get(url, timeout=ClientTimeout(connect=0.2))

    connector = TCPConnector(limit=1)
    seen = both(full, stalling_in_body, connector=connector)
    assert "PoolTimeoutError" in str(seen.outcome)

    def late(session: Session, url: str) -> object:
        with syncclient.timeout(0.2):
            return session.get(url)

    assert "DeadlineError" in str(both(late, stalling).outcome)


def test_nothing_listens(unused_port: int) -> None:
    """What cannot be connected to is the same error."""
    both(lambda s, u: s.get(f"http://127.0.0.1:{unused_port}"), answering())
    both(lambda s, u: s.get("http://nowhere.invalid"), answering())


@pytest.fixture
def unused_port(raw_server: StartRawServer) -> int:
    with RawServer(answering()) as wire:
        return wire.port


# -- whatever comes ------------------------------------------------------------------

_tokens = st.text("abXY09-_", min_size=1, max_size=8)
_values = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=12).map(
    str.strip
)
_bodies = st.one_of(
    st.none(), st.binary(max_size=40), st.dictionaries(_tokens, _values, max_size=3)
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"]),
    path=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10),
    headers=st.lists(st.tuples(_tokens.map("X-{}".format), _values), max_size=4),
    session_headers=st.dictionaries(_tokens.map("Y-{}".format), _values, max_size=2),
    data=_bodies,
    cookies=st.dictionaries(_tokens, _tokens, max_size=2),
)
def test_whatever_is_sent(
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    session_headers: dict[str, str],
    data: Any,
    cookies: dict[str, str],
) -> None:
    """Random methods, paths, headers, bodies and cookies are the same bytes on the wire."""
    both(
        lambda s, u: s.request(method, f"{u}/{path}", headers=headers, data=data),
        answering(ok(b"")),
        headers=session_headers,
        cookies=cookies,
    )


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PURGE"]),
    headers=st.lists(st.tuples(_tokens, _values), min_size=1, max_size=5),
    data=st.none() | st.binary(max_size=40),
)
def test_whatever_is_sent_to_the_letter(
    method: str, headers: list[tuple[str, str]], data: bytes | None
) -> None:
    """Random exact heads are the same bytes on the wire."""
    if data is not None:
        headers = [*headers, ("Content-Length", str(len(data)))]
    both(
        exactly(headers, method=method, **({} if data is None else {"data": data})),
        answering(ok(b"")),
    )


_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
_FOLLOWING = [
    *(ANSWERS[n] for n in ("small", "empty", "204", "404", "early hints", "gzip", "cut gzip")),
    *(_CHUNKS, b"HTTP/1.1 304 Not Modified\r\n\r\n", ok(b"x" * 200_000)),
    *(ANSWERS[n] for n in ("two lengths", "close", "too much", "rubbish")),
]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    exchanges=st.lists(
        st.tuples(
            st.sampled_from(["GET", "GET", "POST", "HEAD"]),
            st.sampled_from(_FOLLOWING),
            st.sampled_from([{}, {}, {"max_headers": 50}]),
        ),
        min_size=2,
        max_size=6,
    )
)
def test_whatever_follows_on_a_connection(
    exchanges: list[tuple[str, bytes, dict[str, Any]]],
) -> None:
    """What comes of a response does not depend on those before it on its connection."""
    answers = [heads_of(answer) if method == "HEAD" else answer for method, answer, _ in exchanges]

    def ask(session: Session, url: str) -> object:
        outcome = []
        for method, _, options in exchanges:
            try:
                outcome.append(response_seen(session.request(method, url, **options)))
            except syncclient.ClientError as exc:
                outcome.append(error_seen(exc))
        return tuple(outcome)

    remaining = iter(answers)

    def script(conn: RawConnection) -> None:
        # Goes on where a connection before was closed.
        while True:
            conn.read_request()
            conn.send(next(remaining, ok()))

    outcomes = []
    for way in WAYS:
        remaining = iter(answers)
        outcomes.append(seen(way, ask, *[script] * (len(exchanges) + 2)))
    assert outcomes[0] == outcomes[2]
    assert outcomes[1] == outcomes[2]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    answer=st.sampled_from(list(ANSWERS.values())[:14]),
    at=st.integers(0, 120),
    byte=st.binary(max_size=2),
    lost=st.integers(0, 3),
    method=st.sampled_from(["GET", "POST"]),
)
def test_whatever_is_answered(answer: bytes, at: int, byte: bytes, lost: int, method: str) -> None:
    """Answers with some of their bytes changed come to the same, right or wrong."""
    at = min(at, len(answer))
    spoilt = answer[:at] + byte + answer[at + lost :]

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(spoilt)
        conn.half_close()
        conn.read_to_end()

    both(lambda s, u: s.request(method, u), script)
