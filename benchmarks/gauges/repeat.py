"""The program that is counted or profiled: ``... repeat CLIENT WORK URL COUNT [--parsed]``.

Does a work and ends. With ``--parsed`` syncclient downloads as it would without
``_async/engine/direct_read.py``: every body goes through the engine's parser.
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
        from syncclient._async.engine import direct_read

        direct_read._WORTH = sys.maxsize
    client = open_client(next(spec for spec in CLIENTS if spec.name == name))
    # One more collection in the longer of two runs would count as the work's.
    gc.disable()
    doing = client.works()[work]
    try:
        doing.run(Job(url, int(count)))
    finally:
        doing.after()
        client.close()


if __name__ == "__main__":
    main()
