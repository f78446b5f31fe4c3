"""Command lines without a command: a URL, a verb in capitals, or an option."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import NamedTuple

import click

#: A method that is not a command: PROPFIND, M-SEARCH.
_CUSTOM = re.compile(r"[A-Z][A-Z-]*")
#: Characters of hosts and URLs that commands do not contain.
_OF_URL = re.compile(r"[.:/\[]|localhost\Z", re.IGNORECASE)
#: The command that accepts all of these.
ANY = "request"


class Request(NamedTuple):
    """A request as it was typed; the method is None if it was left out."""

    method: str | None
    url: str
    items: tuple[str, ...]


def is_url(word: str) -> bool:
    """Return whether ``word`` looks like a URL."""
    return _OF_URL.search(word) is not None


def is_method(word: str, verbs: Collection[str]) -> bool:
    """Return whether ``word`` is a method: a verb in any case, or another word in capitals."""
    return word.lower() in verbs or _CUSTOM.fullmatch(word) is not None


def as_command(arguments: Sequence[str], commands: Collection[str]) -> list[str]:
    """Return the arguments with a command in front if they have none.

    Raises:
        click.UsageError: the first one is neither a command nor a method, a URL or an option.
    """
    if not arguments:
        return []
    first, *rest = arguments
    if first == "help":
        return [*as_command(rest[:1], commands), "--help"]
    if first in ("--help", "--version") or (first == "-h" and not rest):
        return ["--help" if first == "-h" else first, *rest]
    if first.lower() in commands:
        # Alone it shows the help; with a URL it means the head only.
        return [first.lower(), *(["--help"] if rest == ["-h"] else rest)]
    if first.startswith("-") or is_url(first) or (rest and is_method(first, ())):
        return [ANY, *arguments]
    near = get_close_matches(first.lower(), commands, 1)
    meant = f"did you mean {near[0]}?" if near else f"as a URL, write http://{first}/"
    raise click.UsageError(f"No such command {first!r}: {meant}")


def taken_apart(words: Sequence[str], verbs: Collection[str]) -> Request:
    """Parse ``[METHOD] URL [ITEM]...``.

    Raises:
        click.UsageError: there is no URL.
    """
    method = None
    if len(words) > 1 and not is_url(words[0]) and is_method(words[0], verbs):
        method, *words = words
    if not words:
        raise click.UsageError("Missing argument 'URL'")
    url, *items = words
    return Request(None if method is None else method.upper(), url, tuple(items))
