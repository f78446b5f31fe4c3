"""Give the sessions that any library makes the engine: one name of requests is replaced."""

from __future__ import annotations

from types import TracebackType

from requests import adapters as _theirs
from requests import sessions

from .adapters import HTTPAdapter


class Installed:
    """What ``install`` returns: a context manager that uninstalls at its end."""

    def __enter__(self) -> Installed:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        uninstall()


def install() -> Installed:
    """Let every ``requests.Session`` that is made from now on send through the engine.

    By any library, and by ``requests.get``: ``requests.sessions.HTTPAdapter`` is replaced, and
    nothing else. Sessions that there are keep their adapters. May be called again. Used in a
    ``with`` statement, it lasts until the end of the block.

    Raises:
        RuntimeError: Something else has replaced that name.
    """
    if sessions.HTTPAdapter not in (_theirs.HTTPAdapter, HTTPAdapter):
        raise RuntimeError(
            f"requests.sessions.HTTPAdapter is {sessions.HTTPAdapter!r}, and not requests' own: "
            "undo that first, or mount syncclient.requests.adapters.HTTPAdapter on the session"
        )
    sessions.HTTPAdapter = HTTPAdapter
    return Installed()


def uninstall() -> None:
    """Give new sessions requests' own adapter again. May be called again."""
    if sessions.HTTPAdapter is HTTPAdapter:
        sessions.HTTPAdapter = _theirs.HTTPAdapter
