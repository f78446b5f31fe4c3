"""The program that is counted or profiled: ``... repeat CLIENT WORK URL COUNT [--parsed]``.

Does a work and ends. With ``--parsed`` syncclient downloads as it would without
``_async/straight.py``: every body goes through the engine's parser.
"""

from __future__ import annotations

import gc
import sys

from benchmarks.child import open_client
from benchmarks.clients import CLIENTS
from benchmarks.clients.base import Job


def main() -> None:
    name, work, url, count, *rest = sys.argv[1:]
    if rest == ["--parsed"]:
        from syncclient._async import straight

        straight._WORTH = sys.maxsize
    client = open_client(next(spec for spec in CLIENTS if spec.name == name))
    # One more collection in the longer of two runs would count as the work's.
    gc.disable()
    try:
        client.works()[work].run(Job(url, int(count)))
    finally:
        client.close()


if __name__ == "__main__":
    main()
