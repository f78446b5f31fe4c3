"""What users have to close, so that the interpreter's exit can name what they did not.

A finaliser cannot do it there: what a module holds is dropped after the loop has ended, or
not at all. So each object enters itself when it is opened, and the exit hook asks those that
are left whether they have something to complain of. Nothing is entered anywhere else.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
import weakref
from typing import Protocol


class Closable(Protocol):
    """An object of the face that holds something open until it is closed."""

    #: File and line: of ``call_site``.
    _opened_at: str

    def _complaint(self) -> str | None:
        """Return what a ResourceWarning is to say if it is open now, else None. Never blocks."""


#: In the order of opening. Each operation on it is atomic, list() too.
_watched: dict[weakref.ref[Closable], None] = {}


def call_site() -> str:
    """Return file and line of the nearest frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def watch(thing: Closable) -> None:
    """Have ``thing`` asked at exit whether it was closed. Any thread; never blocks."""
    _watched[weakref.ref(thing, _forget)] = None


def forgive(thing: Closable) -> None:
    """Do not ask ``thing``: it is nobody's to close."""
    _forget(weakref.ref(thing))


def _forget(reference: weakref.ref[Closable]) -> None:
    _watched.pop(reference, None)


def complain(thing: Closable) -> None:
    """Warn of ``thing``, for its finaliser, if it is open. Never blocks."""
    complaint = thing._complaint()
    if complaint is not None:
        warnings.warn(complaint, ResourceWarning, source=thing, stacklevel=3)


def complain_at_exit() -> None:
    """Warn of all that is open, at the lines that opened it. At interpreter exit only.

    Where warnings are errors, each is raised and printed, as it would be by a finaliser.
    """
    with contextlib.ExitStack() as stack:  # which calls the last first, and all of them
        for reference in reversed(list(_watched)):
            thing = reference()
            if thing is not None:
                stack.callback(_warn_at_exit, thing)


def _warn_at_exit(thing: Closable) -> None:
    complaint = thing._complaint()
    if complaint is not None:
        file, _, line = thing._opened_at.rpartition(":")
        warnings.warn_explicit(complaint, ResourceWarning, file, int(line or 0), source=thing)
