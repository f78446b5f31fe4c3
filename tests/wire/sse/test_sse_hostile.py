"""Server-sent events of servers that mean harm, or were written in a hurry."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from aiohttp import ClientPayloadError, ContentTypeError

from syncclient import Session
from tests.servers.raw import RawConnection, RawServer, Script, StartRawServer
from tests.wire.sse.conftest import events, no_more


def pauses(times: list[float]) -> list[float]:
    return [later - before for before, later in pairwise(times)]


@pytest.mark.parametrize(("retry", "sent"), [(b"0", b"data: a\n\n"), (b"1", b"")])
def test_a_server_that_hangs_up_is_not_asked_without_a_pause(
    raw_server: StartRawServer, session: Session, retry: bytes, sent: bytes
) -> None:
    """Whatever it asks for, pauses grow from a tenth of a second to a whole one."""
    times: list[float] = []

    def script(conn: RawConnection) -> None:
        times.append(time.monotonic())
        if len(times) < 6:
            events(b"retry:" + retry + b"\n" + sent)(conn)
        else:
            no_more(conn)

    with session.sse(raw_server(script).url) as stream:
        assert [event.data for event in stream] == ["a"] * (5 if sent else 0)
    grown = pauses(times)
    for pause, least in zip(grown, [0.1, 0.2, 0.4, 0.8, 1.0], strict=True):
        assert least <= pause + 0.01


@pytest.mark.parametrize(
    "retry", [b"9" * 5000, b"9" * 400, "٣".encode(), b"-1", b"1e3", b"0x10", b"", b" "]
)
def test_a_retry_that_makes_no_sense_changes_nothing(
    raw_server: StartRawServer, session: Session, retry: bytes
) -> None:
    """Of any length and any characters: the event arrives, and the pause stays as it was."""
    wire = raw_server(events(b"retry: 20\nretry: " + retry + b"\ndata: a\n\n"), no_more)
    with session.sse(wire.url) as stream:
        assert next(stream).data == "a"
        assert stream.retry == 0.02
        assert list(stream) == []
    assert len(wire.connections) == 2


@pytest.mark.parametrize(
    ("event_id", "sent"),
    [
        ("é漢", "é漢".encode()),
        ("\U0001f600", "\U0001f600".encode()),
        ('a, b; c="d"', b'a, b; c="d"'),
        ("\ttab\t", b"\ttab\t"),
        ("\x85\x9f\xa0", "\x85\x9f\xa0".encode()),
        ("x" * 5000, b"x" * 5000),
        ("a\0b", b"before"),
        ("a\x01b", b"before"),
        ("a\x7fb", b"before"),
        ("", b""),
    ],
)
def test_any_id_comes_back_as_utf_8(
    raw_server: StartRawServer, session: Session, event_id: str, sent: bytes
) -> None:
    """Octet for octet, as the HTML standard has it; one that no header takes is not sent."""
    body = f"retry:0\nid:before\ndata:a\n\nid:{event_id}\ndata:b\n\n".encode()
    wire = raw_server(events(body), no_more)
    with session.sse(wire.url) as stream:
        assert [event.data for event in stream] == ["a", "b"]
        assert stream.last_event_id.encode() == sent
    _, again = wire.requests
    line = b"Last-Event-ID: %b\r\n" % sent
    assert (line in again.head) if sent else (b"Last-Event-ID" not in again.head)
    with session.sse(wire.url, last_event_id=stream.last_event_id):
        pass


@pytest.mark.parametrize("last_event_id", ["a\rb", "a\nX: y", "\0", b"x", 1, None])
def test_the_callers_id_is_checked(session: Session, last_event_id: str) -> None:
    """Before anything is sent, by name."""
    with pytest.raises((TypeError, ValueError), match="last_event_id"):
        session.sse("http://127.0.0.1:1/", last_event_id=last_event_id)


def endless(head: bytes, piece: bytes) -> Script:
    def script(conn: RawConnection) -> None:
        events(head)(conn)
        while True:
            conn.send(piece)

    return script


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"data:", b"x" * 4096),
        (b"", b"data:" + b"x" * 4096 + b"\n"),
        (b"", b"data\n" * 1000),
        (b":", b"x" * 4096),
        (b"", b"\0" * 4096),
        (b"id:", "é".encode() * 2048),
        (b"retry:", b"0" * 4096),
        (b"event:", b"x" * 4096),
    ],
)
def test_an_endless_event_is_an_error(
    raw_server: StartRawServer, session: Session, head: bytes, piece: bytes
) -> None:
    """In one line or in many, be it a comment: after the limit, which the message names."""
    wire = raw_server(endless(b"data: a\n\n" + head, piece))
    with session.sse(wire.url, max_event_size=100_000) as stream:
        assert next(stream).data == "a"
        with pytest.raises(ClientPayloadError, match="100000 characters; max_event_size="):
            next(stream)
        assert stream.closed
    with (
        session.get(wire.url) as response,
        pytest.raises(ClientPayloadError, match="max_event_size="),
    ):
        list(response.events(max_event_size=100_000))


def test_comments_without_end_are_no_event(raw_server: StartRawServer, session: Session) -> None:
    """A server may keep a connection alive for ever with lines that say nothing."""
    silence = b": still here\nunknown: x\nretry: 1\nid: 7\n" * 10_000
    wire = raw_server(events(silence, silence, b"data: a\n\n"))
    with session.sse(wire.url, max_event_size=100, reconnects=0) as stream:
        assert [(event.data, event.id) for event in stream] == [("a", "7")]


@pytest.mark.parametrize("value", [0, -1, 1.5, "9", None, True])
def test_the_limit_is_a_number(session: Session, value: int) -> None:
    """Of characters, and at least one."""
    with pytest.raises((TypeError, ValueError), match="max_event_size"):
        session.sse("http://127.0.0.1:1/", max_event_size=value)


@pytest.mark.parametrize("newline", [b"\n", b"\r", b"\r\n"])
def test_lines_end_in_any_way_and_pieces_anywhere(
    raw_server: StartRawServer, session: Session, newline: bytes
) -> None:
    """The BOM, a character, and CRLF may be cut in two by the network."""
    body = newline.join([b"\xef\xbb\xbfdata: \xc3\xa9", b"data: b", b"", b"data: c", b"", b""])

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(
            headers=[("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
        )
        for byte in body:
            conn.send_chunk(bytes([byte]))
        conn.send_chunk(b"")

    with session.sse(raw_server(script).url, reconnects=0) as stream:
        assert [event.data for event in stream] == ["é\nb", "c"]


@pytest.mark.parametrize(
    "content_type",
    [
        "Text/Event-Stream",
        'text/event-stream; charset="utf-8"',
        "text/event-stream;charset=punycode",
        "text/event-stream ; x",
        "text/event-stream" + ";" * 7000,
    ],
)
def test_the_media_type_counts_and_nothing_else(
    raw_server: StartRawServer, session: Session, content_type: str
) -> None:
    """Events are UTF-8, whatever charset is named."""
    wire = raw_server(events("data: é\n\n".encode(), content_type=content_type))
    with session.sse(wire.url, reconnects=0) as stream:
        assert [event.data for event in stream] == ["é"]


@pytest.mark.parametrize("content_type", ["", "text/html", "text", "text/event-streams", ";" * 99])
def test_another_media_type_is_an_error(
    raw_server: StartRawServer, session: Session, content_type: str
) -> None:
    """A login page is no stream, at first or later."""
    other = events(b"data: a\n\n", content_type=content_type)
    with pytest.raises(ContentTypeError, match="text/event-stream"):
        session.sse(raw_server(other).url)
    wire: RawServer = raw_server(events(b"retry:0\ndata: a\n\n"), other)
    with session.sse(wire.url) as stream:
        assert next(stream).data == "a"
        with pytest.raises(ContentTypeError, match="text/event-stream"):
            next(stream)
