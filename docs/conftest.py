"""Runs every Python block of the pages, those of one page after another in one namespace.

The pages say ``http://localhost:8080``, where docs/examples/server.py listens if a reader
starts it; here the server has a port that the system gives, and stands in for it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sybil import Document, Example, Region, Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser
from sybil.region import Lexeme
from sybil.typing import Evaluator

DOCS = Path(__file__).parent
SHOWN = "localhost:8080"


@contextmanager
def example_server() -> Iterator[str]:
    """Run docs/examples/server.py; gives its host and port."""
    command = [sys.executable, str(DOCS / "examples" / "server.py"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url.startswith("http://"), f"the example server said {url!r}"
            # By its name, as in the pages.
            yield f"localhost:{url.rpartition(':')[2]}"
        finally:
            process.terminate()


class AgainstTheServer(PythonCodeBlockParser):
    """Blocks of Python, and doctests, with the address of the running server put in."""

    def __call__(self, document: Document) -> Iterator[Region]:
        for region in super().__call__(document):
            assert region.evaluator is not None
            region.evaluator = partial(_against_the_server, region.evaluator)
            yield region


def _against_the_server(evaluate: Evaluator, example: Example) -> str | None:
    parsed = example.parsed
    if isinstance(parsed, Lexeme):
        text = _to_the_server(parsed, example)
        example.parsed = Lexeme(text, parsed.offset, parsed.line_offset)
    else:
        parsed.source = _to_the_server(parsed.source, example)
        parsed.want = _to_the_server(parsed.want, example)
        if parsed.exc_msg is not None:
            parsed.exc_msg = _to_the_server(parsed.exc_msg, example)
    return evaluate(example)


def _to_the_server(text: str, example: Example) -> str:
    """Put in the addresses of what runs; a page with more than the server names them itself."""
    standing_in = {SHOWN: example.namespace["_server"], **example.namespace.get("_stand_ins", {})}
    for shown, address in standing_in.items():
        text = text.replace(shown, address)
    return text


_running = ExitStack()


def start(namespace: dict[str, Any]) -> None:
    """Before a page: its server, and an empty directory to write to."""
    namespace["_server"] = _running.enter_context(example_server())
    namespace["_back"] = os.getcwd()
    os.chdir(_running.enter_context(tempfile.TemporaryDirectory()))


def stop(namespace: dict[str, Any]) -> None:
    os.chdir(namespace["_back"])
    _running.close()


pytest_collect_file = Sybil(
    parsers=[AgainstTheServer(), SkipParser()],
    patterns=["*.md"],
    path=str(DOCS),
    setup=start,
    teardown=stop,
).pytest()
