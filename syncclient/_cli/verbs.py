"""``syncclient get|post|put|patch|delete|head|options``: one request, shown."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from .. import ClientError, Response
from .exchanges import Exchange, Exchanges
from .exits import Ended, code_of_status
from .items import Body, BodyType, Items, make_body, parse_items
from .options import Access, access_options, open_session
from .output import (
    is_binary,
    pretty_body,
    request_head,
    response_head,
    timings_line,
)
from .stdin import guessed_type, something_comes, stdin_body
from .terminal import console, out_is_terminal, printable, write
from .urls import full_url

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
#: Of these, a body is expected, and taken from stdin if there is none among the items.
_WITH_BODY = frozenset({"post", "put", "patch"})
#: Bytes of a body that are still given colours: more take seconds.
_COLOURED = 2**20


@dataclass(frozen=True)
class Show:
    """What of an exchange is shown, and how."""

    verbose: bool
    headers_only: bool
    body_only: bool
    output: str | None
    stream: bool
    pretty: str | None
    show_secrets: bool
    check_status: bool

    @property
    def formatted(self) -> bool:
        """Whether bodies are made readable."""
        return self.pretty in ("all", "format") if self.pretty else out_is_terminal()

    @property
    def coloured(self) -> bool | None:
        """Whether there are colours; None leaves it to the console."""
        return None if self.pretty is None else self.pretty in ("all", "colors")

    @property
    def touched(self) -> bool:
        """Whether bodies are anything but the bytes that came."""
        return self.pretty != "none" if self.pretty else out_is_terminal()


def _body_type(given: dict[str, Any]) -> BodyType:
    chosen = [kind for kind in BodyType if given[f"as_{kind.value}"]]
    if len(chosen) > 1:
        raise click.UsageError("--json, --form and --multipart exclude each other: choose one")
    return chosen[0] if chosen else BodyType.JSON


def body_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how items are sent."""
    for option in (
        click.option("--chunked", is_flag=True, help="Send stdin as it comes, in chunks."),
        click.option("--ignore-stdin", is_flag=True, help="Take no body from stdin."),
        click.option("--multipart", "as_multipart", is_flag=True, help="As multipart/form-data."),
        click.option("-f", "--form", "as_form", is_flag=True, help="Send fields as a form."),
        click.option("-j", "--json", "as_json", is_flag=True, help="... as JSON: the default."),
    ):
        command = option(command)
    return command


def request_options(
    texts: tuple[str, ...],
    method: str,
    stack: ExitStack,
    *,
    body_type: BodyType = BodyType.JSON,
    ask_for_json: bool = False,
    ignore_stdin: bool = False,
    chunked: bool = False,
) -> tuple[dict[str, Any], Body]:
    """Return what items say as options of ``Session.request``, and their body once more.

    Files of the body are open until ``stack`` closes.
    """
    items = parse_items(texts, body_type)
    body = _body(items, body_type, method, stack, ignore_stdin=ignore_stdin, chunked=chunked)
    headers = items.headers
    if body.content_type is not None:
        headers.setdefault("Content-Type", body.content_type)
    if ask_for_json:
        headers.setdefault("Accept", "application/json, */*;q=0.5")
    options = {
        **body.options,
        "headers": headers,
        "skip_auto_headers": items.without_headers,
        "params": items.params,
    }
    return options, body


def _body(
    items: Items,
    body_type: BodyType,
    method: str,
    stack: ExitStack,
    *,
    ignore_stdin: bool,
    chunked: bool,
) -> Body:
    wanted = items.raw == "-"
    expected = method in _WITH_BODY and not items.has_body and not ignore_stdin
    if not wanted and not (expected and something_comes()):
        return make_body(items, body_type, stack)
    data = stdin_body(chunked=chunked)
    if data == b"" and not wanted:
        return Body({})
    return Body({"data": data}, guessed_type(data), "(stdin)")


def verb(method: str) -> click.Command:
    """Make the command for a method."""
    article = "an" if method == "options" else "a"

    @click.command(
        method,
        short_help=f"Send {article} {method.upper()} request.",
        help=f"Send {article} {method.upper()} request and show the response.\n\n"
        "ITEM is key=value (a field), key:=JSON, key==value (of the query), Header:value, "
        "Header: (leave it out), key@FILE (with --form), @FILE (the body; @- is stdin).",
    )
    @click.argument("url")
    @click.argument("items", nargs=-1, metavar="[ITEM]...")
    @click.option("-v", "--verbose", is_flag=True, help="Show what was sent too, and timings.")
    @click.option("-h", "--headers", "headers_only", is_flag=True, help="Show the head only.")
    @click.option("-b", "--body", "body_only", is_flag=True, help="Show the body only.")
    @click.option(
        "-o", "--output", type=click.Path(), metavar="FILE", help="Write the body to FILE."
    )
    @click.option("--stream", is_flag=True, help="Show the body as it comes, without colours.")
    @click.option(
        "--pretty",
        type=click.Choice(["all", "colors", "format", "none"]),
        help="In a terminal all; in a pipe none.",
    )
    @click.option("--follow/--no-follow", default=True, help="Follow redirects.  [default: follow]")
    @click.option(
        "--max-redirects", type=click.IntRange(min=1), default=10, show_default=True, metavar="N"
    )
    @click.option("--check-status", is_flag=True, help="Exit with 3, 4, 5 for 3xx, 4xx, 5xx.")
    @click.option("--show-secrets", is_flag=True, help="Show passwords, tokens, cookies.")
    @body_options
    @access_options
    def command(url: str, items: tuple[str, ...], **given: Any) -> None:
        access = Access.taken_from(given)
        redirects = {
            "allow_redirects": given.pop("follow"),
            "max_redirects": given.pop("max_redirects"),
        }
        show = Show(**{name: given.pop(name) for name in Show.__dataclass_fields__})
        if show.headers_only and show.body_only:
            raise click.UsageError("--headers and --body exclude each other: choose one")
        with ExitStack() as stack:
            options, body = request_options(
                items,
                method,
                stack,
                ask_for_json=given["as_json"],
                body_type=_body_type(given),
                ignore_stdin=given["ignore_stdin"],
                chunked=given["chunked"],
            )
            log = Exchanges()
            session = stack.enter_context(
                open_session(access, middlewares=[log], timings=show.verbose)
            )
            try:
                response = stack.enter_context(
                    session.request(method.upper(), full_url(url), **redirects, **options)
                )
            except ClientError:
                if show.verbose:
                    _show_exchanges(log, body, show)
                raise
            _show(response, log, body, show)
            status, reason = response.status, response.reason
        if show.check_status and (code := code_of_status(status)):
            told = "" if out_is_terminal() else f"the server answered {status} {reason or ''}"
            raise Ended(code, told)

    return command


def _show(response: Response, log: Exchanges, body: Body, show: Show) -> None:
    headers_only = show.headers_only or (response.method == "HEAD" and not show.body_only)
    if show.verbose:
        _show_exchanges(log, body, show)
    elif headers_only or (out_is_terminal() and not show.body_only):
        *_, last = log
        out = console(colours=show.coloured)
        out.print(response_head(last, secrets=show.show_secrets))
    if show.output is not None:
        _save(response, show.output)
    elif headers_only:
        response.release()
    else:
        _show_body(response, show)
    if show.verbose and response.timings is not None:
        _heads(show).print(timings_line(response.timings))


def _heads(show: Show) -> Console:
    """Return where the heads of -v go: never among the bytes of a body in a pipe."""
    apart = not (out_is_terminal() or show.headers_only)
    return console(stderr=apart, colours=show.coloured)


def _show_exchanges(log: Exchanges, body: Body, show: Show) -> None:
    heads = _heads(show)
    first = True
    for exchange in log:
        heads.print(request_head(exchange, secrets=show.show_secrets))
        if body.shown is not None and _has_body(exchange):
            shown = body.plain if show.show_secrets and body.plain else body.shown
            heads.print(pretty_body(shown, body.content_type or "", reformat=True))
            heads.print()
        if exchange.status is not None:
            heads.print(response_head(exchange, secrets=show.show_secrets))
        first = False
    if first:
        heads.print("(nothing was sent)")


def _has_body(exchange: Exchange) -> bool:
    """Tell whether a hop had the body: a redirect may have dropped it."""
    names = {name.lower(): value for name, value in exchange.request_headers}
    return names.get("content-length", "0") != "0" or "transfer-encoding" in names


def _save(response: Response, path: str) -> None:
    if path == "-":
        for data in response.content.iter_any():
            write(data)
        return
    with open(path, "wb") as file:
        for data in response.content.iter_any():
            file.write(data)


def _show_body(response: Response, show: Show) -> None:
    if not show.touched:
        for data in response.content.iter_any():
            write(data)
        return
    if show.stream:
        _show_stream(response)
        return
    data = response.read()
    if not data:
        return
    out = console(colours=show.coloured)
    if is_binary(data):
        out.print(f"(binary data, {len(data):,} bytes; -o FILE saves it)")
        return
    decoded = data.decode(_encoding(response), errors="replace")
    if len(data) <= _COLOURED:
        text = pretty_body(decoded, response.content_type, reformat=show.formatted)
    else:
        text = Text(printable(decoded))
    out.print(text, end="" if text.plain.endswith("\n") else "\n")


def _show_stream(response: Response) -> None:
    out = console()
    decoder = codecs.getincrementaldecoder(_encoding(response))("replace")
    newline = True
    for data in response.content.iter_any():
        if text := decoder.decode(data):
            newline = text.endswith("\n")
            out.print(printable(text), end="")
            out.file.flush()
    rest = decoder.decode(b"", final=True)
    out.print(printable(rest), end="" if newline and not rest else "\n")


def _encoding(response: Response) -> str:
    try:
        return codecs.lookup(response.charset or "utf-8").name
    except LookupError:  # a charset that Python does not know
        return "utf-8"
