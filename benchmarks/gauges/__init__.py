"""Figures that are no times: memory, crossings, instructions, and what an import is made of.

Each gauge is a module here, run as ``python -m benchmarks.gauges.NAME URL [--quick]`` in a process
of its own. It prints one line of JSON: a list of its readings, or why it cannot read.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TypedDict

from benchmarks.child_process import environment

READ_SECONDS = 3_600


class Read(TypedDict):
    """What a gauge's process says of one thing it read."""

    what: str
    value: float


@dataclass(frozen=True)
class Gauge:
    """A gauge's name, which is its module's, and what its readings mean."""

    name: str
    title: str
    unit: str
    rounds: int
    goals: Mapping[str, float] = field(default_factory=dict)
    """The most that a reading may be, by its name."""
    enforced: frozenset[str] = frozenset()
    """The goals by which a run fails if they are not met."""


SESSION_ABOVE = "idle Session above the engine's"
CALL_ABOVE = "blocked call above its thread and the engine's request"
#: Beside a peer in the same run: a Python of another build counts otherwise for both.
GET_BESIDE_URLLIB3 = "get-1: syncclient, where urllib3 takes 1,000"
DOOR_BESIDE_HTTPX2 = "get-1: httpx2 on syncclient, where httpx2 takes 1,000"
ADAPTER_BESIDE_REQUESTS = "get-1: requests on syncclient, where requests takes 1,000"
SESSION_BESIDE_REQUESTS = "get-1: syncclient.requests, where requests takes 1,000"
#: What the first was when it was recorded, by the Python that counted: versions spend their
#: instructions in other places, and not alike on both.
RECORDED = {(3, 11): 318.0, (3, 13): 301.0}
#: The same for this Python, and by how much it may rise before a run fails.
GET_RECORDED, RISE = RECORDED.get(sys.version_info[:2], max(RECORDED.values())), 1.03

GAUGES: tuple[Gauge, ...] = (
    Gauge(
        "memory",
        "memory of what waits",
        "KiB",
        rounds=3,
        goals={
            f"{what} ({how})": limit
            for what, limit in ((SESSION_ABOVE, 100.0), (CALL_ABOVE, 20.0))
            for how in ("allocated by Python", "resident")
        },
    ),
    Gauge("crossings", "trips to the loop thread and back", "crossings", rounds=1),
    Gauge("steps", "where the time of one small GET goes, in the median", "us", rounds=1),
    Gauge(
        "instructions",
        "instructions, counted by valgrind's callgrind",
        "1,000",
        rounds=1,
        goals={
            GET_BESIDE_URLLIB3: GET_RECORDED * RISE,
            DOOR_BESIDE_HTTPX2: 700.0,
            ADAPTER_BESIDE_REQUESTS: 1_000.0,
            SESSION_BESIDE_REQUESTS: 500.0,
        },
        enforced=frozenset({GET_BESIDE_URLLIB3}),
    ),
    Gauge("profile", "samples of a download, by function", "%", rounds=1),
    Gauge("imports", "what an import costs, quickest of several", "ms", rounds=1),
)


@dataclass
class Reading:
    """One thing that was read, once in each round."""

    what: str
    values: list[float]
    within: float | None

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        return None if self.within is None else self.value <= self.within


@dataclass
class GaugeResult:
    """All readings of a gauge, or the reason why there are none."""

    gauge: Gauge
    readings: list[Reading]
    absent: str | None = None
    broken: bool = False
    """Whether its process failed, and did not say that it cannot read here."""


class Unreadable(Exception):
    """A gauge cannot read here, and says why."""


class BrokenError(Unreadable):
    """The process of a gauge failed."""


def take(gauge: Gauge, url: str, *, quick: bool) -> GaugeResult:
    """Read a gauge as often as it asks for. Blocks, an hour a round at most."""
    values: dict[str, list[float]] = {}
    try:
        for _ in range(1 if quick else gauge.rounds):
            for read in read_apart(gauge.name, url, quick=quick):
                values.setdefault(read["what"], []).append(read["value"])
    except Unreadable as exc:
        return GaugeResult(gauge, [], str(exc), broken=isinstance(exc, BrokenError))
    return GaugeResult(
        gauge, [Reading(what, found, gauge.goals.get(what)) for what, found in values.items()]
    )


def read_apart(name: str, url: str, *options: str, quick: bool) -> Sequence[Read]:
    """Have a gauge's module read, with ``options``, in a process of its own. Raises Unreadable."""
    command = [sys.executable, "-m", f"benchmarks.gauges.{name}", url, *options]
    try:
        done = subprocess.run(
            command + ["--quick"] * quick,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            env=environment(),
            timeout=READ_SECONDS,
        )
    # Not with their own texts, which show the paths of this machine.
    except subprocess.CalledProcessError as exc:
        raise BrokenError(f"its process ended with status {exc.returncode}") from None
    except subprocess.TimeoutExpired:
        raise BrokenError(f"it took longer than {READ_SECONDS // 60} minutes") from None
    except OSError as exc:
        raise BrokenError(f"its process could not be started: {exc.strerror}") from None
    said: Sequence[Read] | str = json.loads(done.stdout)
    if isinstance(said, str):
        raise Unreadable(said)
    return said


def main(read: Callable[[str, bool], Mapping[str, float]]) -> None:
    """Be the process of a gauge: ``read(url, quick)``, and say what it returned."""
    url, quick = sys.argv[1], "--quick" in sys.argv
    said: Sequence[Read] | str
    try:
        said = [{"what": what, "value": value} for what, value in read(url, quick).items()]
    except (Unreadable, ModuleNotFoundError) as exc:
        said = str(exc)
    print(json.dumps(said))
