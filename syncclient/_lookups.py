"""Keeps uvloop from look-ups on threads of its own, without which a forked child cannot end.

libuv looks names up on threads that its destructor joins. In a forked child they are not
there, and the join is a segmentation fault: of it died each child that ended with
``sys.exit`` and had made no request, such as a server's worker that nobody asked anything.
And uvloop wants such a look-up for every TCP connection, although all it has is a number.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


def look_up_on_workers(loop: asyncio.AbstractEventLoop) -> None:
    """Have a uvloop ``loop`` look names up as asyncio's own does: on its executor."""
    uvloop = sys.modules.get("uvloop")
    if uvloop is None or not isinstance(loop, uvloop.Loop):
        return

    async def getaddrinfo(
        host: str | bytes | None,
        port: str | bytes | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[Any, ...]]:
        try:
            # Does not block: nobody is asked.
            return socket.getaddrinfo(host, port, family, type, proto, flags | _NUMERIC)
        except OSError:
            looking: asyncio.Future[list[tuple[Any, ...]]] = loop.run_in_executor(
                None, socket.getaddrinfo, host, port, family, type, proto, flags
            )
            return await looking

    # Not in a subclass: the loop may come from a factory of the user's.
    setattr(loop, "getaddrinfo", getaddrinfo)  # noqa: B010 - mypy refuses to assign to a method
