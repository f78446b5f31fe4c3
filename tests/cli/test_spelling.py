"""What people type from habit: no verb, another's options, brackets in names."""

import re
import shlex
from typing import Any

import click
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

from syncclient._cli.app import cli, run
from syncclient._cli.curl_flags import answer
from syncclient._cli.nested import NestingError, document_of
from syncclient._cli.spelling import Request, as_command, taken_apart
from syncclient._cli.verbs import METHODS

COMMANDS = list(cli.commands)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("localhost", "request localhost"),
        ("localhost:8080/a b=c", "request localhost:8080/a b=c"),
        (":8080", "request :8080"),
        ("example.org", "request example.org"),
        ("http://a/", "request http://a/"),
        ("[::1]:80", "request [::1]:80"),
        ("-v localhost", "request -v localhost"),
        ("get localhost", "get localhost"),
        ("GET localhost", "get localhost"),
        ("Post localhost", "post localhost"),
        ("PROPFIND localhost", "request PROPFIND localhost"),
        ("PURGE http://a/ b:c", "request PURGE http://a/ b:c"),
        ("-h", "--help"),
        ("--version", "--version"),
        ("help", "--help"),
        ("help get", "get --help"),
        ("get -h", "get --help"),
        ("bench -h", "bench --help"),
        ("get -h localhost", "get -h localhost"),
        ("DOWNLOAD a.b", "download a.b"),
        ("", ""),
    ],
)
def test_a_command_is_put_in_front(typed: str, meant: str) -> None:
    """A URL, a method or an option may begin the line; a command stays what it is."""
    assert as_command(typed.split(), COMMANDS) == meant.split()


@pytest.mark.parametrize(
    ("typed", "hint"), [("donwload", "download"), ("gte", "get"), ("frobnicate", "http://frob")]
)
def test_a_word_that_is_nothing_gets_an_answer(typed: str, hint: str) -> None:
    """A misspelt command is not taken for the name of a host."""
    with pytest.raises(click.UsageError, match=hint):
        as_command([typed, "localhost"], COMMANDS)


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ("localhost", (None, "localhost", ())),
        ("get localhost", ("GET", "localhost", ())),
        ("localhost a=1", (None, "localhost", ("a=1",))),
        ("M-SEARCH a.b c:d", ("M-SEARCH", "a.b", ("c:d",))),
        ("LOCALHOST a=1", (None, "LOCALHOST", ("a=1",))),
        ("intranet a=1", (None, "intranet", ("a=1",))),
    ],
)
def test_method_url_and_items(words: str, request_: Any) -> None:
    """The first word is the URL if there is no method."""
    assert taken_apart(words.split(), METHODS) == Request(*request_)


@pytest.mark.parametrize(
    ("fields", "document"),
    [
        ([("a", "1")], {"a": "1"}),
        ([("a[b]", "1"), ("a[c][d]", 2)], {"a": {"b": "1", "c": {"d": 2}}}),
        ([("a[]", 1), ("a[]", 2)], {"a": [1, 2]}),
        ([("a[2]", "x")], {"a": [None, None, "x"]}),
        ([("a[0][b]", 1), ("a[0][c]", 2), ("a[][b]", 3)], {"a": [{"b": 1, "c": 2}, {"b": 3}]}),
        ([("[]", 1), ("[]", 2)], [1, 2]),
        ([("[a][b]", 1)], {"a": {"b": 1}}),
        ([("a", {"b": 1}), ("a[c]", 2)], {"a": {"b": 1, "c": 2}}),
        ([(r"a\[b\]", 1)], {"a[b]": 1}),
        ([(r"a[\5]", 1)], {"a": {"5": 1}}),
        ([("a", 1), ("a", 2)], {"a": 2}),
        ([], None),
    ],
)
def test_brackets_nest(fields: list[tuple[str, Any]], document: Any) -> None:
    """Names in brackets make objects, and indices and empty ones lists."""
    assert document_of(fields) == document


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([("a[b", 1)], r"\\\["),
        ([("a]", 1)], r"\\\["),
        ([("a[b]c", 1)], r"name\[key\]"),
        ([("a", "x"), ("a[b]", 1)], "a value"),
        ([("a[]", 1), ("a[b]", 1)], "a list"),
        ([("a[b]", 1), ("a[]", 1)], "an object"),
        ([("a[99999]", 1)], r"\[\\99999\]"),
    ],
)
def test_brackets_that_make_no_sense_are_refused(fields: list[tuple[str, Any]], why: str) -> None:
    """Nothing is lost in silence: what contradicts itself is told, with what to write."""
    with pytest.raises(NestingError, match=why):
        document_of(fields)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("-H 'A: b'", "item A:b"),
        ("-X POST", "POST before the URL"),
        ("-XDELETE", "DELETE before the URL"),
        ("-d a=1&b=2", "--form a=1 b=2"),
        ("""-d '{"a": 1}'""", """--raw '{"a": 1}'"""),
        ("-d @file.json", "item @file.json"),
        ("-d http://a.example/b", "syncclient download http://a.example/b"),
        ("-k", "--verify no"),
        ("-L", "redirects are followed"),
        ("-u ada:pw", "-a ada:pw"),
        ("-F file=@a.txt;type=text/plain", "--multipart file@a.txt"),
        ("-F a=1", "--multipart a=1"),
        ("-sSL", "redirects are followed"),
        ("--header A:b", "item A:b"),
        ("--data-raw=x", "--raw x"),
        ("--max-time 5", "--timeout 5"),
        ("-O", "syncclient download"),
        ("-I", "HEAD before the URL"),
        ("--cacert ca.pem", "--verify ca.pem"),
    ],
)
def test_options_of_curl_are_answered(
    typed: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """curl's option is refused with what says the same here, and nothing is sent."""
    assert run([*shlex.split(typed), "http://127.0.0.1:1/"]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1


def test_all_options_of_curl_are_answered_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """One answer translates the whole line, and leaves our own options alone."""
    line = "get -sSL -X POST -H 'A: b' -o out -d x=1 http://127.0.0.1:1/"
    assert run(shlex.split(line)) == 2
    err = capsys.readouterr().err
    assert re.findall(r"[:;] (?:for )?(-\w) ", err) == ["-s", "-L", "-X", "-H", "-d"]


def test_an_option_of_nobody_is_left_to_click() -> None:
    """Only what curl has is answered."""
    assert answer("--frobnicate", ["--frobnicate"], {}) is None
