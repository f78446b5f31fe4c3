"""The main job before your eyes: requests that block, on a real server, through a real loop.

`python -m nox -s demo` runs it. The server is a process of its own on this machine's loopback.
Each row of the table is a claim and what was seen; the exit status is 0 only if all rows hold.
"""

import hashlib
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

import syncclient

# Appended, so that the installed syncclient is the one that is shown.
sys.path.append(str(Path(__file__).parents[2]))
from tests.servers.process import AppServer, app_server

THREADS = 32
REQUESTS_PER_THREAD = 25
TIMED_REQUESTS = 500
STREAMED = 64 * 2**20  # bytes
UPLOADED = 32 * 2**20  # bytes
MAPPED = 1000


class ClaimError(Exception):
    """A step saw something other than what it claims."""


def check(holds: bool, seen: object) -> None:
    if not holds:
        raise ClaimError(f"saw {seen!r}")


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress while the block runs; gone afterwards. Yields what advances it."""
    with Progress(transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, advance=done)


@dataclass(frozen=True)
class Step:
    """One row: a claim, and the function that checks it and returns what it saw."""

    title: str
    run: Callable[[syncclient.Session, AppServer], str]


def json_both_ways(session: syncclient.Session, server: AppServer) -> str:
    with session.get("/get", params={"q": "café", "page": 2}) as response:
        args = response.json()["args"]
        check(response.status == 200 and args == [["q", "café"], ["page", "2"]], args)
    sent = {"name": "Ada", "tags": ["a", "b"], "exact": True}
    received = session.post("/post", json=sent).json()["json"]
    check(received == sent, received)
    return f"GET args {args}; POST came back equal: {received}"


def form(session: syncclient.Session, server: AppServer) -> str:
    fields = session.post("/post", data=[("user", "ada"), ("lang", "en"), ("lang", "fr")]).json()
    check(fields["form"] == [["user", "ada"], ["lang", "en"], ["lang", "fr"]], fields["form"])
    upload = syncclient.FormData()
    upload.add_field("note", "hello")
    upload.add_field("file", b"\x00\x01", filename="two.bin", content_type="application/x-two")
    parts = session.post("/post", data=upload).json()
    names = [(file["name"], file["filename"]) for file in parts["files"]]
    check(parts["form"] == [["note", "hello"]] and names == [("file", "two.bin")], parts)
    return f"{len(fields['form'])} fields in order; multipart with file {names[0][1]}"


def redirects(session: syncclient.Session, server: AppServer) -> str:
    response = session.get("/redirect/3")
    hops = [f"{hop.status} {hop.url.path}" for hop in response.history]
    check(response.url.path == "/get" and len(hops) == 3, (hops, str(response.url)))
    stopped = session.get("/redirect/3", allow_redirects=False)
    check(stopped.status == 302, stopped.status)
    return f"{', '.join(hops)}, {response.status} {response.url.path}"


def cookies(session: syncclient.Session, server: AppServer) -> str:
    sent_back = session.get("/cookies/set", params={"flavour": "oat", "size": "2"}).json()
    check(sent_back == {"cookies": {"flavour": "oat", "size": "2"}}, sent_back)
    jar = {cookie.key: cookie.value for cookie in session.cookie_jar}
    check(jar == {"flavour": "oat", "size": "2"}, jar)
    return f"the jar holds {jar}, and sends it"


def many_threads(session: syncclient.Session, server: AppServer) -> str:
    def work(thread: int) -> int:
        for number in range(REQUESTS_PER_THREAD):
            expected = f"{thread}-{number}"
            args = session.get("/get", params={"id": expected}).json()["args"]
            check(args == [["id", expected]], (expected, args))
        return REQUESTS_PER_THREAD

    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        done = sum(pool.map(work, range(THREADS)))
    seconds = time.perf_counter() - started
    check(done == THREADS * REQUESTS_PER_THREAD, done)
    loops = [thread for thread in threading.enumerate() if thread.name == "syncclient-loop"]
    check(len(loops) == 1, loops)
    return f"{done} answers, each its own asker's, in {seconds:.2f} s; 1 loop thread"


def refused(session: syncclient.Session, server: AppServer) -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can answer there
        with expected(syncclient.ClientConnectorError) as caught:
            session.get(f"http://127.0.0.1:{bound.getsockname()[1]}/")
    return caught.text


def not_found(session: syncclient.Session, server: AppServer) -> str:
    with session.get("/status/404") as response:
        check(not response.ok, response.status)
        with expected(syncclient.ClientResponseError) as caught:
            response.raise_for_status()
    return caught.text


def too_slow(session: syncclient.Session, server: AppServer) -> str:
    started = time.perf_counter()
    with expected(TimeoutError) as caught:
        session.get("/delay/30", timeout=0.3)
    waited = time.perf_counter() - started
    check(waited < 3, waited)
    check(bool(caught.text.partition(": ")[2]), caught.text)
    server.wait_until(lambda stats: not stats.total_in_flight)  # the server was told, too
    return caught.text


def wrong_keyword(session: syncclient.Session, server: AppServer) -> str:
    with expected(TypeError) as caught:
        session.get("/get", verify=False)  # type: ignore[call-arg]  # the mistake to be shown
    check("ssl" in caught.text, caught.text)
    return caught.text


def streamed_download(session: syncclient.Session, server: AppServer) -> str:
    received, blocks = 0, 0
    with session.get(f"/bytes/{STREAMED}") as response, bar("download", STREAMED) as advance:
        check(not response.closed, "the whole body at once")
        for block in response.content.iter_chunked(2**16):
            received, blocks = received + len(block), blocks + 1
            advance(len(block))
    check(received == STREAMED, received)
    lines = sum(1 for _ in session.get("/stream/1000").content)
    check(lines == 1000, lines)
    return f"{received >> 20} MiB in {blocks} blocks, never held whole; then {lines} lines"


def generator_upload(session: syncclient.Session, server: AppServer) -> str:
    here = threading.get_ident()
    digest = hashlib.sha256()

    def blocks() -> Iterator[bytes]:
        for number in range(UPLOADED // 2**16):
            check(threading.get_ident() == here, "the generator ran in another thread")
            block = number.to_bytes(4, "big") * 2**14
            digest.update(block)
            advance(len(block))
            yield block

    with bar("upload", UPLOADED) as advance:
        seen = session.post("/upload", data=blocks()).json()
    check(seen["length"] == UPLOADED and seen["sha256"] == digest.hexdigest(), seen)
    return f"{UPLOADED >> 20} MiB pulled from a generator in this thread; the digest agrees"


def websocket(session: syncclient.Session, server: AppServer) -> str:
    with session.ws_connect("/echo?burst=1000") as socket:
        burst = [socket.receive_str() for _ in range(1000)]
        check(burst == [str(n) for n in range(1000)], burst[:3])
        socket.send_json({"hello": "server"})
        answer = socket.receive_json()
        check(answer == {"hello": "server"}, answer)
    check(socket.close_code == 1000, socket.close_code)
    return f"{len(burst)} messages received in order, one echoed, closed with {socket.close_code}"


def many_at_once(session: syncclient.Session, server: AppServer) -> str:
    started, answered = time.perf_counter(), 0
    urls = (f"/get?n={n}" for n in range(MAPPED))
    with bar("map", MAPPED) as advance:
        for number, response in enumerate(session.map(urls, concurrency=50)):
            check(response.json()["args"] == [["n", str(number)]], number)
            answered += 1
            advance(1)
    check(answered == MAPPED, answered)
    seconds = time.perf_counter() - started
    return f"{MAPPED} GETs from one thread, 50 at a time, in order: {seconds:.2f} s"


def one_deadline(session: syncclient.Session, server: AppServer) -> str:
    with expected(syncclient.DeadlineError) as caught, syncclient.timeout(0.3):
        session.get("/json").read()
        session.get("/delay/30")
    return caught.text


def timing(session: syncclient.Session, server: AppServer) -> str:
    def one() -> float:
        started = time.perf_counter()
        session.get("/json").json()
        return time.perf_counter() - started

    before = server.stats().connections_opened
    times = sorted(one() for _ in range(TIMED_REQUESTS))
    opened = server.stats().connections_opened - before
    check(opened <= 1, f"{opened} connections opened")
    median, late = statistics.median(times), times[int(0.99 * len(times))]
    return (
        f"{TIMED_REQUESTS} small GETs in a row: median {median * 1e6:.0f} µs, "
        f"99th percentile {late * 1e6:.0f} µs, {opened} new connections"
    )


def clean_close(session: syncclient.Session, server: AppServer) -> str:
    session.close()
    check(session.closed, "a session that is not closed")
    with expected(syncclient.SessionClosedError) as caught:
        session.get("/get")
    server.wait_until(lambda stats: not stats.connections_open)
    ours = [t.name for t in threading.enumerate() if t.name.startswith("syncclient-")]
    check(not ours, ours)
    return f"0 connections, 0 threads of ours left; then {caught.text}"


def one_shot(session: syncclient.Session, server: AppServer) -> str:
    """After the close: the shared session starts the loop thread anew, and is left to the exit."""
    url = f"{server.url}/cookies"
    seen = [syncclient.get(url, cookies={"once": "1"}).json(), syncclient.get(url).json()]
    check(seen == [{"cookies": {"once": "1"}}, {"cookies": {}}], seen)
    opened = server.stats().connections_open
    check(opened == 1, f"{opened} connections")
    return "syncclient.get() twice: one pooled connection, no cookie kept; left open at exit"


STEPS = [
    Step("JSON out and back", json_both_ways),
    Step("forms and files", form),
    Step("redirects", redirects),
    Step("cookies", cookies),
    Step(f"{THREADS} threads, one session", many_threads),
    Step("error: refused", refused),
    Step("error: 404", not_found),
    Step("error: too slow", too_slow),
    Step("error: wrong keyword", wrong_keyword),
    Step("streamed download", streamed_download),
    Step("upload from a generator", generator_upload),
    Step("WebSocket", websocket),
    Step(f"map of {MAPPED} requests", many_at_once),
    Step("one deadline for a block", one_deadline),
    Step("timing", timing),
    Step("clean close", clean_close),
    Step("one-shot functions", one_shot),
]


@dataclass
class Caught:
    """An expected error as its user would read it; filled in when the block has raised it."""

    text: str = ""


@contextmanager
def expected(error: type[Exception]) -> Iterator[Caught]:
    """Require the block to raise `error`."""
    caught = Caught()
    try:
        yield caught
    except error as seen:
        caught.text = f"{type(seen).__name__}: {seen}"
    else:
        raise ClaimError(f"no {error.__name__} was raised")


def main() -> int:
    console = Console()
    table = Table("", "step", "what was seen", "ms", title="syncclient: the main job")
    failed = 0
    started = time.perf_counter()
    # By default a jar keeps no cookies of bare IP addresses, and our server has no name.
    jar = syncclient.CookieJar(unsafe=True)
    with app_server() as server, syncclient.Session(server.url, cookie_jar=jar) as session:
        for step in STEPS:
            step_started = time.perf_counter()
            try:
                mark, seen = "[green]ok[/]", step.run(session, server)
            except Exception as error:  # the demo goes on and shows every step
                failed += 1
                mark, seen = "[red]FAILED[/]", f"{type(error).__name__}: {error}"
            milliseconds = (time.perf_counter() - step_started) * 1e3
            table.add_row(mark, step.title, escape(seen), f"{milliseconds:.0f}")
    console.print(table)
    console.print(
        f"{len(STEPS) - failed} of {len(STEPS)} steps did what they say, "
        f"in {time.perf_counter() - started:.1f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
