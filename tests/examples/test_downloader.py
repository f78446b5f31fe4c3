"""docs/examples/downloader.py: stopped in the middle, and run again."""

from __future__ import annotations

import hashlib
import signal
import sys
from pathlib import Path

import pytest

from tests.children import RunChild
from tests.servers.process import ROOT
from tests.workers.program import running

pytestmark = pytest.mark.slow

DOWNLOADER = ROOT / "docs" / "examples" / "downloader.py"
SIZE = 4_000_000


def test_it_goes_on(run_child: RunChild, upstream: str, tmp_path: Path) -> None:
    """After Ctrl-C there is a part; the same command fetches the rest, and verifies all of it."""
    url, target = f"{upstream}file/{SIZE}", tmp_path / "some.bin"
    with running(sys.executable, str(DOWNLOADER), f"{url}?pause=0.02", str(target)) as program:
        program.wait_for(r"[1-9]\d? % of")
        program.end(signal.SIGINT)
    assert program.process.returncode == 130
    assert "the same command goes on from here" in program.output
    assert not target.exists()
    had = (tmp_path / "some.bin.part").stat().st_size
    assert 0 < had < SIZE

    digest = "sha256:" + hashlib.sha256(bytes(SIZE)).hexdigest()
    child = run_child(DOWNLOADER, url, str(target), "--digest", digest)
    assert child.status == 0, child.stderr
    assert target.read_bytes() == bytes(SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["some.bin"]


def test_what_cannot_be_had(run_child: RunChild, upstream: str, tmp_path: Path) -> None:
    """One line says what is wrong, the status is 1, and nothing is left behind."""
    child = run_child(DOWNLOADER, f"{upstream}status/404", str(tmp_path / "x"))
    assert (child.status, child.stdout) == (1, "")
    assert "404" in child.stderr
    assert "Traceback" not in child.stderr
    assert list(tmp_path.iterdir()) == []
