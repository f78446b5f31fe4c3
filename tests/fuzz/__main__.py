"""Fuzz for minutes: `python -m tests.fuzz --minutes 10`, or `nox -s fuzz -- --minutes 10`.

Runs the fuzz tests round after round, each with a seed of its own, until the time is over or
a test fails. Further arguments go to pytest. The exit status is pytest's.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.pace import EXAMPLES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="default: %(default)s")
    parser.add_argument("--examples", type=int, default=300, help="of each test in a round")
    options, rest = parser.parse_known_args()
    until = time.monotonic() + options.minutes * 60
    environment = {**os.environ, EXAMPLES: str(options.examples)}
    while True:
        seed = random.randrange(2**32)
        sys.stdout.write(f"seed {seed}\n")
        sys.stdout.flush()
        pytest = [sys.executable, "-m", "pytest", str(Path(__file__).parent), "-q", "-x"]
        # One test has more examples than the limit for tests has seconds.
        pytest += [
            f"--hypothesis-seed={seed}",
            "-o",
            "timeout=0",
            "-o",
            "faulthandler_timeout=0",
            *rest,
        ]
        status = subprocess.run(pytest, env=environment).returncode
        if status or time.monotonic() >= until:
            return status


if __name__ == "__main__":
    raise SystemExit(main())
