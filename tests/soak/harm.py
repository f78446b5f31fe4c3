"""The soak's own violence: exceptions raised into threads at any instruction, and forks."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import random
import sys
import threading
import time
import traceback

import syncclient
from tests.soak import traffic, ways
from tests.soak.world import HANG, Operation, World, WrongError, check


class Interrupted(BaseException):
    """What is raised into a thread. Like KeyboardInterrupt, it is no error."""

    def __init__(self) -> None:
        _raised[threading.get_ident()] = traceback.format_stack()


#: Where a thread was when it first handled its interrupt.
_raised: dict[int, list[str]] = {}


#: Threads whose interrupt came in a finaliser or a callback of the interpreter, which
#: swallow every exception.
_swallowed: set[int] = set()

#: What is interrupted. Not the forks: their children would be as well.
_VICTIMS: list[Operation] = [
    traffic.get,
    traffic.body,
    traffic.stream_broken_off,
    traffic.upload,
    # Up to 3.11, CPython gives an exception that is set on a thread at the moment when that
    # starts another one to the new thread, which dies of it, and start() waits for ever.
    *([traffic.upload_written] if sys.version_info >= (3, 12) else []),
    traffic.socket,
    traffic.churn,
    traffic.submit,
    traffic.many,
    traffic.download,
    traffic.deadline,
    ways.lean,
    ways.loan,
    ways.requests_door,
    ways.httpx_door,
    ways.cached,
]


def interrupt(world: World, rng: random.Random) -> None:
    """An operation on a thread of its own, into which an exception is raised at some moment."""
    victim = _Victim(world, rng)
    victim.thread.start()
    check(victim.running.wait(HANG), "the victim did not start")
    time.sleep(rng.random() ** 3 * 0.1)
    ident = victim.thread.ident
    assert ident is not None
    check(_interrupt(ident) == 1, "the interrupt found no thread")
    # Its operation and its wait for the interrupt have so long each.
    victim.thread.join(2.5 * HANG)
    if victim.thread.is_alive():
        faulthandler.dump_traceback(all_threads=True)
    check(not victim.thread.is_alive(), "the interrupted thread hangs in", victim.what.__name__)
    if victim.error is not None:
        raise victim.error


class _Victim:
    """Waits to be interrupted, so that exactly one interrupt comes while it is in here."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = random.Random(rng.random())
        self.what = rng.choice(_VICTIMS)
        self.thread = threading.Thread(target=self._run, name="soak-victim", daemon=True)
        self.running = threading.Event()
        self.error: BaseException | None = None

    def _run(self) -> None:
        try:
            try:
                self.running.set()
                self.what(self._world, self._rng)
            except Exception as exc:
                self.error = exc
            until = time.monotonic() + HANG
            while threading.get_ident() not in _swallowed and time.monotonic() < until:
                time.sleep(0.001)
            if time.monotonic() >= until and self.error is None:
                where = "".join(_raised.get(threading.get_ident(), ["nobody handled it"]))
                self.error = WrongError(f"{self.what.__name__} swallowed its interrupt:\n{where}")
        except Interrupted:
            pass
        _swallowed.discard(threading.get_ident())
        _raised.pop(threading.get_ident(), None)


def _interrupt(ident: int) -> int:
    """Raise an exception into the thread; return how many threads that was."""
    what = ctypes.py_object(Interrupted)
    return int(ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), what))


def tolerate_swallowed_interrupts() -> None:
    """Keep quiet of interrupts that come in a finaliser: nobody can raise those to anybody."""
    usual = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, Interrupted):
            _swallowed.add(threading.get_ident())
        else:
            usual(unraisable)

    sys.unraisablehook = hook


def fork(world: World, rng: random.Random) -> None:
    """A child that uses an inherited session, among threads that are all in the middle."""
    session, number = rng.choice([*world.sessions, world.cached]), rng.randrange(10**9)
    with world.forking:
        pid = os.fork()
        if pid == 0:
            _child(session, number)
        _, status = os.waitpid(pid, 0)
    check(os.waitstatus_to_exitcode(status) == 0, "a forked child ended with", status)


def _child(session: syncclient.Session, number: int) -> None:
    faulthandler.dump_traceback_later(HANG, exit=True)  # status 1, and it says where it hung
    status = 1
    try:
        with session.get(f"/anything/{number}") as response:
            check(response.json()["target"] == f"/anything/{number}", "in a forked child")
        if number % 2:
            session.close()
        status = 0
    except BaseException as exc:
        os.write(2, f"in a forked child: {exc!r}\n".encode())
    finally:
        os._exit(status)


#: Operation -> how often, compared to the others.
MIX: dict[Operation, int] = {interrupt: 4, **({fork: 1} if hasattr(os, "fork") else {})}
