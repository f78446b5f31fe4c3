"""Many requests at a time, as async code has them: no thread, no server."""

from __future__ import annotations

import asyncio

import pytest

from syncclient._async.batch import AsyncMany, BatchFeed

pytestmark = pytest.mark.anyio

WITHIN = 20.0  # seconds: every wait is bounded, so that a lost event fails and never hangs


async def double(number: int) -> int:
    if number < 0:
        raise ValueError(number)
    return 2 * number


async def test_a_slot_is_free_as_soon_as_its_request_is_done() -> None:
    """A request that comes in the very moment in which the last slot runs dry is begun."""
    feed = BatchFeed[int]()
    many = AsyncMany(double, feed, 1)
    for number in range(10):
        assert feed.put(number, number)
        many.begin()
        await asyncio.sleep(0)  # the request is done, and its task has not been seen off yet
    results: dict[int, object] = {}
    while len(results) < 10:
        results |= await asyncio.wait_for(many.results(wait=True, wanted=None), WITHIN)
    assert results == {number: 2 * number for number in range(10)}
    await many.aclose()


async def test_the_feed_says_when_it_must_be_looked_at() -> None:
    """A put asks for a ``begin`` only if nothing else would collect it."""
    feed = BatchFeed[int]()
    assert feed.put(0, 0)
    assert not feed.put(1, 1)
    assert feed.take() == (0, 0)
    assert feed.take() == (1, 1)
    assert not feed.put(2, 2)
    assert feed.take() == (2, 2)
    assert feed.take() is None
    assert feed.put(3, 3)


async def test_errors_are_results() -> None:
    """What a request raises comes in its place, and the others go on."""
    feed = BatchFeed[int]()
    many = AsyncMany(double, feed, 2)
    for number in (1, -1, 3):
        feed.put(number, number)
    many.begin()
    results: dict[int, object] = {}
    while len(results) < 3:
        results |= await asyncio.wait_for(many.results(wait=True, wanted=None), WITHIN)
    assert (results[1], results[3]) == (2, 6)
    assert isinstance(results[-1], ValueError)
    await many.aclose()


async def test_closing_cancels_waits_and_wakes() -> None:
    """aclose() returns when the requests have unwound, and results() returns with nothing."""
    unwound = []

    async def forever(number: int) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            unwound.append(number)
        raise AssertionError

    feed = BatchFeed[int]()
    forgotten: list[object] = []
    many = AsyncMany(forever, feed, 2, forget=forgotten.append)
    for number in range(5):
        feed.put(number, number)
    many.begin()
    waiting = asyncio.ensure_future(many.results(wait=True, wanted=0))
    await asyncio.sleep(0)
    await many.aclose()
    assert sorted(unwound) == [0, 1]
    assert await asyncio.wait_for(waiting, WITHIN) == {}
    assert forgotten == [many]
    many.begin()  # of no effect
    assert await many.results(wait=True, wanted=3) == {}
