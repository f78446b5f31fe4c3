"""README.md: its tour runs, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

from docs.conftest import SHOWN, example_server

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tour_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """The one block of Python, against the server that it names."""
    [tour] = re.findall(r"```python\n(.*?)```", README, re.S)
    with example_server() as address:
        exec(compile(tour.replace(SHOWN, address), "README.md", "exec"), {})
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "200 [{'id': 1, 'name': 'Ada', 'city': 'London'}]"
    assert shown[1:] == [str({"name": "oat", "price": price}) for price in (100, 101, 102)]


def test_its_links_lead_somewhere() -> None:
    """What it links to within the repository is there."""
    targets = re.findall(r"\]\(([^):]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []
