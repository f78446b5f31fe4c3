"""The reference in docs/reference: every public name is there, and once."""

import pkgutil
import re
from pathlib import Path

import syncclient
import syncclient.testing

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"

_DIRECTIVE = re.compile(
    r"^\.\. (?:autoclass|autoexception|autofunction|py:data):: (syncclient(?:\.\w+)+)", re.M
)
#: The first cell of a row: `Name`, `Name(parameters)`, or several of them.
_ROW = re.compile(r"^\| (`[^|]+`) \|", re.M)
_NAME = re.compile(r"`(\w+)(?:\([^`]*\))?`")


def told() -> list[str]:
    """The names that the pages describe, by a directive or in a row of a table."""
    names: list[str] = []
    for page in sorted(REFERENCE.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        names += _DIRECTIVE.findall(text)
        if page.stem in {"errors", "values", "middlewares"}:
            rows = (name for row in _ROW.findall(text) for name in _NAME.findall(row))
            names += [f"syncclient.{name}" for name in rows if hasattr(syncclient, name)]
    return names


def test_every_public_name_is_in_the_reference() -> None:
    """What `__all__` names is described, of `syncclient` and of `syncclient.testing`."""
    public = {f"syncclient.{name}" for name in syncclient.__all__}
    public |= {f"syncclient.testing.{name}" for name in syncclient.testing.__all__}
    assert public - set(told()) == set()


def test_the_reference_describes_what_there_is() -> None:
    """No directive is left over from a name that is gone."""
    for name in told():
        pkgutil.resolve_name(name)


def test_the_table_of_errors_tells_the_bases() -> None:
    """aiohttp's errors derive from what the table says."""
    text = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (`[^|]+`) \|", text.partition("## aiohttp's")[2], re.M)
    assert rows
    for name, bases in rows:
        error = getattr(syncclient, name)
        assert [base.rpartition(".")[2] for base in re.findall(r"`([\w.]+)`", bases)] == [
            base.__name__ for base in error.__bases__
        ], name
