"""Server-sent events from real servers: reading, and connecting again."""

import threading
import time
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientResponseError, ClientTimeout, ContentTypeError
from yarl import URL

import syncclient
from syncclient import Session, SessionClosedError
from syncclient._async.session import AsyncSession
from syncclient._async.sse import AsyncEventSource, ServerSentEvent
from syncclient._client.event_source import EventSource, sse
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, Script, StartRawServer
from tests.wire.sse.conftest import events, no_more


def source(session: Session, url: str, **settings: Any) -> EventSource:
    """What ``Session.sse`` does."""
    options = settings.pop("options", {})
    return sse(session._place, url, options, **settings)


def test_events_of_a_response(app: AppServer, session: Session) -> None:
    """A response that is a stream of events can be read as such, once."""
    with session.get(f"{app.url}/sse?n=3") as response:
        assert list(response.events()) == [
            ServerSentEvent("tick", f"{number}\nmore", str(number)) for number in range(3)
        ]


def test_a_source_goes_on_where_the_connection_was_lost(app: AppServer, session: Session) -> None:
    """With the id of the last event, as long as it takes, after the server's own delay."""
    with source(session, f"{app.url}/sse?n=7&drop_after=2") as stream:
        got = [next(stream) for _ in range(7)]
        assert [event.data for event in got] == [f"{number}\nmore" for number in range(7)]
        assert stream.last_event_id == "6"
        assert stream.retry == 0.01


def test_the_last_event_id_is_of_the_event_taken_last(
    raw_server: StartRawServer, session: Session
) -> None:
    """Who notes it and goes on from there later misses none of the events that came at once."""
    wire = raw_server(events(b"id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\n\n"), no_more)
    with source(session, wire.url) as stream:
        assert stream.last_event_id == ""
        assert next(stream).id == stream.last_event_id == "1"
        assert next(stream).id == stream.last_event_id == "2"
        assert list(stream) == []
        assert stream.last_event_id == "3"
    with source(session, raw_server(events(b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n")).url) as left:
        next(left)
    assert left.last_event_id == "1"


def test_what_a_source_sends(raw_server: StartRawServer, session: Session) -> None:
    """Accept and Cache-Control, overridden by the caller's; Last-Event-ID with what is known."""
    wire = raw_server(
        events(b"retry:0\nid: 1\ndata: a\n\nid: half\ndata: b\n"), events(b"data: c\n\n"), no_more
    )
    options = {"headers": {"cache-control": "no-cache", "x-mine": "1"}}
    with source(session, wire.url, last_event_id="0", options=options) as stream:
        assert [(event.data, event.id) for event in stream] == [("a", "1"), ("c", "1")]
        assert stream.closed
    requests = wire.requests
    assert [request.header("Last-Event-ID") for request in requests] == ["0", "1", "1"]
    assert {request.header("Accept") for request in requests} == {"text/event-stream"}
    assert {request.header("Cache-Control") for request in requests} == {"no-cache"}
    assert {request.header("X-Mine") for request in requests} == {"1"}


def test_a_source_may_post(raw_server: StartRawServer, session: Session) -> None:
    """And posts the same body again."""
    wire = raw_server(events(b"retry:0\ndata: a\n\n"), no_more)
    with source(session, wire.url, method="POST", options={"json": {"q": 1}}) as stream:
        assert [event.data for event in stream] == ["a"]
    assert [(each.method, each.body) for each in wire.requests] == [("POST", b'{"q": 1}')] * 2
    with pytest.raises(TypeError, match="may be resent"):
        source(session, wire.url, method="POST", options={"data": iter([b"x"])})


def test_the_core_iterates_by_itself(raw_server: StartRawServer, session: Session) -> None:
    """An async program has the same source, without the face."""
    wire = raw_server(events(b"retry:0\nid:1\ndata:a\n\n"), events(b"data:b\n\n"), no_more)

    async def collect(resident: AsyncSession) -> list[str]:
        request = ("GET", URL(wire.url), ClientTimeout(), dict[str, Any]())
        stream = AsyncEventSource(resident, request)
        return [event.data async for event in stream.events()]

    assert session._portal.call(collect) == ["a", "b"]
    assert [each.header("Last-Event-ID") for each in wire.requests] == ["", "1", "1"]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (events(status="500 Oops"), ClientResponseError),
        (events(status="404 Gone Missing"), ClientResponseError),
        (events(content_type="text/plain"), ContentTypeError),
        (events(content_type="text/event-streams"), ContentTypeError),
    ],
    ids=["500", "404", "text/plain", "almost"],
)
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_an_answer_that_is_no_stream_of_events_ends_the_source(
    raw_server: StartRawServer,
    session: Session,
    script: Script,
    error: type[ClientResponseError],
    first: bool,
) -> None:
    """By the WHATWG's rules it is not asked again; and the connection is not left open."""
    wire = raw_server(*([] if first else [events(b"retry:0\ndata: a\n\n")]), script)
    if first:
        with pytest.raises(error):
            source(session, wire.url)
    else:
        stream = source(session, wire.url)
        assert next(stream).data == "a"
        with pytest.raises(error):
            next(stream)
        assert stream.closed
        assert list(stream) == []
    wire.wait_until_connected(1 if first else 2).wait_until_ended()


def test_a_media_type_may_have_parameters(raw_server: StartRawServer, session: Session) -> None:
    """And is not case-sensitive."""
    wire = raw_server(events(b"data:1\n\n", content_type="Text/Event-Stream; charset=utf-8"))
    with source(session, wire.url, reconnects=0) as stream:
        assert [event.data for event in stream] == ["1"]


def test_the_first_connection_must_succeed(raw_server: StartRawServer, session: Session) -> None:
    """Its error is the caller's at once."""

    def hang_up(conn: RawConnection) -> None:
        conn.read_request()

    with pytest.raises(ClientConnectionError):
        source(session, raw_server(hang_up).url)


def test_reconnects_are_limited_in_a_row(raw_server: StartRawServer, session: Session) -> None:
    """An attempt that brought bytes begins the count anew; the last failure is the error."""

    def broken(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Type", "text/event-stream"), ("Content-Length", "99")])

    one = events(b"retry:0\ndata: a\n\n")
    wire = raw_server(one, broken, broken, one, broken)
    stream = source(session, wire.url, reconnects=2)
    assert [next(stream).data, next(stream).data] == ["a", "a"]
    with pytest.raises(syncclient.ClientPayloadError):
        next(stream)
    assert len(wire.connections) == 7
    assert stream.closed


def test_without_reconnects_events_end_with_the_connection(
    raw_server: StartRawServer, session: Session
) -> None:
    """At the end of the body quietly, and with an error if it broke off."""
    with source(session, raw_server(events(b"data: a\n\n")).url, reconnects=0) as stream:
        assert [event.data for event in stream] == ["a"]

    def broken(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Type", "text/event-stream"), ("Content-Length", "99")])
        conn.send(b"data: a\n\n")

    stream = source(session, raw_server(broken).url, reconnects=0)
    assert next(stream).data == "a"
    with pytest.raises(syncclient.ClientPayloadError):
        next(stream)


def test_a_silent_connection_is_made_again(raw_server: StartRawServer, session: Session) -> None:
    """After ``idle_timeout`` seconds without a byte; a comment is a byte."""

    def silent(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Type", "text/event-stream")])
        conn.send(b"retry:0\ndata: a\n\n")
        conn.read_to_end()

    wire = raw_server(silent, events(b"data: b\n\n"))
    with source(session, wire.url, idle_timeout=0.2) as stream:
        assert [next(stream).data, next(stream).data] == ["a", "b"]


def test_the_sessions_total_timeout_is_not_the_streams(raw_server: StartRawServer) -> None:
    """A stream of events lasts; a timeout that is asked for applies."""

    def stall(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Type", "text/event-stream")])
        conn.send(b"retry:0\ndata: a\n\n")
        conn.stall()
        conn.send(b"data: b\n\n")

    wire = raw_server(stall, no_more)
    with Session(timeout=0.2) as session, source(session, wire.url) as stream:
        assert next(stream).data == "a"
        conn = wire.wait_until_stalled()
        time.sleep(0.3)  # longer than the session's timeout: there is no event for its absence
        conn.proceed()
        assert next(stream).data == "b"


@pytest.mark.parametrize("where", ["reading", "waiting to connect"])
def test_closing_ends_the_iteration(
    raw_server: StartRawServer, session: Session, where: str
) -> None:
    """In another thread, be the reader waiting for an event or for the next attempt."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Type", "text/event-stream")])
        conn.send(b"retry: 100000\ndata: a\n\n")
        if where == "reading":
            conn.read_to_end()

    wire = raw_server(script)
    stream = source(session, wire.url)
    assert next(stream).data == "a"
    if where != "reading":
        wire.connections[0].wait_until_ended()
    before = session._portal.crossings
    got: list[ServerSentEvent] = []
    reader = threading.Thread(target=lambda: got.extend(stream))
    reader.start()
    while session._portal.crossings == before:
        pass
    stream.close()
    reader.join(20)
    assert not reader.is_alive()
    assert got == []
    wire.connections[0].wait_until_ended()


@pytest.mark.parametrize("way", ["source", "response"])
def test_events_in_chunks_of_their_own_cross_together(
    raw_server: StartRawServer, session: Session, way: str
) -> None:
    """A thousand events that are here take a few crossings, however they were sent."""
    many = 1000

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(
            headers=[("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
        )
        conn.send(b"".join(b"%x\r\ndata: %03d\n\n\r\n" % (11, n) for n in range(many)))
        conn.send_chunk(b"")

    wire = raw_server(script)
    before = session._portal.crossings
    if way == "source":
        with source(session, wire.url, reconnects=0) as stream:
            got = [next(stream).data for _ in range(many)]
    else:
        with session.get(wire.url) as response:
            got = [event.data for event in response.events()]
    assert got == [f"{n:03d}" for n in range(many)]
    assert session._portal.crossings - before < many / 10


def test_a_second_reader_is_refused(raw_server: StartRawServer, session: Session) -> None:
    """While the first waits, who then gets its event."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Type", "text/event-stream")])
        conn.stall()
        conn.send(b"data: a\n\n")
        conn.read_to_end()

    wire = raw_server(script)
    with source(session, wire.url) as stream:
        conn = wire.wait_until_stalled()
        before = session._portal.crossings
        got: list[ServerSentEvent] = []
        reader = threading.Thread(target=lambda: got.append(next(stream)))
        reader.start()
        while session._portal.crossings == before:
            pass
        with pytest.raises(RuntimeError, match="one reader at a time"):
            next(stream)
        conn.proceed()
        reader.join(20)
        assert [event.data for event in got] == ["a"]


def test_the_sessions_end_is_the_sources(raw_server: StartRawServer) -> None:
    """A reader gets SessionClosedError, and the connection is closed."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Type", "text/event-stream")])
        conn.read_to_end()

    wire = raw_server(script)
    session = Session()
    stream = source(session, wire.url)
    errors: list[BaseException] = []

    def read() -> None:
        try:
            next(stream)
        except BaseException as exc:
            errors.append(exc)

    before = session._portal.crossings
    reader = threading.Thread(target=read)
    reader.start()
    while session._portal.crossings == before:
        pass
    session.close()
    reader.join(20)
    assert [type(error) for error in errors] == [SessionClosedError]
    assert stream.closed
    wire.wait_until_closed()


def test_a_dropped_source_closes_its_connection(
    raw_server: StartRawServer, session: Session
) -> None:
    """And warns."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Type", "text/event-stream")])
        conn.send(b"data: a\n\n")
        conn.read_to_end()

    wire = raw_server(script)
    stream = source(session, wire.url)
    assert next(stream).data == "a"
    with pytest.warns(ResourceWarning, match="unclosed <EventSource"):
        del stream
    wire.wait_until_closed()
