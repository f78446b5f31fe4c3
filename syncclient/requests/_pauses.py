"""The pauses between attempts: urllib3's ``Retry`` says how long, and we wait.

``Retry.sleep`` is ``time.sleep``, which neither a deadline nor ``close_engines()`` ends.
"""

from __future__ import annotations

import time
from operator import attrgetter

from urllib3.util import retry as theirs

from .._async.websocket.websocket import pause
from .._session import Session
from ._raw import RawResponse

#: The methods of a Retry that sleep.
_SLEEPS = ("sleep", "sleep_for_retry", "_sleep_backoff")
_sleeping = attrgetter(*_SLEEPS)
_ORIGINAL = _sleeping(theirs.Retry)
_SLEEP = time.sleep


def rest(
    engine: Session, retries: theirs.Retry, response: RawResponse | None, due: float | None
) -> None:
    """Wait as long as ``retries`` says before the next attempt.

    Blocks; a deadline, an interrupt and the closing of the engine end it. What a subclass or a
    mock has in the place of urllib3's own sleep is called.

    Args:
        engine: whose session closes.
        response: that of the attempt before; None after an error.
        due: when the adapter's deadline is over, by ``time.monotonic()``.

    Raises:
        urllib3.exceptions.InvalidHeader: A Retry-After is none.
        DeadlineError, SessionClosedError: The wait was ended.
    """
    if (
        _sleeping(type(retries)) != _ORIGINAL
        or not vars(retries).keys().isdisjoint(_SLEEPS)
        or vars(theirs)["time"].sleep is not _SLEEP
    ):
        retries.sleep(response)
        return
    after = None
    if response is not None and retries.respect_retry_after_header:
        after = retries.get_retry_after(response)
    seconds = after or retries.get_backoff_time()
    if due is not None:
        # The next attempt, which has no time left, says so.
        seconds = min(seconds, due - time.monotonic())
    if seconds > 0:
        place = engine._place
        place.portal.call(place.here(pause), seconds)
