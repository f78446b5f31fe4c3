"""Bodies that are at hand are sent together with the head."""

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncclient import Session
from tests.servers.raw import RawConnection, StartRawServer

TIMES = 20


def file(path: Path) -> Any:
    path.write_bytes(b"x")
    return path.open("rb")


def text_file(path: Path) -> Any:
    path.write_text("x")
    return path.open(encoding="utf-8")


BODIES: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda path: b"x",
    "bytearray": lambda path: bytearray(b"x"),
    "BytesIO": lambda path: io.BytesIO(b"x"),
    "StringIO": lambda path: io.StringIO("x"),
    "file": file,
    "text file": text_file,
}


def answer_heads(conn: RawConnection) -> None:
    """Answer each request before looking at its body."""
    while True:
        request = conn.read_head()
        conn.respond(b"")
        conn.read_body(request)


@pytest.mark.parametrize("how", ["session", "aio"])
@pytest.mark.parametrize("kind", BODIES)
def test_a_connection_is_kept_though_the_body_is_not_read(
    raw_server: StartRawServer, tmp_path: Path, kind: str, how: str
) -> None:
    """A server may answer before it reads a small body: that is sent by then, so that the
    connection serves the next request. aiohttp keeps it, too."""
    connections: list[RawConnection] = []

    def script(conn: RawConnection) -> None:
        connections.append(conn)
        answer_heads(conn)

    url = raw_server(script).url
    bodies = [BODIES[kind](tmp_path / str(number)) for number in range(TIMES)]

    async def twin() -> None:
        for body in bodies:
            async with session.aio.post(url, data=body) as response:
                await response.read()

    with Session() as session:
        if how == "aio":
            asyncio.run(twin())
        else:
            for body in bodies:
                session.post(url, data=body).read()
    for body in bodies:
        if hasattr(body, "close"):
            body.close()
    assert len(connections) == 1
