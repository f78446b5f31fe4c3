"""What the lean exchange needs of a connection, beside aiohttp's protocol.

A coroutine without a task awaits the head of a response (``_taskless``); and a parser that has come
to the end of a response parses the next one, for to make one takes longer than a small response.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from typing import Any

from aiohttp import BaseConnector
from aiohttp.helpers import BaseTimerContext, TimerNoop

from ..._taskless import Wait
from .tls_ends import EndingHandler

NO_TIMER = TimerNoop()


class LeanHandler(EndingHandler, Wait):
    """A connection that a coroutine without a task can await: the next head, or an error."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: BaseConnector) -> None:
        super().__init__(loop, pool)
        self._event_loop = loop
        #: Wakes the coroutine that awaits this.
        self.arrived: Callable[[], object] | None = None
        #: Whether the parser has reached the end of a response, and of the received data.
        self.parser_ended = False
        #: What ``expect`` has made the parser with; None if it serves one response.
        self.made_with: Mapping[str, Any] | None = None
        #: Ends the waits for the body of the next response; NO_TIMER leaves that to the parser's.
        self.next_timer: BaseTimerContext = NO_TIMER

    def expect(
        self,
        params: Mapping[str, Any],
        timer: BaseTimerContext | None,
        read_timeout: float | None,
        *,
        bodiless: bool,
    ) -> None:
        """Be ready for the response to the next request.

        Args:
            params: for the parser. The same object stands for the same values.
            timer: ends the waits for the body.
            read_timeout: see ``ClientTimeout.sock_read``.
            bodiless: whether the response has no body, whatever its head says.
        """
        if self.parser_ended and params is self.made_with and not bodiless:
            self.parser_ended = False
            if self.read_timeout != read_timeout:
                self.read_timeout = read_timeout
            self.renew()
        else:
            self.set_response_params(
                timer=NO_TIMER, skip_payload=bodiless, read_timeout=read_timeout, **params
            )
            self.made_with = None if bodiless else params
        self.next_timer = timer or NO_TIMER

    def renew(self) -> None:
        """Forget the response before."""
        raise NotImplementedError

    # -- waiting without a task ------------------------------------------------------

    def __await__(self) -> Generator[Wait, None, None]:
        if not len(self) and not self.is_eof():
            yield self

    def notify(self, callback: Callable[[], object] | None) -> None:
        """Call ``callback`` once, with the next head or error."""
        self.arrived = callback

    def wake(self) -> None:
        """Wake the waiting coroutine, if its response has arrived."""
        if (arrived := self.arrived) is not None and (len(self) or self.is_eof()):
            self.arrived = None
            arrived()

    def wake_with_error(self, error: BaseException, *cause: BaseException) -> None:
        """Wake the coroutine that waits, if any: not within whatever has found the error."""
        if self.arrived is not None:
            # As the engine does for its waiters; its sentinel for none is a bare BaseException.
            if cause and type(cause[0]) is not BaseException and cause[0] is not error:
                error.__cause__ = cause[0]
            self._event_loop.call_soon(self.wake)
