"""Cookie jars: what is kept and sent, the blocking view of it, files, and sharing."""

import json
import os
import pickle
import stat
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import MozillaCookieJar
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any, Literal

import pytest
from yarl import URL

from syncclient import CookieJar, DummyCookieJar, Session
from tests.servers.process import AppServer


@pytest.fixture
def jar() -> CookieJar:
    """Cookies of example.com, of its subdomain, and one for every host."""
    jar = CookieJar()
    jar.update_cookies({"a": "1", "b": "2"}, "http://example.com/shop/cart")
    domain: SimpleCookie = SimpleCookie("wide=3; Domain=example.com; Path=/")
    jar.update_cookies(domain, URL("http://sub.example.com/"))
    jar.update_cookies({"all": "4"})
    return jar


def names(jar: CookieJar) -> set[str]:
    return {cookie.key for cookie in jar}


def sent(session: Session) -> dict[str, str]:
    cookies: dict[str, str] = session.get("/cookies").json()["cookies"]
    return cookies


# What a session does with it.


def test_cookies_of_a_response_are_sent_from_then_on(app: AppServer) -> None:
    """Set-Cookie fills the jar, requests carry it, an expired cookie leaves it."""
    with Session(app.url, cookie_jar=CookieJar(unsafe=True)) as session:
        session.get("/cookies/set-raw", params=[("header", "a=1"), ("header", "b=2; Path=/no")])
        assert sent(session) == {"a": "1"}
        session.get("/cookies/set-raw", params={"header": "a=; Max-Age=0"})
        assert sent(session) == {}
        assert {cookie.key for cookie in session.cookie_jar} == {"b"}


def test_cookies_of_an_address_are_kept_unless_they_are_refused(app: AppServer) -> None:
    """A host that is an IP address sets its own cookies, as in browsers; not with unsafe=False."""
    with Session() as session:
        assert session.get(f"{app.url}/cookies/set?a=1").json() == {"cookies": {"a": "1"}}
        assert session.cookie_jar.host_only_cookies == {("127.0.0.1", "", "a")}
    with Session(cookie_jar=CookieJar(unsafe=False)) as session:
        session.get(f"{app.url}/cookies/set?a=1")
        assert len(session.cookie_jar) == 0
        named = app.url.replace("127.0.0.1", "localhost")
        assert session.get(f"{named}/cookies/set?a=1").json() == {"cookies": {"a": "1"}}


def test_a_dummy_jar_keeps_nothing(app: AppServer) -> None:
    """DummyCookieJar is for sessions without cookies."""
    with Session(app.url, cookie_jar=DummyCookieJar()) as session:
        assert session.get("/cookies/set?a=1").json() == {"cookies": {}}
        session.cookie_jar.update_cookies({"b": "2"})
        assert (len(session.cookie_jar), list(session.cookie_jar)) == (0, [])
        assert session.get("/cookies", cookies={"own": "1"}).json() == {"cookies": {"own": "1"}}


def test_a_change_of_the_jar_counts_from_the_next_request_on(app: AppServer) -> None:
    """session.cookie_jar is the jar itself, not a copy."""
    with Session(app.url) as session:
        session.cookie_jar.update_cookies({"a": "1"})
        assert sent(session) == {"a": "1"}
        session.cookie_jar.clear()
        assert sent(session) == {}


def test_sessions_may_share_a_jar(app: AppServer) -> None:
    """What one session was told, the other one sends, at the same time and after its end."""
    jar = CookieJar(unsafe=True)
    with Session(app.url, cookie_jar=jar) as one:
        with Session(app.url, cookie_jar=jar) as two:
            one.get("/cookies/set?a=1").read()
            assert sent(two) == {"a": "1"}
            two.get("/cookies/set?b=2").read()
        assert sent(one) == {"a": "1", "b": "2"}
        assert names(jar) == {"a", "b"}
    assert names(jar) == {"a", "b"}
    with Session(app.url, cookie_jar=jar) as later:
        assert sent(later) == {"a": "1", "b": "2"}


# The blocking view.


def test_a_jar_can_be_used_without_a_session(jar: CookieJar) -> None:
    """Made anywhere, asked anywhere: nothing of it needs a loop that runs."""
    assert len(jar) == 4
    assert names(jar) == {"a", "b", "wide", "all"}
    assert not [t for t in threading.enumerate() if t.name.startswith("syncclient")]


def test_iteration_yields_copies(jar: CookieJar) -> None:
    """A caller may change what it got, and a jar that changes does not break the loop over it."""
    for morsel in jar:
        assert isinstance(morsel, Morsel)
        morsel["domain"] = "evil.com"
        jar.clear()
    assert len(jar) == 0


def test_filter_cookies_says_what_a_request_would_carry(jar: CookieJar) -> None:
    """Domain, path and scheme decide, for a str as for a URL."""
    assert set(jar.filter_cookies("http://example.com/shop/x")) == {"a", "b", "wide", "all"}
    assert set(jar.filter_cookies(URL("http://other.example.com/shop/x"))) == {"wide", "all"}
    assert set(jar.filter_cookies("http://example.org/")) == {"all"}
    assert jar.filter_cookies("http://example.com/shop/x")["a"].value == "1"


def test_clear_removes_what_the_predicate_says(jar: CookieJar) -> None:
    """The predicate runs in the caller's thread, and may use the jar."""
    threads = set()

    def doomed(cookie: Morsel[str]) -> bool:
        threads.add(threading.current_thread())
        return cookie.key == "a" and len(jar) == 4

    jar.clear(doomed)
    assert names(jar) == {"b", "wide", "all"}
    assert threads == {threading.current_thread()}
    with pytest.raises(LookupError):
        jar.clear(_raise)
    jar.clear_domain("example.com")
    assert names(jar) == {"all"}
    jar.clear()
    assert len(jar) == 0


def _raise(cookie: Morsel[str]) -> bool:
    raise LookupError


def test_cookies_given_as_an_iterator_are_drawn_by_the_caller() -> None:
    """A generator runs in the thread that calls update_cookies(), like all code of users."""
    jar = CookieJar()

    def given() -> Iterator[tuple[str, str]]:
        yield "thread", threading.current_thread().name
        yield "again", "1"

    jar.update_cookies(given(), "http://example.com/")
    cookies = jar.filter_cookies("http://example.com/")
    assert cookies["thread"].value == threading.current_thread().name
    assert cookies["again"].value == "1"


def test_two_cookies_of_one_name_are_kept_apart() -> None:
    """Pairs may repeat a name: path and domain tell the cookies apart."""
    jar = CookieJar()
    morsels: list[tuple[str, Morsel[str]]] = []
    for path in ("/a", "/b"):
        morsel: Morsel[str] = SimpleCookie(f"k={path[1:]}; Path={path}")["k"]
        morsels.append(("k", morsel))
    jar.update_cookies(morsels, "http://example.com/")
    assert jar.filter_cookies("http://example.com/a")["k"].value == "a"
    assert jar.filter_cookies("http://example.com/b")["k"].value == "b"


def test_raw_set_cookie_headers_are_taken_too() -> None:
    """update_cookies_from_headers() parses what a server sent."""
    jar = CookieJar()
    jar.update_cookies_from_headers(["a=1; Path=/; Secure", "b=2"], "https://example.com/x/y")
    assert set(jar.filter_cookies("https://example.com/x/")) == {"a", "b"}
    assert set(jar.filter_cookies("http://example.com/x/")) == {"b"}


def test_cookies_can_be_looked_at_by_domain_and_path(jar: CookieJar) -> None:
    """cookies and host_only_cookies are snapshots in aiohttp's form."""
    cookies = jar.cookies
    assert cookies["example.com", "/shop"]["a"].value == "1"
    assert cookies["example.com", ""]["wide"]["path"] == "/"
    assert ("example.com", "/shop", "a") in jar.host_only_cookies
    assert not [key for key in jar.host_only_cookies if key[2] == "wide"]
    jar.clear()
    assert cookies["example.com", "/shop"]["b"].value == "2"
    assert not DummyCookieJar().cookies
    assert not DummyCookieJar().host_only_cookies


def test_settings_of_a_jar_can_be_looked_at() -> None:
    """A jar shows its settings under aiohttp's names; their defaults are what browsers do."""
    plain, special = (
        CookieJar(),
        CookieJar(
            unsafe=False, quote_cookie=True, treat_as_secure_origin=["http://localhost:8080/x"]
        ),
    )
    assert (plain.unsafe, plain.quote_cookie, plain.treat_as_secure_origin) == (
        True,
        False,
        frozenset[URL](),
    )
    assert (special.unsafe, special.quote_cookie) == (False, True)
    assert special.treat_as_secure_origin == {URL("http://localhost:8080")}
    assert (DummyCookieJar().unsafe, DummyCookieJar().quote_cookie) == (True, False)


def test_secure_cookies_go_to_origins_treated_as_secure() -> None:
    """Secure cookies go to origins treated as secure; elsewhere only over TLS."""
    trusting, plain = CookieJar(treat_as_secure_origin="http://a.example"), CookieJar()
    for jar, expected in ((trusting, {"t"}), (plain, set[str]())):
        jar.update_cookies_from_headers(["t=1; Secure"], "https://a.example/")
        assert set(jar.filter_cookies("http://a.example/")) == expected


# Files and copies.


def test_save_and_load(jar: CookieJar, tmp_path: Path) -> None:
    """A file holds all of it, only its owner may read it, and aiohttp reads it as well."""
    path = tmp_path / "cookies.json"
    jar.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    loaded = CookieJar()
    loaded.update_cookies({"old": "1"})
    loaded.load(os.fspath(path))
    assert names(loaded) == names(jar)
    assert set(loaded.filter_cookies("http://sub.example.com/shop/")) == {"wide", "all"}
    assert json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize(
    "content",
    [
        *('{"h|/": {"a": {"key": "a", "value": "", "coded_value": "1\\r\\nX: y"}}}',),
        *('{"h|/": {"a": {"key": "a", "value": "", "coded_value": "\\ud800"}}}',),
        *('{"a..b|/": {"a": {"key": "a", "value": "", "coded_value": "1"}}}',),
        *('{"h|/": {"a": {"key": "a", "coded_value": "1", "expires_timestamp": "x"}}}',),
        *(
            "{bad",
            "[1]",
            '{"no separator": {}}',
            '{"a|b": {"x": {"key": 1}}}',
            '{"cookies": [{"name": "a"}]}',
            "cos\nsystem\n.",
            "\x80cos\nsystem\n.",
            "<html>\n" + "\t" * 6 + "</html>",
            "Cookie: a=1",
            "SQLite format 3\0",
        ),
    ],
)
def test_a_malformed_file_leaves_the_jar_as_it_was(
    jar: CookieJar, tmp_path: Path, content: str
) -> None:
    """load() raises ValueError, or UnpicklingError for a pickle that would do harm."""
    path = tmp_path / "cookies.json"
    path.write_text(content, "latin-1" if content[:1] == "\x80" else "utf-8")
    with pytest.raises((ValueError, pickle.UnpicklingError)):
        jar.load(path)
    with pytest.raises(FileNotFoundError):
        jar.load(tmp_path / "missing")
    assert names(jar) == {"a", "b", "wide", "all"}


FUTURE = 4_000_000_000


@pytest.fixture
def kinds() -> CookieJar:
    """A cookie of every kind that a cookies.txt can tell apart."""
    jar = CookieJar()
    jar.update_cookies_from_headers(
        [
            "host=1; Path=/shop; Secure; HttpOnly",
            "wide=2; Domain=example.com; Path=/; Max-Age=1000",
            'quoted="a b\\"c"',
            "empty=",
        ],
        "https://www.example.com/shop/cart",
    )
    return jar


def test_a_cookies_txt_holds_all_but_cookies_for_every_host(
    kinds: CookieJar, tmp_path: Path
) -> None:
    """Domains, paths, flags, deadlines and values come back as they were."""
    path = tmp_path / "cookies.txt"
    kinds.update_cookies({"everywhere": "1"})
    kinds.save(path, format="netscape")
    loaded = CookieJar()
    loaded.update_cookies({"old": "1"})
    loaded.load(path)
    assert names(loaded) == {"host", "wide", "quoted", "empty"}
    kinds.clear(lambda morsel: morsel.key == "everywhere")
    for url in (
        "https://www.example.com/shop/x",
        "http://www.example.com/shop/x",
        "https://sub.www.example.com/shop/x",
        "https://example.com/",
        "https://example.org/",
    ):
        before, after = kinds.filter_cookies(url), loaded.filter_cookies(url)
        assert {k: (m.value, m.coded_value) for k, m in after.items()} == {
            k: (m.value, m.coded_value) for k, m in before.items()
        }
    flags = {m.key: (bool(m["secure"]), bool(m["httponly"])) for m in loaded}
    assert flags["host"] == (True, True)
    assert flags["wide"] == (False, False)
    (deadline,) = (
        int(line.split("\t")[4]) for line in path.read_text().split("\n") if "wide" in line
    )
    assert 900 < deadline - time.time() <= 1001


def test_a_cookies_txt_is_understood_by_the_standard_library(
    kinds: CookieJar, tmp_path: Path
) -> None:
    """What others write is read here, and what is written here is read by others."""
    ours, theirs = tmp_path / "ours.txt", tmp_path / "theirs.txt"
    kinds.save(ours, format="netscape")
    mozilla = MozillaCookieJar(ours)
    mozilla.load(ignore_discard=True, ignore_expires=True)
    found = {c.name: (c.domain, c.path, c.secure, c.expires) for c in mozilla}
    assert found["host"][:3] == ("www.example.com", "/shop", True)
    assert not found["host"][3]  # 0, and None from Python 3.14 on
    assert found["wide"][:3] == (".example.com", "/", False)
    mozilla.save(os.fspath(theirs), ignore_discard=True, ignore_expires=True)
    loaded = CookieJar()
    loaded.load(theirs)
    assert names(loaded) == names(kinds)


def test_a_cookies_txt_of_any_writer_is_taken(tmp_path: Path) -> None:
    """Comments, CRLF, fractions of seconds, a missing dot, odd names, and no value at all."""
    lines = [
        "# HTTP Cookie File",
        "",
        "# a comment",
        f"example.com\tTRUE\t/\tFALSE\t{FUTURE}.5\twide\t1",
        "#HttpOnly_example.com\tFALSE\t/\tTRUE\t\tcart[0]\t2",
        "example.com\tFALSE\t/\tFALSE\t0\tbare",
        "example.com\tFALSE\t/\tFALSE\t1000\texpired\t3",
        f"example.com\tFALSE\t/\tFALSE\t{10**20}\tages\t4",
    ]
    path = tmp_path / "cookies.txt"
    path.write_bytes("\r\n".join(lines).encode())
    jar = CookieJar()
    jar.load(path)
    assert {m.key: m.value for m in jar} == {"wide": "1", "cart[0]": "2", "bare": "", "ages": "4"}
    assert set(jar.filter_cookies("http://a.example.com/")) == {"wide"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("example.com\tTRUE\t/\tFALSE\tsecret\tname\tvalue", "line 3 has an expiry"),
        ("example.com\tTRUE\t/\tFALSE\tnan\tsecret\tvalue", "line 3 has an expiry"),
        ("example.com TRUE / FALSE 0 name secret", "line 3 has 1 fields"),
        ("example.com\tTRUE\t/\tFALSE\t0\tname\tsecret\tsecret", "line 3 has 8 fields"),
        (".\tTRUE\t/\tFALSE\t0\tname\tsecret", "line 3 has no domain"),
        ("ex..ample\tTRUE\t/\tFALSE\t0\tname\tsecret", "line 3 has no domain"),
        ("a b\tTRUE\t/\tFALSE\t0\tname\tsecret", "line 3 has no domain"),
        ("example.com\tTRUE\t/\tFALSE\t0\tname\tsec\0ret", "line 3 has control characters"),
        ("secret", "line 3 has 1 fields"),
    ],
)
def test_an_odd_line_of_a_cookies_txt_costs_that_line(
    jar: CookieJar, tmp_path: Path, line: str, says: str
) -> None:
    """The warning tells file and line, and quotes nothing that might be a secret."""
    path = tmp_path / "cookies.txt"
    good = [f"example.com\tFALSE\t/\tFALSE\t0\t{name}\t1" for name in ("before", "after")]
    path.write_text("\n".join(["# Netscape HTTP Cookie File", good[0], line, good[1]]), "utf-8")
    with pytest.warns(UserWarning, match=says) as caught:
        jar.load(path)
    assert names(jar) == {"before", "after"}
    assert os.fspath(path) in str(caught[0].message)
    assert "secret" not in str(caught[0].message)
    assert caught[0].filename == __file__


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes there")
@pytest.mark.parametrize("format", ["json", "netscape"])
def test_a_saved_file_is_its_owners_only(
    jar: CookieJar, tmp_path: Path, format: Literal["json", "netscape"]
) -> None:
    """A file that was open to all is closed to them before the first cookie is in it."""
    path = tmp_path / "cookies"
    path.write_text("older, and longer than what is written over it\n" * 100)
    path.chmod(0o644)
    jar.save(path, format=format)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "older" not in path.read_text()


def test_an_unknown_format_is_refused(jar: CookieJar, tmp_path: Path) -> None:
    """The error names those there are, and no file is made."""
    wrong: Any = "yaml"
    with pytest.raises(ValueError, match="'json' or 'netscape'"):
        jar.save(tmp_path / "cookies", format=wrong)
    assert not list(tmp_path.iterdir())


def test_a_value_cannot_add_a_line(jar: CookieJar, tmp_path: Path) -> None:
    """A tab, which a server may send, would shift the fields: that cookie stays out of the file."""
    jar.update_cookies_from_headers(["tab=1\t2"], "http://example.com/")
    path = tmp_path / "cookies.txt"
    with pytest.warns(UserWarning, match=r"cookie 'tab' of example\.com does not fit"):
        jar.save(path, format="netscape")
    loaded = CookieJar()
    loaded.load(path)
    assert names(loaded) == names(jar) - {"tab", "all"}
    jar.save(path)
    loaded.load(path)
    assert names(loaded) == names(jar)


def test_a_jar_is_pickled_with_its_cookies(app: AppServer) -> None:
    """A copy in another process, or in this one, starts with the same cookies and settings."""
    with Session(app.url, cookie_jar=CookieJar(unsafe=True)) as session:
        session.get("/cookies/set?a=1").read()
        copy = pickle.loads(pickle.dumps(session.cookie_jar))
        session.cookie_jar.clear()
    assert (names(copy), copy.unsafe) == ({"a"}, True)
    with Session(app.url, cookie_jar=copy) as session:
        assert sent(session) == {"a": "1"}


def test_threads_may_use_a_jar_at_once(app: AppServer) -> None:
    """Readers, writers and requests do not trip over each other."""
    jar = CookieJar(unsafe=True)
    with Session(app.url, cookie_jar=jar) as session:

        def work(number: int) -> None:
            for turn in range(20):
                jar.update_cookies({f"c{number}": str(turn)}, app.url)
                assert jar.filter_cookies(app.url)[f"c{number}"].value == str(turn)
                assert sent(session)[f"c{number}"] == str(turn)
                list(jar)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
    assert names(jar) == {f"c{number}" for number in range(8)}
