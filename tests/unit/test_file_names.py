"""Names that a server suggests, made safe on every system."""

import os
from itertools import islice

import pytest

from syncclient._file_names import numbered, safe_name, stem_of_part


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a.txt", "a.txt"),
        ("naïve €.txt", "naïve €.txt"),
        ("文件.tar.gz", "文件.tar.gz"),
        ("-rf", "-rf"),
        # Ways out.
        ("../../a", "a"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\a.exe", "a.exe"),
        ("C:\\dir\\a.exe", "a.exe"),
        ("C:a.exe", "Ca.exe"),
        ("\\\\host\\share\\a", "a"),
        ("a/../b", "b"),
        # Hidden, and what Windows drops.
        (".bashrc", "bashrc"),
        ("...a", "a"),
        (" .a", "a"),
        ("a.txt.", "a.txt"),
        ("a.txt . .", "a.txt"),
        ("a.txt::$DATA", "a.txt$DATA"),
        ("a.txt:evil.exe", "a.txtevil.exe"),
        ('a<b>c"d|e?f*g', "abcdefg"),
        # Controls, and what shows another name than the name.
        ("a\x00b\nc\r\x1b[2J\x7f\x9b", "abc[2J"),
        ("gpj\u202eexe.scr", "gpjexe.scr"),
        ("a\u200bb\u2066c\ufeff.txt", "abc.txt"),
        ("a\ud800\udcffb", "ab"),
        ("a\u00a0b\u3000c", "a b c"),
        ("a\u2028b", "ab"),
        # Devices.
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("Nul.tar.gz", "_Nul.tar.gz"),
        ("aux .h", "_aux .h"),
        ("COM1", "_COM1"),
        ("lpt9.x", "_lpt9.x"),
        ("COM¹", "_COM¹"),
        ("CONIN$", "_CONIN$"),
        ("..\\prn:", "_prn"),
        ("console.txt", "console.txt"),
        ("com10", "com10"),
        ("nulls", "nulls"),
        # What another download has beside its file.
        ("big.iso.part", "big.iso_part"),
        ("big.iso.part.json", "big.iso_part.json"),
        ("big.iso.PART", "big.iso_PART"),
        ("big.iso.part. ", "big.iso_part"),
        ("big.iso.part\u200b", "big.iso_part"),
        (".part", "part"),
        ("big.part1.rar", "big.part1.rar"),
        ("a.part.txt", "a.part.txt"),
    ],
)
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    """A safe name stays in its directory, can be displayed, and is valid on every system."""
    assert safe_name([name, "other"]) == safe


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        ".",
        "..",
        "...",
        "/",
        "a/",
        "\\",
        " ",
        ". .",
        "\x00",
        ":",
        "\u202e",
        "??",
        "\ud800",
    ],
)
def test_what_is_no_name_is_passed_over(name: str | None) -> None:
    """For the next one, or for ours."""
    assert safe_name([name, "other"]) == "other"
    assert safe_name([name]) == safe_name([]) == "download"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("x" * 300 + ".tar.gz", "x" * 197 + ".gz"),
        ("x" * 300, "x" * 200),
        ("x" * 200, "x" * 200),
        ("ä" * 150 + ".txt", "ä" * 98 + ".txt"),
        ("🎉" * 80 + ".t", "🎉" * 49 + ".t"),
        ("x" * 190 + "." + "y" * 100, "x" * 190 + "." + "y" * 9),
        ("x" * 195 + ".part" + "y" * 50, "x" * 195 + "_part"),
        ("x" * 198 + ". ." + "y" * 50, "x" * 198),
    ],
)
def test_a_long_name_is_shortened(name: str, safe: str) -> None:
    """A long name is cut by bytes, between characters, and keeps its ending."""
    assert safe_name([name]) == safe
    assert len(os.fsencode(safe)) <= 200
    if len(os.fsencode(name)) > 200:
        assert safe_name([name, "other"]) == "other"


def test_numbers_are_wgets() -> None:
    """Behind the whole name."""
    assert list(islice(numbered("a.txt"), 3)) == ["a.txt", "a.txt.1", "a.txt.2"]


@pytest.mark.parametrize("length", [1, 200, 245, 246, 250, 255])
@pytest.mark.parametrize("char", ["x", "ä", "\udcff"])
def test_a_part_has_room_for_its_name(length: int, char: str) -> None:
    """A part fits beside any name that the caller chose; two long names do not share a part."""
    name = char * (length // len(os.fsencode(char)))
    stem = stem_of_part(name)
    assert len(os.fsencode(f"{stem}.part.json")) <= 255
    assert (stem == name) == (len(os.fsencode(name)) <= 245)
    assert stem_of_part(f"{name[:-1]}y") != stem
