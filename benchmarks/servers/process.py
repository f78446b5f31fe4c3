"""The frame of a server process: say where it listens, serve until stdin ends."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress

if sys.platform == "win32":
    UVLOOP = False
else:
    try:
        import uvloop
    except ModuleNotFoundError:
        UVLOOP = False
    else:
        UVLOOP = True


def run(main: Coroutine[None, None, None]) -> None:
    """Run a server's main coroutine on uvloop where it is installed, else on asyncio's own loop."""
    loop = (
        asyncio.new_event_loop()
        if sys.platform == "win32" or not UVLOOP
        else uvloop.new_event_loop()
    )
    # Windows sends Ctrl-C to every process of the console; the parent tells the user.
    with suppress(KeyboardInterrupt):
        loop.run_until_complete(main)


async def serve_until_stdin_ends(software: str, port: int) -> None:
    """Print one line of JSON that names the server and its port, then wait for the parent's end."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    # A thread rather than a pipe transport: it works on every platform's loop.
    def watch() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, daemon=True).start()
    print(
        json.dumps(
            {"software": f"{software} on {'uvloop' if UVLOOP else 'asyncio'}", "port": port}
        ),
        flush=True,
    )
    await ended.wait()
