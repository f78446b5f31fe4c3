"""The event loops that clients may run on."""

from __future__ import annotations

import asyncio


def new_loop(loop: str | None) -> asyncio.AbstractEventLoop:
    """Return a new uvloop or asyncio loop.

    Raises ModuleNotFoundError where uvloop is asked for and not installed.
    """
    if loop == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()
