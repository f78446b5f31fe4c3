"""The objects that users have to close, for a ResourceWarning about those still open at exit.

A finaliser cannot warn at exit: what a module holds is dropped after the loop has ended, or
not at all. So each object registers itself when it is opened, and the exit hook asks the
remaining ones for their complaint.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import Protocol

from .._weak_refs import WeakRefs


class Watched(Protocol):
    """An object that holds something open until its user closes it."""

    @property
    def _opened_at(self) -> str | None:
        """File and line from ``call_site``; None if the object need not be closed."""

    def _complaint(self) -> str | None:
        """Return the text of a ResourceWarning if it is open now, else None. Never blocks."""


#: In the order of opening.
_watched: WeakRefs[Watched] = WeakRefs()


def call_site() -> str:
    """Return file and line of the nearest frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_inside(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _is_inside(module: str) -> bool:
    package = __name__.partition(".")[0]
    # The command line and the servers for tests use the package as programs do.
    return module.startswith(f"{package}.") and not module.startswith(_USERS)


_USERS = ("syncclient._cli.", "syncclient.testing.")


def watch(thing: Watched) -> None:
    """Warn at exit if ``thing`` is still open. Any thread; never blocks."""
    _watched.add(thing)


def forgive(thing: Watched) -> None:
    """Do not warn of ``thing``: its user does not have to close it."""
    _watched.discard(thing)


def complain(thing: Watched) -> None:
    """Warn if ``thing`` is still open. For its finaliser; never blocks."""
    complaint = thing._complaint()
    if complaint is not None:
        warnings.warn(complaint, ResourceWarning, source=thing, stacklevel=3)


def complain_at_exit() -> None:
    """Warn of everything that is still open, at the lines that opened it. At exit only.

    If warnings are errors, each is raised and printed, as a finaliser would do.
    """
    with contextlib.ExitStack() as stack:  # calls all of them, the last one first
        for thing in reversed(list(_watched)):
            stack.callback(_warn_at_exit, thing)


def _warn_at_exit(thing: Watched) -> None:
    complaint = thing._complaint()
    if complaint is not None:
        file, _, line = (thing._opened_at or "").rpartition(":")
        warnings.warn_explicit(complaint, ResourceWarning, file, int(line or 0), source=thing)
