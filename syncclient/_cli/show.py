"""The output of an exchange: which parts, where, and how."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from .. import Response
from .._content_type import bom_encoding, content_type
from .exchanges import Exchange, Exchanges
from .items import Body
from .output import (
    event_line,
    is_binary,
    is_stream,
    pretty_body,
    request_head,
    response_head,
    timings_line,
)
from .terminal import console, out_is_terminal, printable, write

#: The letters of ``--print``: head and body of the request, of the response, and timings.
LETTERS = "HBhbm"
#: Maximum size of a body that is shown in colour: larger ones would take seconds.
_COLOURED = 2**20
#: Maximum number of characters of a line to wait for.
_LONG_LINE = 2**16


@dataclass(frozen=True)
class Show:
    """The parts of an exchange to show, and how."""

    #: Some of ``LETTERS``.
    parts: frozenset[str]
    #: Whether only the body goes to stdout, and the rest to stderr: -v in a pipe.
    apart: bool
    output: str | None
    stream: bool
    pretty: str | None
    show_secrets: bool
    #: A style of pygments for bodies.
    style: str | None = None

    @property
    def formatted(self) -> bool:
        """Whether bodies are formatted."""
        return self.pretty in ("all", "format") if self.pretty else out_is_terminal()

    @property
    def coloured(self) -> bool | None:
        """Whether there are colours; None leaves it to the console."""
        return None if self.pretty is None else self.pretty in ("all", "colors")

    @property
    def touched(self) -> bool:
        """Whether bodies differ from the bytes received."""
        return self.pretty != "none" if self.pretty else out_is_terminal()

    def heads(self) -> Console:
        """Return the console for everything except the body."""
        return console(stderr=self.apart, colours=self.coloured)


def show(response: Response, log: Exchanges, body: Body, how: Show) -> None:
    """Show a response, and earlier exchanges if wanted. Reads the body."""
    show_exchanges(log, body, how)
    ended = True
    if how.output is not None:
        _save(response, how.output)
    elif "b" in how.parts:
        ended = _show_body(response, how)
    elif "m" in how.parts:
        response.read()  # the timings include it
    else:
        response.release()
    if "m" in how.parts and response.timings is not None:
        out = how.heads()
        if how.output is None and "b" in how.parts:
            # After a body without a final newline, also if both go into one pipe.
            out.print("" if ended else "\n")
        out.print(timings_line(response.timings))


def show_exchanges(log: Exchanges, body: Body, how: Show) -> None:
    """Show the heads and the request bodies if wanted; with requests, those of each hop."""
    exchanges = list(log)
    if not exchanges:
        if "H" in how.parts:
            how.heads().print("(nothing was sent)")
        return
    for exchange in exchanges if how.parts & {"H", "B"} else exchanges[-1:]:
        show_request(exchange, body, how)
        if "h" in how.parts and exchange.status is not None:
            how.heads().print(response_head(exchange, secrets=how.show_secrets))


def show_request(exchange: Exchange, body: Body, how: Show) -> None:
    """Show a request as it was sent."""
    heads = how.heads()
    if "H" in how.parts:
        heads.print(request_head(exchange, secrets=how.show_secrets))
    if "B" in how.parts and body.shown is not None and exchange.has_body:
        shown = body.plain if how.show_secrets and body.plain else body.shown
        formatted = how.formatted or how.apart
        kind = body.content_type or ""
        heads.print(pretty_body(shown, kind, reformat=formatted, style=how.style))
        if how.parts != {"B"}:
            heads.print()


def _save(response: Response, path: str) -> None:
    if path == "-":
        for data in response.content.iter_any():
            write(data)
        return
    with open(path, "wb") as file:
        for data in response.content.iter_any():
            file.write(data)


def _show_body(response: Response, how: Show) -> bool:
    """Show the body; return whether it ended with a newline, or was empty."""
    if not how.touched:
        data = b"\n"
        for data in response.content.iter_any():
            write(data)
        return data.endswith(b"\n")
    out = console(colours=how.coloured)
    if how.stream or is_stream(response.content_type):
        events = not how.stream and how.coloured is not False
        _show_stream(response, out, coloured=events)
        return True
    data = response.read()
    if not data:
        return True
    if is_binary(data) and not response.get_encoding().startswith("utf-16"):
        out.print(f"(binary data, {len(data):,} bytes; -o FILE saves it)")
        return True
    decoded = response.text(errors="replace")
    if len(data) <= _COLOURED:
        kind = response.content_type
        text = pretty_body(decoded, kind, reformat=how.formatted, style=how.style)
    else:
        text = Text(printable(decoded))
    out.print(text, end="" if text.plain.endswith("\n") else "\n")
    return True


def _show_stream(response: Response, out: Console, *, coloured: bool) -> None:
    newline = True
    pieces = _texts(response)
    for text in _lines(pieces) if coloured else pieces:
        newline = text.endswith("\n")
        out.print(event_line(text) if coloured else printable(text), end="")
        out.file.flush()
    if not newline:
        out.print()


def _texts(response: Response) -> Iterator[str]:
    """Decode the body as it arrives."""
    decoder: codecs.IncrementalDecoder | None = None
    for data in response.content.iter_any():
        if decoder is None:
            encoding = bom_encoding(data) or _encoding(response)
            decoder = codecs.getincrementaldecoder(encoding)("replace")
        if text := decoder.decode(data):
            yield text
    if decoder is not None and (rest := decoder.decode(b"", final=True)):
        yield rest


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    """Split text into lines; yield a line that does not end in parts."""
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        yield from (f"{line}\n" for line in lines)
        if len(rest) > _LONG_LINE:
            yield rest
            rest = ""
    if rest:
        yield rest


def _encoding(response: Response) -> str:
    """Return the codec for a body without a BOM that has not arrived yet."""
    return content_type(response.headers.get("Content-Type")).encoding or "utf-8"
