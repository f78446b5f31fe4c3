"""Deadlines: a duration comes in once, from then on the moment it ends goes through."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar

from aiohttp import ServerTimeoutError

P = ParamSpec("P")
R = TypeVar("R")


class DeadlineError(ServerTimeoutError, TimeoutError):
    """The time of a ``with syncclient.timeout(...)`` block is over.

    Attributes:
        seconds: how long the block was given.
        elapsed: how long it had lasted.
        doing: what the call was doing that was cut short; empty if the time was over before.
        attempts: the attempts at the request under way, the one cut short included, if it had
            a ``Retry``: ``syncclient.Attempt`` values. Empty otherwise.
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
    """Put one deadline over all the blocking calls inside a ``with`` block.

    Requests, body reads and WebSocket receives count alike, and so do blocks inside this
    one: the nearest deadline wins. A call that it cuts short raises DeadlineError, a
    TimeoutError that tells what was being done. Code that makes no call is not cut short.
    The deadline belongs to the thread, and the context, that entered the block.

    Args:
        delay: seconds from the entering of the block on; None for no limit.

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
        self._outer: timeout | None = None
        self._token: Token[timeout | None] | None = None

    def when(self) -> float | None:
        """Return the deadline in terms of ``time.monotonic()``, or None."""
        return self._when

    def reschedule(self, when: float | None) -> None:
        """Move the deadline to ``when``, in terms of ``time.monotonic()``; None removes it.

        Counts from the next call on.
        """
        self._when = when

    def expired(self) -> bool:
        """Tell whether a call was cut short by this deadline."""
        return self._expired

    def error(self, doing: object) -> DeadlineError:
        """Note that the deadline cut a call short, and return the error for it.

        Args:
            doing: what was being done, in words once they are asked for.
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
        if self._token is not None:
            raise RuntimeError("this timeout has been entered already: make one for each block")
        self._entered_at = time.monotonic()
        if self._delay is not None:
            self._when = self._entered_at + self._delay
        self._outer = _innermost.get()
        self._token = _innermost.set(self)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._token is not None
        _innermost.reset(self._token)

    def __repr__(self) -> str:
        return f"<timeout({self._delay}){' expired' if self._expired else ''}>"


_innermost: ContextVar[timeout | None] = ContextVar("syncclient_timeout", default=None)


def nearest() -> timeout | None:
    """Return the block around us whose deadline comes first; None where there is none."""
    block = _innermost.get()
    if block is None:
        return None
    found: timeout | None = None
    while block is not None:
        if block._when is not None and (
            found is None or found._when is None or block._when < found._when
        ):
            found = block
        block = block._outer
    return found


def check_nearest() -> None:
    """Raise DeadlineError if the nearest deadline is over: for what does not wait for it."""
    block = nearest()
    if block is not None and block._when is not None and time.monotonic() >= block._when:
        raise block.error("")


@contextmanager
def no_deadline() -> Iterator[None]:
    """Make calls that no deadline cuts short: those that clean up, also after its end."""
    token = _innermost.set(None)
    try:
        yield
    finally:
        _innermost.reset(token)


class Activity(Protocol):
    """The call that is under way, as the core sees it."""

    #: What it is doing, in words, once they are asked for.
    doing: object

    @property
    def listening(self) -> bool:
        """Whether somebody is there, or will come, to run what is asked."""

    async def ask(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Have the caller run ``function``: in its thread, if it is a blocked one."""


#: The call in whose task we run. Set by the boundary. The core says there what it does.
activity: ContextVar[Activity | None] = ContextVar("syncclient_activity", default=None)
