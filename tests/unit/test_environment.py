"""The environment's word on proxies and credentials: who is exempt, who is asked, what is said."""

import logging
import os
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from syncclient._async.connect import environment
from syncclient._async.connect.environment import bypasses, netrc_credentials, proxy_for


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxies, no exemptions, and a home without .netrc."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("NETRC", "REQUEST_METHOD"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    environment._warn_once.cache_clear()


@pytest.mark.parametrize(
    ("url", "settings", "proxy"),
    [
        ("http://a.test", {}, None),
        ("http://a.test", {"http_proxy": "http://p:1"}, "http://p:1"),
        ("http://a.test", {"HTTP_PROXY": "http://p:1"}, "http://p:1"),
        ("http://a.test", {"HTTP_PROXY": "http://big:1", "http_proxy": "http://s:1"}, "http://s:1"),
        ("http://a.test", {"https_proxy": "http://p:1"}, None),
        ("https://a.test", {"https_proxy": "http://p:1"}, "http://p:1"),
        ("https://a.test", {"HTTPS_PROXY": "https://p:1"}, "https://p:1"),
        ("https://a.test", {"all_proxy": "socks5://p:1"}, "socks5://p:1"),
        ("http://a.test", {"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ("http://a.test", {"ALL_PROXY": "http://p:1", "http_proxy": "http://q:1"}, "http://q:1"),
        ("ws://a.test", {"http_proxy": "http://p:1"}, "http://p:1"),
        ("wss://a.test", {"https_proxy": "http://p:1"}, "http://p:1"),
        ("wss://a.test", {"wss_proxy": "http://w:1", "https_proxy": "http://p:1"}, "http://w:1"),
        ("http://a.test", {"http_proxy": "p.test:3128"}, "http://p.test:3128"),
        ("http://a.test", {"http_proxy": "http://u:p%40@p:1"}, "http://u:p%40@p:1"),
        ("http://a.test", {"http_proxy": "", "HTTP_PROXY": "http://p:1"}, None),
        ("http://a.test", {"http_proxy": "http://p:1", "no_proxy": "a.test"}, None),
        ("http://a.test", {"http_proxy": "http://p:1", "NO_PROXY": ".test"}, None),
        ("http://a.test", {"all_proxy": "http://p:1", "NO_PROXY": "*"}, None),
        ("http://a.test", {"http_proxy": "http://p:1", "no_proxy": "b.test"}, "http://p:1"),
        # A web server's CGI programs get a client's header Proxy: as HTTP_PROXY.
        ("http://a.test", {"HTTP_PROXY": "http://evil:1", "REQUEST_METHOD": "GET"}, None),
    ],
    ids=str,
)
def test_the_proxy_of_a_url(
    monkeypatch: pytest.MonkeyPatch, url: str, settings: dict[str, str], proxy: str | None
) -> None:
    """Each scheme has its variable, small letters go first, and all_proxy stands in for both."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(URL(url)) == (None if proxy is None else URL(proxy))


@pytest.mark.parametrize(
    ("no_proxy", "exempt", "others"),
    [
        ("", [], ["a.test"]),
        ("*", ["a.test", "10.0.0.1", "::1"], []),
        ("a.test", ["a.test", "A.TEST", "a.test.", "x.a.test"], ["ba.test", "test", "a.test.x"]),
        (".a.test", ["a.test", "x.a.test"], ["ba.test"]),
        ("*.a.test", ["a.test", "x.a.test"], ["ba.test"]),
        ("b.test, a.test", ["a.test", "b.test"], ["c.test"]),
        ("b.test a.test", ["a.test", "b.test"], ["c.test"]),
        ("a.test:8080", [("a.test", 8080), ("x.a.test", 8080)], [("a.test", 80), "a.test"]),
        ("10.0.0.1", ["10.0.0.1", "::ffff:10.0.0.1"], ["10.0.0.2", "110.0.0.1"]),
        ("10.0.0.1:81", [("10.0.0.1", 81)], [("10.0.0.1", 80)]),
        ("10.0.0.0/8", ["10.1.2.3"], ["11.0.0.1", "10.0.0.1.test", "::1"]),
        ("192.168.1.77/24", ["192.168.1.1"], ["192.168.2.1"]),
        ("fd00::/8", ["fd12::1"], ["fe80::1", "10.0.0.1"]),
        ("::1", ["::1", "0:0:0:0:0:0:0:1"], ["::2"]),
        ("[::1]", ["::1"], ["::2"]),
        ("[::1]:81", [("::1", 81)], [("::1", 80)]),
        ("10", [], ["10.0.0.1"]),
        ("xn--bcher-kva.test", ["bücher.test", "BÜCHER.test", "x.bücher.test"], ["bucher.test"]),
        ("bücher.test", ["xn--bcher-kva.test", "x.xn--bcher-kva.test"], ["bucher.test"]),
        (".faß.test", ["xn--fa-hia.test", "x.faß.test"], ["fass.test"]),
        ("BÜCHER.test:81", [("bücher.test", 81)], [("bücher.test", 80)]),
        ("a\u200db.test", [], ["ab.test"]),
        (",, ,", [], ["a.test"]),
    ],
)
def test_exemptions(
    no_proxy: str, exempt: list[str | tuple[str, int]], others: list[str | tuple[str, int]]
) -> None:
    """no_proxy knows names, subdomains, ports, addresses and ranges of both families."""
    for expected, hosts in ((True, exempt), (False, others)):
        for host in hosts:
            name, port = host if isinstance(host, tuple) else (host, 443)
            assert bypasses(no_proxy, name, port) is expected, host


def test_a_variable_that_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is no URL is named in the error, and what it holds is not."""
    monkeypatch.setenv("https_proxy", "http://user:secret@:80:80")
    with pytest.raises(aiohttp.InvalidURL, match="https_proxy") as caught:
        proxy_for(URL("https://a.test"))
    assert "secret" not in str(caught.value)


def test_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials come from ~/.netrc, or from the file NETRC names, and a change is noticed."""
    assert netrc_credentials("a.test") is None
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine a.test login me password one\n")
    netrc.chmod(0o600)
    assert netrc_credentials("a.test") == ("me", "one")
    assert netrc_credentials("b.test") is None
    netrc.write_text("machine a.test login me password three\ndefault login any password d\n")
    assert netrc_credentials("a.test") == ("me", "three")
    assert netrc_credentials("b.test") == ("any", "d")
    other = tmp_path / "other"
    other.write_text("machine a.test login you password two\n")
    monkeypatch.setenv("NETRC", str(other))
    assert netrc_credentials("a.test") == ("you", "two")


def test_a_proxys_credentials_from_netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A proxy of the environment without credentials gets those that .netrc has for its host."""
    (tmp_path / "netrc").write_text("machine p.test login me password one\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", "http://p.test:1")
    assert proxy_for(URL("http://a.test")) == URL("http://me:one@p.test:1")
    monkeypatch.setenv("http_proxy", "http://you:two@p.test:1")
    assert proxy_for(URL("http://a.test")) == URL("http://you:two@p.test:1")


@pytest.mark.parametrize("broken", ["malformed", "missing", "directory"])
def test_an_unusable_netrc(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    broken: str,
) -> None:
    """A .netrc that cannot be read is logged once, without what is in it, and then ignored."""
    path = tmp_path / "netrc"
    if broken == "malformed":
        path.write_text("machine a.test login me password s3cret\nmachine a.test s3cret s3cret\n")
    elif broken == "directory":
        path.mkdir()
    monkeypatch.setenv("NETRC", str(path))
    with caplog.at_level(logging.WARNING, "syncclient"):
        for _ in range(3):
            assert netrc_credentials("a.test") is None
    assert len(caplog.records) == 1
    assert str(path) in caplog.text
    assert "s3cret" not in caplog.text
