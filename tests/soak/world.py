"""What the traffic of a soak goes through: the servers' addresses, the sessions, the tolls."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import syncclient
from syncclient import httpx, requests
from syncclient.requests._engines import close_engines

#: Seconds that any one operation may take. Above every bound of the library's own.
HANG = 30.0


class WrongError(AssertionError):
    """A reply is not what was asked for."""


@dataclass
class World:
    """Shared by all workers. Its fields are set before they start, but for the counters."""

    app: str
    faults: str
    folder: Path
    #: Open for the whole soak, and used by all threads.
    sessions: list[syncclient.Session] = field(default_factory=list)
    #: Code of other libraries; and a session with a cache, which is small, so that much goes.
    by_requests: requests.Session = field(default_factory=requests.Session)
    by_httpx: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=HANG))
    cached: syncclient.Session = field(init=False)
    #: One fork at a time: a child copies all of this process.
    forking: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        cache = syncclient.HTTPCache(self.folder / "cache.db", max_size=1_000_000)
        self.cached = syncclient.Session(self.app, middlewares=[cache])

    @property
    def leases(self) -> int:
        """How many sessions are open while nothing is under way."""
        return len(self.sessions) + 2

    def close(self) -> None:
        """Close all sessions."""
        for session in (*self.sessions, self.cached):
            session.close()
        self.sessions.clear()
        self.by_requests.close()
        self.by_httpx.close()
        close_engines()

    def session(self, rng: random.Random) -> syncclient.Session:
        """Return one of the shared sessions."""
        return rng.choice(self.sessions)


#: One thing that a client does. Returns when every reply has been checked; raises
#: whatever was not expected.
Operation = Callable[[World, random.Random], None]


def check(condition: object, *said: object) -> None:
    """Raise WrongError, which says ``said``, unless ``condition`` holds."""
    if not condition:
        raise WrongError(" ".join(str(part)[:300] for part in said))


class Tally:
    """Counts by name. Any thread adds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """Count one."""
        with self._lock:
            self._counts[name] += 1

    def snapshot(self) -> Counter[str]:
        """Return the counts so far."""
        with self._lock:
            return self._counts.copy()
