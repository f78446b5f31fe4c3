"""Completion, in the shells themselves."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_pipes import environment, run

pytest.importorskip("click")
pytest.importorskip("rich")
pexpect = pytest.importorskip("pexpect")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")

WITHIN = 60.0  # seconds for what is waited for to appear
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}


@contextmanager
def shell(name: str, folder: Path) -> Iterator[Any]:
    """A shell with the script read, and `syncclient` in its PATH."""
    program = folder / "bin" / "syncclient"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m syncclient "$@"\n')
    program.chmod(0o755)
    script = folder / "script"
    script.write_bytes(run("completion", name).out)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    env = {**environment(), "PATH": path, "TERM": "dumb", "HOME": str(folder), "PS1": "$ "}
    child = pexpect.spawn(
        SHELLS[name][0], SHELLS[name][1:], env=env, timeout=WITHIN, dimensions=(40, 100)
    )
    try:
        if name == "zsh":
            child.sendline("autoload -Uz compinit && compinit -u")
        child.sendline(f"source {script}; echo re''ady")
        child.expect("ready")
        yield child
    finally:
        child.close(force=True)


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_completes(name: str, tmp_path: Path) -> None:
    """Tab completes a command, and then an option of it."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    with shell(name, tmp_path) as child:
        child.send("syncclient downl\t")
        child.expect("syncclient download")
        child.send("--dig\t")
        child.expect("--digest")


def test_completion_is_silent_about_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that makes no sense yet has no completions, and no message in the midst of it."""
    monkeypatch.setenv("_SYNCCLIENT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "syncclient frobnicate --")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert run().err == ""
    monkeypatch.setenv("COMP_WORDS", "syncclient localhost:8080 --dig")
    assert run().out.strip() == b""
    monkeypatch.setenv("COMP_WORDS", "syncclient localhost:8080 --off")
    assert run().out == b"plain,--offline\n"


def test_the_shell_is_that_of_the_user() -> None:
    """The default shell is $SHELL. For another one, the error names the three shells."""
    assert b"_syncclient_completion" in run("completion", "zsh").out
    assert run("completion", "tcsh").code == 2
