"""The page on the command line: what it shows is what one sees."""

import doctest
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_pipes import environment
from tests.servers.process import ROOT

pytest.importorskip("click")
pytest.importorskip("rich")

PAGE = ROOT / "docs" / "topics" / "command-line.md"
COMMAND = [sys.executable, "-W", "error", "-m", "syncclient"]
SHOWN = "localhost:8080"
WITHIN = 60.0  # seconds for all commands of one block


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Host and port of the server that the pages talk to."""
    command = [sys.executable, str(ROOT / "docs" / "examples" / "server.py"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url.startswith("http://")
            yield url.removeprefix("http://")
        finally:
            process.terminate()


def blocks() -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def told_by(script: str, cwd: Path) -> str:
    """Return the output of a shell with these commands, each after its own line, with stderr."""
    name = " ".join(f"'{part}'" for part in COMMAND)
    lines = [f'syncclient() {{ {name} "$@"; }}', "exec 2>&1", "set --"]
    for command in script.splitlines():
        # Said in quotes first, and its exit code kept for the `echo $?` that may follow.
        quoted = command.replace("'", "'\\''")
        lines.append(f"code=$?; printf '%s\\n' '$ {quoted}'; (exit $code); {command}")
        # A body may end without a newline; a terminal's prompt would stand behind it.
        lines.append("code=$?; printf '\\n'; (exit $code)")
    ran = subprocess.run(
        ["sh", "-c", "\n".join(lines)],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=WITHIN,
        check=False,
    )
    return ran.stdout.decode()


def without_blank_lines(text: str) -> str:
    return "".join(f"{line}\n" for line in text.splitlines() if line.strip())


@pytest.mark.parametrize("number", range(len(blocks())))
def test_a_block_shows_what_one_sees(address: str, number: int, tmp_path: Path) -> None:
    """The commands of a block print what stands below them, `...` being anything."""
    block = blocks()[number].replace(SHOWN, address)
    commands = "\n".join(re.findall(r"^\$ (.*)$", block, re.MULTILINE))
    got = without_blank_lines(told_by(commands, tmp_path))
    wanted = without_blank_lines(block)
    checker = doctest.OutputChecker()
    assert commands
    assert checker.check_output(wanted, got, doctest.ELLIPSIS), got
