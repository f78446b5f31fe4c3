"""Two kinds of pictures, written as SVG by hand: a library for that would outweigh the benchmarks.

They have no background and take the colour of the text around them, so that they fit a light page
and a dark one alike: inlined in a page of furo's by its variables, as a picture of their own by
what the reader's system prefers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

WIDTH = 760
LEFT = 130
RIGHT = 20
LINE = 26

#: Mid-tones, told apart on white and on black; who comes twice keeps its colour.
COLOURS = {
    "syncclient": "#e8590c",
    "syncclient/asyncio": "#f59f00",
    "aiohttp": "#228be6",
    "aiohttp/asyncio": "#66a3d9",
    "requests": "#2f9e44",
    "httpx": "#9c5fd6",
    "urllib3": "#868e96",
    "niquests": "#d6336c",
    "pycurl": "#b08900",
    "primp": "#0ca678",
    "websockets": "#3b5bdb",
    "websocket-client": "#c2255c",
}

_STYLE = """
.bench-chart { --bench-ink: #24292f; color: var(--color-foreground-primary, var(--bench-ink));
  font: 13px system-ui, sans-serif; max-width: 100%; height: auto; }
.bench-chart text { fill: currentColor; }
.bench-chart .faint { stroke: currentColor; stroke-opacity: 0.15; }
.bench-chart .strong { stroke: currentColor; stroke-opacity: 0.6; stroke-dasharray: 4 3; }
.bench-chart .small { font-size: 11px; opacity: 0.8; }
@media (prefers-color-scheme: dark) { .bench-chart { --bench-ink: #d5d9de; } }
"""


class Axis:
    """Where a value stands between two pixels: by its logarithm, or in proportion from 0."""

    def __init__(
        self, values: Iterable[float], start: float, end: float, *, log: bool = True
    ) -> None:
        found = list(values)
        self._log, self._start, self._end = log, start, end
        if log:
            # A margin, so that nothing is drawn on the frame.
            self._low, self._high = (math.log10(each) for each in (min(found), max(found)))
            margin = max(self._high - self._low, 0.3) * 0.06
            self._low, self._high = self._low - margin, self._high + margin
        else:
            self._low, self._high = 0.0, max(found) * 1.06

    def at(self, value: float) -> float:
        placed = math.log10(value) if self._log else value
        part = (placed - self._low) / (self._high - self._low)
        return self._start + part * (self._end - self._start)

    def ticks(self) -> list[float]:
        """Return round values between the ends: 1, 2 and 5 of each power of ten, or fewer."""
        if not self._log:
            step = 10.0 ** math.floor(math.log10(self._high))
            step = next(
                each for each in (step / 5, step / 2, step, 2 * step) if self._high / each <= 6
            )
            return [step * index for index in range(int(self._high / step) + 1)]
        powers = range(math.floor(self._low), math.ceil(self._high) + 1)
        steps = (1, 2, 5) if self._high - self._low < 2.5 else (1,)
        found = [step * 10.0**power for power in powers for step in steps]
        return [each for each in found if self._low <= math.log10(each) <= self._high]


def ratios(title: str, rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """Draw how many times as fast syncclient is as each peer, a row for each work."""
    peers = list(dict.fromkeys(peer for _, found in rows for peer in found))
    values = [ratio for _, found in rows for ratio in found.values()]
    top, bottom = 34, 34 + LINE * len(rows)
    axis = Axis([*values, 1.0], LEFT, WIDTH - RIGHT)
    parts = []
    for tick in axis.ticks():
        x = axis.at(tick)
        parts.append(_line(x, top, x, bottom, "strong" if tick == 1 else "faint"))
        parts.append(_text(x, bottom + 16, f"{tick:g} x", "middle", "small"))
    for index, (label, found) in enumerate(rows):
        y = top + LINE * (index + 0.5)
        parts.append(_text(LEFT - 10, y + 4, label, "end"))
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y, "faint"))
        for peer, ratio in found.items():
            tip = f"{label}: {ratio:.2f} x as fast as {peer}"
            parts.append(_dot(axis.at(ratio), y, peer, tip))
    legend, height = _legend(peers, bottom + 34)
    hint = _text(WIDTH - RIGHT, 18, "syncclient is faster →", "end", "small")
    return _svg(title, height, [_text(0, 18, title), hint, *parts, *legend])


def bars(title: str, groups: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """Draw a bar for each client, in a group for each work: each says what it is, and how much.

    As narrow as a phone, on which it is read at its own size.
    """
    width, name_width, room = 360, 84, 48
    most = max(value for _, found in groups for value in found.values())
    parts, y = [_text(0, 16, title)], 44.0
    for label, found in groups:
        parts.append(_text(0, y, label, kind="small"))
        for client, value in found.items():
            y += 20
            length = (width - name_width - room) * value / most
            kind = "" if client == "syncclient" else "small"
            parts.append(_text(name_width - 8, y + 4, client, "end", kind))
            parts.append(
                f'<rect x="{name_width}" y="{y - 7:.1f}" width="{length:.1f}" height="14" '
                f'rx="2" fill="{_colour(client)}"/>'
            )
            parts.append(_text(name_width + length + 6, y + 4, f"{value:.1f} x", kind=kind))
        y += 32
    return _svg(title, round(y - 18), parts, width)


def lines(
    title: str,
    along: str,
    show: Callable[[float], str],
    series: Mapping[str, Sequence[tuple[float, float]]],
) -> str:
    """Draw a curve for each client; ``show`` writes the values of the upright axis."""
    places = sorted({x for points in series.values() for x, _ in points})
    values = [y for points in series.values() for _, y in points]
    top, bottom, left = 34, 334, 70
    # What begins at 0 has no logarithm; its few points then stand evenly.
    across = (
        Axis(places, left, WIDTH - RIGHT)
        if places[0] > 0
        else Axis([places[-1]], left + 60, WIDTH - RIGHT - 60, log=False)
    )
    up = Axis(values, bottom, top, log=max(values) > 8 * min(values))
    parts = []
    for tick in up.ticks():
        parts.append(_line(left, up.at(tick), WIDTH - RIGHT, up.at(tick), "faint"))
        parts.append(_text(left - 8, up.at(tick) + 4, show(tick), "end", "small"))
    parts += [
        _text(across.at(place), bottom + 18, f"{place:,g}", "middle", "small") for place in places
    ]
    parts.append(_text((left + WIDTH - RIGHT) / 2, bottom + 38, along, "middle", "small"))
    for client, points in series.items():
        dots = [(across.at(x), up.at(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{_colour(client)}" stroke-width="2"/>'
        )
        for (x, y), (place, value) in zip(dots, points, strict=True):
            parts.append(_dot(x, y, client, f"{client}, {place:,g}: {show(value)}", radius=3.5))
    legend, height = _legend(list(series), bottom + 62)
    return _svg(title, height, [_text(0, 18, title), *parts, *legend])


def _legend(names: Sequence[str], y: float) -> tuple[list[str], int]:
    """Return the legend and the height of the picture that it ends."""
    parts, x = [], 10.0
    for name in names:
        width = 30 + 7.5 * len(name)
        if x + width > WIDTH:
            x, y = 10.0, y + 22
        parts.append(_dot(x, y, name, name))
        parts.append(_text(x + 12, y + 4, name))
        x += width
    return parts, round(y + 16)


def _colour(client: str) -> str:
    return COLOURS.get(client, "#868e96")


def _dot(x: float, y: float, client: str, tip: str, *, radius: float = 5.5) -> str:
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{_colour(client)}">'
        f"<title>{escape(tip)}</title></circle>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: int, parts: Sequence[str], width: int = WIDTH) -> str:
    body = "\n".join(parts)
    return (
        f'<svg class="bench-chart" xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}">\n<style>{_STYLE}</style>\n{body}\n</svg>\n'
    )
