"""The tables of docs/topics/transports.md: no keyword is left out, and no test is made up."""

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import syncclient
from syncclient._client.request import RequestOptions
from syncclient._client.transports import TCPOptions

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "topics" / "transports.md"

_CODE = re.compile(r"`([^`]+)`")
_KINDS = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)

# What says nothing about the way of a request. A new keyword goes into the page, or in here.
OF_THE_VALUES = {
    "Session": {
        "fallback_charset_resolver",
        "json_serialize",
        "json_serialize_bytes",
        "max_body",
        "middlewares",
        "params",
        "raise_for_status",
        "timings",
        "trace_configs",
    },
    "request": {
        "data",
        "json",
        "max_body",
        "middlewares",
        "params",
        "raise_for_status",
        "timings",
        "trace_request_ctx",
        "upload_progress",
    },
}


class Row(NamedTuple):
    section: str
    keyword: str
    meaning: str
    test: str


def rows() -> Iterator[Row]:
    """One for each keyword of the tables in the last chapter, by section."""
    section = ""
    _, _, chapter = PAGE.read_text(encoding="utf-8").partition("## Every keyword, and its test\n")
    assert chapter
    for line in chapter.splitlines():
        if line.startswith("#"):
            section = line.removeprefix("### ") if line.startswith("### ") else ""
        elif section and line.startswith("| `"):
            keywords, meaning, test = (cell.strip() for cell in line.strip("|").split("|"))
            for keyword in _CODE.findall(keywords):
                yield Row(section, keyword, meaning, test.strip("`"))


def keywords(made_by: object) -> set[str]:
    assert callable(made_by)
    found = inspect.signature(made_by).parameters
    return {name for name, parameter in found.items() if parameter.kind not in _KINDS}


TAKEN = {
    "TCPConnector": keywords(syncclient.TCPConnector),
    "UnixConnector": keywords(syncclient.UnixConnector),
    "NamedPipeConnector": keywords(syncclient.NamedPipeConnector),
    "SocksConnector": keywords(syncclient.SocksConnector) | set(TCPOptions.__annotations__),
    "Session": keywords(syncclient.Session),
    "request": set(RequestOptions.__annotations__),
}


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("section", TAKEN)
def test_every_keyword_is_in_the_table(section: str) -> None:
    """Each keyword has one row, and each row is about a keyword there is."""
    told = [row.keyword for row in rows() if row.section == section]
    assert len(told) == len(set(told))
    assert TAKEN[section] - OF_THE_VALUES.get(section, set()) == set(told)


def test_the_tests_exist_and_speak_of_the_keyword() -> None:
    """The test that a row names is there, and the keyword's name occurs in its file."""
    found = list(rows())
    assert {row.section for row in found} == set(TAKEN)
    for row in found:
        file, _, name = row.test.partition("::")
        assert name.startswith("test_") and name in names_in(TESTS / file), row
        text = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"\b{row.keyword}\b", text) or row.keyword in ("path", "url"), row
        assert row.meaning, row


LIFECYCLE = TESTS.parent / "docs" / "topics" / "lifecycle.md"


def test_every_case_of_lifecycle_has_a_test() -> None:
    """Each row names its tests, as `file.py::name`, a whole file or a folder, and they exist."""
    lines = LIFECYCLE.read_text(encoding="utf-8").splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    cases = [row for row in cells if row != ["case", "what happens", "test"]]
    assert cases
    for row in cases:
        assert len(row) == 3, row
        if row[2].startswith(("the same", "none; ")):  # none, and why
            continue
        named = [code for code in _CODE.findall(row[2]) if not code.startswith("[")]
        assert named, row
        for test in named:
            file, _, name = test.partition("::")
            if (TESTS.parent / file).is_dir():
                continue
            found = [path for path in TESTS.rglob("*.py") if path.name == file]
            assert len(found) == 1, test
            if name:
                assert name.startswith("test_") and name in names_in(found[0]), test
