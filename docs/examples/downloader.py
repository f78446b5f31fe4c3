"""A downloader that goes on where it was stopped, by Ctrl-C, a crash or a power cut.

python docs/examples/server.py                               # has a file, and is slow if asked to
python docs/examples/downloader.py "http://localhost:8080/file/20000000?pause=0.05" some.bin

Press Ctrl-C, and run it again.
"""

import argparse
import sys
from pathlib import Path

import syncclient


def fetch(url: str, path: Path, *, digest: str | None = None, connections: int = 1) -> Path:
    """Download ``url`` into ``path``, or to the file's own name if that is a folder."""
    with syncclient.Session(retry=syncclient.Retry()) as session:
        return session.download(
            url, path, digest=digest, connections=connections, progress=Progress()
        )


class Progress:
    """One line on stderr. `progress=True` draws a bar instead, by rich."""

    def __init__(self) -> None:
        self._percent = -1

    def __call__(self, done: int, total: int | None) -> None:
        if total is None:
            print(f"\r{done:,} bytes", end="", file=sys.stderr)
        elif (percent := 100 * done // max(total, 1)) != self._percent:
            self._percent = percent
            print(f"\r{percent:3} % of {total:,} bytes", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Download a file; goes on after an interruption.")
    parser.add_argument("url")
    parser.add_argument("path", type=Path, nargs="?", default=Path())
    parser.add_argument("--digest", help="what the file must have, such as sha256:0123...")
    parser.add_argument("--connections", type=int, default=1, help="ranges to fetch at a time")
    given = parser.parse_args()
    try:
        path = fetch(given.url, given.path, digest=given.digest, connections=given.connections)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    except (syncclient.ClientError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(f"\n{path}, {path.stat().st_size:,} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
