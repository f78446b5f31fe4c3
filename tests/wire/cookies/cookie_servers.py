"""Servers that set cookies, and what came back, as octets."""

import threading

from tests.servers.raw import RawConnection, Script


def setting(*headers: bytes) -> Script:
    """Set cookies by the first response of all, and none by those that follow."""
    first = threading.Event()

    def script(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            lines = b"" if first.is_set() else b"".join(b"Set-Cookie: %b\r\n" % h for h in headers)
            first.set()
            conn.send(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 2\r\n\r\nok")

    return script


def in_turn(*headers: bytes) -> Script:
    """Set the n-th cookie by the n-th response, all of one connection or of several."""
    left = list(headers)

    def script(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            line = b"Set-Cookie: %b\r\n" % left.pop(0) if left else b""
            conn.send(b"HTTP/1.1 200 OK\r\n" + line + b"Content-Length: 2\r\n\r\nok")

    return script


def cookie_line(head: bytes) -> bytes | None:
    """Return the value of the one Cookie header of a request."""
    found = [line for line in head.split(b"\r\n") if line.lower().startswith(b"cookie:")]
    assert len(found) <= 1
    return found[0].partition(b":")[2].strip() if found else None
