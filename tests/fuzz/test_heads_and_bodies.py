"""Heads and bodies, right and wrong: documented errors, and bodies as h11 reads them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import h11
from hypothesis import given
from hypothesis import strategies as st

import syncclient
from tests.fuzz.pace import fuzzed
from tests.fuzz.peer import Peer

#: What a caller has to expect, whatever comes.
EXPECTED = (syncclient.ClientError, TimeoutError)

LIMIT = 2**20


class Answer(NamedTuple):
    """What was made of a server's bytes."""

    status: int
    body: bytes


# Making responses.

ends = st.sampled_from([b"\r\n"] * 8 + [b"\n"])
tokens = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=12).map(str.encode)
values = st.binary(max_size=20).map(
    lambda data: bytes(c for c in data if (c >= 0x20 and c != 0x7F) or c == 9)
)
bodies = st.one_of(st.binary(max_size=60), st.just(b"hello" * 3000))
blanks = st.sampled_from([b" "] * 6 + [b"", b"\t", b"  "])
reasons = st.one_of(st.just(b" OK"), values.map(lambda value: b" " + value), st.just(b""))
plain_headers = st.lists(
    st.builds(
        lambda name, blank, value, end: name + b":" + blank + value + end,
        tokens.map(lambda name: b"X-" + name),
        blanks,
        values,
        ends,
    ),
    max_size=4,
).map(b"".join)


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """A chunked body with all that the grammar allows, and the spellings of its sizes."""
    data = b""
    for piece in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5)):
        size = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % len(piece)
        data += size + draw(st.sampled_from([b""] * 4 + [b";a=b", b';a="b"', b";a"]))
        data += b"\r\n" + piece + b"\r\n"
    return data + b"0\r\n" + draw(st.sampled_from([b"", b"", b"X-Trailer: 1\r\n"])) + b"\r\n"


@st.composite
def heads(
    draw: st.DrawFn, framing: bytes, statuses: st.SearchStrategy[int], versions: list[bytes]
) -> bytes:
    end = draw(ends)
    version = draw(st.sampled_from(versions))
    line = version + b" %03d" % draw(statuses) + draw(reasons) + end
    return line + draw(plain_headers) + framing + draw(plain_headers) + end


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A response that is right, or nearly so."""
    data = b""
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        data += draw(heads(b"", st.sampled_from([100, 102, 103]), [b"HTTP/1.1"]))
    statuses = st.one_of(st.sampled_from([200, 204, 304, 404, 500]), st.integers(200, 599))
    body = draw(bodies)
    kind = draw(st.sampled_from(["length", "chunked", "close", "none", "both", "twice"]))
    if kind == "length":
        wrong = draw(st.sampled_from([0] * 6 + [-1, 1]))
        framing = b"Content-Length: %d\r\n" % max(0, len(body) + wrong)
    elif kind == "chunked":
        spelling = draw(st.sampled_from([b"chunked", b"Chunked", b" chunked "]))
        framing, body = b"Transfer-Encoding:" + spelling + b"\r\n", draw(chunks())
    elif kind == "both":
        framing = b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"
        body = draw(chunks())
    elif kind == "twice":
        framing = b"Content-Length: %d\r\n" % len(body) * 2
    else:
        framing, body = b"", b"" if kind == "none" else body
    data += draw(heads(framing, statuses, [*[b"HTTP/1.1"] * 5, b"HTTP/1.0"])) + body
    return data + draw(st.sampled_from([b""] * 5 + [b"\r\n", b"rubbish", b"HTTP/1.1 200 OK\r\n"]))


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A response with some of its bytes changed, lost or doubled, or cut off."""
    data = bytearray(draw(responses()))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, min(len(data) - 1, 300))))
        match draw(st.sampled_from(["change", "lose", "double", "insert", "cut"])):
            case "change":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "lose":
                del data[at : at + draw(st.integers(1, 5))]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 20))]
            case "insert":
                data[at:at] = draw(
                    st.sampled_from([b"\r", b"\n", b"\0", b" ", b":", b"\xff", b"\t"])
                )
            case _:
                del data[at:]
    return bytes(data)


# Reading them.


def read(session: syncclient.Session, peer: Peer, method: str, answer: bytes) -> Answer | None:
    """Return what the client makes of `answer`; None for a documented error."""
    peer.answer = answer
    try:
        with session.request(
            method, peer.url, allow_redirects=False, auto_decompress=False
        ) as response:
            f"{response} {response.reason} {response.method} {response.url}".encode()
            return Answer(response.status, response.read())
    except EXPECTED as exc:
        f"{exc} {exc!r}".encode()
        return None


def reference(method: str, answer: bytes) -> Answer | None:
    """Return what h11 makes of it; None where it finds fault."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=LIMIT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(answer)
    client.receive_data(b"")
    status, body = 0, b""
    try:
        while True:
            event = client.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return Answer(status, body)
            elif isinstance(event, h11.ConnectionClosed):
                return None
    except h11.RemoteProtocolError:
        return None


methods = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST"])


@given(answer=st.binary(max_size=200))
@fuzzed
def test_any_bytes_at_all(session: syncclient.Session, peer: Peer, answer: bytes) -> None:
    """What is no HTTP is a documented error."""
    read(session, peer, "GET", answer)


@given(method=methods, answer=responses())
@fuzzed
def test_responses_by_the_grammar(
    session: syncclient.Session, peer: Peer, method: str, answer: bytes
) -> None:
    """What h11 accepts is read, and is what h11 read."""
    right = reference(method, answer)
    ours = read(session, peer, method, answer)
    if right is not None:
        assert ours == right


@given(method=methods, answer=spoilt())
@fuzzed
def test_responses_against_the_grammar(
    session: syncclient.Session, peer: Peer, method: str, answer: bytes
) -> None:
    """What both accept is the same to both; all else is a documented error."""
    right = reference(method, answer)
    ours = read(session, peer, method, answer)
    if right is not None and ours is not None:
        assert ours == right


# Content codings.

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
}
codings = st.lists(st.sampled_from([*PACK]), max_size=4)


def framed(body: bytes, encoding: list[str], step: int) -> bytes:
    """A chunked response with chunks of `step` bytes; with 0, one of known length."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + ", ".join(encoding).encode() + b"\r\n"
    if not step:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    data = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + data + b"0\r\n\r\n"


@given(
    text=st.binary(max_size=300), encoding=codings, step=st.integers(0, 50), cut=st.integers(0, 20)
)
@fuzzed
def test_codings_give_the_text_or_an_error(
    session: syncclient.Session, peer: Peer, text: bytes, encoding: list[str], step: int, cut: int
) -> None:
    """Whole, or refused; a body that was cut off is never taken for whole."""
    body = text
    for coding in encoding:
        body = PACK[coding](body)
    compressed = any(coding != "identity" for coding in encoding)
    cut = min(cut, len(body) - 1) if compressed else 0
    peer.answer = framed(body[: len(body) - cut], encoding, step)
    try:
        assert session.get(peer.url).read() == text
        assert not cut
    except syncclient.ClientPayloadError:
        assert cut


@given(body=st.binary(max_size=200), encoding=codings, step=st.integers(0, 50))
@fuzzed
def test_any_bytes_under_any_codings(
    session: syncclient.Session, peer: Peer, body: bytes, encoding: list[str], step: int
) -> None:
    """What cannot be decoded is a documented error."""
    peer.answer = framed(body, encoding, step)
    with suppress(syncclient.ClientPayloadError):
        session.get(peer.url).read()


@given(value=values, body=st.binary(max_size=50))
@fuzzed
def test_any_content_encoding(
    session: syncclient.Session, peer: Peer, value: bytes, body: bytes
) -> None:
    """A coding that is not known leaves the body as it is."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
    peer.answer = head % (value, len(body)) + body
    assert session.get(peer.url).read() == body
