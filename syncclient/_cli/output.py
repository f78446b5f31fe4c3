"""Heads, bodies and timings, formatted for people."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from rich.highlighter import JSONHighlighter
from rich.syntax import Syntax
from rich.text import Text

from .._client.redaction import HIDDEN, shown_header, shown_url
from .._models import Timings
from .terminal import printable

if TYPE_CHECKING:
    from .exchanges import Exchange

_JSON_TYPE = re.compile(r"application/(?:[\w.+-]+\+)?json", re.IGNORECASE)
#: Types of bodies that arrive line by line, for any length of time.
_STREAMS = frozenset(
    {
        *("text/event-stream", "application/x-ndjson", "application/ndjson"),
        *("application/jsonl", "application/x-jsonlines", "application/stream+json"),
    }
)
#: The beginnings of lines of server-sent events.
_FIELD = re.compile(r"(?:data|event|id|retry|):\s?")
#: Types of bodies, and their lexers.
_LEXERS = {
    "html": "html",
    "xml": "xml",
    "javascript": "javascript",
    "css": "css",
    "yaml": "yaml",
}
#: Strings, punctuation, and other tokens: numbers and words.
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}:,]|[^][{}:,"\s]+')
#: The placeholder for a secret, as it appears in a URL.
_QUOTED = quote(HIDDEN)
_STATUS_STYLES = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}


def request_head(exchange: Exchange, *, secrets: bool) -> Text:
    """Return the head of a request as it was sent."""
    url = shown_url(exchange.url, secrets=secrets)
    target = str(url.with_fragment(None)) if exchange.proxied else url.raw_path_qs or "/"
    text = Text()
    text.append(exchange.method, "bold green")
    text.append(f" {printable(target.replace(_QUOTED, HIDDEN))} ", "cyan")
    text.append("HTTP/1.1\n", "blue")
    return _with_headers(text, exchange.request_headers, secrets)


def response_head(exchange: Exchange, *, secrets: bool) -> Text:
    """Return the head of a response as it was received."""
    status = exchange.status or 0
    text = Text()
    text.append(f"HTTP/{exchange.version} ", "blue")
    style = _STATUS_STYLES.get(status // 100, "magenta")
    text.append(f"{status} {printable(exchange.reason)}\n", f"bold {style}")
    return _with_headers(text, exchange.response_headers, secrets)


def _with_headers(text: Text, headers: list[tuple[str, str]], secrets: bool) -> Text:
    for name, value in headers:
        text.append(printable(name), "cyan")
        text.append(": ")
        text.append(printable(shown_header(name, value, secrets=secrets)) + "\n")
    return text


def timings_line(timings: Timings) -> Text:
    """Return the timings in milliseconds, on one line."""
    parts = [
        f"{name} {1000 * spent:.1f} ms"
        for name, spent in zip(timings._fields, timings, strict=True)
        if spent is not None
    ]
    return Text("timings: " + ", ".join(parts), "dim")


def is_json(content_type: str) -> bool:
    """Return whether a body of this type is JSON."""
    return _JSON_TYPE.match(content_type) is not None


def is_stream(content_type: str) -> bool:
    """Return whether a body of this type is a stream of events, which is shown as it arrives."""
    return content_type.lower() in _STREAMS


def event_line(line: str) -> Text:
    """Return a line of a stream of events, or of JSON, with colours."""
    name = _FIELD.match(line)
    text = Text(name[0] if name else "", "cyan")
    rest = Text(printable(line[len(text.plain) :].replace("\r", "")))
    return text.append_text(JSONHighlighter()(rest) if _looks_like_json(rest.plain) else rest)


def is_binary(body: bytes) -> bool:
    """Return whether a body is binary."""
    return b"\0" in body[:8192]


def pretty_body(text: str, content_type: str, *, reformat: bool, style: str | None = None) -> Text:
    """Return a body with colours, those of ``style``, and JSON indented if ``reformat``."""
    theme = style or "ansi_dark"
    if is_json(content_type) or (reformat and not content_type and _looks_like_json(text)):
        shown = printable(indented(text) if reformat else text)
        if style is not None:
            return Syntax("", "json", theme=style, background_color="default").highlight(shown)
        return JSONHighlighter()(Text(shown))
    for word, lexer in _LEXERS.items():
        if word in content_type.lower():
            coloured = Syntax("", lexer, theme=theme, background_color="default")
            return coloured.highlight(printable(text))
    return Text(printable(text))


def _looks_like_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def indented(document: str) -> str:
    """Return JSON with one value per line, and otherwise unchanged.

    Parsing it and writing it again would drop repeated names and change numbers. Text that is not
    JSON is returned unchanged.
    """
    try:
        json.loads(document)
    except (ValueError, RecursionError):
        return document
    out: list[str] = []
    depth = 0
    tokens = _JSON_TOKEN.findall(document)
    for number, token in enumerate(tokens):
        following = tokens[number + 1] if number + 1 < len(tokens) else ""
        if token in "{[":
            if following in ("}", "]"):
                out.append(token)
                continue
            depth += 1
            out.append(token + "\n" + "  " * depth)
        elif token in "}]":
            if number and tokens[number - 1] in ("{", "["):
                out.append(token)
                continue
            depth -= 1
            out.append("\n" + "  " * depth + token)
        elif token == ",":
            out.append(",\n" + "  " * depth)
        elif token == ":":
            out.append(": ")
        else:
            out.append(_readable(token) if token.startswith('"') else token)
    return "".join(out)


def _readable(token: str) -> str:
    r"""Return a string of JSON with letters in place of ``\u00e9``."""
    if "\\u" not in token:
        return token
    told = json.dumps(json.loads(token), ensure_ascii=False)
    # Half of a surrogate pair cannot be written.
    return token if any("\ud800" <= c <= "\udfff" for c in told) else told
