"""A portal of our own, on a loop thread of our own, with a resident that does nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

import pytest

from syncclient._boundary.loop_thread import LoopThread, new_event_loop
from syncclient._boundary.portal import Portal
from syncclient._exceptions import SessionClosedError

R = TypeVar("R")


class Resident:
    """The object on the loop in these tests."""

    def __init__(self) -> None:
        self.closed = False
        self.born_on = threading.get_ident()

    async def aclose(self) -> None:
        self.closed = True


def closed() -> SessionClosedError:
    """Return the error a closing portal gives its callers."""
    return SessionClosedError("the portal was closed")


def in_thread(function: Callable[[], R]) -> Future[R]:
    """Run ``function`` in a thread of its own; the future has its outcome, SystemExit and all."""
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as exc:
            future.set_exception(exc)

    threading.Thread(target=run, daemon=True).start()
    return future


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_thread(request: pytest.FixtureRequest) -> LoopThread:
    """A loop thread that only this test uses, on each of the two event loops."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
        return LoopThread(loop_factory=new_event_loop)
    return LoopThread(loop_factory=asyncio.new_event_loop)


@pytest.fixture
def portal(loop_thread: LoopThread) -> Iterator[Portal[Resident]]:
    """An open portal, closed after the test."""
    portal = Portal(loop_thread, Resident, Resident.aclose, name="the portal")
    yield portal
    portal.close(closed)
