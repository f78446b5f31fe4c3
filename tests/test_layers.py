"""The floors of the house, read from the source: who may import whom.

Every import counts: those inside functions and under TYPE_CHECKING too.
"""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "syncclient"

#: From the roof down: each place may import only from itself and from those after it. A module
#: belongs to the longest entry that begins its name. "." is the ground: the files beside Session.
ORDER = [
    "__main__",
    "_cli",
    "testing",
    "dask",
    "requests",
    "httpx2",
    "httpx",
    "_httpx",
    "websocket",
    "__init__",
    "_api",
    "_session",
    "_aio",
    "_client",
    "_bodies",
    "_boundary",
    "_async",
    "_async.websocket",
    "_async.middleware",
    "_async.cookies",
    "_async.connect",
    "_async.exchange",
    "_async.engine",
    "_async.decoding",
    "_async.headers",
    ".",
]

#: Neither of the two knows the other: a place's own floor, and what it must not import.
STRANGERS = {"_boundary": "_async", "_async": "_boundary"}

# What the core must not know: it runs on one loop, whoever's thread that is.
THREADS = {"threading", "_thread", "queue", "concurrent.futures", "multiprocessing"}


def module_names(package: Path) -> set[str]:
    """Every module of the package, by dotted name within it: `_session`, `_async.session`."""
    return {
        ".".join(path.relative_to(package).with_suffix("").parts) for path in package.rglob("*.py")
    }


def imported(source: str, module: str, modules: set[str]) -> Iterator[str]:
    """The modules of the package that the source of `module` imports."""
    folder = module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            yield from (_module(name[1:], modules) for name in names if name[0] == "syncclient")
        elif isinstance(node, ast.ImportFrom):
            origin = node.module.split(".") if node.module else []
            if node.level:
                origin = folder[: len(folder) + 1 - node.level] + origin
            elif origin[0] == "syncclient":
                origin = origin[1:]
            else:
                continue
            yield from (_module([*origin, alias.name], modules) for alias in node.names)


def _module(path: list[str], modules: set[str]) -> str:
    """The module that `path` leads to; its last part may be a name inside one."""
    for candidate in (path, path[:-1]):
        for name in (".".join(candidate), ".".join([*candidate, "__init__"])):
            if name in modules:
                return name
    raise AssertionError(f"no module for syncclient.{'.'.join(path)}")


def outside(source: str) -> Iterator[str]:
    """What else the source imports, by full name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(module: str) -> str:
    """The entry of ORDER that `module` belongs to."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in ORDER:
            return name
    assert len(parts) == 1, f"{module} is in a folder that ORDER does not name"
    return "."


def offences(imports: Mapping[str, set[str]]) -> Iterator[str]:
    """Each import that points the wrong way, as a sentence."""
    for module, targets in imports.items():
        here = place(module)
        for target in sorted(targets - {module}):
            there = place(target)
            if ORDER.index(there) < ORDER.index(here):
                yield f"{module} imports {target}, and {there} stands above {here}"
            elif STRANGERS.get(here.split(".")[0]) == there.split(".")[0]:
                yield f"{module} imports {target}: core and boundary do not know each other"


def read_imports() -> dict[str, set[str]]:
    modules = module_names(PACKAGE)
    return {name: set(imported(_source(name), name, modules)) for name in sorted(modules)}


def _source(module: str) -> str:
    return (PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")


def test_imports_go_down() -> None:
    """No module imports from a place above its own."""
    assert list(offences(read_imports())) == []


def test_no_cycles() -> None:
    """The imports of the package can be put in an order."""
    imports = {name: targets - {name} for name, targets in read_imports().items()}
    # Importing a module runs its packages, but only what it names is a dependency in design.
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def test_the_core_knows_no_thread() -> None:
    """Nothing in the core imports a means of threading."""
    core = [name for name in module_names(PACKAGE) if name.startswith("_async.")]
    knowing = {name: found for name in core if (found := THREADS & set(outside(_source(name))))}
    assert core
    assert knowing == {}


def test_each_place_holds_something() -> None:
    """The list above does not rot: each of its entries has modules."""
    assert {place(name) for name in module_names(PACKAGE)} == set(ORDER)


@pytest.mark.parametrize(
    ("module", "source", "target"),
    [
        ("_models", "from ._session import X", "_session"),
        ("_async.session", "def f():\n    from .._boundary.call import Call", "_boundary.call"),
        ("_async.session", "import syncclient._session", "_session"),
        ("_boundary.portal", "from .._async import session", "_async.session"),
        ("_boundary.call", "if TYPE_CHECKING:\n    from .. import _session", "_session"),
        ("_async.connect.pool", "from ..session import AsyncSession", "_async.session"),
        ("_client.map", "from syncclient._aio.session import AioSession", "_aio.session"),
        ("_session", "from . import get", "__init__"),
    ],
)
def test_a_wrong_import_is_seen(module: str, source: str, target: str) -> None:
    """The reader of imports finds each spelling of a forbidden one."""
    modules = {"__init__", "_types", "_models", "_session", "_boundary.portal", "_boundary.call"}
    modules |= {"_async.__init__", "_async.session", "_async.connect.pool"}
    modules |= {"_client.map", "_aio.session"}
    found = set(imported(source, module, modules))
    assert found == {target}
    assert len(list(offences({module: found}))) == 1
