"""docs/topics/testing.md: every example on it runs as it stands."""

import re
from pathlib import Path

import pytest

from tests.children import RunChild

PAGE = Path(__file__).parents[2] / "docs" / "topics" / "testing.md"

BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_runs(number: int, run_child: RunChild, tmp_path: Path) -> None:
    """Each block runs by itself without an error or a warning, under pytest if it is a test."""
    code = BLOCKS[number]
    if "def test_" in code:
        (tmp_path / "test_block.py").write_text(code, encoding="utf-8")
        options = ["-p", "no:cacheprovider", "-p", "pytest_syncclient", f"--rootdir={tmp_path}"]
        code = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
        env = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        child = run_child(code, *options, str(tmp_path), flags=(), env=env)
        assert (child.status, "1 passed" in child.stdout) == (0, True), child.stdout
    else:
        # aioresponses itself calls what Python 3.14 has deprecated.
        flags = () if "aioresponses" in code else ("-X", "dev", "-W", "error")
        child = run_child(code, flags=flags)
        assert (child.status, child.stderr) == (0, "")
