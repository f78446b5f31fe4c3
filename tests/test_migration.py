"""The tables of docs/migration/from-requests.md: no name is left out, and no twin is made up."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
import requests.adapters
import requests.auth
import requests.cookies

import syncclient
import syncclient.testing

PAGE = Path(__file__).parents[1] / "docs" / "migration" / "from-requests.md"

_CODE = re.compile(r"`([^`]+)`")
_OURS = re.compile(r"(?:syncclient(?:\.\w+)+|(?:Session|Response|StreamReader|CookieJar)\.\w+)")


class Row(NamedTuple):
    section: str
    names: tuple[str, ...]
    twin: str


def rows() -> Iterator[Row]:
    """The rows of the tables under "Every name of requests"."""
    text = PAGE.read_text(encoding="utf-8").partition("\n## Every name of requests\n")[2]
    section = ""
    for line in text.splitlines():
        if line.startswith("### "):
            section = line.removeprefix("### ")
        elif line.startswith("| `"):
            names, twin, _ = (cell.strip() for cell in line[1:].removesuffix("|").split("|"))
            yield Row(section, tuple(_CODE.findall(names)), twin)


def public(thing: object) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def defined_in(module: ModuleType, base: type) -> set[str]:
    """The subclasses of `base` that the module defines."""
    return {
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, base)
        if value.__module__ == module.__name__
    }


def errors_and_warnings() -> set[str]:
    names = vars(requests.exceptions).items()
    return {n for n, value in names if inspect.isclass(value) and issubclass(value, Exception)}


#: Submodules that are attributes only since somebody has imported them.
ONLY_WHEN_IMPORTED = {"help"}

EXPECTED = {
    "requests": public(requests) - ONLY_WHEN_IMPORTED,
    "Keywords of a request": set(inspect.signature(requests.Session.request).parameters) - {"self"},
    "Session": public(requests.Session()),
    "Response": public(requests.Response()),
    "requests.exceptions": errors_and_warnings(),
    "requests.adapters and requests.auth": defined_in(
        requests.adapters, requests.adapters.BaseAdapter
    )
    | defined_in(requests.auth, requests.auth.AuthBase),
}


@pytest.mark.parametrize("section", EXPECTED)
def test_every_public_name_of_requests_is_in_the_table(section: str) -> None:
    """What the installed requests has, the page tells the twin of, once."""
    told = [name for row in rows() if row.section == section for name in row.names]
    assert len(told) == len(set(told))
    assert EXPECTED[section] - set(told) == set()


def test_the_page_makes_no_name_up() -> None:
    """What is called ours exists."""
    for row in rows():
        for name in _CODE.findall(row.twin):
            if not _OURS.fullmatch(name):
                continue
            found: object = syncclient
            for part in name.removeprefix("syncclient.").split("."):
                found = getattr(found, part)


def test_each_name_that_explains_itself_is_in_the_tables() -> None:
    """The attributes that are answered with a hint are those that the page lists."""
    told = {name for row in rows() for name in row.names}
    text = PAGE.read_text(encoding="utf-8")
    for name in ("mount", "cookies", "hooks", "prepare_request", "verify", "proxies"):
        session = syncclient.Session()
        with pytest.raises(AttributeError, match="here it is"):
            getattr(session, name)
        assert name in told
        assert f"'{name}'" in text, f"no section is called by the error of {name}"


def test_three_steps() -> None:
    """The page begins with its three steps, in order; each shows a program, which `docs` runs."""
    text = PAGE.read_text(encoding="utf-8")
    sections = re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", text, re.M)[:3]
    assert [title for title, _ in sections] == ["One line", "syncclient's own Session", "Async"]
    for title, body in sections:
        assert "\n```python\n" in body, title
        assert "skip" not in body, title
    assert "from syncclient import requests\n" in sections[0][1]
