"""The table of works: what is done, how often, and what syncclient means to reach.

A work is one kind of job that every client able to do it does in the same way, on the same server.
Nothing here is a result; the only figures are sizes and goals.
"""

from __future__ import annotations

from dataclasses import dataclass

LINE_BYTES = 64
"""Length of one line of ``/bytes``, its newline included."""

CHUNK_BYTES = 64 * 1024
"""Size of the pieces in which bodies are read and of the blocks that uploads are made of."""

THREADS = 32
"""Caller threads of ``get-32``, and of blocking peers in ``map-100``."""

FEWER_THREADS = 16
"""Caller threads of ``get-16``."""

CONCURRENCY = 100
"""Requests in flight in ``map-100`` for clients that need no thread for each."""

IN_FLIGHT = (1, 10, 100, 1_000, 10_000)
"""The points of the curve ``scale``: requests in flight from one thread."""

BLOCKED = (1, 10, 100, 1_000)
"""The points of the curve ``threads``: threads that wait on one session."""

BUSY = (0, 1, 2)
"""The points of the curve ``busy``: threads of the same process that compute in Python."""


@dataclass(frozen=True)
class Goal:
    """A ratio syncclient means to reach against one peer.

    ``faster`` asks for peer's time / our time >= ``faster``; ``within`` for our time / peer's time
    <= ``within``.
    """

    peer: str
    faster: float | None = None
    within: float | None = None
    client: str = "syncclient"
    """Whose goal it is: ours, or a door's."""


@dataclass(frozen=True)
class Work:
    """One row of the scoreboard.

    ``count`` units are done in each round, and ``warm`` before each, unmeasured.
    """

    name: str
    title: str
    unit: str
    count: int
    quick: int
    warm: int
    rounds: int
    goals: tuple[Goal, ...] = ()
    anchors: tuple[str, ...] = ("requests", "aiohttp")
    """The peers every client is compared with in the table."""
    curve: Curve | None = None
    """The curve this work is a point of."""
    at: int = 0
    """Where on the curve."""
    unit_bytes: int = 0
    """Size of the part of a body that is one unit, where a body is downloaded."""

    def body_sizes(self, count: int) -> list[int]:
        """Return the sizes of the bodies that ``count`` units and the warm-up ask for."""
        units = {count, min(self.warm, count)}
        return sorted(unit * self.unit_bytes for unit in units) if self.unit_bytes else []


@dataclass(frozen=True)
class Curve:
    """Works that differ in one number, by which their figures are drawn.

    ``growth`` is the goal for the last point's time per unit over the first point's.
    """

    name: str
    title: str
    along: str
    growth: float | None = None


SCALE = Curve("scale", "cost of a request by requests in flight", "requests in flight", growth=1.0)
THREADS_CURVE = Curve(
    "threads", "cost of a request by blocked threads", "threads on one session", growth=1.0
)
BUSY_CURVE = Curve("busy", "a small GET beside threads that compute", "threads that compute")
CURVES = (SCALE, THREADS_CURVE, BUSY_CURVE)


def _crowd(curve: Curve, title: str, at: int, largest: int) -> Work:
    # The server answers when ``at`` requests wait for it, so the counts are multiples of it.
    return Work(
        f"{curve.name}-{at}",
        title.format(at=f"{at:,}"),
        "request",
        count=max(at, 2_000) if at < largest else 2 * at,
        quick=max(at, 100),
        warm=at,
        rounds=5,
        curve=curve,
        at=at,
    )


def _busy(at: int) -> Work:
    return Work(
        f"busy-{at}",
        f"small JSON GET, one thread, beside {at} threads that compute in Python",
        "request",
        count=1_000 if at == 0 else 60,
        quick=100 if at == 0 else 6,
        warm=20 if at == 0 else 2,
        rounds=5,
        goals=(Goal("requests", faster=1.0),) if at else (),
        curve=BUSY_CURVE,
        at=at,
    )


_AS_A_PLAIN_GET = (Goal("requests", faster=3.5), Goal("aiohttp", faster=1.0))

WORKS: tuple[Work, ...] = (
    Work(
        "get-1",
        "small JSON GET, one thread, kept alive; JSON parsed, response closed",
        unit="request",
        count=2_000,
        quick=300,
        warm=50,
        rounds=9,
        goals=(
            Goal("requests", faster=4.0),
            Goal("httpx", faster=3.0),
            Goal("urllib3", faster=1.5),
            Goal("aiohttp", faster=1.1),
        ),
    ),
    Work(
        "post-1",
        "POST of 1 KB of JSON, one thread, kept alive; a small JSON reply",
        unit="request",
        count=1_000,
        quick=100,
        warm=20,
        rounds=7,
        goals=_AS_A_PLAIN_GET,
    ),
    Work(
        "tls-1",
        "small JSON GET over TLS, one thread, kept alive",
        unit="request",
        count=1_000,
        quick=100,
        warm=20,
        rounds=7,
        goals=_AS_A_PLAIN_GET,
    ),
    Work(
        "cookies-1",
        "small JSON GET with three cookies, one of them set anew by each reply, one thread",
        unit="request",
        count=1_000,
        quick=100,
        warm=20,
        rounds=7,
        goals=_AS_A_PLAIN_GET,
    ),
    Work(
        "get-16",
        "small JSON GET, 16 threads on one session",
        unit="request",
        count=3_200,
        quick=320,
        warm=160,
        rounds=7,
        goals=(Goal("httpx2", faster=1.5, client="httpx2 on syncclient"),),
        anchors=("requests", "httpx2"),
    ),
    Work(
        "get-32",
        "small JSON GET, 32 threads on one session",
        unit="request",
        count=3_200,
        quick=640,
        warm=320,
        rounds=7,
        goals=(
            Goal("requests", faster=5.5),
            Goal("urllib3", faster=2.2),
            Goal("aiohttp", faster=1.0),
        ),
    ),
    Work(
        "map-100",
        "small JSON GETs, 100 in flight from one thread (blocking peers: 32 threads)",
        unit="request",
        count=6_000,
        quick=600,
        warm=300,
        rounds=5,
        goals=(Goal("requests", faster=9.0), Goal("aiohttp", faster=1.8)),
    ),
    Work(
        "oneshot",
        "small JSON GET by the module's own get(), no session in hand",
        unit="request",
        count=300,
        quick=60,
        warm=10,
        rounds=7,
        goals=(Goal("requests", faster=5.0),),
    ),
    Work(
        "crossing",
        "an empty coroutine run on the loop thread, its caller waiting",
        unit="call",
        count=10_000,
        quick=2_000,
        warm=500,
        rounds=9,
        anchors=("threadsafe", "anyio portal"),
    ),
    Work(
        "download",
        "one body read in 64 KiB chunks",
        unit="MiB",
        count=1_024,
        quick=128,
        warm=8,
        rounds=5,
        goals=(
            Goal("requests", faster=1.4),
            Goal("aiohttp", faster=1.3),
            Goal("pycurl", faster=1.2),
        ),
        unit_bytes=1024 * 1024,
    ),
    Work(
        "lines",
        "one body read line by line, 64 bytes each",
        unit="line",
        count=1_000_000,
        quick=100_000,
        warm=10_000,
        rounds=5,
        goals=(
            Goal("requests", faster=5.0),
            Goal("httpx", faster=1.3),
            Goal("aiohttp", faster=10.0),
        ),
        unit_bytes=LINE_BYTES,
    ),
    Work(
        "sse",
        "server-sent events, received as fast as they come",
        unit="event",
        count=10_000,
        quick=1_000,
        warm=100,
        rounds=7,
        goals=(Goal("httpx2", faster=1.5, client="httpx2 on syncclient"),),
        anchors=("requests", "httpx2", "aiohttp"),
    ),
    Work(
        "upload",
        "one chunked body from a generator of 64 KiB blocks",
        unit="MiB",
        count=512,
        quick=64,
        warm=4,
        rounds=5,
        goals=(Goal("requests", faster=1.0),),
    ),
    Work(
        "file-down",
        "one body saved to a file",
        unit="MiB",
        count=256,
        quick=32,
        warm=4,
        rounds=5,
        goals=(Goal("requests", faster=1.2),),
    ),
    Work(
        "file-up",
        "one file uploaded, its length told",
        unit="MiB",
        count=256,
        quick=32,
        warm=4,
        rounds=5,
        goals=(Goal("requests", faster=1.0),),
    ),
    Work(
        "ws-echo",
        "WebSocket echo of a short text, one at a time",
        unit="echo",
        count=2_000,
        quick=300,
        warm=50,
        rounds=9,
        goals=(Goal("websockets", faster=0.85), Goal("websocket-client", faster=1.0)),
        anchors=("websockets", "websocket-client", "aiohttp"),
    ),
    Work(
        "ws-burst",
        "short WebSocket messages received as fast as they come",
        unit="message",
        count=100_000,
        quick=10_000,
        warm=1_000,
        rounds=5,
        goals=(Goal("websockets", faster=2.4), Goal("websocket-client", faster=4.5)),
        anchors=("websockets", "websocket-client", "aiohttp"),
    ),
    Work(
        "import",
        "cold process: start, import, first GET, exit",
        unit="process",
        count=3,
        quick=1,
        warm=1,
        rounds=7,
        goals=(Goal("requests", within=1.8),),
    ),
    *(_crowd(SCALE, "{at} requests in flight from one thread", at, 10_000) for at in IN_FLIGHT),
    *(_crowd(THREADS_CURVE, "{at} threads blocked on one session", at, 1_000) for at in BLOCKED),
    *(_busy(at) for at in BUSY),
)
