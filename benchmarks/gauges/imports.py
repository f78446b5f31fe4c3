"""What ``import syncclient`` is made of, by ``-X importtime``, beside its peers' imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

from benchmarks.gauges import main


def read(url: str, quick: bool) -> Mapping[str, float]:
    rounds = 2 if quick else 15
    ours, engine, requests = (
        _quickest(module, rounds) for module in ("syncclient", "aiohttp", "requests")
    )
    packages: dict[str, float] = {}
    for module, spent in ours.items():
        package = module.partition(".")[0]
        packages[package] = packages.get(package, 0.0) + spent
    return {
        "import requests": sum(requests.values()),
        "import aiohttp": sum(engine.values()),
        "import syncclient": sum(ours.values()),
        "of which the package syncclient": packages["syncclient"],
        "of which the package aiohttp": packages["aiohttp"],
        "of which aiohttp.connector alone, which makes two TLS contexts": ours["aiohttp.connector"],
    }


def _quickest(module: str, rounds: int) -> dict[str, float]:
    """Return the milliseconds each module took by itself, the least over the rounds."""
    least: dict[str, float] = {}
    for _ in range(rounds):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", f"import {module}"],
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        for name, spent in parse(done.stderr).items():
            least[name] = min(least.get(name, spent), spent)
    return least


def parse(told: str) -> dict[str, float]:
    """Return the milliseconds of each module's own that ``-X importtime`` told."""
    spent = {}
    for line in told.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        if own.strip().isdigit():
            spent[rest.partition("|")[2].strip()] = int(own) / 1_000
    return spent


if __name__ == "__main__":
    main(read)
