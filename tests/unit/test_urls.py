"""URLs: what is encoded, what is decoded, what stays as it is, and what is one origin."""

import pytest
from yarl import URL

from syncclient._urls import extend_url, follow_location, parse_url, same_origin, to_url

BASE = URL("http://h.test/a/b?q#f")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://h.test", "/"),
        ("http://h.test?", "/?"),
        ("http://h.test/a?", "/a?"),
        ("http://h.test/a?#part", "/a?"),
        ("http://h.test?x", "/?x"),
        ("http://h.test/f%27o?type=a%2Fb&s=a%2Bb%2Fc%3D", "/f%27o?type=a%2Fb&s=a%2Bb%2Fc%3D"),
        ("http://h.test/a%2Cb%3Ac%2F?C=K%2F1%2fs3", "/a%2Cb%3Ac%2F?C=K%2F1%2Fs3"),
        ("http://h.test/%7Ea%2Db%5F%2e?%41=%7e", "/~a-b_.?A=~"),
        ("http://h.test/a+b?c+d", "/a+b?c+d"),
        ("http://h.test/!$&'()*+,;=:@?!$&'()*+,;=:@/?", "/!$&'()*+,;=:@?!$&'()*+,;=:@/?"),
        ("http://h.test/a b?c d", "/a%20b?c%20d"),
        ('http://h.test/"<>\\^`{|}[]', "/%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D"),
        ("http://h.test/é?ö", "/%C3%A9?%C3%B6"),
        ("http://h.test/100%?50%zz", "/100%25?50%25zz"),
        ("http://h.test/\x00\x7f", "/%00%7F"),
        (" \x01http://h.test/a\r\nb\tc", "/abc"),
        ("http://h.test/a/./b/../c", "/a/c"),
        ("http://h.test/a/%2e%2E/b/..", "/"),
        ("http://h.test/../../a/.", "/a/"),
        ("http://h.test//a//b", "//a//b"),
    ],
)
def test_text_is_brought_into_form(text: str, target: str) -> None:
    """The illegal is encoded, the unreserved decoded, and all else is kept; twice is as once."""
    url = parse_url(text)
    assert url.raw_path_qs == target
    assert parse_url(str(url)) == to_url(url) == url


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("/%41%2f;a=%7E?q=%2c+%20", "/%41%2f;a=%7E?q=%2c+%20"),
        ("/a/../b/%2e", "/a/../b/%2e"),
        ("/a HTTP/1.1X", "/a%20HTTP/1.1X"),
        ("/\u010d?\u010d", "/%C4%8D?%C4%8D"),
        ("/%?\x00", "/%25?%00"),
    ],
)
def test_an_encoded_url_stays_to_the_letter(url: str, target: str) -> None:
    """Only what could not stand in a request line is encoded."""
    assert to_url(URL(f"http://h.test{url}", encoded=True)).raw_path_qs == target


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("?x", "http://h.test/a/b?x#f"),
        ("?", "http://h.test/a/b?#f"),
        ("#g", "http://h.test/a/b?q#g"),
        ("//o.test", "http://o.test/#f"),
        ("//o.test:81/x?y", "http://o.test:81/x?y#f"),
        ("//o.test:00000081/x", "http://o.test:81/x#f"),
        ("c", "http://h.test/a/c#f"),
        ("./c/", "http://h.test/a/c/#f"),
        ("../c", "http://h.test/c#f"),
        ("/c#", "http://h.test/c"),
        ("http:d", "http://h.test/a/d#f"),
        ("http:/d", "http://h.test/d#f"),
        ("HTTP://H.TEST/x", "http://h.test/x#f"),
        ("/a b\tc", "http://h.test/a%20bc#f"),
        ("/caf\udce9", "http://h.test/caf%E9#f"),
        ("/café", "http://h.test/caf%C3%A9#f"),
        ("\\\\o.test\\x", "http://h.test/a/%5C%5Co.test%5Cx#f"),
        ("/f%27o?t=a%2Fb", "http://h.test/f%27o?t=a%2Fb#f"),
        ("https://faß.de", "https://xn--fa-hia.de/#f"),
    ],
)
def test_where_a_location_leads(location: str, expected: str) -> None:
    """Relative to where it came from, bytes as they came, with the fragment of before."""
    assert str(follow_location(BASE, location)) == expected


@pytest.mark.parametrize(
    ("url", "params", "target"),
    [
        ("/a", {"k": "a/b c&d"}, "/a?k=a/b+c%26d"),
        ("/a?s=%2F", {"k": "%2F"}, "/a?s=%2F&k=%252F"),
        ("/a?", {"k": "1"}, "/a?k=1"),
        ("/a?x&", {"k": "1"}, "/a?x&k=1"),
        ("/a?x", "s=%2F%2B&k=a b", "/a?x&s=%2F%2B&k=a%20b"),
        ("/a?", {}, "/a?"),
        ("/a%2F", [("k", "1"), ("k", "2")], "/a%2F?k=1&k=2"),
    ],
)
def test_params_leave_the_rest_alone(url: str, params: dict[str, str], target: str) -> None:
    """`params` are added to the query, whose escapes stay; as text they are already encoded."""
    assert extend_url(parse_url(f"http://h.test{url}"), params).raw_path_qs == target


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("http://h.test/a", "http://H.test:80/b?c", True),
        ("https://u:p@h.test", "wss://h.test:443/", True),
        ("ws://h.test", "http://h.test", True),
        ("http://faß.de", "http://xn--fa-hia.de", True),
        ("http://127.1", "http://127.0.0.1", True),
        ("http://h.test", "https://h.test", False),
        ("http://h.test", "https://h.test:80", False),
        ("http://h.test:8001", "http://h.test:8002", False),
        ("http://h.test", "http://h.test.", False),
        ("http://h.test", "http://www.h.test", False),
    ],
)
def test_origins(one: str, other: str, expected: bool) -> None:
    """Scheme, host and port make an origin, in whichever form they are written."""
    assert same_origin(parse_url(one), parse_url(other)) is expected
    assert same_origin(parse_url(other), parse_url(one)) is expected
