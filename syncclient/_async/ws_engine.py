"""What we need of aiohttp's WebSocket and cannot have through its public names.

All use of private attributes is in this file, and each is guarded: where a later
aiohttp has renamed one, the WebSocket works on, less well, as said below. The tests
notice (``test_the_engine_still_has_...``).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, TypeVar

from aiohttp import ClientWebSocketResponse, ClientWSTimeout

if TYPE_CHECKING:
    Engine = ClientWebSocketResponse[bool]

T = TypeVar("T")

#: Shadowed on the instance to keep a heartbeat from ending a connection we do not read.
_PONG_MISSED = "_pong_not_received"


def transport_of(ws: Engine) -> asyncio.Transport | None:
    """Return the transport under ``ws``.

    Only a transport can be aborted. ``close`` waits until all that was written has
    left, which a peer that does not read puts off for ever. Without the transport, such a
    connection stays open until the peer or the system drops it.
    """
    transport: asyncio.Transport | None = getattr(getattr(ws, "_writer", None), "transport", None)
    # uvloop's are no instances of asyncio.Transport.
    return transport if hasattr(transport, "abort") else None


def lost_of(ws: Engine) -> asyncio.Future[None] | None:
    """Return a future that is done once the connection under ``ws`` is gone.

    Without it, closing ends when the close handshake does, an instant before the
    socket is really closed.
    """
    protocol = getattr(getattr(ws, "_writer", None), "protocol", None)
    lost = getattr(protocol, "closed", protocol)
    if protocol is not None and lost is None:  # it was lost before anybody asked
        lost = asyncio.get_running_loop().create_future()
        lost.set_result(None)
    if not isinstance(lost, asyncio.Future):
        return None
    # How it was lost is told by the socket itself. Unread, the error would be logged.
    lost.add_done_callback(_read_error)
    return lost


def excuse_silence(ws: Engine, excused: Callable[[], bool]) -> None:
    """Have the heartbeat of ``ws`` spare the connection while ``excused()`` is true.

    aiohttp gives the peer up when no pong arrives. While we do not read, for the inbox
    is full, none can, and the peer is not to blame. Without this, a heartbeat
    ends the connection of a reader that falls far behind.
    """
    give_up = getattr(ws, _PONG_MISSED, None)
    wait_on = getattr(ws, "_reset_heartbeat", None)
    if give_up is None or wait_on is None:
        return

    def pong_missed() -> None:
        if excused():
            wait_on()
        else:
            give_up()

    vars(ws)[_PONG_MISSED] = pong_missed


def stop_excusing(ws: Engine) -> None:
    """Undo ``excuse_silence``: left there, it is a reference cycle, freed on any thread."""
    vars(ws).pop(_PONG_MISSED, None)


def lift_close_timeout(ws: Engine) -> None:
    """Let ``ws.close()`` take its time: the caller sees to the limit.

    Waiting for the peer's close frame, aiohttp reads past all that was received before it,
    and starts a timer for each message. A backlog of small ones would hold up
    the loop for a second. Without this, it does.
    """
    if hasattr(ws, "_timeout"):
        ws._timeout = ClientWSTimeout(ws_receive=None, ws_close=None)


def start(coroutine: Coroutine[object, object, T]) -> asyncio.Task[T]:
    """Start a task, at once where Python can (3.12 and later)."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(coroutine, loop=loop, eager_start=True)
    else:  # mypy takes what follows the return for unreachable otherwise
        return asyncio.Task(coroutine, loop=loop)


def bare(error: BaseException) -> BaseException:
    """Strip the tracebacks from ``error`` and its causes, and return it.

    It goes out as a value, perhaps to another thread. A traceback would take along
    the frames of the engine, and all that these hold.
    """
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        fault = rest.pop()
        if fault is not None and id(fault) not in seen:
            seen.add(id(fault))
            fault.__traceback__ = None
            rest += [fault.__cause__, fault.__context__]
    return error


def _read_error(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()
