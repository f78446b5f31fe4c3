"""Fields with brackets, as in HTTPie: ``a[b]=c`` is ``{"a": {"b": "c"}}``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

#: A new element at the end of a list: ``a[]=1``.
END = object()
#: A name or an index in brackets; a backslash escapes the next character.
_STEP = re.compile(r"\[((?:\\.|[^][\\])*)\]")
_NAME = re.compile(r"(?:\\.|[^][\\])*")
_ESCAPED = re.compile(r"\\([][\\0-9])")
#: The highest index: a list has all elements before it as well.
_HIGHEST = 9999

Step = str | int | object


class NestingError(ValueError):
    """The brackets are malformed, or contradict each other; the message says how."""


def steps_of(key: str) -> list[Step]:
    r"""Return the path in ``key``: names, indices, ``END``.

    ``\[`` is a bracket in a name, and ``[\5]`` a name of digits.

    Raises:
        NestingError: a bracket is unbalanced.
    """
    name = _NAME.match(key)
    assert name is not None  # it may match nothing
    steps: list[Step] = [_plain(name[0])] if name[0] or not key.startswith("[") else []
    position = name.end()
    while position < len(key):
        step = _STEP.match(key, position)
        if step is None:
            raise NestingError(rf"write name[key], or \[ for a bracket in a name, not {key!r}")
        steps.append(_step(step[1]))
        position = step.end()
    return steps


def _step(text: str) -> Step:
    if not text:
        return END
    if not (text.isascii() and text.isdigit()):
        return _plain(text)
    if len(text) > 4:
        raise NestingError(f"[{text}] is beyond the index {_HIGHEST}; as a name, write [\\{text}]")
    return int(text)


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def document_of(fields: Iterable[tuple[str, Any]]) -> Any:
    """Return the JSON value made of the fields; of two with one name the last counts.

    Raises:
        NestingError: the brackets of a field are malformed, or contradict an earlier field.
    """
    root: list[Any] = [None]
    for key, value in fields:
        _put(root, [0, *steps_of(key)], value, key)
    return root[0]


def _put(root: list[Any], steps: list[Step], value: Any, key: str) -> None:
    at: Any = root
    for step, following in pairwise(steps):
        slot = _slot(at, step, key)
        if at[slot] is None:
            at[slot] = {} if isinstance(following, str) else []
        at = at[slot]
    at[_slot(at, steps[-1], key)] = value


def _slot(at: Any, step: Step, key: str) -> Any:
    """Return the place for ``step`` in ``at``, created if needed."""
    if isinstance(step, str):
        if not isinstance(at, dict):
            raise _contradiction(key, at, f"the name {step!r}")
        at.setdefault(step, None)
        return step
    if not isinstance(at, list):
        raise _contradiction(key, at, "an index" if isinstance(step, int) else "[]")
    index = step if isinstance(step, int) else len(at)
    at.extend([None] * (index + 1 - len(at)))
    return index


def _contradiction(key: str, at: Any, step: str) -> NestingError:
    kind = "an object" if isinstance(at, dict) else "a list" if isinstance(at, list) else "a value"
    return NestingError(f"{key!r} asks for {step} in what an earlier field made {kind}")
