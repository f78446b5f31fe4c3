"""Retries: what is tried again and what is not, when, and what is told of it."""

from __future__ import annotations

import asyncio
import io
import itertools
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import aiohttp
import pytest

import syncclient
from syncclient import Retry, Session, TCPConnector
from syncclient._async.exchange.retry import retry_after
from syncclient._async.session import AsyncSession
from tests.bounds import UNASKED
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, Script, StartRawServer
from tests.servers.scripts import hang_up, never_answer

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs

#: Quick enough for a test, and without chance.
QUICK = Retry(backoff=0.01, jitter=0)


def answers(*statuses: int, headers: tuple[tuple[str, str], ...] = ()) -> Script:
    """Answer one request after the other with the next status; the last one is for all others."""
    left = itertools.chain(statuses, itertools.repeat(statuses[-1]))

    def script(conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            status = next(left)
            conn.respond(request.body, status=f"{status} Reason", headers=headers)

    return script


def statuses(attempts: tuple[syncclient.Attempt, ...]) -> list[int | None]:
    return [attempt.status for attempt in attempts]


# What is tried again.


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_passing_status_is_tried_again(raw_server: StartRawServer, status: int) -> None:
    """A request that gets there in the end is a success, which tells of the failures before."""
    wire = raw_server(answers(status, status, 200))
    with Session(retry=QUICK) as session:
        response = session.get(wire.url)
    assert response.status == 200
    assert statuses(response.attempts) == [status, status, 200]
    assert [attempt.number for attempt in response.attempts] == [1, 2, 3]
    assert len(wire.requests) == 3


@pytest.mark.parametrize("status", [400, 404, 500, 501])
def test_a_lasting_status_is_taken_as_it_is(raw_server: StartRawServer, status: int) -> None:
    """What the same request would get again is not asked for again."""
    wire = raw_server(answers(status))
    with Session(retry=QUICK) as session:
        assert session.get(wire.url).status == status
    assert len(wire.requests) == 1


def test_a_broken_connection_is_tried_again(raw_server: StartRawServer) -> None:
    """A server that hangs up twice is asked a third time."""
    wire = raw_server(hang_up, hang_up, answers(200))
    with Session(retry=QUICK) as session:
        response = session.get(wire.url)
    assert [attempt.error for attempt in response.attempts] == (
        ["ServerDisconnectedError", "ServerDisconnectedError", ""]
    )


def test_a_step_s_timeout_is_tried_again(raw_server: StartRawServer) -> None:
    """A server that says nothing for sock_read seconds may answer the next time."""
    wire = raw_server(never_answer, answers(200))
    with Session(retry=QUICK, timeout=syncclient.ClientTimeout(sock_read=0.05)) as session:
        response = session.get(wire.url)
    assert [attempt.error for attempt in response.attempts] == ["ReadTimeoutError", ""]


def test_an_untrusted_certificate_is_not_tried_again(tls_app: AppServer) -> None:
    """The next certificate would be the same one."""
    with Session(retry=QUICK) as session:
        with pytest.raises(syncclient.ClientConnectorCertificateError) as caught:
            session.get(tls_app.url)
    assert len(caught.value.attempts) == 1


def test_a_session_without_a_policy_tries_once(raw_server: StartRawServer) -> None:
    """Nothing is tried again that nobody asked for, and there are no attempts to tell of."""
    wire = raw_server(answers(503))
    with Session() as session:
        assert session.get(wire.url).attempts == ()
    assert len(wire.requests) == 1


def test_a_request_s_own_policy_goes_first(raw_server: StartRawServer) -> None:
    """retry= of a request overrides the session's, and None switches it off."""
    wire = raw_server(answers(503))
    with Session(retry=QUICK) as session:
        session.get(wire.url, retry=None)
        assert len(wire.requests) == 1
        session.get(wire.url, retry=Retry(2, backoff=0))
        assert len(wire.requests) == 3
    with Session() as session:
        session.get(wire.url, retry=QUICK)
        assert len(wire.requests) == 6


# How it ends.


def test_the_last_response_comes_back(raw_server: StartRawServer) -> None:
    """When the attempts are used up, the last response is the result, to be read as any other."""

    def refuse(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            conn.respond(b"x" * 100_000, status="503 Busy")

    wire = raw_server(refuse)
    with Session(retry=QUICK) as session:
        response = session.get(wire.url)
        assert (response.status, len(response.read())) == (503, 100_000)
    assert statuses(response.attempts) == [503, 503, 503]


def test_the_final_error_carries_the_attempts(raw_server: StartRawServer) -> None:
    """The last attempt's own error is raised, and tells what the others came to."""
    wire = raw_server(refuse_early, hang_up)
    with Session(retry=QUICK) as session:
        with pytest.raises(syncclient.ServerDisconnectedError) as caught:
            session.get(wire.url)
    attempts = caught.value.attempts  # type: ignore[attr-defined]  # put there by Retry
    assert statuses(attempts) == [503, None, None]
    assert attempts[-1].error == "ServerDisconnectedError"
    assert attempts[-1].message == str(caught.value)
    assert 0 < sum(attempt.seconds for attempt in attempts) < WITHIN
    note = "after 3 attempts: 503, ServerDisconnectedError, ServerDisconnectedError"
    assert getattr(caught.value, "__notes__", [note]) == [note]  # Python 3.11 and later
    copy = pickle.loads(pickle.dumps(caught.value))
    assert copy.attempts == attempts


def test_raise_for_status_carries_the_attempts(raw_server: StartRawServer) -> None:
    """The error of raise_for_status() also has the list of attempts."""
    wire = raw_server(answers(503, 502, 504))
    with Session(retry=QUICK) as session:
        with pytest.raises(syncclient.ClientResponseError) as caught:
            session.get(wire.url, raise_for_status=True)
        with pytest.raises(syncclient.ClientResponseError) as again:
            session.get(wire.url).raise_for_status()
    assert statuses(caught.value.attempts) == [503, 502, 504]  # type: ignore[attr-defined]  # as above
    assert statuses(again.value.attempts) == [504] * 3  # type: ignore[attr-defined]  # as above


def test_each_attempt_is_traced(raw_server: StartRawServer) -> None:
    """Tracers see every attempt begin and end, with the context of the request."""
    seen: list[str] = []
    tracing = aiohttp.TraceConfig()

    async def on_start(session: Any, context: Any, params: Any) -> None:
        seen.append(f"start {context.trace_request_ctx}")

    async def on_end(session: Any, context: Any, params: Any) -> None:
        seen.append(f"end {params.response.status}")

    tracing.on_request_start.append(on_start)
    tracing.on_request_end.append(on_end)
    wire = raw_server(answers(503, 200))
    with Session(retry=QUICK, trace_configs=[tracing]) as session:
        session.get(wire.url, trace_request_ctx="mine")
    assert seen == ["start mine", "end 503", "start mine", "end 200"]


def test_the_engine_does_not_repeat_by_itself(raw_server: StartRawServer) -> None:
    """Under a policy, a dead kept-alive connection counts as an attempt; without, aiohttp's own
    second attempt hides it."""

    def answer_once(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond()
        conn.read_request()

    wire = raw_server(answer_once)
    with Session() as session:
        session.get(wire.url).read()
        session.get(wire.url).read()
    assert len(wire.requests) == 3
    wire = raw_server(answer_once)
    with Session(retry=QUICK) as session:
        session.get(wire.url).read()
        response = session.get(wire.url)
        assert [a.error for a in response.attempts] == ["ServerDisconnectedError", ""]
        with pytest.raises(syncclient.ServerDisconnectedError):
            session.get(wire.url, retry=None)
    assert len(wire.requests) == 4
    wire = raw_server(answer_once)
    with Session() as session:
        session.get(wire.url).read()
        response = session.get(wire.url, retry=QUICK)
        assert [a.error for a in response.attempts] == ["ServerDisconnectedError", ""]


# Methods and bodies.


def test_an_unsafe_method_must_be_asked_for(raw_server: StartRawServer) -> None:
    """POST and PATCH are sent once, unless the policy names them; PUT may be repeated."""
    for method, policy, expected in (
        ("POST", QUICK, 1),
        ("PATCH", QUICK, 1),
        ("PUT", QUICK, 3),
        ("POST", Retry(backoff=0.01, methods={"post"}), 3),
        ("GET", Retry(backoff=0.01, methods={"post"}), 1),
        ("GET", Retry(backoff=0.01, methods=Retry.IDEMPOTENT | {"POST"}), 3),
    ):
        wire = raw_server(answers(503))
        with Session(retry=policy) as session:
            session.request(method, wire.url, data=b"body").release()
        assert len(wire.requests) == expected, (method, policy)


LARGE = pattern(3_000_000)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"data": b"bytes"}, b"bytes"),
        ({"data": LARGE}, LARGE),
        ({"data": "text"}, b"text"),
        ({"json": {"a": 1}}, b'{"a": 1}'),
        ({"data": {"a": "1"}}, b"a=1"),
        ({"data": memoryview(LARGE)}, LARGE),
    ],
    ids=["bytes", "large", "str", "json", "form", "memoryview"],
)
@pytest.mark.parametrize("first", [answers(503), hang_up])
def test_a_body_is_sent_again_whole(
    raw_server: StartRawServer, first: Script, options: dict[str, Any], expected: bytes
) -> None:
    """Each attempt sends the same bytes, the first to the last."""

    def answer_503(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(status="503 Busy", headers=[("Connection", "close")])

    wire = raw_server(hang_up if first is hang_up else answer_503, answers(200))
    with Session(retry=QUICK) as session:
        assert session.put(wire.url, **options).read() == expected
    assert [request.body for request in wire.requests] == [expected] * 2


def refuse_early(conn: RawConnection) -> None:
    """Answer 503 when only the head of the request is here."""
    conn.read_head()
    conn.respond(status="503 Busy", headers=[("Connection", "close")])


def close_early(conn: RawConnection) -> None:
    """Hang up when only the head of the request is here."""
    conn.read_head()
    conn.reset()


@pytest.mark.parametrize("first", [refuse_early, close_early, hang_up])
def test_a_file_is_rewound(raw_server: StartRawServer, first: Script) -> None:
    """A seekable file is sent again from where it stood, however much of it was read."""
    file = io.BytesIO(b"skipped" + LARGE)
    file.seek(7)
    wire = raw_server(first, answers(200))
    with Session(retry=QUICK) as session:
        response = session.put(wire.url, data=file)
        assert response.read() == LARGE
    assert len(response.attempts) == 2
    assert file.tell() == 7 + len(LARGE)


@pytest.mark.parametrize("first", [refuse_early, close_early, hang_up])
def test_a_form_with_a_file_is_sent_again(raw_server: StartRawServer, first: Script) -> None:
    """Multipart bodies go again as a whole, if their parts can."""
    wire = raw_server(first, answers(200))
    with Session(retry=QUICK) as session:
        form = syncclient.FormData()
        form.add_field("name", "value")
        form.add_field("file", io.BytesIO(LARGE), filename="large")
        body = session.put(wire.url, data=form).read()
    assert LARGE in body
    assert b"value" in body


@pytest.mark.parametrize("first", [refuse_early, close_early, hang_up])
def test_a_generator_is_never_sent_twice(raw_server: StartRawServer, first: Script) -> None:
    """What cannot be replayed is not: the first attempt's outcome is the outcome."""
    produced = []

    def blocks() -> Iterator[bytes]:
        for number in range(3):
            produced.append(number)
            yield b"block"

    wire = raw_server(first, answers(200))
    with Session(retry=QUICK) as session:
        if first is refuse_early:
            assert session.put(wire.url, data=blocks()).status == 503
        else:
            with pytest.raises(syncclient.ClientConnectionError):
                session.put(wire.url, data=blocks())
    assert len(wire.connections) == 1
    assert len(produced) <= 3


def test_a_generator_is_not_sent_twice_even_unsent() -> None:
    """A refused connection, too, ends the request: the body has been given up by then."""
    with socket.socket() as nobody, Session(retry=QUICK) as session:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        with pytest.raises(syncclient.ClientConnectorError) as caught:
            session.put(url, data=iter([b"block"]))
        assert len(caught.value.attempts) == 1  # type: ignore[attr-defined]  # put there by Retry
        with pytest.raises(syncclient.ClientConnectorError) as again:
            session.put(url, data=io.BytesIO(b"file"))
        assert len(again.value.attempts) == 3  # type: ignore[attr-defined]  # as above


def test_what_the_user_s_code_raises_is_no_reason(raw_server: StartRawServer) -> None:
    """An exception of a body's own is the user's, even one that looks like a network's."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise syncclient.ClientConnectionError("mine")

    wire = raw_server(hang_up)
    with Session(retry=QUICK) as session:
        with pytest.raises(syncclient.ClientConnectionError, match=r"^mine$"):
            session.put(wire.url, data=Broken(b"data"))
    assert len(wire.connections) <= 1


# When.


def test_waits_grow_from_attempt_to_attempt(raw_server: StartRawServer) -> None:
    """Without jitter the waits are backoff, twice backoff, four times ..., up to max_delay."""
    wire = raw_server(answers(503))
    policy = Retry(4, backoff=0.1, jitter=0, max_delay=0.2)
    began = time.monotonic()
    with Session(retry=policy) as session:
        session.get(wire.url)
    assert 0.5 <= time.monotonic() - began < WITHIN
    assert [policy.delay(number) for number in (1, 2, 3, 5000)] == [0.1, 0.2, 0.2, 0.2]


def test_jitter_takes_away_a_part() -> None:
    """Of each wait, the part that is left to chance is spread evenly."""
    delays = [Retry(backoff=1, jitter=0.25).delay(1) for _ in range(1000)]
    assert 0.75 <= min(delays) < 0.76
    assert 0.99 < max(delays) <= 1.0


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(raw_server: StartRawServer, form: str) -> None:
    """The server is not asked again before the moment it names, in either form."""
    moment = time.time() + 2
    value = "1" if form == "seconds" else formatdate(moment, usegmt=True)
    wire = raw_server(answers(429, 200, headers=(("Retry-After", value),)))
    began = time.monotonic()
    with Session(retry=QUICK) as session:
        assert session.get(wire.url).status == 200
    took = time.monotonic() - began
    if form == "seconds":
        assert 1 <= took < WITHIN
    else:
        assert time.time() >= int(moment)  # the header has no fractions
        assert took < WITHIN


def test_retry_after_may_be_sooner_than_the_backoff(raw_server: StartRawServer) -> None:
    """A server that says 0 is asked again at once."""
    wire = raw_server(answers(503, 200, headers=(("Retry-After", "0"),)))
    began = time.monotonic()
    with Session(retry=Retry(backoff=30, jitter=0)) as session:
        assert session.get(wire.url).status == 200
    assert time.monotonic() - began < WITHIN


@pytest.mark.parametrize(
    "value",
    ["31", "9" * 5000, formatdate(time.time() + 86400, usegmt=True)],
    ids=["seconds", "many digits", "date"],
)
def test_retry_after_beyond_the_cap_ends_it(raw_server: StartRawServer, value: str) -> None:
    """A server that asks for more than max_delay gets no other request, and is believed."""
    wire = raw_server(answers(429, headers=(("Retry-After", value),)))
    began = time.monotonic()
    with Session(retry=Retry(max_delay=30)) as session:
        response = session.get(wire.url)
    assert (response.status, response.headers["Retry-After"]) == (429, value)
    assert time.monotonic() - began < WITHIN
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 10.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 10.0),
        ("Sun Nov  6 08:49:37 1994", 10.0),
        ("Sun, 06 Nov 1994 08:49:17 GMT", 0.0),
        ("Sun, 99 Nov 1994 08:49:17 GMT", None),
    ],
)
def test_retry_after_is_read(value: str | None, expected: float | None) -> None:
    """Seconds and the three forms of a date (RFC 9110, section 5.6.7); anything else is nothing."""
    assert retry_after(value, 784111767.0) == expected  # ten seconds before that date


# Limits of time.


def test_the_total_timeout_is_for_all_attempts(raw_server: StartRawServer) -> None:
    """An attempt that hangs is cut short by what the ones before have left of the time."""
    wire = raw_server(refuse_early, never_answer)
    began = time.monotonic()
    with Session(retry=Retry(backoff=0.2, jitter=0)) as session:
        with pytest.raises(syncclient.TotalTimeoutError, match=r"timeout.total is 0.5 s") as caught:
            session.get(wire.url, timeout=0.5)
    assert 0.45 <= time.monotonic() - began < UNASKED
    assert caught.value.elapsed >= 0.45
    assert statuses(caught.value.attempts) == [503, None]  # type: ignore[attr-defined]  # as above


def test_no_wait_outlasts_the_total_timeout(raw_server: StartRawServer) -> None:
    """Where the next attempt would come too late, the last response comes back at once."""
    wire = raw_server(answers(503))
    began = time.monotonic()
    with Session(retry=Retry(10, backoff=50, max_delay=50, jitter=0)) as session:
        assert session.get(wire.url, timeout=40).status == 503
    assert time.monotonic() - began < WITHIN
    assert len(wire.requests) == 1


def test_no_wait_outlasts_a_deadline(raw_server: StartRawServer) -> None:
    """The same goes for a timeout() block, which then has not expired."""
    wire = raw_server(answers(503))
    with Session(retry=Retry(10, backoff=5, jitter=0)) as session, syncclient.timeout(4) as block:
        assert session.get(wire.url).status == 503
    assert not block.expired()
    assert len(wire.requests) == 1


def test_a_deadline_cuts_an_attempt_short(raw_server: StartRawServer) -> None:
    """A later attempt is under the deadline as the first one is."""
    wire = raw_server(refuse_early, never_answer)
    with Session(retry=QUICK) as session, syncclient.timeout(0.3):
        with pytest.raises(syncclient.DeadlineError, match="while waiting for the response"):
            session.get(wire.url)
    assert len(wire.connections) == 2


# Interrupted.


def waiting_for_the_second(conn: RawConnection) -> None:
    """Refuse, then tell the test."""
    refuse_early(conn)
    conn.half_close()
    conn.stall()


def test_closing_ends_a_wait(raw_server: StartRawServer) -> None:
    """close() wakes a caller that waits for its next attempt, which is not made."""
    wire = raw_server(waiting_for_the_second)
    session = Session(retry=Retry(backoff=25, jitter=0))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(session.get, wire.url)
        wire.wait_until_stalled()
        wire.wait_until_closed()
        session.close()
        assert isinstance(waiting.exception(WITHIN), syncclient.SessionClosedError)
    assert len(wire.connections) == 1


def test_cancelling_ends_a_wait(raw_server: StartRawServer) -> None:
    """A submitted request can be cancelled between its attempts."""
    wire = raw_server(waiting_for_the_second)
    with Session(retry=Retry(backoff=25, jitter=0)) as session:
        future = session.submit("GET", wire.url)
        wire.wait_until_stalled()
        wire.wait_until_closed()
        assert future.cancel()
    assert len(wire.connections) == 1


def test_a_deadline_moved_ends_a_wait_and_says_so(raw_server: StartRawServer) -> None:
    """A wait that is cut short names itself, with what the attempts came to so far."""
    wire = raw_server(answers(503))
    tracing = aiohttp.TraceConfig()
    block = syncclient.timeout(None)

    async def on_end(session: Any, context: Any, params: Any) -> None:
        block.reschedule(None)

    async def on_start(session: Any, context: Any, params: Any) -> None:
        block.reschedule(time.monotonic() + 60)

    tracing.on_request_start.append(on_start)
    tracing.on_request_end.append(on_end)
    with (
        Session(retry=Retry(backoff=30, jitter=0), trace_configs=[tracing]) as session,
        block,
    ):
        block.reschedule(time.monotonic() + 0.3)
        back_again = threading.Timer(0.1, lambda: block.reschedule(time.monotonic()))
        back_again.start()
        with pytest.raises(syncclient.DeadlineError) as caught:
            session.get(wire.url)
        back_again.join()
    assert f"GET {wire.url} while waiting 30 s before attempt 2 of 3 (503)" in str(caught.value)


# Budgets.


def test_a_budget_is_shared_by_the_requests(raw_server: StartRawServer) -> None:
    """When the requests of a session have used it up, each is tried once."""
    wire = raw_server(answers(503))
    with Session(retry=Retry(3, backoff=0, budget=3)) as session:
        tries = [len(session.get(wire.url).attempts) for _ in range(4)]
    assert tries == [3, 2, 1, 1]


def test_successes_earn_retries(raw_server: StartRawServer) -> None:
    """Ten requests that succeed at once are good for one more retry, up to the budget."""
    wire = raw_server(answers(503, 503, *[200] * 11, 503, 200, 503))
    with Session(retry=Retry(2, backoff=0, budget=1)) as session:
        assert len(session.get(wire.url).attempts) == 2  # spends it
        for _ in range(11):
            assert session.get(wire.url).status == 200
        assert statuses(session.get(wire.url).attempts) == [503, 200]
        assert statuses(session.get(wire.url).attempts) == [503]


# With the others.


def test_submitted_requests_are_tried_again(raw_server: StartRawServer) -> None:
    """submit() reads the whole body, so a body cut short is tried again as well."""

    def cut_short(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "8")])
        conn.send(b"half")

    wire = raw_server(cut_short, answers(503), answers(200))
    with Session(retry=Retry(3, backoff=0.01)) as session:
        response = session.submit("GET", wire.url).result(WITHIN)
    assert response.attempts[0].error == "ClientPayloadError"
    assert statuses(response.attempts[1:]) == [503, 503]


def test_mapped_requests_are_tried_again(raw_server: StartRawServer) -> None:
    """A flapping server is worn down by map(), each request by its own policy."""

    def flapping(conn: RawConnection) -> None:
        for _ in range(3):
            conn.read_request()
            conn.respond(status="503 Busy")
            conn.read_request()
            conn.respond()
        conn.read_request()

    wire = raw_server(flapping)
    policy = Retry(20, backoff=0.01, jitter=1)
    with Session(retry=policy) as session:
        responses = list(session.map([wire.url] * 60, concurrency=4))
    assert [response.status for response in responses] == [200] * 60
    assert sum(len(response.attempts) for response in responses) > 60


def test_a_block_around_the_first_step_of_a_map_is_over_with_it(
    raw_server: StartRawServer,
) -> None:
    """Its deadline, once past, keeps none of the later requests from being tried again."""
    wire = raw_server(answers(200, 200, 503, 200))
    with Session(retry=QUICK) as session:
        responses = session.map([wire.url] * 3, concurrency=1)
        with syncclient.timeout(WITHIN) as block:
            next(responses)
            block.reschedule(time.monotonic())
        assert [len(response.attempts) for response in responses] == [1, 2]
    assert not block.expired()


def test_files_are_rewound_by_map(raw_server: StartRawServer) -> None:
    """A body that the caller's thread reads is read again by it, for requests of map()."""
    wire = raw_server(refuse_early, answers(200))
    asked = [{"url": wire.url, "data": io.BytesIO(LARGE)}]
    with Session(retry=QUICK) as session:
        (response,) = session.map(asked, method="PUT")
    assert response.read() == LARGE


def test_async_code_has_it_too(raw_server: StartRawServer) -> None:
    """The core retries without a thread or a face around it."""
    wire = raw_server(answers(503, 200))

    async def main() -> tuple[int, list[int | None]]:
        session = AsyncSession(
            connector=TCPConnector()._factory(),
            cookie_jar=aiohttp.CookieJar,
            retry=QUICK,
            options={},
        )
        try:
            url, timeout = syncclient.URL(wire.url), syncclient.ClientTimeout()
            reply = await session.fetch("GET", url, timeout, {})
            return reply.head.status, statuses(reply.attempts)
        finally:
            await session.aclose()

    assert asyncio.run(main()) == (200, [503, 200])


# The policy itself.


def test_a_policy_is_a_value() -> None:
    """Equal policies are equal, hash alike, and survive pickling."""
    policy = Retry(5, statuses=[500], methods=["get", "Post"], budget=10)
    assert policy == Retry(5, statuses={500}, methods=("POST", "GET"), budget=10)
    assert policy.methods == {"GET", "POST"}
    assert len({policy, Retry(5, statuses={500}, methods={"GET", "POST"}, budget=10)}) == 1
    assert pickle.loads(pickle.dumps(policy)) == policy


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ({"attempts": 0}, ValueError),
        ({"attempts": 1.5}, TypeError),
        ({"attempts": True}, TypeError),
        ({"statuses": 503}, TypeError),
        ({"statuses": ["503"]}, TypeError),
        ({"methods": "POST"}, TypeError),
        ({"methods": [1]}, TypeError),
        ({"backoff": -1}, ValueError),
        ({"backoff": float("nan")}, ValueError),
        ({"backoff": "1"}, TypeError),
        ({"jitter": 1.1}, ValueError),
        ({"max_delay": None}, TypeError),
        ({"budget": -1}, ValueError),
        ({"budget": 0.5}, TypeError),
    ],
)
def test_a_wrong_policy_is_refused(argument: dict[str, Any], error: type[Exception]) -> None:
    """What is wrong is said where the policy is made, by the name of the argument."""
    with pytest.raises(error, match=next(iter(argument))):
        Retry(**argument)


def test_something_else_for_a_policy_is_refused() -> None:
    """retry= takes a Retry or a number, and says so, for a session and for a request."""
    with pytest.raises(TypeError, match=r"must be a syncclient\.Retry"):
        Session(retry="3")  # type: ignore[arg-type]  # the point of the test
    with Session() as session, pytest.raises(TypeError, match=r"must be a syncclient\.Retry"):
        session.get("http://127.0.0.1/", retry=True)
    with pytest.raises(ValueError, match="retry must be 0 or more"):
        Session(retry=-1)


def test_a_keyword_of_urllib3s_policy_names_ours() -> None:
    """Retry(total=3) says that it is attempts=, and a positional number means attempts."""
    with pytest.raises(TypeError, match="Retry takes no keyword 'total'; write attempts="):
        Retry(total=3)  # type: ignore[call-arg]  # the mistake
    assert Retry(4) == Retry(attempts=4)
