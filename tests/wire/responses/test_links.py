"""The Link header: what is in quotation marks is text, and what is malformed is passed over."""

import time
from typing import Any

import httpx
import pytest
import requests
from yarl import URL

from syncclient import Session
from tests.servers.raw import RawConnection, Script, StartRawServer


def saying(*values: bytes) -> Script:
    """A server whose responses have these Link headers."""
    lines = [b"Link: " + value for value in values]

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"Content-Length: 1", b"", b"x"]))

    return script


def found(raw_server: StartRawServer, *values: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Relations and links; the targets relative to the server where they are on it."""
    url = raw_server(saying(*values)).url
    with Session() as session:
        links = session.get(f"{url}/dir/page?x=1").links
    return [
        (key, {name: str(link[name]).removeprefix(url) for name in link})
        for key, link in links.items()
    ]


NEXT = {"rel": "next", "url": "/next"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"</next>; rel=next", NEXT),
        (b'</next>; rel="next"', NEXT),
        (b"</next>;rel=next", NEXT),
        (b"</next> ; rel = next ", NEXT),
        (b"</next>; rel='next'", NEXT),
        (b"</next>; REL=next", NEXT),
        (b'</next>; Rel="next"; TITLE=x', {**NEXT, "title": "x"}),
        (b"</next>; rel=next;", NEXT),
        (b"</next>;; rel=next", NEXT),
        (b"</next>; =x; rel=next", NEXT),
        (b"</next>; crossorigin; rel=next", {"crossorigin": "", **NEXT}),
        (b"</next> junk; rel=next", NEXT),
        (b"< /next >; rel=next", NEXT),
        (b'</next>; title="a; b, c"; rel=next', {"title": "a; b, c", **NEXT}),
        (b'</next>; title="a, </b>; rel=prev"; rel=next', {"title": "a, </b>; rel=prev", **NEXT}),
        (rb'</next>; title="a\"; rel=\"b"; rel=next', {"title": 'a"; rel="b', **NEXT}),
        (b'</next>; rel="next', NEXT),
        (b'</next>; rel="next" junk', NEXT),
        (b"</next>; rel=next; rel=prev", NEXT),
        (b'</next>; rel=next; url="/evil"', NEXT),
        (b"</next;a,b>; rel=next", {"rel": "next", "url": "/next;a,b"}),
        (b"<other?page=2>; rel=next", {"rel": "next", "url": "/dir/other?page=2"}),
        (b"<?page=2>; rel=next", {"rel": "next", "url": "/dir/page?page=2"}),
        (b"<>; rel=next", {"rel": "next", "url": "/dir/page?x=1"}),
        (b"<http://example.test/a>; rel=next", {"rel": "next", "url": "http://example.test/a"}),
        (b"<//example.test/a>; rel=next", {"rel": "next", "url": "http://example.test/a"}),
        (b"<mailto:a@example.test>; rel=next", {"rel": "next", "url": "mailto:a@example.test"}),
        ("</n\u00e4chste>; rel=next".encode(), {"rel": "next", "url": "/n%C3%A4chste"}),
        (b"</n\xe4chste>; rel=next", {"rel": "next", "url": "/n%E4chste"}),
        (b"<?a=%2C%2F%27>; rel=next", {"rel": "next", "url": "/dir/page?a=%2C%2F%27"}),
        (b'</next>; rel=next; title="n\xe4chste"', {**NEXT, "title": "nächste"}),
        (
            b"</next>; rel=next; title*=UTF-8'de'n%c3%a4chste",
            {**NEXT, "title": "nächste", "title*": "nächste"},
        ),
        (
            b"</next>; title=b; title*=iso-8859-1''n%E4chste; rel=next",
            {**NEXT, "title": "nächste", "title*": "nächste"},
        ),
        (
            b"</next>; title*=UTF-8''a; title=b; rel=next",
            {**NEXT, "title": "a", "title*": "a"},
        ),
        (
            b"</next>; title=b; title*=klingon''a; rel=next",
            {**NEXT, "title": "b", "title*": "klingon''a"},
        ),
    ],
)
def test_one_link(raw_server: StartRawServer, value: bytes, expected: dict[str, str]) -> None:
    """Names of parameters have no case, quoted text is text, targets are relative to the page."""
    [(relation, link)] = found(raw_server, value)
    assert (relation, link) == ("next", expected)


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ([b"</a>; rel=next, </b>; rel=prev"], ["next", "prev"]),
        ([b"</a>; rel=next", b"</b>; rel=prev"], ["next", "prev"]),
        ([b'</a>; rel="next last"'], ["next", "last"]),
        ([b'</a>; rel="next  next"'], ["next"]),
        ([b"</a>; rel=NEXT"], ["next"]),
        ([b"</a>; rel=http://example.test/Rel"], ["http://example.test/Rel"]),
        ([b"</a>", b"</b>; rel="], ["/a", "/b"]),
        ([b"</a>; rel=next, </b>; rel=next"], ["next", "next"]),
        ([b"<http://[bad>; rel=first, </next>; rel=next"], ["next"]),
        ([b"<http://h:99999/>; rel=first, </next>; rel=next"], ["next"]),
        ([b"<http://h:b/>; rel=first, </next>; rel=next"], ["next"]),
        ([b"junk, </next>; rel=next"], ["next"]),
        ([b",, ,</next>; rel=next,"], ["next"]),
        ([b'junk "</a>", </next>; rel=next'], ["next"]),
        ([b"</next>; rel=next, </a; rel=prev"], ["next"]),
        ([b'</a>; title="never ends', b"</next>; rel=next"], ["/a", "next"]),
        ([b""], []),
        ([b"<"], []),
        ([b">;,<;rel=next"], []),
        ([b"\xff\xfe"], []),
    ],
)
def test_several_links(raw_server: StartRawServer, values: list[bytes], keys: list[str]) -> None:
    """Each is there by each of its relations; one that is malformed takes no other with it."""
    assert [key for key, _ in found(raw_server, *values)] == keys


@pytest.mark.parametrize(
    "value",
    [
        b"</next>; rel=next",
        b'</next>; rel="next"; title="more", </last>; rel="last"',
        b"<http://example.test/a?b=c>; rel=next; x=y",
        b'<?page=2>; rel="next",<?page=9>; rel="last"',
    ],
)
def test_as_requests_and_httpx(raw_server: StartRawServer, value: bytes) -> None:
    """Where they understand a header, we read the same in it."""
    url = f"{raw_server(saying(value), saying(value), saying(value)).url}/"
    with Session() as session:
        links = session.get(url).links
        ours = {rel: str(link["url"]) for rel, link in links.items()}
    for theirs in (requests.get(url).links, httpx.get(url).links):
        targets = {rel: str(URL(url).join(URL(link["url"]))) for rel, link in theirs.items()}
        assert targets == ours


@pytest.mark.parametrize(
    "piece",
    [b",", b"<", b">", b",<", b", ", b";", b'"', b"<>;", b'<>;"', b"=", b"\\", b";a=b", b"<a>,"],
)
def test_time_grows_with_the_length_only(raw_server: StartRawServer, piece: bytes) -> None:
    """Parsing takes time that grows with the length only, whatever a server repeats."""
    script = saying(b"</a>; " + piece * (60_000 // len(piece)))
    with Session(max_field_size=2**17, max_line_size=2**17) as session:
        response = session.get(raw_server(script).url)
        began = time.thread_time()
        assert response.links
    assert time.thread_time() - began < 3
