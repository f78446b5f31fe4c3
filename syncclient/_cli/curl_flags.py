"""curl's options, and their equivalents here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence

#: What to write instead; a function of the option's value if it takes one.
Here = str | Callable[[str], str]


def _header(value: str) -> str:
    return f"the item {shlex.quote(re.sub(r':[ ]+', ':', value, count=1))}"


def _data(value: str) -> str:
    if "://" in value:  # HTTPie's -d
        return f"the command: syncclient download {shlex.quote(value)}"
    if value.startswith("@"):
        return f"the item {shlex.quote(value)}"
    if value.lstrip()[:1] in ("{", "["):
        return f"--raw {shlex.quote(value)}, or the items key=value"
    pairs = value.split("&")
    if all("=" in pair for pair in pairs):
        return f"--form {' '.join(map(shlex.quote, pairs))}"
    return f"--raw {shlex.quote(value)}"


def _part(value: str) -> str:
    name, _, content = value.partition("=")
    separator = "" if content.startswith("@") else "="
    item = name + separator + content.partition(";")[0]
    return f"--multipart {shlex.quote(item)}" if content else _FORM


def _as(pattern: str) -> Callable[[str], str]:
    return lambda value: pattern.format(shlex.quote(value))


def _method(value: str) -> str:
    return f"{value.upper()} before the URL"


_FORM = "--form key=value, or --multipart key@FILE (redirects are followed without an option)"
_FOLLOWED = "nothing: redirects are followed, unless --no-follow is given"
_COOKIE = "the item Cookie:NAME=VALUE, or --session FILE"

_FLAGS: dict[str, Here] = {
    name: here
    for names, here in (
        ("-H --header", _header),
        ("-d --data --data-raw --data-binary --data-ascii", _data),
        ("--data-urlencode", "--form key=value"),
        ("-X --request", _method),
        ("-k --insecure", "--verify no"),
        ("-L --location", _FOLLOWED),
        ("-u --user", _as("-a {}")),
        ("-F", _part),
        ("-I --head", "HEAD before the URL"),
        ("-i --include --show-headers", "--print hb"),
        ("-s -S --silent --show-error", "nothing: no progress is shown"),
        ("-f --fail", "--check-status"),
        ("-O -J --remote-name --remote-header-name", "the command: syncclient download URL"),
        ("-C --continue-at", "the command, which resumes: syncclient download URL"),
        ("-A --user-agent", _as("the item User-Agent:{}")),
        ("-e --referer", _as("the item Referer:{}")),
        ("-x", _as("--proxy {}")),
        ("-m --max-time --connect-timeout", _as("--timeout {}")),
        ("-G --get", "the items key==value, which go into the query"),
        ("-T --upload-file", _as("PUT URL @{}")),
        ("-N --no-buffer", "--stream"),
        ("-c --cookie-jar --cookie", _COOKIE),
        ("--cacert --capath", _as("--verify {}")),
        ("-E", _as("--cert {}")),
        ("--key", _as("--cert-key {}")),
        ("--digest", "-A digest"),
        ("--basic", "-A basic, which is the default"),
        ("--oauth2-bearer", _as("-A bearer -a {}")),
        ("--compressed", "nothing: compressed bodies are asked for and decompressed"),
        ("--url", _as("{}")),
        ("--unix-socket", "http+unix://%2FPATH%2FOF.sock/ as the URL"),
        ("-n --netrc", "nothing: .netrc is read, unless --no-env is given"),
        ("--http1.1", "nothing: HTTP/1.1 is always used"),
        ("--http2 --http3", "nothing: only HTTP/1.1 is supported"),
        ("-1 --tlsv1 --tlsv1.0", "--ssl tls1"),
        ("--tlsv1.1", "--ssl tls1.1"),
        ("--tlsv1.2", "--ssl tls1.2"),
        ("--tlsv1.3", "--ssl tls1.3"),
        ("--tls-max", _as("--ssl tls{}")),
        # HTTPie's.
        ("--download", "the command: syncclient download URL"),
        ("--format-options --sorted --unsorted", "--pretty all|colors|format|none"),
        ("--all", "-v, which shows each redirect too"),
    )
    for name in names.split()
}


def answer(option: str, arguments: Sequence[str], known: Mapping[str, bool]) -> str | None:
    """Return what to write instead of curl's options; None if ``option`` is not one of curl's.

    Args:
        option: the unknown option.
        arguments: the whole command line; its other curl options are explained too.
        known: the options of the command, and whether they take a value.
    """
    if option not in _FLAGS:
        return None
    found = dict(_found(arguments, known)) or {option: _said(_FLAGS[option], "")}
    return "; ".join(map(_sentence, found, found.values()))


def _sentence(name: str, here: str) -> str:
    word, _, reason = here.partition(": ")
    return f"{name} is not needed: {reason}" if word == "nothing" else f"for {name} write {here}"


def _found(arguments: Sequence[str], known: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
    """Yield each of curl's options with its equivalent."""
    words = iter(arguments)
    for word in words:
        if word == "--":
            return
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            names = [(name, value if equals else "")]
        elif word.startswith("-"):  # -sSL and -XPOST as well
            names = [(f"-{letter}", word[n + 2 :]) for n, letter in enumerate(word[1:])]
        else:
            continue
        for name, value in names:
            here = _FLAGS.get(name)
            if name in known or here is None:
                if known.get(name, True):
                    break  # the next word may be its value
            elif isinstance(here, str):
                yield name, here
            else:
                yield name, _said(here, value or next(words, ""))
                break


def _said(here: Here, value: str) -> str:
    return here if isinstance(here, str) else here(value or "...")
