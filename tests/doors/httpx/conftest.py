"""Both doors, for tests that hold for both."""

import importlib
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from tests.servers.raw import RawConnection


class Door(NamedTuple):
    """A library, and our door for it."""

    library: Any
    ours: Any


def door_of(name: str) -> Door:
    library: ModuleType = pytest.importorskip(name)
    return Door(library, importlib.import_module(f"syncclient.{name}"))


@pytest.fixture(params=["httpx", "httpx2"])
def door(request: pytest.FixtureRequest) -> Door:
    """httpx with syncclient.httpx, and httpx2 with syncclient.httpx2."""
    return door_of(request.param)


def stalled_body(conn: RawConnection) -> None:
    """Answer with a part of a body."""
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello")
    conn.read_to_end()
