"""Server-sent events: any bytes, against a parser that is written as the standard is."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

import syncclient
from syncclient._async.sse import EventParser
from tests.fuzz.pace import fuzzed
from tests.fuzz.peer import Peer

fields = st.sampled_from(["data", "id", "event", "retry", "", "Data", "\ufeffdata", "x"])
values = st.text(max_size=8) | st.sampled_from(["0", "9" * 400, "9" * 5000, "-1", "\0", "٣", "1"])
lines = st.builds(
    lambda name, colon, value: name + colon + value,
    fields,
    st.sampled_from([":", ": ", ""]),
    values,
)
streams = (
    st.lists(st.tuples(lines | st.just(""), st.sampled_from(["\n", "\r", "\r\n"])), max_size=12)
    .map(lambda pairs: "".join(line + end for line, end in pairs))
    .map(lambda text: text.encode("utf-8", "replace"))
) | st.binary(max_size=60)


def by_the_standard(body: bytes) -> list[tuple[str, str, str]]:
    """The events in ``body``: type, data and id (HTML, sections 9.2.5 and 9.2.6)."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    *complete, _ = re.split("\r\n|\r|\n", text)
    data, kind, last_id, buffered_id = "", "", "", ""
    events = []
    for line in complete:
        if not line:
            last_id = buffered_id
            if data:
                events.append((kind or "message", data.removesuffix("\n"), last_id))
            data = kind = ""
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            buffered_id = value
    return events


@given(body=streams, cuts=st.lists(st.integers(0, 200), max_size=5))
@fuzzed
def test_events_are_the_standards(body: bytes, cuts: list[int]) -> None:
    """Any bytes, in pieces of any size, give the events of the standard."""
    parser = EventParser()
    edges = [0, *sorted(cuts), len(body)]
    events = []
    for start, end in pairwise(edges):
        events += parser.feed(body[start : max(start, end)])
    assert [(event.event, event.data, event.id) for event in events] == by_the_standard(body)
    assert parser.retry is None or 0 <= parser.retry <= 86400


@given(body=streams)
@fuzzed
def test_a_source_survives_any_stream(session: syncclient.Session, peer: Peer, body: bytes) -> None:
    """A source reconnects after any stream, with the last id that it received; a 204 ends it."""
    answers = [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry:0\n\n" + body,
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ]
    peer.answer = lambda head: answers.pop(0)
    with session.sse(peer.url) as stream:
        assert len(list(stream)) == len(by_the_standard(b"retry:0\n\n" + body))
    assert answers == []
