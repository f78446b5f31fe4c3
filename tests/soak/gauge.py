"""What a process holds: memory, descriptors, threads, and what is pending in the boundary."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from syncclient._boundary.lease import Lease
from syncclient._boundary.loop_thread import default_loop_thread

_PAGE = os.sysconf("SC_PAGE_SIZE")
_FD = Path("/proc/self/fd")
_LIBC = ctypes.CDLL(None)

#: Megabytes by which the resident memory may differ between two windows: arenas that
#: are not full, caches of the interpreter and the like. A leak of one small object in a
#: thousand operations comes to more than this in ten minutes.
RSS_NOISE = 12.0
#: Blocks by which that may differ: ten times what a pause sees.
BLOCK_NOISE = 15_000
#: Descriptors that idle connections of the shared sessions account for differ from
#: one look to the next; so do workers that have not left yet.
FD_NOISE = 40
#: Seconds that what is under way when the workers pause has to come to its end.
SETTLE_LIMIT = 10.0

#: Classes of whose objects none may be left when nothing is under way.
_OF_CALLS = frozenset(
    {"AsyncWebSocket", "Call", "CallFuture", "ClientResponse", "Exchange", "Job", "SubmittedCall"}
)


@dataclass(frozen=True)
class Reading:
    """One look at the process while no operation is under way."""

    at: float
    rss: float  # megabytes
    #: Megabytes that malloc has handed out, and that its arenas hold as free; None without glibc.
    malloc: tuple[float, float] | None
    #: Blocks of memory in the interpreter's hands: what leaks in Python, without malloc's noise.
    blocks: int
    descriptors: int
    threads: int
    #: What should be nothing at all, by name.
    pending: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return (
            f"{self.rss:.1f} MB{self._of_malloc()}, {self.blocks} blocks, "
            f"{self.descriptors} descriptors, {self.threads} threads, "
            f"pending {self.pending or 'nothing'}"
        )

    def _of_malloc(self) -> str:
        if self.malloc is None:
            return ""
        return " (malloc: {:.1f} in use, {:.1f} free)".format(*self.malloc)


def read(started: float, leases: int) -> Reading:
    """Look, once everything has come to its end, or SETTLE_LIMIT is over. Blocks.

    Args:
        started: the moment of ``time.monotonic()`` from which ``at`` counts.
        leases: how many leases on the loop thread there may be.
    """
    until = time.monotonic() + SETTLE_LIMIT
    while True:
        gc.collect()
        pending = _pending(leases)
        if not pending or time.monotonic() > until:
            break
        time.sleep(0.05)
    return Reading(
        time.monotonic() - started,
        _rss(),
        _malloc(),
        sys.getallocatedblocks(),
        len(descriptors()),
        threading.active_count(),
        pending,
    )


def descriptors() -> list[str]:
    """Return what the descriptors of this process lead to."""
    found = []
    for entry in _FD.iterdir():
        with suppress(OSError):  # the listing's own
            found.append(os.readlink(entry))
    return found


def _rss() -> float:
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)  # what the arenas of hundreds of threads that are gone hold as free
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 2**20


class _Mallinfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc, of all arenas together."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def _malloc() -> tuple[float, float] | None:
    if not hasattr(_LIBC, "mallinfo2"):
        return None
    _LIBC.mallinfo2.restype = _Mallinfo
    info = _LIBC.mallinfo2()
    return (info.uordblks + info.hblkhd) / 2**20, info.fordblks / 2**20


def _pending(leases: int) -> dict[str, int]:
    counts: Counter[str] = Counter()
    run = default_loop_thread._run
    if run is not None and run.usable():
        counts["posted"] = len(run.posted)
        tenants = list(run.tenants)
        counts["leases"] = len(tenants) - leases
        counts["calls"] = sum(len(t._calls) for t in tenants if isinstance(t, Lease))
        counts["tasks"] = len(asyncio.all_tasks(run.loop))
    for thing in gc.get_objects():
        name = type(thing).__name__
        if name in _OF_CALLS:
            counts[name] += 1
    return {name: count for name, count in counts.items() if count}


def grown(readings: Sequence[Reading]) -> list[str]:
    """Return what has grown from the first window to the last, beyond noise; nothing is good.

    The first third is warm-up and counts for nothing. Of the windows, which are the second
    third and the last, the medians are compared: one reading decides nothing.
    """
    third = len(readings) // 3
    complaints = [
        f"after {r.at:.0f} s there is pending: {r.pending}" for r in readings if r.pending
    ]
    if third < 1:
        return complaints
    early, late = readings[third : 2 * third], readings[-third:]
    for name, noise in (
        ("rss", RSS_NOISE),
        ("blocks", BLOCK_NOISE),
        ("descriptors", FD_NOISE),
        ("threads", 20),
    ):
        before = statistics.median(getattr(r, name) for r in early)
        after = statistics.median(getattr(r, name) for r in late)
        if after - before > noise:
            complaints.append(f"{name} has grown from {before:.1f} to {after:.1f}")
    return complaints
