"""expect100=True: the body waits for 100 Continue, but not for ever, and not after an answer."""

import asyncio
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncclient import Session
from syncclient._async import client_response
from tests.servers.raw import RawConnection, StartRawServer

BODIES: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda folder: b"hello",
    "text": lambda folder: "hello",
    "file": lambda folder: io.BytesIO(b"hello"),
    "generator": lambda folder: (piece for piece in (b"hel", b"lo")),
}


def body_of(kind: str, tmp_path: Path) -> Any:
    return BODIES[kind](tmp_path)


@pytest.mark.parametrize("kind", BODIES)
def test_the_body_is_sent_without_a_word(
    raw_server: StartRawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A server that does not know of Expect gets the body after a second (RFC 9110, 10.1.1)."""
    assert client_response.CONTINUE_AFTER == 1.0
    monkeypatch.setattr(client_response, "CONTINUE_AFTER", 0.3)

    def script(conn: RawConnection) -> None:
        request = conn.read_head()
        assert request.header("Expect") == "100-continue"
        conn.read_body(request)
        conn.respond(request.body)
        conn.read_request()
        conn.respond(b"again")

    wire = raw_server(script)
    with Session(timeout=20) as session:
        began = time.monotonic()
        assert session.post(wire.url, data=body_of(kind, tmp_path), expect100=True).text() == (
            "hello"
        )
        assert time.monotonic() - began >= 0.3
        assert session.get(wire.url).text() == "again"
    assert len(wire.connections) == 1


@pytest.mark.parametrize("kind", BODIES)
def test_the_body_is_sent_at_the_word(
    raw_server: StartRawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """With 100 Continue it goes out at once, and the connection serves the next request."""
    monkeypatch.setattr(client_response, "CONTINUE_AFTER", 100.0)

    def script(conn: RawConnection) -> None:
        for _ in range(2):
            request = conn.read_head()
            conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            conn.read_body(request)
            conn.respond(request.body)

    wire = raw_server(script)
    with Session(timeout=20) as session:
        for _ in range(2):
            response = session.post(wire.url, data=body_of(kind, tmp_path), expect100=True)
            assert response.text() == "hello"
    assert len(wire.connections) == 1


@pytest.mark.parametrize("how", ["post", "submit", "map", "aio"])
@pytest.mark.parametrize("status", ["200 OK", "401 Unauthorized", "413 Too Large", "417 No"])
@pytest.mark.parametrize("kind", BODIES)
def test_an_early_answer_is_the_answer(
    raw_server: StartRawServer, tmp_path: Path, kind: str, status: str, how: str
) -> None:
    """An answer in place of 100 Continue ends the request: its body stays here, and what comes
    next goes over another connection, since the server may still wait for it."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.respond(b"enough", status=status)
        assert conn.read_to_end() == b""

    wire = raw_server(script)
    with Session(timeout=20) as session:
        for _ in range(2):
            options: dict[str, Any] = {"data": body_of(kind, tmp_path), "expect100": True}
            if how == "post":
                response = session.post(wire.url, **options)
            elif how == "submit":
                response = session.submit("POST", wire.url, **options).result(10)
            elif how == "map":
                if kind in ("file", "generator"):
                    return  # of which map takes none
                (response,) = session.map([wire.url], method="POST", **options)
            else:
                assert asyncio.run(_aio(session, wire.url, options)) == "enough"
                continue
            assert response.text() == "enough"
            assert response.status == int(status[:3])
    assert len(wire.connections) == 2


async def _aio(session: Session, url: str, options: dict[str, Any]) -> str:
    async with session.aio.post(url, **options) as response:
        return await response.text()


def test_a_long_early_answer_is_read_to_its_end(raw_server: StartRawServer) -> None:
    """Also one that is longer than what is held ahead of its reader."""

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.respond(b"x" * 3_000_000, status="403 Forbidden")

    wire = raw_server(script)
    with Session(timeout=20) as session:
        response = session.post(wire.url, data=b"hello", expect100=True)
        assert len(response.read()) == 3_000_000


def test_an_early_redirect_is_followed_with_the_body(raw_server: StartRawServer) -> None:
    """A 307 in place of 100 Continue sends the body where it leads, after asking there."""

    def script(conn: RawConnection) -> None:
        request = conn.read_head()
        if request.target == "/":
            conn.respond(status="307 Go", headers=[("Location", "/there")])
            return
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.respond(conn.read_body(request))

    wire = raw_server(script)
    with Session(timeout=20) as session:
        assert session.post(wire.url, data=b"hello", expect100=True).text() == "hello"


def test_nothing_is_expected_without_a_body(raw_server: StartRawServer) -> None:
    """A request without a body does not wait, and does not ask (RFC 9110, 10.1.1)."""

    def script(conn: RawConnection) -> None:
        assert conn.read_request().header("Expect") == ""
        conn.respond(b"ok")

    wire = raw_server(script)
    with Session(timeout=20) as session:
        assert session.get(wire.url, expect100=True).text() == "ok"


def test_a_silent_server_still_times_out(raw_server: StartRawServer) -> None:
    """The timeouts hold, whatever the body waits for."""

    def script(conn: RawConnection) -> None:
        assert conn.read_to_end()

    wire = raw_server(script)
    with Session() as session:
        for seconds in (0.2, 1.5):
            with pytest.raises(TimeoutError):
                session.post(wire.url, data=b"hello", expect100=True, timeout=seconds)


def test_a_body_that_is_not_sent_is_not_read(raw_server: StartRawServer) -> None:
    """A generator is not begun before the server wants it."""
    read: list[str] = []

    def pieces() -> Iterator[bytes]:
        read.append("the body")
        yield b"hello"

    def script(conn: RawConnection) -> None:
        conn.read_head()
        conn.respond(b"enough", status="401 Unauthorized")

    wire = raw_server(script)
    with Session(timeout=20) as session:
        with session.post(wire.url, data=pieces(), expect100=True) as response:
            assert response.status == 401
    assert read == []
