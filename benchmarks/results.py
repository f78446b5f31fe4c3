"""What was measured, and what is derived from it: medians, spread, ratios, goals.

Times are seconds for one whole turn unless a name says ``per_unit``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from benchmarks.clients import CLIENTS, counterpart
from benchmarks.gauges import GaugeResult
from benchmarks.works import Curve, Goal, Work

_LOOPS = {spec.name: spec.loop for spec in CLIENTS}


@dataclass(frozen=True)
class Turn:
    """One client's turn in one round."""

    seconds: float
    cpu: float
    """CPU time of the client's process, its threads and finished children included."""
    whole: float
    """Wall time with the warm-up: the span over which ``server_cpu`` was counted."""
    server_cpu: float | None


@dataclass
class Series:
    """One client's turns in one work, one for each round; none are left of a client that failed."""

    client: str
    how: str
    count: int
    turns: list[Turn] = field(default_factory=list)
    failure: str | None = None

    @property
    def per_unit(self) -> list[float]:
        return [turn.seconds / self.count for turn in self.turns]

    @property
    def median_per_unit(self) -> float:
        return median(self.per_unit)

    @property
    def cpu_per_unit(self) -> float:
        return median(turn.cpu / self.count for turn in self.turns)

    @property
    def server_busy(self) -> float | None:
        """The part of the time in which the server computed.

        Near 1 the figure is the server's, not the client's.
        """
        spent = [turn.server_cpu for turn in self.turns if turn.server_cpu is not None]
        return sum(spent) / sum(turn.whole for turn in self.turns) if spent else None


@dataclass
class WorkResult:
    """All series of one work, in the order of the clients' table."""

    work: Work
    count: int
    server: str
    series: list[Series]

    @property
    def measured(self) -> list[Series]:
        """The series that have figures."""
        return [series for series in self.series if series.turns]

    def find(self, client: str) -> Series | None:
        """Return the client's series if it has figures."""
        return next((series for series in self.measured if series.client == client), None)

    def times_as_fast(self, series: Series, anchor: str) -> float | None:
        """Return how many times as fast as ``anchor`` the series is.

        Like is compared with like: where the anchor has a loop, on the same loop.

        The ratio is taken within each round, where both met the same machine, and is the median
        over the rounds.
        """
        peer = self.find(counterpart(anchor, _LOOPS[series.client]))
        if peer is None or not series.turns:
            return None
        return median(
            theirs.seconds / ours.seconds
            for theirs, ours in zip(peer.turns, series.turns, strict=True)
        )

    def verdicts(self) -> list[Verdict]:
        """Hold every client that was measured, on either loop, against its goals of the work."""
        return [
            Verdict(series.client, counterpart(goal.peer, _LOOPS[series.client]), goal, ratio)
            for series in self.series
            for goal in self.work.goals
            if series.client.partition("/")[0] == goal.client
            if (ratio := self.times_as_fast(series, goal.peer)) is not None
        ]


@dataclass(frozen=True)
class Verdict:
    """A goal, and the ratio measured for it: how many times as fast as the peer."""

    client: str
    peer: str
    goal: Goal
    times_as_fast: float

    @property
    def met(self) -> bool:
        if self.goal.within is not None:
            return 1 / self.times_as_fast <= self.goal.within
        return self.goal.faster is None or self.times_as_fast >= self.goal.faster

    def __str__(self) -> str:
        if self.goal.within is not None:
            said = f"time of {self.peer} x {1 / self.times_as_fast:.2f}"
            aim = f"<= {self.goal.within:g}"
        else:
            said = f"{self.times_as_fast:.2f} x as fast as {self.peer}"
            aim = f">= {self.goal.faster:g}"
        return f"{self.client}: {said}, goal {aim}: {'met' if self.met else 'NOT MET'}"


@dataclass(frozen=True)
class Growth:
    """How a client's time per unit at a curve's last point compares with the first point's."""

    client: str
    curve: Curve
    first: int
    last: int
    ratio: float

    @property
    def met(self) -> bool | None:
        """Whether the curve's goal is met; None without a goal."""
        return None if self.curve.growth is None else self.ratio <= self.curve.growth


@dataclass
class Scoreboard:
    """Everything a run has to tell."""

    machine: dict[str, object]
    versions: dict[str, dict[str, str]]
    absent: dict[str, str]
    """Clients that could not be measured at all, with the reason."""
    broken: bool
    """Whether one of the absent is broken rather than just not installed."""
    quick: bool
    results: list[WorkResult] = field(default_factory=list)
    gauges: list[GaugeResult] = field(default_factory=list)

    def curves(self) -> dict[Curve, list[WorkResult]]:
        """Return the points of each curve of which there are two, in their order."""
        found: dict[Curve, list[WorkResult]] = {}
        for result in self.results:
            if result.work.curve is not None:
                found.setdefault(result.work.curve, []).append(result)
        return {
            curve: sorted(points, key=lambda point: point.work.at)
            for curve, points in found.items()
            if len(points) > 1
        }

    def growths(self) -> list[Growth]:
        """Return the growth of every variant of syncclient along the curves that have a goal."""
        found = []
        for curve, points in self.curves().items():
            first, last = points[0], points[-1]
            if curve.growth is None:
                continue
            for series in last.measured:
                start = first.find(series.client)
                if series.client.partition("/")[0] == "syncclient" and start is not None:
                    # Within rounds there is nothing to compare: the points had rounds of their own.
                    ratio = series.median_per_unit / start.median_per_unit
                    found.append(Growth(series.client, curve, first.work.at, last.work.at, ratio))
        return found

    @property
    def failed(self) -> bool:
        return (
            self.broken
            or any(series.failure for result in self.results for series in result.series)
            or any(result.broken for result in self.gauges if result.gauge.enforced)
            or any(
                reading.met is False
                for result in self.gauges
                for reading in result.readings
                if reading.what in result.gauge.enforced
            )
        )
