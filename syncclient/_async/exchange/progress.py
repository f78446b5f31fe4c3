"""What an exchange is doing right now, so that an error can say in which phase it struck."""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import attr
from aiohttp import ClientTimeout
from yarl import URL

from ..._caller import current_caller
from ..._models import Attempt, ExactHead, Timings, redacted_url
from ..._timeout import limits_pool

NO_TIMEOUT = ClientTimeout()
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


def on_time(timeout: ClientTimeout) -> ClientTimeout:
    """Return what of ``timeout`` the engine keeps, without the rounding to whole seconds.

    By default the engine lets limits of five seconds and more end up to a second late, so that
    many timers wake its loop together. A ``timeout`` that asks for the rounding has it. Where
    the pool has a limit of its own, ``connect`` is the pool's business: see ``Pool``.
    """
    apart = limits_pool(timeout)
    exact = timeout.ceil_threshold == NO_TIMEOUT.ceil_threshold
    if not exact and not apart:
        return timeout
    return ClientTimeout(
        total=timeout.total,
        connect=None if apart else timeout.connect,
        sock_read=timeout.sock_read,
        sock_connect=timeout.sock_connect,
        ceil_threshold=math.inf if exact else timeout.ceil_threshold,
    )


class Progress:
    """How far one exchange has come. Touched on the event loop only."""

    __slots__ = (
        "_started",
        "credentials",
        "detail",
        "exact",
        "fault",
        "hops",
        "max_body",
        "method",
        "opened",
        "past",
        "phase",
        "proxy",
        "timeout",
        "tried",
        "url",
    )

    def __init__(
        self, method: str = "GET", url: URL = _NO_URL, timeout: ClientTimeout = NO_TIMEOUT
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
        #: The host and port of the proxy that the connection goes through.
        self.proxy: tuple[str, int | None] | None = None
        #: The head to send in place of the one that the engine would make.
        self.exact: ExactHead | None = None
        #: What a callback of the user's for tracing raised.
        self.fault: Exception | None = None
        #: Returns the attempts made so far, while there may be more than one.
        self.past: Callable[[], tuple[Attempt, ...]] | None = None
        #: The connection opened last for this hop, and the engine's request for it, weakly.
        self.opened: tuple[Any, Any] | None = None
        #: The engine's request that asked for a connection last for this hop, weakly.
        self.tried: Any = None
        #: The ``credentials.Credentials`` of a request that was given ``auth=``.
        self.credentials: Any = None
        #: The ``environment.Hops`` of a request, where the environment is trusted.
        self.hops: Any = None
        self._started = time.monotonic()

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.method} {redacted_url(self.url)} while {self.phase.value}{detail}"

    def request(self) -> str:
        """Return the request and its phase, for an error that has named the host already."""
        detail = ""
        if self.detail and self.phase not in (Phase.RESOLVE, Phase.CONNECT):
            detail = f" ({self.detail})"
        return f"{self.method} {redacted_url(self.url)}, while {self.phase.value}{detail}"

    def is_told_in(self, text: str) -> bool:
        """Return whether ``text`` names the request, in whatever phase."""
        request = f"{self.method} {redacted_url(self.url)}"
        return f"{request} while " in text or f"{request}, while " in text

    def time_left(self) -> ClientTimeout:
        """Return the timeout with the rest of its total, for another attempt or hop."""
        timeout = self.timeout
        if not timeout.total:
            return timeout
        # Of 0 seconds there would be no end at all.
        return attr.evolve(timeout, total=max(0.001, timeout.total - self.elapsed()))

    def elapsed(self) -> float:
        """Return the seconds since the exchange began."""
        return time.monotonic() - self._started

    def due(self) -> float | None:
        """Return when the total timeout is over, in terms of ``time.monotonic()``.

        The engine's timer interrupts only waits for the network.
        """
        total = self.timeout.total
        return self._started + total if total else None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts under way and before, under a policy for retries."""
        return () if self.past is None else self.past()

    def afresh(self) -> Progress:
        """Return this, as it was at first, before another attempt."""
        self.phase, self.detail = Phase.HEAD, ""
        return self

    def spend(self, on: str) -> None:
        """Count the time from now on as spent on ``on``; see ``Timed``."""

    def timings(self) -> Timings | None:
        """Return where the time went, if that is kept."""
        return None


#: A context variable and not an argument: aiohttp calls our connector, and hands
#: it none of our objects. The tasks it starts copy the context and so find it too.
progress: ContextVar[Progress | None] = ContextVar("syncclient_progress", default=None)


#: Bound here, for each request needs them: Python takes a longer way to a method of an object that
#: was imported.
_set_progress, _caller = progress.set, current_caller.get


def begin(exchange: Progress) -> None:
    """Make ``exchange`` the one of the running task."""
    _set_progress(exchange)
    caller = _caller()
    if caller is not None:
        caller.doing = exchange  # as note_doing() does, for which each request would pay


def enter(phase: Phase, detail: str = "") -> None:
    """Note that the exchange of the running task, if there is one, is now in ``phase``."""
    current = progress.get()
    if current is not None:
        current.phase = phase
        current.detail = detail


def note_proxy(proxy: tuple[str, int | None] | None) -> None:
    """Note the host and port of the proxy that the running task is about to connect to."""
    current = progress.get()
    if current is not None:
        current.proxy = proxy


def spend(on: str) -> None:
    """Count the time of the running task's exchange as spent on ``on``."""
    current = progress.get()
    if current is not None:
        current.spend(on)
