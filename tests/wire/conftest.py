"""What several files of this folder start from."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

import syncclient
from syncclient._async.exchange import direct_body
from syncclient._async.exchange.body_buffer import BodyBuffer
from syncclient._async.exchange.loan import Loan, lend
from tests.servers.process import AppServer


@pytest.fixture
def echo(session: syncclient.Session, app: AppServer) -> Iterator[syncclient.WebSocket]:
    """A socket whose peer sends back what it gets."""
    with session.ws_connect(f"{app.url}/echo") as socket:
        yield socket


@pytest.fixture
def loans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes were left to be received, for each loan that was made."""
    found: list[int] = []

    def watched(sock: socket.socket, left: int, buffer: BodyBuffer) -> Loan | None:
        made = lend(sock, left, buffer)
        if made is not None:
            found.append(left)
        return made

    monkeypatch.setattr(direct_body, "lend", watched)
    return found
