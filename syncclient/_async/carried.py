"""Errors of the user's code, carried past the engine."""

from __future__ import annotations


class CarriedError(Exception):
    """Carries what a middleware of the user's raised past aiohttp.

    That would take an OSError for one of its sockets', and we a TimeoutError for one of
    aiohttp's.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error
        super().__init__(f"a middleware raised {error!r}")
