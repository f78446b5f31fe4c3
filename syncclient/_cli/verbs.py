"""``syncclient [METHOD] URL [ITEM]...``: one request, shown."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from difflib import get_close_matches
from typing import Any, TypeVar

import click
from pygments.styles import get_all_styles  # type: ignore[import-untyped]

from .. import ClientError
from .exchanges import Exchanges
from .exits import Ended, code_of_status
from .items import Body, BodyType, Items, make_body, parse_items
from .offline import show_curl, show_offline
from .options import Access, access_options, open_session
from .show import LETTERS, Show, show, show_exchanges
from .spelling import taken_apart
from .stdin import STDIN, file_waits, guessed_type, pipe_has_data, something_comes, stdin_body
from .terminal import out_is_terminal
from .urls import full_url

F = TypeVar("F", bound=Callable[..., Any])

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
#: Methods that expect a body, which is read from stdin if the items have none.
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})

_ITEMS = (
    "ITEM is key=value (a field), key[sub]=value, key:=JSON, key==value (of the query), "
    "Header:value, Header: (leave it out), key@FILE (with --form), @FILE (the body; @- is stdin)."
)


def _print_option(context: click.Context, parameter: click.Parameter, what: str | None) -> Any:
    if what is not None and set(what) - set(LETTERS):
        raise click.BadParameter(
            "write some of H (request head), B (request body), h (response head), b (response "
            "body), m (timings)"
        )
    return what


def _style(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    if name is not None and name not in (known := sorted(get_all_styles())):
        near = get_close_matches(name, known, 3) or known
        raise click.BadParameter(f"there is no {name!r}; write one of {', '.join(near)}")
    return name


_SHOWN: tuple[Callable[[Any], Any], ...] = (
    click.option("-v", "--verbose", is_flag=True, help="Show the request too, and timings."),
    click.option("-h", "--headers", "headers_only", is_flag=True, help="Show the head only."),
    click.option("-b", "--body", "body_only", is_flag=True, help="Show the body only."),
    click.option("--meta", "meta_only", is_flag=True, help="Show the timings only."),
    click.option(
        "-p",
        "--print",
        "parts",
        metavar="WHAT",
        callback=_print_option,
        help="Show some of H, B (request head, body), h, b (response), m (timings).",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Show nothing but errors."),
    click.option("-o", "--output", type=click.Path(), metavar="FILE", help="Save the body."),
    click.option("-S", "--stream", is_flag=True, help="Show the body as it arrives."),
    click.option(
        "--pretty",
        type=click.Choice(["all", "colors", "format", "none"]),
        help="In a terminal all; in a pipe none.",
    ),
    click.option(
        "--style",
        metavar="NAME",
        callback=_style,
        help="Colours of bodies: a style of pygments, such as monokai.",
    ),
    click.option("--show-secrets", is_flag=True, help="Show passwords, tokens, cookies."),
    click.option("--offline", is_flag=True, help="Show the request, and send nothing."),
    click.option("--curl", is_flag=True, help="Print curl's command for it, and send nothing."),
    click.option("--follow/--no-follow", default=True, help="Follow redirects.  [default: follow]"),
    click.option(
        "--max-redirects", type=click.IntRange(min=0), default=10, show_default=True, metavar="N"
    ),
    click.option("--check-status", is_flag=True, help="Exit with 3, 4, 5 for 3xx, 4xx, 5xx."),
)

_SENT: tuple[Callable[[Any], Any], ...] = (
    click.option("-j", "--json", "as_json", is_flag=True, help="... as JSON: the default."),
    click.option("-f", "--form", "as_form", is_flag=True, help="Send fields as a form."),
    click.option("--multipart", "as_multipart", is_flag=True, help="As multipart/form-data."),
    click.option("--raw", metavar="TEXT", help="Send TEXT as the body."),
    click.option("--ignore-stdin", is_flag=True, help="Do not read a body from stdin."),
    click.option("--chunked", is_flag=True, help="Send stdin as it arrives, in chunks."),
)


def body_type(given: dict[str, Any]) -> BodyType:
    """Return how fields are sent, according to the options of a command."""
    chosen = [kind for kind in BodyType if given.get(f"as_{kind.value}")]
    if len(chosen) > 1:
        raise click.UsageError("--json, --form and --multipart exclude each other: choose one")
    return chosen[0] if chosen else BodyType.JSON


def request_options(
    texts: tuple[str, ...],
    stack: ExitStack,
    *,
    method: str | None = "GET",
    body_type: BodyType = BodyType.JSON,
    raw: str | None = None,
    ask_for_json: bool = False,
    ignore_stdin: bool = False,
    chunked: bool = False,
) -> tuple[dict[str, Any], Body]:
    """Return items as options of ``Session.request``, and the body separately.

    Files of the body are open until ``stack`` closes.
    """
    items = parse_items(texts, body_type, raw)
    expected = method in _WITH_BODY or (method is None and file_waits())
    expected = expected and not items.has_body and not ignore_stdin
    body = _body(items, body_type, stack, from_stdin=expected, chunked=chunked)
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
    items: Items, body_type: BodyType, stack: ExitStack, *, from_stdin: bool, chunked: bool
) -> Body:
    wanted = items.raw == "-"
    if not wanted and not (from_stdin and something_comes()):
        return make_body(items, body_type, stack)
    data = stdin_body(chunked=chunked)
    if data == b"" and not wanted:
        return Body({})
    return Body({"data": data}, guessed_type(data), STDIN)


def _options(command: F) -> F:
    for option in reversed((*_SHOWN, *_SENT)):
        command = option(command)
    return access_options(command)


def verb(method: str) -> click.Command:
    """Create the command for a method."""
    article = "an" if method == "options" else "a"

    @click.command(
        method,
        short_help=f"Send {article} {method.upper()} request.",
        help=f"Send {article} {method.upper()} request and show the response.\n\n{_ITEMS}",
    )
    @click.argument("url")
    @click.argument("items", nargs=-1, metavar="[ITEM]...")
    @_options
    def command(url: str, items: tuple[str, ...], **given: Any) -> None:
        _send(method.upper(), url, items, given)

    return command


@click.command(
    "request",
    short_help="Send a request by any method; the word may be left out.",
    help="Send a request and show the response.\n\n"
    "METHOD is a verb in any case, or another word in capitals, such as PROPFIND. Without it "
    f"the request is a POST if it has a body among its items, and otherwise a GET.\n\n{_ITEMS}",
)
@click.argument("words", nargs=-1, metavar="[METHOD] URL [ITEM]...")
@_options
def request(words: tuple[str, ...], **given: Any) -> None:
    """Send a request by any method."""
    _send(*taken_apart(words, METHODS), given)


def _send(method: str | None, url: str, items: tuple[str, ...], given: dict[str, Any]) -> None:
    access = Access.taken_from(given)
    address = full_url(url)
    with ExitStack() as stack:
        options, body = request_options(
            items,
            stack,
            method=method,
            body_type=body_type(given),
            raw=given["raw"],
            ask_for_json=given["as_json"],
            ignore_stdin=given["ignore_stdin"],
            chunked=given["chunked"],
        )
        guessed = method or ("POST" if body.options else "GET")
        how = _how(guessed, given)
        if given["curl"]:
            limit = given["max_redirects"] if given["follow"] else None
            show_curl(guessed, address, options, body, access, how, max_redirects=limit)
            return
        if given["offline"]:
            show_offline(guessed, address, options, body, access, how)
            return
        options["allow_redirects"] = given["follow"]
        options["max_redirects"] = given["max_redirects"]
        log = Exchanges()
        session = stack.enter_context(
            open_session(
                access,
                address,
                headers=options["headers"],
                middlewares=[log],
                timings="m" in how.parts,
            )
        )
        try:
            response = stack.enter_context(session.request(guessed, address, **options))
        except ClientError:
            if how.parts & {"H", "B"}:
                show_exchanges(log, body, how)
            raise
        show(response, log, body, how)
        status, reason = response.status, response.reason
    if method is None and not body.options and not given["ignore_stdin"] and pipe_has_data():
        raise Ended(
            0, "the data on stdin was not sent: write POST before the URL, or --ignore-stdin"
        )
    if given["check_status"] and (code := code_of_status(status)):
        told = "" if out_is_terminal() else f"the server answered {status} {reason or ''}"
        raise Ended(code, told)


def _how(method: str, given: dict[str, Any]) -> Show:
    """Return which parts to show, and how."""
    choices = {
        "--headers": "h" if given["headers_only"] else None,
        "--body": "b" if given["body_only"] else None,
        "--meta": "m" if given["meta_only"] else None,
        "--quiet": "" if given["quiet"] else None,
        "--print": given["parts"],
    }
    chosen = {name: parts for name, parts in choices.items() if parts is not None}
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} exclude each other: choose one")
    terminal, verbose = out_is_terminal(), given["verbose"]
    if chosen:
        (parts,) = chosen.values()
    elif given["offline"]:
        parts = "HB"
    elif method == "HEAD":
        parts = "h"
    else:
        parts = "hb" if terminal or verbose else "b"
    return Show(
        parts=frozenset(parts + "HBm" if verbose else parts),
        apart=verbose and not (terminal or chosen or given["offline"]),
        output=given["output"],
        stream=given["stream"],
        pretty=given["pretty"],
        show_secrets=given["show_secrets"],
        style=given["style"],
    )
