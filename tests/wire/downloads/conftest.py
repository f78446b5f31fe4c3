"""What the tests of downloads start from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncclient import Session
from syncclient._async import download as core


@pytest.fixture
def session() -> Iterator[Session]:
    """A session without a base URL: the servers are scripts."""
    with Session() as session:
        yield session


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_DELAY", 0.001)


def names(folder: Path) -> list[str]:
    """The names in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())
