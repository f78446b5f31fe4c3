"""The headers of requests, taken apart and put together without a look-up for each name."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from requests.structures import CaseInsensitiveDict


def store_of(headers: CaseInsensitiveDict[Any]) -> OrderedDict[str, tuple[str, Any]]:
    """Return the dict inside ``headers``: for each name in lower case, the name and the value."""
    store: OrderedDict[str, tuple[str, Any]] = vars(headers)["_store"]
    return store


def dict_over(store: OrderedDict[str, tuple[str, Any]]) -> CaseInsensitiveDict[Any]:
    """Return headers that have ``store`` inside."""
    made: CaseInsensitiveDict[Any] = CaseInsensitiveDict.__new__(CaseInsensitiveDict)
    vars(made)["_store"] = store
    return made


def pairs_of(headers: Any) -> tuple[tuple[Any, Any], ...]:
    """Return the pairs in ``headers`` in their order."""
    if type(headers) is CaseInsensitiveDict:
        return tuple(store_of(headers).values())
    return tuple(headers.items())
