"""What a jar remembers of its answers changes none of them."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from syncclient import CookieJar
from syncclient._async.cookies.jar import LiveCookieJar
from syncclient._async.cookies.sent import SentCookies

URLS = [
    URL("http://h.test/"),
    URL("http://h.test/a/b?c"),
    URL("http://h.test:81/a/b"),
    URL("https://h.test/a/b"),
    URL("http://sub.h.test/a"),
    URL("http://127.0.0.1/a"),
]
HEADERS = [
    "a=1; Path=/",
    "a=2; Path=/",
    "a=1; Path=/; HttpOnly",
    "a=1; Path=/; Max-Age=10",
    "a=1; Path=/; Max-Age=30",
    "a=1; Path=/; Max-Age=0",
    "a=3; Path=/a; Secure",
    "a=4; Domain=h.test; Path=/",
    "b=1",
    "b=2; Domain=h.test; Max-Age=15",
    "__Host-c=1; Secure; Path=/",
]
STEPS = st.one_of(
    st.tuples(st.just("set"), st.lists(st.sampled_from(HEADERS), min_size=1, max_size=3)),
    st.tuples(st.just("wait"), st.integers(1, 20)),
    st.tuples(st.just("clear"), st.sampled_from(["a", "b", ""])),
)


class ForgetfulJar(LiveCookieJar):
    """A jar that works everything out anew."""

    def set_from_headers(self, headers: Sequence[str], url: URL, socket: str | None) -> None:
        for header in headers:
            self._forget()
            super().set_from_headers([header], url, socket)

    def cookies_for(self, url: URL, socket: str | None) -> SentCookies:
        self._forget()
        return super().cookies_for(url, socket)


def apply(jar: LiveCookieJar, step: tuple[str, object], url: URL) -> object:
    """Do a step, and return all that can be seen of the jar then."""
    match step:
        case ("set", list(headers)):
            jar.update_cookies_from_headers(headers, url)
        case ("clear", ""):
            jar.clear()
        case ("clear", str(name)):
            jar.clear(lambda morsel: morsel.key == name)
    sent = [jar.filter_cookies(each).pairs for each in URLS]
    held = [(k.cookie, k.created, k.used) for site in jar._sites.values() for k in site.values()]
    return sent, held


@given(steps=st.lists(st.tuples(STEPS, st.sampled_from(URLS)), max_size=20))
def test_a_jar_that_remembers_is_like_one_that_does_not(
    steps: list[tuple[tuple[str, object], URL]],
) -> None:
    """Whatever is set and removed, and whenever, both hold and send the same."""
    with pytest.MonkeyPatch.context() as patch:
        now = 1_000_000.0
        patch.setattr(time, "time", lambda: now)
        jar, forgetful = LiveCookieJar(), ForgetfulJar()
        for step, url in steps:
            if step[0] == "wait":
                assert isinstance(step[1], int)
                now += step[1]
            assert apply(jar, step, url) == apply(forgetful, step, url)


def test_cookies_of_one_request_are_not_those_of_the_next() -> None:
    """What is added to the cookies of one request is in no other's."""
    jar = LiveCookieJar()
    jar.update_cookies_from_headers(["a=1"], URLS[0])
    jar.filter_cookies(URLS[0]).load({"b": "2"})
    assert [text for _, text in jar.filter_cookies(URLS[0]).pairs] == ["a=1"]


def test_a_repeated_header_counts_again_once_the_cookie_is_gone() -> None:
    """A server that sets the same cookie with each response sets it after clear(), too."""
    jar = CookieJar()
    for _ in range(3):
        for _ in range(3):
            jar.update_cookies_from_headers(["a=1"], URLS[0])
            assert set(jar.filter_cookies(URLS[0])) == {"a"}
        jar.clear()
        assert not jar.filter_cookies(URLS[0])


def test_a_cookie_that_is_set_again_lasts_as_its_last_header_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Longer, shorter, or anew once it had expired; its attributes are the last ones, too."""
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    jar, url = LiveCookieJar(), URLS[0]

    def sent() -> list[str]:
        return [text for _, text in jar.filter_cookies(url).pairs]

    for header, wait, expected in [
        ("a=1; Max-Age=10", 9, ["a=1"]),
        ("a=1; Max-Age=30", 29, ["a=1"]),
        ("a=1; Max-Age=30", 1, ["a=1"]),
        ("a=1; Max-Age=10", 11, []),
        ("a=1; Max-Age=10", 1, ["a=1"]),
    ]:
        jar.update_cookies_from_headers([header], url)
        assert sent() == ["a=1"]
        now += wait
        assert sent() == expected
    for header in ("b=1", "b=1", "b=1; HttpOnly", "b=1"):
        jar.update_cookies_from_headers([header], url)
    assert [m["httponly"] for m in jar if m.key == "b"] == [""]
