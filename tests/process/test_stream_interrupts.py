"""Ctrl-C while a body is waited for: its stream goes on from there, or the response is closed."""

import sys

import pytest

from tests.children import Child, RunChild

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")

#: A server in the child itself. It interrupts the main thread once that has crossed
#: ``crossings`` times and so waits for the rest of the body, and sends the rest when told to.
PREAMBLE = """
import os, signal, threading, time
import syncclient
from tests.servers.raw import RawServer

BODY = b"first half, second half\\n"
interrupted = threading.Event()
session = syncclient.Session()

def script(conn):
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(BODY))
    conn.send(BODY[:8])
    until = time.monotonic() + 10
    while session._portal.crossings < crossings and time.monotonic() < until:
        pass
    os.kill(os.getpid(), signal.SIGINT)
    interrupted.wait(10)
    if rest:
        conn.send(BODY[8:])
    conn.read_to_end()
"""


def run(run_child: RunChild, code: str) -> Child:
    # Not -X dev: asyncio's debug mode would print what a busy machine is slow at.
    child = run_child(PREAMBLE + code, flags=("-W", "error"), forked=True)
    assert child.stderr == ""
    return child


@pytest.mark.parametrize(
    ("already", "read"),
    [
        (8, "content.read(100)"),
        (8, "content.readany()"),
        (8, "content.readchunk()"),
        (8, "content.readinto(bytearray(100))"),
        (8, "next(content.iter_chunked(5))"),
        (1, "content.read()"),
        (1, "content.readexactly(20)"),
        (1, "content.readline()"),
        (1, "content.readline(20)"),
        (1, "content.readuntil(b'half, s')"),
        (1, "next(iter(content))"),
        (1, "list(content)"),
    ],
)
def test_an_interrupted_read_loses_no_byte(run_child: RunChild, already: int, read: str) -> None:
    """The next read returns the bytes that an interrupted read had already received."""
    child = run(
        run_child,
        f"""
crossings, rest = 3, True
with RawServer(script) as server, session:
    response = session.get(server.url)
    content = response.content
    got = content.readexactly({already})
    try:
        {read}
    except KeyboardInterrupt:
        print("interrupted")
    interrupted.set()
    got += content.read()
    print(got == BODY, content.at_eof(), response.closed)
""",
    )
    assert child.stdout == "interrupted\nTrue True True\n"


def test_an_interrupted_read_of_the_response_closes_it(run_child: RunChild) -> None:
    """An interrupted read() closes the response, as in aiohttp; the next read raises."""
    child = run(
        run_child,
        """
crossings, rest = 2, False
with RawServer(script) as server, session:
    response = session.get(server.url)
    try:
        response.text()
    except KeyboardInterrupt:
        print("interrupted", response.closed)
    interrupted.set()
    server.connections[0].wait_until_closed()
    for read in (response.read, response.content.read):
        try:
            read()
        except syncclient.ClientConnectionError as exc:
            print("told")
""",
    )
    assert child.stdout == "interrupted True\ntold\ntold\n"


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 looks for signals between a call and its await"
)
@pytest.mark.parametrize(
    "read",
    [
        "content.readexactly(1)",
        "content.read(1)",
        "content.readinto(one)",
        "content.readuntil(b'x')",
    ],
)
def test_a_storm_of_interrupts_is_silent(run_child: RunChild, read: str) -> None:
    """Python warns of a coroutine that an interrupt has kept from being started: none is."""
    child = run(
        run_child,
        f"""
import random, warnings
from tests.servers import raw

raw.TIMEOUT = 30.0

class Storm(Exception):
    pass

def interrupt(number, frame):
    raise Storm

def script(conn):
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 200000\\r\\n\\r\\n")
    conn.send(b"x" * 200000)
    conn.read_to_end()

def read_all():
    while not content.at_eof():
        {read}

warnings.simplefilter("always")
one, hit, until = bytearray(1), 0, time.monotonic() + 10
signal.signal(signal.SIGALRM, interrupt)
with RawServer(script) as server, session:
    while hit < 1000 and time.monotonic() < until:
        with session.get(server.url) as response:
            content = response.content
            while not content.at_eof():
                try:
                    try:
                        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 4e-5))
                        read_all()
                    finally:
                        signal.setitimer(signal.ITIMER_REAL, 0)
                except Storm:
                    hit += 1
print(hit > 100)
""",
    )
    assert child.stdout == "True\n"
