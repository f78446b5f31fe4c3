"""``syncclient download`` and ``syncclient sse``."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from rich.text import Text

from .items import BodyType, parse_items
from .options import Access, access_options, open_session
from .terminal import console, out_is_terminal, printable, write
from .urls import full_url


def _header_options(texts: tuple[str, ...]) -> dict[str, Any]:
    items = parse_items(texts, BodyType.JSON)
    if items.has_body:
        raise click.UsageError("this command sends no body: its items are Header:value, key==value")
    return {
        "headers": items.headers,
        "skip_auto_headers": items.without_headers,
        "params": items.params,
    }


@click.command("download", short_help="Download a file; goes on where it was cut off.")
@click.argument("url")
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="PATH",
    default=".",
    help="The file, or a folder for the server's name of it. Without: the current folder.",
)
@click.option("--digest", metavar="sha256:HEX", help="What the file must have.")
@click.option(
    "--connections",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many ranges to fetch at a time.",
)
@click.option("--resume/--no-resume", default=True, help="Go on with what is there.")
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="Attempts in a row once a connection was lost.",
)
@click.option("--quiet", "-q", is_flag=True, help="No bar, even in a terminal.")
@access_options
def download(url: str, items: tuple[str, ...], **given: Any) -> None:
    """Download URL into a file, and print the file's path.

    What was cut off is kept as NAME.part, and the next download goes on from there. The bar
    is drawn on stderr if that is a terminal. ITEM is Header:value or key==value.
    """
    access = Access.taken_from(given)
    options = _header_options(items)
    if access.timeout is not None:
        options["timeout"] = access.timeout
    bar = sys.stderr.isatty() and not given["quiet"]
    with open_session(access) as session:
        path = session.download(
            full_url(url),
            given["output"],
            resume=given["resume"],
            progress=bar,
            digest=given["digest"],
            retries=given["retries"],
            connections=given["connections"],
            **options,
        )
    click.echo(printable(str(path)) if out_is_terminal() else path)


@click.command("sse", short_help="Print server-sent events as they come.")
@click.argument("url")
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option("-n", "--count", type=click.IntRange(min=1), metavar="N", help="Stop after N events.")
@click.option("--json", "as_json", is_flag=True, help="Each event as a line of JSON.")
@click.option("--last-event-id", default="", metavar="ID", help="Where to go on.")
@click.option(
    "--reconnects",
    type=click.IntRange(min=0),
    metavar="N",
    help="How many attempts to connect again may fail in a row. Without: no limit.",
)
@access_options
def sse(url: str, items: tuple[str, ...], **given: Any) -> None:
    """Print the events of URL; connects again when the connection is lost.

    In a terminal with their types; in a pipe the data alone, a newline after each. ITEM is
    Header:value or key==value.
    """
    access = Access.taken_from(given)
    options = _header_options(items)
    with open_session(access) as session:
        with session.sse(
            full_url(url),
            last_event_id=given["last_event_id"],
            reconnects=given["reconnects"],
            **options,
        ) as events:
            for number, event in enumerate(events, 1):
                if given["as_json"]:
                    write(json.dumps(event._asdict(), ensure_ascii=False).encode() + b"\n")
                elif out_is_terminal():
                    line = Text(printable(f"{event.event}: "), "cyan")
                    console().print(line.append(printable(event.data), "default"))
                else:
                    write(event.data.encode() + b"\n")
                if number == given["count"]:
                    break
