"""A server on a bare socket that plays a script: what no well-behaved server would send.

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nshort")

    with RawServer(script) as wire:
        session.get(wire.url)

Each connection runs the script in a thread of its own and is closed when the script returns.
A peer that goes away ends the script quietly; any other error in a script fails the test.
"""

import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

TIMEOUT = 10.0  # seconds: every wait here is bounded, so that a lost event fails and never hangs

_RECEIVE = 65536
# What poll() says of a peer that has closed its side; reported unasked where there is no RDHUP.
_HANGUP = getattr(select, "POLLRDHUP", 0)


class PeerGoneError(ConnectionError):
    """The client closed or reset the connection while the script was reading."""


class ScriptStoppedError(Exception):
    """The test ended while the script was waiting for it."""


@dataclass
class RawRequest:
    """One request as it was on the wire."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    head: bytes
    body: bytes = b""
    # The sizes of the chunks, if the body came chunked.
    chunks: list[int] = field(default_factory=list)

    def header(self, name: str, default: str = "") -> str:
        """The first header of that name."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), default)


class RawConnection:
    """The script's end of one connection. Its own thread only, but for the `wait_...` methods."""

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self.sock = sock
        self.requests: list[RawRequest] = []
        self._buffer = bytearray()
        self._stopping = stopping
        self._stalled = threading.Event()
        # One byte for each step allowed; closing the test's end stops the script.
        self._steps, self._proceed = socket.socketpair()
        self._peer_closed = threading.Event()
        self._ended = threading.Event()

    # What the peer sends.

    def read_some(self) -> bytes:
        """Whatever has arrived, blocking for at least one byte; b"" at the peer's end."""
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            return data
        return self._receive()

    def read_exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._buffer += self._receive() or self._gone()
        return self._take(count)

    def read_until(self, separator: bytes) -> bytes:
        """The bytes up to `separator`, which is included."""
        while separator not in self._buffer:
            self._buffer += self._receive() or self._gone()
        return self._take(self._buffer.index(separator) + len(separator))

    def read_head(self) -> RawRequest:
        """A request line and its headers; the body stays on the wire."""
        head = self.read_until(b"\r\n\r\n")
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        method, target, version = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = [(name, value.strip()) for name, _, value in pairs]
        request = RawRequest(method, target, version, headers, head)
        self.requests.append(request)
        return request

    def read_body(self, request: RawRequest) -> bytes:
        """The body `request` announced, by length or in chunks; kept in `request.body` too."""
        if "chunked" in request.header("Transfer-Encoding").lower():
            while size := int(self.read_until(b"\r\n").split(b";")[0], 16):
                request.chunks.append(size)
                request.body += self.read_exactly(size + 2)[:-2]
            while self.read_until(b"\r\n") != b"\r\n":
                pass  # trailers
        else:
            request.body = self.read_exactly(int(request.header("Content-Length", "0")))
        return request.body

    def read_request(self) -> RawRequest:
        request = self.read_head()
        self.read_body(request)
        return request

    def read_to_end(self) -> bytes:
        """Everything until the peer closes or resets."""
        with suppress(PeerGoneError):
            while data := self._receive():
                self._buffer += data
        return self._take(len(self._buffer))

    # What the script sends.

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def respond(
        self,
        body: bytes = b"",
        *,
        status: str = "200 OK",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """A whole, correct response, Content-Length included.

        Head and body go out together, so that a client that has a small one's head has its body
        too. A test that wants them apart sends them apart.
        """
        self.send(_head(status, [*headers, ("Content-Length", str(len(body)))]) + body)

    def send_head(self, *, status: str = "200 OK", headers: Iterable[tuple[str, str]] = ()) -> None:
        self.send(_head(status, headers))

    def send_chunk(self, data: bytes) -> None:
        """One chunk of a chunked body; empty data ends it."""
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def send_slowly(self, pieces: Iterable[bytes]) -> None:
        """Send each piece only when the test says `proceed()`."""
        for piece in pieces:
            self.stall()
            self.send(piece)

    def stall(self) -> None:
        """Tell the test, then wait until it says `proceed()`; ScriptStoppedError when it ends.

        A stalled script notices a peer that leaves, for `wait_until_closed`, and stalls on.
        """
        self._stalled.set()
        poller = select.poll()
        poller.register(self._steps, select.POLLIN)
        # Not readability: a peer may have sent more than the script wants to read.
        poller.register(self.sock, _HANGUP)
        until = time.monotonic() + TIMEOUT
        while (left := until - time.monotonic()) > 0:
            ready = [fd for fd, _ in poller.poll(left * 1000)]
            if self.sock.fileno() in ready:
                self._peer_closed.set()
                poller.unregister(self.sock)
            if self._steps.fileno() in ready:
                if not self._steps.recv(1):
                    raise ScriptStoppedError
                return
        raise TimeoutError("nobody told the stalled script to proceed")

    # How a connection ends.

    def half_close(self) -> None:
        """Send the end of our stream and go on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a RST, as a crashed or impatient peer does."""
        # Lingering for zero seconds discards what is unsent and resets.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        # detach: a TLS socket is closed without its closing alert, as scripts want it.
        with suppress(OSError):
            socket.close(self.sock.detach())

    # The test's side.

    def proceed(self, steps: int = 1) -> None:
        """Let a stalled script go on, or let the next stalls pass. Any thread; never blocks."""
        self._stalled.clear()
        with suppress(OSError):  # the script may have ended
            self._proceed.send(bytes(steps))

    def wait_until_stalled(self, timeout: float = TIMEOUT) -> None:
        _wait(self._stalled, timeout, "the script did not stall")

    def wait_until_closed(self, timeout: float = TIMEOUT) -> None:
        """Block until the peer has closed or reset, as seen by a script that reads or stalls."""
        _wait(self._peer_closed, timeout, "the client did not close the connection")

    def wait_until_ended(self, timeout: float = TIMEOUT) -> None:
        _wait(self._ended, timeout, "the script did not end")

    # Inside.

    def _receive(self) -> bytes:
        try:
            data = self.sock.recv(_RECEIVE)
        except (ConnectionError, ssl.SSLError) as error:
            self._peer_closed.set()
            raise PeerGoneError(str(error)) from error
        if not data:
            self._peer_closed.set()
        return data

    def _gone(self) -> bytes:
        raise PeerGoneError("the client closed the connection in mid-read")

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _stop(self) -> None:
        """End the script's next wait, whatever it is. The server's `close()` only."""
        self._proceed.close()
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def _end(self) -> None:
        """The script has returned. Its own thread."""
        self.close()
        self._steps.close()
        self._ended.set()


Script = Callable[[RawConnection], None]


class StartRawServer(Protocol):
    """The type of the fixture `raw_server`."""

    def __call__(
        self, *scripts: Script, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> "RawServer": ...


class RawServer:
    """Listens from construction on; plays the n-th script to the n-th client, the last for ever."""

    def __init__(
        self, *scripts: Script, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        if not scripts:
            raise TypeError("RawServer() needs a script")
        self._scripts = scripts
        self._tls = tls
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.connections: list[RawConnection] = []
        self.errors: list[BaseException] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        literal = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{literal}:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, name="raw-acceptor", daemon=True)
        self._acceptor.start()

    @property
    def requests(self) -> list[RawRequest]:
        """The requests read so far, connection by connection."""
        return [request for conn in list(self.connections) for request in conn.requests]

    def wait_until_connected(self, count: int = 1, timeout: float = TIMEOUT) -> RawConnection:
        """Block until `count` clients have connected; returns the last of them."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.connections) >= count, timeout):
                raise TimeoutError(f"{len(self.connections)} of {count} connections came")
            return self.connections[count - 1]

    def wait_until_stalled(self, timeout: float = TIMEOUT) -> RawConnection:
        """Block until the first connection's script stalls; returns that connection."""
        conn = self.wait_until_connected(1, timeout)
        conn.wait_until_stalled(timeout)
        return conn

    def wait_until_closed(self, timeout: float = TIMEOUT) -> None:
        """Block until every client that has connected is gone."""
        for conn in list(self.connections):
            conn.wait_until_closed(timeout)

    def close(self) -> None:
        """Stop every script and join its thread. Idempotent."""
        self._stopping.set()
        with suppress(OSError):
            # A blocked accept() is not woken by close(), and by shutdown() only on some systems.
            socket.create_connection((self.host, self.port), 1.0).close()
        self._acceptor.join(TIMEOUT)
        self._listener.close()
        for conn in self.connections:
            conn._stop()
        for thread in [self._acceptor, *self._threads]:
            thread.join(TIMEOUT)
            if thread.is_alive():
                raise RuntimeError(f"{thread.name} outlived its server")

    def __enter__(self) -> "RawServer":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if exc is None and self.errors:
            raise self.errors[0]

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._stopping.is_set():
                sock.close()
                return
            number = len(self._threads)
            script = self._scripts[min(number, len(self._scripts) - 1)]
            thread = threading.Thread(
                target=self._play, args=(script, sock), name=f"raw-script-{number}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _play(self, script: Script, sock: socket.socket) -> None:
        sock.settimeout(TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            try:
                sock = self._tls.wrap_socket(sock, server_side=True)
            except OSError:
                # The handshake is the client's to refuse, and such a client never connected.
                sock.close()
                return
        conn = RawConnection(sock, self._stopping)
        with self._changed:
            self.connections.append(conn)
            self._changed.notify_all()
        if self._stopping.is_set():
            conn._stop()  # close() may have looked through the connections already
        try:
            script(conn)
        except (ConnectionError, ScriptStoppedError):
            pass
        except BaseException as error:
            if not self._stopping.is_set():
                self.errors.append(error)
        finally:
            conn._end()


def _head(status: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _wait(event: threading.Event, timeout: float, complaint: str) -> None:
    if not event.wait(timeout):
        raise TimeoutError(f"{complaint} within {timeout} s")
