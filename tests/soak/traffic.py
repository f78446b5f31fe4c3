"""What the workers of a soak do, one function for each kind of use, each checking every reply."""

from __future__ import annotations

import gc
import hashlib
import io
import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait
from contextlib import suppress

import syncclient
from tests.servers.content import pattern
from tests.soak.faults import EXPECTED, EXPECTED_OF_SOCKET, STALL_TIMEOUT
from tests.soak.world import HANG, Operation, World, WrongError, check

#: Makes every request one of its own, so that no reply can pass for another's.
_numbers = itertools.count()


def get(world: World, rng: random.Random) -> None:
    """A GET, or a POST with JSON, whose reply repeats what was sent."""
    number = next(_numbers)
    with world.session(rng).request(
        rng.choice(["GET", "POST", "PUT"]),
        f"/anything/{number}",
        params={"n": str(number)},
        json={"n": number},
        headers={"X-Number": str(number)},
    ) as response:
        reply = response.json()
    check(response.status == 200, response)
    check(reply["target"] == f"/anything/{number}?n={number}", reply["target"], number)
    check(reply["json"] == {"n": number}, reply["json"], number)
    check(["X-Number", str(number)] in reply["headers"], reply["headers"], number)


def body(world: World, rng: random.Random) -> None:
    """A body of some size, with its length or in chunks, plain or compressed, read whole."""
    size = rng.choice([0, 1, 1000, 70_000, 300_000])
    path = rng.choice([f"/bytes/{size}", f"/bytes/{size}?chunked=1", f"/gzip?size={size}"])
    with world.session(rng).get(path) as response:
        got = response.read() if rng.random() < 0.5 else b"".join(response.content.iter_any())
    check(got == pattern(size), path, len(got))


def stream_broken_off(world: World, rng: random.Random) -> None:
    """A long body of which the beginning is read, given up in one of five ways."""
    response = world.session(rng).get(f"/bytes/{rng.choice([400_000, 3_000_000])}")
    wanted = rng.randrange(1, 200_000)
    got = response.content.readexactly(wanted)
    check(got == pattern(wanted), "stream", wanted)
    how = rng.randrange(5)
    if how == 0:
        response.close()
    elif how == 1:
        response.release()
    elif how == 2:
        response.content.close()
    elif how == 3:
        with response:
            pass
    else:
        cycle: list[object] = [response]
        cycle.append(cycle)  # dropped with whichever thread collects it


def upload(world: World, rng: random.Random) -> None:
    """A body from bytes, a file or a generator."""
    data = pattern(rng.choice([10, 5000, 400_000]), rng.randrange(1000))
    session, how = world.session(rng), rng.randrange(3)
    if how == 0:
        response = session.post("/upload", data=data)
    elif how == 1:
        file = io.BytesIO(data)
        response = session.post("/upload", data=file)
        check(not file.closed, "the file was closed")
    else:
        response = session.post("/upload", data=_pieces(data))
    _check_upload(response, data)


def upload_written(world: World, rng: random.Random) -> None:
    """A body that another thread writes meanwhile."""
    data = pattern(rng.choice([10, 5000, 400_000]), rng.randrange(1000))
    writer = syncclient.BodyWriter()
    thread = threading.Thread(target=_write, args=(writer, data))
    try:
        thread.start()
        response = world.session(rng).post("/upload", data=writer)
    except BaseException:
        writer.abort()
        raise
    finally:
        with suppress(RuntimeError):  # an interrupt kept it from starting
            thread.join(HANG)
    _check_upload(response, data)


def _check_upload(response: syncclient.Response, data: bytes) -> None:
    with response:
        check(response.json()["sha256"] == hashlib.sha256(data).hexdigest(), "upload", len(data))


def _pieces(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 30_011):
        yield data[at : at + 30_011]


def _write(writer: syncclient.BodyWriter, data: bytes) -> None:
    with suppress(OSError, ValueError, syncclient.ClientError), writer:
        for piece in _pieces(data):
            writer.write(piece)


class _GeneratorError(Exception):
    pass


def upload_that_fails(world: World, rng: random.Random) -> None:
    """A generator that raises in the middle, and a body that the server refuses early."""
    if rng.random() < 0.5:

        def failing() -> Iterator[bytes]:
            yield bytes(1000)
            raise _GeneratorError

        try:
            world.session(rng).post("/upload", data=failing())
        except _GeneratorError:
            return
        raise WrongError("the error of the generator did not arrive")
    with world.session(rng).post("/early-413?close=1", data=_pieces(bytes(2_000_000))) as response:
        check(response.status == 413, response)


def socket(world: World, rng: random.Random) -> None:
    """A WebSocket with a burst and echoes, closed by one side or the other, or dropped."""
    burst = rng.choice([0, 3, 200])
    ws = world.session(rng).ws_connect(f"/echo?burst={burst}")
    for number in range(burst):
        got = ws.receive_str(timeout=HANG)
        check(got == str(number), "burst", got, number)
    for _ in range(rng.randrange(4)):
        data = pattern(rng.choice([1, 2000, 100_000]), rng.randrange(100))
        ws.send_bytes(data)
        check(ws.receive_bytes(timeout=HANG) == data, "echo")
    how = rng.randrange(3)
    if how == 0:
        ws.close()
    elif how == 1:
        ws.send_str("close 4000 enough")
        message = ws.receive(HANG)
        check(message.type is syncclient.WSMsgType.CLOSE, message)
        check(ws.close_code == 4000, ws.close_code)
    else:
        with suppress(TimeoutError):  # open, and silent
            raise WrongError(ws.receive(0.01))


def churn(world: World, rng: random.Random) -> None:
    """A session of one's own, closed with a stream open, or with nothing."""
    number = next(_numbers)
    with syncclient.Session(world.app) as session:
        with session.get(f"/anything/{number}") as response:
            check(response.json()["target"] == f"/anything/{number}", number)
        if rng.random() < 0.3:
            kept = session.get("/bytes/2000000")
            check(kept.content.read(10) == pattern(10), "kept")
    check(session.closed, "closed")


def close_under_calls(world: World, rng: random.Random) -> None:
    """A session closed while calls are in flight: each has its reply, or SessionClosedError."""
    session = syncclient.Session(world.app)
    futures = [session.submit("GET", f"/delay/{rng.random() * 0.1:.3f}") for _ in range(5)]
    threading.Timer(rng.random() * 0.05, session.close).start()
    for future in futures:
        try:
            check(future.result(HANG).status == 200, "submitted")
        except syncclient.SessionClosedError:
            pass
    session.close()


def submit(world: World, rng: random.Random) -> None:
    """Futures, some of them cancelled."""
    numbers = [next(_numbers) for _ in range(8)]
    session = world.session(rng)
    futures = [session.submit("GET", f"/anything/{number}") for number in numbers]
    victims = {number for number in numbers if rng.random() < 0.2}
    for number, future in zip(numbers, futures, strict=True):
        if number in victims:
            future.cancel()
    wait(futures, HANG)
    for number, future in zip(numbers, futures, strict=True):
        try:
            target = future.result(HANG).json()["target"]
        except CancelledError:
            check(number in victims, "cancelled", number)
        else:
            check(target == f"/anything/{number}", target, number)


def many(world: World, rng: random.Random) -> None:
    """map() over some URLs, to the end or broken off."""
    numbers = [next(_numbers) for _ in range(20)]
    urls = [f"/anything/{number}" for number in numbers]
    stop = rng.choice([1, 5, 20])
    with world.session(rng).map(urls, concurrency=rng.choice([1, 4, 50])) as responses:
        for number, response in itertools.islice(zip(numbers, responses, strict=False), stop):
            check(response.json()["target"] == f"/anything/{number}", "map", number)


def events(world: World, rng: random.Random) -> None:
    """Server-sent events over connections that the server cuts off, each exactly once."""
    count = rng.choice([1, 6])
    drop = rng.choice([1, 2, 10])
    with world.session(rng).sse(f"/sse?n={count}&drop_after={drop}") as source:
        ids = [event.id for event in itertools.islice(source, count)]
    check(ids == [str(number) for number in range(count)], "events", ids)


def download(world: World, rng: random.Random) -> None:
    """A file over connections that the server cuts off."""
    number, size = next(_numbers), rng.choice([1000, 300_000])
    path = world.folder / f"{number}.bin"
    digest = f"sha256:{hashlib.sha256(pattern(size)).hexdigest()}"
    try:
        world.session(rng).download(
            f"/range/{size}?drop_after={rng.choice([size, size * 2 // 3])}", path, digest=digest
        )
        check(path.read_bytes() == pattern(size), "download", size)
    finally:
        # Not by glob(), which keeps a compiled pattern for each of them.
        for name in (path.name, f"{path.name}.part", f"{path.name}.part.json"):
            (world.folder / name).unlink(missing_ok=True)


def deadline(world: World, rng: random.Random) -> None:
    """A deadline over a block, met in the head or in the body."""
    path = rng.choice(["/delay/20", "/drip?numbytes=100&duration=20"])
    try:
        with syncclient.timeout(0.02 + rng.random() * 0.1), world.session(rng).get(path) as slow:
            slow.read()
    except syncclient.DeadlineError:
        return
    raise WrongError("the deadline passed unnoticed")


def fault(world: World, rng: random.Random) -> None:
    """What the other server does wrong, and the error that this must be, or the right reply.

    Asked by a GET, or by a POST whose body some faults leave unread, wholly or in part.
    """
    name, expected = rng.choice(list(EXPECTED.items()))
    seconds = STALL_TIMEOUT if name.startswith("stall") else HANG
    url, session = f"{world.faults}/{name}", world.session(rng)
    data = pattern(rng.choice([10, 5000, 400_000]))
    how = rng.randrange(4)
    try:
        if how < 2:
            response = session.get(url, timeout=seconds)
        else:
            posted = data if how == 2 else _pieces(data)
            response = session.post(url, data=posted, timeout=seconds)
        with response:
            got = response.read()
    except syncclient.ClientError as exc:
        if isinstance(expected, bytes) or not isinstance(exc, expected):
            raise
    else:
        check(got == expected, name, got)


def fault_in_socket(world: World, rng: random.Random) -> None:
    """A WebSocket that is reset in the middle of a message: what came before it, and its end."""
    ws = world.session(rng).ws_connect(f"{world.faults}/half_a_frame")
    check(ws.receive_str(timeout=HANG) == "fine", "the message before the fault")
    ws.send_str("and the rest?")
    message = ws.receive(HANG)
    got = (message.type, ws.close_code)
    check(got == EXPECTED_OF_SOCKET, "after half a frame", got, message)
    check(ws.closed, "open after half a frame and a reset")


def collect(world: World, rng: random.Random) -> None:
    """The collector, in a thread that has nothing to do with what it finds."""
    gc.collect(rng.randrange(3))


#: Operation -> how often, compared to the others.
MIX: dict[Operation, int] = {
    get: 30,
    body: 10,
    stream_broken_off: 6,
    upload: 5,
    upload_written: 2,
    upload_that_fails: 2,
    socket: 5,
    churn: 4,
    close_under_calls: 2,
    submit: 4,
    many: 3,
    events: 2,
    download: 3,
    deadline: 3,
    fault: 10,
    fault_in_socket: 2,
    collect: 1,
}
