"""What an idle Session and a blocked call keep, with the engine's own share taken off.

Twice: as the blocks Python allocated, which tracemalloc counts exactly, and as the growth of the
resident set, which has in it what C libraries and the threads' stacks take, and the system's pages.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

from benchmarks.gauges import CALL_ABOVE, SESSION_ABOVE, main


def read(url: str, quick: bool) -> Mapping[str, float]:
    readings: dict[str, float] = {}
    sessions, calls = ("20", "50") if quick else ("100", "500")
    for how in ("allocated by Python", "resident"):
        if how == "resident" and not sys.platform.startswith("linux"):
            continue

        def probe(kind: str, count: str, how: str = how) -> float:
            return _probe(kind, count, url, how)

        session, engine = probe("session", sessions), probe("engine-session", sessions)
        call, request = probe("call", calls), probe("engine-request", calls)
        thread = probe("thread", calls)
        readings |= {
            f"{SESSION_ABOVE} ({how})": session - engine,
            f"idle Session with a kept-alive connection ({how})": session,
            f"idle aiohttp.ClientSession with the same ({how})": engine,
            f"{CALL_ABOVE} ({how})": call - request - thread,
            f"blocked call, all in all ({how})": call,
            f"the engine's request alone ({how})": request,
            f"a thread that waits for a lock ({how})": thread,
        }
    return readings


def _probe(kind: str, count: str, url: str, how: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gauges.memory_probe", kind, count, url, how],
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(json.loads(done.stdout)) / 1024


if __name__ == "__main__":
    main(read)
