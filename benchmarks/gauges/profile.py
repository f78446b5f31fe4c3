"""Where the loop thread and its caller spend a download, with and without the short way.

py-spy looks at both threads many times a second and notes what each is in. Time in compiled code
counts for the Python function that called it: the parser's for ``data_received``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from benchmarks.gauges import Unreadable, main

SHOWN = 6
_FRAME = re.compile(r"(?P<function>\S+) \((?P<file>[^)]*?)(:\d+)?\)$")


def read(url: str, quick: bool) -> Mapping[str, float]:
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        raise Unreadable("py-spy is not installed")
    spying = [spy, "record", "--rate", "500", "--format", "raw", "--function"]
    readings = {}
    for way, options in (("through the parser", ["--parsed"]), ("past the parser", [])):
        program = [sys.executable, "-m", "benchmarks.gauges.repeat", "syncclient", "download", url]
        megabytes = "256" if quick else "4096"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "samples")
            done = subprocess.run(
                [*spying, "--output", str(path), "--", *program, megabytes, *options],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            if not path.exists():
                raise Unreadable(f"py-spy: {(done.stderr.strip().splitlines() or [''])[-1]}")
            shares = parse(path.read_text(encoding="utf-8"))
        for place, share in shares.items():
            readings[f"{way}: `{place}`"] = 100 * share
    return readings


def parse(samples: str) -> dict[str, float]:
    """Return the functions in which most samples of the work were taken, with their shares."""
    found: Counter[str] = Counter()
    for line in samples.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        # Imports before the work are none of it.
        if any("importlib" in frame for frame in frames):
            continue
        match = _FRAME.match(frames[-1])
        if match is not None:
            file = "/".join(match["file"].split("/")[-2:])
            found[f"{match['function']}, {file}"] += int(count)
    whole = found.total()
    return {place: count / whole for place, count in found.most_common(SHOWN)}


if __name__ == "__main__":
    main(read)
