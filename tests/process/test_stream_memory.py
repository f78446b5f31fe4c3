"""A body of any size needs a bounded amount of memory, read or not: measured in a child process."""

import sys
import threading

import pytest

from tests.children import RunChild
from tests.servers.raw import RawConnection, StartRawServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

#: By how much a process may grow, in bytes, besides a few of the chunks that it asks for.
LIMIT = 2 * 2**20
LARGE = 2**19
CHUNKS = 4

GIB = 2**30

CHILD = """
import os, sys
import syncclient

url, other_url, size, size_of_lines = sys.argv[1], sys.argv[2], int(sys.argv[3]), 2**22

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

peak = read = 0

def count(data):
    global peak, read
    read += len(data)
    if read % 2**22 < len(data):
        peak = max(peak, resident())
    return read < size

with syncclient.Session(timeout=None) as session:
    # Before the measurement: what is imported and set up once, and a full buffer.
    with session.get(url) as response:
        response.content.readexactly(2**23)
        next(iter(response.content))
    before = resident()
    with session.get(url) as response:
        {work}
    print(max(peak, resident()) - before, read)
"""

WORK = {
    "chunks": "any(not count(chunk) for chunk in response.content.iter_chunked(65536))",
    "large chunks": f"any(not count(chunk) for chunk in response.content.iter_chunked({LARGE}))",
    "lines": "any(not count(line) for line in response.content)",
    "not at all": "session.get(other_url).read(); read = size",
}


@pytest.mark.parametrize(
    ("work", "size"),
    [
        ("chunks", GIB),
        ("large chunks", GIB),
        ("lines", GIB // 4),
        ("not at all", 10 * GIB),
        pytest.param("chunks", 10 * GIB, marks=pytest.mark.slow, id="chunks, 10 GiB"),
    ],
)
def test_memory_does_not_grow_with_the_body(
    raw_server: StartRawServer, run_child: RunChild, work: str, size: int
) -> None:
    """Memory grows by less than 2 MiB, however much of the body is read, and in whatever way.

    Chunks of half a MiB may be there several times: in pieces, joined, and the last one.
    """
    full = threading.Event()
    block = (b"x" * 63 + b"\n") * 4096

    def endless(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", str(2**50))])
        conn.sock.settimeout(0.5)
        try:
            while True:
                conn.send(block)
        except TimeoutError:
            full.set()
        conn.read_to_end()

    def when_full(conn: RawConnection) -> None:
        conn.read_request()
        full.wait(20)
        conn.respond(b"now")

    child = run_child(
        CHILD.replace("{work}", WORK[work]),
        raw_server(endless).url,
        raw_server(when_full).url,
        str(size),
        flags=(),
        timeout=60,
    )
    assert child.stderr == ""
    growth, read = map(int, child.stdout.split())
    assert read >= size
    assert growth < LIMIT + (CHUNKS * LARGE if work == "large chunks" else 0)
