"""Recover a response that arrived before the connection was reset.

A server that refuses a body may respond and close immediately. The next write then fails because
of the reset, and the transport gives up without reading the response, which is still in the
socket. urllib3 finds it because it reads after any write error; here the transport has already
closed the socket. So a second descriptor is kept while a body is sent.
"""

from __future__ import annotations

import asyncio
import select
import socket
import sys

from aiohttp.abc import AbstractStreamWriter
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_writer import StreamWriter

#: Maximum number of bytes of a response to read: it is a refusal, not a download.
_LIMIT = 2**20

_CONNECTION_LOST = "connection_lost"


class EarlyReply:
    """Passes received data to the protocol of a connection before it learns of the loss.

    Not over TLS, where the data could no longer be decrypted; see ``ReadBeforeWrite``.
    """

    def __init__(self, protocol: BaseProtocol) -> None:
        self._protocol = protocol
        self._socket = _second_descriptor(protocol)
        if self._socket is not None:
            # On the instance, because the transport calls it by name.
            vars(protocol)[_CONNECTION_LOST] = self._connection_lost

    def close(self) -> None:
        """Stop listening. May be called again."""
        if self._socket is not None:
            vars(self._protocol).pop(_CONNECTION_LOST, None)
            self._socket.close()
            self._socket = None

    def _connection_lost(self, exc: Exception | None) -> None:
        protocol = self._protocol
        try:
            left = _LIMIT if exc is not None else 0
            while left > 0 and self._socket is not None:
                data = self._socket.recv(2**16)
                if not data:
                    break
                left -= len(data)
                protocol.data_received(data)
        except OSError:  # the reset itself, or nothing there
            pass
        finally:
            self.close()
            protocol.connection_lost(exc)


def _second_descriptor(protocol: BaseProtocol) -> socket.socket | None:
    transport = protocol.transport
    if transport is None or transport.get_extra_info("sslcontext") is not None:
        return None
    if not hasattr(protocol, "__dict__"):  # the method cannot be replaced
        return None
    theirs = transport.get_extra_info("socket")
    if theirs is None or sys.platform == "win32":
        return None
    try:
        return socket.fromfd(theirs.fileno(), theirs.family, theirs.type)
    except OSError:  # just closed, or no descriptors are left
        return None


class ReadBeforeWrite:
    """Lets the loop read received data before the next write, which is all that works over TLS.

    If response and reset arrive between the check and the write, the response is still lost.
    """

    #: Turns of the loop to wait: received data may not be readable yet.
    _TURNS = 5

    def __init__(self, writer: AbstractStreamWriter) -> None:
        self._poll = None
        transport = writer.transport if isinstance(writer, StreamWriter) else None
        if transport is None or sys.platform == "win32":
            return
        if transport.get_extra_info("sslcontext") is not None:
            descriptor = transport.get_extra_info("socket").fileno()
            if descriptor >= 0:
                self._poll = select.poll()
                self._poll.register(descriptor, select.POLLIN)

    async def wait(self) -> None:
        """Wait until the loop has read any available data."""
        if self._poll is not None:
            for _ in range(self._TURNS):
                if not self._poll.poll(0):
                    return
                await asyncio.sleep(0)
