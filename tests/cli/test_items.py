"""What the command line makes of its words: items, URLs, secrets, JSON to look at."""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

from syncclient import URL
from syncclient._cli.bench_report import Report, drawn
from syncclient._cli.items import (
    BodyType,
    Item,
    ItemError,
    make_body,
    parse_items,
    split_item,
)
from syncclient._cli.output import indented, pretty_body
from syncclient._cli.terminal import printable
from syncclient._cli.urls import full_url
from syncclient._client.redaction import shown_header, shown_url


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("name=Ada", Item("name", "=", "Ada")),
        ("a=b:=c==d", Item("a", "=", "b:=c==d")),
        ("age:=36", Item("age", ":=", "36")),
        ("page==2", Item("page", "==", "2")),
        ("X-Token:a=b", Item("X-Token", ":", "a=b")),
        ("Referer:http://x/?a==b", Item("Referer", ":", "http://x/?a==b")),
        ("photo@a.png", Item("photo", "@", "a.png")),
        ("text=@a.txt", Item("text", "=@", "a.txt")),
        ("doc:=@a.json", Item("doc", ":=@", "a.json")),
        ("@body.json", Item("", "@", "body.json")),
        (r"a\:b=c", Item("a:b", "=", "c")),
        (r"a\=b=c", Item("a=b", "=", "c")),
        (r"C:\x", Item("C", ":", r"\x")),
        (r"a\b=c", Item(r"a\b", "=", "c")),
        ("empty=", Item("empty", "=", "")),
    ],
)
def test_an_item_is_split_at_its_first_separator(text: str, item: Item) -> None:
    """The first separator counts, the longest where several begin, and `\\` takes it away."""
    assert split_item(text) == item


@pytest.mark.parametrize(
    ("texts", "body_type", "complaint"),
    [
        (["word"], BodyType.JSON, "is no item"),
        (["=x"], BodyType.JSON, "no name before"),
        (["a:=x"], BodyType.JSON, "is not JSON"),
        (["a:=1"], BodyType.FORM, "a form has no place for"),
        (["a@f"], BodyType.JSON, "add --form"),
        (["@a", "@b"], BodyType.JSON, "write @file once"),
        (["@a", "b=c"], BodyType.JSON, "leave one of them out"),
        (["a=@/no/such/file"], BodyType.JSON, "cannot read /no/such/file"),
    ],
)
def test_a_wrong_item_says_what_to_write(
    texts: list[str], body_type: BodyType, complaint: str
) -> None:
    """A wrong item is refused with a hint."""
    with pytest.raises(ItemError, match=complaint):
        parse_items(texts, body_type)


def test_fields_become_json() -> None:
    """`=` is a string and `:=` JSON; the shown body hides what its name says is a secret."""
    items = parse_items(["a=1", "b:=[1, null]", "password=hunter2"], BodyType.JSON)
    with ExitStack() as stack:
        body = make_body(items, BodyType.JSON, stack)
    assert json.loads(body.options["data"]) == {"a": "1", "b": [1, None], "password": "hunter2"}
    assert body.content_type == "application/json"
    assert body.shown is not None
    assert "hunter2" not in body.shown
    assert body.plain is not None
    assert "hunter2" in body.plain


def test_fields_become_a_form_in_order() -> None:
    """A form keeps repeated names and their order."""
    items = parse_items(["a=1", "b=2", "a=3"], BodyType.FORM)
    with ExitStack() as stack:
        body = make_body(items, BodyType.FORM, stack)
    assert body.options["data"] == [("a", "1"), ("b", "2"), ("a", "3")]


def test_files_are_closed_with_the_stack(tmp_path: Path) -> None:
    """A file that is the body is open until its request is over, and no longer."""
    (tmp_path / "a.json").write_text("{}")
    items = parse_items([f"@{tmp_path}/a.json"], BodyType.JSON)
    with ExitStack() as stack:
        body = make_body(items, BodyType.JSON, stack)
        assert body.content_type == "application/json"
        assert not body.options["data"].closed
    assert body.options["data"].closed


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("localhost", "http://localhost"),
        ("localhost:8080/a", "http://localhost:8080/a"),
        ("127.0.0.1:1", "http://127.0.0.1:1"),
        ("[::1]:8080", "http://[::1]:8080"),
        (":8080/a", "http://localhost:8080/a"),
        (":/a", "http://localhost/a"),
        ("u:p@localhost/a", "http://u:p@localhost/a"),
        ("example.org/a", "https://example.org/a"),
        ("localhost.example.org", "https://localhost.example.org"),
        ("10.0.0.1", "https://10.0.0.1"),
        ("//example.org", "https://example.org"),
        ("http://example.org", "http://example.org"),
        ("wss://example.org", "wss://example.org"),
        ("http+unix://%2Frun%2Fa.sock/b", "http+unix://%2Frun%2Fa.sock/b"),
    ],
)
def test_a_url_gets_its_scheme(typed: str, meant: str) -> None:
    """This machine is asked without TLS, others with it, and a scheme is left alone."""
    assert full_url(typed) == meant


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Authorization", "Bearer abc", "Bearer [redacted]"),
        ("authorization", "abc", "[redacted]"),
        ("Authorization", "abc def", "[redacted]"),
        ("Proxy-Authorization", "Basic abc", "Basic [redacted]"),
        ("Cookie", "a=1; b=2", "a=[redacted]; b=[redacted]"),
        ("Set-Cookie", "sid=1; Path=/; HttpOnly", "sid=[redacted]; Path=/; HttpOnly"),
        ("X-Api-Key", "abc", "[redacted]"),
        ("Location", "http://u:p@x/a?token=t&b=1", "http://x/a?token=[redacted]&b=1"),
        ("Location", "/a?b=1", "/a?b=1"),
        ("Sec-WebSocket-Key", "abc", "abc"),
        ("Content-Type", "text/plain", "text/plain"),
    ],
)
def test_secrets_of_headers_are_left_out(name: str, value: str, shown: str) -> None:
    """The value of a secret header goes; its scheme, and the names of cookies, stay."""
    assert shown_header(name, value, secrets=False) == shown
    assert shown_header(name, value, secrets=True) == value


def test_secrets_of_urls_are_left_out() -> None:
    """Credentials, and parameters whose names speak of a secret, are not shown."""
    url = URL("http://u:p@x/a?api_key=k&page=2")
    assert shown_url(url, secrets=False).query == {"api_key": "[redacted]", "page": "2"}
    assert shown_url(url, secrets=False).user is None
    assert shown_url(url, secrets=True) == url


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        ('{"a":1e400,"a":0.10}', '{\n  "a": 1e400,\n  "a": 0.10\n}'),
        ("[]", "[]"),
        ('[{},[],""]', '[\n  {},\n  [],\n  ""\n]'),
        ('{"a":"{\\"b\\":[1,2]}"}', '{\n  "a": "{\\"b\\":[1,2]}"\n}'),
        ('"K\\u00f6ln"', '"Köln"'),
        ('"\\ud800"', '"\\ud800"'),
        ('{"a":', '{"a":'),
        ('{"a": "\\n"}', '{\n  "a": "\\n"\n}'),
    ],
)
def test_json_is_indented_and_otherwise_as_it_came(document: str, shown: str) -> None:
    """Numbers and repeated names stay; only space, and the spelling of letters, change."""
    assert indented(document) == shown


def test_a_server_cannot_drive_the_terminal() -> None:
    """Escape sequences in what is shown are made visible."""
    assert printable("a\x1b[2Jb\tc\r\nd\x9b") == "a\\x1b[2Jb\tc\nd\\x9b"
    for kind in ("text/plain", "text/html", "application/json"):
        assert "\x1b" not in pretty_body("<p>\x1b]0;title\x07</p>", kind, reformat=True).plain


def _report(latencies: list[float], errors: dict[str, int] | None = None) -> Report:
    return Report("http://x/", 2, 2.0, sorted(latencies), {200: len(latencies)}, errors or {}, 0)


def test_percentiles_are_of_the_nearest_rank() -> None:
    """For latencies of 1 to 100 ms, p95 is 95 ms and p99.9 is the longest."""
    report = _report([n / 1000 for n in range(1, 101)])
    assert report.percentile(50) == 0.05
    assert report.percentile(95) == 0.095
    assert report.percentile(99.9) == 0.1
    assert report.rate == 50.0


@pytest.mark.parametrize("latencies", [[0.001], [0.001] * 3, [0.0, 1.0], [0.001, 0.002, 3.0]])
def test_the_histogram_holds_every_response(latencies: list[float]) -> None:
    """No latency falls out of it, and it can be drawn."""
    report = _report(latencies)
    assert sum(bucket.responses for bucket in report.histogram()) == len(latencies)
    assert "requests/s" in drawn(report).plain


def test_a_report_without_answers_is_told() -> None:
    """Nothing but errors: they are counted, and there are no latencies."""
    report = _report([], {"TimeoutError: late": 3})
    assert report.as_dict()["latency"] is None
    assert "3 x TimeoutError: late" in drawn(report).plain
