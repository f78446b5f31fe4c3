"""What a jar makes of Set-Cookie: tables of headers, and the Cookie header that follows.

The kinds are those of the public http-state cases and of browsers' web platform tests.
"""

import time

import pytest
from yarl import URL

from syncclient import CookieJar
from syncclient._async.connect.tcp import unix_socket
from syncclient._async.cookies.jar import LiveCookieJar
from syncclient._async.cookies.set_cookie import parse_date

HOME = "http://www.example.test/a/b/page"


def sent(jar: CookieJar, url: str = HOME) -> str:
    """Return the Cookie header of a request for `url`."""
    target = URL(url)
    return "; ".join(text for _, text in jar._do(lambda live: live.filter_cookies(target)).pairs)


def after(headers: list[str], set_by: str = HOME, url: str = HOME) -> str:
    """Return what is sent to `url` after `set_by` has set cookies."""
    jar = CookieJar()
    jar.update_cookies_from_headers(headers, set_by)
    return sent(jar, url)


PAIRS: list[tuple[list[str], str]] = [
    # Values, octet for octet.
    (["a=abc=="], "a=abc=="),
    (["a=1,2,3"], "a=1,2,3"),
    (['a={"id":7,"x":[1]}'], 'a={"id":7,"x":[1]}'),
    (["a="], "a="),
    (['a="b c"'], 'a="b c"'),
    (['a="b c'], 'a="b c'),
    (['a="b\\"c"'], 'a="b\\"c"'),
    (['a="b;c"'], 'a="b'),
    (["a=b\tc"], "a=b\tc"),
    (["a=b  c"], "a=b  c"),
    (["a=\\054\\073"], "a=\\054\\073"),
    (["a=é"], "a=é"),
    (["a=\udce9"], "a=\udce9"),
    (["a==b"], "a==b"),
    (["a===="], "a===="),
    (["a=1; b=2"], "a=1"),
    (["a=1, b=2"], "a=1, b=2"),
    (["a=1,b=2; Path=/"], "a=1,b=2"),
    # Names.
    (["a b=1"], "a b=1"),
    (['"a"=1'], '"a"=1'),
    (["a[0]=1"], "a[0]=1"),
    (["a,b=1"], "a,b=1"),
    (["ключ=1"], "ключ=1"),
    (["$Version=1"], "$Version=1"),
    (["path=1"], "path=1"),
    (["expires=1"], "expires=1"),
    (["Secure=1"], "Secure=1"),
    (["a=1", "A=2"], "a=1; A=2"),
    # Blanks around.
    (["  a = 1 ; Path = / "], "a=1"),
    (["\ta\t=\t1\t"], "a=1"),
    (["a=1;"], "a=1"),
    (["a=1;;; ;"], "a=1"),
    # Without a name, and without an equals sign.
    (["foo"], "foo"),
    (["=foo"], "foo"),
    ([" = foo"], "foo"),
    (["=foo=bar"], "foo=bar"),
    (["foo", "=bar"], "bar"),
    (["foo; Path=/", "a=1; Path=/"], "foo; a=1"),
    # No cookies.
    ([""], ""),
    (["="], ""),
    (["; a=1"], ""),
    (["  ;"], ""),
    (["=; Path=/"], ""),
    # Control characters spoil the whole header.
    (["a=1\x00"], ""),
    (["a=1\x07b"], ""),
    (["a\x01=1"], ""),
    (["a=1\x7f"], ""),
    (["a=1; Path=/\x1f"], ""),
    (["a=1\r\nX: y"], ""),
    (["a=\ud800"], ""),
    (["a=1; Path=/\udfff"], ""),
    # Size.
    (["a=" + "x" * 4095], "a=" + "x" * 4095),
    (["a=" + "x" * 4096], ""),
    (["a" * 4096 + "="], "a" * 4096 + "="),
    (["a" * 4097 + "="], ""),
    (["a=" + "é" * 2047], "a=" + "é" * 2047),
    (["a=" + "é" * 2048], ""),
    (["a=1; Path=/" + "x" * 1023], ""),  # a path elsewhere
    (["a=1; Path=/" + "x" * 1024], "a=1"),  # passed over
    (["a=1; Domain=" + "x" * 1025], "a=1"),
    (["a=1; X=" + "x" * 5000], "a=1"),
    # The same cookie again: in its place; another attribute makes another cookie.
    (["a=1", "b=2", "a=3"], "a=3; b=2"),
    (["a=1", "a=2; Path=/"], "a=1; a=2"),
    (["a=1; Domain=example.test", "a=2"], "a=1; a=2"),
]


@pytest.mark.parametrize(("headers", "header"), PAIRS, ids=lambda value: ascii(value)[:60])
def test_names_and_values(headers: list[str], header: str) -> None:
    """A cookie goes back as it came, or it never was one."""
    assert after(headers) == header


@pytest.mark.parametrize(
    ("headers", "header"),
    [
        (["a=1; Max-Age=10"], "a=1"),
        (["a=1", "a=1; Max-Age=0"], ""),
        (["a=1", "a=2; Max-Age=-1"], ""),
        (["a=1", "a=2; Max-Age=-0"], ""),
        (["a=1", "a=2; max-age=0"], ""),
        (["a=1; Max-Age=" + "9" * 1000], "a=1"),
        (["a=1", "a=1; Max-Age=-" + "9" * 1000], ""),
        # Ignored.
        (["a=1; Max-Age="], "a=1"),
        (["a=1; Max-Age"], "a=1"),
        (["a=1; Max-Age=-"], "a=1"),
        (["a=1; Max-Age=+0"], "a=1"),
        (["a=1; Max-Age=0x0"], "a=1"),
        (["a=1; Max-Age=0.5"], "a=1"),
        (["a=1; Max-Age=0 0"], "a=1"),
        (['a=1; Max-Age="0"'], "a=1"),
        (["a=1; Max-Age=\u0660"], "a=1"),
        (["a=1; Max-Age=0" + "0" * 1024], "a=1"),
        # It counts for more than Expires, wherever it stands.
        (["a=1; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], "a=1"),
        (["a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=10"], "a=1"),
        (["a=1", "a=1; Max-Age=0; Expires=Fri, 01 Jan 2100 00:00:00 GMT"], ""),
        (["a=1", "a=1; Max-Age=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], ""),
        # The last that can be read.
        (["a=1", "a=1; Max-Age=10; Max-Age=0"], ""),
        (["a=1; Max-Age=0; Max-Age=10"], "a=1"),
        (["a=1; Max-Age=10; Max-Age=x"], "a=1"),
        # Logging out.
        (["a=1", "a=; Path=/a/b; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], ""),
        (["a=1", "a=; Expires=Thu, 01-Jan-1970 00:00:00 GMT"], ""),
        (["a=1", "a=; Expires=Thu, 01 Jan 1970 00:00:01 GMT"], ""),
        (["a=1", "a=; Expires=Mon, 01-Jan-70 00:00:00 GMT"], ""),
        (["a=1", "a=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0; path=/a/b"], ""),
        (["a=1", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/"], "a=1"),
        (["a=1; Expires=garbage"], "a=1"),
        (["a=1; Expires=0"], "a=1"),
        (["a=1; Expires="], "a=1"),
        (["a=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT"], "a=1"),
        # What is set anew does not inherit the end of the old one.
        (["a=1; Max-Age=10", "a=2"], "a=2"),
    ],
    ids=lambda value: ascii(value)[:70],
)
def test_lifetimes(headers: list[str], header: str) -> None:
    """Max-Age and Expires are read as browsers read them, and an end in the past is the end."""
    assert after(headers) == header


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 01-Jan-1970 00:00:00 GMT", 0),
        ("Thursday, 01-Jan-70 00:00:00 GMT", 0),
        ("Thu Jan  1 00:00:00 1970", 0),
        ("1970 Jan 1 00:00:00", 0),
        ("00:00:00 1 JANUARY 1970", 0),
        ("01/Jan/1970/00:00:00", 0),
        ("1 jan 1970 0:0:0", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Sun, 06 Nov 1994 08:49:37 +0500", 784111777),  # zones are not looked at
        ("06 Nov 1994 08:49:37.123", 784111777),
        ("(06) [Nov] {1994} 08:49:37!", 784111777),
        ("x06 06 Nov 1994 08:49:37", 784111777),
        ("1 Jan 69 00:00:00", 3124224000),
        ("1 Jan 00 00:00:00", 946684800),
        ("29 Feb 2000 00:00:00", 951782400),
        ("1 Jan 1601 00:00:00", -11644473600),
        ("", None),
        ("garbage", None),
        ("0", None),
        ("Thu, 01 Jan 1970", None),
        ("1 Jan 1970 00:00", None),
        ("1 Jan 1970 24:00:00", None),
        ("1 Jan 1970 00:60:00", None),
        ("1 Jan 1970 00:00:60", None),
        ("0 Jan 1970 00:00:00", None),
        ("32 Jan 1970 00:00:00", None),
        ("30 Feb 2000 00:00:00", None),
        ("29 Feb 2001 00:00:00", None),
        ("1 Jan 1600 00:00:00", None),
        ("1 Jan 19700 00:00:00", None),
        ("1 Foo 1970 00:00:00", None),
        ("1 Jan 1970 000:00:00", None),
        ("01-01-1970 00:00:00", None),
        ("9" * 5000, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_dates(text: str, moment: float | None) -> None:
    """Dates of the past's odd forms are understood, by the algorithm of RFC 6265, 5.1.1."""
    assert parse_date(text) == moment


def test_the_longest_path_goes_first_and_then_the_oldest() -> None:
    """Cookies go in the order of RFC 6265, 5.4; one that is set anew keeps its place."""
    jar = CookieJar()
    for header in ("c=1; Path=/", "b=1; Path=/a", "a=1; Path=/", "d=1; Path=/a/b"):
        jar.update_cookies_from_headers([header], HOME)
    assert sent(jar) == "d=1; b=1; c=1; a=1"
    jar.update_cookies_from_headers(["c=2; Path=/"], HOME)
    assert sent(jar) == "d=1; b=1; c=2; a=1"


def test_expiry_counts_when_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cookie goes until its moment comes, and is gone from then on; 400 days are the most."""
    jar = CookieJar()
    now = time.time()
    headers = ["a=1; Max-Age=10", "b=1", "c=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT"]
    jar.update_cookies_from_headers(headers, HOME)
    monkeypatch.setattr(time, "time", lambda: now + 9)
    assert sent(jar) == "a=1; b=1; c=1"
    monkeypatch.setattr(time, "time", lambda: now + 11)
    assert sent(jar) == "b=1; c=1"
    assert (len(jar), {c.key for c in jar}) == (2, {"b", "c"})
    monkeypatch.setattr(time, "time", lambda: now + 401 * 86400)
    assert sent(jar) == "b=1"


def test_a_site_has_no_more_cookies_than_in_browsers() -> None:
    """180 of a site, its hosts together: the oldest go, those without Secure first."""
    jar = CookieJar()
    jar.update_cookies_from_headers(["old=1; Secure; Path=/"], "https://h.test/")
    jar.update_cookies_from_headers(["other=1"], "http://other.test/")
    for turn in range(30):
        headers = [f"c{turn}-{n}=1" for n in range(100)]
        jar.update_cookies_from_headers(headers, f"https://{turn % 3}.h.test/")
    keys = {cookie.key for cookie in jar}
    assert len(keys) == 180 + 1
    assert {"old", "other"} <= keys
    assert {f"c29-{n}" for n in range(100)} <= keys


def test_what_is_used_stays() -> None:
    """The cookies that were sent least recently are dropped first."""
    jar = CookieJar()
    jar.update_cookies_from_headers([f"c{n}=1; Path=/{n}" for n in range(180)], "http://h.test/")
    assert sent(jar, "http://h.test/0") == "c0=1"
    jar.update_cookies_from_headers(["new=1; Path=/"], "http://h.test/")
    assert len(jar) == 180
    assert sent(jar, "http://h.test/0") == "c0=1; new=1"
    assert sent(jar, "http://h.test/1") == "new=1"


def test_all_sites_together_are_bounded() -> None:
    """Some 3,000 in all, whoever sprays them; what the user gave for every host stays."""
    jar = CookieJar()
    jar.update_cookies({"mine": "1"})
    for n in range(4000):
        jar.update_cookies_from_headers(["a=1; Path=/"], f"http://h{n}.test/")
    assert 2900 < len(jar) <= 3300
    assert sent(jar, "http://h0.test/") == "mine=1"
    assert sent(jar, "http://h3999.test/") == "mine=1; a=1"


def test_what_a_user_sets() -> None:
    """A name that promises something is kept with the promise; size is the user's business."""
    jar = CookieJar()
    jar.update_cookies({"__Host-a": "1", "__secure-b": "2"}, "https://h.test/a/b")
    jar.update_cookies({"big": "x" * 5000, "__Secure-c": "3"})
    assert {c.key for c in jar if c["secure"]} == {"__Host-a", "__secure-b"}
    assert sent(jar, "https://h.test/").count("=") == 4
    assert {"big", "__Secure-c"} == set(jar.filter_cookies("http://other.test/"))
    jar.update_cookies({"__Host-a": "4"}, "http://h.test/")
    assert "4" not in {cookie.value for cookie in jar}


def test_unix_sockets_are_servers_of_their_own() -> None:
    """Two sockets, and the network, share no cookie, though the URL has the same host."""
    live, url = LiveCookieJar(), URL("http://localhost/")
    for path in ("/a.sock", "/b.sock", None):
        token = unix_socket.set(path)
        live.update_cookies_from_headers([f"sid={path}"], url)
        unix_socket.reset(token)
    for path in ("/a.sock", "/b.sock", None):
        token = unix_socket.set(path)
        assert [text for _, text in live.filter_cookies(url).pairs] == [f"sid={path}"]
        unix_socket.reset(token)
