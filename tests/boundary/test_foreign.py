"""Waking a task in a loop that is not ours, and one that is over."""

from __future__ import annotations

import asyncio
import weakref

from syncclient._boundary.foreign_loops import Bell


class Letter:
    """Something whose end can be seen."""

    def __call__(self) -> None:
        """Nothing: it is about being kept."""


def post_one(bell: Bell) -> weakref.ref[Letter]:
    letter = Letter()
    bell.post(letter)
    return weakref.ref(letter)


def test_the_bell_of_a_closed_loop_keeps_nothing() -> None:
    """No letter is kept, the first or a later one: each may hold a task and a result."""
    loop = asyncio.new_event_loop()
    bell = Bell(loop)
    loop.close()
    assert [post_one(bell)() for _ in range(3)] == [None] * 3


def test_the_bell_of_a_loop_that_is_gone_keeps_nothing() -> None:
    """The bell of a loop that was collected keeps nothing alive."""
    loop = asyncio.new_event_loop()
    bell = Bell(loop)
    loop.close()
    del loop
    assert bell.loop() is None
    assert [post_one(bell)() for _ in range(3)] == [None] * 3
