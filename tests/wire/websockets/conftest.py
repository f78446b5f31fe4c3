"""What the tests of WebSockets start from."""

from collections.abc import Iterator

import pytest

import syncclient


@pytest.fixture
def client() -> Iterator[syncclient.Session]:
    """A session without a base URL: the peers are scripts."""
    with syncclient.Session() as session:
        yield session
