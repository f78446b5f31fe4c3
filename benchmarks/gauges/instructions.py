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

from benchmarks.gauges import Unreadable, main

ORDERS = (
    ("crossing", ("syncclient", "threadsafe", "anyio portal")),
    ("get-1", ("syncclient", "aiohttp", "urllib3", "httpx", "requests")),
    ("download", ("syncclient", "syncclient --parsed", "aiohttp", "urllib3", "requests")),
)
#: Requests and crossings, or MiB: so many in the shorter of the two runs.
TIMES = {"crossing": 300, "get-1": 300, "download": 24}
_COLLECTED = re.compile(r"Collected\s*:\s*(\d+)")


def read(url: str, quick: bool) -> Mapping[str, float]:
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise Unreadable("valgrind is not installed")
    orders = [("crossing", ("syncclient",))] if quick else ORDERS
    readings = {}
    for work, clients in orders:
        times = TIMES[work]
        for client in clients:
            once, twice = (_collected(valgrind, client, work, url, n * times) for n in (1, 2))
            readings[f"{work}: {client}"] = (twice - once) / times / 1_000
    return readings


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
        raise Unreadable(f"{client} under callgrind ended with {done.returncode}: {last}")
    return int(collected[1])


if __name__ == "__main__":
    main(read)
