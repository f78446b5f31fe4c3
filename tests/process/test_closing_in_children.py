"""Closing once more, in a process of its own: it ends in time, by itself, and prints nothing.

What each case is to show, its test in tests/wire/sessions/test_closing.py says.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.children import RunChild

SCRIPT = Path(__file__).with_name("closed.py")
CASES = Path(__file__).parents[1] / "wire" / "sessions" / "test_closing.py"

NAMES = [
    node.name
    for node in ast.parse(CASES.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_silent_and_in_time(run_child: RunChild, name: str) -> None:
    """In each case of closing, the process ends with status 0 and an empty stderr."""
    child = run_child(SCRIPT, name, flags=("-W", "error"), forked=True)
    assert (child.stderr, child.status) == ("", 0)
    assert set(child.stdout.splitlines()) == {"done"}
