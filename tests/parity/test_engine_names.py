"""The private names of the engine that we use: all are listed here, and none is indispensable.

Where a new aiohttp lacks one, `test_the_engine_has` says which. They are used in
`syncclient/_async/engine/` alone, where each has a guard.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import aiohttp
import pytest

import syncclient
from tests.children import RunChild
from tests.servers.process import ROOT, AppServer

PACKAGE = ROOT / "syncclient"
ENGINE = PACKAGE / "_async" / "engine"

#: By the class that has them, or the module.
NAMES = {
    "aiohttp.connector.BaseConnector": (
        *("_acquired", "_conns", "_factory", "_get", "_release_waiter", "_waiters"),
        *("_cleanup_handle", "_create_connection", "_keepalive_timeout"),
        *("_wait_for_available_connection",),
        "_update_proxy_auth_header_and_build_proxy_req",
    ),
    "aiohttp.connector.TCPConnector": (
        *("_create_connection", "_create_direct_connection", "_get_fingerprint"),
        *("_get_ssl_context", "_resolve_host", "_ssl_shutdown_timeout"),
        *("_start_tls_connection", "_wrap_create_connection", "_wrap_existing_connection"),
    ),
    "aiohttp.base_protocol.BaseProtocol": ("_parser", "_reading_paused"),
    "aiohttp.client_proto.ResponseHandler": ("_payload",),
    "aiohttp.client.ClientSession": ("_request", "_retry_connection"),
    "aiohttp.client_reqrep.ClientResponse": ("_body", "_continue", "_history", "_traces"),
    "aiohttp.client_reqrep.ClientRequest": ("_continue",),
    "aiohttp.client_exceptions.InvalidURL": ("_description", "_url"),
    "aiohttp.cookiejar.CookieJar": ("_loop",),
    "aiohttp.formdata.FormData": ("_charset", "_fields", "_quote_fields", "_writer"),
    "aiohttp.http_writer.StreamWriter": ("_headers_buf",),
    "aiohttp.multipart.MultipartWriter": ("_parts",),
    "aiohttp.payload.Payload": ("_headers", "_value"),
    "aiohttp.payload_streamer": ("_stream_wrapper",),
    "aiohttp.streams.StreamReader": ("_buffer", "_buffer_offset", "_timer", "_wait"),
    "aiohttp.tracing.TraceConfig": ("_trace_config_ctx_factory",),
}

#: Names without an underscore that aiohttp neither documents nor exports. They are imported; the
#: classes are those that its exported functions return, take and raise.
UNDOCUMENTED = {
    "aiohttp.base_protocol": ("BaseProtocol",),
    "aiohttp.client_exceptions": ("UnixClientConnectorError",),
    "aiohttp.client_proto": ("ResponseHandler",),
    "aiohttp.client_reqrep": ("ConnectionKey", "ContentDisposition"),
    "aiohttp.helpers": ("BaseTimerContext", "TimerNoop", "TimerContext", "ceil_timeout"),
    "aiohttp.http": ("RawResponseMessage", "WSMessageTextBytes", "WS_KEY", "WebSocketWriter"),
    "aiohttp.http_exceptions": ("BadHttpMessage", "HttpProcessingError", "LineTooLong"),
    "aiohttp.http_writer": ("StreamWriter",),
    "aiohttp.tracing": ("Trace",),
    "aiohttp.typedefs": ("JSONDecoder", "Query"),
}

#: Said on stderr where they are missing, in what `tests/workers/renamed_engine.py` does.
NOTICED = {
    *("_acquired", "_conns", "_factory", "_create_connection", "_wait_for_available_connection"),
    *("_create_direct_connection", "_get_ssl_context", "_resolve_host", "_ssl_shutdown_timeout"),
    *("_start_tls_connection", "_wrap_create_connection", "_wrap_existing_connection"),
    *("_parser", "_payload", "_reading_paused", "_retry_connection", "_continue", "_history"),
    *("_fields", "_charset", "_quote_fields", "_writer", "_parts"),
    *("_buffer", "_buffer_offset", "_cleanup_handle", "_get", "_keepalive_timeout", "_waiters"),
    *("_timer", "_wait", "_update_proxy_auth_header_and_build_proxy_req", "_headers"),
}

LISTED = sorted({(owner, name) for owner, names in NAMES.items() for name in names})
#: By module: names of our own classes, and of others', that the engine has elsewhere.
NOT_THE_ENGINES = {
    "_aio/response.py": ("_detach",),  # of BodyReader
    "_async/cookies/cookie.py": ("_fields",),  # of a named tuple
    "_cli/output.py": ("_fields",),  # of a named tuple
    "_client/middlewares.py": ("_buffer", "_content", "_detach", "_released"),  # of Response
    "_client/place.py": ("_attach",),  # of what is open through a session
    "requests/_body.py": ("_buffer",),  # of StreamReader
    "requests/_own.py": ("_make_request",),  # of urllib3
    "requests/_session.py": ("_cookies", "_data"),  # of requests, and of os.environ
}

_PRIVATE = re.compile(r"_[a-zA-Z][a-zA-Z_]*")
_ENGINES = ("aiohttp", "asyncio", "uvloop")


def resolve(path: str) -> object:
    """The class or module of that path."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        return importlib.import_module(path)


def own_names(tree: ast.AST) -> set[str]:
    """The private names that classes in `tree` give to attributes and methods of their own."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return {name for name in names if _PRIVATE.fullmatch(name)}


@cache
def names_of_class(cls: type) -> frozenset[str]:
    """The private names of a class of the engine."""
    try:
        source = textwrap.dedent(inspect.getsource(cls))
    except (OSError, TypeError):  # in C
        return frozenset(name for name in vars(cls) if _PRIVATE.fullmatch(name))
    return frozenset(own_names(ast.parse(source)))


@cache
def engine_names() -> frozenset[str]:
    """All private names of aiohttp, asyncio and uvloop."""
    names: set[str] = set()
    for engine in _ENGINES:
        try:
            module = importlib.import_module(engine)
        except ImportError:
            continue  # uvloop is not everywhere
        for path in Path(str(module.__file__)).parent.rglob("*.py"):
            names |= own_names(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(names)


def foreign_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The private names that `tree` asks of something else than `self`, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _PRIVATE.fullmatch(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.attr, node.lineno
        elif isinstance(node, ast.Constant) and _PRIVATE.fullmatch(str(node.value)):
            yield str(node.value), node.lineno  # for getattr() and its like


def sources(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


@cache
def names_of_file(path: Path) -> frozenset[str]:
    """The private names that the module at `path` gives; none where there is no such module."""
    if not path.is_file():
        return frozenset()
    return frozenset(own_names(ast.parse(path.read_text(encoding="utf-8"))))


def names_in_reach(path: Path, tree: ast.Module) -> set[str]:
    """The private names of ours that the module at `path` has, or may know from its imports."""
    names = set(names_of_file(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for each in (folder.with_suffix(".py"), *(folder / f"{a.name}.py" for a in node.names)):
                if ENGINE not in each.parents:
                    names |= names_of_file(each)
    return names


def classes_of_ours() -> Iterator[type]:
    """The classes of the package that stand below one of the engine's."""
    for info in pkgutil.walk_packages(syncclient.__path__, "syncclient."):
        if info.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(info.name)
        except ImportError as exc:
            if "pip install " not in str(exc):
                raise
            continue  # a door, without its library
        for value in vars(module).values():
            if inspect.isclass(value) and value.__module__ == info.name and bases_of(value):
                yield value


def bases_of(cls: type) -> list[type]:
    return [base for base in cls.__mro__ if base.__module__.partition(".")[0] in _ENGINES]


@pytest.mark.parametrize(("owner", "name"), LISTED, ids=lambda each: each.rpartition(".")[2])
def test_the_engine_has(owner: str, name: str) -> None:
    """The installed aiohttp has the name where we look for it."""
    thing = resolve(owner)
    if not inspect.isclass(thing):
        assert hasattr(thing, name)
        return
    assert any(name in names_of_class(base) for base in thing.__mro__[:-1])


@pytest.mark.parametrize("module", UNDOCUMENTED)
def test_the_engine_has_undocumented(module: str) -> None:
    """The installed aiohttp has what we import of it though no page names it."""
    found = vars(importlib.import_module(module))
    assert [name for name in UNDOCUMENTED[module] if name not in found] == []


def test_the_list_is_complete() -> None:
    """What the folder of the engine's names uses is on the list, and nothing else."""
    used: set[str] = set()
    for _, tree in sources(ENGINE):
        used |= {name for name, _ in foreign_names(tree)} & engine_names()
    for cls in classes_of_ours():
        if cls.__module__.startswith("syncclient._async.engine."):
            used |= private_uses(cls)
    assert used == {name for _, name in LISTED}


def private_uses(cls: type) -> set[str]:
    """The private names of its engine's classes that the source of `cls` mentions as its own."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    mine = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | own_names(
        tree
    )
    theirs = frozenset().union(*map(names_of_class, bases_of(cls)))
    return {name for name in mine & theirs if _PRIVATE.fullmatch(name)}


def test_no_other_place_uses_private_names() -> None:
    """Outside that folder no module asks for a private name of the engine."""
    offences = []
    for path, tree in sources(PACKAGE):
        if ENGINE in path.parents:
            continue
        ours = names_in_reach(path, tree)
        offences += [
            f"{path.relative_to(ROOT)}:{line}: {name}"
            for name, line in foreign_names(tree)
            if name in engine_names() and name not in ours
            if name not in NOT_THE_ENGINES.get(path.relative_to(PACKAGE).as_posix(), ())
        ]
    assert offences == []


def test_no_other_class_uses_private_names() -> None:
    """Outside that folder no class of ours touches, or happens to hide, what its base keeps."""
    offences = {
        f"{cls.__module__}.{cls.__name__}": uses
        for cls in classes_of_ours()
        if not cls.__module__.startswith("syncclient._async.engine.")
        if (uses := private_uses(cls))
    }
    assert offences == {}


def test_undocumented_imports_are_listed() -> None:
    """What is imported of aiohttp's modules is exported by it, or is on the list."""
    found: set[tuple[str, str]] = set()
    for _, tree in sources(PACKAGE):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aiohttp."):
                found |= {(str(node.module), alias.name) for alias in node.names}
    listed = {(module, name) for module, names in UNDOCUMENTED.items() for name in names}
    public = {"aiohttp.abc"}
    rest = {
        (module, name)
        for module, name in found - listed
        if module not in public and name not in aiohttp.__all__
    }
    typing_only = {("aiohttp.connector", "Connection"), ("aiohttp.typedefs", "LooseHeaders")}
    typing_only |= {("aiohttp.typedefs", "StrOrURL"), ("aiohttp.client_middlewares", "Request")}
    assert {each for each in rest - typing_only if each[1] != "ClientMiddlewareType"} == set()


@pytest.mark.parametrize("name", sorted({name for _, name in LISTED}))
def test_without_a_name_requests_work(run_child: RunChild, app: AppServer, name: str) -> None:
    """Gets, streams, uploads and WebSockets work on an aiohttp that has renamed it."""
    script = ROOT / "tests" / "workers" / "renamed_engine.py"
    child = run_child(script, name, app.url, timeout=60, flags=("-W", "error::ResourceWarning"))
    assert (child.status, child.stdout) == (0, "worked\n"), child.stderr
    if name in NOTICED:
        assert re.search(rf"aiohttp \S+ has no \w+\.{name}: .*newer syncclient", child.stderr)
    else:
        assert child.stderr == ""


SOCKS = """
import sys
from tests.workers import renamed_engine
renamed_engine.rename(sys.argv[1])
import syncclient
try:
    syncclient.get(sys.argv[2] + "/get", proxy="socks5://127.0.0.1:1")
except RuntimeError as error:
    print(error)
"""


def test_a_proxy_is_not_passed_by(run_child: RunChild, app: AppServer) -> None:
    """Where the engine would connect by a method unknown to us, SOCKS is refused: it would not
    go through the proxy."""
    child = run_child(SOCKS, "_create_direct_connection", app.url, timeout=60)
    assert re.fullmatch(
        r"aiohttp \S+ has no SocksPool\._create_direct_connection, which this kind of connection "
        r"needs: please use a newer syncclient\n",
        child.stdout,
    )
