"""Where the time of one small GET goes: moments noted on its way, here and in the engine alone.

Each line is the median time between two moments. By itself, over and over, a step takes several
times less: in its place it comes after a change of the thread and after all the other steps, with
the processor's caches full of those. The lines for one core show what of that is the way from one
core to another.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
import timeit
from collections.abc import Mapping, Sequence
from statistics import median
from time import perf_counter_ns
from typing import Any

import aiohttp
import uvloop

import syncclient
from benchmarks.clients.base import Job
from benchmarks.gauges import Unreadable, main, read_apart
from syncclient._async.engine.lean_handler import LeanHandler
from syncclient._boundary.call import Call
from syncclient._boundary.portal import Portal
from syncclient._client.request import prepare

WARM, TIMES = 500, 5_000
ONE_CORE = "--one-core"

#: The moments of the request under way, by name.
_noted: dict[str, int] = {}


def read(url: str, quick: bool) -> Mapping[str, float]:
    if not hasattr(os, "sched_setaffinity"):
        raise Unreadable("threads cannot be kept on one core here")
    return {
        f"{who}{how}: {each['what']}": each["value"]
        for how, options in (("", []), (", all on one core", [ONE_CORE]))
        for who in CLIENTS
        for each in read_apart("steps", url, who, *options, quick=quick)
    }


def measure(who: str, url: str, quick: bool) -> Mapping[str, float]:
    """Return the microseconds of each step, in the process that has this for its one task."""
    start = aiohttp.ClientResponse.start

    async def noted_start(self: aiohttp.ClientResponse, connection: Any) -> aiohttp.ClientResponse:
        note("sent")
        response = await start(self, connection)
        note("head")
        return response

    aiohttp.ClientResponse.start = noted_start  # type: ignore[method-assign]  # for this process
    return CLIENTS[who](Job(url, 1).small, TIMES // 10 if quick else TIMES)


def _blocking(target: str, times: int) -> dict[str, float]:
    moments = ("begun", "checked", "posting", "over there", "sent", "head", "done", "back", "end")
    steps = (
        "the arguments are checked",
        "a call is made",
        "the loop thread has it",
        "the request is sent",
        "the head is here",
        "the reply is made",
        "the caller has it",
        "JSON is parsed, the response closed",
    )
    _note_before(Call, "complete", "posting")
    _note_before(Portal, "open", "checked")
    _note_before(Call, "begin", "over there")
    _note_before(LeanHandler, "__await__", "sent")
    _note_before(LeanHandler, "wake", "head")
    _note_before(Call, "_finish", "done")
    with syncclient.Session() as session:

        def get() -> None:
            note("begun")
            with session.get(target) as response:
                note("back")
                response.json()
            note("end")

        found = []
        for _ in range(WARM + times):
            get()
            found.append(dict(_noted))
        place = session._place
        alone = median(
            timeit.repeat(lambda: prepare(place, "GET", target, {}), number=times, repeat=9)
        )
        hot = {"the arguments are checked, over and over": alone / times * 1e6}
        return _between(moments, steps, found) | hot


def _awaiting(target: str, times: int) -> dict[str, float]:
    found: list[dict[str, int]] = []

    async def get(session: aiohttp.ClientSession) -> None:
        note("begun")
        async with session.get(target) as response:
            note("back")
            await response.json()
        note("end")

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(WARM + times):
                await get(session)
                found.append(dict(_noted))

    uvloop.run(run())
    steps = (
        "the request is sent",
        "the head is here",
        "the response is made",
        "JSON is parsed, the response closed",
    )
    return _between(("begun", "sent", "head", "back", "end"), steps, found)


def note(moment: str) -> None:
    _noted[moment] = perf_counter_ns()


def _note_before(owner: type, name: str, moment: str) -> None:
    method = getattr(owner, name)

    @functools.wraps(method)
    def noting(*args: Any, **kwargs: Any) -> Any:
        note(moment)
        return method(*args, **kwargs)

    setattr(owner, name, noting)


def _between(
    moments: Sequence[str], steps: Sequence[str], noted: Sequence[Mapping[str, int]]
) -> dict[str, float]:
    """Return the median microseconds from each moment to the next, and of all of it."""
    counted = noted[WARM:]
    spans = [*itertools.pairwise(moments), (moments[0], moments[-1])]
    return {
        step: median(each[after] - each[before] for each in counted) / 1_000
        for step, (before, after) in zip([*steps, "in all"], spans, strict=True)
    }


CLIENTS = {"syncclient": _blocking, "aiohttp": _awaiting}

if __name__ == "__main__":
    if ONE_CORE in sys.argv:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    asked = [who for who in CLIENTS if who in sys.argv]
    main(functools.partial(measure, asked[0]) if asked else read)
