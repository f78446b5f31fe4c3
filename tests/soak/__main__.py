"""Soak: mixed traffic with faults at many threads, and then nothing may be left.

Every reply is checked against what was asked for; an error that the injected fault does
not explain fails the run, as does anything that stays open or pending, or grows. Prints
a line for each reading, and the seed. The exit status is 0, or 1 with the complaints.
"""

import argparse
import os
import random
import sys
import tempfile
import threading
import time
import traceback
import warnings
from pathlib import Path

import syncclient
from syncclient.requests._engines import close_engines
from tests.servers.process import app_server
from tests.soak import gauge, harm, traffic, ways
from tests.soak.faults import fault_server
from tests.soak.world import HANG, Operation, Tally, World

#: How many sessions stay open throughout.
_SESSIONS = 4
#: Seconds that threads of the traffic's own have to end after the last of it.
_LAST_THREADS = 5.0
#: What may be resident after closing, by the most that was before: closing takes some, too.
_NOISE = 1.05
#: How many complaints are shown in full.
_SHOWN = 10


class Crew:
    """The worker threads. They pause together, so that there are moments when nothing is on."""

    def __init__(self, world: World, threads: int, seed: int) -> None:
        self.world = world
        self._mix: dict[Operation, int] = {**traffic.MIX, **ways.MIX, **harm.MIX}
        self._pause = threading.Event()
        self._go_on = threading.Barrier(threads + 1)
        self._all_paused = threading.Barrier(threads + 1)
        self._over = False
        self.done = Tally()
        self.failures: list[str] = []
        self._busy: dict[int, tuple[str, float]] = {}
        self._threads = [
            threading.Thread(target=self._work, args=(seed, n), name=f"soak-{n}", daemon=True)
            for n in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def pause(self) -> None:
        """Block until every worker has ended its operation. BrokenBarrierError if one hangs."""
        self._pause.set()
        self._all_paused.wait(3 * HANG)

    def go_on(self) -> None:
        """Let them work."""
        self._pause.clear()
        self._go_on.wait(HANG)

    def end(self) -> None:
        """Have the paused workers leave, and wait for them."""
        self._over = True
        self.go_on()
        for thread in self._threads:
            thread.join(HANG)

    def hanging(self) -> list[str]:
        """Return what has been under way for longer than anything may."""
        now = time.monotonic()
        return [f"{name} for {now - since:.0f} s" for name, since in list(self._busy.values())]

    def _work(self, seed: int, number: int) -> None:
        rng = random.Random(f"{seed}-{number}")
        operations, weights = list(self._mix), list(self._mix.values())
        while not self._over:
            if self._pause.is_set():
                self._all_paused.wait(3 * HANG)
                self._go_on.wait(3 * HANG)
                continue
            [operation] = rng.choices(operations, weights)
            self._busy[number] = operation.__name__, time.monotonic()
            try:
                operation(self.world, rng)
            except BaseException:
                self.failures.append(f"{operation.__name__}:\n{traceback.format_exc()}")
            del self._busy[number]
            self.done.add(operation.__name__)


def soak(minutes: float, threads: int, seed: int, every: float) -> list[str]:
    """Soak, and return the complaints."""
    with (
        tempfile.TemporaryDirectory() as folder,
        app_server() as app,
        fault_server() as faults,
    ):
        threads_before = set(threading.enumerate())
        with syncclient.Session(app.url) as first:
            first.get("/get").read()  # libuv keeps a pipe from the first loop of a process
        before = gauge.read(time.monotonic(), 0)
        world = World(app.url, faults.url, Path(folder))
        for number in range(_SESSIONS):
            connector = syncclient.TCPConnector(limit=[100, 8][number % 2])
            world.sessions.append(syncclient.Session(app.url, connector=connector))
            world.sessions[-1].get("/get").read()
        for url in (world.cached.get("/get"), world.by_httpx.get(f"{app.url}/get")):
            url.read()
        crew = Crew(world, threads, seed)
        readings, complaints = _run(crew, minutes * 60, every)
        world.close()
        after = gauge.read(before.at, 0)
        _say(f"closed: {after}")
        if after.pending:
            complaints.append(f"after the end there is pending: {after.pending}")
        if left := {t.name for t in threading.enumerate() if t.name.startswith("syncclient")}:
            complaints.append(f"threads that outlived their sessions: {left}")
        if others := _outlasting(threads_before):
            complaints.append(f"threads that go on: {others}")
        most = max((reading.rss for reading in readings), default=after.rss)
        if after.rss > most * _NOISE:
            complaints.append(f"closed: {after.rss:.1f} MB; before: {most:.1f} at most")
        if left_open := after.descriptors - before.descriptors:
            complaints.append(f"{left_open} descriptors left open: {gauge.descriptors()}")
    for name, count in crew.done.snapshot().most_common():
        _say(f"{count:8} {name}")
    return complaints + gauge.grown(readings)


def _outlasting(before: set[threading.Thread]) -> list[str]:
    """Return the threads that are new and have not ended within a few seconds."""
    until = time.monotonic() + _LAST_THREADS
    new = [thread for thread in threading.enumerate() if thread not in before]
    for thread in new:  # timers and the like, which end by themselves
        thread.join(max(0.0, until - time.monotonic()))
    return [thread.name for thread in new if thread.is_alive()]


def _run(crew: Crew, seconds: float, every: float) -> tuple[list[gauge.Reading], list[str]]:
    started = time.monotonic()
    readings: list[gauge.Reading] = []
    crew.start()
    while not crew.failures and time.monotonic() < started + seconds:
        until = min(started + seconds, time.monotonic() + every)
        while time.monotonic() < until and not crew.failures:
            time.sleep(0.1)
        try:
            crew.pause()
        except threading.BrokenBarrierError:
            return readings, [*crew.failures[:_SHOWN], f"hanging: {crew.hanging()}"]
        close_engines()  # of the door of requests: opened anew by who needs them
        readings.append(gauge.read(started, crew.world.leases))
        _say(f"{readings[-1].at:7.1f} s  {crew.done.snapshot().total():8} done  {readings[-1]}")
        if time.monotonic() < started + seconds and not crew.failures:
            crew.go_on()
    crew.end()
    return readings, crew.failures[:_SHOWN]


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # what it is for


def main() -> int:
    """Read the command line, soak, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (1)")
    parser.add_argument("--threads", type=int, default=64, help="how many workers (64)")
    parser.add_argument("--seed", type=int, help="of what the workers do; by default a new one")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between readings (5)")
    options = parser.parse_args()
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    _say(f"seed {seed}, {options.threads} threads, {options.minutes:g} minutes")
    warnings.simplefilter("ignore")  # what is dropped unclosed, and forks among threads: on purpose
    harm.tolerate_swallowed_interrupts()
    complaints = soak(options.minutes, options.threads, seed, options.every)
    for complaint in complaints:
        _say(f"WRONG: {complaint}")
    _say(f"{'failed' if complaints else 'nothing grew, and every reply was right'}; seed {seed}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
