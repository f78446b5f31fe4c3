"""Retries: which failures of a request to retry, when, and how often.

No library is used. tenacity and stamina repeat a function: they do not know Retry-After, bodies
that cannot be sent twice, the remaining time of a request, or a budget shared by requests, and
the loop alone is little. aiohttp-retry knows statuses, but sends half-read bodies again, and
replaces the session.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Protocol, TypeVar

from aiohttp import (
    ClientConnectionError,
    ClientHttpProxyError,
    ClientPayloadError,
    ClientSSLError,
    ClientTimeout,
    ServerFingerprintMismatch,
    hdrs,
)
from aiohttp.payload import Payload

from ..._caller import note_doing
from ..._deadline import nearest
from ..._exceptions import PoolTimeoutError, TotalTimeoutError
from ..._models import Attempt, Reply, redacted_url
from ..._other_libraries import answering
from .body import Body
from .progress import Progress

#: Errors that are retried, unless the second tuple contains them.
_PASSING = (ClientConnectionError, ClientPayloadError)
_LASTING = (ClientSSLError, ServerFingerprintMismatch, TotalTimeoutError, PoolTimeoutError)

#: More digits than any sensible server sends in a Retry-After.
_TOO_MANY_DIGITS = 9


@answering("Retry")
@dataclass(frozen=True)
class Retry:
    """A policy for retrying failed requests. A value: sessions may share it.

    A request is retried if its connection broke or could not be made, if one of its steps timed
    out, or if the response has a status from ``statuses``. It is not retried after an error of
    the request itself, of a certificate, or of the total timeout. A body is sent again from its
    first byte; if that is impossible, as with a generator, the request is not retried.

    If the body of a response is read as a stream, the attempt has succeeded once the headers
    arrive: if the body breaks off later, the reader gets the error. ``submit`` and ``map`` read
    the body within the attempt.

    After the last attempt you get its response, whatever the status, or its error. Both list all
    attempts in ``attempts``. If a session has a policy, aiohttp's own silent second attempt on a
    dead kept-alive connection is disabled.

    Args:
        attempts: maximum number of attempts, including the first one.
        statuses: statuses to retry.
        methods: methods to retry. The default are the idempotent methods (RFC 9110, section
            9.2.2); add others only if the server can handle repeated requests.
        backoff: seconds before the second attempt; doubled before each further one.
        jitter: fraction of the delay that is randomised, 0 to 1, so that many clients do not
            return at the same moment.
        max_delay: maximum number of seconds to wait. If Retry-After asks for more, the response
            is returned.
        budget: how many retries the requests of a session may make; every ten requests that
            succeed at the first attempt earn another. This prevents retries from overloading a
            failing server. None sets no limit.

    Retries do not extend the total timeout of a request or a ``syncclient.timeout()`` block. If a
    delay would outlast them, there is no further attempt.
    """

    #: The idempotent methods.
    IDEMPOTENT: ClassVar[frozenset[str]] = frozenset(
        {"DELETE", "GET", "HEAD", "OPTIONS", "PUT", "TRACE"}
    )

    attempts: int = 3
    statuses: Collection[int] = frozenset({408, 429, 502, 503, 504})
    methods: Collection[str] = IDEMPOTENT
    backoff: float = 0.1
    jitter: float = 0.5
    max_delay: float = 30.0
    budget: int | None = None

    def __post_init__(self) -> None:
        _whole("attempts", self.attempts, least=1)
        if self.budget is not None:
            _whole("budget", self.budget, least=0)
        _number("backoff", self.backoff)
        _number("max_delay", self.max_delay)
        _number("jitter", self.jitter, most=1.0)
        statuses = _set("statuses", self.statuses, int, "of numbers such as 503")
        methods = _set("methods", self.methods, str, "of names such as 'GET'")
        object.__setattr__(self, "statuses", statuses)
        object.__setattr__(self, "methods", frozenset(method.upper() for method in methods))

    def applies(self, method: str) -> bool:
        """Return whether requests with this method may be retried."""
        return self.attempts > 1 and method in self.methods

    def delay(self, number: int) -> float:
        """Return the seconds to wait after attempt ``number``, the first of which is 1."""
        # The exponent is limited, because 2.0 to the power of 1100 is an error.
        longest = min(self.max_delay, self.backoff * 2.0 ** min(number - 1, 100))
        return longest * (1.0 - self.jitter * random.random())


def _whole(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be {least} or more, not {value}")


def _number(name: str, value: object, *, most: float = float("inf")) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not 0 <= value <= most:
        raise ValueError(f"{name} must be from 0 to {most:g}, not {value}")


T = TypeVar("T")


def _set(name: str, values: object, kind: type[T], what: str) -> frozenset[T]:
    if isinstance(values, Iterable) and not isinstance(values, str):
        found = frozenset(values)
        if all(isinstance(value, kind) for value in found):
            return found
    raise TypeError(f"{name} must be a set {what}, not {values!r}")


class Budget:
    """The remaining retries of the requests of one session under one policy."""

    #: What a request that succeeds at once earns.
    _EARNED = 0.1

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._left = float(most)

    def earn(self) -> None:
        """A request has succeeded at its first attempt."""
        self._left = min(self._most, self._left + self._EARNED)

    def spend(self) -> bool:
        """Take one retry; return False if none is left."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Abandonable(Protocol):
    """An object that an attempt may leave open."""

    def abandon(self) -> None:
        """Abandon it without waiting."""


L = TypeVar("L", bound=Abandonable)

#: Makes one attempt, within the timeout it is given.
Ask = Callable[[ClientTimeout], Awaitable[tuple[Reply, "L | None"]]]


class Retrying:
    """One request under a policy. Event loop only.

    Args:
        policy: when to retry.
        budget: the remaining retries; None for no limit.
        progress: the request; its time began with the first attempt.
        body: its body, if any.
    """

    def __init__(
        self, policy: Retry, budget: Budget | None, progress: Progress, body: object
    ) -> None:
        self._policy = policy
        self._budget = budget
        self._progress = progress
        self._body = body
        self._attempts: list[Attempt] = []
        self._began = 0.0
        self._delay = 0.0

    def __str__(self) -> str:
        progress = self._progress
        number, most = len(self._attempts) + 1, self._policy.attempts
        return (
            f"{progress.method} {redacted_url(progress.url)} while waiting {self._delay:.3g} s "
            f"before attempt {number} of {most} ({_told(self._attempts)})"
        )

    async def run(self, ask: Ask[L]) -> tuple[Reply, L | None]:
        """Make attempts until one succeeds, or no further attempt is allowed."""
        while True:
            self._began = time.monotonic()
            self._progress.past = self._attempts_now
            try:
                reply, live = await ask(self._time_left())
            except Exception as exc:
                self._note(None, exc)
                if not self._again(exc, None):
                    sign(exc, self._attempts)
                    raise
            else:
                self._note(reply.head.status, None)
                if not self._again(None, reply):
                    self._progress.past = None
                    return reply._replace(attempts=tuple(self._attempts)), live
                if live is not None:
                    live.abandon()
                del live
            await self._pause()

    def _time_left(self) -> ClientTimeout:
        return self._progress.time_left() if self._attempts else self._progress.timeout

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts so far, for the error of a deadline that ends the wait before the next."""
        return tuple(self._attempts)

    def _attempts_now(self) -> tuple[Attempt, ...]:
        """Return the earlier attempts, and the current one as a deadline leaves it."""
        took = time.monotonic() - self._began
        under_way = Attempt(len(self._attempts) + 1, None, "DeadlineError", "cut short", took)
        return (*self._attempts, under_way)

    def _note(self, status: int | None, error: Exception | None) -> None:
        took = time.monotonic() - self._began
        kind = "" if error is None else type(error).__name__
        text = "" if error is None else str(error)
        self._attempts.append(Attempt(len(self._attempts) + 1, status, kind, text, took))

    def _again(self, error: Exception | None, reply: Reply | None) -> bool:
        """Decide on another attempt, and how long to wait before it."""
        policy = self._policy
        asked: float | None = None
        if reply is not None:
            if reply.head.status not in policy.statuses:
                if self._budget is not None and len(self._attempts) == 1:
                    self._budget.earn()
                return False
            asked = retry_after(reply.head.headers.get(hdrs.RETRY_AFTER), time.time())
        elif isinstance(error, ClientHttpProxyError):
            if error.status not in policy.statuses:
                return False
        elif not isinstance(error, _PASSING) or isinstance(error, _LASTING):
            return False
        number = len(self._attempts)
        self._delay = policy.delay(number) if asked is None else asked
        return (
            number < policy.attempts
            and self._delay <= policy.max_delay
            and self._is_in_time()
            and can_be_sent_again(self._body)
            and (self._budget is None or self._budget.spend())
        )

    def _is_in_time(self) -> bool:
        total = self._progress.timeout.total
        if total and self._progress.elapsed() + self._delay >= total:
            return False
        block = nearest()
        when = None if block is None else block.when()
        if when is None:
            return True
        # Ignore a block that has ended without interrupting this request: the context of a map
        # is that of its first step, which may have been made inside another block.
        left = when - time.monotonic()
        return left <= 0 or self._delay < left

    async def _pause(self) -> None:
        note_doing(self)
        await asyncio.sleep(self._delay)
        if isinstance(self._body, Body):
            await self._body.restart()


def sign(error: Exception, attempts: Sequence[Attempt]) -> None:
    """Attach all attempts to ``error``, with a note if there was more than one."""
    error.__dict__["attempts"] = tuple(attempts)
    if len(attempts) > 1 and hasattr(error, "add_note"):  # Python 3.11 and later
        error.add_note(f"after {len(attempts)} attempts: {_told(attempts)}")


def _told(attempts: Sequence[Attempt]) -> str:
    return ", ".join(str(attempt.status or attempt.error) for attempt in attempts)


def can_be_sent_again(body: object) -> bool:
    """Return whether ``body``, part of which may have been sent, can be sent again completely."""
    if isinstance(body, Body):
        return body.replayable
    return not (isinstance(body, Payload) and body.consumed)


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110, section 10.2.3).

    Return None if the header is missing or invalid.

    Args:
        value: the header: seconds, or a date.
        now: the current time, as returned by ``time.time()``.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value) if len(value) <= _TOO_MANY_DIGITS else float("inf")
    try:
        date: datetime | None = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if date is None:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max(0.0, date.timestamp() - now)


def check_retry(name: str, value: Any) -> Retry | None:
    """Return ``value`` as a policy; a number is the number of further attempts."""
    if value is None or isinstance(value, Retry):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"{name} must be a syncclient.Retry, a number of further attempts or None, "
            f"not {type(value).__name__}"
        )
    _whole(name, value, least=0)
    return Retry(attempts=1 + value)
