"""A server that answers each request with the bytes it was told, and closes the connection."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

_TIMEOUT = 10.0

#: What to answer: bytes, or a function of the head of the request, such as for a handshake.
Answer = bytes | Callable[[bytes], bytes]


class Peer:
    """One thread, one connection after another: examples by the thousand leave nothing behind.

    ``answer`` is sent as soon as the head of a request is in. Then the stream ends; the
    connection closes when the client has closed its own side.
    """

    def __init__(self) -> None:
        self.answer: Answer = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="fuzz-peer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving, and join the thread."""
        self._closing = True
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        self._thread.join(_TIMEOUT)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if self._closing:
                    return
                connection.settimeout(_TIMEOUT)
                # The client may close at any time.
                with suppress(OSError):
                    self._play(connection)

    def _play(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(65536)
            if not data:
                return
            head += data
        answer = self.answer
        connection.sendall(answer if isinstance(answer, bytes) else answer(head))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
