"""Reports of ``bench``: percentiles, a histogram, and their output."""

from __future__ import annotations

import math
from dataclasses import dataclass
from textwrap import fill
from typing import Any, NamedTuple

from rich.text import Text

from .terminal import printable

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
_BUCKETS = 12
#: The maximum and minimum length of the longest bar, in columns.
_BAR, _BAR_MIN = 40, 4
#: Columns before the text next to "latency".
_MARGIN = 9
_EIGHTHS = " ▏▎▍▌▋▊▉█"


class Bucket(NamedTuple):
    """A range of latencies, in seconds, and how many fell into it."""

    start: float
    stop: float
    responses: int


@dataclass(frozen=True)
class Report:
    """The result of one run."""

    url: str
    concurrency: int
    #: From the first request to the last response.
    seconds: float
    #: In seconds, ascending.
    latencies: list[float]
    statuses: dict[int, int]
    errors: dict[str, int]
    #: Bytes of bodies, decompressed.
    received: int

    @property
    def answered(self) -> int:
        """The number of responses, with any status."""
        return len(self.latencies)

    @property
    def failed(self) -> int:
        """The number of requests without a response."""
        return sum(self.errors.values())

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.answered / self.seconds if self.seconds else 0.0

    def percentile(self, percent: float) -> float:
        """Return the latency that ``percent`` of the responses did not exceed (nearest rank)."""
        rank = math.ceil(percent / 100 * self.answered)
        return self.latencies[max(rank, 1) - 1]

    def histogram(self) -> list[Bucket]:
        """Return the latencies in ranges of equal ratio: their tail is long."""
        if not self.latencies:
            return []
        low, high = max(self.latencies[0], 1e-6), max(self.latencies[-1], 1e-6)
        if high <= low * 1.0001:
            return [Bucket(low, high, self.answered)]
        ratio = (high / low) ** (1 / _BUCKETS)
        counts = [0] * _BUCKETS
        for latency in self.latencies:
            index = int(math.log(max(latency, low) / low) / math.log(ratio))
            counts[min(index, _BUCKETS - 1)] += 1
        return [Bucket(low * ratio**n, low * ratio ** (n + 1), c) for n, c in enumerate(counts)]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a JSON value, with times in seconds and sizes in bytes."""
        latency = None
        if self.latencies:
            latency = {
                "min": self.latencies[0],
                "mean": math.fsum(self.latencies) / self.answered,
                "max": self.latencies[-1],
                **{f"p{percent:g}": self.percentile(percent) for percent in PERCENTILES},
            }
        return {
            "url": self.url,
            "concurrency": self.concurrency,
            "seconds": self.seconds,
            "responses": self.answered,
            "requests_per_second": self.rate,
            "bytes_received": self.received,
            "latency": latency,
            "histogram": [bucket._asdict() for bucket in self.histogram()],
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "errors": self.errors,
        }


def drawn(report: Report, width: int = 80) -> Text:
    """Return the report for people, on lines of at most ``width`` columns if possible."""
    text = Text()
    text.append(printable(report.url), "bold")
    summary = [f"{report.answered:,} responses in {report.seconds:.2f} s,"]
    summary += [f"{report.concurrency} at a time,", _size(report.received)]
    text.append("\n" + fill(" ".join(summary), width) + "\n")
    if report.latencies:
        text.append(f"{report.rate:,.0f} requests/s\n", "bold green")
        _latencies(text, report, width)
    text.append("\nstatus   ")
    statuses = [f"{status}: {count:,}" for status, count in report.statuses.items()]
    text.append(_in_columns(statuses or ["none"], width))
    if report.errors:
        text.append(f"\nerrors   {report.failed:,}", "bold red")
        for told, count in list(report.errors.items())[:5]:
            line = f"{count:,} x {printable(told)}"
            text.append(
                "\n" + fill(line, width, initial_indent="  ", subsequent_indent="    "), "red"
            )
        if len(report.errors) > 5:
            text.append(f"\n  and {len(report.errors) - 5} other kinds", "red")
    return text


def _latencies(text: Text, report: Report, width: int) -> None:
    text.append("\nlatency  ")
    mean = math.fsum(report.latencies) / report.answered
    ends = (("min", report.latencies[0]), ("mean", mean), ("max", report.latencies[-1]))
    text.append(_in_columns([f"{name} {_time(value)}" for name, value in ends], width))
    text.append("\n         ")
    parts = [f"p{percent:g} {_time(report.percentile(percent))}" for percent in PERCENTILES]
    text.append(_in_columns(parts, width) + "\n\n")
    buckets = report.histogram()
    most = max(bucket.responses for bucket in buckets)
    longest = max(_BAR_MIN, min(_BAR, width - len(f"{0:>9} to {0:>9}   {most:,}")))
    for bucket in buckets:
        text.append(f"{_time(bucket.start):>9} to {_time(bucket.stop):>9} ")
        text.append(_bar(bucket.responses / most, longest), "cyan")
        text.append(f" {bucket.responses:,}\n")


def _in_columns(parts: list[str], width: int) -> str:
    """Join ``parts`` with two spaces; continue full lines below the first part."""
    lines = [_MARGIN * " "]
    for part in parts:
        if len(lines[-1]) > _MARGIN and len(lines[-1]) + len(part) > width:
            lines.append(_MARGIN * " ")
        lines[-1] += part + "  "
    return "\n".join(line.rstrip() for line in lines)[_MARGIN:]


def _bar(share: float, longest: int) -> str:
    eighths = max(round(share * longest * 8), 1 if share else 0)
    whole, rest = divmod(eighths, 8)
    return (_EIGHTHS[8] * whole + (_EIGHTHS[rest] if rest else "")).ljust(longest)


def _time(seconds: float) -> str:
    if seconds < 0.001:
        return f"{1e6 * seconds:.0f} us"
    return f"{1e3 * seconds:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}" if unit != "bytes" else f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.3g} GiB"
