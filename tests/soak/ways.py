"""More of what the workers do: the lean way, loans, the doors, the cache, and hostile servers."""

from __future__ import annotations

import hashlib
import io
import itertools
import random
import shutil

import syncclient
from tests.servers.content import pattern
from tests.soak.hostile import MAX_BODY
from tests.soak.world import HANG, Operation, World, WrongError, check

#: Makes every request one of its own, so that no reply can pass for another's.
_numbers = itertools.count()


def lean(world: World, rng: random.Random) -> None:
    """Requests without a body, or with bytes: the way past the engine's session."""
    number = next(_numbers)
    session = world.session(rng)
    if rng.random() < 0.7:
        with session.get(f"/anything/{number}") as response:
            check(response.json()["target"] == f"/anything/{number}", "lean", number)
        return
    data = pattern(rng.choice([1, 1000, 60_000]), number)
    with session.post("/upload", data=data) as response:
        check(response.json()["sha256"] == hashlib.sha256(data).hexdigest(), "lean", number)


def loan(world: World, rng: random.Random) -> None:
    """A long body that the reader receives from the socket by itself, to its end or not."""
    size = rng.choice([300_000, 1_500_000])
    with world.session(rng).get(f"/bytes/{size}") as response:
        if rng.random() < 0.3:
            wanted = rng.randrange(1, size)
            check(response.content.readexactly(wanted) == pattern(wanted), "loan", wanted)
            return
        sink = io.BytesIO()
        shutil.copyfileobj(response.content, sink, rng.choice([2**13, 2**16, 2**18]))
    check(sink.getvalue() == pattern(size), "loan", size)


def requests_door(world: World, rng: random.Random) -> None:
    """Code on requests, through its door."""
    number = next(_numbers)
    with world.by_requests.get(
        f"{world.app}/anything/{number}", params={"n": number}, timeout=HANG
    ) as response:
        check(response.json()["target"] == f"/anything/{number}?n={number}", "requests", number)


def httpx_door(world: World, rng: random.Random) -> None:
    """Code on httpx, through its door: read whole, or streamed and dropped."""
    number = next(_numbers)
    if rng.random() < 0.7:
        reply = world.by_httpx.post(f"{world.app}/anything/{number}", json={"n": number})
        check(reply.json()["json"] == {"n": number}, "httpx", number)
        return
    with world.by_httpx.stream("GET", f"{world.app}/bytes/500000") as reply:
        got = next(reply.iter_bytes())
    check(got == pattern(len(got)), "httpx", len(got))


def cached(world: World, rng: random.Random) -> None:
    """A response from the server, from the cache, or validated: the same body every time."""
    number = rng.randrange(100)
    url = f"{world.faults}/fresh/{number}"
    if rng.random() < 0.02:
        world.cached.post(url).read()  # makes what is stored wrong
        return
    with world.cached.get(url) as response:
        if rng.random() < 0.05:
            return  # unread, so not stored
        check(response.read() == pattern(500 * number, number), "cached", number)


def hostile(world: World, rng: random.Random) -> None:
    """A server that means harm: its own request fails, or nothing does."""
    what = rng.choice(["interim", "long_head", "bomb", "loop", "cookies"])
    url, session = f"{world.faults}/{what}/{rng.randrange(1000)}", world.session(rng)
    try:
        with session.get(url, max_body=MAX_BODY, timeout=HANG) as response:
            got = response.read()
    except syncclient.ClientPayloadError as exc:
        check(what == "bomb" and "max_body" in str(exc), what, exc)
    except syncclient.TooManyRedirects as exc:
        check(what == "loop", what, exc)
    except (syncclient.ClientResponseError, syncclient.ClientConnectionError) as exc:
        check(what in ("interim", "long_head"), what, exc)
    else:
        if what != "cookies" or got != b"fine":
            raise WrongError(f"{what} went by")


#: Operation -> how often, compared to the others.
MIX: dict[Operation, int] = {
    lean: 30,
    loan: 5,
    requests_door: 5,
    httpx_door: 5,
    cached: 10,
    hostile: 3,
}
