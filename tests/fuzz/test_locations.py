"""Location headers of any kind: followed to somewhere, or a documented error."""

from __future__ import annotations

import socket

import aiohttp
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

import syncclient
from syncclient._urls import parse_url, refine_url, url_or_fault
from tests.fuzz.pace import fuzzed
from tests.fuzz.peer import Peer

#: Pieces that mean something in a URL, and bytes that do not.
pieces = st.sampled_from(
    [
        *("http:", "https:", "ws:", "ftp:", "//", "/", ".", "..", "?", "#", "@", ":", "[", "]"),
        *("%", "%2", "%2F", "%00", "%zz", "xn--", "xn--a", "\\", "127.1", "0x7f", "256"),
        *("[::1]", "[fe80::1%25lo]", "localhost", "a..b", "a", "é", "ß", "\uff19", "\u3002"),
        *("\u200d", "\u0661", ":80", ":99999", ":b", "user:pw@", ";a=b"),
    ]
).map(str.encode)
locations = st.lists(
    st.one_of(pieces, st.binary(max_size=3).map(lambda data: data.translate(None, b"\0\r\n"))),
    max_size=8,
).map(b"".join)


@given(location=locations, status=st.sampled_from([301, 302, 303, 307, 308]))
@fuzzed
def test_any_location(peer: Peer, location: bytes, status: int) -> None:
    """Any Location is followed, or raises one of the errors of redirects."""

    def answer(head: bytes) -> bytes:
        if b" /start " in head:
            start = b"HTTP/1.1 %d Away\r\nContent-Length: 0\r\nLocation: " % status
            return start + location + b"\r\n\r\n"
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    peer.answer = answer

    def only_here(address: aiohttp.AddrInfoType) -> socket.socket:
        # No example leaves this machine.
        if address[4][1] != peer.port:
            raise OSError(f"not going to {address[4]}")
        return socket.socket(*address[:3])

    connector = syncclient.TCPConnector(resolver=_Nowhere(), socket_factory=only_here)
    with syncclient.Session(connector=connector) as session:
        try:
            with session.get(f"{peer.url}/start", timeout=2) as response:
                assert response.read() == b""
        except (syncclient.ClientError, TimeoutError) as exc:
            f"{exc} {exc!r}".encode()


class _Nowhere:
    """A resolver that knows no host, and what it may be asked for."""

    def resolve(self, host: str, port: int, family: int) -> str:
        assert host.isascii() and ".." not in host
        raise OSError(f"there is no {host}")


@given(text=st.one_of(locations.map(lambda data: data.decode("latin-1")), st.text(max_size=30)))
@fuzzed
def test_any_text_as_a_url(text: str) -> None:
    """What is taken is sent as printable ASCII, and means the same when it is parsed again."""
    url = url_or_fault(parse_url, text)
    if isinstance(url, str):
        assert "surrogate" in url or "Unicode" not in url
        return
    assert all("!" <= character <= "~" for character in url.raw_path_qs)
    if url.scheme and url.raw_authority:
        assert parse_url(str(url)) == refine_url(url) == url
        assert refine_url(URL(str(url), encoded=True)).raw_host == url.raw_host
