"""Session.map: many requests at a time from one thread."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import syncclient
from syncclient import Request, Response, Session
from tests.children import RunChild
from tests.servers.journal import Stats
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer
from tests.servers.scripts import never_answer

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs


def number_of(response: Response) -> int:
    """The ``n`` that the request asked with."""
    return int(dict(response.json()["args"])["n"])


# Results.


@pytest.mark.parametrize("concurrency", [1, 7, 100])
def test_every_request_has_its_response(session: Session, concurrency: int) -> None:
    """By default the responses come in the order of the requests, and are read whole."""
    urls = (f"/anything?n={n}" for n in range(300))
    responses = list(session.map(urls, concurrency=concurrency))
    assert [number_of(response) for response in responses] == list(range(300))
    assert all(response.closed for response in responses)


def test_order_is_kept_where_later_ones_end_first(session: Session) -> None:
    """A slow first request holds back the others' responses, not the others."""
    urls = ["/delay/0.2?n=0", "/anything?n=1", "/anything?n=2"]
    assert [number_of(response) for response in session.map(urls)] == [0, 1, 2]


def test_unordered_responses_come_as_they_end(session: Session) -> None:
    """With ordered=False the slow one comes last."""
    urls = ["/delay/0.3?n=0", "/anything?n=1", "/anything?n=2"]
    numbers = [number_of(response) for response in session.map(urls, ordered=False)]
    assert sorted(numbers[:2]) == [1, 2]
    assert numbers[2:] == [0]


def test_no_requests_no_responses(session: Session) -> None:
    """An empty iterable ends the iteration without a crossing."""
    assert list(session.map([])) == []
    assert session._portal.crossings == 0


def test_the_iteration_stays_over(session: Session) -> None:
    """An iterator that has ended has ended for good, closed or not."""
    responses = session.map(["/get"])
    assert [response.status for response in responses] == [200]
    assert next(responses, None) is None
    responses.close()
    assert next(responses, None) is None


def test_large_bodies_are_read_whole(session: Session) -> None:
    """Bodies that do not come along with their head are here too, and cost no crossing."""
    for response in session.map(["/bytes/1000000"] * 5):
        crossings = session._portal.crossings
        assert len(response.read()) == 1_000_000
        assert session._portal.crossings == crossings


# Requests.


def test_each_kind_of_request(session: Session) -> None:
    """URLs, pairs, mappings and Requests mix; what one has of its own overrides the rest."""
    asked: list[Any] = [
        "/anything?n=0",
        syncclient.URL("/anything?n=1"),
        ("POST", "/anything?n=2"),
        {"url": "/anything?n=3", "tag": "third", "json": {"three": 3}},
        {"url": "/anything?n=4", "method": "PUT", "headers": {"X-Own": "mapping"}},
        Request("PATCH", "/anything", tag=5, params={"n": "5"}, headers={"X-Own": "request"}),
    ]
    responses = list(session.map(asked, method="DELETE", headers={"X-Own": "all"}))
    echoes = [response.json() for response in responses]
    assert [echo["method"] for echo in echoes] == (
        ["DELETE", "DELETE", "POST", "DELETE", "PUT", "PATCH"]
    )
    assert [dict(echo["headers"])["X-Own"] for echo in echoes] == (
        ["all", "all", "all", "all", "mapping", "request"]
    )
    assert [dict(echo["args"])["n"] for echo in echoes] == ["0", "1", "2", "3", "4", "5"]
    assert [response.tag for response in responses] == [None, None, None, "third", None, 5]
    assert echoes[3]["json"] == {"three": 3}


def test_requests_do_not_meddle_with_each_other(
    app: AppServer, unix_app: tuple[AppServer, Path]
) -> None:
    """A request to a Unix socket leaves the next one, in the same slot, its own way."""
    other, path = unix_app
    by_name = app.url.replace("127.0.0.1", "localhost")
    over_unix = f"http+unix://{quote(str(path), safe='')}/anything?n=unix"
    before = app.stats().requests, other.stats().requests
    with Session() as session:
        asked = [over_unix, f"{by_name}/anything?n=tcp"] * 3
        echoes = [response.json() for response in session.map(asked, concurrency=1)]
    assert [dict(echo["args"])["n"] for echo in echoes] == ["unix", "tcp"] * 3
    assert (app.stats().requests, other.stats().requests) == (before[0] + 3, before[1] + 3)


def test_the_session_s_settings_apply(app: AppServer) -> None:
    """Headers and base_url are the session's, as with request()."""
    with Session(app.url, headers={"X-Session": "yes"}) as session:
        (response,) = session.map(["/anything"])
    assert dict(response.json()["headers"])["X-Session"] == "yes"


@pytest.mark.parametrize("one", ["http://127.0.0.1/", {"url": "/"}, Request("GET", "/")])
def test_one_request_in_place_of_many_is_refused(session: Session, one: Any) -> None:
    """A URL is an iterable, too: of characters. map() says what to write instead."""
    with pytest.raises(TypeError, match=r"write \[request\]"):
        session.map(one)


@pytest.mark.parametrize("wrong", [5, None])
def test_what_is_no_iterable_is_refused_by_name(session: Session, wrong: Any) -> None:
    """As the argument that it is."""
    with pytest.raises(TypeError, match=f"requests must be .* not {type(wrong).__name__}"):
        session.map(wrong)


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"concurrency": 1.5}, {"data": iter(b"")}])
def test_wrong_arguments_are_refused_at_once(session: Session, wrong: dict[str, Any]) -> None:
    """map() itself raises, and not the first step of the iteration."""
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        session.map(["/get"], **wrong)


WRONG: list[Any] = [
    3,
    None,
    ("GET", "/", "/"),
    {"method": "GET"},
    {"url": "/get", "stall": 1},
    "http://",
    "ftp://host/",
    (7, "/get"),
]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_request_of_the_wrong_shape_names_its_index(
    session: Session, wrong: Any, ordered: bool
) -> None:
    """The error says which one it was; the ones before it have had their turn, in order."""
    responses = session.map(["/get", wrong, "/get"], ordered=ordered)
    before = [] if not ordered else [next(responses).status]
    errors = (TypeError, ValueError, syncclient.NonHttpUrlClientError)
    with pytest.raises(errors, match=r"requests\[1\]"):
        list(responses)
    assert before == ([200] if ordered else [])
    assert next(responses, None) is None


def test_with_return_exceptions_the_rest_goes_on(session: Session) -> None:
    """Errors come in their places, with the tags of their requests."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
        asked = [
            "/get",
            3,
            {"url": closed, "tag": "refused"},
            {"url": "/status/404", "tag": "missing", "raise_for_status": True},
            {"url": "/get", "tag": "fine"},
        ]
        results = list(session.map(asked, return_exceptions=True))  # type: ignore[arg-type]  # 3
    kinds = [Response, TypeError, syncclient.ClientConnectorError, syncclient.ClientResponseError]
    assert all(map(isinstance, results, kinds := [*kinds, Response]))
    assert len(results) == len(kinds)
    assert [getattr(result, "tag", None) for result in results] == (
        [None, None, "refused", "missing", "fine"]
    )


def test_an_error_raised_carries_its_tag(session: Session) -> None:
    """Without return_exceptions, too, one can tell whose error it is."""
    asked = Request("GET", "/status/500", tag="mine", raise_for_status=True)
    with pytest.raises(syncclient.ClientResponseError) as caught:
        list(session.map([asked]))
    assert caught.value.tag == "mine"  # type: ignore[attr-defined]  # put there by map


def test_an_error_about_the_shape_carries_the_tag(session: Session) -> None:
    """A mapping that is no request says whose it is, as far as it has a tag."""
    asked: list[Any] = [{"tag": "nowhere"}, {"url": "/get", "tag": "odd", "stall": 1}]
    results = session.map(asked, return_exceptions=True)
    assert [getattr(result, "tag", None) for result in results] == ["nowhere", "odd"]


def test_a_function_for_raise_for_status_runs_here(session: Session) -> None:
    """A function for raise_for_status receives each response, in the iterating thread."""
    seen = []

    def check(response: Response) -> None:
        seen.append((response.status, threading.get_ident()))

    list(session.map(["/get", "/status/404"], raise_for_status=check))
    assert seen == [(200, threading.get_ident()), (404, threading.get_ident())]


def test_a_stop_iteration_is_an_error(session: Session) -> None:
    """Code of the user's that raises it, by a careless next(), does not end the iteration."""

    def careless(response: Response) -> None:
        next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration") as caught:
        list(session.map(["/get", "/get"], raise_for_status=careless))
    assert isinstance(caught.value.__cause__, StopIteration)
    results = list(session.map(["/get"] * 2, raise_for_status=careless, return_exceptions=True))
    assert [type(result) for result in results] == [StopIteration] * 2


# Pulling.


def test_the_iterable_is_pulled_lazily_and_here(session: Session) -> None:
    """Not before the first response is asked for, in the caller's thread, a window ahead."""
    pulled = []

    def requests() -> Iterator[str]:
        for n in range(1000):
            pulled.append(threading.get_ident())
            yield f"/anything?n={n}"

    with session.map(requests(), concurrency=5) as responses:
        assert pulled == []
        assert number_of(next(responses)) == 0
        assert len(pulled) <= 11
    assert set(pulled) == {threading.get_ident()}


def test_no_more_are_in_flight_than_allowed(session: Session, app: AppServer) -> None:
    """Exactly ``concurrency`` requests are on the wire while none of them ends."""
    pulled = []

    def requests() -> Iterator[str]:
        for n in range(1000):
            pulled.append(n)
            yield "/delay/30"

    responses = session.map(requests(), concurrency=7)
    before = app.stats().requests
    blocked = threading.Thread(target=lambda: next(responses, None))
    blocked.start()
    app.wait_until(lambda stats: stats.in_flight.get("/delay/30", 0) == 7)
    responses.close()
    blocked.join(WITHIN)
    stats = app.wait_until(lambda stats: "/delay/30" not in stats.in_flight)
    assert stats.requests - before == 7
    assert len(pulled) == 14


def test_a_request_is_sent_before_the_next_is_pulled(raw_server: StartRawServer) -> None:
    """An iterable that takes its time holds up nothing that it has given already."""
    all_here = threading.Barrier(3, timeout=WITHIN)

    def answer_together(conn: RawConnection) -> None:
        request = conn.read_request()
        all_here.wait()
        conn.respond(request.target.encode())

    wire = raw_server(answer_together)

    def requests() -> Iterator[str]:
        for n in range(1, 4):
            yield f"{wire.url}/{n}"
            wire.wait_until_connected(n)

    with Session() as session:
        assert sorted(r.read() for r in session.map(requests())) == [b"/1", b"/2", b"/3"]


def test_results_come_while_the_iterable_goes_on(session: Session, app: AppServer) -> None:
    """A slow iterable does not hold back the results of what it has given before."""
    seen_before_each = []
    seen = 0
    begun = app.stats().requests

    def come(least: int, stats: Stats) -> bool:
        return stats.requests >= least and not stats.in_flight

    def requests() -> Iterator[str]:
        for n in range(20):
            seen_before_each.append(seen)
            yield f"/anything?n={n}"
            app.wait_until(partial(come, begun + n + 1))

    for _ in session.map(requests()):
        seen += 1
    assert seen == 20
    assert seen_before_each[-1] >= 10


def test_what_the_iterable_raises_comes_through(session: Session, app: AppServer) -> None:
    """An error of the user's generator is raised as itself, and nothing stays in flight."""

    def requests() -> Iterator[str]:
        yield "/delay/30"
        app.wait_until(lambda stats: "/delay/30" in stats.in_flight)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        list(session.map(requests()))
    app.wait_until(lambda stats: "/delay/30" not in stats.in_flight)


# Bodies that the caller's thread makes.


def test_generators_as_bodies_run_here(session: Session) -> None:
    """Each is run and closed in the iterating thread, while that comes for results."""
    seen = set()
    closed = []

    def blocks(n: int) -> Iterator[bytes]:
        try:
            for _ in range(3):
                seen.add(threading.get_ident())
                yield b"%d" % n * 100
        finally:
            closed.append((n, threading.get_ident()))

    asked = ({"url": "/anything", "data": blocks(n)} for n in range(8))
    texts = [r.json()["text"] for r in session.map(asked, method="POST", concurrency=3)]
    assert texts == [str(n) * 300 for n in range(8)]
    assert seen == {threading.get_ident()}
    assert sorted(closed) == [(n, threading.get_ident()) for n in range(8)]


def test_what_a_body_raises_is_its_request_s_error(session: Session) -> None:
    """A generator's own exception comes as itself, in the place of its response."""

    def broken() -> Iterator[bytes]:
        yield b"some"
        raise LookupError("mine")

    asked = [{"url": "/anything", "data": data} for data in (b"one", broken(), b"three")]
    results = list(session.map(asked, method="POST", return_exceptions=True))
    assert [type(result) for result in results] == [Response, LookupError, Response]


def test_a_body_may_call_the_session(session: Session) -> None:
    """A generator that makes requests of its own does not deadlock."""

    def blocks() -> Iterator[bytes]:
        yield session.get("/get").read()
        yield next(session.map(["/get"])).read()

    (response,) = session.map([{"url": "/anything", "data": blocks()}], method="POST")
    assert len(response.json()["text"]) > 100


def test_large_bodies_go_out_while_results_are_awaited(raw_server: StartRawServer) -> None:
    """Several uploads larger than all buffers end, though one thread feeds them all."""

    def count(conn: RawConnection) -> None:
        conn.respond(str(len(conn.read_request().body)).encode())

    wire = raw_server(count)
    asked = [{"url": wire.url, "data": iter([bytes(2**18)] * 16)} for _ in range(3)]
    with Session() as session:
        sizes = [response.read() for response in session.map(asked, method="POST")]
    assert sizes == [b"4194304"] * 3


def test_leaving_closes_the_bodies(session: Session, raw_server: StartRawServer) -> None:
    """Generators of requests that are cancelled are closed, a writer's thread is freed."""
    wire = raw_server(never_answer)

    def blocks() -> Iterator[bytes]:
        while True:
            yield bytes(1000)

    body, writer = blocks(), syncclient.BodyWriter()
    asked: list[dict[str, Any]] = [{"url": wire.url, "data": data} for data in (body, writer)]
    asked.append({"url": "/get"})
    with session.map(asked, ordered=False) as responses:
        next(responses)
        wire.wait_until_connected(2)
    assert body.gi_frame is None  # type: ignore[attr-defined]  # an Iterator to its annotation
    with pytest.raises(syncclient.ClientError):
        writer.write(b"more")


# Ending early.


def test_leaving_the_block_cancels_and_waits(session: Session, app: AppServer) -> None:
    """After the with block nothing of it is in flight, and the session works on."""
    asked = ["/get", *["/delay/30"] * 20]
    with session.map(asked) as responses:
        assert next(responses).status == 200
    assert session.connector.snapshot().in_use == 0
    app.wait_until(lambda stats: "/delay/30" not in stats.in_flight)
    assert session.get("/get").status == 200


def test_an_error_cancels_the_rest_and_waits(session: Session, app: AppServer) -> None:
    """When an error is raised, the other requests have unwound already."""
    asked = ["/status/500", *["/delay/30"] * 20]
    with pytest.raises(syncclient.ClientResponseError):
        list(session.map(asked, raise_for_status=True))
    assert session.connector.snapshot().in_use == 0


def test_an_exception_in_the_block_cancels_the_rest(session: Session) -> None:
    """What the loop's body raises goes on up, and nothing stays in flight."""
    responses = session.map(["/get", "/delay/30"])
    with pytest.raises(LookupError), responses:
        raise LookupError(next(responses).status)
    assert session.connector.snapshot().in_use == 0


def test_a_dropped_iterator_cancels_the_rest(session: Session, app: AppServer) -> None:
    """Leaving a loop early, without a with block, leaks nothing: its finaliser cancels."""
    responses = session.map(["/get", *["/delay/30"] * 20])
    assert next(responses).status == 200
    gone = weakref.ref(responses)
    del responses
    gc.collect()
    assert gone() is None
    app.wait_until(lambda stats: "/delay/30" not in stats.in_flight)


def test_closing_from_another_thread_ends_the_iteration(session: Session, app: AppServer) -> None:
    """close() wakes whoever waits for the next response, as if there were no more."""
    responses = session.map(["/delay/30"])
    got: list[object] = []
    blocked = threading.Thread(target=lambda: got.append(next(responses, "ended")))
    blocked.start()
    app.wait_until(lambda stats: "/delay/30" in stats.in_flight)
    responses.close()
    blocked.join(WITHIN)
    assert got == ["ended"]


def test_closing_the_session_ends_the_iteration(app: AppServer) -> None:
    """Whoever iterates gets SessionClosedError, at once."""
    session = Session(app.url)
    responses = session.map(["/delay/30"])

    def close() -> None:
        app.wait_until(lambda stats: "/delay/30" in stats.in_flight)
        session.close()

    closing = threading.Thread(target=close)
    closing.start()
    with pytest.raises(syncclient.SessionClosedError):
        next(responses)
    closing.join(WITHIN)
    assert next(responses, None) is None


def test_a_session_is_kept_by_its_iteration(app: AppServer) -> None:
    """A session that only the iterator knows is not closed under it."""
    responses = Session(app.url).map(["/get"] * 3)
    gc.collect()
    assert [response.status for response in responses] == [200] * 3
    responses._owner.close()  # type: ignore[attr-defined]  # an object to its annotation


def test_one_thread_at_a_time(session: Session, app: AppServer) -> None:
    """A second thread that iterates is refused, and does the first no harm."""
    responses = session.map(["/delay/0.5"])
    got: list[int] = []
    first = threading.Thread(target=lambda: got.extend(r.status for r in responses))
    first.start()
    app.wait_until(lambda stats: "/delay/0.5" in stats.in_flight)
    with pytest.raises(RuntimeError, match="another thread"):
        next(responses)
    first.join(WITHIN)
    assert got == [200]


def test_a_deadline_cancels_all(session: Session, app: AppServer) -> None:
    """A timeout() block counts for the whole iteration; at its end nothing is in flight."""
    with syncclient.timeout(0.3), pytest.raises(syncclient.DeadlineError) as caught:
        list(session.map(["/get", *["/delay/30"] * 10]))
    assert "waiting for the results of 10 requests, such as GET" in str(caught.value)
    assert session.connector.snapshot().in_use == 0


def test_ctrl_c_cancels_all(run_child: RunChild) -> None:
    """KeyboardInterrupt ends the wait, cancels what is in flight, and the session works on."""
    child = run_child(CTRL_C, flags=("-X", "dev", "-W", "error"))
    assert (child.stdout, child.stderr) == ("interrupted 0\nfine\n", "")


CTRL_C = """
import os, signal
import syncclient
from tests.servers.raw import RawServer

def never_answer(conn):
    conn.read_request()
    os.kill(os.getpid(), signal.SIGINT)
    conn.read_to_end()

def answer(conn):
    conn.read_request()
    conn.respond(b"fine")

with RawServer(never_answer) as stuck, RawServer(answer) as wire, syncclient.Session() as session:
    try:
        list(session.map([stuck.url]))
    except KeyboardInterrupt:
        print("interrupted", session.connector.snapshot().in_use)
    print(session.get(wire.url).text())
"""


# How much it takes.


def test_one_crossing_brings_many_results(session: Session) -> None:
    """A thousand small responses take far fewer crossings than there are responses."""
    list(session.map(["/get"] * 100))
    before = session._portal.crossings
    assert len(list(session.map(["/get"] * 1000))) == 1000
    assert session._portal.crossings - before < 250


HELD = 10_000

#: Answers nobody until ``sys.argv[1]`` requests have come, each on a connection of its own.
BARRIER = """
import asyncio, resource, sys

async def main():
    want, waiting, everybody = int(sys.argv[1]), 0, asyncio.Event()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def serve(reader, writer):
        nonlocal waiting
        await reader.readuntil(b"\\r\\n\\r\\n")
        waiting += 1
        if waiting == want:
            everybody.set()
        await everybody.wait()
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.skipif(sys.platform == "win32", reason="raises its own limit of descriptors")
def test_ten_thousand_in_flight_from_one_thread() -> None:
    """Ten thousand requests are on the wire at once, and all come back, to one thread."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < HELD + 500:
        pytest.skip("the system allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, HELD + 500), hard))
    command = [sys.executable, "-c", BARRIER, str(HELD)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/"
        before = threading.active_count()
        with Session(connector=syncclient.TCPConnector(limit=0), timeout=200) as session:
            statuses = [response.status for response in session.map([url] * HELD, concurrency=HELD)]
            assert threading.active_count() == before + 1
        assert statuses == [200] * HELD
    finally:
        server.stdin.close()
        server.wait(WITHIN)
        server.stdout.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
