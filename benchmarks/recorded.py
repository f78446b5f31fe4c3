"""A run as it stands in its JSON file: what ``--json`` writes and ``benchmarks.page`` reads.

Times are seconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict, cast


class RecordedTurn(TypedDict):
    seconds: float
    cpu: float
    server_cpu: float | None


class Named(TypedDict):
    client: str
    how: str


class RecordedSeries(Named, total=False):
    """A client's figures in one work, or its ``failure`` and none of the others."""

    failure: str
    median_per_unit: float
    least_per_unit: float
    most_per_unit: float
    cpu_per_unit: float
    server_busy: float | None
    times_as_fast_as: dict[str, float | None]
    turns: list[RecordedTurn]


class RecordedGoal(TypedDict):
    client: str
    peer: str
    faster: float | None
    within: float | None
    times_as_fast: float
    met: bool


class RecordedWork(TypedDict):
    name: str
    title: str
    unit: str
    count: int
    server: str
    anchors: list[str]
    curve: str | None
    curve_title: str | None
    along: str | None
    at: int
    clients: list[RecordedSeries]
    goals: list[RecordedGoal]


class RecordedGrowth(TypedDict):
    client: str
    curve: str
    first: int
    last: int
    ratio: float
    within: float | None
    met: bool | None


class RecordedReading(TypedDict):
    what: str
    value: float
    values: list[float]
    within: float | None
    met: bool | None


class RecordedGauge(TypedDict):
    name: str
    title: str
    unit: str
    absent: str | None
    readings: list[RecordedReading]


class RecordedBoard(TypedDict):
    machine: dict[str, object]
    quick: bool
    versions: dict[str, dict[str, str]]
    absent: dict[str, str]
    works: list[RecordedWork]
    growths: list[RecordedGrowth]
    gauges: list[RecordedGauge]


def load(path: Path) -> RecordedBoard:
    """Read a run. Raises OSError, and ValueError for a file that is none."""
    found: object = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or not RecordedBoard.__required_keys__ <= found.keys():
        raise ValueError(f"{path} is no result of `python -m benchmarks --json`")
    return cast(RecordedBoard, found)
