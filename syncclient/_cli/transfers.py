"""``syncclient download`` and ``syncclient sse``."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

import click
from rich.text import Text

from .._client.download import download as fetch
from .items import BodyType, parse_items
from .options import Access, access_options, open_session
from .output import event_line
from .spelling import taken_apart
from .terminal import console, out_is_terminal, printable, write
from .urls import full_url
from .verbs import METHODS, request_options

if TYPE_CHECKING:
    from .._client.request import RequestOptions


def _header_options(texts: tuple[str, ...]) -> dict[str, Any]:
    items = parse_items(texts, BodyType.JSON)
    if items.has_body:
        raise click.UsageError("this command sends no body: its items are Header:value, key==value")
    return {
        "headers": items.headers,
        "skip_auto_headers": items.without_headers,
        "params": items.params,
    }


@click.command("download", short_help="Download a file; resumes interrupted downloads.")
@click.argument("url")
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="PATH",
    default=".",
    help="The file, or a folder, for a name from the server.  [default: the current folder]",
)
@click.option("--digest", metavar="sha256:HEX", help="The digest that the file must have.")
@click.option(
    "--connections",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many ranges to fetch at a time.",
)
@click.option("--resume/--no-resume", default=True, help="Resume a partial file.")
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="Attempts in a row after a lost connection.",
)
@click.option("--quiet", "-q", is_flag=True, help="No bar, even in a terminal.")
@access_options
def download(url: str, items: tuple[str, ...], **given: Any) -> None:
    """Download URL into a file, and print the file's path.

    A file given with -o is replaced. In a folder, existing files are not replaced: if the
    server's name is taken, the new file is NAME.1, NAME.2 and so on. An interrupted download
    is kept as NAME.part, and the next download resumes it. The progress bar is drawn on
    stderr if that is a terminal. ITEM is Header:value or key==value.
    """
    access = Access.taken_from(given)
    options = _header_options(items)
    if access.timeout is not None:
        options["timeout"] = access.timeout or None
    bar = sys.stderr.isatty() and not given["quiet"]
    url = full_url(url)
    with open_session(access, url, headers=options["headers"]) as session:
        path = fetch(
            session._place,
            url,
            given["output"],
            cast("RequestOptions", options),
            resume=given["resume"],
            progress=bar,
            digest=given["digest"],
            retries=given["retries"],
            connections=given["connections"],
            number=True,
        )
    if out_is_terminal():
        click.echo(printable(str(path)))
    else:
        write(os.fsencode(path) + b"\n")  # whatever bytes it has, a script can use them


@click.command("sse", short_help="Print server-sent events as they arrive.")
@click.argument("words", nargs=-1, metavar="[METHOD] URL [ITEM]...")
@click.option("-n", "--count", type=click.IntRange(min=1), metavar="N", help="Stop after N events.")
@click.option("--json", "as_json", is_flag=True, help="Each event as a line of JSON.")
@click.option("-f", "--form", "as_form", is_flag=True, help="Send fields as a form, not as JSON.")
@click.option("--raw", metavar="TEXT", help="Send TEXT as the body.")
@click.option("--last-event-id", default="", metavar="ID", help="The event to resume after.")
@click.option(
    "--reconnects",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many attempts to reconnect may fail in a row.  [default: no limit; with a body: "
    "none, because it would be sent again]",
)
@access_options
def sse(words: tuple[str, ...], **given: Any) -> None:
    """Print the events of URL; reconnects when the connection is lost.

    A terminal shows the types of events; a pipe gets only the data, with a newline after each.
    With fields among the items, the request is a POST, as APIs of language models expect.
    """
    access = Access.taken_from(given)
    method, url, items = taken_apart(words, METHODS)
    url = full_url(url)
    form = BodyType.FORM if given["as_form"] else BodyType.JSON
    with ExitStack() as stack:
        options, body = request_options(items, stack, body_type=form, raw=given["raw"])
        reconnects = given["reconnects"]
        if reconnects is None and body.options:
            reconnects = 0
        if access.timeout is not None:
            options["timeout"] = access.timeout or None
        session = stack.enter_context(open_session(access, url, headers=options["headers"]))
        events = stack.enter_context(
            session.sse(
                url,
                method=method or ("POST" if body.options else "GET"),
                last_event_id=given["last_event_id"],
                reconnects=reconnects,
                **options,
            )
        )
        for number, event in enumerate(events, 1):
            if given["as_json"]:
                write(json.dumps(event._asdict(), ensure_ascii=False).encode() + b"\n")
            elif out_is_terminal():
                line = Text(printable(f"{event.event}: "), "cyan")
                console().print(line.append_text(event_line(event.data)))
            else:
                write(event.data.encode() + b"\n")
            if number == given["count"]:
                break
