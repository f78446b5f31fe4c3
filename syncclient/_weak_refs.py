"""Sets of weak references that are cleaned up without running Python code."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class WeakRefs(Generic[T]):
    """A set that holds its members weakly, in the order in which they were added. Any thread.

    In place of ``weakref.WeakSet``, whose callback is a Python function: an interrupt that arrives
    in it is printed, and lost. This one's callback is a method of dict.
    """

    __slots__ = ("_refs",)

    def __init__(self) -> None:
        #: Each operation on it is atomic, list() included.
        self._refs: dict[weakref.ref[T], None] = {}

    def add(self, member: T) -> None:
        """Add ``member``, unless it is in the set."""
        self._refs[weakref.ref(member, self._refs.__delitem__)] = None

    def discard(self, member: T) -> None:
        """Remove ``member`` if it is in the set."""
        self._refs.pop(weakref.ref(member), None)  # and with the reference goes its callback

    def __iter__(self) -> Iterator[T]:
        for ref in list(self._refs):
            if (member := ref()) is not None:
                yield member
