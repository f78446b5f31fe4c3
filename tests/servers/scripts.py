"""Scripts for `raw_server` that many tests play."""

from tests.servers.raw import RawConnection


def never_answer(conn: RawConnection) -> None:
    """Read a request, and leave it at that."""
    conn.read_request()
    conn.stall()


def hang_up(conn: RawConnection) -> None:
    """Read a request, and close the connection."""
    conn.read_request()


def take_all(conn: RawConnection) -> None:
    """Answer a request, once it is all here, with the length of its body."""
    conn.respond(str(len(conn.read_request().body)).encode())


def stall_in_body(conn: RawConnection) -> None:
    """Send the head and half of a body, and the rest when the test says so."""
    conn.read_request()
    conn.send_head(headers=[("Content-Length", "8")])
    conn.send(b"half")
    conn.stall()
    conn.send(b"full")


def say_hello(conn: RawConnection) -> None:
    """Answer every request with "hello"."""
    while True:
        conn.read_request()
        conn.respond(b"hello")
