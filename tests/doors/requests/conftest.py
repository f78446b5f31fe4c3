"""Sessions of requests: its own, with our adapter mounted, and ours."""

from collections.abc import Iterator

import pytest
import requests

from tests.doors.requests.sides import Side


@pytest.fixture(params=[Side.MOUNTED, Side.OURS], ids=str)
def side(request: pytest.FixtureRequest) -> Side:
    """One of the two ways onto our engine."""
    side: Side = request.param
    return side


@pytest.fixture
def http(side: Side) -> Iterator[requests.Session]:
    """A session on our engine."""
    with side.session() as session:
        yield session
