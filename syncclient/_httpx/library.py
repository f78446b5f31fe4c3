"""One of the two libraries, as the shared code sees it: its module, and what belongs to it."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_NAMES = ("httpx", "httpx2")

#: Where mocks replace a method: on the library's transport, and on the pool of httpcore below it.
_MOCKED = {
    "handle_request": ("HTTPTransport", "ConnectionPool"),
    "handle_async_request": ("AsyncHTTPTransport", "AsyncConnectionPool"),
}


def installed(name: str) -> ModuleType:
    """Return the module ``name``, or raise ImportError that says what to install."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name != name:
            raise  # one of its own dependencies is missing
        raise ImportError(
            f"syncclient.{name} needs {name}: pip install {name}", name=name
        ) from None


class Library:
    """httpx or httpx2.

    Args:
        module: the library.
    """

    def __init__(self, module: ModuleType) -> None:
        # Under import hooks such as httpx2's alias_httpx() both names are one module.
        self.name: str = module.__name__
        self.module: Any = module
        self._core = self.name.replace("httpx", "httpcore")
        #: The library's own, by the method that a client calls. A program may replace one of its
        #: names by one of our objects, and the name would lead back here.
        self.transports: dict[str, Any] = {
            method: getattr(module, kind) for method, (kind, _) in _MOCKED.items()
        }

    def is_mocked(self, method: str) -> bool:
        """Return whether ``method`` of the library's own transports has been replaced.

        respx, pytest-httpx and vcrpy do that. Told by where its code is from: the names of a
        function are copied by those that wrap it.
        """
        _, pool = _MOCKED[method]
        core = sys.modules.get(self._core)  # which the library imports when it is needed
        return not _is_of(self.transports[method], method, self.name) or (
            core is not None and not _is_of(getattr(core, pool), method, self._core)
        )

    def check(self, what: str, value: object, *kinds: str) -> None:
        """Raise TypeError where ``value`` is none of the library's classes ``kinds``.

        An object of the other library is what people give by mistake: the two look alike.
        """
        if isinstance(value, tuple(getattr(self.module, kind) for kind in kinds)):
            return
        package = type(value).__module__.partition(".")[0]
        if package in _NAMES and package != self.name:
            raise TypeError(
                f"{what} is {package}'s {type(value).__name__}, and this is the door for "
                f"{self.name}: use syncclient.{package}, or {self.name}.{type(value).__name__}"
            )
        raise TypeError(
            f"{what} must be {self.name}.{' or '.join(kinds)}, not {type(value).__name__}"
        )


def _is_of(cls: type, method: str, package: str) -> bool:
    function = getattr(cls, method)
    home: str = getattr(function, "__globals__", _NOWHERE)["__name__"]
    return home.partition(".")[0] == package


_NOWHERE = {"__name__": ""}
