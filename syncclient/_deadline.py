"""Deadlines: the time at which a duration ends, computed once."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from aiohttp import ServerTimeoutError

P = ParamSpec("P")
R = TypeVar("R")


class DeadlineError(ServerTimeoutError, TimeoutError):
    """The time of a ``with syncclient.timeout(...)`` block is over.

    Attributes:
        seconds: the duration of the block.
        elapsed: the time since the block was entered, in seconds.
        doing: what the interrupted call was doing; empty if the time was over before the call.
        attempts: the attempts at the request, including the interrupted one, as
            ``syncclient.Attempt`` values, if the request had a ``Retry``. Empty otherwise.
    """

    attempts: tuple[Any, ...] = ()  # Attempts: this module imports none of the others

    def __init__(self, seconds: float, elapsed: float, doing: str = "") -> None:
        self.seconds = seconds
        self.elapsed = elapsed
        self.doing = doing
        super().__init__(seconds, elapsed, doing)

    def __str__(self) -> str:
        over = f"the {self.seconds:.3g} s of timeout() were over"
        if not self.doing:
            return f"{over} before this call, which came after {self.elapsed:.3g} s"
        return f"{over} after {self.elapsed:.3g} s: {self.doing}"


class timeout:  # noqa: N801  -- as asyncio.timeout
    """Set one deadline for all blocking calls inside a ``with`` block.

    It applies to requests, reads of bodies and WebSocket receives alike. Blocks can be nested: the
    earliest deadline wins. Interrupted calls raise DeadlineError, a TimeoutError that says what
    the call was doing. Other code is not interrupted. The deadline belongs to the thread, and the
    context, that entered the block.

    Args:
        delay: seconds, from the moment the block is entered; None sets no limit.

    Source: asyncio.timeout.
    """

    def __init__(self, delay: float | None) -> None:
        if delay is not None:
            if isinstance(delay, bool) or not isinstance(delay, (int, float)):
                raise TypeError(f"delay must be a number of seconds or None, not {delay!r}")
            if delay < 0 or math.isnan(delay):
                raise ValueError(f"delay must be 0 seconds or more, or None, not {delay!r}")
        self._delay = delay
        self._entered_at: float | None = None
        self._when: float | None = None
        self._expired = False
        self._over = False

    def when(self) -> float | None:
        """Return the deadline as a time of ``time.monotonic()``, or None."""
        return self._when

    def reschedule(self, when: float | None) -> None:
        """Move the deadline to ``when``, a time of ``time.monotonic()``; None removes it.

        Takes effect with the next call.
        """
        self._when = when

    def expired(self) -> bool:
        """Return whether this deadline has ended a call."""
        return self._expired

    def error(self, doing: object) -> DeadlineError:
        """Record that the deadline has ended a call, and return the error for it.

        Args:
            doing: what the call was doing; ``str()`` gives the words.
        """
        self._expired = True
        now = time.monotonic()
        began = now if self._entered_at is None else self._entered_at
        seconds = now - began if self._when is None else max(0.0, self._when - began)
        error = DeadlineError(seconds, now - began, str(doing))
        if attempts := getattr(doing, "attempts", ()):
            error.attempts = attempts
        return error

    def __enter__(self) -> timeout:
        if self._entered_at is not None:
            raise RuntimeError("this timeout was already entered: create one for each block")
        self._entered_at = time.monotonic()
        if self._delay is not None:
            self._when = self._entered_at + self._delay
        try:
            _innermost.set(_Place(weakref.ref(self), _innermost.get()))
            return self
        except BaseException:  # an interrupt: there will be no __exit__
            self._over = True
            raise

    def __exit__(self, *exc_info: object) -> None:
        # Without the token of the context variable: a generator may be closed in another context
        # than it was started in, and blocks inside generators end in any order.
        self._over = True
        here = place = _innermost.get()
        while place is not None and place.block() is None:
            place = place.outer
        if place is not here:
            _innermost.set(place)

    def __repr__(self) -> str:
        return f"<timeout({self._delay}){' expired' if self._expired else ''}>"


class _Place:
    """A block among those around it.

    It holds its block weakly, as a ``with`` statement holds it strongly. An interrupt that hits
    the first step of ``__exit__`` leaves the block in its place. With a strong reference, its
    deadline would apply to all later calls of the thread; so it does only as long as something,
    such as the traceback of the interrupt, holds the block.
    """

    __slots__ = ("_block", "outer")

    def __init__(self, block: weakref.ref[timeout], outer: _Place | None) -> None:
        self._block = block
        self.outer = outer

    def block(self) -> timeout | None:
        """Return the block, or None if it is over."""
        block = self._block()
        return None if block is None or block._over else block


_innermost: ContextVar[_Place | None] = ContextVar("syncclient_timeout", default=None)


def nearest() -> timeout | None:
    """Return the surrounding block with the nearest deadline; None if there is none."""
    place = _innermost.get()
    found: timeout | None = None
    while place is not None:
        block = place.block()
        if (
            block is not None
            and block._when is not None
            and (found is None or found._when is None or block._when < found._when)
        ):
            found = block
        place = place.outer
    return found


#: Returns something if a ``timeout()`` block may surround the caller, else None. Faster than a
#: Python function.
innermost = _innermost.get


def check_nearest() -> None:
    """Raise DeadlineError if the nearest deadline is over. For code that does not wait for it."""
    if _innermost.get() is None:  # for most calls
        return
    if (block := overdue()) is not None:
        raise block.error("")


def overdue() -> timeout | None:
    """Return the surrounding block with the nearest deadline, if that is over."""
    block = nearest()
    if block is not None and block._when is not None and time.monotonic() >= block._when:
        return block
    return None


@contextmanager
def no_deadline() -> Iterator[None]:
    """Ignore deadlines inside this block, for calls that clean up."""
    token = _innermost.set(None)
    try:
        yield
    finally:
        _innermost.reset(token)
