"""The command line: ``python -m benchmarks`` from the repository's root, or ``nox -s bench``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, page, report, runner
from benchmarks.child_process import ChildError
from benchmarks.clients import CLIENTS
from benchmarks.gauges import GAUGES
from benchmarks.servers.launch import SERVERS
from benchmarks.works import CURVES, WORKS

BUSY_LOAD_PER_CORE = 0.5


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="syncclient beside its peers, in one run"
    )
    works, clients = [work.name for work in WORKS], [spec.name for spec in CLIENTS]
    works += [curve.name for curve in CURVES] + [gauge.name for gauge in GAUGES]
    parser.add_argument(
        "--only", action="append", choices=works, metavar="WORK", help=f"of {', '.join(works)}"
    )
    parser.add_argument(
        "--client",
        action="append",
        choices=clients,
        metavar="NAME",
        help=f"of {', '.join(clients)}",
    )
    parser.add_argument(
        "--loop", choices=["uvloop", "asyncio"], help="leave out the clients on the other loop"
    )
    parser.add_argument(
        "--rounds",
        type=_positive,
        metavar="N",
        help="rounds of every work (default: its own number)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds in all; proves that it runs, not more"
    )
    parser.add_argument("--server", choices=SERVERS, default="auto", help="default: %(default)s")
    parser.add_argument(
        "--seed", type=int, default=0, help="draws the order of the turns (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every figure there too")
    parser.add_argument(
        "--chart", type=Path, metavar="DIR", help="draw the ratios and the curves there, as SVG"
    )
    parser.add_argument(
        "--docs", action="store_true", help="put the result into docs/topics/performance.md"
    )
    options = parser.parse_args(arguments)
    if options.docs and (options.quick or options.only or options.client or options.loop):
        parser.error(
            "--docs wants a whole measurement: leave out --quick, --only, --client, --loop"
        )
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks. Return 0, or 1 if a server or a client failed, or instructions rose.

    Goals for times do not count: they depend on what else the machine does.
    """
    options = parse(sys.argv[1:] if arguments is None else arguments)
    plan = runner.Plan(
        works=[
            work
            for work in WORKS
            if not options.only
            or work.name in options.only
            or (work.curve is not None and work.curve.name in options.only)
        ],
        clients=[
            spec
            for spec in CLIENTS
            if (not options.client or spec.name in options.client)
            and (not options.loop or spec.loop in (None, options.loop))
        ],
        gauges=[gauge for gauge in GAUGES if not options.only or gauge.name in options.only],
        server=options.server,
        quick=options.quick,
        rounds=options.rounds,
        seed=options.seed,
    )
    described = machine.describe()
    try:
        board = runner.run(plan, described, lambda line: print(line, file=sys.stderr, flush=True))
    except ChildError as exc:
        print(f"python -m benchmarks: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "python -m benchmarks: interrupted; nothing is reported of half a run", file=sys.stderr
        )
        return 130
    board.machine["load_after"] = machine.load()
    report.print_board(board, sys.stdout)
    if options.json is not None:
        report.write_json(board, options.json)
    if options.chart is not None:
        page.write_charts(report.as_json(board), options.chart)
    if options.docs:
        page.write(report.as_json(board))
    load_before = described["load"]
    if isinstance(load_before, float) and load_before > BUSY_LOAD_PER_CORE * (os.cpu_count() or 1):
        print(
            "The machine was busy when the run began: trust the ratios, not the times.",
            file=sys.stderr,
        )
    return 1 if board.failed else 0


if __name__ == "__main__":
    sys.exit(main())
