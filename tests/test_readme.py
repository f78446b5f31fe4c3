"""README.md: its programs print what it says, its table is whole, its links lead somewhere."""

import re
from pathlib import Path

import pytest

from docs.conftest import SHOWN, example_server

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def run(block: str) -> None:
    with example_server() as address:
        exec(compile(block.replace(SHOWN, address), "README.md", "exec"), {})


def test_the_first_program_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten lines, and their output below them."""
    first = re.findall(r"```python\n(.*?)```", README, re.S)[0]
    [output] = re.findall(r"```text\n(.*?)```", README, re.S)
    assert len(first.splitlines()) <= 12
    run(first)
    assert capsys.readouterr().out == output


def test_the_tour_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The longer program, against the server that it names."""
    _, tour = re.findall(r"```python\n(.*?)```", README, re.S)
    run(tour)
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "200 [{'id': 1, 'name': 'Ada', 'city': 'London'}]"
    assert shown[1:] == [str({"name": "oat", "price": price}) for price in (100, 101, 102)]


def test_the_table_has_a_cell_for_each_client() -> None:
    """No row of the comparison is shorter than its head."""
    rows = [line for line in README.splitlines() if line.startswith("|") and line.count("|") > 5]
    assert len(rows) > 10
    assert len({line.count("|") for line in rows}) == 1


def test_its_links_lead_somewhere() -> None:
    """What it links to within the repository is there."""
    targets = re.findall(r"\]\(([^):#]+)(?:#[^)]*)?\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
