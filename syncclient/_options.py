"""Checks of the options that go to the engine as they are.

Each is looked at where the user gave it: the engine would meet a wrong one much later, on
the loop thread, and would not say which it was; a ``read_bufsize`` of 0 it would take, and wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from aiohttp import TraceConfig

from ._checks import count


def trace_configs(given: Iterable[TraceConfig] | None) -> list[TraceConfig]:
    """Return the TraceConfigs of a session as a list of its own."""
    if isinstance(given, TraceConfig):
        raise TypeError("trace_configs must be a list of TraceConfig: write [trace_config]")
    configs = list(given or ())
    for config in configs:
        if not isinstance(config, TraceConfig):
            raise TypeError(f"trace_configs must hold TraceConfig, not {type(config).__name__}")
    return configs


def raise_for_status(value: Any) -> Any:
    """Return ``value``: whether to raise, or a function; None, which is aiohttp's too, is no."""
    if value is None or isinstance(value, int):
        return bool(value)
    if not callable(value):
        raise TypeError(
            f"raise_for_status must be True, False or a function, not {type(value).__name__}"
        )
    return value


def checked(**options: Any) -> dict[str, Any]:
    """Return the options, each as its entry in ``CHECKS`` has it."""
    return {name: CHECKS[name](name, value) for name, value in options.items()}


def _flag(name: str, value: object) -> bool:
    return bool(value)


def _anything(name: str, value: object) -> object:
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    return value


def _names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError(f"{name} must be a list of names: write [{value!r}]")
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list of names, not {type(value).__name__}")
    return tuple(_text(name, each) for each in value)


def _coding(name: str, value: object) -> bool | str:
    # What the engine cannot compress it would send as it is, under a name that is not true.
    if not isinstance(value, bool) and value not in ("gzip", "deflate"):
        raise ValueError(f"{name} must be 'gzip', 'deflate', True or False, not {value!r}")
    return value


def _cookies(name: str, value: Any) -> object:
    if isinstance(value, Mapping):
        return value
    # Drawn here: an iterator is the caller's code, and runs in the caller's thread.
    pairs = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else None
    if pairs is None or any(not isinstance(p, tuple | list) or len(p) != 2 for p in pairs):
        raise TypeError(f"{name} must be a mapping or (name, value) pairs")
    return pairs


def _functions(name: str, value: Any) -> tuple[Any, ...]:
    functions = tuple(value) if isinstance(value, Iterable) else None
    if functions is None or not all(map(callable, functions)):
        raise TypeError(f"{name} must be a list of functions, not {type(value).__name__}")
    return functions


#: By the name of the option; None is left out before, and is the engine's own default.
CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "allow_redirects": _flag,
    "auto_decompress": _flag,
    "chunked": _flag,
    "compress": _coding,
    "cookies": _cookies,
    "expect100": _flag,
    "max_body": count,
    "max_field_size": partial(count, least=1),
    "max_headers": partial(count, least=1),
    "max_line_size": partial(count, least=1),
    "max_redirects": count,
    "middlewares": _functions,
    "read_bufsize": partial(count, least=1),
    "read_until_eof": _flag,
    "server_hostname": _text,
    "skip_auto_headers": _names,
    "timings": _flag,
    "trace_request_ctx": _anything,
}
