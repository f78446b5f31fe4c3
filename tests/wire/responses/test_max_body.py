"""``max_body``: how much of a body is let in, of one request or of a whole session."""

from __future__ import annotations

import pytest

import syncclient
from tests.servers.process import AppServer

LIMIT = 1000


@pytest.mark.parametrize("size", [LIMIT + 1, 100 * LIMIT, 3_000_000])
def test_a_longer_body_is_refused(session: syncclient.Session, size: int) -> None:
    """Whether it came with the head or later, reading it whole raises, and it is not returned."""
    with session.get(f"/bytes/{size}", max_body=LIMIT) as response:
        with pytest.raises(syncclient.ClientPayloadError, match="max_body=1000"):
            response.read()
    assert session.get("/json").ok


def test_a_body_of_just_that_size_is_read(session: syncclient.Session) -> None:
    """The limit is the last size that passes."""
    assert len(session.get(f"/bytes/{LIMIT}", max_body=LIMIT).read()) == LIMIT


def test_compressed_bodies_count_decompressed(session: syncclient.Session) -> None:
    """What crosses the wire may be small: what comes out of it counts."""
    whole = len(session.get("/gzip").read())
    with session.get("/gzip", max_body=whole - 1) as response:
        with pytest.raises(syncclient.ClientPayloadError, match="max_body"):
            response.read()


def test_a_session_has_a_limit_that_a_request_overrides(app: AppServer) -> None:
    """One-shot reads and map keep to it as well."""
    with syncclient.Session(app.url, max_body=LIMIT) as session:
        with pytest.raises(syncclient.ClientPayloadError):
            session.get("/bytes/5000").read()
        assert len(session.get("/bytes/5000", max_body=5000).read()) == 5000
        (error,) = session.map(["/bytes/5000"], return_exceptions=True)
        assert isinstance(error, syncclient.ClientPayloadError)


@pytest.mark.parametrize("wrong", [-1, 1.5, "1000"])
def test_a_wrong_limit_names_the_argument(session: syncclient.Session, wrong: object) -> None:
    """Before anything is sent."""
    with pytest.raises((TypeError, ValueError), match="max_body"):
        session.get("/json", max_body=wrong)  # type: ignore[arg-type]  # the mistake itself
