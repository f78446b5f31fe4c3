"""From a run's JSON to the figures of docs/topics/performance.md: none is written by hand.

``python -m benchmarks.page RESULT.json`` puts three things into docs/: the run itself, the tables
that the page includes, and the pictures. A test compares them, so that none is changed alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks import chart
from benchmarks.recorded import RecordedBoard, RecordedSeries, RecordedWork, load
from benchmarks.report import fitting_scale
from benchmarks.works import WORKS

DOCS = Path(__file__).resolve().parents[1] / "docs"
RUN = "_static/performance.json"
TABLES = "topics/_performance_tables.md"
OURS = "syncclient"
#: What it stands on. Its own figure against a peer tells what is out of our hands.
ENGINE = "aiohttp"
PEERS = (
    "aiohttp",
    "requests",
    "httpx",
    "httpx2",
    "urllib3",
    "niquests",
    "pycurl",
    "primp",
    "websockets",
    "websocket-client",
)
NOT_IN_RUN = "This run has no figures of it."


def render(board: RecordedBoard) -> dict[str, str]:
    """Return the files, by their path under docs/."""
    return {
        RUN: json.dumps(board, indent=1) + "\n",
        TABLES: tables(board),
        **{f"_static/performance-{name}.svg": svg for name, svg in charts(board).items()},
    }


def write(board: RecordedBoard, docs: Path = DOCS) -> None:
    """Write the files. Raises OSError."""
    for name, text in render(board).items():
        path = docs / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def write_charts(board: RecordedBoard, folder: Path) -> None:
    """Write the pictures alone. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in charts(board).items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")


# -- pictures --------------------------------------------------------------------------------


def charts(board: RecordedBoard) -> dict[str, str]:
    """Return the pictures this run has figures for, by name."""
    drawn = {}
    rows = [
        (work["name"], found)
        for work in board["works"]
        if not work["curve"]
        if (found := peers_of(work))
    ]
    if rows:
        drawn["ratios"] = chart.ratios("how many times as fast as its peers, by work", rows)
    if shown := beside_requests(board):
        drawn["short"] = chart.bars("times as fast as requests", shown)
    for name, works in curves(board).items():
        series: dict[str, list[tuple[float, float]]] = {}
        for work in works:
            for each in _measured(work):
                series.setdefault(each["client"], []).append((work["at"], each["median_per_unit"]))
        scale = fitting_scale(min(y for points in series.values() for _, y in points))
        drawn[name] = chart.lines(
            f"{works[0]['curve_title']}, in {scale.symbol}",
            works[0]["along"] or "",
            scale.show,
            series,
        )
    return drawn


def curves(board: RecordedBoard) -> dict[str, list[RecordedWork]]:
    """Return the works that are points of a curve, by the curve's name."""
    found: dict[str, list[RecordedWork]] = {}
    for work in board["works"]:
        if work["curve"]:
            found.setdefault(work["curve"], []).append(work)
    return found


def peers_of(work: RecordedWork) -> dict[str, float]:
    """Return how many times as fast as each peer syncclient was."""
    by_name = {each["client"]: each for each in _measured(work)}
    ours = by_name.get(OURS)
    if ours is None:
        return {}
    return {peer: _times_as_fast(ours, by_name[peer]) for peer in PEERS if peer in by_name}


#: The works whose figures the pages begin with, in plain words; and who stands beside us there.
PLAIN = {
    "get-1": "small requests, one after the other",
    "get-32": "small requests in 32 threads",
    "map-100": "small requests, 100 at a time",
    "download": "a large download, by chunks",
}
BESIDE = ("requests", "httpx", "aiohttp")


def beside_requests(board: RecordedBoard) -> list[tuple[str, dict[str, float]]]:
    """Return how many times as fast as requests each of a few clients was, by plain works."""
    shown = []
    for work in board["works"]:
        if work["name"] in PLAIN and "requests" in (peers := peers_of(work)):
            ours = peers["requests"]
            others = {peer: ours / peers[peer] for peer in BESIDE if peer in peers}
            shown.append((PLAIN[work["name"]], {OURS: ours, **others}))
    return shown


def _times_as_fast(ours: RecordedSeries, theirs: RecordedSeries) -> float:
    return median(
        other["seconds"] / mine["seconds"]
        for other, mine in zip(theirs["turns"], ours["turns"], strict=True)
    )


def _measured(work: RecordedWork) -> list[RecordedSeries]:
    return [each for each in work["clients"] if "failure" not in each]


# -- tables ----------------------------------------------------------------------------------


def tables(board: RecordedBoard) -> str:
    """Return all tables, each between comments that the page includes it by."""
    sections: dict[str, str] = {
        "plain": _plain(board),
        "run": _run(board),
        "goals": _goals(board),
        "works": _works(board),
    }
    for name in ("scale", "threads", "busy"):
        sections[name] = _curve(curves(board).get(name, []))
    gauges = {gauge["name"]: gauge for gauge in board["gauges"]}
    for name in ("memory", "crossings", "steps", "instructions", "profile", "imports"):
        gauge = gauges.get(name)
        if gauge is None:
            sections[name] = NOT_IN_RUN
        elif gauge["absent"] is not None:
            sections[name] = f"Not read in this run: {gauge['absent'].rstrip('.')}."
        else:
            sections[name] = _table(
                [gauge["title"], gauge["unit"]],
                ([each["what"], _count(each["value"])] for each in gauge["readings"]),
            )
    written = "\n\n".join(
        f"<!-- {name} -->\n\n{text}\n\n<!-- end of {name} -->" for name, text in sections.items()
    )
    return f"<!-- Written by `python -m benchmarks.page`; changes here are lost. -->\n\n{written}\n"


def _plain(board: RecordedBoard) -> str:
    """Return the few figures that the page begins with."""
    found = [
        f"- **{ratios[OURS]:.1f} times** as fast as requests: {label}"
        for label, ratios in beside_requests(board)
    ]
    return "\n".join(found) or NOT_IN_RUN


def _run(board: RecordedBoard) -> str:
    machine = board["machine"]
    libraries = {
        name: version for found in board["versions"].values() for name, version in found.items()
    }
    servers = dict.fromkeys(work["server"] for work in board["works"])
    rows: list[Sequence[object]] = [
        ["date", machine["date"]],
        ["machine", f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}"],
        ["Python", f"{machine['python']}{'' if machine['gil'] else ', free-threaded'}"],
        ["load before and after", f"{machine['load']}, {machine.get('load_after')}"],
        ["revision", f"{machine.get('revision') or 'unknown'} (+: with changes)"],
        ["servers", "; ".join(servers)],
        ["versions", ", ".join(f"{name} {libraries[name]}" for name in sorted(libraries))],
        *(["not measured", f"{name}: {reason}"] for name, reason in board["absent"].items()),
        *_added_since(board),
    ]
    told = _table(["", "this run"], ([str(cell) for cell in row] for row in rows))
    if board["quick"]:
        told = (
            "**A quick run: it shows that everything works; its figures are no measurement.**\n\n"
            + told
        )
    return told


def _added_since(board: RecordedBoard) -> list[Sequence[str]]:
    """Return the row on works that the run does not know, where there are any."""
    known = {work["name"] for work in board["works"]}
    added = [f"`{work.name}`" for work in WORKS if work.name not in known]
    return [["not in this run", ", ".join(added)]] if added else []


def _goals(board: RecordedBoard) -> str:
    rows = []
    for work in board["works"]:
        aims: dict[tuple[str, str, float | None, float | None], dict[str, tuple[str, bool]]] = {}
        for goal in work["goals"]:
            ratio, within = goal["times_as_fast"], goal["within"]
            said = f"{ratio:.2f} x" if within is None else f"{1 / ratio:.2f} x the time"
            client, _, loop = goal["client"].partition("/")
            key = client, goal["peer"].partition("/")[0], goal["faster"], within
            aims.setdefault(key, {})[loop] = said, goal["met"]
        for (client, peer, faster, within), found in aims.items():
            whose = "" if client == OURS else f"{client}: "
            aim = whose + (
                f">= {faster:g} x as fast as {peer}"
                if within is None
                else f"<= {within:g} x the time of {peer}"
            )
            engine = "" if faster is None or whose else _engine_alone(work, peer)
            rows.append([f"`{work['name']}`", aim, *_verdict(found), engine])
    growths: dict[str, dict[str, tuple[str, bool]]] = {}
    for growth in board["growths"]:
        aim = (
            f"a request at {growth['last']:,} <= {growth['within']:g} x one at {growth['first']:,}"
        )
        verdict = f"x {growth['ratio']:.2f}", bool(growth["met"])
        _, _, loop = growth["client"].partition("/")
        growths.setdefault(f"`{growth['curve']}`|{aim}", {})[loop] = verdict
    rows += [[*name.split("|"), *_verdict(found), ""] for name, found in growths.items()]
    for gauge in board["gauges"]:
        rows += [
            [
                f"`{gauge['name']}`",
                f"{each['what']} <= {each['within']:g} {gauge['unit']}",
                f"{each['value']:.1f} {gauge['unit']}",
                _met(bool(each["met"])),
                "",
                "",
            ]
            for each in gauge["readings"]
            if each["within"] is not None
        ]
    if not rows:
        return NOT_IN_RUN
    met = sum(row[3] == _met(True) for row in rows)
    return (
        _table(["work", "goal", "measured", "", "on asyncio's loop", "aiohttp itself"], rows)
        + f"\n\n{met} of {len(rows)} goals are met in this run."
    )


def _engine_alone(work: RecordedWork, peer: str) -> str:
    """Return what the engine reaches against the same peer, with nothing in front of it."""
    by_name = {each["client"]: each for each in _measured(work)}
    if ENGINE not in by_name or peer not in by_name or peer == ENGINE:
        return ""
    return f"{_times_as_fast(by_name[ENGINE], by_name[peer]):.2f} x"


def _verdict(found: Mapping[str, tuple[str, bool]]) -> list[str]:
    """Return what was measured, whether that is enough, and the same on asyncio's own loop."""
    said, met = found.get("", ("", False))
    other = found.get("asyncio")
    return [
        said,
        _met(met) if said else "",
        "" if other is None else other[0] + ("" if other[1] else " (not met)"),
    ]


def _met(met: bool) -> str:
    return "met" if met else "**not met**"


def _works(board: RecordedBoard) -> str:
    counted = {
        reading["what"]: reading["value"]
        for gauge in board["gauges"]
        if gauge["name"] == "instructions"
        for reading in gauge["readings"]
    }
    told = [_work(work, counted) for work in board["works"] if not work["curve"]]
    return "\n\n".join(told) or NOT_IN_RUN


def _work(work: RecordedWork, counted: Mapping[str, float]) -> str:
    measured = sorted(_measured(work), key=lambda each: each["median_per_unit"])
    if not measured:
        return f"**`{work['name']}`**: no client could do it."
    scale = fitting_scale(measured[0]["median_per_unit"])
    # Those of a client on its default loop: the names have no "/asyncio".
    counts = {each["client"]: counted.get(f"{work['name']}: {each['client']}") for each in measured}
    rows = []
    for each in measured:
        busy, ratios = each["server_busy"], each["times_as_fast_as"]
        least, most = (scale.show(each[key]) for key in ("least_per_unit", "most_per_unit"))
        rows.append(
            [
                f"**{each['client']}**" if each["client"].startswith(OURS) else each["client"],
                scale.show(each["median_per_unit"]),
                f"{least} - {most}",
                scale.show(each["cpu_per_unit"]),
                "" if busy is None else f"{busy:.0%}",
                *([_count(counts[each["client"]])] if any(counts.values()) else []),
                *(
                    f"{ratio:.2f}" if (ratio := ratios.get(anchor)) else ""
                    for anchor in work["anchors"]
                ),
                f"`{each['how'].splitlines()[0]}`",
            ]
        )
    head = [
        "client",
        f"{scale.symbol} for a {work['unit']}",
        "least - most",
        "CPU",
        "server",
        *(["1,000 instructions"] if any(counts.values()) else []),
        *(f"x {anchor}" for anchor in work["anchors"]),
        "how",
    ]
    failed = "".join(
        f"\n\n{each['client']} failed: {each['failure']}"
        for each in work["clients"]
        if "failure" in each
    )
    size = f"{work['count']:,} a round, {len(measured[0]['turns'])} rounds; {work['server']}"
    return f"**`{work['name']}`**: {work['title']} ({size})\n\n{_table(head, rows)}{failed}"


def _curve(works: Sequence[RecordedWork]) -> str:
    """Return a table of a curve: a row for each client, a column for each point."""
    medians: dict[str, dict[int, float]] = {}
    for work in works:
        for each in _measured(work):
            medians.setdefault(each["client"], {})[work["at"]] = each["median_per_unit"]
    if not medians:
        return NOT_IN_RUN
    places = [work["at"] for work in works]
    scale = fitting_scale(min(value for found in medians.values() for value in found.values()))
    head = [f"{scale.symbol} for a request, {works[0]['along']}:", *(f"{at:,}" for at in places)]
    return _table(
        head,
        (
            [client, *(scale.show(found[at]) if at in found else "" for at in places)]
            for client, found in medians.items()
        ),
    )


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.{_digits(value)}f}"


def _digits(value: float) -> int:
    return 0 if value == int(value) else 1


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown, all columns but the first and the wordy ones to the right."""
    written = [head, *rows]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in written]
    rule = ["---:" if _is_number_column(column) else "---" for column in zip(*cells, strict=True)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [cells[0], rule, *cells[1:]])


def _is_number_column(column: Sequence[str]) -> bool:
    return any(column[1:]) and all(cell[:1].isdigit() or not cell for cell in column[1:])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.page", description="put a run into the documentation"
    )
    parser.add_argument("result", type=Path, help="what `python -m benchmarks --json` wrote")
    parser.add_argument("--docs", type=Path, default=DOCS, help="default: docs/")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    try:
        write(load(options.result), options.docs)
    except (OSError, ValueError) as exc:
        print(f"python -m benchmarks.page: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
