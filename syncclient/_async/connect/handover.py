"""Who closes a socket: its object until it is connected, and from then on the event loop.

uvloop leaves a socket object behind that believes to own its descriptor, where a handshake fails
within its first step: the name or the context is refused, or the peer has reset the connection
already. Once collected, the object closes that number a second time, and it may be another
connection's by then, which dies for no reason of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

from ..exchange.progress import spend

if TYPE_CHECKING:
    import socket

    from aiohttp.client_proto import ResponseHandler

#: The sockets that the running attempt to connect has made.
sockets_made: ContextVar[list[socket.socket]] = ContextVar("syncclient_sockets")


@contextlib.contextmanager
def handing_over(
    factory: Callable[[], ResponseHandler], sockets: list[socket.socket], *, tls: bool
) -> Iterator[Callable[[], ResponseHandler]]:
    """Yield what makes the protocol; if that is not the end of it, let go of the socket.

    The loop makes the protocol once the socket is connected, and owns the socket from then on.

    Args:
        factory: makes the protocol.
        sockets: those among which the connected one is.
        tls: whether a handshake follows, for the timings.
    """
    taken: list[ResponseHandler] = []

    def take() -> ResponseHandler:
        if tls:
            spend("tls")
        taken.append(handler := factory())
        return handler

    try:
        yield take
    except BaseException:
        for handler in taken:
            # The loop would take half a minute for the end of TLS, with a call that has ended.
            if handler.transport is not None:
                handler.transport.abort()
        # asyncio's own loops close by the object.
        if taken and not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
            for sock in sockets:  # closed already, but for the one that was connected
                if sock.fileno() != -1:
                    sock.detach()
        raise
    finally:
        sockets.clear()  # the context that holds them may live as long as the connection
