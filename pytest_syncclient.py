"""The fixture ``syncclient_mock`` for pytest.

A module beside the package, and not in it: pytest imports plugins at every start, and who
does not use this one must not pay for the import of syncclient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from syncclient.testing import Routes


@pytest.fixture
def syncclient_mock() -> Iterator[Routes]:
    """A Routes that answers every request of syncclient's in this process during the test.

    A request without a route fails the test, even where the code under test caught the error.
    """
    from syncclient.testing import UnmatchedRequestError, mock

    with mock() as routes:
        yield routes
    if routes.unmatched:
        asked = ", ".join(map(str, routes.unmatched))
        raise UnmatchedRequestError(f"requests that no route answered: {asked}")
