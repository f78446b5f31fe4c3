"""Signatures as people and their editors want to see them: with every keyword, and its type.

A function that takes ``**options: Unpack[RequestOptions]`` shows a type checker all keywords, and
``help()`` none, nor an editor that looks at the running program: IPython, Jupyter. So it gets a
``__signature__`` made of the same TypedDict.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from ._checks import UNSET

F = TypeVar("F", bound=Callable[..., Any])

_UNPACKED = re.compile(r"Unpack\[(\w+)\]")

#: The keywords of a TypedDict, by the TypedDict: a dozen functions share some.
_keywords: dict[Any, list[inspect.Parameter]] = {}


def shown(function: F) -> F:
    """Give ``function`` a signature with the keywords of its ``**options`` in their place."""
    signature = inspect.signature(function)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        unpacked = _UNPACKED.fullmatch(str(parameter.annotation))
        if unpacked is not None:
            parameters += keywords_of(vars(sys.modules[function.__module__])[unpacked[1]])
        elif parameter.annotation != "Never":
            parameters.append(parameter)
    shown = signature.replace(parameters=parameters)
    function.__signature__ = shown  # type: ignore[attr-defined]  # inspect's convention
    return function


def keywords_of(options: Any) -> list[inspect.Parameter]:
    """Return the keywords of a TypedDict, all of them optional."""
    found = _keywords.get(options)
    if found is None:
        found = _keywords[options] = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=UNSET, annotation=text)
            for name, hint in options.__annotations__.items()
            for text in (getattr(hint, "__forward_arg__", hint),)
        ]
    return found
