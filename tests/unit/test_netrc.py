"""The grammar of .netrc, beside the parser that requests and httpx use."""

import netrc
import sys
from pathlib import Path

import pytest

from syncclient._async.connect.netrc import MalformedError, parse_netrc

A_B = ("a", "b")


@pytest.mark.parametrize(
    ("text", "host", "found"),
    [
        ("machine h.test login a password b", "h.test", A_B),
        ("machine h.test\n\tlogin a\r\n\tpassword b\r\n", "h.test", A_B),
        ("machine h.test user a password b", "h.test", A_B),
        ("machine h.test password b login a", "h.test", A_B),
        ('machine h.test login "a" password "b"', "h.test", A_B),
        (r'machine h.test login a password "b \" c"', "h.test", ("a", 'b " c')),
        (r"machine h.test login a password b\ c", "h.test", ("a", "b c")),
        (r"machine h.test login a password b\\c", "h.test", ("a", r"b\c")),
        ("machine h.test login a password #b", "h.test", ("a", "#b")),
        ("machine h.test login a password b#c", "h.test", ("a", "b#c")),
        ("# all of it\nmachine h.test login a password b # rest", "h.test", A_B),
        ("machine h.test login a # machine i.test\npassword b", "h.test", A_B),
        ("machine h.test login a password pä", "h.test", ("a", "pä")),
        ("machine h.test login a:c password b:d", "h.test", ("a:c", "b:d")),
        ("machine h.test login a account c password b", "h.test", A_B),
        ("machine h.test login a password b\nmacdef m\nmachine i.test x\n\n", "h.test", A_B),
        ("macdef m\nput x\n\nmachine h.test login a password b", "h.test", A_B),
        ("machine i.test login c password d\nmachine h.test login a password b", "h.test", A_B),
        ("machine i.test login c password d\ndefault login a password b", "h.test", A_B),
        ("default login c password d\nmachine h.test login a password b", "h.test", A_B),
        ("machine i.test login a password b", "h.test", None),
        ("machine h.test.other login a password b", "h.test", None),
        ("machine test login a password b", "h.test", None),
        ("", "h.test", None),
    ],
)
def test_what_all_clients_read_alike(
    tmp_path: Path, text: str, host: str, found: tuple[str, str] | None
) -> None:
    """An ordinary file means what it means to the library that the Python clients use."""
    assert parse_netrc(text.encode()).entry(host) == found
    if sys.version_info >= (3, 11):  # before, that one splits words in another way
        path = tmp_path / "netrc"
        path.write_text(text, "utf-8")
        theirs = netrc.netrc(str(path)).authenticators(host)
        assert (theirs and (theirs[0], theirs[2])) == found


@pytest.mark.parametrize(
    ("text", "host", "found"),
    [
        # The first entry for a host counts, as for ftp and curl.
        ("machine h login a password b machine h login c password d", "h", A_B),
        # A host has no case, nor a dot at its end, nor two spellings of an address or a name.
        ("MACHINE H.Test LOGIN a PASSWORD b", "h.test", A_B),
        ("machine h.test. login a password b", "h.test", A_B),
        ("machine h.test login a password b", "h.test.", A_B),
        ("machine ::1 login a password b", "::1", A_B),
        ("machine [0:0::1] login a password b", "::1", A_B),
        ("machine bücher.test login a password b", "xn--bcher-kva.test", A_B),
        ("machine xn--bcher-kva.test login a password b", "xn--bcher-kva.test", A_B),
        # An entry that says nothing takes the host out of the default.
        ("machine h\ndefault login c password d", "h", None),
        # One half is enough, as for curl and requests; an account stands in for a login.
        ("machine h login a", "h", ("a", "")),
        ("machine h password b", "h", ("", "b")),
        ("machine h account a password b", "h", A_B),
        ('machine h login a password ""', "h", ("a", "")),
        ('machine h login a password "b', "h", A_B),
        # A macro at the end of the file needs no empty line.
        ("machine h login a password b\nmacdef m\nput x", "h", A_B),
        ("\ufeffmachine h login a password b", "h", A_B),
    ],
)
def test_what_they_read_differently(text: str, host: str, found: tuple[str, str] | None) -> None:
    """Where the clients differ, a file means what its author must have meant."""
    assert parse_netrc(text.encode()).entry(host) == found


def test_the_default_can_be_left_out() -> None:
    """A proxy, and the target of a redirect, get what names them only."""
    parsed = parse_netrc(b"machine h login a password b default login c password d")
    assert parsed.entry("h", default=False) == A_B
    assert parsed.entry("i", default=False) is None
    assert parsed.entry("i") == ("c", "d")


def test_a_file_in_latin_1() -> None:
    """What is no UTF-8 is read, and sent, byte for byte."""
    parsed = parse_netrc("machine h login a password pä".encode("latin-1"))
    assert parsed.entry("h") == ("a", "pä")
    assert parsed.encoding == "latin-1"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("machine h login a password my secret", 1),
        ("machine h login a password b\n\nsecret", 3),
        ("machine h port 80", 1),
        ("login a password b", 1),
        ('machine h "" login a', 1),
        ("machine h login", 1),
        ("machine", 1),
        ("<html>", 1),
    ],
)
def test_what_is_no_netrc(text: str, line: int) -> None:
    """A word in the wrong place spoils the file, since it may be half of a password."""
    with pytest.raises(MalformedError, match=f"line {line}") as caught:
        parse_netrc(text.encode())
    assert "secret" not in str(caught.value)
