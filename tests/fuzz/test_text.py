"""Content-Type and text: any header, any bytes."""

from __future__ import annotations

import codecs
import encodings.aliases

from hypothesis import given
from hypothesis import strategies as st

import syncclient
from tests.fuzz.pace import fuzzed
from tests.fuzz.peer import Peer

#: All that Python has a codec for, and some that browsers have a name for.
CODECS = sorted(
    {*encodings.aliases.aliases.keys(), *encodings.aliases.aliases.values()}
    | {"latin-1", "x-user-defined", "x-sjis", "ks_c_5601-1987", "undefined", "idna", "punycode"}
)

labels = st.sampled_from(CODECS) | st.text(max_size=20)
pieces = st.lists(
    st.sampled_from([";", "=", '"', "'", "\\", " ", "\t", ",", "/", "text/plain", "charset", "é"])
    | labels,
    max_size=12,
).map("".join)
headers = pieces | labels.map(lambda label: f"text/plain; charset={label}")
bodies = st.binary(max_size=60) | st.builds(
    lambda bom, text, codec: bom + text.encode(codec),
    st.sampled_from([b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32"]),
)


def response_with(header: str, body: bytes) -> bytes:
    line = header.encode().translate(None, bytes([*range(9), *range(10, 32), 127]))
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        line,
        len(body),
        body,
    )


@given(header=headers, body=bodies)
@fuzzed
def test_any_content_type(
    session: syncclient.Session, peer: Peer, header: str, body: bytes
) -> None:
    """Any Content-Type is parsed without an error, and its charset decodes any bytes."""
    peer.answer = response_with(header, body)
    response = session.get(peer.url)
    assert response.read() == body
    kind, _, subtype = response.content_type.partition("/")
    assert kind and subtype and " " not in response.content_type
    assert response.charset is None or isinstance(response.charset, str)
    text = response.text(errors="replace")
    assert codecs.lookup(response.get_encoding())
    if body.startswith(codecs.BOM_UTF8):
        assert text == body[3:].decode("utf-8", "replace")


@given(header=headers, body=bodies)
@fuzzed
def test_any_body_as_json(
    session: syncclient.Session, peer: Peer, header: str, body: bytes
) -> None:
    """json() parses any body, or raises ValueError: not JSON, or not text in its encoding."""
    peer.answer = response_with(header, body)
    for ask in (lambda: session.get(peer.url).json(content_type=None), session.get(peer.url).text):
        try:
            ask()
        except ValueError:
            pass
