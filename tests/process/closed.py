"""A script: runs one test of tests/wire/sessions/test_closing.py, with each of its parameters.

Prints a line for each. By then nothing may be left of the sessions that it closed.
"""

import inspect
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bounds import wait_until
from tests.servers.raw import RawServer, Script
from tests.wire.sessions import test_closing


def is_over() -> bool:
    return not any(thread.name == "syncclient-loop" for thread in threading.enumerate())


def run(name: str) -> None:
    test = getattr(test_closing, name)
    cases: list[dict[str, Any]] = [{}]
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize":
            parameter, values = mark.args
            cases = [{**case, parameter: value} for case in cases for value in values]
    for case in cases:
        with ExitStack() as stack:

            def raw_server(*scripts: Script) -> RawServer:
                return stack.enter_context(RawServer(*scripts))

            fixtures = {
                "raw_server": raw_server,
                "tmp_path": Path(stack.enter_context(tempfile.TemporaryDirectory())),
            }
            wanted = inspect.signature(test).parameters
            test(**case, **{name: value for name, value in fixtures.items() if name in wanted})
        wait_until(is_over, "the end of the loop thread")
        sys.stdout.write("done\n")


if __name__ == "__main__":
    run(sys.argv[1])
