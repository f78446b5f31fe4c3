"""What a new event loop is made to do otherwise, before it runs."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from typing import Any

_logger = logging.getLogger("syncclient")

#: Look-ups that run at once; a stuck one counts until it is answered.
_AT_ONCE = 32

#: The coroutine of aiohttp's that is a task, and writes the body of a request.
_WRITES_BODY = "ClientRequest.write_bytes"

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


def look_up_on_workers(loop: asyncio.AbstractEventLoop) -> None:
    """Make a uvloop ``loop`` look names up on its executor, as asyncio's own loop does.

    libuv looks names up on threads of its own, and its destructor joins them. In a forked child
    they do not exist, and the join is a segmentation fault: it killed every child that ended
    with ``sys.exit`` without a request, such as a server's worker that got nothing to do. And
    uvloop asks for such a look-up for every TCP connection, although the address is a number.
    """
    uvloop = sys.modules.get("uvloop")
    if uvloop is None or not isinstance(loop, uvloop.Loop):
        return

    slots = asyncio.Semaphore(_AT_ONCE)

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
            # Does not block: a number needs no look-up.
            return socket.getaddrinfo(host, port, family, type, proto, flags | _NUMERIC)
        except OSError:
            await slots.acquire()
            looking: asyncio.Future[list[tuple[Any, ...]]] = loop.run_in_executor(
                None, socket.getaddrinfo, host, port, family, type, proto, flags
            )
            looking.add_done_callback(lambda _: slots.release())
            return await asyncio.shield(looking)

    # Not in a subclass: the loop may come from a factory of the user's.
    setattr(loop, "getaddrinfo", getaddrinfo)  # noqa: B010 - mypy refuses to assign to a method


def ignore_ended_calls(loop: asyncio.AbstractEventLoop) -> None:
    """Keep ``loop`` from reporting errors of connections whose call has ended. On its thread.

    A call that is cancelled, by its timeout or the closing of its session, leaves its connection
    in whatever phase that is. The loop then reports something that is no fault:

    - An OSError in a future that nothing awaits any more. The attempt to connect failed in the
      turn of the loop that cancelled the call, or uvloop had a second future for the handshake.
    - The same in the task that writes a body: the connection was closed before its last chunk.
    - "Fatal error on SSL protocol" of uvloop, on a transport that was closed between the
      handshake and the writing of its last flight.
    - A TypeError of asyncio's up to Python 3.12, which aborts TLS within TLS with an argument too
      many if the inner handshake has failed.

    They go to the logger "syncclient" as DEBUG. All others are reported as before.
    """
    report = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if _is_of_ended_call(context):
            _logger.debug("%s: %r", context.get("message"), context.get("exception"))
        elif report is None:
            loop.default_exception_handler(context)
        else:
            report(loop, context)

    loop.set_exception_handler(handle)


def _is_of_ended_call(context: dict[str, Any]) -> bool:
    """Return whether what a loop reports is the end of a connection whose call has ended."""
    error = context.get("exception")
    if isinstance(error, OSError):
        future = context.get("future")
        if isinstance(future, asyncio.Task):  # an error of code, and not of a connection alone
            return getattr(future.get_coro(), "__qualname__", "") == _WRITES_BODY
        return isinstance(future, asyncio.Future)
    if isinstance(error, TypeError):
        return "SSLProtocol._abort() takes 1 positional argument" in str(error)
    return (
        isinstance(error, RuntimeError)
        and context.get("message") == "Fatal error on SSL protocol"
        and str(error).endswith("the handler is closed")
        and type(context.get("protocol")).__module__ == "uvloop.loop"
    )
