"""What the tests of event streams start from."""

from collections.abc import Iterator

import pytest

from syncclient import Session
from tests.servers.raw import RawConnection, Script


@pytest.fixture
def session() -> Iterator[Session]:
    """A session without a base URL: the servers are scripts."""
    with Session() as session:
        yield session


def events(
    *pieces: bytes, content_type: str = "text/event-stream", status: str = "200 OK"
) -> Script:
    """A script that answers with a stream of events, and closes."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(status=status, headers=[("Content-Type", content_type)])
        for piece in pieces:
            conn.send(piece)

    return script


def no_more(conn: RawConnection) -> None:
    """Answer that there is nothing more to come: 204."""
    conn.read_request()
    conn.respond(status="204 No Content")
