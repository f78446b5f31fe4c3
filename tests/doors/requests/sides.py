"""The sessions that are compared, and what an exchange through one of them comes to."""

import enum
from collections.abc import Callable
from typing import Any

import requests

from syncclient import requests as ours
from syncclient.requests.adapters import HTTPAdapter


class Side(enum.Enum):
    """Whose session it is, on whose engine."""

    THEIRS = "requests"
    MOUNTED = "requests with our adapter"
    OURS = "our requests"

    def __str__(self) -> str:
        return self.value

    def session(self, **options: Any) -> requests.Session:
        """A session of this side; the options are the adapter's."""
        session = ours.Session() if self is Side.OURS else requests.Session()
        adapter = requests.adapters.HTTPAdapter if self is Side.THEIRS else HTTPAdapter
        if options or self is Side.MOUNTED:
            session.mount("http://", adapter(**options))
            session.mount("https://", adapter(**options))
        session.trust_env = False
        return session


def fault_of(act: Callable[[], object]) -> BaseException:
    """What `act` raises."""
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def chain_of(error: BaseException | None) -> list[tuple[str, ...]]:
    """The classes of an error, of what it holds, and of its causes, down to the socket's."""
    chain = []
    while error is not None:
        held = [type(arg).__name__ for arg in error.args if isinstance(arg, BaseException)]
        chain.append((type(error).__qualname__, *held))
        reason = getattr(error, "reason", None)
        inner = [arg for arg in error.args if isinstance(arg, BaseException)]
        error = reason if isinstance(reason, BaseException) else inner[0] if inner else None
    return chain
