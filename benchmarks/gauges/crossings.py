"""How often an operation crosses to the loop thread: exact, where times are noise.

A body that arrives slowly is waited for more often. These are counted against a server that sends
as fast as it can; a number that depends on the timing is told as the least of several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import syncclient
from benchmarks.clients.base import ECHO_TEXT, Job
from benchmarks.gauges import main

ROUNDS = 5


def read(url: str, quick: bool) -> Mapping[str, float]:
    with syncclient.Session() as session:
        counter = Counter(session)
        small, large = Job(url, 1), Job(url, 16)

        def get() -> None:
            with session.get(small.small) as reply:
                reply.json()

        def download() -> None:
            with session.get(large.megabytes) as reply:
                for _chunk in reply.content.iter_chunked(2**16):
                    pass

        def lines() -> None:
            with session.get(Job(url, 100_000).lines) as reply:
                for _line in reply.content:
                    pass

        def upload() -> None:
            with session.post(large.upload, data=large.blocks()) as reply:
                reply.json()

        def many() -> None:
            for reply in session.map([small.small] * 1_000, concurrency=100):
                reply.json()

        get()
        readings = {
            "get(), json(), end of the with block": counter.least(get),
            "map of 1,000, 100 in flight": counter.least(many),
            "16 MiB upload from a generator": counter.least(upload),
            "16 MiB download in 64 KiB chunks": counter.least(download),
            "100,000 lines of 64 bytes": counter.least(lines),
        }
        with session.ws_connect(small.websocket) as ws:

            def echo() -> None:
                ws.send_str(ECHO_TEXT)
                ws.receive_str()

            def burst() -> None:
                ws.send_str("burst 10000")
                for _ in range(10_000):
                    ws.receive_str()

            readings["WebSocket echo"] = counter.least(echo)
            readings["burst of 10,000 WebSocket messages"] = counter.least(burst)
        return readings


class Counter:
    """Counts the crossings of a session."""

    def __init__(self, session: syncclient.Session) -> None:
        self._session = session

    def least(self, operation: Callable[[], None]) -> int:
        """Return how many crossings the operation makes, the least of ``ROUNDS`` attempts."""
        found = []
        for _ in range(ROUNDS):
            before = self._session._portal.crossings
            operation()
            found.append(self._session._portal.crossings - before)
        return min(found)


if __name__ == "__main__":
    main(read)
