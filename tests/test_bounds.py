"""The measure of `tests/bounds.py`: it notices what holds the loop, however quiet the machine."""

import time

import pytest

import syncclient
from tests import bounds


def test_a_turn_that_is_too_long_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback that computes for longer than `TURN` fails the test around it."""
    monkeypatch.setattr(bounds, "TURN", 0.05)

    async def hold(resident: object) -> None:
        until = time.thread_time() + 0.06
        while time.thread_time() < until:
            pass

    with syncclient.Session() as session:
        with pytest.raises(AssertionError, match="the loop was held"):
            with bounds.others_have_their_turn():
                session._portal.call(hold)
