"""Ctrl-C in the middle of a body: the stream goes on, or the response is closed. Nothing between."""

import sys

import pytest

from tests.children import RunChild

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")

#: A server in the child itself, which interrupts the main thread while that waits for
#: the second half of a body, and sends that half thereafter.
PREAMBLE = """
import os, signal, threading, time
import syncclient
from tests.servers.raw import RawServer

BODY = b"first half, second half\\n"
SEEN = 8  # bytes that came before the interrupt

def script(conn):
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(BODY))
    conn.send(BODY[:SEEN])
    until = time.monotonic() + 10
    while session._portal.crossings < crossings and time.monotonic() < until:
        time.sleep(0.001)  # until the read waits: nothing tells that to another thread
    os.kill(os.getpid(), signal.SIGINT)
    interrupted.wait(10)
    try:
        conn.send(BODY[SEEN:])
        conn.read_to_end()
    except ConnectionError:
        pass
    conn.wait_until_closed(0.001) if closes else None

interrupted = threading.Event()
closes = False
session = syncclient.Session()
"""


@pytest.mark.parametrize(
    ("read", "before"),
    [
        ("content.read(100)", 8),
        ("content.readany()", 8),
        ("content.read()", 0),
        ("content.readexactly(20)", 0),
        ("content.readline()", 0),
        ("content.readline(20)", 0),
        ("content.readuntil(b'half, s')", 0),
        ("content.readchunk()", 8),
        ("content.readinto(bytearray(100))", 8),
        ("next(iter(content))", 0),
        ("list(content)", 0),
        ("next(content.iter_chunked(5))", 8),
    ],
)
def test_an_interrupted_read_loses_no_byte(run_child: RunChild, read: str, before: int) -> None:
    """Whatever the read, and however much it had of what it wanted: the next one gets it."""
    child = run_child(
        PREAMBLE
        + f"""
with RawServer(script) as server, session:
    crossings = {3 if before else 3}
    response = session.get(server.url)
    content = response.content
    got = content.readexactly(SEEN) if {before} else content.readexactly(1)
    try:
        {read}
    except KeyboardInterrupt:
        print("interrupted")
    interrupted.set()
    got += content.read()
    print(got == BODY, content.at_eof(), response.closed)
""",
        flags=("-X", "dev", "-W", "error"),
    )
    assert child.stderr == ""
    assert child.stdout == "interrupted\nTrue True True\n"


def test_an_interrupted_read_of_the_response_closes_it(run_child: RunChild) -> None:
    """As in aiohttp, and what is asked of it afterwards says so."""
    child = run_child(
        PREAMBLE
        + """
closes = True
with RawServer(script) as server, session:
    crossings = 2
    response = session.get(server.url)
    try:
        response.text()
    except KeyboardInterrupt:
        print("interrupted", response.closed)
    server.connections[0].wait_until_closed() if False else None
    interrupted.set()
    for read in (response.read, response.content.read):
        try:
            read()
        except syncclient.ClientConnectionError as exc:
            print(exc)
""",
        flags=("-X", "dev", "-W", "error"),
    )
    assert child.stderr == ""
    assert child.stdout.startswith("interrupted True\n")
    assert len(child.stdout.splitlines()) == 3
