"""Instructions of a crossing and of a small GET: a clock that other programs cannot disturb.

A client does its work N times and 2N times under callgrind, each in a process of its own; the
difference, divided by N, is what one costs, without start and end. All its threads count, the
kernel does not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from benchmarks.gauges import (
    ADAPTER_BESIDE_REQUESTS,
    DOOR_BESIDE_HTTPX2,
    GET_BESIDE_URLLIB3,
    SESSION_BESIDE_REQUESTS,
    Unreadable,
    main,
)

REQUESTS_DOORS = ("requests on syncclient", "syncclient.requests")
HTTPX2 = ("httpx2", "httpx2 on syncclient")
#: The works of one thread: where more threads wait, the counts depend on who waits for whom.
ORDERS = (
    ("crossing", ("syncclient", "threadsafe", "anyio portal")),
    ("get-1", ("syncclient", "aiohttp", "urllib3", "httpx", "requests", *REQUESTS_DOORS, *HTTPX2)),
    ("post-1", ("syncclient", "aiohttp", "requests", *REQUESTS_DOORS, *HTTPX2)),
    ("tls-1", ("syncclient", "aiohttp", "requests", *REQUESTS_DOORS, *HTTPX2)),
    ("cookies-1", ("syncclient", "aiohttp", "requests", *REQUESTS_DOORS, *HTTPX2)),
    ("oneshot", ("syncclient", "requests", *REQUESTS_DOORS)),
    ("sse", ("syncclient", "aiohttp", "requests", *HTTPX2)),
    ("download", ("syncclient", "syncclient --parsed", "aiohttp", "urllib3", "requests")),
    ("file-down", ("syncclient", "aiohttp", "requests")),
)
QUICK = (("get-1", ("syncclient", "urllib3")),)
#: Requests, crossings, events, or MiB: so many in the shorter of the two runs.
TIMES = {"crossing": 300, "oneshot": 50, "sse": 2_000, "download": 24, "file-down": 24}
OF_REQUESTS = 300
BESIDE = (
    (GET_BESIDE_URLLIB3, "syncclient", "urllib3"),
    (DOOR_BESIDE_HTTPX2, "httpx2 on syncclient", "httpx2"),
    (ADAPTER_BESIDE_REQUESTS, "requests on syncclient", "requests"),
    (SESSION_BESIDE_REQUESTS, "syncclient.requests", "requests"),
)
_COLLECTED = re.compile(r"Collected\s*:\s*(\d+)")


def read(url: str, quick: bool) -> Mapping[str, float]:
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise Unreadable("valgrind is not installed")
    orders = QUICK if quick else ORDERS
    readings = {}
    for work, clients in orders:
        times = TIMES.get(work, OF_REQUESTS)
        for client in clients:
            once, twice = (_collected(valgrind, client, work, url, n * times) for n in (1, 2))
            readings[f"{work}: {client}"] = (twice - once) / times / 1_000
    return readings | {
        what: 1_000 * readings[f"get-1: {ours}"] / readings[f"get-1: {theirs}"]
        for what, ours, theirs in BESIDE
        if f"get-1: {ours}" in readings
    }


def _collected(valgrind: str, client: str, work: str, url: str, count: int) -> int:
    name, _, option = client.partition(" --")
    program = [sys.executable, "-m", "benchmarks.gauges.repeat", name, work, url, str(count)]
    program += [f"--{option}"] * bool(option)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [valgrind, "--tool=callgrind", f"--callgrind-out-file={folder}/out", *program],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # The order of sets and dicts of strings would else differ between the two runs.
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
    collected = _COLLECTED.search(done.stderr)
    if done.returncode or collected is None:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise RuntimeError(f"{client} under callgrind ended with {done.returncode}: {last}")
    return int(collected[1])


if __name__ == "__main__":
    main(read)
