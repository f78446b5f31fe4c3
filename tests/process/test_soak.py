"""A short soak: the long one is `nox -s soak`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.children import RunChild

MODULE = "import runpy, sys; sys.exit(runpy.run_module('tests.soak', run_name='soak')['main']())"


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_short_soak(run_child: RunChild) -> None:
    """Ten seconds of mixed traffic and faults: every reply is right, nothing is left or grows."""
    child = run_child(
        MODULE,
        *("--minutes", "0.17", "--threads", "16", "--every", "2", "--seed", "20"),
        timeout=120.0,
        flags=(),
    )
    assert child.status == 0, child.stdout + child.stderr
    assert "every reply was right" in child.stdout
