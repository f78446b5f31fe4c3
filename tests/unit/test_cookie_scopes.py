"""Where a cookie goes: domains, paths, Secure, name prefixes, public suffixes.

The kinds are those of the public http-state cases and of browsers' web platform tests.
"""

from typing import NamedTuple

import pytest

from syncclient import CookieJar
from syncclient._async.cookies.public_suffixes import is_public_suffix, registrable_domain


def after(header: str, set_by: str, url: str) -> str:
    """Return the names that are sent to `url` after `set_by` has set a cookie."""
    jar = CookieJar()
    jar.update_cookies_from_headers([header], set_by)
    return "; ".join(m.key for m in jar.filter_cookies(url).values())


class Place(NamedTuple):
    """A cookie of one URL, and whether another one gets it."""

    set_by: str
    attributes: str
    url: str
    sent: bool


DOMAINS = [
    # For that host only.
    Place("http://example.test/", "", "http://example.test/", True),
    Place("http://example.test/", "", "http://example.test:8080/", True),
    Place("http://example.test/", "", "ws://example.test/", True),
    Place("http://example.test/", "", "http://www.example.test/", False),
    Place("http://www.example.test/", "", "http://example.test/", False),
    Place("http://EXAMPLE.test/", "", "http://example.TEST/", True),
    # For what is below.
    Place("http://www.example.test/", "Domain=example.test", "http://example.test/", True),
    Place("http://www.example.test/", "Domain=example.test", "http://a.b.example.test/", True),
    Place("http://www.example.test/", "Domain=.example.test", "http://example.test/", True),
    Place("http://www.example.test/", "Domain=Example.TEST", "http://a.example.test/", True),
    Place("http://www.example.test/", "domain=example.test", "http://a.example.test/", True),
    Place("http://www.example.test/", "Domain=example.test", "http://myexample.test/", False),
    Place("http://example.test/", "Domain=example.test", "http://www.example.test/", True),
    # Last one wins; an empty one is none.
    Place("http://b.h.test/", "Domain=x.test; Domain=h.test", "http://h.test/", True),
    Place("http://b.h.test/", "Domain=h.test; Domain=x.test", "http://b.h.test/", False),
    Place("http://b.example.test/", "Domain=example.test; Domain=", "http://b.example.test/", True),
    Place("http://b.example.test/", "Domain=example.test; Domain=", "http://example.test/", False),
    Place("http://b.example.test/", "Domain", "http://b.example.test/", True),
    Place("http://b.example.test/", "Domain=.", "http://b.example.test/", True),
    Place("http://b.example.test/", "Domain=.", "http://example.test/", False),
    # Not theirs to set.
    Place("http://example.test/", "Domain=www.example.test", "http://www.example.test/", False),
    Place("http://example.test/", "Domain=other.test", "http://other.test/", False),
    Place("http://example.test/", "Domain=other.test", "http://example.test/", False),
    Place("http://example.test/", "Domain=ample.test", "http://example.test/", False),
    # Malformed.
    Place("http://example.test/", "Domain=..example.test", "http://example.test/", False),
    Place("http://example.test/", "Domain=example.test.", "http://example.test/", False),
    Place("http://example.test/", "Domain=example..test", "http://example.test/", False),
    Place("http://example.test/", "Domain=exam ple.test", "http://example.test/", False),
    Place("http://example.test/", "Domain=http://example.test", "http://example.test/", False),
    Place("http://example.test/", "Domain=example.test:80", "http://example.test/", False),
    Place("http://example.test/", "Domain=example.test/", "http://example.test/", False),
    Place("http://example.test/", 'Domain="example.test"', "http://example.test/", False),
    Place("http://example.test/", "Domain=*.example.test", "http://example.test/", False),
    Place("http://example.test/", "Domain=example.test, a.test", "http://example.test/", False),
    Place("http://example.test/", "Domain=\udcff", "http://example.test/", False),
    Place("http://example.test/", "Domain=" + "a" * 300, "http://example.test/", False),
    # Public suffixes.
    Place("http://example.test/", "Domain=test", "http://other.test/", False),
    Place("http://example.test/", "Domain=test", "http://example.test/", False),
    Place("http://example.co.uk/", "Domain=co.uk", "http://other.co.uk/", False),
    Place("http://example.co.uk/", "Domain=.co.uk", "http://example.co.uk/", False),
    Place("http://www.example.co.uk/", "Domain=example.co.uk", "http://example.co.uk/", True),
    Place("http://me.github.io/", "Domain=github.io", "http://you.github.io/", False),
    Place("http://github.io/", "Domain=github.io", "http://github.io/", True),
    Place("http://github.io/", "Domain=github.io", "http://you.github.io/", False),
    Place("http://a.www.ck/", "Domain=www.ck", "http://www.ck/", True),
    Place("http://a.x.kawasaki.jp/", "Domain=x.kawasaki.jp", "http://b.x.kawasaki.jp/", False),
    Place("http://a.xn--p1ai/", "Domain=xn--p1ai", "http://b.xn--p1ai/", False),
    Place("http://a.рф/", "Domain=рф", "http://b.рф/", False),
    # IDN, in either form.
    Place("http://a.bücher.test/", "Domain=bücher.test", "http://bücher.test/", True),
    Place("http://a.bücher.test/", "Domain=xn--bcher-kva.test", "http://bücher.test/", True),
    Place("http://a.xn--bcher-kva.test/", "Domain=BÜCHER.test", "http://bücher.test/", True),
    Place("http://a.xn--strae-oqa.test/", "Domain=straße.test", "http://xn--strae-oqa.test/", True),
    # Addresses and single labels keep their own.
    Place("http://127.0.0.1/", "", "http://127.0.0.1:8091/", True),
    Place("http://127.0.0.1/", "Domain=127.0.0.1", "http://127.0.0.1/", True),
    Place("http://127.0.0.1/", "Domain=.127.0.0.1", "http://127.0.0.1/", True),
    Place("http://127.0.0.1/", "Domain=0.0.1", "http://127.0.0.1/", False),
    Place("http://127.0.0.1/", "Domain=1", "http://127.0.0.1/", False),
    Place("http://127.0.0.1/", "", "http://127.0.0.2/", False),
    Place("http://127.0.0.1/", "", "http://localhost/", False),
    Place("http://[::1]/", "", "http://[::1]:80/", True),
    Place("http://[::1]/", "", "http://[::2]/", False),
    Place("http://[::1]/", "Domain=[::1]", "http://[::1]/", False),
    Place("http://localhost/", "", "http://localhost/", True),
    Place("http://localhost/", "Domain=localhost", "http://localhost/", True),
    Place("http://localhost/", "Domain=localhost", "http://a.localhost/", False),
    Place("http://intranet/", "Domain=.intranet", "http://intranet/", True),
    Place("http://my_host.test/", "Domain=my_host.test", "http://my_host.test/", True),
]


@pytest.mark.parametrize("place", DOMAINS, ids=str)
def test_domains(place: Place) -> None:
    """A host sets cookies for itself and for what is above it, up to what it shares with others."""
    header = f"a=1; {place.attributes}; Path=/"
    assert after(header, place.set_by, place.url) == ("a" if place.sent else "")


PATHS = [
    # Of those without one, the folder.
    Place("http://h.test", "", "http://h.test/", True),
    Place("http://h.test/a", "", "http://h.test/b", True),
    Place("http://h.test/a/", "", "http://h.test/a", True),
    Place("http://h.test/a/", "", "http://h.test/b", False),
    Place("http://h.test/a/b", "", "http://h.test/a", True),
    Place("http://h.test/a/b", "", "http://h.test/a/c/d", True),
    Place("http://h.test/a/b", "", "http://h.test/ab", False),
    Place("http://h.test/a/b?x=/y/z", "", "http://h.test/a/?q", True),
    # Of those with one.
    Place("http://h.test/", "Path=/a", "http://h.test/a", True),
    Place("http://h.test/", "Path=/a", "http://h.test/a/", True),
    Place("http://h.test/", "Path=/a", "http://h.test/a/b?c", True),
    Place("http://h.test/", "Path=/a", "http://h.test/ab", False),
    Place("http://h.test/", "Path=/a", "http://h.test/", False),
    Place("http://h.test/", "Path=/a", "http://h.test/A", False),
    Place("http://h.test/", "Path=/a/", "http://h.test/a", False),
    Place("http://h.test/", "Path=/a/", "http://h.test/a/b", True),
    Place("http://h.test/", "Path=/a//", "http://h.test/a/b", False),
    Place("http://h.test/", "Path=/", "http://h.test/x", True),
    Place("http://h.test/", "path=/a", "http://h.test/a", True),
    Place("http://h.test/", "Path=/a%20b", "http://h.test/a%20b/c", True),
    Place("http://h.test/", "Path=/a b", "http://h.test/a%20b/c", True),
    Place("http://h.test/", "Path=/é", "http://h.test/é/c", True),
    # No path, or no longer one.
    Place("http://h.test/a/b", "Path=c", "http://h.test/a/d", True),
    Place("http://h.test/a/b", "Path=c", "http://h.test/d", False),
    Place("http://h.test/a/b", "Path=", "http://h.test/d", False),
    Place("http://h.test/a/b", "Path", "http://h.test/a/d", True),
    Place("http://h.test/a/b", 'Path="/"', "http://h.test/d", False),
    Place("http://h.test/a/b", "Path=/; Path=/x", "http://h.test/x", True),
    Place("http://h.test/a/b", "Path=/; Path=", "http://h.test/x", False),
]


@pytest.mark.parametrize("place", PATHS, ids=str)
def test_paths(place: Place) -> None:
    """A cookie goes to its path and what is below it."""
    header = f"a=1; {place.attributes}"
    assert after(header, place.set_by, place.url) == ("a" if place.sent else "")


SECURE = [
    Place("https://h.test/", "Secure", "https://h.test/", True),
    Place("https://h.test/", "Secure", "wss://h.test/", True),
    Place("https://h.test/", "Secure", "http://h.test/", False),
    Place("https://h.test/", "Secure", "ws://h.test/", False),
    Place("https://h.test/", "secure=false", "http://h.test/", False),
    Place("https://h.test/", "SECURE", "http://h.test/", False),
    Place("https://h.test/", "", "http://h.test/", True),
    Place("http://h.test/", "Secure", "https://h.test/", False),
    Place("http://h.test/", "Secure", "http://h.test/", False),
    # This very machine without TLS, as browsers and curl have it.
    Place("http://localhost/", "Secure", "http://localhost/", True),
    Place("http://a.localhost/", "Secure", "http://a.localhost/", True),
    Place("http://127.0.0.1/", "Secure", "http://127.0.0.1/", True),
    Place("http://127.8.9.1/", "Secure", "https://127.8.9.1/", True),
    Place("http://[::1]/", "Secure", "http://[::1]/", True),
    # What was set there with TLS still goes over TLS only.
    Place("https://localhost/", "Secure", "http://localhost/", False),
    Place("http://10.0.0.1/", "Secure", "http://10.0.0.1/", False),
    Place("http://127.0.0.1.test/", "Secure", "http://127.0.0.1.test/", False),
]


@pytest.mark.parametrize("place", SECURE, ids=str)
def test_secure(place: Place) -> None:
    """Secure cookies are set with TLS, and sent with it."""
    header = f"a=1; Path=/; {place.attributes}"
    assert after(header, place.set_by, place.url) == ("a" if place.sent else "")


@pytest.mark.parametrize(
    ("set_by", "header", "kept"),
    [
        ("https://h.test/", "__Secure-a=1; Secure", True),
        ("https://h.test/", "__Secure-a=1; Secure; Domain=h.test; Path=/x", True),
        ("https://h.test/", "__Secure-a=1", False),
        ("https://h.test/", "__secure-a=1", False),
        ("https://h.test/", "__SECURE-a=1; Secure", True),
        ("http://h.test/", "__Secure-a=1; Secure", False),
        ("http://h.test/", "__Secure-a=1", False),
        ("https://h.test/", "__Host-a=1; Secure; Path=/", True),
        ("https://h.test/", "__Host-a=1; Secure; Path=/; Domain=", True),
        ("https://h.test/", "__hOsT-a=1; Secure; Path=/", True),
        ("https://h.test/", "__Host-a=1; Path=/", False),
        ("https://h.test/", "__host-a=1; Path=/", False),
        ("https://h.test/", "__Host-a=1; Secure", False),
        ("https://h.test/a/b", "__Host-a=1; Secure; Path=/a", False),
        ("https://h.test/a/b", "__Host-a=1; Secure; Path=a", False),
        ("https://h.test/", "__Host-a=1; Secure; Path=/; Domain=h.test", False),
        ("http://h.test/", "__Host-a=1; Path=/", False),
        ("http://h.test/", "__Host-a=1; Secure; Path=/", False),
        ("http://localhost/", "__Host-a=1; Secure; Path=/", True),
        # Not disguised as cookies without a name, either.
        ("https://h.test/", "=__Host-a=1; Secure; Path=/", False),
        ("https://h.test/", "=__secure-a=1; Secure", False),
        ("https://h.test/", "__Host-a; Secure; Path=/", False),
        ("https://h.test/", "__Secure-; Secure", False),
        # No prefixes.
        ("http://h.test/", "__Hos-a=1", True),
        ("http://h.test/", "a__Host-=1", True),
        ("http://h.test/", "__Host=1", True),
        ("http://h.test/", "__SecureX=1", True),
    ],
)
def test_prefixes(set_by: str, header: str, kept: bool) -> None:
    """A name that promises something is kept only where the promise is."""
    jar = CookieJar()
    jar.update_cookies_from_headers([header], set_by)
    assert len(jar) == kept


@pytest.mark.parametrize(
    ("secure", "insecure", "replaced"),
    [
        ("a=1; Secure; Path=/", "a=2; Path=/", False),
        ("a=1; Secure; Path=/", "a=2; Path=/x", False),
        ("a=1; Secure; Path=/; Domain=h.test", "a=2; Path=/", False),
        ("a=1; Secure; Path=/", "a=2; Path=/; Domain=h.test", False),
        ("a=1; Secure; Path=/", "a=2; Path=/; Max-Age=0", False),
        ("a=1; Secure; Path=/x", "a=2; Path=/", True),
        ("a=1; Secure; Path=/", "b=2; Path=/", True),
        ("a=1; Path=/", "a=2; Path=/", True),
    ],
)
def test_secure_cookies_are_left_alone(secure: str, insecure: str, replaced: bool) -> None:
    """Who has no TLS can neither replace nor hide nor remove a Secure cookie."""
    jar = CookieJar()
    jar.update_cookies_from_headers([secure], "https://h.test/")
    jar.update_cookies_from_headers([insecure], "http://h.test/")
    assert ("2" in {cookie.value for cookie in jar}) == replaced
    jar.update_cookies_from_headers(["a=3; Path=/"], "https://h.test/")
    assert "3" in {cookie.value for cookie in jar}


@pytest.mark.parametrize(
    ("domain", "own", "public"),
    [
        ("com", "com", True),
        ("example.com", "example.com", False),
        ("a.b.example.com", "example.com", False),
        ("co.uk", "co.uk", True),
        ("a.b.co.uk", "b.co.uk", False),
        ("unknown-suffix", "unknown-suffix", True),
        ("a.b.unknown-suffix", "b.unknown-suffix", False),
        ("www.ck", "www.ck", False),
        ("a.www.ck", "www.ck", False),
        ("b.ck", "b.ck", True),
        ("a.b.ck", "a.b.ck", False),
        ("xn--55qx5d.cn", "xn--55qx5d.cn", True),
        ("a.xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn", False),
        ("xn--\u00e9.test", "xn--\u00e9.test", False),
        (".".join("a" * 100) + ".example.com", "example.com", False),
    ],
)
def test_public_suffixes(domain: str, own: str, public: bool) -> None:
    """The list says what one owner registers; of what is not listed, it is the last two labels."""
    assert registrable_domain(domain) == own
    assert is_public_suffix(domain) == public
