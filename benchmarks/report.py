"""The scoreboard as a table for people, and as JSON for everything else.

The table is rich's where that is installed, else plain.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from benchmarks.gauges import GaugeResult
from benchmarks.recorded import (
    RecordedBoard,
    RecordedGauge,
    RecordedGrowth,
    RecordedSeries,
    RecordedWork,
)
from benchmarks.results import Growth, Scoreboard, Series, WorkResult

WIDTH_WITHOUT_TERMINAL = 150


def write_json(board: Scoreboard, path: Path) -> None:
    """Write every turn and everything derived from the turns. Raises OSError."""
    path.write_text(json.dumps(as_json(board), indent=2) + "\n", encoding="utf-8")


def as_json(board: Scoreboard) -> RecordedBoard:
    """Return the scoreboard in JSON's own types; times are seconds."""
    return {
        "machine": board.machine,
        "quick": board.quick,
        "versions": board.versions,
        "absent": board.absent,
        "works": [_work_as_json(result) for result in board.results],
        "growths": [_growth_as_json(growth) for growth in board.growths()],
        "gauges": [_gauge_as_json(result) for result in board.gauges],
    }


def _growth_as_json(growth: Growth) -> RecordedGrowth:
    return {
        "client": growth.client,
        "curve": growth.curve.name,
        "first": growth.first,
        "last": growth.last,
        "ratio": growth.ratio,
        "within": growth.curve.growth,
        "met": growth.met,
    }


def _gauge_as_json(result: GaugeResult) -> RecordedGauge:
    return {
        "name": result.gauge.name,
        "title": result.gauge.title,
        "unit": result.gauge.unit,
        "absent": result.absent,
        "readings": [
            {
                "what": reading.what,
                "value": reading.value,
                "values": reading.values,
                "within": reading.within,
                "met": reading.met,
            }
            for reading in result.readings
        ],
    }


def _work_as_json(result: WorkResult) -> RecordedWork:
    curve = result.work.curve
    return {
        "name": result.work.name,
        "title": result.work.title,
        "unit": result.work.unit,
        "count": result.count,
        "server": result.server,
        "anchors": list(result.work.anchors),
        "curve": None if curve is None else curve.name,
        "curve_title": None if curve is None else curve.title,
        "along": None if curve is None else curve.along,
        "at": result.work.at,
        "clients": [_series_as_json(result, series) for series in result.series],
        "goals": [
            {
                "client": verdict.client,
                "peer": verdict.peer,
                "faster": verdict.goal.faster,
                "within": verdict.goal.within,
                "times_as_fast": verdict.times_as_fast,
                "met": verdict.met,
            }
            for verdict in result.verdicts()
        ],
    }


def _series_as_json(result: WorkResult, series: Series) -> RecordedSeries:
    if series.failure is not None:
        return {"client": series.client, "how": series.how, "failure": series.failure}
    return {
        "client": series.client,
        "how": series.how,
        "median_per_unit": series.median_per_unit,
        "least_per_unit": min(series.per_unit),
        "most_per_unit": max(series.per_unit),
        "cpu_per_unit": series.cpu_per_unit,
        "server_busy": series.server_busy,
        "times_as_fast_as": {
            anchor: result.times_as_fast(series, anchor) for anchor in result.work.anchors
        },
        "turns": [
            {"seconds": turn.seconds, "cpu": turn.cpu, "server_cpu": turn.server_cpu}
            for turn in series.turns
        ],
    }


def print_board(board: Scoreboard, stream: TextIO) -> None:
    """Print the machine, a table for each work, the goals, and who is absent and why."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ModuleNotFoundError:
        print("\n".join(preface(board)), file=stream)
        for result in board.results:
            print(f"\n{heading(result)}", file=stream)
            _print_plain([columns(result), *rows(result)], stream)
            print("\n".join(footnotes(result)), file=stream)
        for line in growth_lines(board):
            print(line, file=stream)
        for gauge in board.gauges:
            print(f"\n{gauge.gauge.name}: {gauge.gauge.title}", file=stream)
            print("\n".join(gauge_lines(gauge)), file=stream)
        return
    # Without a terminal rich would squeeze the tables into 80 columns.
    console = Console(
        file=stream, width=None if stream.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False
    )
    for line in preface(board):
        console.print(line, markup=False)
    for result in board.results:
        table = Table(
            title=heading(result), title_justify="left", title_style="bold", header_style="bold"
        )
        names = columns(result)
        for index, name in enumerate(names):
            table.add_column(
                name,
                justify="right" if 0 < index < len(names) - 1 else "left",
                no_wrap=name != "how",
            )
        for row in rows(result):
            table.add_row(*row, style="cyan" if row[0].startswith("syncclient") else None)
        console.print()
        console.print(table)
        for line in footnotes(result):
            console.print(
                line, markup=False, style="red" if "NOT MET" in line or "failed" in line else None
            )
    for line in growth_lines(board):
        console.print(line, markup=False, style="red" if "NOT MET" in line else None)
    for gauge in board.gauges:
        console.print(f"\n{gauge.gauge.name}: {gauge.gauge.title}", markup=False, style="bold")
        for line in gauge_lines(gauge):
            console.print(line, markup=False, style="red" if "NOT MET" in line else None)


def preface(board: Scoreboard) -> list[str]:
    """Return the lines on machine, versions and absent clients."""
    libraries = {
        name: version for versions in board.versions.values() for name, version in versions.items()
    }
    lines = [
        ", ".join(f"{key}: {value}" for key, value in board.machine.items()),
        ", ".join(f"{name} {version}" for name, version in sorted(libraries.items())),
        *(f"not measured: {name}: {reason}" for name, reason in board.absent.items()),
        "Medians over rounds, then the quickest and the slowest round. "
        "CPU: of the client's process. Server: the part of the time it computed. "
        '"x peer": how many times as fast as that peer, on the same loop.',
    ]
    if board.quick:
        lines.append("A quick run: it shows that everything works; its figures are no measurement.")
    return lines


def heading(result: WorkResult) -> str:
    rounds = max((len(series.turns) for series in result.series), default=0)
    size = f"{result.count:,} each round, {rounds} rounds"
    return f"{result.work.name}: {result.work.title} ({size}; {result.server})"


def columns(result: WorkResult) -> list[str]:
    anchors = [f"x {anchor}" for anchor in result.work.anchors]
    scale, unit = _scale(result), result.work.unit
    return [
        "client",
        f"{scale.symbol}/{unit}",
        "min - max",
        f"{unit}/s",
        f"CPU {scale.symbol}",
        "server",
        *anchors,
        "how",
    ]


def rows(result: WorkResult) -> list[list[str]]:
    """Return the table's cells, the quickest client first."""
    scale = _scale(result)
    return [
        _row(result, series, scale)
        for series in sorted(result.measured, key=lambda each: each.median_per_unit)
    ]


def _row(result: WorkResult, series: Series, scale: Scale) -> list[str]:
    busy = series.server_busy
    ratios = [result.times_as_fast(series, anchor) for anchor in result.work.anchors]
    return [
        series.client,
        scale.show(series.median_per_unit),
        f"{scale.show(min(series.per_unit))} - {scale.show(max(series.per_unit))}",
        f"{1 / series.median_per_unit:,.{0 if series.median_per_unit < 0.01 else 1}f}",
        scale.show(series.cpu_per_unit),
        "" if busy is None else f"{busy:.0%}",
        *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
        series.how,
    ]


def footnotes(result: WorkResult) -> list[str]:
    """Return the goals' verdicts and the failures."""
    failures = [
        f"{series.client} failed: {series.failure}" for series in result.series if series.failure
    ]
    return [*map(str, result.verdicts()), *failures]


def growth_lines(board: Scoreboard) -> list[str]:
    """Return what the curves' goals came to."""
    return [
        f"{growth.client}: {growth.curve.title}: at {growth.last:,} {growth.ratio:.2f} x that at "
        f"{growth.first:,}, goal <= {growth.curve.growth:g}: {'met' if growth.met else 'NOT MET'}"
        for growth in board.growths()
    ]


def gauge_lines(result: GaugeResult) -> list[str]:
    """Return a gauge's readings, or why there are none."""
    if result.absent is not None:
        return [f"not read: {result.absent}"]
    return [
        f"{reading.value:>12,.1f} {result.gauge.unit}  {reading.what}"
        + (
            ""
            if reading.within is None
            else f", goal <= {reading.within:g}: {'met' if reading.met else 'NOT MET'}"
        )
        for reading in result.readings
    ]


class Scale(NamedTuple):
    """The unit in which a table shows its times."""

    symbol: str
    per_second: float

    def show(self, seconds: float) -> str:
        value = seconds * self.per_second
        return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


_SCALES = (Scale("s", 1.0), Scale("ms", 1e3), Scale("us", 1e6), Scale("ns", 1e9))


def fitting_scale(quickest: float) -> Scale:
    """Return the coarsest unit in which ``quickest``, in seconds, is at least 1."""
    return next((scale for scale in _SCALES if quickest * scale.per_second >= 1), _SCALES[-1])


def _scale(result: WorkResult) -> Scale:
    return fitting_scale(min((series.median_per_unit for series in result.measured), default=1.0))


def _print_plain(table: Sequence[Sequence[str]], stream: TextIO) -> None:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    last = len(widths) - 1
    for row in table:
        cells = [
            cell.rjust(width) if 0 < index < last else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip(), file=stream)
