"""Where the time of one exchange goes: its Progress, with a clock."""

from __future__ import annotations

import time

from aiohttp import ClientTimeout
from yarl import URL

from ..._hosts import is_ip_address
from ..._models import Reply, Timings
from .progress import Phase, Progress

_NAMES = {
    Phase.POOL: "pool",
    Phase.RESOLVE: "dns",
    Phase.CONNECT: "connect",
    Phase.SEND: "send",
    Phase.HEAD: "wait",
    Phase.BODY: "body",
    Phase.MIDDLEWARE: "middleware",
}


class Timed(Progress):
    """A Progress that adds up the seconds of its phases. Only requests with timings have one.

    The names under which it adds are those of ``Timings``; ``tls`` is no phase of its own.
    """

    __slots__ = ("_began", "_on", "_phase", "_since", "_spent")

    def __init__(self, method: str, url: URL, timeout: ClientTimeout) -> None:
        #: What the time since ``_since`` is spent on.
        self._on: str | None = None
        self._since = 0.0
        self._began = 0.0
        self._spent: dict[str, float] = {}
        self._start()
        super().__init__(method, url, timeout)

    @property
    def phase(self) -> Phase:
        """What the exchange is doing."""
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self.spend(_NAMES[phase])
        self._phase = phase

    def spend(self, on: str) -> None:
        """Count the time from now on as spent on ``on``."""
        now = time.monotonic()
        before = self._on
        if before == "dns" and is_ip_address(self.detail):
            before = "connect"  # an address is not looked up
        if before is not None:
            self._spent[before] = self._spent.get(before, 0.0) + now - self._since
        self._on, self._since = on, now

    def afresh(self) -> Progress:
        """Forget the attempts before."""
        self._start()
        return super().afresh()

    def _start(self) -> None:
        self._began = self._since = time.monotonic()
        self._on, self._spent = None, {}

    def timed(self, reply: Reply) -> Reply:
        """Return ``reply`` with the timings: the body is over if it is in there."""
        if reply.body is not None:
            self.spend("over")
        return reply._replace(timings=self.timings())

    def timings(self) -> Timings:
        """Return the timings so far, without the current phase."""
        spent = self._spent
        return Timings(
            pool=spent.get("pool"),
            dns=spent.get("dns"),
            connect=spent.get("connect"),
            tls=spent.get("tls"),
            send=spent.get("send"),
            wait=spent.get("wait"),
            body=spent.get("body"),
            middleware=spent.get("middleware"),
            total=self._since - self._began,
        )
