"""A script: interrupts a thread in each of the places named, by every means there is.

Prints, for each place and means, the exception that came and how late it was: the least of some
tries, where the first came later than promised, for a busy machine can only add to it. What goes
wrong besides in any of them (the server does not see the connection end, the session does not
work afterwards, something is left in its pool) is an error of the script's.
"""

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType

import syncclient
from tests.bounds import BOUND, wait_until
from tests.places import PLACES, Place, answer, session_for
from tests.servers.raw import RawServer

#: Seconds that an exception may be late.
PROMISED = 0.2
TRIES = 20


class TooLongError(Exception):
    """Raised by a handler of SIGALRM."""


class StoppedError(BaseException):
    """Set on a thread to stop it."""


class Interrupts:
    """Signals that this process has sent to itself, and their arrivals."""

    def __init__(self) -> None:
        self.arrived = 0
        self.sent_at = 0.0

    def raises(self, error: type[BaseException]) -> Callable[[int, FrameType | None], None]:
        def handler(number: int, frame: FrameType | None) -> None:
            self.arrived += 1
            raise error

        return handler

    def send(self, number: signal.Signals, times: int) -> None:
        """Send it so often, each time once the last has arrived: else two would be one."""
        self.sent_at = time.monotonic()
        for before in range(times):
            self.wait_for(before)
            os.kill(os.getpid(), number)

    def wait_for(self, count: int) -> None:
        """Block until so many have arrived."""
        wait_until(lambda: self.arrived >= count, "the arrival of a signal")


def by_signal(
    place: Place,
    session: syncclient.Session,
    number: signal.Signals,
    error: type[BaseException],
    times: int = 1,
) -> tuple[str, float]:
    """Interrupt the main thread, which this is."""
    interrupts = Interrupts()
    signal.signal(number, interrupts.raises(error))
    main, reached = threading.get_ident(), place.reached(session) + 1

    def send() -> None:
        place.wait_until_blocked(session, {main}, reached)
        interrupts.send(number, times)

    sender = threading.Thread(target=send)
    sender.start()
    got, late = "nothing", 0.0
    try:
        try:
            place.block(session)
        except error as exc:
            late = time.monotonic() - interrupts.sent_at
            got = type(exc).__name__
        # The second may have come in the midst of the cleaning up after the first, and
        # have taken its place; or it comes here.
        interrupts.wait_for(times)
    except error:
        pass
    sender.join(BOUND)
    return got, late


def on_thread(place: Place, session: syncclient.Session) -> tuple[str, float]:
    """Set an exception on another thread."""
    got: list[tuple[str, float]] = []

    def work() -> None:
        try:
            place.block(session)
        except StoppedError as exc:
            got.append((type(exc).__name__, time.monotonic()))

    reached = place.reached(session) + 1
    thread = threading.Thread(target=work)
    thread.start()
    assert thread.ident is not None
    place.wait_until_blocked(session, {thread.ident}, reached)
    sent_at = time.monotonic()
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(StoppedError)
    )
    thread.join(BOUND)
    name, at = got[0]
    return name, at - sent_at


MEANS: dict[str, Callable[[Place, syncclient.Session], tuple[str, float]]] = {
    "once": lambda p, s: by_signal(p, s, signal.SIGINT, KeyboardInterrupt),
    "twice": lambda p, s: by_signal(p, s, signal.SIGINT, KeyboardInterrupt, times=2),
    "terminate": lambda p, s: by_signal(p, s, signal.SIGTERM, SystemExit),
    "alarm": lambda p, s: by_signal(p, s, signal.SIGALRM, TooLongError),
    "thread": on_thread,
}


def interrupt_in(name: str) -> None:
    with ExitStack() as stack:
        fine = stack.enter_context(RawServer(answer))
        place = PLACES[name](stack)
        session = stack.enter_context(session_for(place, limit_per_host=2))
        place.prepare(session, 1)
        pool = session.connector.snapshot
        held = pool().in_use
        for means, interrupt in MEANS.items():
            tries: list[tuple[str, float]] = []
            while len(tries) < TRIES and (not tries or tries[-1][1] >= PROMISED):
                tries.append(interrupt(place, session))
                place.wait_until_gone()
                wait_until(lambda: pool().in_use == held and not pool().waiting, "a free pool")
                assert session.get(fine.url).text() == "fine"
            got = "/".join(sorted({exception for exception, _ in tries}))
            late = min(seconds for _, seconds in tries)
            sys.stdout.write(f"{name} {means} {got} {late:.3f}\n")


def main(*names: str) -> None:
    # A collection in the midst of a wait may call back a WeakSet of asyncio's or threading's, and
    # Python prints an interrupt that arrives there, and loses it.
    gc.disable()
    for name in names:
        interrupt_in(name)
        gc.collect()
    left = [thread for thread in threading.enumerate() if thread.name == "syncclient-loop"]
    assert len(left) == ("OneShot" in names), left


if __name__ == "__main__":
    main(*sys.argv[1:])
