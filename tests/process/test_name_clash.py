"""Beside the Firefox Sync client that is called syncclient, too: what is said, and when."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import syncclient

HERE = Path(syncclient.__file__).parent


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Our package with the files of theirs in its folder."""
    shutil.copytree(HERE, tmp_path / "syncclient", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "syncclient" / "client.py").write_text("class SyncClient: ...\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_ours_was_installed_last(shared: Path) -> None:
    """The command works, and warns that uninstalling either package breaks the other."""
    done = run(shared, "-c", "import syncclient; print(syncclient.Session)")
    assert "syncclient.Session" in done.stdout
    assert "RuntimeWarning: the distribution syncclient, a Firefox Sync client" in done.stderr
    assert "pip uninstall syncclient syncclient-http" in done.stderr


def test_theirs_was_installed_last(shared: Path) -> None:
    """Their empty __init__.py has replaced ours, and the command says so."""
    (shared / "syncclient" / "__init__.py").write_text("")
    done = run(shared, "-m", "syncclient", "--version")
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr.startswith("syncclient: the distribution syncclient, a Firefox Sync client")


def test_alone_nothing_is_said() -> None:
    """No file of ours has the name by which theirs are told."""
    done = run(HERE.parent, "-W", "error", "-c", "import syncclient")
    assert (done.returncode, done.stderr) == (0, "")
