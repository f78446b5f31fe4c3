"""The fixture ``syncclient_mock`` for pytest.

This module is not part of the package, because pytest imports plugins at every start, and users
of other plugins should not pay for the import of syncclient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from syncclient.testing import Routes


@pytest.fixture
def syncclient_mock() -> Iterator[Routes]:
    """A Routes that answers every request of syncclient in this process during the test.

    A request that matches no route fails the test, even if the code under test caught the error.
    """
    from syncclient.testing import UnmatchedRequestError, mock

    with mock() as routes:
        yield routes
    if routes.unmatched:
        asked = ", ".join(map(str, routes.unmatched))
        raise UnmatchedRequestError(f"requests that no route answered: {asked}")
