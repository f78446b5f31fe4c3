"""Cookies: whatever is set, what is sent is what was set, and a jar survives its files."""

from __future__ import annotations

import pickle
import tempfile
import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

import syncclient
from syncclient import CookieJar
from syncclient._async.cookies.set_cookie import parse_date, parse_set_cookie
from tests.fuzz.pace import fuzzed
from tests.fuzz.peer import Peer

#: What a header may hold for aiohttp's parser.
OCTETS = st.binary(max_size=60).map(
    lambda data: bytes(byte for byte in data if byte not in b"\r\n\0").strip()
)
#: Text made of what matters to cookies.
PIECES = st.lists(
    st.sampled_from(
        [
            *("a", "b", "=", ";", " ", "\t", ",", '"', "\\", "é", "\udcff", "0", "-1", "/", "."),
            *("Path", "Domain", "Max-Age", "Expires", "Secure", "HttpOnly", "SameSite=lax"),
            *("example.test", "/a/b", "__Host-", "__Secure-", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ]
    ),
    max_size=14,
).map("".join)
HEADERS = st.lists(PIECES, max_size=6)
URLS = st.builds(
    "{}://{}{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["example.test", "a.example.test", "127.0.0.1", "localhost", "co.uk"]),
    st.sampled_from(["/", "/a/b", "/a/b/c?d", ""]),
)


def sent(jar: CookieJar, url: str) -> list[str]:
    target = URL(url)
    return [text for _, text in jar._do(lambda live: live.filter_cookies(target)).pairs]


@given(headers=st.lists(OCTETS, max_size=5))
@fuzzed
def test_any_octets(session: syncclient.Session, peer: Peer, headers: list[bytes]) -> None:
    """No Set-Cookie breaks the response, the next request, or the line between two headers."""
    lines = b"".join(b"Set-Cookie: %b\r\n" % header for header in headers)
    peer.answer = b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n"
    session.cookie_jar.clear()
    try:
        response = session.get(peer.url)
    except syncclient.ClientError:
        return
    kept = {(m.key, m.coded_value) for m in session.cookie_jar}
    assert kept <= {(m.key, m.coded_value) for m in response.cookies.values()} | {
        (parsed.name, parsed.value)
        for header in headers
        if (parsed := parse_set_cookie(header.decode("utf-8", "surrogateescape")))
    }
    peer.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert session.get(peer.url).status == 200


@given(headers=HEADERS, set_by=URLS, url=URLS)
@fuzzed
def test_what_is_sent_was_set(headers: list[str], set_by: str, url: str) -> None:
    """Each pair that is sent is the first part of some header, but for the blanks around."""
    jar = CookieJar()
    jar.update_cookies_from_headers(headers, set_by)
    pairs = set()
    for header in headers:
        name, equals, value = header.partition(";")[0].partition("=")
        name, value = (name.strip(" \t"), value.strip(" \t")) if equals else ("", name.strip(" \t"))
        pairs.add(f"{name}={value}" if name else value)
    said = sent(jar, url)
    assert set(said) <= pairs
    assert len(said) == len(jar) or not all(m["path"] == "/" for m in jar) or set_by != url
    for cookie in jar:
        if cookie.key.lower().startswith("__host-"):
            assert (cookie["secure"], cookie["path"]) == (True, "/")


@given(headers=HEADERS, url=URLS, format=st.sampled_from(["json", "netscape", "pickle"]))
@fuzzed
def test_a_jar_comes_back(
    headers: list[str], url: str, format: Literal["json", "netscape", "pickle"]
) -> None:
    """Through a file, or a pickle, a jar sends what it sent before."""
    jar = CookieJar()
    jar.update_cookies_from_headers([h for h in headers if "\t" not in h], url)
    if format == "pickle":
        loaded = pickle.loads(pickle.dumps(jar))
    else:
        loaded = CookieJar()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cookies"
            jar.save(path, format=format)
            loaded.load(path)
    assert sent(loaded, url) == sent(jar, url)
    assert loaded.host_only_cookies == jar.host_only_cookies


@given(
    content=st.binary(max_size=100)
    | st.lists(st.lists(PIECES, min_size=5, max_size=8).map("\t".join)).map(
        lambda lines: ("# HTTP Cookie File\n" + "\n".join(lines)).encode("utf-8", "surrogateescape")
    )
)
@fuzzed
def test_any_file(content: bytes) -> None:
    """A file is read, or is said to hold no cookies."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cookies"
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                CookieJar().load(path)
            except (ValueError, pickle.UnpicklingError):
                pass


@given(
    moment=st.datetimes(datetime(1970, 1, 1), datetime(2069, 12, 31)).map(
        lambda moment: moment.replace(microsecond=0, tzinfo=timezone.utc)
    ),
    form=st.sampled_from(
        [
            "%a, %d %b %Y %H:%M:%S GMT",
            "%A, %d-%b-%y %H:%M:%S GMT",
            "%a %b %d %H:%M:%S %Y",
            "%H:%M:%S %d %B %Y",
            "%Y/%b/%d/%H:%M:%S",
        ]
    ),
)
@fuzzed
def test_dates_of_all_forms(moment: datetime, form: str) -> None:
    """A date is the moment that it names, in each of the orders that servers have used."""
    assert parse_date(moment.strftime(form)) == moment.timestamp()


@given(text=st.text(max_size=60))
@fuzzed
def test_any_date(text: str) -> None:
    """What is no date is none."""
    parse_date(text)


@given(name=st.text(max_size=8), value=st.text(max_size=8))
@fuzzed
def test_any_cookie_of_a_user(name: str, value: str) -> None:
    """Any cookie of a user is sent as it was given, or a ValueError names it."""
    jar = CookieJar()
    try:
        jar.update_cookies({name: value}, "http://example.test/")
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert repr(name) in refusal
    else:
        assert sent(jar, "http://example.test/") == [f"{name}={value}"]
