"""What an exchange is doing right now, so that an error can say in which phase it struck."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from contextvars import ContextVar

from aiohttp import ClientTimeout
from yarl import URL

from .._deadline import activity
from .._models import Attempt, Timings, redacted_url

_NO_TIMEOUT = ClientTimeout()
_NO_URL = URL()


class Phase(enum.Enum):
    """One step of an exchange; the value is how a message says it."""

    POOL = "waiting for a free connection"
    RESOLVE = "resolving the host name"
    CONNECT = "connecting"
    SEND = "sending the body"
    HEAD = "waiting for the response"
    BODY = "reading the body"
    MIDDLEWARE = "running a middleware"


class Progress:
    """How far one exchange has come. Touched on the event loop only."""

    __slots__ = (
        "_started",
        "detail",
        "fault",
        "max_body",
        "method",
        "past",
        "phase",
        "timeout",
        "url",
    )

    def __init__(
        self, method: str = "GET", url: URL = _NO_URL, timeout: ClientTimeout = _NO_TIMEOUT
    ) -> None:
        self.method = method
        self.url = url
        self.timeout = timeout
        #: How many bytes its body may have, decompressed; None for no limit.
        self.max_body: int | None = None
        #: On a kept-alive connection nothing comes before the wait for the head.
        self.phase = Phase.HEAD
        #: What the phase waits for, where a bare phase would not help: "all 100 slots are in use".
        self.detail = ""
        #: What a callback of the user's for tracing raised.
        self.fault: Exception | None = None
        #: Returns the attempts made so far, while there may be more than one.
        self.past: Callable[[], tuple[Attempt, ...]] | None = None
        self._started = time.monotonic()

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.method} {redacted_url(self.url)} while {self.phase.value}{detail}"

    def elapsed(self) -> float:
        """Return the seconds since the exchange began."""
        return time.monotonic() - self._started

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts under way and before, under a policy for retries."""
        return () if self.past is None else self.past()

    def afresh(self) -> Progress:
        """Return this, before another attempt."""
        return self

    def spend(self, on: str) -> None:
        """Count the time from now on as spent on ``on``; see ``Timed``."""

    def timings(self) -> Timings | None:
        """Return where the time went, if that is kept."""
        return None


#: A context variable and not an argument: aiohttp calls our connector, and hands
#: it nothing of ours. The tasks it starts copy the context and so find it too.
progress: ContextVar[Progress | None] = ContextVar("syncclient_progress", default=None)


def begin(exchange: Progress) -> None:
    """Make ``exchange`` the one of the running task."""
    progress.set(exchange)
    current = activity.get()
    if current is not None:
        current.doing = exchange


def enter(phase: Phase, detail: str = "") -> None:
    """Note that the exchange of the running task, if there is one, is now in ``phase``."""
    current = progress.get()
    if current is not None:
        current.phase = phase
        current.detail = detail


def spend(on: str) -> None:
    """Have the exchange of the running task count its time as spent on ``on``."""
    current = progress.get()
    if current is not None:
        current.spend(on)
