"""The table of docs/topics/design.md: which thread writes which field, and what guards it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.test_layers import module_names, place

_ROOT = Path(__file__).parents[2]
_HEADING = "## Which thread writes what"

#: What, made in __init__, changes though the field is never written again.
_CONTAINERS = {"deque", "set", "list", "dict", "WeakRefs"}
_WEAK_CONTAINERS = {"WeakSet", "WeakKeyDictionary", "WeakValueDictionary"}


def _changing(module: str) -> Iterator[str]:
    """Yield ``Class.field`` for each field that is written, or filled, after ``__init__``."""
    path = _ROOT / "syncclient" / f"{module.replace('.', '/')}.py"
    tree = ast.parse(path.read_text("utf-8"))
    for owner in [node for node in tree.body if isinstance(node, ast.ClassDef)]:
        for method in owner.body:
            if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(method):
                if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
                    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                    for field in _fields(targets):
                        if method.name != "__init__" or _is_container(node.value):
                            yield f"{owner.name}.{field}"


def _fields(targets: Iterable[ast.AST]) -> Iterator[str]:
    for target in targets:
        for node in ast.walk(target):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            ):
                yield node.attr


def _is_container(value: ast.expr | None) -> bool:
    if isinstance(value, ast.List | ast.Set | ast.Dict):
        return True
    if not isinstance(value, ast.Call):
        return False
    function = value.func
    if isinstance(function, ast.Attribute):
        return function.attr in _WEAK_CONTAINERS
    return isinstance(function, ast.Name) and function.id in _CONTAINERS


def _table() -> str:
    text = (_ROOT / "docs" / "topics" / "design.md").read_text("utf-8")
    assert text.count(_HEADING) == 1
    return text.partition(_HEADING)[2].partition("\n## ")[0]


#: Of the face: what moves bodies between the threads, and what several threads iterate.
_SHARED = {"_bodies.writer", "_bodies.read_ahead", "_client.map"}
_BOUNDARY = {name for name in module_names(_ROOT / "syncclient") if place(name) == "_boundary"}


@pytest.mark.parametrize("module", sorted(_BOUNDARY | _SHARED))
def test_every_field_that_changes_has_its_line(module: str) -> None:
    """A field that threads share and that is written after __init__ is there, with its guard."""
    table = _table()
    missing = {field for field in _changing(module) if f"`{field}`" not in table}
    assert not missing, f"docs/topics/design.md does not say what guards {sorted(missing)}"


def test_every_container_of_a_module_has_its_line() -> None:
    """The table also lists the containers that a module fills for the whole process."""
    table = _table()
    found = set()
    for path in (_ROOT / "syncclient").rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name = node.target.id
                if _is_container(node.value) and not name.isupper() and name != "__all__":
                    found.add(f"{path.stem}.{name}")
    assert "_api._shared" in found
    missing = {name for name in found if f"`{name}`" not in table}
    assert not missing, f"docs/topics/design.md does not say what guards {sorted(missing)}"
