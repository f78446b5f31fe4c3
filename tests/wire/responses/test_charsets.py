"""Charsets: labels by the Encoding standard, byte order marks, and what a server cannot choose."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

from syncclient import AioSession, Response, Session
from tests.servers.raw import RawConnection, Script, StartRawServer


def answering(content_type: str, body: bytes) -> Script:
    """A script that gives the same answer to every request."""

    def script(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            conn.respond(body, headers=[("Content-Type", content_type)] if content_type else [])

    return script


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


#: What each label means in browsers: bytes, and the text they are.
LABELS: dict[str, tuple[bytes, str]] = {
    "utf-8": ("é漢".encode(), "é漢"),
    "UTF8": ("é漢".encode(), "é漢"),
    "unicode-1-1-utf-8": ("é漢".encode(), "é漢"),
    "latin-1": (b"\x80uro\x81", "€uro\x81"),
    "latin1": (b"\x93q\x94", "“q”"),
    "iso-8859-1": (b"\x80\x9d", "€\x9d"),
    "ISO_8859-1": (b"\x80", "€"),
    "us-ascii": (b"caf\xe9", "café"),
    "windows-1252": (b"\x81\x8d\x8f\x90\x9d", "\x81\x8d\x8f\x90\x9d"),
    "iso-8859-9": (b"\xfd\x80", "\u0131€"),
    "windows-1251": (b"\xcf\xf0\x98", "Пр\x98"),
    "tis-620": (b"\xa1\x85", "ก…"),
    "iso-8859-8-i": (b"\xe0", "א"),
    "logical": (b"\xe0", "א"),
    "koi8": (b"\xcb", "к"),
    "macintosh": (b"\x8e\xdb", "é€"),
    "x-mac-cyrillic": (b"\x80\xff", "\u0410€"),
    "gb2312": (b"\xd6\xd0\x81\x40\x81\x30\x81\x30", "中丂\x80"),
    "gbk": ("中㐀".encode("gb18030"), "中㐀"),
    "big5": ("一啫".encode("big5hkscs"), "一啫"),
    "shift_jis": (b"\x87\x40\xfb\xfc", "①髙"),
    "x-sjis": (b"\x87\x40", "①"),
    "windows-31j": (b"\x87\x40", "①"),
    "euc-kr": ("가똠".encode("cp949"), "가똠"),
    "ks_c_5601-1987": ("똠".encode("cp949"), "똠"),
    "euc-jp": ("日本".encode("euc_jp") + b"\xad\xa1\xad\xea\xfc\xe2", "日本①㈱髙"),
    "x-euc-jp": (b"\x8e\xb1\x8f\xb0\xa1", "ｱ丂"),
    "x-gbk": (b"\x80\xa2\xe3", "€€"),
    "iso-2022-jp": ("日本".encode("iso2022_jp"), "日本"),
    "utf-16": ("aé".encode("utf-16-le"), "aé"),
    "utf-16be": ("aé".encode("utf-16-be"), "aé"),
    "ucs-2": ("aé".encode("utf-16-le"), "aé"),
    "x-user-defined": (b"a\x80\xff", "a\uf780\uf7ff"),
}


@pytest.mark.parametrize("label", LABELS)
def test_labels_mean_what_browsers_take_them_for(
    raw_server: StartRawServer, session: Session, label: str
) -> None:
    """By the Encoding standard, in text() and for a TextIOWrapper over the stream."""
    body, text = LABELS[label]
    url = raw_server(answering(f"text/plain; charset={label}", body)).url
    response = session.get(url)
    assert response.text() == text
    assert response.charset == label
    if label not in {"euc-jp", "x-gbk"} and not any("\x80" <= char < "\xa0" for char in text):
        # where Python's own codec has no gaps
        with session.get(url) as response:
            assert io.TextIOWrapper(response.content, response.get_encoding()).read() == text


#: Names that are no labels: codecs of Python's that are no charsets, and what nobody knows.
UNKNOWN = [
    *("hex", "base64", "bz2", "zlib", "zip", "uu", "quopri", "rot13", "ROT_13"),
    *("punycode", "idna", "unicode_escape", "raw-unicode-escape", "undefined", "mbcs", "oem"),
    *("utf-7", "U7", "utf-32", "utf_32_be", "cp037", "ebcdic-cp-us", "charmap", "palmos"),
    *("iso-2022-kr", "hz-gb-2312", "iso-2022-cn", "replacement"),
    *("klingon", "a%00b", "../../etc/passwd", "\xe9", "none", "x" * 4000, "utf-8" * 900),
    *("", '""', "''", " ", "utf 8"),
]


@pytest.mark.parametrize("label", UNKNOWN)
def test_an_unknown_charset_is_as_if_none_was_named(
    raw_server: StartRawServer, session: Session, label: str
) -> None:
    """JSON is UTF-8, and for other bodies the session's resolver decides."""
    body = '["ä", "6162", "abc-"]'.encode()
    for kind in ("text/plain", "application/json"):
        url = raw_server(answering(f"{kind}; charset={label}", body)).url
        response = session.get(url)
        assert (response.text(), response.get_encoding()) == (body.decode(), "utf-8")
        assert response.json(content_type=None) == ["ä", "6162", "abc-"]
    with Session(fallback_charset_resolver=lambda response, body: "utf-16-be") as session:
        url = raw_server(answering(f"text/plain; charset={label}", b"\0a")).url
        assert session.get(url).text() == "a"


@pytest.mark.parametrize(
    "content_type",
    [
        'text/plain; charset="koi8-r"',
        "text/plain; charset='koi8-r'",
        "Text/Plain ;\tCharSet = KOI8-R ;",
        'text/plain; charset= "koi8-r" ; x=y',
        'text/plain; charset="koi8\\-r"',
        'text/plain; charset="koi8-r',
        'text/plain; a="; charset=utf-8"; charset=koi8-r',
        "text/plain; charset=koi8-r; charset=utf-8",
        "text/plain; charset=; charset=koi8-r",
        "text/plain;;; ;charset=koi8-r;",
        "text/plain; charset=koi8-r, text/plain; charset=koi8-r",
        "text/plain; charset=koi8_r",
        "; charset=koi8-r",
        "nonsense; charset=koi8-r",
    ],
)
def test_spellings_of_a_charset(
    raw_server: StartRawServer, session: Session, content_type: str
) -> None:
    """Quotes, case and blanks make no difference, and the first of two charsets counts."""
    response = session.get(raw_server(answering(content_type, b"\xcb")).url)
    assert response.text() == "к"
    assert response.get_encoding() == "koi8-r"


@pytest.mark.parametrize("label", ["", "utf-8", "koi8-r", "utf-16be", "utf-16le", "klingon"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_wins(
    raw_server: StartRawServer, session: Session, label: str, encoding: str
) -> None:
    """Over every label, as in browsers; it is no part of the text."""
    bom = "" if encoding == "utf-8-sig" else "\ufeff"
    body = (bom + "naïve").encode(encoding)
    response = session.get(raw_server(answering(f"text/html; charset={label}", body)).url)
    assert response.text() == "naïve"
    assert body.decode(response.get_encoding()) == "naïve"


def test_the_callers_encoding_is_pythons(raw_server: StartRawServer, session: Session) -> None:
    """text(encoding=...) and a resolver take any codec that decodes to text."""
    url = raw_server(answering("text/plain; charset=utf-8", b"caf\xe9-\x80")).url
    assert session.get(url).text(encoding="latin-1") == "café-\x80"
    assert session.get(url).text("cp437") == "cafΘ-Ç"
    with pytest.raises(LookupError):
        session.get(url).text("hex")
    url = raw_server(answering("text/plain", b"Mnchen-3ya")).url
    with Session(fallback_charset_resolver=lambda response, body: "punycode") as session:
        assert session.get(url).text() == "München"


@pytest.mark.parametrize("unsure", [None, ""])
def test_a_resolver_that_does_not_know_leaves_it_at_utf_8(
    raw_server: StartRawServer, unsure: Any
) -> None:
    """What guesses at encodings returns None for what it does not recognise."""
    url = raw_server(answering("text/plain", "é".encode())).url
    with Session(fallback_charset_resolver=lambda response, body: unsure) as session:
        response = session.get(url)
        assert response.text() == "é"
        assert response.get_encoding() == "utf-8"


@pytest.mark.parametrize("codec", ["punycode", "idna", "unicode_escape", "utf-7", "hex"])
def test_no_charset_makes_decoding_long(
    raw_server: StartRawServer, session: Session, codec: str
) -> None:
    """A megabyte that takes half a minute as punycode is text at once."""
    body = b"a" * 10 + b"-" + b"b1" * 500_000
    url = raw_server(answering(f"text/plain; charset={codec}", body)).url
    response = session.get(url)
    response.read()
    started = time.thread_time()
    assert response.text() == body.decode()
    assert time.thread_time() - started < 2


@pytest.mark.parametrize(
    "header",
    [
        ";" * 90_000,
        "text/plain" + ";" * 90_000,
        "text/plain" + ";a=b" * 22_000,
        'text/plain;charset="' + "\\" * 90_000,
        "text/plain" + ';a="' * 22_000,
        "text/plain;charset=" + " " * 45_000 + "'" * 45_000 + "x",
        "a/" * 45_000,
        "(" * 90_000,
    ],
)
def test_a_long_content_type_is_parsed_at_once(
    raw_server: StartRawServer, session: Session, header: str
) -> None:
    """In time that grows with its length; all that is asked of it together takes milliseconds."""
    response = session.get(raw_server(answering(header, b"x")).url)
    started = time.thread_time()
    assert response.content_type in {"text/plain", "application/octet-stream"}
    assert response.text() == "x"
    assert isinstance(response.charset, (str, type(None)))
    assert time.thread_time() - started < 1


@pytest.mark.parametrize(
    ("header", "content_type"),
    [
        ("Text/HTML", "text/html"),
        ("text/html charset=utf-8", "text/html"),
        ("text/html, text/plain", "text/html"),
        ("application/ld+json;profile=x", "application/ld+json"),
        *((each, "application/octet-stream") for each in ("", "text", "text/", "/x", "a/b/c", "*")),
        *(
            (each, "application/octet-stream")
            for each in ("a b/c", "t\xe9xt/html", ";a=b", '"a/b"')
        ),
    ],
)
def test_content_types(
    raw_server: StartRawServer, session: Session, header: str, content_type: str
) -> None:
    """What is no media type is application/octet-stream, and nothing raises."""
    response = session.get(raw_server(answering(header, b"x")).url)
    assert (response.content_type, response.text()) == (content_type, "x")


JSON = '\n{"a": "é", "b": [1]}\r\n'


@pytest.mark.parametrize("label", ["", "; charset=utf-8", "; charset=utf-16", "; charset=hex"])
@pytest.mark.parametrize(
    "encoding",
    [
        *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"),
        *("utf-32", "utf-32-le", "utf-32-be"),
    ],
)
def test_json_tells_its_encoding(
    raw_server: StartRawServer, session: Session, label: str, encoding: str
) -> None:
    """By a BOM, or by the NULs of UTF-16 and UTF-32 (RFC 4627, section 3)."""
    if encoding == "utf-8" and "16" in label:
        pytest.skip("a lie that nothing gives away")
    body = JSON.strip().encode(encoding)
    url = raw_server(answering(f"application/json{label}", body)).url
    expected = {"a": "é", "b": [1]}
    assert session.get(url).json() == expected
    loaded: list[str] = []
    session.get(url).json(loads=loaded.append)
    assert loaded == [JSON.strip()]
    if not label:
        assert httpx.get(url).json() == expected
        url = raw_server(answering("", body)).url  # requests knows no BOM in application/json
        assert session.get(url).json(content_type=None) == expected
        assert requests.get(url, timeout=20).json() == expected


@pytest.mark.parametrize(
    "body", [b"", b" \r\n\t", b"\xef\xbb\xbf", b"\xff\xfe", b"\xef\xbb\xbf \n"]
)
def test_json_of_nothing(raw_server: StartRawServer, session: Session, body: bytes) -> None:
    """An empty body is None, be there a BOM or not."""
    assert session.get(raw_server(answering("application/json", body)).url).json() is None


def test_json_in_the_callers_encoding(raw_server: StartRawServer, session: Session) -> None:
    """encoding= is Python's, and a BOM is no fault there either."""
    url = raw_server(answering("application/json", b'\xef\xbb\xbf{"a": "\xc3\xa9"}')).url
    assert session.get(url).json(encoding="utf-8") == {"a": "é"}
    url = raw_server(answering("application/json", b'{"a": "\xe9"}')).url
    assert session.get(url).json(encoding="latin-1") == {"a": "é"}


def test_the_async_twin_and_middlewares_read_alike(raw_server: StartRawServer) -> None:
    """session.aio, blocking middlewares, and the engine's responses that async ones see."""
    seen: list[Any] = []

    def blocking(request: Any, handler: Any) -> Response:
        response: Response = handler(request)
        seen.append((response.text(), response.content_type, response.json()))
        return response

    async def asynchronous(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        response = await handler(request)
        seen.append((await response.text(), response.content_type, await response.json()))
        return response

    async def ask(session: AioSession, url: str) -> None:
        async with session.get(url) as response:
            seen.append((await response.text(), response.content_type, await response.json()))

    cases = [
        ("Application/JSON; charset=latin-1", b'["\x80"]', "€"),
        ("application/json; charset=punycode", '["ä"]'.encode("utf-8-sig"), "ä"),
        ("application/json; charset=shift_jis", b'["\x87\x40"]', "①"),
    ]
    for content_type, body, value in cases:
        url = raw_server(answering(content_type, body)).url
        for middlewares in ([blocking], [asynchronous]):
            with Session(middlewares=middlewares) as session:
                session.get(url)
        with Session() as session:
            asyncio.run(ask(session.aio, url))
        assert seen == [(f'["{value}"]', "application/json", [value])] * 3
        seen.clear()


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 200_000, b"9" * 5000, b"nope"])
def test_what_is_no_json_is_a_value_error(
    raw_server: StartRawServer, session: Session, body: bytes
) -> None:
    """Nested too deeply, a number too long, or no JSON at all: never a RecursionError."""
    with pytest.raises(ValueError):  # noqa: PT011  -- Python words them
        session.get(raw_server(answering("application/json", body)).url).json()
