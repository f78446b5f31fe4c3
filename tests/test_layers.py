"""The floors of the house, read from the source: who may import whom.

Every import counts: those inside functions and under TYPE_CHECKING too.
"""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "syncclient"

GROUND = {"_types", "_exceptions", "_deadline", "_models", "_sockets"}
BOUNDARY = {
    "_annex",
    "_awaited",
    "_call",
    "_caller_task",
    "_foreign",
    "_fork",
    "_frames",
    "_future",
    "_inbox",
    "_lease",
    "_lookups",
    "_loop_run",
    "_loop_thread",
    "_portal",
    "_slices",
    "_unclosed",
    "_waiter",
    "_workers",
}

# The face from left to right: a module imports from its own column, or from one further left.
# A face module that is not named here belongs to the first column.
FACE_COLUMNS = [
    {"_stream", "_payload", "_cookies", "_connector", "_resolver"},
    {"_response", "_websocket", "_settings"},
    {"_aio_response", "_aio_websocket", "_middlewares", "_submit", "_many", "_tracing"},
    {"_aio"},
    {"_channels", "_copies", "_given", "_verbs"},
    {"_session"},
    {"_api"},
    {"__init__"},
    # Beside what users import: nothing of ours leans on the servers for tests.
    {
        "testing._routes",
        "testing._server",
        "testing._transports",
        "testing._values",
        "testing._workers",
        "testing._wsgi",
    },
    {"testing.__init__"},
    {
        "_cli.__init__",
        "_cli.app",
        "_cli.bench",
        "_cli.bench_report",
        "_cli.demo",
        "_cli.exchanges",
        "_cli.exits",
        "_cli.items",
        "_cli.options",
        "_cli.output",
        "_cli.redaction",
        "_cli.stdin",
        "_cli.terminal",
        "_cli.transfers",
        "_cli.urls",
        "_cli.verbs",
        "_cli.ws",
        "__main__",
    },
]

# floor -> the floors it may import from
MAY_IMPORT = {
    "ground": set[str](),
    "core": {"ground", "core"},
    "boundary": {"ground", "boundary"},
    "face": {"ground", "core", "boundary", "face"},
}

# What the core must not know: it runs on one loop, whoever's thread that is.
THREADS = {"threading", "_thread", "queue", "concurrent.futures", "multiprocessing"}


def module_names(package: Path) -> set[str]:
    """Every module of the package, by dotted name within it: `_portal`, `_async.session`."""
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


def floor(module: str) -> str:
    if module.startswith("_async."):
        return "core"
    return "ground" if module in GROUND else "boundary" if module in BOUNDARY else "face"


def column(module: str) -> int:
    return next((n for n, names in enumerate(FACE_COLUMNS) if module in names), 0)


def offences(imports: Mapping[str, set[str]]) -> Iterator[str]:
    """Each import that points the wrong way, as a sentence."""
    for module, targets in imports.items():
        for target in sorted(targets - {module}):
            here, there = floor(module), floor(target)
            if there not in MAY_IMPORT[here]:
                yield f"{module} ({here}) imports {target} ({there})"
            elif here == there == "face" and column(target) > column(module):
                yield f"{module} imports {target}, which is to its right in the face"


def read_imports() -> dict[str, set[str]]:
    modules = module_names(PACKAGE)
    return {name: set(imported(_source(name), name, modules)) for name in sorted(modules)}


def _source(module: str) -> str:
    return (PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")


def test_imports_go_down_and_left() -> None:
    """No module imports from a floor above its own, nor from its right within the face."""
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
    core = [name for name in module_names(PACKAGE) if floor(name) == "core"]
    knowing = {name: found for name in core if (found := THREADS & set(outside(_source(name))))}
    assert core
    assert knowing == {}


def test_the_floors_name_modules_that_exist() -> None:
    """The tables above do not rot: ground and boundary are there under these names."""
    still_to_be_built = {"_deadline"}
    missing = (GROUND | BOUNDARY) - module_names(PACKAGE)
    assert missing <= still_to_be_built


@pytest.mark.parametrize(
    ("module", "source", "target"),
    [
        ("_models", "from ._types import X", "_types"),
        ("_async.session", "def f():\n    from .._portal import Portal", "_portal"),
        ("_async.session", "import syncclient._session", "_session"),
        ("_portal", "from ._async import session", "_async.session"),
        ("_portal", "from syncclient._async.session import AsyncSession", "_async.session"),
        ("_call", "if TYPE_CHECKING:\n    from . import _session", "_session"),
        ("_stream", "from ._session import Session", "_session"),
        ("_session", "from . import get", "__init__"),
    ],
)
def test_a_wrong_import_is_seen(module: str, source: str, target: str) -> None:
    """The reader of imports finds each spelling of a forbidden one."""
    modules = {"__init__", "_types", "_models", "_portal", "_lease", "_call", "_stream", "_session"}
    modules |= {"_async.__init__", "_async.session"}
    found = set(imported(source, module, modules))
    assert found == {target}
    assert len(list(offences({module: found}))) == 1
