"""Hosts: names by UTS #46, addresses in all their forms, and what can be no host."""

# ruff: noqa: RUF001  -- characters that look like others are what this is about

import pytest

from syncclient import Session, TCPConnector
from syncclient._hosts import canonical_host, canonical_server_name
from tests.servers.process import AppServer


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("Example.TEST", "example.test"),
        ("example.test.", "example.test."),
        ("under_score.example", "under_score.example"),
        ("-odd-.example", "-odd-.example"),
        ("faß.de", "xn--fa-hia.de"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("under_score.é.example", "under_score.xn--9ca.example"),
        ("क्\u200dष.example", "xn--11b2ezcw70k.example"),
        ("نامه\u200cای.example", "xn--mgba3gch31f060k.example"),
        ("ｆｕｌｌ．ｗｉｄｔｈ", "full.width"),
        ("ideographic。stop", "ideographic.stop"),
        ("soft\u00adhyphen.example", "softhyphen.example"),
        ("i❤.ws", "xn--i-7iq.ws"),
        ("b%C3%BCcher.ex%61mple", "xn--bcher-kva.example"),
    ],
)
def test_names(host: str, expected: str) -> None:
    """A name is mapped as browsers map it, and never to another host."""
    assert canonical_host(host) == expected
    assert canonical_host(expected) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0x7F000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("１２７.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[FE80:0::1]", "[fe80::1]"),
        ("[fe80::1%25eth0]", "[fe80::1%eth0]"),
        ("[fe80::1%eth0]", "[fe80::1%eth0]"),
        ("[fe80::1%25]", "[fe80::1%25]"),
    ],
)
def test_addresses(host: str, expected: str) -> None:
    """Each form of an address that the system's resolver takes is that address."""
    assert canonical_host(host) == expected
    assert canonical_host(expected) == expected


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a...",
        "a b",
        "a\x00b",
        "a\tb",
        "a%00b",
        "a%20b",
        "a%ffb",
        "a/b",
        "a\\b",
        "a^b",
        "a|b",
        "a<b",
        'a"b',
        "a\x7fb",
        "a\ud800b",
        "a" * 64,
        "é" * 64,
        "a." * 127 + "b",
        "256.1",
        "1.2.3.4.5",
        "08.1",
        "0x100000000",
        "1..2",
        "a.1",
        "xn--a",
        "xn--a-.example",
        "a\u200db.example",
        "\u0301a.example",
        "\u0660.example",
        "a\u2100b",
        "[::1",
        "[::g]",
        "[1.2.3.4]",
        "[fe80::1%]",
        "[fe80::1%e/0]",
        "[v1.x]",
        "[]",
    ],
)
def test_what_can_be_no_host(host: str) -> None:
    """An impossible host is a ValueError that does not quote it; it is never looked up."""
    with pytest.raises(ValueError, match=r"host|IPv6") as caught:
        canonical_host(host)
    assert not isinstance(caught.value, UnicodeError)
    assert len(host) < 4 or host not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Example.test", "example.test"),
        ("faß.de", "xn--fa-hia.de"),
        ("127.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_names_for_tls(name: str, expected: str) -> None:
    """A TLS name has no brackets and no zone: it is what a certificate can hold."""
    assert canonical_server_name(name) == expected


@pytest.mark.parametrize("pin", ["faß.test", "FAß.test.", "xn--fa-hia.test"])
def test_pinned_names_in_any_script(app: AppServer, pin: str) -> None:
    """A resolver's table may have a name as it is written or as it is looked up."""
    connector = TCPConnector(resolver={pin: "127.0.0.1"})
    with Session(connector=connector) as session:
        for host in ("faß.test", "xn--fa-hia.test"):
            assert session.get(f"http://{host}:{app.port}/get").read()
