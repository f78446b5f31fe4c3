"""EventParser: the cases of the web-platform-tests' EventSource suite, and any way to cut them."""

from collections import deque
from itertools import pairwise

import pytest
from aiohttp import ClientPayloadError
from hypothesis import given
from hypothesis import strategies as st

from syncclient._async.sse import EventParser, ServerSentEvent

LONG = "x" * 2048

#: The name of a case in the suite, what the server sends, and what arrives: the data of
#: each event, or its type and data.
CASES: dict[str, tuple[str, list[str | tuple[str, str]]]] = {
    "format-bom": ("\ufeffdata:1\n\n\ufeffdata:2\n\ndata:3\n\n", ["1", "3"]),
    "format-bom-2": ("\ufeff\ufeffdata:1\n\ndata:2\n\ndata:3\n\n", ["2", "3"]),
    "format-comments": (
        f"data:1\r:\0\n:\r\ndata:2\n:{LONG}\rdata:3\n:data:fail\r:{LONG}\ndata:4\n\n",
        ["1\n2\n3\n4"],
    ),
    "format-data-before-final-empty-line": (
        "retry:1000\ndata:test1\n\nid:test\ndata:test2",
        ["test1"],
    ),
    "format-field-data": ("data:\n\ndata\ndata\n\ndata:test\n\n", ["", "\n", "test"]),
    "format-field-event": ("event:test\ndata:x\n\ndata:x\n\n", [("test", "x"), "x"]),
    "format-field-event-empty": ("event: \ndata:data\n\n", ["data"]),
    "format-field-parsing": (
        "data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\r"
        "data:\r\n data:32\ndata:4\n\n",
        ["\0\n 2\n1\n3\n\n4"],
    ),
    "format-field-unknown": (
        "data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        ["test\n\ntest"],
    ),
    "format-leading-space": ("data:\ttest\rdata: \ndata:test\n\n", ["\ttest\n\ntest"]),
    "format-newlines": ("data:test\r\ndata\ndata:test\r\n\r", ["test\n\ntest"]),
    "format-null-character": ("data:\0\n\n\n\n", ["\0"]),
    "format-utf-8": ("data:ok…\n\n", ["ok…"]),
    "event-data": (
        "data:msg\ndata:msg\n\n:\n\nevent:x\n\ndata:\n\ndata:end\n\n",
        ["msg\nmsg", "", "end"],
    ),
    "an event with no data": ("event:x\nid:1\n\ndata:y\n\n", ["y"]),
}


def parse(*pieces: bytes) -> list[ServerSentEvent]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize("name", CASES)
def test_the_suites_cases(name: str) -> None:
    """The suite's cases, in one piece and byte by byte, give what browsers agree on."""
    text, expected = CASES[name]
    body = text.encode()
    pairs = [("message", each) if isinstance(each, str) else each for each in expected]
    for events in (parse(body), parse(*(bytes([byte]) for byte in body))):
        assert [(event.event, event.data) for event in events] == pairs


@given(
    text=st.text("d:\r\n \ufeffa", max_size=40).map(lambda text: text.replace("d", "data")),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_how_the_bytes_are_cut_does_not_matter(text: str, cuts: list[int]) -> None:
    """Within a character, between CR and LF, at the BOM: the events are the same."""
    body = text.encode()
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[start:stop] for start, stop in pairwise(edges)]
    assert parse(*pieces) == parse(body)


def test_an_event_is_complete_with_the_cr() -> None:
    """An event is complete with its CR: the parser does not wait for an LF that may follow."""
    parser = EventParser()
    assert [event.data for event in parser.feed(b"data:1\r\r")] == ["1"]
    assert [event.data for event in parser.feed(b"\ndata:2\n\n")] == ["2"]


def test_what_is_no_utf_8_is_replaced() -> None:
    """Bytes that are not UTF-8 become U+FFFD, as in browsers."""
    assert parse(b"data:a\xff\xe2\x82\n\n")[0].data == "a\ufffd\ufffd"


def test_ids_last_until_the_next() -> None:
    """An id without NUL counts, an empty one resets; an event without data sets it too."""
    body = b"id:1\ndata:a\n\ndata:b\n\nid:x\0\ndata:c\n\nid\ndata:d\n\nid:9\n\ndata:e\n\n"
    assert [event.id for event in parse(body)] == ["1", "1", "1", "", "9"]


def test_an_id_counts_only_with_its_event() -> None:
    """A connection lost in the middle of an event goes on after the event before it."""
    parser = EventParser()
    parser.feed(b"id:1\ndata:a\n\nid:2\ndata:b\n")
    assert parser.last_event_id == "1"
    parser.restart()
    assert [(e.id, e.data) for e in parser.feed(b"data:c\n\n")] == [("1", "c")]


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("retry:1500", 1.5),
        ("retry:0", 0.0),
        ("retry:1000x", None),
        ("retry:-1", None),
        ("retry:٣", None),
        ("retry:²", None),
        ("retry:+5", None),
        ("retry: 5 ", None),
        ("retry:1.5", None),
        ("retry:", None),
        ("retry:" + "0" * 5000 + "7", 0.007),
        ("retry:86400000", 86400.0),
        ("retry:86400001", None),
        ("retry:" + "9" * 400, None),
        ("retry:" + "9" * 5000, None),
    ],
)
def test_retry_takes_digits_alone(field: str, seconds: float | None) -> None:
    """Milliseconds, a day of them at the most; anything else is ignored."""
    parser = EventParser()
    parser.feed(f"{field}\n".encode())
    assert parser.retry == seconds


def test_an_event_has_a_limit() -> None:
    """One event has a limit, in one line or in many; many small events and comments have none."""
    parser = EventParser(max_event_size=1000)
    for _ in range(100):
        parser.feed(b"data:" + b"x" * 90 + b"\n\n")
        parser.feed(b":" + b"x" * 90 + b"\nunknown:" + b"x" * 90 + b"\nevent:xxxxxxxxxx\n")
    for line in (b"data:" + b"x" * 90, b"data:xxx\n", b":xxxx", b"data\n", b"x"):
        parser.restart()
        with pytest.raises(ClientPayloadError, match="1000 characters; max_event_size="):
            deque(map(parser.feed, [line] * 2000), maxlen=0)


def test_events_before_one_too_long_arrive() -> None:
    """Events in the same piece as one that is too long arrive; the error follows them."""
    parser = EventParser(max_event_size=10)
    events = parser.feed(b"data:1\n\ndata:2\n\ndata:" + b"x" * 20)
    assert [event.data for event in events] == ["1", "2"]
    with pytest.raises(ClientPayloadError):
        parser.feed(b"")


@pytest.mark.parametrize("event_id", ["a\x01b", "\x7f", "\x1b[0m", "a\x0bb"])
def test_an_id_that_no_header_takes_is_not_sent(event_id: str) -> None:
    """The event has it; the next request says the id before, and repeats an event or two."""
    parser = EventParser()
    events = parser.feed(f"id:1\ndata:a\n\nid:{event_id}\ndata:b\n\n".encode())
    assert [event.id for event in events] == ["1", event_id]
    assert parser.last_event_id == "1"


def test_json() -> None:
    """The data of an event is often JSON."""
    assert parse(b'data: {"a":\ndata: 1}\n\n')[0].json() == {"a": 1}
