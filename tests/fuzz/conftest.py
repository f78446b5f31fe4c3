"""Fixtures of the fuzz tests: a server that says what it is told, and a session."""

from collections.abc import Iterator

import pytest

import syncclient
from tests.fuzz.peer import Peer


@pytest.fixture
def peer() -> Iterator[Peer]:
    """The server: set `peer.answer`, then send it a request."""
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def session() -> Iterator[syncclient.Session]:
    """A session with limits that end an example whose answer never would."""
    with syncclient.Session(timeout=5, max_body=2**24) as session:
        yield session
